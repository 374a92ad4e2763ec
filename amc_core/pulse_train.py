"""Pulse trains at any samples per symbol and any path delay.

Every signal here is a train x(t) = Σ_k a_k g(t − k): symbols and a raised cosine, CPM symbols and a phase
response, audio knots and an interpolation kernel. A path's delay goes into the pulse, g(t − τ), so no
fractional-delay filter is needed. Two evaluators share one interface: `FixedTrain`, if all instances have the
same pulse and sampling times, and `VariedTrain`, if each has its own.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch

from amc_core import kernels
from amc_core.device import carried
from amc_core.exactmath import grouped_product, polynomial

Pulse = Callable[[np.ndarray], np.ndarray]  # g(t), t in symbols, float64

_BLOCK = 32  # samples; large enough for an efficient matrix product, small enough to waste little of it
_DEGREE = 8  # of the polynomials between symbols; at roll-off 0.5 they are off by 10⁻⁵


@dataclass(frozen=True)
class Sampling:
    """Sampling times of a batch, in symbols: sample n of path i is taken at start_i + n·step. Float64, on the CPU.

    start: (batch, paths); step: (batch,); rolloff: (batch,).
    """

    start: np.ndarray
    step: np.ndarray
    rolloff: np.ndarray


class FixedTrain:
    """Evaluates Σ_k a_k g(n/L − τ_i − k) for samples n = 0 … length − 1 and every path delay τ_i.

    L = p/q makes the train periodic in blocks of p samples and q symbols, so one matrix product a path evaluates all
    blocks at once. `first` is the index k of the first symbol that is used (negative: before the instance), `count` the
    number of symbols used.
    """

    def __init__(
        self,
        pulse: Pulse,
        support: tuple[int, int],
        samples_per_symbol: Fraction,
        delays: np.ndarray,
        length: int,
        device,
    ):
        """pulse: constant outside `support`, whole symbols [from, to]; delays: (paths,) in symbols."""
        p, q = samples_per_symbol.numerator, samples_per_symbol.denominator
        repeats = max(1, _BLOCK // p)
        # A ratio of large numbers does not repeat within the instance, which is then one block.
        self.block, self.step = (p * repeats, q * repeats) if p < length else (length, 1)
        self.first = -(support[1] + math.ceil(delays.max()))
        last = math.floor((self.block - 1) / samples_per_symbol - delays.min()) - support[0]
        n, k = np.arange(self.block), np.arange(self.first, last + 1)
        t = n / float(samples_per_symbol) - delays[:, None, None] - k[:, None]
        self.matrix = torch.as_tensor(pulse(t), dtype=torch.float32, device=device)  # (paths, window, block)
        self.window, self.paths, self.length = len(k), len(delays), length
        self.blocks = -(-length // self.block)
        self.count = (self.blocks - 1) * self.step + self.window

    def __call__(self, symbols: torch.Tensor, times: tuple | None = None, older: torch.Tensor | None = None):
        """(batch, count) float32 symbols → (batch, paths, length) float32.

        older: (batch, count) float32, the sum that the symbols before each one add to all later samples.
        """
        windows = symbols.unfold(1, self.window, self.step).reshape(-1, self.window)
        samples = torch.empty(self.paths, len(windows), self.block, device=windows.device)
        for path, matrix in enumerate(self.matrix):
            grouped_product(windows, matrix, self.blocks, out=samples[path])
        if older is not None:
            samples += older[:, :: self.step][:, : self.blocks].reshape(-1, 1)
        return samples.view(self.paths, len(symbols), -1)[:, :, : self.length].transpose(0, 1)


class VariedTrain:
    """Evaluates Σ_k a_k g(start_i + n·step − k) with a start, step and roll-off for each instance.

    Between two symbols the train is a polynomial (Farrow's structure) whose coefficients are sums over symbols;
    those of a roll-off are interpolated between Chebyshev nodes of its range.
    """

    def __init__(
        self,
        pulses: Callable[[float], Pulse],
        support: tuple[int, int],
        rolloffs: tuple[float, float],
        starts: tuple[float, float],
        steps: tuple[float, float],
        length: int,
        device,
    ):
        """pulses: roll-off → pulse; rolloffs, starts, steps: smallest and largest of each; support as `FixedTrain`."""
        low, high = support
        # A start that was computed in another order may be an ulp to either side.
        self.first = math.floor(starts[0] - 1e-9) - high + 1
        last = math.floor(starts[1] + (length - 1) * steps[1] + 1e-9) - low
        self.high, self.taps, self.length, self.device = high, high - low, length, device
        self.count = last - self.first + 1
        nodes = 1 if rolloffs[0] == rolloffs[1] else math.ceil(math.pi * high * (rolloffs[1] - rolloffs[0]) / 2) + 10
        angle = math.pi * (np.arange(nodes) + 0.5) / nodes
        self.rolloffs = np.mean(rolloffs) + np.cos(angle) * (rolloffs[1] - rolloffs[0]) / 2
        self.weights = np.sin(angle) * (-1.0) ** np.arange(nodes)  # barycentric, of these nodes
        x = np.cos(math.pi * (np.arange(_DEGREE + 1) + 0.5) / (_DEGREE + 1))
        powers = np.linalg.inv(np.vander(x, increasing=True))  # values at x → coefficients
        pieces = high - 1 - np.arange(self.taps)[:, None] + (x + 1) / 2  # (taps, degree + 1) times in the pulse
        coefficients = [powers @ pulses(rolloff)(pieces).T for rolloff in self.rolloffs]  # (degree + 1, taps) each
        self.coefficients = torch.as_tensor(np.stack(coefficients), dtype=torch.float32, device=device).flatten(1)
        self.before = self.high - 1 + self.first  # the whole part of the times in the first piece

    def at(self, sampling: Sampling) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The argument `times` of `__call__` for a sampling: weights of the nodes, starts, steps."""
        start, step = (carried(torch.as_tensor(x), self.device) for x in (sampling.start, sampling.step))
        return self._node_weights(sampling.rolloff), start, step

    def __call__(self, symbols: torch.Tensor, times: tuple, older: torch.Tensor | None = None):
        """As `FixedTrain`, at the `times` from `at`."""
        evaluate = self._kernel_evaluate if kernels.usable(symbols) else self._torch_evaluate
        weights, start, step = times
        return evaluate(weights, symbols, start, step, older)

    def _node_weights(self, rolloff: np.ndarray) -> torch.Tensor:
        """(batch, nodes): weights of the nodes' coefficients in those of each instance's roll-off."""
        distance = rolloff[:, None] - self.rolloffs
        exact = np.abs(distance) < 1e-12
        terms = np.where(exact.any(1, keepdims=True), exact, self.weights / np.where(exact, 1, distance))
        return carried(torch.as_tensor(terms / terms.sum(1, keepdims=True), dtype=torch.float32), self.device)

    def _torch_evaluate(self, weights, symbols, start, step, older) -> torch.Tensor:
        # The kernel's order of additions; a matrix product as small as the first rounds each row in its own way.
        batch, pieces = len(symbols), self.count - self.taps + 1
        coefficients = _sum_in_turn(weights[:, node : node + 1] * row for node, row in enumerate(self.coefficients))
        coefficients = coefficients.view(batch, _DEGREE + 1, self.taps)
        if symbols.device.type == "cpu":
            windows = (symbols[:, None, tap : tap + pieces] for tap in range(self.taps))
            values = _sum_in_turn(coefficients[:, :, tap, None] * window for tap, window in enumerate(windows))
        else:
            values = torch.bmm(coefficients, symbols.unfold(1, self.taps, 1).transpose(1, 2))
        if older is not None:
            values[:, 0] += older[:, :pieces]
        times = start[:, :, None] + step[:, None, None] * torch.arange(
            self.length, device=self.device, dtype=torch.float64
        )
        whole = times.floor().clamp(self.before, self.before + pieces - 1)  # a time of the first or last, rounded
        x = ((times - whole) * 2 - 1).to(torch.float32).flatten(1)
        index = (whole.to(torch.int64) - self.before).flatten(1)
        gathered = [values[:, power].gather(1, index) for power in range(_DEGREE + 1)]
        return polynomial(x, gathered).view(batch, -1, self.length)

    def _kernel_evaluate(self, weights, symbols, start, step, older) -> torch.Tensor:
        (batch, paths), pieces = start.shape, self.count - self.taps + 1
        older = None if older is None else older[:, :pieces].contiguous()
        out = torch.empty(batch, paths, self.length)
        scratch = torch.empty((_DEGREE + 2) * (self.taps + -(-pieces // 16) * 16))
        sizes = batch, paths, self.length, len(self.rolloffs), self.taps, pieces, self.before
        inputs = [
            weights.contiguous(),
            self.coefficients,
            symbols.contiguous(),
            older,
            start.contiguous(),
            step.contiguous(),
        ]
        kernels.call("varied_train", *sizes, *inputs, scratch, out)
        return out


def _sum_in_turn(terms: Iterable[torch.Tensor]) -> torch.Tensor:
    return functools.reduce(torch.add, terms)
