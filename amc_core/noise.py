"""White Gaussian noise, and the receiver's gain: v(t) of P1 eq. 2, and unit power."""

from __future__ import annotations

import torch

from amc_core import kernels
from amc_core.exactmath import halved_sum, square_root
from amc_core.randomness import NOISE, complex_normal, int64_rows
from amc_core.stages import Batch, Stage


class Noise(Stage):
    """Adds complex noise of the batch's `noise_power` times the instance's own power, and scales the sum to power 1."""

    def __call__(self, signal: torch.Tensor, batch: Batch) -> torch.Tensor:
        """(batch, 2, length) → (batch, 2, length)."""
        receive = _kernel_receive if kernels.usable(signal) else _torch_receive
        return receive(signal, batch.keys, batch.indices, batch.noise_power)


def _torch_receive(signal, keys, indices, noise_power) -> torch.Tensor:
    noise = complex_normal(keys, indices, NOISE, signal.shape[2])
    received = signal + noise * square_root(_power(signal) * (noise_power * 0.5))[:, None, None]
    return received * (1 / square_root(_power(received)))[:, None, None]


def _kernel_receive(signal, keys, indices, noise_power) -> torch.Tensor:
    batch, _, length = signal.shape
    rows, received = torch.arange(batch), torch.empty(batch, 2, length)
    inputs = [*int64_rows(keys, indices, rows), noise_power.contiguous(), signal.contiguous()]
    kernels.call("receive", NOISE, batch, length, *inputs, torch.empty(length), received)
    return received


def _power(signal: torch.Tensor) -> torch.Tensor:
    """Mean power of (batch, 2, length), (batch,)."""
    i, q = signal.unbind(1)
    return halved_sum(i * i + q * q) / signal.shape[2]
