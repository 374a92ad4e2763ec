"""Confidence intervals, tests and calibration from counts.

Two questions have two intervals. *Of this network*: what would these weights reach on all instances of the setting?
*Of another training*: what would the same network reach on average, trained again from other seeds? Seeds share their
test instances, so repeating a training never adds instances.

Shapes: `correct` is [..., strata] for one network and [..., seeds, strata] for several, `n` is [..., strata]; there may
be any leading dimensions. A stratum is sampled separately: an SNR, or an SNR and a modulation. `weights` [strata] are
the shares of the strata in the accuracy; by default those of their instances.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import NamedTuple

import numpy as np

_STEPS = 16  # points between two SNRs at which the interval of a curve is computed
_FLOOR = 0.03  # gives a coverage of 94 to 98 % for the SNRs of two seeds


class Estimate(NamedTuple):
    """A value and its interval; NaN for a bound that the counts cannot give."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


# -- one network -------------------------------------------------------------------------------------


def wilson(correct: np.ndarray, n: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper bound of a proportion (Wilson 1927); NaN where n is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return _score_interval(np.asarray(correct) / n, np.asarray(n, float), normal(level))


def of_network(correct: np.ndarray, n: np.ndarray, weights: np.ndarray | None = None, level: float = 0.95) -> Estimate:
    """Accuracy of one network: [..., strata] counts → [...].

    It is Wilson's interval at the number of instances of a simple random sample with equal variance, and so Wilson's
    own interval for one stratum.
    """
    return _of_shares(np.asarray(correct) / n, np.asarray(n, float), weights, level)


def standard_error(correct: np.ndarray, n: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Standard error of the accuracy of one network, from its instances: [..., strata] counts → [...]."""
    correct, n = np.asarray(correct), np.asarray(n, float)
    return np.sqrt(_variance(correct / n, n, _shares(n, weights)))


# -- several trainings of one network ----------------------------------------------------------------


def of_training(
    correct: np.ndarray,
    n: np.ndarray,
    weights: np.ndarray | None = None,
    level: float = 0.95,
    shared: bool = True,
) -> Estimate:
    """Mean accuracy over seeds, and the interval of another training: [..., seeds, strata] counts → [...].

    ā ± √(t² s²/S + z² Σ w² p̄ (1 − p̄)/n): s² is the variance of the seeds' accuracies, t Student's quantile of S − 1
    degrees of freedom, and every instance counts once. shared: do the seeds have the same test instances? If not, s²
    includes the second term. The bounds of a single seed are NaN, since it says nothing about another training.
    """
    correct, n = np.asarray(correct), np.asarray(n, float)
    shares = _shares(n, weights)
    accuracies = ((correct / n[..., None, :]) * shares[..., None, :]).sum(-1)
    instances = _variance((correct / n[..., None, :]).mean(-2), n, shares) if shared else 0.0
    mean = accuracies.mean(-1)
    half = _half_width(accuracies, instances, level)
    return Estimate(mean, np.maximum(mean - half, 0), np.minimum(mean + half, 1))


def accuracy(correct: np.ndarray, n: np.ndarray, weights: np.ndarray | None = None, level: float = 0.95) -> Estimate:
    """Accuracy from [..., seeds, strata] counts: of another training if there are several seeds, else of the network.

    Callers pass every training once: runs of equal weights are one.
    """
    if np.shape(correct)[-2] > 1:
        return of_training(correct, n, weights, level)
    return of_network(np.asarray(correct)[..., 0, :], n, weights, level)


# -- differences -------------------------------------------------------------------------------------


def difference(
    correct: np.ndarray,
    n: np.ndarray,
    reference_correct: np.ndarray,
    reference_n: np.ndarray,
    weights: np.ndarray | None = None,
    reference_weights: np.ndarray | None = None,
    level: float = 0.95,
    paired: bool = True,
    shared: bool = True,
) -> Estimate:
    """Accuracy − reference accuracy, from [..., seeds, strata] counts of either side.

    paired: do seeds i of both sides form a pair? Then s² is the variance of the seeds' differences, otherwise that of
    each side (Welch 1947). Instances add the terms of both sides. With one seed on each side, it is the interval of
    these networks (Newcombe 1998, method 10); with one seed on one side only, the bounds are NaN. A side whose training
    is deterministic is given with `paired=False` and one seed, and adds only the term of its instances.
    """
    own, other = np.asarray(correct), np.asarray(reference_correct)
    n, reference_n = np.asarray(n, float), np.asarray(reference_n, float)
    seeds = own.shape[-2], other.shape[-2]
    if seeds == (1, 1):
        return subtracted(
            of_network(own[..., 0, :], n, weights, level),
            of_network(other[..., 0, :], reference_n, reference_weights, level),
        )
    sides, instances = [], 0.0
    for counts, total, chosen in ((own, n, weights), (other, reference_n, reference_weights)):
        shares = _shares(total, chosen)
        proportions = counts / total[..., None, :]
        sides.append((proportions * shares[..., None, :]).sum(-1))
        instances = instances + (_variance(proportions.mean(-2), total, shares) if shared else 0.0)
    value = sides[0].mean(-1) - sides[1].mean(-1)
    if paired:
        half = _half_width(sides[0] - sides[1], instances, level) if seeds[0] == seeds[1] else np.nan * value
    else:
        half = _welch_half_width(sides, instances, level)
    return Estimate(value, np.maximum(value - half, -1), np.minimum(value + half, 1))


def subtracted(own: Estimate, other: Estimate) -> Estimate:
    """The difference of two independent estimates, from their bounds (Newcombe 1998, method 10)."""
    value = own.value - other.value
    below = np.hypot(own.value - own.low, other.high - other.value)
    above = np.hypot(own.high - own.value, other.value - other.low)
    return Estimate(value, value - below, value + above)


def ratio(own: Estimate, other: Estimate) -> Estimate:
    """The ratio of two independent positive estimates, from their bounds on a logarithmic scale."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = subtracted(*(Estimate(*(np.log(np.maximum(part, 0)) for part in side)) for side in (own, other)))
    return Estimate(*(np.exp(part) for part in logs))


def paired_difference(only_own: np.ndarray, only_other: np.ndarray, n: np.ndarray, level: float = 0.95) -> Estimate:
    """Accuracy − reference accuracy of two networks on the same n instances (Bonett and Price 2012).

    only_own, only_other: numbers of instances that only one side got right.
    """
    only_own, only_other, n = (np.asarray(counts, float) for counts in (only_own, only_other, n))
    own, other = (only_own + 1) / (n + 2), (only_other + 1) / (n + 2)
    half = normal(level) * np.sqrt((own + other - (own - other) ** 2) / (n + 2))
    return Estimate((only_own - only_other) / n, np.maximum(own - other - half, -1), np.minimum(own - other + half, 1))


def mcnemar(only_own: np.ndarray, only_other: np.ndarray) -> np.ndarray:
    """p of the hypothesis that two networks are equally accurate (McNemar's exact test, two-sided).

    only_own, only_other: as in `paired_difference`. They may be means over several outcomes of an instance: the
    incomplete beta function continues the binomial distribution between whole numbers.
    """
    from scipy.special import betainc

    fewer, more = np.minimum(only_own, only_other), np.maximum(only_own, only_other)
    return np.minimum(1.0, 2 * betainc(more, np.add(fewer, 1), 0.5))


def paired_difference_of_trainings(
    only_own: np.ndarray, only_other: np.ndarray, n: np.ndarray, level: float = 0.95
) -> tuple[Estimate, float]:
    """As `paired_difference`, for another training of both networks: [seeds] counts → the estimate and p.

    d̄ ± √(t² s²/S + z² V): s² is the variance of the seeds' differences, V that of the mean difference on the n
    instances, each counted once. p is 1 minus the level at which one bound of the interval is 0.
    """
    only_own, only_other, n = (np.asarray(counts, float) for counts in (only_own, only_other, n))
    differences, once = (only_own - only_other) / n, n.mean()
    own, other = ((counts / n).mean() * once for counts in (only_own, only_other))
    shares = (own + 1) / (once + 2), (other + 1) / (once + 2)
    instances = (sum(shares) - (shares[0] - shares[1]) ** 2) / once
    value = differences.mean()

    def half(at: float) -> float:
        return float(_half_width(differences, np.array(instances), at))

    low, high = 0.0, 1.0  # of p
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if half(1 - middle) > abs(value) else (low, middle)
    return Estimate(value, max(value - half(level), -1.0), min(value + half(level), 1.0)), high


# -- many comparisons at once ------------------------------------------------------------------------


def holm(p: np.ndarray) -> np.ndarray:
    """p values [tests] corrected for the family-wise error rate (Holm 1979).

    NaN stands for a test that was not made, and is not counted.
    """
    p = np.asarray(p, float)
    corrected, made = np.full(p.shape, np.nan), np.flatnonzero(~np.isnan(p))
    order = made[np.argsort(p[made], kind="stable")]
    factors = len(order) - np.arange(len(order))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(factors * p[order]))
    return corrected


def bonferroni(level: float, comparisons: int) -> float:
    """The level of each of several intervals that hold simultaneously at `level`."""
    return 1 - (1 - level) / comparisons


def largest(estimates: Estimate) -> Estimate:
    """The largest along the last axis; the interval holds at the level at which the estimates hold simultaneously.

    Estimates should have the level `bonferroni(level, count)`. If every interval covers its value, the largest value
    lies between the largest lower and the largest upper bound.
    """
    return Estimate(*(part.max(-1) for part in estimates))


# -- SNR at a target accuracy ------------------------------------------------------------------------


def snr_at(
    snrs_db: np.ndarray,
    correct: np.ndarray,
    n: np.ndarray,
    target: float,
    level: float = 0.95,
    shared: bool = True,
) -> Estimate:
    """The SNR in dB at which a curve, linear between tested SNRs, first reaches `target`.

    snrs_db: [SNRs], ascending. correct: [..., seeds, SNRs]; n: [..., SNRs]. The interval holds the SNRs at which the
    curve's accuracy does not differ significantly from the target (Fieller). With several seeds, it is the interval of
    another training; with one seed, that of this network. The SNR is NaN if the target is never reached, and the lowest
    tested SNR if the target is reached there already.
    """
    snrs_db, n = np.asarray(snrs_db, float), np.asarray(n, float)
    tested = np.asarray(correct) / n[..., None, :]
    mean = tested.mean(-2)
    smoothed = (mean * n + 2) / (n + 4)  # avoids a variance of 0 if all or none were right
    fine, curves, squares = _between(snrs_db, tested, smoothed * (1 - smoothed) / n)
    seeds, mean = curves.shape[-2], curves.mean(-2)
    if seeds == 1:
        half = normal(level) * np.sqrt(squares)
    else:
        # The variance is too small where curves of seeds happen to cross: its floor is a part of that at tested SNRs.
        floor = _between(snrs_db, tested, tested.var(-2, ddof=1, keepdims=True))[2][..., 0, :]
        spread = np.maximum(curves.var(-2, ddof=1), _FLOOR * floor)
        half = _weighted_half_width(spread / seeds, seeds - 1, squares if shared else 0.0, level)
    value = first_reached(fine, mean, target)
    after = np.where(fine >= value[..., None], mean - half, np.minimum(mean - half, target - 1e-9))
    high = np.maximum(first_reached(fine, after, target), value)
    return Estimate(value, first_reached(fine, mean + half, target), high)


def first_reached(x: np.ndarray, y: np.ndarray, target: float) -> np.ndarray:
    """The x, [...], at which the lines through (x [points], y [..., points]) first reach target; NaN if they never do.

    x has to ascend.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    reached = y >= target
    right = reached.argmax(-1)
    left = np.maximum(right - 1, 0)
    below, above = (np.take_along_axis(y, index[..., None], -1)[..., 0] for index in (left, right))
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(right > 0, (target - below) / (above - below), 0.0)
    return np.where(reached.any(-1), x[left] + (x[right] - x[left]) * share, np.nan)


def _between(x: np.ndarray, curves: np.ndarray, variances: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points between tested SNRs, with the linearly interpolated values and their variances."""
    left = np.repeat(np.arange(len(x) - 1), _STEPS)
    share = np.tile(np.arange(_STEPS) / _STEPS, len(x) - 1)
    left, share = np.append(left, len(x) - 1), np.append(share, 0.0)
    right = np.minimum(left + 1, len(x) - 1)
    values = (1 - share) * curves[..., left] + share * curves[..., right]
    squares = (1 - share) ** 2 * variances[..., left] + share**2 * variances[..., right]
    return (1 - share) * x[left] + share * x[right], values, squares


# -- calibration -------------------------------------------------------------------------------------


def reliability(right: np.ndarray, wrong: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Confidence, accuracy and instances of every bin of a histogram of the largest probability: [..., bins] each.

    right, wrong: [..., bins] counts of equal bins from 0 to 1. The confidence of a bin is its middle. Accuracies of
    empty bins are NaN.
    """
    n = np.add(right, wrong)
    bins = n.shape[-1]
    with np.errstate(invalid="ignore"):
        return np.broadcast_to((np.arange(bins) + 0.5) / bins, n.shape), right / n, n


def calibration_error(right: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """Expected calibration error (Guo et al. 2017, Eq. 3), to half the width of a bin: [..., bins] counts → [...]."""
    confidence, accurate, n = reliability(right, wrong)
    return (np.nan_to_num(np.abs(accurate - confidence)) * n).sum(-1) / n.sum(-1)


# -- parts -------------------------------------------------------------------------------------------


def normal(level: float) -> float:
    """The normal distribution's quantile of a two-sided interval."""
    return NormalDist().inv_cdf((1 + level) / 2)


def student(freedom: np.ndarray, level: float) -> np.ndarray:
    """Student's quantile of a two-sided interval, at these degrees of freedom."""
    from scipy.special import stdtrit  # slow to import, and not needed for tables of single seeds

    return stdtrit(freedom, (1 + level) / 2)


def _shares(n: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    shares = np.asarray(n if weights is None else weights, float)
    return np.broadcast_to(shares / shares.sum(-1, keepdims=True), n.shape)


def _variance(proportions: np.ndarray, n: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Σ w² p (1 − p)/n, of proportions that two instances a stratum shrink towards their mean.

    Otherwise strata of a few instances, all of which happened to be right, would look certain. Dividing by
    1 − n/(n + 2)² corrects the bias of p (1 − p) among several strata.
    """
    mean = (proportions * shares).sum(-1, keepdims=True)
    drawn = (proportions * n + 2 * mean) / (n + 2)
    lost = (1 - 1 / n.shape[-1]) * n / (n + 2) ** 2
    return (shares**2 * drawn * (1 - drawn) / n / (1 - lost)).sum(-1)


def _of_shares(proportions: np.ndarray, n: np.ndarray, weights: np.ndarray | None, level: float) -> Estimate:
    shares = _shares(n, weights)
    value, variance = (proportions * shares).sum(-1), _variance(proportions, n, shares)
    with np.errstate(invalid="ignore", divide="ignore"):
        simple = 1 / (shares**2 / n).sum(-1)
        equivalent = np.where(variance > 0, value * (1 - value) / variance, simple)
    return Estimate(value, *_score_interval(value, equivalent, normal(level)))


def _score_interval(p: np.ndarray, n: np.ndarray, z: float) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval of a proportion p of n."""
    centre = (p * n + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * np.sqrt(n * p * (1 - p) + z**2 / 4)
    return centre - half, centre + half


def _half_width(accuracies: np.ndarray, instances: np.ndarray, level: float) -> np.ndarray:
    """√(t² s²/S + z² × variance from instances); [..., seeds] → [...], NaN for one seed."""
    seeds = accuracies.shape[-1]
    if seeds < 2:
        return np.full(accuracies.shape[:-1], np.nan)
    spread = accuracies.var(-1, ddof=1) / seeds
    return np.sqrt(student(seeds - 1, level) ** 2 * spread + normal(level) ** 2 * instances)


def _welch_half_width(sides: list[np.ndarray], instances: np.ndarray, level: float) -> np.ndarray:
    """As `_half_width`, for two sides with separate spreads; a side of one seed has none."""
    several = [side for side in sides if side.shape[-1] > 1]
    spreads = [side.var(-1, ddof=1) / side.shape[-1] for side in several]
    total = sum(spreads)
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = total**2 / sum(
            spread**2 / (side.shape[-1] - 1) for spread, side in zip(spreads, several, strict=True)
        )
    least = min(side.shape[-1] for side in several) - 1
    quantile = student(np.where(np.isfinite(freedom), freedom, least), level)
    return np.sqrt(quantile**2 * total + normal(level) ** 2 * instances)


def _weighted_half_width(spread: np.ndarray, freedom: int, instances: np.ndarray, level: float) -> np.ndarray:
    """Half width for a sum of two variances, which weight the quantiles (Cochran and Cox 1957), below `_half_width`."""
    total = spread + instances
    weighted = student(freedom, level) * spread + normal(level) * instances
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0, weighted / np.sqrt(total), 0.0)
