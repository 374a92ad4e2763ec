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
        received = torch.empty_like(signal, memory_format=torch.contiguous_format)
        self.into(received, torch.arange(len(signal), device=signal.device), signal, batch)
        return received

    def into(self, out: torch.Tensor, rows: torch.Tensor, signal: torch.Tensor, batch: Batch) -> None:
        receive = _kernel_receive if kernels.usable(signal) else _torch_receive
        receive(signal, batch.keys, batch.indices, batch.noise_power, out, rows)


def _torch_receive(signal, keys, indices, noise_power, out, rows) -> None:
    noise = complex_normal(keys, indices, NOISE, signal.shape[2])
    received = signal + noise * square_root(_power(signal) * (noise_power * 0.5))[:, None, None]
    out[rows] = received * (1 / square_root(_power(received)))[:, None, None]


def _kernel_receive(signal, keys, indices, noise_power, out, rows) -> None:
    batch, _, length = signal.shape
    inputs = [*int64_rows(keys, indices, rows), noise_power.contiguous(), signal.contiguous()]
    kernels.call("receive", NOISE, batch, length, *inputs, torch.empty(length), out)


def _power(signal: torch.Tensor) -> torch.Tensor:
    """Mean power of (batch, 2, length), (batch,)."""
    i, q = signal.unbind(1)
    return halved_sum(i * i + q * q) / signal.shape[2]
