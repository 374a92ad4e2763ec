"""Accuracy of the likelihood classifier on independent symbols of linear modulations in white noise.

log p(z | m) = log (1/M) Σ_s exp(−γ|z − s|²) for a symbol z and the M points s of modulation m; the sum over symbols
decides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from amc_core.coverage import is_linear
from amc_core.errors import AmcError
from amc_core.identity import address_key
from amc_core.modulations import modulation, modulation_names
from amc_core.randomness import NOISE, SYMBOLS, complex_normal, integers

_ELEMENTS = {"cpu": 1 << 18, "cuda": 1 << 26}  # symbols × points at a time that suit a core's cache, or a GPU
_FIRST = 256  # instances of all modulations before the standard error is first computed
_FEWEST = 4  # instances of each modulation in a block
_BLOCK = 1 << 14  # symbols of each modulation in a block, at most
_LOOK = 16  # symbols before the posteriors are first computed; then always twice as many
_CERTAIN = 1e-9  # a probability that counts as 0
_HIGHEST = 1e8  # γ: no constellation's points are nearer to each other than its noise


@dataclass(frozen=True)
class Recognition:
    """A Monte Carlo estimate of accuracy over equiprobable modulations.

    accuracy: the mean of the largest posterior, with its standard_error. hit_rate: how often the most likely modulation
    is the one sent, with its hit_rate_error; it has the same mean and a larger variance. instances: number drawn.
    """

    accuracy: float
    standard_error: float
    hit_rate: float
    hit_rate_error: float
    instances: int

    def among(self, linear: int, others: int) -> Recognition:
        """The estimate over the `linear` modulations and `others` that are always recognised."""
        share = linear / (linear + others)
        accuracies = (1 - share + share * value for value in (self.accuracy, self.hit_rate))
        errors = (share * value for value in (self.standard_error, self.hit_rate_error))
        (accuracy, hit_rate), (standard_error, hit_rate_error) = accuracies, errors
        return Recognition(accuracy, standard_error, hit_rate, hit_rate_error, self.instances)


class Likelihood:
    """The likelihood of modulations, given independent symbols in white noise.

    log p(z | m) = log (1/M) Σ_s exp(−γ|z − s|²) over the M points s of m, up to a term that all m share.
    modulations: names of linear modulations.
    """

    def __init__(self, modulations: Sequence[str], device: torch.device | str = "cpu"):
        self.classes, self.device = len(modulations), torch.device(device)
        points = [modulation(name).points for name in modulations]
        self.means = torch.tensor([abs(p.mean()) for p in points], dtype=torch.float64)
        # Constellations of mean zero share one scale; each other has its own.
        centred = [index for index in range(len(points)) if self.means[index] < 1e-9]
        alone = [[index] for index in range(len(points)) if index not in centred]
        self.groups = [self._group(members, points) for members in ([centred] if centred else []) + alone]

    def _group(self, members: list[int], points: list[np.ndarray]) -> tuple[list[int], torch.Tensor, torch.Tensor]:
        """The classes of a group, their points as columns (I, Q, |s|²), and the matrix of means over each class."""
        together = np.concatenate([points[index] for index in members])
        columns = np.stack([together.real, together.imag, np.abs(together) ** 2])
        averages = np.zeros((len(together), len(members)))
        ends = np.cumsum([len(points[index]) for index in members])
        for column, (index, end) in enumerate(zip(members, ends, strict=True)):
            averages[end - len(points[index]) : end, column] = 1 / len(points[index])
        return members, *(torch.as_tensor(x, device=self.device) for x in (columns, averages))

    def __call__(self, i: torch.Tensor, q: torch.Tensor, gamma: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """log p of every single symbol, (symbols, classes) float64.

        i, q: (symbols,) I and Q of z, unit mean power without the noise. gamma: (symbols,) Es/N0, linear. scale:
        (symbols, classes), factors of each class's points. All are float64.
        """
        elements = _ELEMENTS["cuda"] if self.device.type == "cuda" else _ELEMENTS["cpu"] * torch.get_num_threads()
        rows = elements // max(len(averages) for _, _, averages in self.groups)
        pieces = zip(*(x.split(rows) for x in (i, q, gamma, scale)), strict=True)
        out = torch.empty(len(i), self.classes, dtype=torch.float64, device=self.device)
        for part, piece in zip(out.split(rows), pieces, strict=True):
            self._piece(*piece, out=part)
        return out

    def _piece(self, i, q, gamma, scale, out) -> None:
        # float32 suffices if its rounding, 1e-7 of the largest exponent, is small compared with 1.
        dtype = torch.float32 if len(gamma) and gamma.max() < 1e4 else torch.float64
        for members, columns, averages in self.groups:
            size = gamma * scale[:, members[0]]
            rows = torch.stack([2 * size * i, 2 * size * q, -size * scale[:, members[0]]], 1)
            exponents = rows.to(dtype) @ columns.to(dtype)
            peak = exponents.amax(1, keepdim=True)
            # A class 80 below the best is ruled out by this symbol; smaller numbers would be denormal and slow.
            likelihood = exponents.sub_(peak).clamp_(min=-80).exp_() @ averages.to(dtype)
            out[:, members] = (likelihood.log_() + peak).to(out.dtype)


def recognition(
    modulations: Sequence[str],
    symbols: int,
    es_n0_db: float,
    standard_error: float = 0.004,
    device: str = "cpu",
    phase_known: bool = True,
) -> Recognition:
    """The accuracy A(γ, K) of the likelihood classifier on K independent symbols in white noise.

    modulations: names of linear modulations, equally probable. symbols: K. es_n0_db: γ in dB. standard_error: of the
    accuracy; instances are drawn until it is reached. phase_known: if False, the phase of an instance is unknown and
    the same for all of its symbols, and the likelihood is the mean over phases. Raises AmcError for a modulation that
    is not linear.
    """
    names = modulation_names(list(modulations))
    others = [name for name in names if not is_linear(name)]
    if others:
        raise AmcError(f"likelihood classifies linear modulations only, not {', '.join(others)}")
    likelihood = Likelihood(names, device)

    def reception(keys, indices):
        batch = len(indices)
        return Reception(np.full(batch, symbols), np.ones((batch, 1)), np.ones((batch, len(names))))

    snr = 10 ** (es_n0_db / 10)
    phases = (0.0,) if phase_known else _phases(names, symbols, snr)
    return estimate(likelihood, names, reception, snr, ("symbols", symbols), standard_error, phases)


def _phases(names: Sequence[str], symbols: int, snr: float) -> tuple[float, ...]:
    """Phases over which the likelihood is averaged: one period of the constellations, in steps that symbols resolve."""
    turn = 2 * math.pi
    while all(_repeats(modulation(name).points, turn / 2) for name in names):
        turn /= 2
    count = math.ceil(turn / (1.2 / math.sqrt(2 * symbols * snr)))
    return tuple(turn * step / count for step in range(count))


def _repeats(points: np.ndarray, angle: float) -> bool:
    """Does a constellation stay the same if it is turned by an angle in rad?"""
    distances = np.abs(points[:, None] * np.exp(1j * angle) - points)
    return bool((distances.min(1) < 1e-6).all())


@dataclass(frozen=True)
class Reception:
    """A batch of instances in the experiment of independent symbols.

    symbols: (batch,) K. gain: (batch, instants) γ / SNR, in equal parts of the instance. scale: (batch, classes),
    factors of the points; it is not 1 if a constellation's mean changes its received power.
    """

    symbols: np.ndarray
    gain: np.ndarray
    scale: np.ndarray


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute in one thread: the pieces are so small that threads on shared cores would mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@_one_thread()
def estimate(
    likelihood: Likelihood,
    names: Sequence[str],
    reception: Callable[[torch.Tensor, torch.Tensor], Reception],
    snr: float,
    described: tuple,
    standard_error: float,
    phases: Sequence[float] = (0.0,),
) -> Recognition:
    """Draw instances of each modulation until the accuracy has the given standard error."""
    keys_of = [torch.tensor([address_key("limit", described, name)]) for name in names]
    symbols = int(reception(keys_of[0], torch.zeros(1, dtype=torch.int64)).symbols.max())
    posteriors, hits = ([[] for _ in names] for _ in range(2))
    drawn, block, accuracy = 0, max(_FEWEST, math.ceil(_FIRST / len(names))), (0.0, math.inf)
    while accuracy[1] > standard_error:
        for sent, (name, key_of) in enumerate(zip(names, keys_of, strict=True)):
            indices = torch.arange(drawn, drawn + block)
            keys = key_of.expand(block, 2)
            received, points = reception(keys, indices), modulation(name).points
            scores = _scores(likelihood, sent, points, received, snr, keys, indices, phases)
            posteriors[sent].append(torch.softmax(scores, 1).amax(1))
            hits[sent].append((scores.argmax(1) == sent).double())
        drawn += block
        accuracy = _stratified(posteriors)
        missing = drawn * ((accuracy[1] / standard_error) ** 2 - 1)
        block = math.ceil(min(max(missing, _FEWEST), max(_FEWEST, _BLOCK // symbols)))
    return Recognition(*accuracy, *_stratified(hits), drawn * len(names))


def _scores(
    likelihood: Likelihood, sent: int, points: np.ndarray, received: Reception, snr: float, keys, indices, phases
):
    """Draw an instance of the modulation `sent` for each address: (batch, classes) sums of log p over its symbols.

    For several phases, it is the logarithm of the mean over them. The sum of an instance ends when the posterior of one
    class exceeds 1 − _CERTAIN: posteriors are a martingale, so later symbols would change the mean of the largest by
    no more.
    """
    device = likelihood.device
    count = int(received.symbols.max())
    keys, indices = keys.to(device), indices.to(device)
    gain, scale = (torch.as_tensor(x, device=device) for x in (received.gain, received.scale))
    symbols = torch.as_tensor(received.symbols, device=device)[:, None]
    numbers = torch.arange(count, device=device).expand(len(indices), -1)
    instant = (numbers * gain.shape[1] // symbols).clamp(max=gain.shape[1] - 1)
    gamma = (gain * snr).clamp(max=_HIGHEST).gather(1, instant)
    labels = integers(keys, indices, SYMBOLS, count, torch.full_like(indices, len(points)))
    noise = complex_normal(keys, indices, NOISE, count).double() / (2 * gamma).sqrt()[:, None]
    i, q = (
        torch.tensor(part, device=device)[labels] * scale[:, sent, None] + noise[:, axis]
        for axis, part in enumerate((points.real.copy(), points.imag.copy()))
    )
    sums = torch.zeros(len(phases), len(indices), likelihood.classes, dtype=torch.float64, device=device)
    scores, first, last = sums[0], 0, _LOOK
    undecided = torch.arange(len(indices), device=device)
    while first < count and len(undecided):
        row, column = torch.nonzero(numbers[undecided, first:last] < symbols[undecided], as_tuple=True)
        row, column = undecided[row], column + first
        for of_one, phase in zip(sums, phases, strict=True):
            cos, sin = math.cos(phase), math.sin(phase)
            x, y = i[row, column], q[row, column]
            terms = likelihood(x * cos - y * sin, x * sin + y * cos, gamma[row, column], scale[row])
            of_one.index_add_(0, row, terms)
        scores = sums.logsumexp(0) - math.log(len(phases))
        undecided = undecided[torch.softmax(scores[undecided], 1).amax(1) < 1 - _CERTAIN]
        first, last = last, 2 * last
    return scores


def _stratified(values: list[list[torch.Tensor]]) -> tuple[float, float]:
    """Mean over modulations of their means, and its standard error."""
    strata = [torch.cat(of_one).double().cpu() for of_one in values]
    variance = sum((x.var() / len(x)).item() for x in strata) / len(strata) ** 2
    return sum(x.mean().item() for x in strata) / len(strata), math.sqrt(variance)
