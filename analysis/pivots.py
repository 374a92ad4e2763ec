"""What is read off the table cells: accuracies with intervals, train × test pivots, drops, SNR thresholds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from amc_core.errors import AmcError, require_known
from analysis.tables import IDENTITY, TEST


def wilson(correct: np.ndarray, n: np.ndarray, z: float = 1.959964) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's score interval of a proportion (95 % unless z says otherwise): lower and upper bound."""
    centre = (correct + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * np.sqrt(correct * (n - correct) / n + z**2 / 4)
    return centre - half, centre + half


def difference(
    correct: np.ndarray, n: np.ndarray, reference_correct: np.ndarray, reference_n: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """95 % interval of reference accuracy − accuracy, from the Wilson intervals of both (Newcombe 1998, method 10)."""
    accuracy, reference = correct / n, reference_correct / reference_n
    (low, high), (reference_low, reference_high) = wilson(correct, n), wilson(reference_correct, reference_n)
    below = np.hypot(reference - reference_low, high - accuracy)
    above = np.hypot(reference_high - reference, accuracy - low)
    return reference - accuracy - below, reference - accuracy + above


def accuracy_by(cells: pd.DataFrame, by: str | Sequence[str]) -> pd.DataFrame:
    """Counts pooled over everything but `by` (SNRs and seeds, say), with accuracy and its 95 % Wilson interval.

    Raises AmcError for columns that the table does not have, or has only to count.
    """
    by = [by] if isinstance(by, str) else list(by)
    require_known("column", by, [name for name in cells if name not in ("n", "correct", "accuracy")])
    if not by or len(set(by)) < len(by):
        raise AmcError(f"by {by} is not allowed: name at least one column, each once")
    pooled = cells.groupby(list(by), sort=True, dropna=False)[["n", "correct"]].sum().reset_index()
    low, high = wilson(pooled["correct"].to_numpy(float), pooled["n"].to_numpy(float))
    return pooled.assign(accuracy=pooled["correct"] / pooled["n"], accuracy_low=low, accuracy_high=high)


def varied(cells: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Those of `columns` that take more than one value for some model."""
    return [name for name in columns if cells.groupby("model")[name].nunique(dropna=False).max() > 1]


def varied_settings(cells: pd.DataFrame) -> list[str]:
    """What varies of models, training and test settings, but for seeds and SNRs."""
    of_runs = [name for name in IDENTITY if name not in ("model", "seed", "parent")]
    return varied(cells, [*of_runs, *TEST, "test_length"])


def train_test(cells: pd.DataFrame, rows: Sequence[str] | None = None, column: str | None = None) -> pd.DataFrame:
    """Accuracy of every training setting (rows) in every test setting (columns), pooled over SNRs and seeds.

    column: the field along the columns; by default that of the tests, length included, with most values. rows: by
    default the model and all other fields that vary. Both may be any columns of `cells`.
    """
    if column is None:
        column = max([*TEST, "test_length"], key=lambda name: cells[name].nunique())
    if rows is None:
        rows = ["model", *(name for name in varied_settings(cells) if name != column)]
    pooled = accuracy_by(cells, [*rows, column])
    return pooled.pivot(index=list(rows), columns=column, values="accuracy")


def drop_from_training(cells: pd.DataFrame, by: Sequence[str] | None = None) -> pd.DataFrame:
    """How much less accurate a classifier is in each test setting than in the setting that it was trained in.

    cells: with the column `setting`. Counts are pooled over everything but `by`, by default the model and the settings
    that vary; where `by` has snr_db, both sides are taken at that SNR. Where runs are pooled of which some were not
    tested in their own training setting, these are left out on both sides. Columns: `by`, n, correct, accuracy,
    training_accuracy, drop = training_accuracy − accuracy, and its 95 % interval drop_low, drop_high; these four are
    NaN where the training setting was not tested. Raises AmcError for a `by` without a field of the training.
    """
    by = ["model", *varied_settings(cells)] if by is None else list(by)
    shared = [name for name in by if name not in (*TEST, "test_length")]
    if not shared:
        raise AmcError(f"by {by!r} is not allowed: name at least one field of the training, such as model")
    require_known("column", ["setting"], cells)
    renamed = {"n": "_n", "correct": "_correct", "accuracy": "training_accuracy"}
    run = pd.util.hash_pandas_object(cells[[name for name in IDENTITY if name in cells]], index=False)
    has_reference = run.isin(set(run[cells["setting"] == "trained"]))
    some = has_reference.groupby([cells[name] for name in shared], dropna=False).transform("any")
    cells = cells[has_reference | ~some]
    trained = accuracy_by(cells[cells["setting"] == "trained"], shared).rename(columns=renamed)
    pooled = accuracy_by(cells, by).drop(columns=["accuracy_low", "accuracy_high"])
    joined = pooled.merge(trained[[*shared, *renamed.values()]], on=shared, how="left")
    counts = joined[["correct", "n", "_correct", "_n"]].to_numpy(float)
    low, high = difference(*counts.T)
    joined = joined.assign(drop=joined["training_accuracy"] - joined["accuracy"], drop_low=low, drop_high=high)
    return joined.drop(columns=["_n", "_correct"])


def snr_at(cells: pd.DataFrame, target: float, by: Sequence[str]) -> pd.DataFrame:
    """The SNR at which the accuracy first reaches `target`, interpolated linearly between tested SNRs.

    target: in (0, 1). Counts are pooled over everything but `by` and the SNR. Columns: `by`; snr_db; snr_low and
    snr_high, where the upper and the lower bound of the 95 % Wilson interval reach it. NaN where it is never
    reached; the lowest tested SNR where that reaches it already.
    """
    if not 0 < target < 1:
        raise AmcError(f"target {target!r} is not allowed: it is an accuracy between 0 and 1")
    curves = {"snr_db": "accuracy", "snr_low": "accuracy_high", "snr_high": "accuracy_low"}
    rows = []
    for values, curve in accuracy_by(cells, [*by, "snr_db"]).groupby(list(by), sort=True, dropna=False):
        snrs = curve["snr_db"].to_numpy(float)
        reached = {name: first_at(snrs, curve[bound].to_numpy(float), target) for name, bound in curves.items()}
        rows.append(dict(zip(by, values, strict=True)) | reached)
    return pd.DataFrame(rows, columns=[*by, *curves])


def first_at(x: np.ndarray, y: np.ndarray, target: float) -> float:
    """Where the line through (x, y), x ascending, first reaches target."""
    reached = np.flatnonzero(y >= target)
    if not len(reached):
        return np.nan
    i = reached[0]
    if i == 0:
        return float(x[0])
    return float(x[i - 1] + (x[i] - x[i - 1]) * (target - y[i - 1]) / (y[i] - y[i - 1]))
