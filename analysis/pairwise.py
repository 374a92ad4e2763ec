"""Which differences hold: networks that were tested on the same instances, compared instance by instance."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations

import numpy as np
import pandas as pd

from amc_core import statistics
from amc_core.errors import AmcError, require_known
from amc_core.statistics import Estimate
from analysis.pooling import STRATA, modulations_of, strata
from sweeps.store.cells import unpacked

PAIRED = ("run", "seed", "weights", "modulation_set", "dataset_seed", "test", *STRATA, "n", "right")


def significance(
    cells: pd.DataFrame, of: str = "model", by: str | Sequence[str] = (), level: float = 0.95
) -> pd.DataFrame:
    """Every pair of values of a column, the difference of their accuracies on the same instances, and whether it holds.

    cells: with the columns `PAIRED`, `of` and `by`. by: columns within whose values pairs are compared. Only tests that
    both sides have count, with the seeds that both have and the modulations that both were trained on. Each instance
    counts once: a training that another seed repeats, weight by weight, is left out, and what several tests share (of
    sets of modulations that overlap, say) has the mean of its outcomes. Columns: `by`; the two values, in model_1 and
    model_2, say; seeds; n, instances; difference, accuracy of the first minus that of the second; its interval low,
    high, of another training where there are several seeds; p, of McNemar's test where there is one seed, else 1 − the
    level at which the interval begins at 0; p_holm, corrected for all rows; holds, is it below 1 − level? Raises
    AmcError for columns that are missing.
    """
    by = [by] if isinstance(by, str) else list(by)
    require_known("column", [of, *by], cells)
    missing = [name for name in PAIRED if name not in cells]
    if missing:
        what = f"significance needs column {missing[0]!r}"
        raise AmcError(f"{what}: load cells with columns=[*PAIRED, {of!r}], PAIRED being of the package analysis")
    cells = cells[~cells.duplicated([of, *by, "weights", "test", "snr_db"])]
    cells = cells.assign(_stratum=strata(cells))
    rows = []
    for values, own in cells.groupby(by, sort=True, dropna=False) if by else [((), cells)]:
        sides = dict(iter(own.groupby(of, sort=True, observed=True)))
        for first, second in combinations(sides, 2):
            comparison = _compared(sides[first], sides[second], level)
            if comparison:
                rows.append(dict(zip(by, values, strict=True)) | {f"{of}_1": first, f"{of}_2": second} | comparison)
    columns = [*by, f"{of}_1", f"{of}_2", "seeds", "n", "difference", "low", "high", "p"]
    table = pd.DataFrame(rows, columns=columns)
    corrected = statistics.holm(table["p"].to_numpy(float))
    return table.assign(p_holm=corrected, holds=corrected < 1 - level)


def _compared(own: pd.DataFrame, other: pd.DataFrame, level: float) -> dict | None:
    """A row of the table; None for sides that share no instances."""
    for side in (own, other):
        if side.duplicated(["seed", "test", "snr_db"]).any():
            raise AmcError("several runs of a side have the same tests: name in by, or filter, what varies among them")
    seeds = own["seed"].nunique(), other["seed"].nunique()
    if min(seeds) == 1:  # a side with one training is set beside each of the other's
        longer = (own if seeds[0] == max(seeds) else other)["seed"].unique()
        own, other = (
            side if count > 1 else side.drop(columns="seed").merge(pd.DataFrame({"seed": longer}), how="cross")
            for side, count in zip((own, other), seeds, strict=True)
        )
    pairs = own.merge(other, on=["test", "snr_db", "seed"], suffixes=("", "_other"))
    outcomes = _outcomes(pairs)
    if outcomes.empty:
        return None
    once = outcomes.groupby(["seed", "_stratum", "dataset_seed", "modulation"])
    once = once.agg(first=("first", "mean"), second=("second", "mean"), n=("n", "max"))
    totals = once.groupby("seed").sum()
    return _of_seeds(*(totals[name].to_numpy() for name in totals), level)


def _outcomes(pairs: pd.DataFrame) -> pd.DataFrame:
    """A row per pair of tests and modulation: first and second, the instances that only one side got right, of n.

    Modulations of a recording that have not as many instances as each other are taken as one.
    """
    named = ("modulation_set", "modulation_set_other", "test_modulation_set", "test_instances", "test")
    counted = ("n", "right", "n_other", "right_other")
    rows = []
    for index, values in enumerate(zip(*(pairs[name] for name in (*named, *counted)), strict=True)):
        (trained, trained_other, sent, instances, test), (n, right, n_other, right_other) = values[:5], values[5:]
        names, own, other = _common(trained, trained_other, sent)
        right, right_other = unpacked(right, n), unpacked(right_other, n_other)
        if n == instances * len(own) and n_other == instances * len(other):
            right = right.reshape(len(own), -1)[own]
            right_other = right_other.reshape(len(other), -1)[other]
        elif trained == trained_other:
            names, right, right_other = (test,), right[None], right_other[None]
        else:
            continue
        first, second = (right & ~right_other).sum(1), (right_other & ~right).sum(1)
        rows += zip([index] * len(names), names, first, second, [right.shape[1]] * len(names), strict=True)
    rows = pd.DataFrame(rows, columns=["pair", "modulation", "first", "second", "n"])
    keys = pairs[["seed", "_stratum", "dataset_seed"]].iloc[rows["pair"]].reset_index(drop=True)
    return pd.concat([keys, rows], axis=1)


@lru_cache
def _common(trained: str, trained_other: str, sent: str) -> tuple[tuple[str, ...], list[bool], list[bool]]:
    """Modulations that were sent and that both sides were trained on; of those of each side, which they are."""
    sides = [
        [name for name in modulations_of(sent) if name in modulations_of(side)] for side in (trained, trained_other)
    ]
    common = [name for name in sides[0] if name in sides[1]]
    return tuple(common), *([name in common for name in side] for side in sides)


def _of_seeds(first: np.ndarray, second: np.ndarray, n: np.ndarray, level: float) -> dict:
    """first, second: [seeds], instances that only one side got right; n: [seeds], instances."""
    if len(n) == 1:
        estimate = Estimate(*(part[0] for part in statistics.paired_difference(first, second, n, level)))
        p = float(statistics.mcnemar(first, second)[0])
    else:
        estimate, p = statistics.paired_difference_of_trainings(first, second, n, level)
    bounds = dict(zip(("difference", "low", "high"), map(float, estimate), strict=True))
    return {"seeds": len(n), "n": int(n.max())} | bounds | {"p": float(p)}
