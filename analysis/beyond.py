"""Is any network above the upper bound? If so, it was trained on test instances, or its counts are wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pandas as pd
from scipy.stats import beta

from amc_core.coverage import why_unknown
from amc_core.quantities import many
from analysis.limits import STANDARD_ERROR, limits_of
from analysis.results import Results

_LINE = "  {model}, run {run}, cell {cell} at {snr_db:g} dB: {accuracy:.1%}, at least {low:.1%}; bound {limit:.1%}"
_ERRORS = 3  # standard errors by which an estimated limit may be too low


class Check(NamedTuple):
    """The comparison of accuracies (of a run in a test at one SNR) with their limits.

    accuracies: their number. known: the number with a known limit. above: the rows above it. reasons: why other limits
    are unknown.
    """

    accuracies: int
    known: int
    above: pd.DataFrame
    reasons: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"Upper bound: it is known for {self.known} of {self.accuracies} accuracies at one SNR"
        if self.reasons:
            text += f" ({'; '.join(self.reasons)})"
        if not self.known:
            return text + "."
        if self.above.empty:
            return f"{text}, and no interval lies above it."
        rows = self.above.to_dict("records")
        lines = "\n".join(map(_LINE.format_map, rows))
        verb = "lies" if len(rows) == 1 else "lie"
        return f"{text}, and {many(len(rows), 'interval')} {verb} above it, so something is wrong:\n{lines}"


def above_limit(results: Results, level: float = 0.95) -> pd.DataFrame:
    """A row per accuracy at one SNR whose limit is known: run, model, cell, snr_db, n, accuracy, low, limit, above.

    low: the lower bound of the accuracy of these networks, which holds for all rows simultaneously at `level` (Clopper
    and Pearson, with Bonferroni's correction). above: does it exceed the limit by more than the limit's own error?
    Tests of other modulations than those of the training are left out.
    """
    cells = results.cells
    cells = cells[cells["test_modulation_set"] == cells["modulation_set"]]
    rows = cells.merge(limits_of(results, cells), on=["cell", "snr_db"])
    missed = (1 - level) / max(len(rows), 1)
    low = beta.ppf(missed, rows["correct"], rows["n"] - rows["correct"] + 1)
    rows = rows.assign(low=pd.Series(low, rows.index).fillna(0.0))
    rows["above"] = rows["low"] > rows["limit"] + _ERRORS * STANDARD_ERROR
    return rows[["run", "model", "cell", "snr_db", "n", "accuracy", "low", "limit", "above"]]


def check(studies: Sequence[Results]) -> Check:
    """Compare all accuracies of several studies with their limits."""
    parts = [(len(results.cells), above_limit(results)) for results in studies if not results.cells.empty]
    rows = [table for _, table in parts]
    above = [table[table["above"]] for table in rows]
    flagged = pd.concat(above) if above else pd.DataFrame()
    return Check(sum(count for count, _ in parts), sum(map(len, rows)), flagged, tuple(_reasons(studies)))


def _reasons(studies: Iterable[Results]) -> Iterable[str]:
    """Reasons why limits are unknown, each once."""
    tests = {test: None for results in studies for run in results.study.runs() for test in results.study.tests(run)}
    reasons = (why_unknown(test.scenario, test.modulations, test.length) for test in tests)
    return dict.fromkeys(reason for reason in reasons if reason)
