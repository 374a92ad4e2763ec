"""Noise, Gaussian or impulsive, and the receiver's gain: v(t) of P1 eq. 2, and unit power."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch

from amc_core import kernels
from amc_core.device import carried
from amc_core.distributions import extremes
from amc_core.exactmath import halved_sum, square_root
from amc_core.identity import stream
from amc_core.randomness import NOISE, complex_normal, int64_rows, integers
from amc_core.stages import Batch, Setting, Stage

_IMPULSES = stream("impulses")
_STEPS = 1 << 31  # of the uniform draws that decide how many impulses there are


class Noise(Stage):
    """Adds complex noise: white and Gaussian, or impulsive if the scenario says so (v(t) of P1 eq. 2).

    With `snr_reference` "instance", the noise power is the batch's `noise_power` times the power of the faded instance,
    so that the SNR holds for each instance, as in P1's public code. With "average", it is `noise_power` times the power
    of the sent instance, so that the SNR holds on average over fading.
    """

    def __init__(self, setting: Setting):
        super().__init__(setting)
        self.impulses = Impulses(setting) if setting.scenario.impulsive_index is not None else None

    def __call__(self, signal: torch.Tensor, batch: Batch) -> torch.Tensor:
        """(batch, 2, length) → (batch, 2, length)."""
        amplitude = None if self.impulses is None else self.impulses(batch)
        return _with_noise(signal, batch.keys, batch.indices, relative_power(signal, batch), amplitude)


class Impulses:
    """Amplitudes of Middleton's class A noise, whose mean power is that of the Gaussian noise it replaces.

    Each sample has m impulses independently, m ~ Poisson(A), and its noise is Gaussian with power
    σ²(m/A + Γ)/(1 + Γ), where Γ is the ratio of Gaussian to impulsive power. (D. Middleton, IEEE Trans.
    Electromagn. Compat. 19, 1977; the density is that of A. Spaulding and D. Middleton, IEEE Trans. Commun. 25, 1977.)
    """

    def __init__(self, setting: Setting):
        self.length = setting.length
        highest = extremes(setting.scenario.impulsive_index)[1]
        self.most = math.ceil(highest + 10 * math.sqrt(highest) + 12)  # the probability of more is below a step

    def __call__(self, batch: Batch) -> torch.Tensor:
        """(batch, length) float32: factors of the amplitude of Gaussian noise."""
        index, ratio = batch.draws["impulsive_index"], batch.draws["impulsive_ratio"]
        counts = np.arange(self.most)
        terms = np.cumprod(np.where(counts, index[:, None] / np.maximum(counts, 1), np.exp(-index)[:, None]), axis=1)
        steps = torch.as_tensor(np.floor(np.cumsum(terms, axis=1) * _STEPS).astype(np.int64))
        steps = carried(steps, batch.keys.device)
        below = torch.full_like(batch.indices, _STEPS)
        drawn = integers(batch.keys, batch.indices, _IMPULSES, self.length, below)
        impulses = torch.searchsorted(steps, drawn.contiguous(), right=True).clamp(max=self.most - 1)
        powers = (counts / index[:, None] + ratio[:, None]) / (1 + ratio[:, None])
        powers = carried(torch.as_tensor(powers, dtype=torch.float32), batch.keys.device)
        return square_root(powers.gather(1, impulses))


class Scaling(Stage):
    """Scales the received signal as the scenario's `normalisation` says."""

    @classmethod
    def of(cls, setting: Setting) -> Stage | None:
        return None if setting.scenario.normalisation == "none" else cls(setting)

    def __call__(self, signal: torch.Tensor, batch: Batch) -> torch.Tensor:
        if self.setting.scenario.normalisation == "energy":
            return signal * (1 / (power(signal) * signal.shape[2]))[:, None, None]
        if self.setting.scenario.normalisation == "max":
            return signal * signal.square().sum(1).amax(1).rsqrt()[:, None, None]
        return _to_unit_power(signal)


class NoiseAndUnitPower(Stage):
    """Gaussian noise and unit power at once: the samples of `Noise` and `Scaling`, computed faster."""

    def __call__(self, signal: torch.Tensor, batch: Batch) -> torch.Tensor:
        received = torch.empty_like(signal, memory_format=torch.contiguous_format)
        self.into(received, torch.arange(len(signal), device=signal.device), signal, batch)
        return received

    def into(self, out: torch.Tensor, rows: torch.Tensor, signal: torch.Tensor, batch: Batch) -> None:
        receive = _kernel_receive if kernels.usable(signal) else _torch_receive
        receive(signal, batch.keys, batch.indices, relative_power(signal, batch), out, rows)


def joined(stages: Sequence[Stage]) -> list[Stage]:
    """The same stages; Gaussian noise and the scaling to unit power become one if nothing lies between them."""
    joint = list(stages)
    for index, (noise, scaling) in enumerate(itertools.pairwise(stages)):
        gaussian = isinstance(noise, Noise) and noise.impulses is None
        if gaussian and isinstance(scaling, Scaling) and scaling.setting.scenario.normalisation == "power":
            joint[index : index + 2] = [NoiseAndUnitPower(noise.setting)]
    return joint


def power(signal: torch.Tensor) -> torch.Tensor:
    """Mean power of (batch, 2, length), (batch,)."""
    i, q = signal.unbind(1)
    return halved_sum(i * i + q * q) / signal.shape[2]


def relative_power(signal: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Noise power relative to the power of the signal to which it is added, (batch,)."""
    if batch.sent_power is None:
        return batch.noise_power
    return batch.noise_power * batch.sent_power / power(signal)


def _with_noise(signal, keys, indices, noise_power, amplitude=None) -> torch.Tensor:
    noise = complex_normal(keys, indices, NOISE, signal.shape[2])
    if amplitude is not None:
        noise = noise * amplitude[:, None]
    return signal + noise * square_root(power(signal) * (noise_power * 0.5))[:, None, None]


def _to_unit_power(signal) -> torch.Tensor:
    return signal * (1 / square_root(power(signal)))[:, None, None]


def _torch_receive(signal, keys, indices, noise_power, out, rows) -> None:
    out[rows] = _to_unit_power(_with_noise(signal, keys, indices, noise_power))


def _kernel_receive(signal, keys, indices, noise_power, out, rows) -> None:
    batch, _, length = signal.shape
    inputs = [*int64_rows(keys, indices, rows), noise_power.contiguous(), signal.contiguous()]
    kernels.call("receive", NOISE, batch, length, *inputs, torch.empty(length), out)
