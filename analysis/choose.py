"""Which runs of a store are meant: by the first digits of a key, by a condition in SQL, or by both."""

from __future__ import annotations

import re

import pandas as pd

from amc_core.errors import AmcError
from amc_core.quantities import written
from analysis.columns import IDENTITY
from analysis.results import Results

_LISTED = 8  # runs that a refusal lists
_FEWEST_DIGITS = 8  # by which it names them
_MEANINGLESS = ("parent", "weights", "ancestors")  # which say nothing to a reader that other columns do not


def choose(results: Results, key: str = "", where: str | None = None) -> pd.DataFrame:
    """The rows of the table "runs" whose key begins with some digits and on which a condition holds.

    key: first digits of a run's key; "" for any. where: a condition in SQL over the columns of the table "runs", such
    as "model = 'resnet' AND train_channel = 'rayleigh'". Raises AmcError for what is no key or no condition.
    """
    runs = results.runs
    if key:
        if not re.fullmatch("[0-9a-f]{1,24}", key):
            raise AmcError(f"run {key!r} is not allowed: give the first digits of a key, up to 24 of 0-9 and a-f")
        runs = runs[runs["run"].str.startswith(key)]
    if where is not None:
        from analysis.query import keys_where  # DuckDB takes a while to import

        runs = runs[runs["run"].isin(keys_where(where, runs))]
    return runs.reset_index(drop=True)


def choose_one(results: Results, key: str = "", where: str | None = None) -> str:
    """The key of the one run that is meant; see `choose`.

    Raises AmcError where neither a key nor a condition is given, and where no run matches or several do, which it
    tells apart.
    """
    if not key and where is None:
        raise AmcError("no run is named: give the first digits of its key, or a condition with --where")
    runs, description = choose(results, key, where), _in_words(key, where)
    if runs.empty:
        raise AmcError(
            f"store {str(results.store.path)!r} holds no run {description}: 'amc runs' lists those that it holds"
        )
    if len(runs) > 1:
        listed = "".join(f"\n  {line}" for line in _apart(runs)[:_LISTED])
        more = f"\n  and {len(runs) - _LISTED} more" if len(runs) > _LISTED else ""
        raise AmcError(
            f"{len(runs)} runs match {description}: give more digits, or a condition that one meets{listed}{more}"
        )
    return str(runs["run"][0])


def _in_words(key: str, where: str | None) -> str:
    parts = [f"{key!r}"] * bool(key) + [f"where {where}"] * (where is not None)
    return " ".join(parts)


def _apart(runs: pd.DataFrame) -> list[str]:
    """A line for each run: the first digits of its key, its model, and the columns in which the runs differ."""
    keys = runs["run"]
    digits = next(n for n in range(_FEWEST_DIGITS, 25) if keys.str[:n].nunique() == len(keys))
    differing = [
        name for name in IDENTITY if name not in (*_MEANINGLESS, "model") and runs[name].astype("str").nunique() > 1
    ]
    return [
        ", ".join([f"{row['run'][:digits]} {row['model']}", *(f"{name} {written(row[name])}" for name in differing)])
        for row in runs.to_dict("records")
    ]
