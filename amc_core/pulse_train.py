"""Pulse trains at any samples per symbol and any path delay.

Every signal here is a train x(t) = Σ_k a_k g(t − k): symbols and a raised cosine, CPM symbols and a phase
response, audio knots and an interpolation kernel. A path's delay goes into the pulse, g(t − τ), so no
fractional-delay filter is needed, and L = p/q makes the train periodic in blocks of p samples and q symbols:
one matrix product evaluates all blocks and all paths at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch

BLOCK = 64  # samples; large enough for an efficient matrix product, small enough to waste little of it


@dataclass(frozen=True)
class PulseTrain:
    """Evaluates Σ_k a_k g(n/L − τ_i − k) for samples n = 0 … length − 1 and every path delay τ_i.

    `first` is the number k of the first symbol taken (negative: before the window), `count` how many are taken.
    """

    matrix: torch.Tensor  # (window, paths·block) float32
    window: int  # symbols that a block depends on
    step: int  # symbols between blocks
    blocks: int
    block: int  # samples
    paths: int
    length: int
    first: int

    @property
    def count(self) -> int:
        return (self.blocks - 1) * self.step + self.window

    def windows(self, symbols: torch.Tensor) -> torch.Tensor:
        """(batch, count) → (batch, blocks, window), the symbols that each block depends on."""
        return symbols.unfold(1, self.window, self.step)

    def __call__(self, symbols: torch.Tensor, before: torch.Tensor | None = None) -> torch.Tensor:
        """(batch, count) float32 symbols → (batch, paths, length) float32.

        before: (batch, blocks) float32, what symbols older than each block's window add to it.
        """
        batch = len(symbols)
        samples = self.windows(symbols).reshape(-1, self.window) @ self.matrix
        if before is not None:
            samples = samples + before.reshape(-1, 1)
        samples = samples.view(batch, self.blocks, self.paths, self.block).transpose(1, 2)
        return samples.reshape(batch, self.paths, -1)[:, :, : self.length]


def pulse_train(
    pulse: Callable[[np.ndarray], np.ndarray],
    support: tuple[int, int],
    samples_per_symbol: Fraction,
    delays: np.ndarray,
    length: int,
    device: torch.device | str = "cpu",
) -> PulseTrain:
    """The evaluator of one pulse at one samples-per-symbol ratio.

    pulse: g(t), t in symbols, float64 arrays. support: whole symbols [from, to] outside which g is constant
    (zero, or ½ for the phase responses). delays: (paths,) path delays in symbols. length: samples.
    """
    p, q = samples_per_symbol.numerator, samples_per_symbol.denominator
    repeats = max(1, BLOCK // p)
    block, step = (p * repeats, q * repeats) if p < length else (length, 0)
    first = -(support[1] + math.ceil(max(delays)))
    last = math.floor((block - 1) / samples_per_symbol - min(delays)) - support[0]
    n, k = np.arange(block), np.arange(first, last + 1)
    t = (n / float(samples_per_symbol) - delays[:, None]).reshape(1, -1) - k[:, None]
    matrix = torch.as_tensor(pulse(t), dtype=torch.float32, device=device)
    return PulseTrain(matrix, len(k), step, -(-length // block), block, len(delays), length, first)
