"""Instances simulated a second on one core: this library beside a plain NumPy/SciPy loop, TorchSig and Sionna.

    python benchmarks/simulate.py [--seconds 2] [--rows rician]

Every row is one scenario and one set of modulations, at 10 dB and 1024 samples an instance. The contestants of a
row take turns and medians are kept, in seconds of the process's own time, so that a busy machine favours nobody.
TorchSig and Sionna take part where they can be imported. They get the nearest work that they can do:
TorchSig has no Doppler, no Rician fading and 16 of the complex set's 20 modulations; Sionna's filters need a
whole number of samples per symbol.
"""

from __future__ import annotations

import os

for _library in ("OMP", "OPENBLAS", "MKL", "NUMBA"):  # one core for everybody
    os.environ[f"{_library}_NUM_THREADS"] = "1"

import argparse
import importlib.metadata
import math
import statistics
import time
import warnings
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import torch
from scipy.signal import hilbert, lfilter, resample_poly, upfirdn

from amc_core import Scenario, Simulator
from amc_core.modulations import MODULATION_SETS, MODULATIONS, ContinuousPhase, Linear
from amc_core.pulses import pulse_span, raised_cosine
from amc_core.randomness import NOISE, SYMBOLS, address_key, complex_normal, integers
from amc_core.scenario import AUGMOD, Distribution

LENGTH, SNR_DB, ROUNDS = 1024, 10.0, 5
CHANNELS = ("awgn", "rayleigh", "rician", "rayleigh_2")
Simulation = Callable[[], int]  # simulates some instances and says how many

# Label → scenario and modulations.
ROWS: dict[str, tuple[Scenario, tuple[str, ...]]] = {
    **{
        f"{channel:10} 16QAM    L={upsampling:<5} 0.2 MHz": (Scenario(channel, upsampling), ("16QAM",))
        for channel in CHANNELS
        for upsampling in (2, 8, 10.67, 32)
    },
    **{
        f"{channel:10} 16QAM    L=8     2 MHz": (Scenario(channel, sample_rate=2e6), ("16QAM",))
        for channel in CHANNELS[1:]
    },
    **{
        f"{channel:10} complex  L=8     {rate / 1e6:g} MHz": (
            Scenario(channel, sample_rate=rate),
            MODULATION_SETS["complex"],
        )
        for channel, rate in (("awgn", 200e3), ("rayleigh", 200e3), ("rician", 200e3), ("rician", 2e6))
    },
    "augmod     augmod   L=2…3.3 0.2 MHz": (AUGMOD, MODULATION_SETS["augmod"]),
}


class Ours:
    """Batches of 1024 addresses."""

    def __init__(self, scenario: Scenario, modulations: tuple[str, ...]):
        self.simulator = Simulator(scenario, modulations, [SNR_DB], LENGTH)
        self.index = torch.arange(1024)
        self.modulation = self.index % len(modulations)
        self.snr = torch.zeros_like(self.index)

    def __call__(self) -> int:
        self.simulator(self.modulation, self.snr, self.index)
        self.index = self.index + len(self.index)
        return len(self.index)


class Plain:
    """One instance at a time: upfirdn, fractional-delay FIRs, a sum of sinusoids, noise, normalisation.

    What does not change from one instance to the next is worked out once.
    """

    SINUSOIDS, TAPS = 8, 33
    KINDS = 20  # instances a call; a call covers all modulations

    def __init__(self, scenario: Scenario, modulations: tuple[str, ...]):
        self.scenario, self.channel, self.names = scenario, scenario.paths, modulations
        self.random = np.random.default_rng(0)
        powers = 10 ** (np.asarray(self.channel.path_gains_db) / 10)
        self.powers = powers / powers.sum()
        self.line_of_sight = np.zeros(len(powers))
        self.line_of_sight[:1] = self.channel.k_factor / (1 + self.channel.k_factor)
        delays = np.asarray(self.channel.path_delays) * scenario.sample_rate
        self.whole = np.floor(delays).astype(int)
        taps = np.arange(self.TAPS) - self.TAPS // 2
        self.fractional = np.sinc(taps - (delays - self.whole)[:, None]) * np.kaiser(self.TAPS, 8)
        self.margin = self.TAPS - 1 + max(self.whole, default=0)
        angles = math.pi * (np.arange(self.SINUSOIDS) + 0.5) / self.SINUSOIDS
        turns = np.outer(self.channel.max_doppler * np.cos(angles), np.arange(LENGTH) / scenario.sample_rate)
        self.wave = np.exp(2j * math.pi * turns) / math.sqrt(self.SINUSOIDS)
        self.varied = isinstance(scenario.upsampling, Distribution)
        if not self.varied:
            ratio = scenario.samples_per_symbol
            self.up, self.down = ratio.numerator, ratio.denominator
            self.span = pulse_span("raised_cosine", scenario.rolloff)
            self.pulse = raised_cosine(
                np.arange(-self.span * self.up, self.span * self.up + 1) / self.up, scenario.rolloff
            )

    def __call__(self) -> int:
        for place in range(self.KINDS):
            self.instance(self.names[place % len(self.names)])
        return self.KINDS

    def instance(self, name: str) -> np.ndarray:
        modulation, samples = MODULATIONS[name], LENGTH + self.margin
        if self.varied:
            signal = self.drawn(modulation, samples)
        elif isinstance(modulation, Linear):
            signal = self.linear(modulation, samples)
        elif isinstance(modulation, ContinuousPhase):
            signal = self.continuous_phase(modulation, samples)
        else:
            signal = self.analogue(modulation, samples)
        received = self.fade(signal) if len(self.powers) else signal[-LENGTH:]
        noise = self.complex_normal(LENGTH)
        power = np.mean(received.real**2 + received.imag**2)
        received = received + noise * math.sqrt(power * 10 ** (-SNR_DB / 10))
        return (received / np.sqrt(np.mean(received.real**2 + received.imag**2))).astype(np.complex64)

    def complex_normal(self, *shape: int) -> np.ndarray:
        """Complex normal numbers of power 1."""
        return self.random.standard_normal((*shape, 2)).view(np.complex128)[..., 0] * math.sqrt(0.5)

    def linear(self, modulation: Linear, samples: int) -> np.ndarray:
        skip = math.ceil(2 * self.span * self.up / self.down)
        count = math.ceil((samples + skip) * self.down / self.up) + 1
        symbols = modulation.points[self.random.integers(len(modulation.points), size=count)]
        if not modulation.quadrature_delay:
            return upfirdn(self.pulse, symbols, self.up, self.down)[skip : skip + samples]
        late = np.concatenate([np.zeros(self.up // 2), self.pulse])
        i, q = upfirdn(self.pulse, symbols.real, self.up, self.down), upfirdn(late, symbols.imag, self.up, self.down)
        return i[skip : skip + samples] + 1j * q[skip : skip + samples]

    def continuous_phase(self, modulation: ContinuousPhase, samples: int) -> np.ndarray:
        start, stop = modulation.support
        frequency = np.diff(modulation.phase_response(np.arange(start * self.up, stop * self.up + 1) / self.up))
        skip = math.ceil((stop - start) * self.up / self.down)
        count = math.ceil((samples + skip) * self.down / self.up) + 1
        symbols = 1.0 - 2 * self.random.integers(2, size=count)
        turns = modulation.index * np.cumsum(upfirdn(frequency, symbols, self.up))[:: self.down]
        return np.exp(2j * math.pi * turns[skip : skip + samples])

    def analogue(self, modulation, samples: int) -> np.ndarray:
        """Audio is noise shaped by one resonance, at 32 kHz."""
        rate = self.scenario.sample_rate
        ratio = Fraction(rate) / 32_000
        count = math.ceil(samples / ratio) + 64
        voice = lfilter([1.0, 0.0, -1.0], [1.0, -1.8, 0.85], self.random.standard_normal(count))
        if modulation.emphasis:
            voice = lfilter([1 + modulation.emphasis * 32_000, -modulation.emphasis * 32_000], [1.0], voice)
        audio = resample_poly(voice, ratio.numerator, ratio.denominator)[-samples:]
        if modulation.deviation:
            return np.exp(2j * math.pi * modulation.deviation / rate * np.cumsum(audio))
        carrier = np.exp(2j * math.pi * min(modulation.intermediate_frequency, rate / 4) / rate * np.arange(samples))
        return carrier * (audio if modulation.sidebands == 2 else hilbert(audio))

    def drawn(self, modulation: Linear, samples: int) -> np.ndarray:
        """Linear modulation whose samples per symbol, roll-off, timing and phase are the instance's own."""
        names = ("upsampling", "rolloff", "timing_offset", "phase_offset")
        upsampling, rolloff, timing, phase = (self.value(getattr(self.scenario, name)) for name in names)
        span = pulse_span("raised_cosine", rolloff)
        times = np.arange(samples) / upsampling - timing
        nearest = np.floor(times).astype(int)
        around = nearest[:, None] + np.arange(-span, span + 1)
        symbols = modulation.points[self.random.integers(len(modulation.points), size=around.max() - around.min() + 1)]
        signal = (symbols[around - around.min()] * raised_cosine(times[:, None] - around, rolloff)).sum(1)
        return signal * np.exp(1j * phase)

    def value(self, field: float | Distribution) -> float:
        return float(field.at(self.random.random())) if isinstance(field, Distribution) else field

    def fade(self, signal: np.ndarray) -> np.ndarray:
        amplitudes = self.complex_normal(len(self.powers), self.SINUSOIDS)
        scattered = (amplitudes @ self.wave) * np.sqrt(self.powers * (1 - self.line_of_sight))[:, None]
        gains = scattered + np.sqrt(self.powers * self.line_of_sight)[:, None]
        received = np.zeros(LENGTH, complex)
        for gain, whole, taps in zip(gains, self.whole, self.fractional, strict=True):
            start = self.margin - (self.TAPS - 1) - whole
            received += gain * np.convolve(signal[start : start + LENGTH + self.TAPS - 1], taps, "valid")
        return received


class TorchSig:
    """Its iterable dataset, one instance at a time; fading is static."""

    NAMES = dict(
        zip(
            ("BPSK", "QPSK", "8PSK", "16QAM", "64QAM", "PAM4", "GFSK", "CPFSK", "B-FM", "DSB-AM", "SSB-AM"),
            ("bpsk", "qpsk", "8psk", "16qam", "64qam", "4ask", "2gfsk", "2fsk", "fm", "am-dsb-sc", "am-usb"),
            strict=True,
        ),
        **{
            "32QAM": "32qam_cross",
            "128QAM": "128qam_cross",
            "256QAM": "256qam",
            "16APSK": "16apsk",
            "32APSK": "32apsk",
        },
    )

    def __init__(self, scenario: Scenario, modulations: tuple[str, ...]):
        from torchsig.datasets.datasets import TorchSigIterableDataset
        from torchsig.transforms.transforms import Fading

        if scenario.paths.k_factor:
            raise NotImplementedError("no Rician fading")
        rate, channel = scenario.sample_rate, scenario.paths
        shortest, longest = 1 / rate, max(channel.path_delays, default=0)
        ends = scenario.upsampling
        ends = ends.extremes if isinstance(ends, Distribution) else (float(scenario.samples_per_symbol),) * 2
        metadata = {
            **dict(num_iq_samples_dataset=LENGTH, num_signals_min=1, num_signals_max=1, sample_rate=rate),
            **dict(fft_size=256, fft_stride=256, noise_power_db=0.0, snr_db_min=SNR_DB, snr_db_max=SNR_DB),
            **dict(signal_duration_in_samples_min=LENGTH, signal_duration_in_samples_max=LENGTH),
            **dict(bandwidth_min=rate / ends[1], bandwidth_max=rate / ends[0], cochannel_overlap_probability=0.0),
            **dict(signal_center_freq_min=0, signal_center_freq_max=0),
            **dict(frequency_min=-rate / 2, frequency_max=rate / 2 - 1),
        }
        width = shortest / (longest + shortest)  # gives it as many taps as the longest delay has samples
        fading = Fading((width, width), 10 ** (np.asarray(channel.path_gains_db) / 10)) if longest else None
        self.dataset = TorchSigIterableDataset(
            [self.NAMES[name] for name in modulations if name in self.NAMES],
            component_transforms=[fading] if fading else [],
            target_labels=[],
            metadata=metadata,
        )

    def __call__(self) -> int:
        for _ in range(20):
            next(self.dataset)
        return 20


class Sionna:
    """Batches of 128: symbol source, upsampling, raised-cosine filter, time-domain channel, noise."""

    BATCH, SINUSOIDS = 128, 8

    def __init__(self, scenario: Scenario, modulations: tuple[str, ...]):
        from sionna.phy.channel import AWGN, TimeChannel, time_lag_discrete_time_channel
        from sionna.phy.mapping import Constellation, SymbolSource
        from sionna.phy.signal import RaisedCosineFilter, Upsampling

        fixed = not isinstance(scenario.upsampling, Distribution) and scenario.samples_per_symbol.denominator == 1
        if len(modulations) > 1 or not fixed:
            raise NotImplementedError("one constellation and a whole number of samples per symbol")
        channel, upsampling = scenario.paths, int(scenario.upsampling)
        low, high = time_lag_discrete_time_channel(scenario.sample_rate, max(channel.path_delays, default=0))
        self.samples = LENGTH + (high - low if channel.path_delays else 0)
        points = MODULATIONS[modulations[0]].points
        constellation = Constellation("custom", int(math.log2(len(points))), points=torch.tensor(points.astype("c8")))
        self.source = SymbolSource("custom", constellation=constellation)
        self.upsample = Upsampling(upsampling)
        span = 2 * pulse_span("raised_cosine", scenario.rolloff)
        self.shape = RaisedCosineFilter(span, upsampling, scenario.rolloff)
        self.symbols = -(-self.samples // upsampling) + span
        self.noise = AWGN()
        self.channel = None
        if channel.path_delays:
            paths = self.paths(channel)
            self.channel = TimeChannel(paths, scenario.sample_rate, self.samples, l_min=low, l_max=high)

    def paths(self, channel):
        """The delay profile as a Sionna channel model; path gains are a sum of sinusoids."""
        from sionna.phy.channel import ChannelModel

        powers = 10 ** (torch.tensor(channel.path_gains_db) / 10)
        powers /= powers.sum()
        direct = torch.zeros(len(powers))
        direct[0] = channel.k_factor / (1 + channel.k_factor)
        cosines = torch.cos(math.pi * (torch.arange(self.SINUSOIDS) + 0.5) / self.SINUSOIDS)

        class Paths(ChannelModel):
            def __call__(self, batch_size: int, num_time_steps: int, sampling_frequency: float):
                turns = channel.max_doppler * cosines[:, None] * torch.arange(num_time_steps) / sampling_frequency
                wave = torch.polar(torch.full_like(turns, len(cosines) ** -0.5), 2 * math.pi * turns)
                amplitudes = torch.randn(batch_size, len(powers), len(cosines), dtype=torch.complex64)
                gains = (amplitudes @ wave) * (powers * (1 - direct)).sqrt()[:, None]
                gains = gains + (powers * direct).sqrt()[:, None]
                delays = torch.tensor(channel.path_delays).expand(batch_size, 1, 1, -1)
                return gains[:, None, None, None, None], delays

        return Paths()

    def __call__(self) -> int:
        signal = self.shape(self.upsample(self.source([self.BATCH, self.symbols])), padding="valid")[:, : self.samples]
        if self.channel is not None:
            signal = self.channel(signal[:, None, None])[:, 0, 0, -self.channel.l_max - LENGTH :][:, :LENGTH]
        power = signal.abs().square().mean(1, keepdim=True)
        received = self.noise(signal, power * 10 ** (-SNR_DB / 10))
        received = received / received.abs().square().mean(1, keepdim=True).sqrt()
        if received.shape != (self.BATCH, LENGTH):
            raise RuntimeError(f"Sionna made {tuple(received.shape)}")
        return self.BATCH


def random_numbers() -> dict[str, dict[str, Simulation]]:
    """What the random numbers of an instance cost by themselves: 1024 complex normals and 150 symbols."""
    keys, indices = torch.tensor([address_key("benchmark")] * 32), torch.arange(32)
    below, plain = torch.full((32,), 16), np.random.default_rng(0)

    def ours() -> int:
        complex_normal(keys, indices, NOISE, LENGTH)
        integers(keys, indices, SYMBOLS, 150, below)
        return 32

    def numpy() -> int:
        plain.standard_normal((2, LENGTH), dtype=np.float32)
        plain.integers(16, size=150)
        return 1

    def randn() -> int:
        torch.randn(32, 2, LENGTH)
        return 32

    return {
        "random numbers alone: noise and symbols": {"amc_core": ours, "NumPy": numpy},
        "random numbers alone: torch.randn": {"amc_core": randn},
    }


CONTESTANTS = {"amc_core": Ours, "NumPy": Plain, "TorchSig": TorchSig, "Sionna": Sionna}


def contestants(scenario: Scenario, modulations: tuple[str, ...]) -> dict[str, Simulation | str]:
    """Who can do a row's work, and why the others cannot."""
    able: dict[str, Simulation | str] = {}
    for name, contestant in CONTESTANTS.items():
        try:
            able[name] = contestant(scenario, modulations)
        except ModuleNotFoundError:
            able[name] = "not installed"
        except NotImplementedError:
            able[name] = "cannot"
    return able


def rates(simulations: dict[str, Simulation], seconds: float) -> dict[str, list[float]]:
    """Instances a second of the process's time, of everybody in each of the rounds."""
    for simulation in simulations.values():
        simulation()  # whatever is compiled or cached at the first call
    measured: dict[str, list[float]] = {name: [] for name in simulations}
    for _ in range(ROUNDS):
        for name, simulation in simulations.items():
            start, instances = time.process_time(), 0
            while (elapsed := time.process_time() - start) < seconds / ROUNDS or not instances:
                instances += simulation()
            measured[name].append(instances / elapsed)
    return measured


def line(label: str, row: dict[str, Simulation | str], seconds: float) -> str:
    """A row of the table: medians, and how many times as fast as each other one this library is."""
    measured = rates({name: who for name, who in row.items() if not isinstance(who, str)}, seconds)
    cells = [f"{label:42}"]
    for name in CONTESTANTS:
        if name in measured:
            cells.append(f"{statistics.median(measured[name]):>12,.0f}")
        else:
            cells.append(f"{row.get(name, ''):>13}"[-13:])
    for name in list(CONTESTANTS)[1:]:
        pairs = zip(measured["amc_core"], measured.get(name, ()), strict=False)
        ratios = [ours / theirs for ours, theirs in pairs]
        cells.append(f"{statistics.median(ratios):>10.1f}" if ratios else f"{'':>10}")
    return "".join(cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="for each number in the table")
    parser.add_argument("--rows", default="", help="only rows whose label contains this")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")

    versions = {name: _version(name) for name in ("torch", "numpy", "scipy", "torchsig", "sionna")}
    print(", ".join(f"{name} {version}" for name, version in versions.items()))
    print(f"Instances of {LENGTH} samples a second, one core; × is how many times as fast amc_core is.\n")
    header = [
        f"{'':42}",
        *(f"{name:>12}" for name in CONTESTANTS),
        *(f"{'× ' + name:>10}" for name in list(CONTESTANTS)[1:]),
    ]
    print("".join(header))
    for label, (scenario, modulations) in ROWS.items():
        if arguments.rows in label:
            print(line(label, contestants(scenario, modulations), arguments.seconds), flush=True)
    for label, row in random_numbers().items():
        if arguments.rows in label:
            print(line(label, row, arguments.seconds), flush=True)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    main()
