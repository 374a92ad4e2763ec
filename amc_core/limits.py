"""What any classifier could reach on a test dataset: the accuracy of the likelihood classifier with everything known.

A linear modulation is received as Σ_k a_k g(t − k) in white noise. The matched filter's outputs are sufficient to tell
modulations apart; their noise-free part is the symbols seen through a matrix whose eigenvalues lie on the folded
spectrum S(f) = Σ_m |H·G|²(f + m) of pulse and channel. An experiment that sees every symbol by itself, at
γ = L·SNR·max S / mean S, can only be easier (the extra noise of the real one can be added to it). So the accuracy of
the likelihood classifier of K independent symbols at γ is an upper bound. CPM, OQPSK and analogue modulations
count as always recognised, which keeps it one. SNR is over the sampled band, so a matched filter sees Es/N0 = L·SNR.
Power is that of the ensemble; that the simulator scales noise by an instance's own (0.14 dB at L = 8) is left out.
What a receiver does after the noise (I/Q imbalance, DC offset, clipping, quantisation, scaling) can only lose
information, and phase noise that is known is undone: the bound without them is one with them. Where noise is relative
to the average over fading, γ = L·SNR·max S / mean |G|², |G|² the pulse alone. It is unknown for an amplifier that
compresses and for impulsive noise.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from amc_core.channels import Fading
from amc_core.coverage import eased, is_linear, why_unknown
from amc_core.distributions import extremes
from amc_core.errors import AmcError
from amc_core.identity import address_key, key
from amc_core.modulations import in_order, modulation, modulation_names
from amc_core.pulses import pulse_span, raised_cosine, root_raised_cosine
from amc_core.randomness import NOISE, SYMBOLS, complex_normal, integers
from amc_core.scenario import Mixture, Scenario
from amc_core.stages import Draws

_INSTANTS = 8  # at which the spectrum of a channel that fades is taken
_LEFT_OUT = 1 / 8  # symbols: how much of those before and after the instance K may leave out
_ELEMENTS = {"cpu": 1 << 18, "cuda": 1 << 26}  # symbols × points at a time that suit a core's cache, or a GPU
_BLOCK = 1 << 12  # symbols of each modulation between two looks at the standard error; at least _FEWEST instances
_FEWEST = 32
_HIGHEST = 1e8  # γ: no constellation's points are nearer to each other than its noise


@dataclass(frozen=True)
class Recognition:
    """An accuracy estimated by Monte Carlo, over equiprobable modulations.

    accuracy: the mean of the largest posterior, whose variance is the smaller, and its standard_error. hit_rate: how
    often the most likely modulation is the one sent, and hit_rate_error. instances: how many were drawn.
    """

    accuracy: float
    standard_error: float
    hit_rate: float
    hit_rate_error: float
    instances: int

    def among(self, linear: int, others: int) -> Recognition:
        """The same where `others` modulations, always recognised, stand beside the `linear` ones."""
        share = linear / (linear + others)
        accuracies = (1 - share + share * value for value in (self.accuracy, self.hit_rate))
        errors = (share * value for value in (self.standard_error, self.hit_rate_error))
        (accuracy, hit_rate), (standard_error, hit_rate_error) = accuracies, errors
        return Recognition(accuracy, standard_error, hit_rate, hit_rate_error, self.instances)


@dataclass(frozen=True)
class UpperBound:
    """What no classifier can exceed on a test dataset, per SNR.

    by_snr: one `Recognition` per SNR, of the whole set. recognised: the modulations that count as always recognised.
    """

    snrs_db: tuple[float, ...]
    by_snr: tuple[Recognition, ...]
    recognised: tuple[str, ...]

    @property
    def accuracy(self) -> np.ndarray:
        """(SNRs,) float64: the mean of the largest posterior."""
        return np.array([one.accuracy for one in self.by_snr])

    @property
    def standard_error(self) -> np.ndarray:
        """(SNRs,) float64, of `accuracy`."""
        return np.array([one.standard_error for one in self.by_snr])

    @property
    def hit_rate(self) -> np.ndarray:
        """(SNRs,) float64."""
        return np.array([one.hit_rate for one in self.by_snr])


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
        centred = [kind for kind in range(len(points)) if self.means[kind] < 1e-9]
        alone = [[kind] for kind in range(len(points)) if kind not in centred]
        self.groups = [self._group(members, points) for members in ([centred] if centred else []) + alone]

    def _group(self, members: list[int], points: list[np.ndarray]) -> tuple[list[int], torch.Tensor, torch.Tensor]:
        """The classes of a group, their points as (I, Q, |s|²) in columns, and the matrix that averages over each's."""
        together = np.concatenate([points[kind] for kind in members])
        columns = np.stack([together.real, together.imag, np.abs(together) ** 2])
        averages = np.zeros((len(together), len(members)))
        ends = np.cumsum([len(points[kind]) for kind in members])
        for column, (kind, end) in enumerate(zip(members, ends, strict=True)):
            averages[end - len(points[kind]) : end, column] = 1 / len(points[kind])
        return members, *(torch.as_tensor(x, device=self.device) for x in (columns, averages))

    def __call__(self, i: torch.Tensor, q: torch.Tensor, gamma: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """log p of every symbol alone.

        i, q: (symbols,) I and Q of z, unit mean power without the noise. gamma: (symbols,) Es/N0, linear. scale:
        (symbols, classes), what each class's points are multiplied by. All float64. Returns (symbols, classes) float64.
        """
        elements = _ELEMENTS["cuda"] if self.device.type == "cuda" else _ELEMENTS["cpu"] * torch.get_num_threads()
        rows = elements // max(len(averages) for _, _, averages in self.groups)
        pieces = zip(*(x.split(rows) for x in (i, q, gamma, scale)), strict=True)
        out = torch.empty(len(i), self.classes, dtype=torch.float64, device=self.device)
        for part, piece in zip(out.split(rows), pieces, strict=True):
            self._piece(*piece, out=part)
        return out

    def _piece(self, i, q, gamma, scale, out) -> None:
        # In float32 as long as its rounding, 1e-7 of the largest exponent, is small beside 1.
        dtype = torch.float32 if len(gamma) and gamma.max() < 1e4 else torch.float64
        for members, columns, averages in self.groups:
            size = gamma * scale[:, members[0]]
            rows = torch.stack([2 * size * i, 2 * size * q, -size * scale[:, members[0]]], 1)
            exponents = rows.to(dtype) @ columns.to(dtype)
            peak = exponents.amax(1, keepdim=True)
            # A class 80 below the best is ruled out by this symbol; smaller numbers are denormal, ten times as slow.
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
    accuracy, reached by drawing as many instances as it takes. phase_known: False where the phase of an instance may be
    any, the same for all of its symbols; its likelihood is then the mean over phases. Raises AmcError for a modulation
    that is not linear.
    """
    names = modulation_names(list(modulations))
    others = [name for name in names if not is_linear(name)]
    if others:
        raise AmcError(f"{', '.join(others)}: no likelihood is known here, it is of linear modulations only")
    likelihood = Likelihood(names, device)

    def reception(keys, indices):
        batch = len(indices)
        return _Reception(np.full(batch, symbols), np.ones((batch, 1)), np.ones((batch, len(names))))

    snr = 10 ** (es_n0_db / 10)
    phases = (0.0,) if phase_known else _phases(names, symbols, snr)
    return _estimate(likelihood, names, reception, snr, ("symbols", symbols), standard_error, phases)


def _phases(names: Sequence[str], symbols: int, snr: float) -> tuple[float, ...]:
    """Phases over which the mean is taken, up to where the constellations repeat, finer than symbols can tell apart."""
    turn = 2 * math.pi
    while all(_repeats(modulation(name).points, turn / 2) for name in names):
        turn /= 2
    count = math.ceil(turn / (1.2 / math.sqrt(2 * symbols * snr)))
    return tuple(turn * step / count for step in range(count))


def _repeats(points: np.ndarray, angle: float) -> bool:
    """Is a constellation the same when it is turned by an angle?"""
    distances = np.abs(points[:, None] * np.exp(1j * angle) - points)
    return bool((distances.min(1) < 1e-6).all())


def upper_bound(
    scenario: Scenario | Mixture,
    modulations: str | Sequence[str],
    snrs_db: Sequence[float],
    length: int,
    standard_error: float = 0.004,
    device: torch.device | str = "cpu",
    known: MutableMapping[str, Recognition] | None = None,
) -> UpperBound:
    """The upper bound on the accuracy of any classifier on a test dataset, by the one that knows all but the symbols.

    Parameters:
        scenario, modulations, snrs_db, length: Of the test dataset; SNRs in dB over the band, length in samples.
        standard_error: The Monte-Carlo error of the accuracy at each SNR, from 1e-4 to 0.1.
        known: The mapping in which results are looked up and kept; by default one that lives as long as the process.

    Raises:
        AmcError: No bound is known for the scenario (`coverage.why_unknown`), or standard_error is out of its range.
    """
    names = modulation_names(modulations)
    reason = why_unknown(scenario, names, length)
    if reason:
        raise AmcError(reason)
    if not 1e-4 <= standard_error <= 0.1:
        raise AmcError(f"standard_error {standard_error!r} is not allowed: it is from 0.0001 to 0.1")
    known = _KNOWN if known is None else known
    linear = tuple(name for name in in_order(names) if is_linear(name))
    others = tuple(name for name in names if name not in linear)
    wanted = standard_error * len(names) / len(linear)
    weights = scenario.weights if isinstance(scenario, Mixture) else (1.0,)
    by_snr = []
    for snr_db in snrs_db:
        parts = []
        for component in map(eased, scenario.components):
            address = key("limit", component, linear, float(snr_db), length, wanted)
            if address not in known:
                known[address] = _bound(component, linear, float(snr_db), length, wanted, device)
            parts.append(known[address])
        by_snr.append(_mean(parts, weights).among(len(linear), len(others)))
    return UpperBound(tuple(float(snr) for snr in snrs_db), tuple(by_snr), others)


_KNOWN: dict[str, Recognition] = {}


def _bound(
    scenario: Scenario, linear: tuple[str, ...], snr_db: float, length: int, standard_error: float, device
) -> Recognition:
    """The bound of linear modulations in one scenario at one SNR."""
    likelihood = Likelihood(linear, device)
    reception = functools.partial(_receive, scenario, length, likelihood.means.numpy())
    described = (scenario, length)  # without the SNR: at each SNR the same symbols, channels and noise
    return _estimate(likelihood, linear, reception, 10 ** (min(snr_db, 200) / 10), described, standard_error)


@dataclass(frozen=True)
class _Reception:
    """What instances are in the easier experiment.

    symbols: (batch,) K. gain: (batch, instants) γ / SNR, in equal parts of the instance. scale: (batch, classes) of the
    points, other than 1 where the received power of a constellation is not that of one of mean zero.
    """

    symbols: np.ndarray
    gain: np.ndarray
    scale: np.ndarray


def _receive(scenario: Scenario, length: int, means: np.ndarray, keys: torch.Tensor, indices: torch.Tensor):
    """The `_Reception` of a batch of addresses, at L·max S / mean S and K = ⌈N/L⌉ + those whose tails reach in."""
    draws = Draws(scenario, keys, indices)
    per_symbol = draws["upsampling"] * (1 + 1e-6 * draws["sample_rate_offset"])
    outside = _outside(scenario.pulse, extremes(scenario.rolloff)[0])
    delay = max(scenario.paths.path_delays, default=0.0) * scenario.sample_rate
    symbols = np.ceil(length / per_symbol - 1e-9) + outside + np.ceil(delay / per_symbol - 1e-9)
    peak, mean, direct = _spectrum(scenario, length, draws)
    if scenario.snr_reference == "average":
        _, mean, direct = _spectrum(replace(scenario, channel="awgn"), length, draws)
    # The mean of a constellation is a constant, of which the pulses' sum passes all; the rest is spread over S(f).
    power = np.outer(mean, 1 - means**2) + np.outer(direct, means**2)
    gain = peak * (per_symbol / mean)[:, None]
    return _Reception(symbols.astype(np.int64), gain, np.sqrt(mean[:, None] / power))


def _spectrum(scenario: Scenario, length: int, draws: Draws) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The folded spectrum S(f): its largest value at some instants, (batch, instants), its mean, and |H|² at 0 Hz."""
    rates = scenario.sample_rate / draws["upsampling"]  # symbols a second
    rolloff, delays = draws["rolloff"][:, None], np.asarray(scenario.paths.path_delays)
    points = 64 * (1 + math.ceil(delays.max(initial=0) * rates.max()))
    frequency = np.arange(-points // 2, points // 2) / points  # cycles a symbol
    folds = [(m + frequency, _pulse_power(scenario.pulse, m + frequency, rolloff)) for m in (-1, 0, 1)]
    if not len(delays):
        spectrum = sum(power for _, power in folds)
        return spectrum.max(1, keepdims=True), spectrum.mean(1), np.ones(len(rates))
    gains = Fading(scenario.paths, scenario.sample_rate, length).gains(draws.keys_of, draws.indices)
    middles = (np.arange(_INSTANTS) + 0.5) * length / _INSTANTS
    gains = gains[..., middles.astype(int)].double().numpy()
    paths = (gains[:, :, 0] + 1j * gains[:, :, 1]).transpose(0, 2, 1)  # (batch, instants, paths)
    spectrum = np.zeros((*paths.shape[:2], points))
    for cycles, power in folds:
        turns = delays[:, None] * rates[:, None, None] * cycles  # (batch, paths, frequencies)
        spectrum += np.abs(paths @ np.exp(-2j * math.pi * turns)) ** 2 * power[:, None]
    return spectrum.max(2), spectrum.mean((1, 2)), (np.abs(paths.sum(2)) ** 2).mean(1)


def _pulse_power(pulse: str, frequency: np.ndarray, rolloff: np.ndarray) -> np.ndarray:
    """|G(f)|² of a pulse, f in cycles a symbol; of a raised cosine the square of what it is of its root."""
    edge = np.clip((np.abs(frequency) - (1 - rolloff) / 2) / np.maximum(rolloff, 1e-12), 0, 1)
    amplitude = (1 + np.cos(math.pi * edge)) / 2
    return amplitude if pulse == "root_raised_cosine" else amplitude**2


@functools.cache
def _outside(pulse: str, rolloff: float) -> int:
    """How many symbols before and after an instance count as seen, because the tails of their pulses reach in.

    The fewest from 4, half on either side, for which the other rows of the Gram matrix sum to _LEFT_OUT.
    """
    span, per_symbol = pulse_span(pulse, rolloff), 8
    shape = raised_cosine if pulse == "raised_cosine" else root_raised_cosine
    symbols = np.arange(-span, 3 * span)  # the instance begins at 0 and lasts for two spans
    t = np.arange(2 * span * per_symbol)[:, None] / per_symbol - symbols
    matrix = np.where(np.abs(t) <= span, shape(t, rolloff), 0)
    before = np.abs(matrix.T @ matrix).sum(1)[:span][::-1] / per_symbol  # the nearest symbol first
    left_out = 2 * (before.sum() - np.cumsum(before))
    return 2 * max(2, 1 + int(np.argmax(left_out <= _LEFT_OUT)))


def _estimate(
    likelihood: Likelihood,
    names: Sequence[str],
    reception: Callable[[torch.Tensor, torch.Tensor], _Reception],
    snr: float,
    described: tuple,
    standard_error: float,
    phases: Sequence[float] = (0.0,),
) -> Recognition:
    """Draw instances of each modulation until the accuracy has the standard error wanted."""
    posteriors, hits = ([[] for _ in names] for _ in range(2))
    drawn, accuracy = 0, None
    while accuracy is None or accuracy[1] > standard_error:
        block = None
        for kind, name in enumerate(names):
            keys = torch.tensor([address_key("limit", described, name)])
            if block is None:
                largest = reception(keys, torch.zeros(1, dtype=torch.int64)).symbols.max()
                block = max(_FEWEST, _BLOCK // int(largest))
            indices = torch.arange(drawn, drawn + block)
            keys = keys.expand(block, 2)
            received, points = reception(keys, indices), modulation(name).points
            scores = _scores(likelihood, kind, points, received, snr, keys, indices, phases)
            posteriors[kind].append(torch.softmax(scores, 1).amax(1))
            hits[kind].append((scores.argmax(1) == kind).double())
        drawn += block
        accuracy = _stratified(posteriors)
    return Recognition(*accuracy, *_stratified(hits), drawn * len(names))


def _scores(
    likelihood: Likelihood, kind: int, points: np.ndarray, received: _Reception, snr: float, keys, indices, phases
):
    """Draw an instance of one modulation for each address: (batch, classes) sums of log p over its symbols.

    If there are several phases, each sum is the logarithm of the mean over them.
    """
    device = likelihood.device
    count = int(received.symbols.max())
    keys, indices = keys.to(device), indices.to(device)
    gain, scale = (torch.as_tensor(x, device=device) for x in (received.gain, received.scale))
    symbols = torch.as_tensor(received.symbols, device=device)[:, None]
    numbers = torch.arange(count, device=device).expand(len(indices), -1)
    taken = numbers < symbols
    instant = (numbers * gain.shape[1] // symbols).clamp(max=gain.shape[1] - 1)
    gamma = (gain * snr).clamp(max=_HIGHEST).gather(1, instant)
    labels = integers(keys, indices, SYMBOLS, count, torch.full_like(indices, len(points)))
    noise = complex_normal(keys, indices, NOISE, count).double() / (2 * gamma).sqrt()[:, None]
    i, q = (
        (torch.tensor(part, device=device)[labels] * scale[:, kind, None] + noise[:, axis])[taken]
        for axis, part in enumerate((points.real.copy(), points.imag.copy()))
    )
    instance = torch.arange(len(indices), device=device)[:, None].expand(-1, count)[taken]
    terms = torch.zeros(len(indices), count, likelihood.classes, dtype=torch.float64, device=device)
    sums = []
    for phase in phases:
        cos, sin = math.cos(phase), math.sin(phase)
        terms[taken] = likelihood(i * cos - q * sin, i * sin + q * cos, gamma[taken], scale[instance])
        sums.append(terms.sum(1))
    return torch.stack(sums).logsumexp(0) - math.log(len(phases))


def _stratified(values: list[list[torch.Tensor]]) -> tuple[float, float]:
    """Mean over modulations of their means, and its standard error."""
    strata = [torch.cat(of_one).double().cpu() for of_one in values]
    variance = sum((x.var() / len(x)).item() for x in strata) / len(strata) ** 2
    return sum(x.mean().item() for x in strata) / len(strata), math.sqrt(variance)


def _mean(parts: Sequence[Recognition], weights: Sequence[float]) -> Recognition:
    """The mean of independent accuracies with these weights, which sum to 1."""
    pairs = list(zip(parts, weights, strict=True))
    return Recognition(
        sum(w * one.accuracy for one, w in pairs),
        math.hypot(*(w * one.standard_error for one, w in pairs)),
        sum(w * one.hit_rate for one, w in pairs),
        math.hypot(*(w * one.hit_rate_error for one, w in pairs)),
        sum(one.instances for one in parts),
    )
