"""The likelihood classifier: a receiver that knows the setting but not the modulation.

It needs no training. It estimates an instance's symbols by zero forcing, treats the errors as white, and chooses the
modulation under which the estimates are the most likely. `limits` has the upper bound on its accuracy.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from amc_core.errors import AmcError
from amc_core.modulations import modulation
from amc_core.pulses import pulse_span, raised_cosine, root_raised_cosine
from amc_core.recognition import Likelihood
from amc_core.simulator import Simulator
from amc_core.stages import Draws

_HIGHEST_SNR = 1e8
_REACH = 3  # the average is over so many standard deviations of the amplitude
_PRIOR = 1e-6  # prior inverse variance of symbols, so that a faded symbol does not disturb others


@dataclass(frozen=True)
class Known:
    """What the receiver knows of one instance: everything but the modulation and its symbols.

    pulse, rolloff: as in `Scenario`. starts, step: sample n of a path is taken at its start + n·step, in symbols.
    phase: rad. carrier_offset: cycles per sample. snr: linear. gains: (paths, length) complex128, None without fading.
    """

    pulse: str
    rolloff: float
    starts: tuple[float, ...]
    step: float
    phase: float
    carrier_offset: float
    snr: float
    gains: np.ndarray | None


def known(simulator: Simulator, modulation: torch.Tensor, snr: torch.Tensor, index: torch.Tensor) -> list[Known]:
    """What is known of the instances of a batch of addresses; parameters as in `Simulator.__call__`."""
    scenario, keys, gains = simulator.scenario, simulator.keys[modulation, snr], None
    draws = Draws(scenario, keys, index)
    delays = np.asarray(scenario.paths.path_delays or (0.0,)) * scenario.sample_rate  # samples
    starts = -(draws["timing_offset"][:, None] + delays / draws["upsampling"][:, None])
    steps = 1 / (draws["upsampling"] * (1 + 1e-6 * draws["sample_rate_offset"]))
    if scenario.paths.path_delays:
        parts = simulator.paths.gains(keys.to(simulator.device), index.to(simulator.device)).double().cpu().numpy()
        gains = parts[:, :, 0] + 1j * parts[:, :, 1]
    rate = scenario.sample_rate * (1 + 1e-6 * draws["sample_rate_offset"])
    cycles = draws["carrier_offset"] / rate + draws["relative_carrier_offset"]
    linear = 1 / np.maximum(simulator.noise_power[snr].numpy(), 1 / _HIGHEST_SNR)
    return [
        Known(
            scenario.pulse,
            float(draws["rolloff"][one]),
            tuple(starts[one].tolist()),
            float(steps[one]),
            float(draws["phase_offset"][one]),
            float(cycles[one]),
            float(linear[one]),
            None if gains is None else gains[one],
        )
        for one in range(len(index))
    ]


class LikelihoodClassifier(nn.Module):
    """Maximum likelihood over linear modulations, given the setting of each instance.

    Symbols whose centre lies in the instance are estimated without bias; those before and after it, whose tails reach
    in, are interference of known power and are not revealed. The simulator scales noise to an instance's own power, so
    the likelihood of each modulation is averaged over the powers that its symbols may have. It has no weights.
    """

    knows_setting = True

    def __init__(self, classes: int):
        super().__init__()
        self.classes = classes

    def forward(self, x: torch.Tensor, instances: Sequence[Known] = (), modulations: Sequence[str] = ()):
        """The log likelihood of each modulation up to a common term, (batch, classes) float32.

        x: (batch, 2, length) float32. instances: what is known of each. modulations: the classes' names. Raises
        AmcError if instances or modulations are missing.
        """
        if len(instances) != len(x) or len(modulations) != self.classes:
            raise AmcError("the likelihood classifier needs the setting of every instance and the modulations' names")
        likelihood = Likelihood(modulations, x.device)
        points = [modulation(name).points for name in modulations]
        scores = torch.empty(len(x), self.classes, dtype=torch.float64, device=x.device)
        alike: dict[object, list[int]] = {}
        for row, one in enumerate(instances):
            alike.setdefault(row if one.gains is not None else _detector_key(one), []).append(row)
        for rows in alike.values():
            received = torch.stack([_unrotated(x[row], instances[row]) for row in rows])
            one, length = instances[rows[0]], x.shape[-1]
            detector = _detector(*_detector_key(one), length) if one.gains is None else _solve(one, length)
            scores[rows] = _scores(likelihood, points, received, detector.to(x.device))
        return scores.float()


@dataclass(frozen=True)
class _Detector:
    """The linear map from samples to estimates of symbols.

    matrix: (symbols, length) complex128. gamma: (symbols,) Es/N0 of each symbol. mean_gain: power gain of a constant,
    relative to that of symbols of mean zero. diagonal, whole: Σ_k R_kk² and Σ_kl |R_kl|² of R = GᴴG, relative to
    (tr R)²; the variance of an instance's power follows from them.
    """

    matrix: torch.Tensor
    gamma: torch.Tensor
    mean_gain: float
    diagonal: float
    whole: float

    def to(self, device: torch.device) -> _Detector:
        return replace(self, matrix=self.matrix.to(device), gamma=self.gamma.to(device))

    def power_deviation(self, points: np.ndarray) -> float:
        """Standard deviation of aᴴRa / tr R, for independent symbols a of a constellation of unit power."""
        fourth, square = np.mean(np.abs(points) ** 4), abs(np.mean(points**2)) ** 2
        variance = (fourth - 2 - square) * self.diagonal + (1 + square) * self.whole
        return math.sqrt(max(variance, 1e-12))


def _detector_key(one: Known) -> tuple:
    return one.pulse, one.rolloff, one.starts, one.step, one.snr


@functools.lru_cache(maxsize=64)
def _detector(pulse: str, rolloff: float, starts: tuple[float, ...], step: float, snr: float, length: int) -> _Detector:
    return _solve(Known(pulse, rolloff, starts, step, 0.0, 0.0, snr, None), length)


def _solve(one: Known, length: int) -> _Detector:
    """The best linear unbiased estimator of the symbols in the instance.

    With samples r = c·G a + v, v of variance σ² = 1/(1 + SNR) and c²·tr(GᴴG)/N = SNR/(1 + SNR), it is the first part
    of (GᴴG c²/σ² + P)⁻¹ Gᴴ r c/σ², where P is 1 for the symbols outside, of unit power, and almost 0 for those inside.
    """
    matrix, inside = _shaping(one, length)
    gram = matrix.mH @ matrix
    power = gram.diagonal().real.sum() / length
    constant = (matrix.sum(1).abs() ** 2).mean()
    noise = 1 / (1 + one.snr)
    amplitude = torch.sqrt(one.snr * noise / power)
    precision = gram * (amplitude**2 / noise) + torch.diag(torch.where(inside, _PRIOR, 1.0)).to(gram.dtype)
    covariance = torch.linalg.inv(precision)[inside]
    estimator = (covariance @ matrix.mH) * (amplitude / noise)
    gamma = 1 / covariance[:, inside].diagonal().real
    spread = [(x.abs() ** 2).sum() / gram.diagonal().real.sum() ** 2 for x in (gram.diagonal(), gram)]
    return _Detector(estimator.to(torch.complex128), gamma, float(constant / power), *map(float, spread))


def _shaping(one: Known, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The matrix G (length, symbols) from symbols to samples, and which symbols have their centre in the instance."""
    span = pulse_span(one.pulse, one.rolloff)
    shape = raised_cosine if one.pulse == "raised_cosine" else root_raised_cosine
    ends = [start + (length - 1) * one.step for start in one.starts]
    symbols = np.arange(math.floor(min(one.starts)) - span, math.ceil(max(ends)) + span + 1)
    matrix = 0.0
    for path, start in enumerate(one.starts):
        t = start + np.arange(length)[:, None] * one.step - symbols
        pulse = np.where(np.abs(t) <= span, shape(t, one.rolloff), 0)
        matrix = matrix + (pulse if one.gains is None else one.gains[path][:, None] * pulse)
    inside = (symbols >= one.starts[0] - 1e-9) & (symbols <= ends[0] + 1e-9)
    return torch.as_tensor(matrix), torch.as_tensor(inside)


def _unrotated(x: torch.Tensor, one: Known) -> torch.Tensor:
    """(2, length) float32 → (length,) complex128, without the phase and the carrier offset."""
    samples = torch.arange(x.shape[-1], dtype=torch.float64, device=x.device)
    angle = -(one.phase + 2 * math.pi * one.carrier_offset * samples)
    return torch.complex(x[0].double(), x[1].double()) * torch.polar(torch.ones_like(angle), angle)


def _scores(
    likelihood: Likelihood, points: Sequence[np.ndarray], received: torch.Tensor, detector: _Detector
) -> torch.Tensor:
    """(batch, length) complex128 → (batch, classes) log of the mean over amplitudes of the product over symbols of p.

    points: the constellation of each class. An instance of own power p is received with 1/√p of the usual amplitude.
    """
    symbols = received @ detector.matrix.mT
    i, q = symbols.real.reshape(-1), symbols.imag.reshape(-1)
    gamma = detector.gamma.expand(len(received), -1).reshape(-1)
    # A constellation's mean is a constant, whose gain differs from that of the rest.
    means = likelihood.means.to(received.device) ** 2
    usual = (1 / (1 - means + means * detector.mean_gain)).sqrt()
    deviations = torch.tensor([detector.power_deviation(p) / 2 for p in points], dtype=torch.float64).to(usual)
    # Steps are well below 1/√(2Σγ), the width of the amplitude's likelihood given the symbols.
    reach = _REACH * deviations.max().item()
    steps = math.ceil(reach * math.sqrt(2 * detector.gamma.sum().item()) / 1.2)
    terms = []
    for shift in torch.linspace(-reach, reach, 2 * steps + 1, dtype=torch.float64).tolist() if steps else [0.0]:
        scale = (usual * math.exp(shift)).expand(len(i), -1)
        sums = likelihood(i, q, gamma, scale).view(*symbols.shape, -1).sum(1)
        terms.append(sums - (shift / deviations) ** 2 / 2 - deviations.log())
    return torch.stack(terms).logsumexp(0)
