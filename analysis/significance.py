"""Which differences hold: networks that were tested on the same instances, compared instance by instance."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from amc_core import statistics
from amc_core.errors import AmcError, require_known
from amc_core.statistics import Estimate

_NEEDED = ("run", "seed", "test", "snr_db", "n", "right")


def significance(
    cells: pd.DataFrame, of: str = "model", by: str | Sequence[str] = (), level: float = 0.95
) -> pd.DataFrame:
    """Every pair of values of a column, the difference of their accuracies on the same instances, and whether it holds.

    cells: with the columns `test` and `right`, which `load` gives where they are asked for, and `weights`, by which a
    training counts once. by: columns within whose values pairs are compared. Only instances that both sides were tested
    on count, with the seeds that both have. Tests of two sets of modulations that overlap share instances, which count
    in each of them: take the cells of one set. Columns: `by`; the two values, in model_1 and model_2, say; seeds; n,
    instances; difference, accuracy of the first minus that of the second; its interval low, high, of another training
    where there are several seeds; p, of McNemar's test where there is one seed, else 1 − the level at which the
    interval begins at 0; p_holm, corrected for all rows; holds, is it below 1 − level? Raises AmcError for columns that
    are missing.
    """
    by = [by] if isinstance(by, str) else list(by)
    require_known("column", [of, *by, *_NEEDED], cells)
    cells = _once(cells, [of, *by])
    rows = []
    for values, own in cells.groupby(by, sort=True, dropna=False) if by else [((), cells)]:
        sides = dict(iter(own.groupby(of, sort=True, observed=True)))
        for first, second in combinations(sides, 2):
            found = _compared(sides[first], sides[second], level)
            if found:
                rows.append(dict(zip(by, values, strict=True)) | {f"{of}_1": first, f"{of}_2": second} | found)
    columns = [*by, f"{of}_1", f"{of}_2", "seeds", "n", "difference", "low", "high", "p"]
    table = pd.DataFrame(rows, columns=columns)
    corrected = statistics.holm(table["p"].to_numpy(float))
    return table.assign(p_holm=corrected, holds=corrected < 1 - level)


def _once(cells: pd.DataFrame, kept: list[str]) -> pd.DataFrame:
    """Without the tests of a training that another seed repeats, weight by weight."""
    if "weights" not in cells:
        return cells
    return cells[~cells.duplicated([*kept, "weights", "test", "snr_db"])]


def _compared(own: pd.DataFrame, other: pd.DataFrame, level: float) -> dict | None:
    """A row of the table; None for sides that share no instances."""
    for side in (own, other):
        if side.duplicated(["seed", "test", "snr_db"]).any():
            raise AmcError("several runs of a side have the same tests: name in by, or filter, what varies among them")
    seeds = own["seed"].nunique(), other["seed"].nunique()
    each = "seed"  # of a side with one training, this is set beside each of the other's
    if min(seeds) == 1:
        own, other = (
            side if count > 1 else side.drop(columns="seed") for side, count in zip((own, other), seeds, strict=True)
        )
        each = "seed" if max(seeds) > 1 else "_all"
    place = ["test", "snr_db", *(["seed"] if min(seeds) > 1 else [])]
    pairs = own.merge(other, on=place, suffixes=("", "_other")).assign(_all=0)
    if pairs.empty:
        return None
    bits = ([np.frombuffer(text, np.uint8) for text in pairs[name]] for name in ("right", "right_other"))
    only = np.array([statistics.discordant(*pair) for pair in zip(*bits, strict=True)])
    totals = pairs.assign(first=only[:, 0], second=only[:, 1]).groupby(each)[["first", "second", "n"]].sum()
    return _of_seeds(*(totals[name].to_numpy() for name in totals), level)


def _of_seeds(first: np.ndarray, second: np.ndarray, n: np.ndarray, level: float) -> dict:
    """first, second: [seeds], instances that only one side got right; n: [seeds], instances."""
    if len(n) == 1:
        estimate = Estimate(*(part[0] for part in statistics.paired_difference(first, second, n, level)))
        p = float(statistics.mcnemar(first, second)[0])
    else:
        estimate, p = statistics.paired_difference_of_trainings(first, second, n, level)
    bounds = dict(zip(("difference", "low", "high"), map(float, estimate), strict=True))
    return {"seeds": len(n), "n": int(n.max())} | bounds | {"p": float(p)}
