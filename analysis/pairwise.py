"""Significance of differences between networks that were tested on the same instances, instance by instance."""

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
    """Differences in accuracy between all pairs of values of a column, on the same instances, and their significance.

    Only tests, seeds and modulations count that both sides have. Each instance counts once: a training with the same
    weights as another seed's is left out, and an instance that several tests share has the mean of its outcomes.

    Parameters:
        cells: The table "cells" with the columns `PAIRED`, `of` and `by`.
        of: The column whose values are compared.
        by: Columns; pairs are compared within each combination of their values.
        level: Of the intervals and of the claims.

    Returns:
        A row per pair: `by`; the two values, for example model_1 and model_2; seeds; n, instances; difference, the
        accuracy of the first minus that of the second; its interval low, high, of another training if there are several
        seeds; p, of McNemar's test for one seed, else 1 minus the level at which one bound of the interval is 0;
        p_holm, corrected for all rows; holds, is p_holm below 1 − level?

    Raises:
        AmcError: A column is missing, several runs of a side have the same seed and test, or `level` is not between 0
            and 1.

    Source: McNemar's exact test; Bonett and Price 2012; Holm 1979 (`amc_core.statistics`).
    """
    by = [by] if isinstance(by, str) else list(by)
    require_known("column", [of, *by], cells)
    if not 0 < level < 1:
        raise AmcError(f"level {level!r} is not allowed: it has to be between 0 and 1, such as 0.95")
    missing = [name for name in PAIRED if name not in cells]
    if missing:
        what = f"significance needs column {missing[0]!r}"
        raise AmcError(f"{what}: load cells with columns=[*analysis.PAIRED, {of!r}]")
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
            raise AmcError(
                "several runs of one side have the same seed and test: name the columns in which they differ in by, or "
                "filter them"
            )
    seeds = own["seed"].nunique(), other["seed"].nunique()
    if min(seeds) == 1:  # a side with one training is compared with each training of the other
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
    """A row per pair of tests and modulation: first and second, the numbers of instances that only one side got right.

    Modulations of a recording with different numbers of instances are taken as one.
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
    """The modulations that were sent and that both sides were trained on, and for each side a mask of them."""
    sides = [
        [name for name in modulations_of(sent) if name in modulations_of(side)] for side in (trained, trained_other)
    ]
    common = [name for name in sides[0] if name in sides[1]]
    return tuple(common), *([name in common for name in side] for side in sides)


def _of_seeds(first: np.ndarray, second: np.ndarray, n: np.ndarray, level: float) -> dict:
    """The statistics of a row. first, second: [seeds], instances that only this side got right; n: [seeds]."""
    if len(n) == 1:
        estimate = Estimate(*(part[0] for part in statistics.paired_difference(first, second, n, level)))
        p = float(statistics.mcnemar(first, second)[0])
    else:
        estimate, p = statistics.paired_difference_of_trainings(first, second, n, level)
    bounds = dict(zip(("difference", "low", "high"), map(float, estimate), strict=True))
    return {"seeds": len(n), "n": int(n.max())} | bounds | {"p": float(p)}
