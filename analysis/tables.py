"""The four tables of a store as pandas data frames, and the train × test table.

runs       a row per run: model, recipe, training scenario (train_…), outcome, times
epochs     a row per run and epoch: loss and accuracy on the training and validation parts
cells      a row per run, test scenario (test_…) and SNR: n, correct, accuracy
confusion  a row per run, test scenario, SNR, sent and recognised modulation: count
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from amc_core.errors import AmcError, suggest
from amc_core.run import Recipe
from amc_core.scenario import SCENARIO_FIELDS, scenario_from
from sweeps.store import CELL_SCHEMA, Store
from sweeps.study import Study, load_study

TABLES = ("runs", "epochs", "cells", "confusion")
TRAIN = [f"train_{name}" for name in SCENARIO_FIELDS]
RECIPE = [f.name for f in fields(Recipe)]
TEST = [f"test_{name}" for name in SCENARIO_FIELDS]

# What of its run stands beside every row of the other tables.
_IDENTITY = [
    "model",
    "hyperparameters",
    "seed",
    *TRAIN,
    "classes",
    "instances",
    "length",
    *RECIPE,
    "start",
    "parent",
]


def load(
    table: str, store: str | Path = "results", study: str | Study | None = None, scale: str | None = None
) -> pd.DataFrame:
    """One of the tables "runs", "epochs", "cells", "confusion".

    store: directory. study: path or name of a study, whose runs and cells alone are taken; None takes the whole
    store. scale: the scale at which that study was run. Rows are sorted by what they describe, so equal results
    are equal tables. An empty selection is an empty table with the same columns. Raises AmcError for an unknown
    table or study.
    """
    if table not in TABLES:
        raise AmcError(f"table {table!r} is not known{suggest(table, TABLES)}")
    selected = load_study(study, scale) if isinstance(study, str | Path) else study
    store = Store(store)
    keys = {run.key for run in selected.runs()} & store.trained() if selected else store.trained()
    runs = _runs(store, sorted(keys))
    if table == "runs":
        return _sorted(runs, [*_IDENTITY, "run"])
    if table == "epochs":
        return _epochs(store, runs)
    cells = {run.cell_key(test) for run in selected.runs() for test in selected.tests(run)} if selected else None
    return _cells(store, runs, cells) if table == "cells" else _confusion(store, runs, cells)


def wilson(correct: np.ndarray, n: np.ndarray, z: float = 1.959964) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's score interval of a proportion (95 % unless z says otherwise): lower and upper bound."""
    centre = (correct + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * np.sqrt(correct * (n - correct) / n + z**2 / 4)
    return centre - half, centre + half


def accuracy_by(cells: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Counts pooled over everything but `by` (SNRs and seeds, say), with accuracy and its 95 % Wilson interval."""
    pooled = cells.groupby(list(by), sort=True, dropna=False)[["n", "correct"]].sum().reset_index()
    low, high = wilson(pooled["correct"].to_numpy(float), pooled["n"].to_numpy(float))
    return pooled.assign(accuracy=pooled["correct"] / pooled["n"], accuracy_low=low, accuracy_high=high)


def varied(cells: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Those of `columns` that take more than one value for some model."""
    return [name for name in columns if cells.groupby("model")[name].nunique().max() > 1]


def train_test(cells: pd.DataFrame, rows: Sequence[str] | None = None, column: str | None = None) -> pd.DataFrame:
    """Accuracy of every training setting (rows) in every test setting (columns), pooled over SNRs and seeds.

    column: the field along the columns; by default the test field with most values. rows: by default the model
    and all other fields that vary.
    """
    if column is None:
        column = max(TEST, key=lambda name: cells[name].nunique())
    if rows is None:
        sizes = ["classes", "instances", "length"]
        settings = varied(cells, ["hyperparameters", "start", *TRAIN, *sizes, *RECIPE, *TEST, "test_length"])
        rows = ["model", *(name for name in settings if name != column)]
    pooled = accuracy_by(cells, [*rows, column])
    return pooled.pivot(index=list(rows), columns=column, values="accuracy")


def _columns(side: str, scenario: dict) -> dict:
    """A scenario's fields as columns "train_…" or "test_…"."""
    return {f"{side}_{name}": value for name, value in scenario_from(scenario).columns().items()}


def _sorted(table: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Sorted rows; a column of numbers and distributions has the numbers first."""
    return table.sort_values(
        by, key=lambda c: c.map(lambda v: (isinstance(v, str), v)) if c.dtype == object else c, ignore_index=True
    )


def _runs(store: Store, keys: list[str]) -> pd.DataFrame:
    rows = []
    for key in keys:
        record = store.run_record(key)
        dataset, recipe = record["dataset"], record["recipe"]
        outcome = ("parameters", "kept_epoch", "validation_accuracy", "seconds", "device", "host", "torch")
        rows.append(
            {
                "run": key,
                "model": record["model"],
                "hyperparameters": json.dumps(record["hyperparameters"], sort_keys=True),
                "seed": record["seed"],
                **_columns("train", dataset["scenario"]),
                "classes": len(dataset["modulations"]),
                **{name: dataset[name] for name in ("instances", "length")},
                **{name: recipe[name] for name in RECIPE},
                "start": _start(store, record),
                "parent": record["parent"] or "",
                **{name: record[name] for name in outcome},
                "started_at": pd.Timestamp(record["started_at"]),
                "finished_at": pd.Timestamp(record["finished_at"]),
                "modulations": dataset["modulations"],
            }
        )
    columns = ["run", *_IDENTITY, "parameters", "kept_epoch", "validation_accuracy"]
    columns += ["seconds", "device", "host", "torch", "started_at", "finished_at", "modulations"]
    return pd.DataFrame(rows, columns=columns)


def _start(store: Store, record: dict) -> str:
    """In what the training scenario differed from which the run's parent comes, as "channel=awgn"; "" without one."""
    if not record["parent"]:
        return ""
    own, start = (
        scenario_from(described["dataset"]["scenario"]).columns()
        for described in (record, store.run_record(record["parent"]))
    )
    return ", ".join(f"{name}={start[name]}" for name in own if start[name] != own[name]) or "the same setting"


def _epochs(store: Store, runs: pd.DataFrame) -> pd.DataFrame:
    frames = [store.epochs(key).to_pandas().assign(run=key) for key in runs["run"]]
    columns = ["run", "epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy"]
    columns += ["learning_rate", "instances_per_second", "micro_batch"]
    epochs = pd.concat(frames)[columns] if frames else pd.DataFrame(columns=columns)
    identity = runs[["run", *(name for name in _IDENTITY if name != "learning_rate")]].rename(
        columns={"epochs": "of_epochs"}
    )
    joined = identity.merge(epochs, on="run")
    return _sorted(joined, [*identity.columns[1:], "run", "epoch"])


def _cells(store: Store, runs: pd.DataFrame, selected: set[str] | None, counts: bool = False) -> pd.DataFrame:
    columns = [name for name in CELL_SCHEMA.names if counts or name != "confusion"]
    tables = list(store.cell_tables(runs["run"], columns))
    cells = pa.concat_tables(tables).to_pandas() if tables else pd.DataFrame(columns=columns)
    cells = cells.drop_duplicates(["cell", "snr_db"])
    scenarios = {text: _columns("test", json.loads(text)) for text in cells["test_scenario"].unique()}
    tests = pd.DataFrame(scenarios.values(), columns=TEST, index=list(scenarios))
    place = cells.columns.get_loc("test_scenario")
    for name in reversed(TEST):
        cells.insert(place, name, cells["test_scenario"].map(tests[name]))
    cells = cells.drop(columns="test_scenario")
    if selected is not None:
        cells = cells[cells["cell"].isin(selected)]
    joined = runs[["run", *_IDENTITY]].merge(cells, on="run")
    joined.insert(joined.columns.get_loc("correct") + 1, "accuracy", joined["correct"] / joined["n"])
    return _sorted(joined, [*_IDENTITY, *TEST, "test_length", "snr_db", "cell"])


def _confusion(store: Store, runs: pd.DataFrame, selected: set[str] | None) -> pd.DataFrame:
    cells = _cells(store, runs, selected, counts=True).drop(columns=["n", "correct", "accuracy"])
    names = runs.set_index("run")["modulations"]
    pairs = [[(sent, seen) for sent in names[run] for seen in names[run]] for run in cells["run"]]
    cells["sent"] = [[sent for sent, _ in pair] for pair in pairs]
    cells["recognised"] = [[recognised for _, recognised in pair] for pair in pairs]
    long = cells.rename(columns={"confusion": "count"}).explode(["sent", "recognised", "count"], ignore_index=True)
    return long.astype({"count": "int64"})
