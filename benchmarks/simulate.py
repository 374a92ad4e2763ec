"""Instances simulated a second on one core: this library beside a plain NumPy/SciPy loop, TorchSig and Sionna.

    python benchmarks/simulate.py [--seconds 2] [--rows rician]

Every row is one scenario and one set of modulations, at 10 dB and 1024 samples an instance. The contestants of a
row take turns and medians are kept, in seconds of the process's own time, so that a busy machine favours nobody.
TorchSig and Sionna take part where they can be imported, and get the nearest work that they can do (NOTES).
"""

from __future__ import annotations

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
from threadpoolctl import threadpool_limits

from amc_core import Scenario, Simulator, kernels
from amc_core.identity import address_key
from amc_core.modulations import MODULATION_SETS, MODULATIONS, Analogue, ContinuousPhase, Linear
from amc_core.pulses import pulse_span, raised_cosine
from amc_core.randomness import NOISE, SYMBOLS, complex_normal, integers
from amc_core.scenario import AUGMOD, Channel, Distribution

LENGTH, SNR_DB, ROUNDS = 1024, 10.0, 5
Simulation = Callable[[], int]  # simulates some instances and says how many

# Scenario and a modulation or a set of them.
ROWS: list[tuple[Scenario, str]] = [
    *((Scenario(channel, 2), "16QAM") for channel in ("awgn", "rayleigh", "rician", "rayleigh_2")),
    *((Scenario(channel, 8), "16QAM") for channel in ("awgn", "rayleigh", "rician", "rayleigh_2")),
    *((Scenario(channel, 10.67), "16QAM") for channel in ("awgn", "rician")),
    *((Scenario(channel, 32), "16QAM") for channel in ("awgn", "rician")),
    *((Scenario(channel, 8, sample_rate=2e6), "16QAM") for channel in ("rayleigh", "rician", "rayleigh_2")),
    *((Scenario(channel, 8), "complex") for channel in ("awgn", "rayleigh", "rician")),
    (Scenario("rician", 8, sample_rate=2e6), "complex"),
    (AUGMOD, "augmod"),
]

NOTES = """\
amc_core: batches of 1024 addresses. NumPy: one instance at a time. "× NumPy" is how many times as fast amc_core is.
TorchSig: fading is static and never Rician; 16 of the complex set's 20 modulations; roll-off, timing and phase are its
own. Sionna: batches of 128; one constellation, and a whole number of samples per symbol."""


class Unable(Exception):
    """A contestant has no such signals; its row says so."""


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
    INSTANCES = 20  # in a call, which so covers all modulations

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
            times = np.arange(-self.span * self.up, self.span * self.up + 1) / self.up
            self.pulse = raised_cosine(times, scenario.rolloff)

    def __call__(self) -> int:
        for place in range(self.INSTANCES):
            self.instance(self.names[place % len(self.names)])
        return self.INSTANCES

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

    def analogue(self, modulation: Analogue, samples: int) -> np.ndarray:
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


TORCHSIG_NAMES = {
    **{"BPSK": "bpsk", "QPSK": "qpsk", "8PSK": "8psk", "16QAM": "16qam", "64QAM": "64qam", "PAM4": "4ask"},
    **{"GFSK": "2gfsk", "CPFSK": "2fsk", "B-FM": "fm", "DSB-AM": "am-dsb-sc", "SSB-AM": "am-usb"},
    **{"32QAM": "32qam_cross", "128QAM": "128qam_cross", "256QAM": "256qam", "16APSK": "16apsk", "32APSK": "32apsk"},
}


class TorchSig:
    """Its iterable dataset, one instance at a time; fading is static."""

    def __init__(self, scenario: Scenario, modulations: tuple[str, ...]):
        from torchsig.datasets.datasets import TorchSigIterableDataset
        from torchsig.transforms.transforms import Fading

        if scenario.paths.k_factor:
            raise Unable("no Rician fading")
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
            [TORCHSIG_NAMES[name] for name in modulations if name in TORCHSIG_NAMES],
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
            raise Unable("one constellation and a whole number of samples per symbol")
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

    def paths(self, channel: Channel):
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
        "random numbers: noise and symbols": {"amc_core": ours, "NumPy": numpy},
        "random numbers: torch.randn": {"amc_core": randn},
    }


CONTESTANTS = {"amc_core": Ours, "NumPy": Plain, "TorchSig": TorchSig, "Sionna": Sionna}
PEERS = tuple(CONTESTANTS)[1:]


def contestants(scenario: Scenario, modulations: tuple[str, ...]) -> dict[str, Simulation | str]:
    """Who can do a row's work, and why the others cannot."""
    able: dict[str, Simulation | str] = {}
    for name, contestant in CONTESTANTS.items():
        try:
            able[name] = contestant(scenario, modulations)
        except ModuleNotFoundError:
            able[name] = "not installed"
        except Unable:
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


def table_row(label: str, able: dict[str, Simulation | str], seconds: float) -> str:
    """Medians of the rates, and of their ratios in each round."""
    measured = rates({name: who for name, who in able.items() if not isinstance(who, str)}, seconds)
    cells = {name: who for name, who in able.items() if isinstance(who, str)}
    cells |= {name: f"{statistics.median(values):,.0f}" for name, values in measured.items()}
    for name in measured.keys() & set(PEERS):
        ratios = [ours / theirs for ours, theirs in zip(measured["amc_core"], measured[name], strict=True)]
        cells[f"× {name}"] = f"{statistics.median(ratios):.1f}"
    return _line(label, cells)


def _label(scenario: Scenario, modulations: str) -> str:
    upsampling = scenario.upsampling
    if isinstance(upsampling, Distribution):
        upsampling = "–".join(f"{end:.3g}" for end in upsampling.extremes)
    else:
        upsampling = f"{upsampling:g}"
    return f"{scenario.paths.name:<11}{modulations:<9}L={upsampling:<8}{scenario.sample_rate / 1e6:g} MHz"


def _line(label: str, cells: dict[str, str]) -> str:
    numbers = "".join(f"{cells.get(name, ''):>15}" for name in CONTESTANTS)
    return f"{label:<38}{numbers}" + "".join(f"{cells.get(f'× {name}', ''):>12}" for name in PEERS)


def _version(package: str) -> str:
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return f"no {package}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="of measurement for each number in the table")
    parser.add_argument("--rows", default="", help="only the rows whose label contains this")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")  # TorchSig's and Sionna's

    kernel = "with" if kernels.library() else "without"
    packages = ", ".join(map(_version, ("torch", "numpy", "scipy", "torchsig", "sionna")))
    print(f"Instances of {LENGTH} samples a second on one core; amc_core {kernel} its C kernels, {packages}")
    print(_line("", {name: name for name in (*CONTESTANTS, *(f"× {peer}" for peer in PEERS))}))
    rows = {_label(*row): row for row in ROWS}
    with threadpool_limits(1):
        for label, (scenario, modulations) in rows.items():
            if arguments.rows in label:
                able = contestants(scenario, MODULATION_SETS.get(modulations, (modulations,)))
                print(table_row(label, able, arguments.seconds), flush=True)
        for label, able in random_numbers().items():
            if arguments.rows in label:
                print(table_row(label, able, arguments.seconds), flush=True)
    print(NOTES)


if __name__ == "__main__":
    main()
