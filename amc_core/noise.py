"""White Gaussian noise, and the receiver's gain: v(t) of P1 eq. 2, and unit power."""

from __future__ import annotations

import torch

from amc_core import kernels
from amc_core.exactmath import halved_sum, square_root
from amc_core.randomness import NOISE, complex_normal, int64_rows
from amc_core.stages import Batch, Stage


class Noise(Stage):
    """Adds complex noise, and scales the sum as the scenario's `normalisation` says.

    The noise has the batch's `noise_power` times the instance's own power, as faded, so that the SNR holds for each
    instance (as in P1's public code); or times the power that it was sent with, so that it holds on average over
    fading (`snr_reference`).
    """

    def __call__(self, signal: torch.Tensor, batch: Batch) -> torch.Tensor:
        """(batch, 2, length) → (batch, 2, length)."""
        received = torch.empty_like(signal, memory_format=torch.contiguous_format)
        self.into(received, torch.arange(len(signal), device=signal.device), signal, batch)
        return received

    def into(self, out: torch.Tensor, rows: torch.Tensor, signal: torch.Tensor, batch: Batch) -> None:
        noise_power, normalisation = batch.noise_power, self.setting.scenario.normalisation
        if batch.sent_power is not None:
            noise_power = noise_power * batch.sent_power / power(signal)
        if normalisation == "power":
            receive = _kernel_receive if kernels.usable(signal) else _torch_receive
            receive(signal, batch.keys, batch.indices, noise_power, out, rows)
            return
        received = _with_noise(signal, batch.keys, batch.indices, noise_power)
        if normalisation == "energy":
            received = received * (1 / (power(received) * signal.shape[2]))[:, None, None]
        out[rows] = received


def power(signal: torch.Tensor) -> torch.Tensor:
    """Mean power of (batch, 2, length), (batch,)."""
    i, q = signal.unbind(1)
    return halved_sum(i * i + q * q) / signal.shape[2]


def _with_noise(signal, keys, indices, noise_power) -> torch.Tensor:
    noise = complex_normal(keys, indices, NOISE, signal.shape[2])
    return signal + noise * square_root(power(signal) * (noise_power * 0.5))[:, None, None]


def _torch_receive(signal, keys, indices, noise_power, out, rows) -> None:
    received = _with_noise(signal, keys, indices, noise_power)
    out[rows] = received * (1 / square_root(power(received)))[:, None, None]


def _kernel_receive(signal, keys, indices, noise_power, out, rows) -> None:
    batch, _, length = signal.shape
    inputs = [*int64_rows(keys, indices, rows), noise_power.contiguous(), signal.contiguous()]
    kernels.call("receive", NOISE, batch, length, *inputs, torch.empty(length), out)
