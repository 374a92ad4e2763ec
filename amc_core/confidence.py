"""Calibration of a classifier's largest probability, and how well a threshold on it separates known from unknown.

Histograms count instances by their largest probability. As cells keep them, they have twenty equal bins from 0 to 1,
the last of which is cut ever nearer to 1: networks are often so sure that nearly all instances are in it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from amc_core.statistics import calibration_error, normal, reliability

__all__ = ["Roc", "above", "auc_interval", "calibration_error", "equal_bins", "reliability", "roc"]

EQUAL_BINS = 20  # from 0 to 1
CUTS = 30  # of the last one, at 1 − 0.05/4, 1 − 0.05/4², …, 1 − 0.05/4³⁰


class Roc(NamedTuple):
    """The receiver operating characteristic of a threshold on the largest probability.

    false_positive_rate: share of the unknown instances above each threshold; true_positive_rate: share of the known
    ones; both (bins + 1,), from 0 to 1. area: area under the curve, which is the probability that a known instance has
    a larger value than an unknown one, ties counted half; low, high: its 95 % interval, see `auc_interval`. ties: share
    of the pairs of a known and an unknown instance that are in one bin, which pull the area to 0.5. All values are NaN
    if there is no known or no unknown instance.
    """

    false_positive_rate: np.ndarray
    true_positive_rate: np.ndarray
    area: float
    low: float
    high: float
    ties: float


def equal_bins(counts: np.ndarray) -> np.ndarray:
    """Counts in the equal bins alone: [..., 50] → [..., 20]."""
    last = counts[..., EQUAL_BINS - 1 :].sum(-1, keepdims=True)
    return np.concatenate([counts[..., : EQUAL_BINS - 1], last], axis=-1)


def roc(known: np.ndarray, unknown: np.ndarray, instances: tuple[float, float] | None = None) -> Roc:
    """How well a threshold on the largest probability separates known from unknown instances: (bins,) counts each.

    instances: numbers of different known and unknown instances, if several classifiers or tests had the same ones.
    """
    sides = []
    for counts in (unknown, known):
        counts = np.asarray(counts, float)
        with np.errstate(invalid="ignore"):
            sides.append(np.append(0.0, counts[::-1].cumsum()) / counts.sum())
    false, true = sides
    area = float(np.trapezoid(true, false))
    ties = float((np.diff(true) * np.diff(false)).sum())
    return Roc(false, true, area, *auc_interval(area, *(instances or (np.sum(known), np.sum(unknown)))), ties)


def auc_interval(area: float, known: float, unknown: float, level: float = 0.95) -> tuple[float, float]:
    """The confidence interval of an area under the ROC, for these numbers of known and unknown instances.

    It holds the areas θ with (area − θ)² ≤ z² V(θ). V is the variance by Hanley and McNeil 1982 with both numbers of
    instances as their mean in its two products (Newcombe 2006, method 5). Unlike area ± z √V(area) it stays within 0
    to 1, and has a width at both ends. It is NaN if either has no instance.
    """
    from scipy.optimize import brentq  # takes a while to import

    if not (known > 0 and unknown > 0):
        return np.nan, np.nan
    z, more = normal(level), (known + unknown) / 2 - 1

    def beyond(theta: float) -> float:
        spread = theta * (1 - theta) * (1 + more * (1 - theta) / (2 - theta) + more * theta / (1 + theta))
        return (area - theta) ** 2 - z**2 * spread / (known * unknown)

    inside = min(max(area, 1e-12), 1 - 1e-12)  # V is 0 at both ends, where an area lies only by chance
    low = brentq(beyond, 0, inside) if area > 0 else 0.0
    high = brentq(beyond, inside, 1) if area < 1 else 1.0
    return float(low), float(high)


def above(right: np.ndarray, wrong: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy and share of the instances whose largest probability is at least `confidence`.

    right, wrong: [..., bins] counts → [...] each; without instances, accuracy is NaN. confidence: an edge of bins.
    """
    right, wrong = np.asarray(right, float), np.asarray(wrong, float)
    first = round(confidence * right.shape[-1])
    among, n = right[..., first:].sum(-1), (right + wrong)[..., first:].sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return among / n, n / (right + wrong).sum(-1)
