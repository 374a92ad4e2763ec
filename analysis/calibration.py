"""Calibration and open-set recognition of classifiers, from the histograms that cells keep."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from amc_core import confidence
from amc_core.confidence import CUTS, EQUAL_BINS, Roc
from amc_core.errors import AmcError
from analysis.columns import TEST
from analysis.pooling import shared_modulations
from analysis.results import Results

SURE = 0.9  # a classifier counts as sure from this largest probability on
_OUTCOMES = 3  # of a histogram: right, wrong, sent modulation never trained
_TESTED = ["run", *TEST, "test_length", "snr_db"]


class Histograms:
    """Histograms of the largest probability over all cells of some results, by model.

    Raises AmcError if there are no cells.
    """

    def __init__(self, results: Results):
        columns = [*_TESTED, "test_modulation_set", "model", "setting", "confidence"]
        self.cells = results.table("cells", columns).reset_index(drop=True)
        if self.cells.empty:
            raise AmcError(f"store {str(results.store.path)!r} holds no cells of this study: 'amc run' computes them")
        counts = [np.asarray(each).reshape(_OUTCOMES, -1) for each in self.cells["confidence"]]
        self.equal = np.array([each.shape[1] == EQUAL_BINS for each in counts])  # cells that keep no finer bins
        self.counts = np.zeros((len(counts), _OUTCOMES, EQUAL_BINS + CUTS), int)
        for row, each in zip(self.counts, counts, strict=True):
            row[:, : each.shape[1]] = each
        self.models = list(dict.fromkeys(self.cells["model"]))

    def of(self, model: str) -> np.ndarray:
        """(3, 20) counts of a model over all its cells: right, wrong, sent modulation never trained."""
        return confidence.equal_bins(self.counts[(self.cells["model"] == model).to_numpy()].sum(0))

    def by_setting(self, model: str) -> Roc:
        """The ROC of settings that a model knows from training against unseen ones.

        Runs and SNRs count that have both, and only modulations that the model knows. Covered settings count as known.
        """
        own = (self.cells["model"] == model).to_numpy()
        unseen = own & (self.cells["setting"] == "unseen").to_numpy()
        return self._roc(own & ~unseen, unseen, ["run", "snr_db"], (0, 1))

    def by_modulation(self, model: str) -> Roc:
        """The ROC of a model's trained modulations against others, in the same settings and at the same SNRs."""
        own = (self.cells["model"] == model).to_numpy()
        known, other = self.counts[:, :2].sum((1, 2)) > 0, self.counts[:, 2].sum(1) > 0
        return self._roc(own & known, own & other, _TESTED, (2,))

    def _roc(self, known: np.ndarray, unknown: np.ndarray, same: list[str], outcomes: tuple[int, ...]) -> Roc:
        """known, unknown: masks of cells; same: the columns whose values both must have; outcomes: of the unknown."""
        groups = self.cells.groupby(same, dropna=False).ngroup().to_numpy()
        both = np.isin(groups, np.intersect1d(groups[known], groups[unknown]))
        sides = ((known & both, [0, 1]), (unknown & both, list(outcomes)))
        counts = [self.counts[cells][:, kept] for cells, kept in sides]
        different = [self._different(cells, each.sum((1, 2))) for (cells, _), each in zip(sides, counts, strict=True)]
        pooled = [each.sum((0, 1)) for each in counts]
        if self.equal[both & (known | unknown)].any():
            pooled = [confidence.equal_bins(each) for each in pooled]
        return confidence.roc(*pooled, tuple(different))

    def _different(self, chosen: np.ndarray, n: np.ndarray) -> float:
        """How many different instances the chosen cells have, if `n` is the number of each cell.

        Instances that several runs or tests share count once.
        """
        cells = self.cells[chosen]
        cells = cells.assign(set=shared_modulations(cells["test_modulation_set"]), n=n)
        return cells.groupby([*TEST, "test_length", "snr_db", "set"], dropna=False)["n"].max().sum()


def calibration(results: Results) -> pd.DataFrame:
    """A row per model: the calibration of its probabilities, pooled over all cells.

    Columns: model; n; accuracy; confidence, its mean largest probability; calibration_error, the expected calibration
    error (Guo et al. 2017, Eq. 3, to half the width of a bin, 0.025); sure, the share of instances whose largest
    probability is at least 0.9, and sure_accuracy, their accuracy; unseen_auc and open_set_auc, the areas under the
    ROCs of known against unseen settings and of trained against other modulations (see `Histograms`), each with the
    bounds …_low and …_high of its 95 % interval, of these networks on all instances, and …_ties, the share of pairs
    that the histograms do not tell apart; NaN if these were not tested.
    """
    histograms = Histograms(results)
    return pd.DataFrame(_rows(histograms))


def _rows(histograms: Histograms) -> Iterator[dict]:
    for model in histograms.models:
        right, wrong, _ = histograms.of(model)
        middle, _, n = confidence.reliability(right, wrong)
        accuracy, share = confidence.above(right, wrong, SURE)
        total = n.sum()
        yield {
            "model": model,
            "n": int(total),
            "accuracy": right.sum() / total if total else np.nan,
            "confidence": (middle * n).sum() / total if total else np.nan,
            "calibration_error": float(confidence.calibration_error(right, wrong)) if total else np.nan,
            "sure_accuracy": float(accuracy),
            "sure": float(share),
            **_area("unseen_auc", histograms.by_setting(model)),
            **_area("open_set_auc", histograms.by_modulation(model)),
        }


def _area(name: str, curve: Roc) -> dict[str, float]:
    return {name: curve.area, f"{name}_low": curve.low, f"{name}_high": curve.high, f"{name}_ties": curve.ties}
