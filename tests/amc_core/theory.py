"""What tests of the simulator against theory share.

Tolerances: numerical ones are stated in dB or relative; statistical ones are four or five standard errors, or a
99.9 % interval. Every draw follows from a fixed address, so a test that passes once passes always.
"""

import math

import numpy as np
import pytest
import torch

from amc_core import MODULATION_SETS, MODULATIONS, Scenario, Simulator
from amc_core.constellations import CONSTELLATIONS
from amc_core.pulses import gaussian_phase, pulse_span, raised_cosine, rectangular_phase, root_raised_cosine
from amc_core.randomness import SYMBOLS, integers
from amc_core.scenario import AUGMOD_OFFSETS, Distribution
from amc_core.stages import Draws

ALL = tuple(MODULATIONS)
LINEAR = tuple(CONSTELLATIONS)
CPM = {  # modulation index h and phase response
    "CPFSK": (0.5, rectangular_phase),
    "GFSK": (1.0, lambda t: gaussian_phase(t, 0.35)),
    "GMSK": (0.5, lambda t: gaussian_phase(t, 0.3)),
}
OTHERS = tuple(name for name in ALL if name not in MODULATION_SETS["complex"])
ANALOGUE = tuple(name for name in ALL if name not in CONSTELLATIONS and name not in CPM)
LATE = pytest.mark.parametrize("varied", [False, True], ids=["fixed_train", "varied_train"])
IMPAIRED = Scenario(**AUGMOD_OFFSETS.as_dict() | {"channel": "rician", "sample_rate_offset": {"uniform": [-50, 50]}})


def around(value: float) -> Distribution:
    """A distribution so narrow that it is a number, but that the simulator treats as a distribution."""
    return Distribution("uniform", value, value + 1e-9)


def run(simulator: Simulator, index: torch.Tensor, modulation: int = 0, snr: int = 0) -> np.ndarray:
    """Instances of one modulation and SNR, (batch, length) complex128."""
    i, q = simulator(torch.full_like(index, modulation), torch.full_like(index, snr), index).double().unbind(1)
    return torch.complex(i, q).numpy()


def with_the_draws_of(other: Simulator, simulator: Simulator) -> Simulator:
    """`simulator` with the keys of `other`: the same symbols, source, fading, offsets and noise."""
    simulator.keys = other.keys[:, :1].expand_as(simulator.keys)
    return simulator


def symbols(simulator: Simulator, index: torch.Tensor, modulation: int = 0):
    """The symbols of a simulator's first SNR: their numbers k (count,) and their labels (batch, count)."""
    train = simulator.families[simulator.family_of[modulation]].train
    sizes = getattr(simulator.families[simulator.family_of[modulation]], "sizes", torch.tensor([2]))
    size = sizes[simulator.kind_of[modulation]]
    keys = simulator.keys[modulation, :1].expand(len(index), 2)
    labels = integers(keys, index, SYMBOLS, train.count, size.expand(len(index)))
    return train.first + np.arange(train.count), labels.numpy()


def drawn(simulator: Simulator, index: torch.Tensor, modulation: int = 0) -> Draws:
    return Draws(simulator.scenario, simulator.keys[modulation, :1].expand(len(index), 2), index)


def closed_form(simulator: Simulator, name: str, index: torch.Tensor, delay: float = 0.0) -> np.ndarray:
    """Σ a_k g(t − k) or exp(j2πh Σ a_k q(t − k)), t = n/(L(1 + ppm·10⁻⁶)) − τ − delay·f_s/L, in float64.

    Of the pulse's span, like the simulator; what lies beyond is tested by itself.
    """
    scenario, draws = simulator.scenario, drawn(simulator, index)
    k, labels = symbols(simulator, index)
    per_symbol = draws["upsampling"]
    if not isinstance(scenario.upsampling, Distribution):
        per_symbol = np.full(len(index), float(scenario.samples_per_symbol))
    out = []
    for one, (ratio, rolloff, tau, ppm) in enumerate(
        zip(per_symbol, draws["rolloff"], draws["timing_offset"], draws["sample_rate_offset"], strict=True)
    ):
        t = np.arange(simulator.length) / (ratio * (1 + ppm * 1e-6)) - tau - delay * scenario.sample_rate / ratio
        t = t[:, None] - k
        if name in CPM:
            h, response = CPM[name]
            out.append(np.exp(2j * np.pi * h * (response(t) @ (1.0 - 2 * labels[one]))))
            continue
        lowest = scenario.rolloff.low if isinstance(scenario.rolloff, Distribution) else scenario.rolloff
        span = pulse_span(scenario.pulse, lowest)
        shape = {"raised_cosine": raised_cosine, "root_raised_cosine": root_raised_cosine}[scenario.pulse]
        points = CONSTELLATIONS[name][labels[one]]
        i, q = (np.where(np.abs(x) <= span, shape(x, rolloff), 0) for x in (t, t - 0.5 * (name == "OQPSK")))
        out.append(i @ points.real + 1j * (q @ points.imag))
    return np.array(out)


def error_db(signal: np.ndarray, reference: np.ndarray) -> float:
    """The power of what is left of `signal` beside a positive multiple of `reference`, the worst row, in dB."""
    gain = (reference.conj() * signal).sum(-1).real / (np.abs(reference) ** 2).sum(-1)
    assert np.all(gain > 0)
    residual = (np.abs(signal - gain[..., None] * reference) ** 2).mean(-1) / (np.abs(signal) ** 2).mean(-1)
    return 10 * math.log10(residual.max() + 1e-30)


def power_spectrum(instances: np.ndarray, sample_rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies in Hz and mean power under a Blackman window, whose main lobe is 3 bins to either side."""
    length = instances.shape[1]
    window = np.blackman(length) / math.sqrt(length * (np.blackman(length) ** 2).sum())
    return np.fft.fftfreq(length, 1 / sample_rate), (np.abs(np.fft.fft(instances * window)) ** 2).mean(0)
