"""Tables computed from the table "cells": accuracies with intervals, train × test pivots, drops, SNR thresholds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np
import pandas as pd

from amc_core import statistics
from amc_core.errors import AmcError, require_known, suggest
from amc_core.scenario import OF_RECORDINGS
from amc_core.statistics import Estimate
from analysis.columns import IDENTITY, TEST, TRAIN
from analysis.pooling import COUNTS, Pooled, accuracy_of, accuracy_of_networks, difference_of, pool

# Columns of a run that are not settings: its model, its seed, and its descent, which `start` describes.
_NO_SETTINGS = ("model", "seed", "parent", "stage", "ancestors", "weights")


def accuracy_by(cells: pd.DataFrame, by: str | Sequence[str]) -> pd.DataFrame:
    """Accuracy by columns, pooled over everything else (such as SNRs and seeds), with its 95 % interval.

    If there are several seeds, the interval is that of another training: of the mean accuracy of all trainings that
    differ in the seed. If there is one seed, and in the columns network_…, it is that of these networks: of their
    accuracy on all instances of the tested settings.

    Parameters:
        cells: The table "cells".
        by: A column or several.

    Returns:
        A data frame with the columns `by`; n and correct, numbers of instances; accuracy; accuracy_low, accuracy_high;
        seeds, the number of different trainings, where those with equal weights count once; network_low, network_high.
        Accuracies are fractions from 0 to 1.

    Raises:
        AmcError: `by` is empty, or has a column that the table lacks or that holds counts.

    Source: Wilson 1927 for one network, Student's t for several (`amc_core.statistics`).
    """
    by = _listed(by)
    pooled = pool(cells, by)
    interval, network = (pooled.estimates(estimate) for estimate in (accuracy_of, accuracy_of_networks))
    table = pooled.table[[*by, "n", "correct", "accuracy"]]
    table = table.assign(accuracy_low=interval.low, accuracy_high=interval.high, seeds=pooled.table["seeds"])
    return table.assign(network_low=network.low, network_high=network.high)


def _names(columns: str | Sequence[str]) -> list[str]:
    return [columns] if isinstance(columns, str) else list(columns)


def _listed(by: str | Sequence[str]) -> list[str]:
    by = _names(by)
    if not by:
        raise AmcError("by [] is not allowed: name at least one column")
    return by


def varied(cells: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Those of `columns` that take more than one value for some model.

    For fields of simulated scenarios, only simulated scenarios count: a recording has no such fields.
    """
    return [name for name in columns if name in cells and _varies(_with(cells, name, ["model", name]), name)]


def _varies(cells: pd.DataFrame, name: str) -> bool:
    """Does a column take more than one value for some model?"""
    if cells[name].nunique(dropna=False) < 2:  # a quick check that excludes most columns
        return False
    return bool((cells.groupby("model")[name].nunique(dropna=False) > 1).any())


def _with(cells: pd.DataFrame, name: str, columns: Sequence[str]) -> pd.DataFrame:
    """Columns of the cells whose scenarios have a field of this name; recordings have no simulated fields."""
    side, _, field = name.partition("_")
    if name in (*TRAIN, *TEST) and field not in OF_RECORDINGS and f"{side}_recording" in cells:
        return cells.loc[cells[f"{side}_recording"] == "", columns]
    return cells[columns]


def varied_settings(cells: pd.DataFrame) -> list[str]:
    """The varied columns of models, training and test settings, without seeds and SNRs."""
    of_runs = [name for name in IDENTITY if name not in _NO_SETTINGS]
    return varied(cells, [*of_runs, *TEST, "test_length"])


def spread(cells: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Cells with a column for every hyperparameter that varies within a model, and the names of these columns.

    A column has the hyperparameter's name, or "hyperparameter_…" if the table already has a column of that name. Lists
    are written as in JSON. A value is missing if a model has no such hyperparameter.
    """
    if "hyperparameters" not in cells or "hyperparameters" not in varied(cells, ["hyperparameters"]):
        return cells, []
    given = {text: json.loads(text) if text else {} for text in cells["hyperparameters"].unique()}
    names = dict.fromkeys(name for values in given.values() for name in values)
    columns = {}
    for name in names:
        by_text = {text: _plain(values.get(name)) for text, values in given.items()}
        columns[f"hyperparameter_{name}" if name in cells else name] = cells["hyperparameters"].map(by_text)
    cells = cells.assign(**columns)
    return cells, varied(cells, [*columns])


def _plain(value: object) -> object:
    return json.dumps(value) if isinstance(value, list | dict) else value


def axes_of(
    cells: pd.DataFrame, hyperparameters: Sequence[str], rows: str | Sequence[str] | None, column: str | None
) -> tuple[list[str], str]:
    """The fields along the rows and the columns of a table, by default as in `train_test`.

    A test field that always equals that of training is left out. hyperparameters: of `spread`. Raises AmcError for
    a column that is missing, or is along both.
    """
    rows = rows if rows is None else _names(rows)
    if column is None:
        free = [name for name in [*TEST, "test_length"] if name not in (rows or ())]
        column = max(free, key=lambda name: _with(cells, name, [name])[name].nunique())
    if rows is None:
        settings = [name for name in varied_settings(cells) if name != "hyperparameters"]
        fields = [name for name in settings if not _as_trained(cells, name)]
        rows = dict.fromkeys(["model", *hyperparameters, *fields])
        rows = [name for name in rows if name != column]
    _require_columns([*rows, column], cells)
    if column in rows:
        raise AmcError(f"column {column!r} is in both rows and columns: name it once")
    return rows, column


def _require_columns(names: Sequence[str], cells: pd.DataFrame) -> None:
    """Raise AmcError for a column that is missing; the message lists only the columns that vary."""
    columns = [name for name in cells if name not in COUNTS]
    for name in names:
        if name not in columns:
            near = suggest(name, columns).partition(" (known")[0]
            varying = ", ".join(["model", *varied(cells, [other for other in columns if other != "model"])])
            raise AmcError(f"column {name!r} is not known{near} (columns that vary: {varying})")


def _as_trained(cells: pd.DataFrame, name: str) -> bool:
    """Does a test field equal that of training in every cell?"""
    trained = "length" if name == "test_length" else name.replace("test_", "train_", 1)
    if not name.startswith("test_") or trained not in cells:
        return False
    cells = _with(cells, name, [name, trained])
    return bool((cells[trained] == cells[name]).all())


def train_test(cells: pd.DataFrame, rows: str | Sequence[str] | None = None, column: str | None = None) -> pd.DataFrame:
    """Accuracy of every training setting (rows) in every test setting (columns), pooled over SNRs and seeds.

    Parameters:
        cells: The table "cells".
        rows: A column of `cells`, the name of a hyperparameter, or several; by default the model, every hyperparameter
            and all other fields that vary.
        column: The field along the columns; by default the test field, or length, with the most values.

    Returns:
        A data frame of accuracies, fractions from 0 to 1, with the values of `rows` as index and those of `column` as
        columns. A combination that was not tested is NaN.

    Raises:
        AmcError: The table does not have one of the columns, or `column` is in `rows`.
    """
    cells, hyperparameters = spread(cells)
    rows, column = axes_of(cells, hyperparameters, rows, column)
    return pivoted(pool(cells, [*rows, column]).table, rows, column, "accuracy")


def shares_of_training(cells: pd.DataFrame, rows: Sequence[str], column: str) -> pd.DataFrame:
    """A table like that of `train_test`: the share of the cells that were tested in the setting of training."""
    cells, _ = spread(cells)
    trained = cells.assign(trained=cells["setting"] == "trained")
    shares = trained.groupby([*rows, column], dropna=False)["trained"].mean().reset_index()
    return pivoted(shares, rows, column, "trained")


def pivoted(table: pd.DataFrame, rows: Sequence[str], column: str, values: str) -> pd.DataFrame:
    """`values` by rows and columns, sorted; numbers within texts sort as numbers."""
    pivot = table.pivot(index=list(rows), columns=column, values=values)
    return pivot.sort_index(key=_natural).sort_index(axis=1, key=_natural)


def _natural(labels: pd.Index) -> pd.Index:
    """The places of labels in their order."""
    return labels.map({label: number for number, label in enumerate(natural_order(labels.unique()))})


def natural_order(labels: Iterable) -> list:
    """Labels in their order: what is missing, numbers, texts. Numbers within texts sort as numbers."""

    def place(label: object) -> tuple:
        if isinstance(label, str):
            parts = re.split(r"(\d+(?:\.\d+)?)", label)  # every second one is a number
            return 2, [float(part) if at % 2 else part for at, part in enumerate(parts)]
        return (0,) if pd.isna(label) else (1, label)

    return sorted(labels, key=place)


def at_snrs(cells: pd.DataFrame, snrs: tuple[float, float] | None) -> pd.DataFrame:
    """The cells between two SNRs in dB, both included. Raises AmcError if there are none."""
    if snrs is None:
        return cells
    chosen = cells[cells["snr_db"].between(*snrs)]
    if chosen.empty:
        tested = ", ".join(f"{snr:g}" for snr in sorted(cells["snr_db"].dropna().unique()))
        raise AmcError(f"snr {snrs[0]:g}..{snrs[1]:g}: no cell was tested there; tested SNRs are {tested} dB")
    return chosen


def drop_from_training(cells: pd.DataFrame, by: str | Sequence[str] | None = None) -> pd.DataFrame:
    """The drop in accuracy from the training setting to each test setting.

    If some of the pooled runs were not tested in their own training setting, they are left out on both sides.

    Parameters:
        cells: The table "cells", with the column `setting`.
        by: A column or several; counts are pooled over all others. The default is the model and the settings that vary.
            If it includes snr_db, both accuracies are those at that SNR.

    Returns:
        A data frame with the columns `by`; n and correct, numbers of instances; accuracy; seeds; training_accuracy;
        drop, which is training_accuracy − accuracy; and its 95 % interval drop_low, drop_high, which is that of another
        training if there are several seeds. The last four are NaN if the training setting was not tested.

    Raises:
        AmcError: `by` has no field of the training, or a column is missing.

    Source: P1 §V-A; Newcombe 1998, method 10, for one seed, Student's t for several (`amc_core.statistics`).
    """
    by = ["model", *varied_settings(cells)] if by is None else _names(by)
    shared = [name for name in by if name not in (*TEST, "test_length")]
    if not shared:
        raise AmcError(f"by {by!r} is not allowed: name at least one field of the training, such as model")
    require_known("column", ["setting"], cells)
    run = pd.util.hash_pandas_object(cells[[name for name in IDENTITY if name in cells]], index=False)
    has_reference = run.isin(set(run[cells["setting"] == "trained"]))
    some = has_reference.groupby([cells[name] for name in shared], dropna=False).transform("any")
    cells = cells[has_reference | ~some]
    own, trained = pool(cells, by), pool(cells[cells["setting"] == "trained"], shared)
    reference = trained.table[[*shared, "accuracy"]].rename(columns={"accuracy": "training_accuracy"})
    reference["_group"] = np.arange(len(reference))
    table = own.table.merge(reference, on=shared, how="left")
    drops = _differences(own, trained, table.pop("_group"))
    return table.assign(drop=table["training_accuracy"] - table["accuracy"], drop_low=-drops.high, drop_high=-drops.low)


def _differences(own: Pooled, other: Pooled, group: pd.Series) -> Estimate:
    """Accuracies of groups minus those of the groups numbered `group`; NaN if there is none."""
    bounds, group = np.full((3, len(own.table)), np.nan), group.to_numpy(float)
    for block, reference in product(own.blocks, other.blocks):
        at = pd.Index(reference.groups).get_indexer(group[block.groups])  # NaN is nowhere
        both = np.flatnonzero(at >= 0)
        if len(both):
            bounds[:, block.groups[both]] = difference_of(block.rows(both), reference.rows(at[both]))
    return Estimate(*bounds)


def snr_at(cells: pd.DataFrame, target: float, by: str | Sequence[str]) -> pd.DataFrame:
    """The SNR at which the accuracy first reaches a target, interpolated linearly between tested SNRs.

    Cells with an unknown SNR are left out.

    Parameters:
        cells: The table "cells".
        target: The accuracy, in (0, 1).
        by: A column or several; counts are pooled over all others except the SNR.

    Returns:
        A data frame with the columns `by`; snr_db; its 95 % interval snr_low, snr_high in dB, which is that of another
        training if there are several seeds; seeds. A value is NaN if the accuracy (or its bound) never reaches the
        target, and the lowest tested SNR if the target is reached there already.

    Raises:
        AmcError: `target` is not between 0 and 1, or `by` is empty.

    Source: Fieller's interval of the crossing (`amc_core.statistics.snr_at`).
    """
    if not 0 < target < 1:
        raise AmcError(f"target {target!r} is not allowed: it has to be an accuracy between 0 and 1")
    by, rows = _listed(by), []
    for values, own in cells[cells["snr_db"].notna()].groupby(by, sort=True, dropna=False):
        estimate, correct = Estimate(*[np.nan] * 3), ()
        if own["n"].any():
            snrs, correct, n = curves(own)
            estimate = statistics.snr_at(snrs, correct, n, target)
        bounds = dict(zip(("snr_db", "snr_low", "snr_high"), map(float, estimate), strict=True))
        rows.append(dict(zip(by, values, strict=True)) | bounds | {"seeds": len(correct)})
    return pd.DataFrame(rows, columns=[*by, "snr_db", "snr_low", "snr_high", "seeds"])


def curves(cells: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """SNRs [SNRs], right answers [seeds, SNRs], instances [SNRs], pooled over everything but seeds and SNRs.

    Trainings with equal weights are one. If not all seeds have all SNRs, they are pooled into one curve. Instances with
    an unknown SNR are left out.
    """
    pooled = pool(cells[cells["snr_db"].notna() & (cells["n"] > 0)], ["snr_db"])
    blocks = [pooled.row(index) for index in range(len(pooled.table))]
    n = np.array([block.n.sum() for block in blocks])
    shares = [(block.shares[0] * block.weights).sum(-1) / block.weights.sum() for block in blocks]
    if len({len(share) for share in shares}) > 1:
        shares = [share.mean(keepdims=True) for share in shares]
    return pooled.table["snr_db"].to_numpy(float), np.stack(shares, axis=-1) * n, n
