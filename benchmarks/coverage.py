"""How often the intervals of `amc_core.statistics` hold the truth, by simulation from known accuracies.

    python benchmarks/coverage.py > benchmarks/results/coverage.txt

Thirteen SNRs with 80 or 2,000 instances each (1,040 and 26,000 in all). Seeds lie around the true curve with a
standard deviation of 0, 1 or 3 points. Where they share their test instances, each instance has one difficulty for
all of them, so that equal seeds give equal counts; else every seed has its own. Quantities: the accuracy over all
SNRs, its drop to a second curve, and the SNR at which the first curve reaches 60 %. One seed is asked for the
accuracy of its own network, several for the mean of all trainings.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from amc_core.statistics import (
    Estimate,
    bonferroni,
    difference,
    first_reached,
    largest,
    of_network,
    of_training,
    snr_at,
)

QUANTITIES = ("accuracy", "drop", "SNR at 60 %")
SEEDS = (1, 2, 3, 5)
INSTANCES = (80, 2000)
SPREADS = (0.0, 0.01, 0.03)
DRAWS = 2000

_SNRS = np.arange(-6.0, 19, 2)
_CURVE = np.array([0.12, 0.18, 0.27, 0.37, 0.47, 0.57, 0.66, 0.74, 0.80, 0.84, 0.87, 0.89, 0.90])
_UNSEEN = 0.6 * _CURVE + 0.04
_TARGET = 0.6


def counts(
    rng: np.random.Generator, truth: np.ndarray, n: int, spread: float, seeds: int, shared: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Correct answers of simulated trainings, and the accuracies that they were drawn from: [DRAWS, seeds, SNRs]."""
    accuracies = np.clip(truth + rng.normal(0, spread, (DRAWS, seeds, 1)), 0, 1)
    if not shared:
        return rng.binomial(n, accuracies), accuracies
    order = np.argsort(accuracies, axis=1)
    ascending = np.take_along_axis(accuracies, order, 1)
    correct, right, before = np.empty(accuracies.shape, int), np.zeros_like(ascending[:, 0], int), 0.0
    for seed in range(seeds):  # the worse seed's right answers are the better one's, too
        more = np.clip((ascending[:, seed] - before) / np.maximum(1 - before, 1e-12), 0, 1)
        right, before = right + rng.binomial(n - right, more), ascending[:, seed]
        np.put_along_axis(correct, order[:, seed : seed + 1], right[:, None], 1)
    return correct, accuracies


def coverage(
    rng: np.random.Generator, n: int, spread: float, seeds: int, shared: bool, told: bool = True
) -> dict[str, float]:
    """Quantity → the share of intervals that hold the truth. told: are the intervals told whether seeds share?"""
    (own, accuracies), (unseen, there) = (counts(rng, curve, n, spread, seeds, shared) for curve in (_CURVE, _UNSEEN))
    total, means_shared = np.full(len(_SNRS), n), shared or not told
    if seeds == 1:
        truth, lower, curve = accuracies[:, 0].mean(-1), there[:, 0].mean(-1), accuracies[:, 0]
        estimate = of_network(own[:, 0], total)
    else:
        truth, lower, curve = _CURVE.mean(), _UNSEEN.mean(), _CURVE
        estimate = of_training(own, total, shared=means_shared)
    drop = difference(own, total, unseen, total, shared=means_shared)
    level = snr_at(_SNRS, own, total, _TARGET, shared=means_shared)
    truths = truth, truth - lower, first_reached(_SNRS, curve, _TARGET)
    found = zip(QUANTITIES, (estimate, drop, level), truths, strict=True)
    return {name: _covered(interval, value) for name, interval, value in found}


def coverage_of_largest(rng: np.random.Generator, n: int, comparisons: int) -> float:
    """The share of intervals of the largest of several differences, all of them 0 in truth, that hold 0."""
    shape = DRAWS, comparisons, 1, 1
    own, other = rng.binomial(n, 0.6, (2, *shape))
    found = difference(own, np.array([n]), other, np.array([n]), level=bonferroni(0.95, comparisons))
    return _covered(largest(found), 0.0)


def _covered(estimate: Estimate, truth: np.ndarray | float) -> float:
    low, high = (np.nan_to_num(bound, nan=np.inf) for bound in estimate[1:])  # NaN: beyond the last SNR
    return float(((low <= truth) & (truth <= high)).mean())


def rows() -> Iterator[tuple[str, str, int, float, list[float]]]:
    """Quantity, whether instances are shared, instances per SNR, spread, and the coverage for each of SEEDS."""
    rng = np.random.default_rng(0)
    for n, spread, (shared, told) in product(INSTANCES, SPREADS, ((True, True), (False, True), (False, False))):
        columns = [coverage(rng, n, spread, seeds, shared, told) for seeds in SEEDS]
        words = "shared" if shared else "own" if told else "own, taken as shared"
        for name in QUANTITIES:
            yield name, words, n, spread, [column[name] for column in columns]


def main() -> None:
    print(f"Coverage in % of intervals of nominal 95 %, {DRAWS:,} draws each (standard error 0.5 points)\n")
    heading = f"{'quantity':<14}{'instances':<22}{'tests':>7}{'sd of seeds':>13}"
    print(heading + "".join(f"{f'{seeds} seeds':>10}" for seeds in SEEDS))
    for name, words, n, spread, shares in sorted(rows(), key=lambda row: (QUANTITIES.index(row[0]), row[1:4])):
        cells = "".join(f"{100 * share:>10.1f}" for share in shares)
        print(f"{name:<14}{words:<22}{n * len(_SNRS):>7,}{100 * spread:>13.0f}{cells}")
    print()
    rng = np.random.default_rng(1)
    for comparisons in (3, 10):
        share = 100 * coverage_of_largest(rng, 1000, comparisons)
        print(f"largest of {comparisons} differences, Bonferroni: {share:.1f}")


if __name__ == "__main__":
    main()
