"""What the largest probability of a classifier is worth: how often it is right, and what it tells apart.

Histograms count instances by their largest probability, in equal bins from 0 to 1, as cells keep them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from amc_core.statistics import calibration_error, normal, reliability

__all__ = ["Roc", "auc_interval", "calibration_error", "reliability", "roc", "sure"]


class Roc(NamedTuple):
    """The receiver operating characteristic of a threshold on the largest probability.

    false: share of the unknown that is above each threshold; true: of the known; both (bins + 1,), from 0 to 1. area:
    under the line through them, the probability that a known instance has a larger one than an unknown, ties counted
    half; low, high: its 95 % interval, see `auc_interval`. NaN throughout where either has no instance.
    """

    false: np.ndarray
    true: np.ndarray
    area: float
    low: float
    high: float


def roc(known: np.ndarray, unknown: np.ndarray, instances: tuple[float, float] | None = None) -> Roc:
    """How well a threshold on the largest probability tells known from unknown: (bins,) counts each.

    instances: how many different ones the known and the unknown are, where several classifiers or tests had the same.
    """
    sides = []
    for counts in (unknown, known):
        counts = np.asarray(counts, float)
        with np.errstate(invalid="ignore"):
            sides.append(np.append(0.0, counts[::-1].cumsum()) / counts.sum())
    false, true = sides
    area = float(np.trapezoid(true, false))
    return Roc(false, true, area, *auc_interval(area, *(instances or (np.sum(known), np.sum(unknown)))))


def auc_interval(area: float, known: float, unknown: float, level: float = 0.95) -> tuple[float, float]:
    """The interval of an area under a ROC that is `area` for so many known and unknown instances.

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


def sure(right: np.ndarray, wrong: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy where the largest probability is at least `confidence`, and the share of instances that are so sure.

    right, wrong: [..., bins] counts → [...] each; the accuracy of none is NaN. confidence: an edge between bins.
    """
    right, wrong = np.asarray(right, float), np.asarray(wrong, float)
    first = round(confidence * right.shape[-1])
    among, n = right[..., first:].sum(-1), (right + wrong)[..., first:].sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return among / n, n / (right + wrong).sum(-1)
