"""What the largest probability of a classifier is worth: how often it is right, and what it tells apart.

Histograms count instances by their largest probability, in equal bins from 0 to 1, as cells keep them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from amc_core.statistics import calibration_error, reliability

__all__ = ["Roc", "calibration_error", "reliability", "roc", "sure"]


class Roc(NamedTuple):
    """The receiver operating characteristic of a threshold on the largest probability.

    false: share of the unknown that is above each threshold; true: of the known; both (bins + 1,), from 0 to 1. area:
    under the line through them, the probability that a known instance has a larger one than an unknown, ties counted
    half. NaN throughout where either has no instance.
    """

    false: np.ndarray
    true: np.ndarray
    area: float


def roc(known: np.ndarray, unknown: np.ndarray) -> Roc:
    """How well a threshold on the largest probability tells known from unknown: (bins,) counts each."""
    sides = []
    for counts in (unknown, known):
        counts = np.asarray(counts, float)
        with np.errstate(invalid="ignore"):
            sides.append(np.append(0.0, counts[::-1].cumsum()) / counts.sum())
    false, true = sides
    return Roc(false, true, float(np.trapezoid(true, false)))


def sure(right: np.ndarray, wrong: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy where the largest probability is at least `confidence`, and the share of instances that are so sure.

    right, wrong: [..., bins] counts → [...] each; the accuracy of none is NaN. confidence: an edge between bins.
    """
    right, wrong = np.asarray(right, float), np.asarray(wrong, float)
    first = round(confidence * right.shape[-1])
    among, n = right[..., first:].sum(-1), (right + wrong)[..., first:].sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return among / n, n / (right + wrong).sum(-1)
