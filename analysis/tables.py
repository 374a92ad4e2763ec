"""The four tables of a store as pandas data frames, and what is read off them: pivots, drops, thresholds.

runs       a row per run: model, recipe, training scenario (train_…), outcome, times
epochs     a row per run and epoch: loss and accuracy on the training and validation parts
cells      a row per run, test scenario (test_…) and SNR: n, correct, accuracy
confusion  a row per run, test scenario, SNR, sent and recognised modulation: count

In cells and confusion, `setting` tells what the test scenario is to the run: "trained", "seen" or "unseen".
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from amc_core.errors import AmcError, require_known, suggest
from amc_core.modulations import MODULATION_SETS
from amc_core.run import Recipe, Run
from amc_core.scenario import SCENARIO_FIELDS, Mixture, Scenario, scenario_from
from sweeps.search import proposed
from sweeps.store import CELL_SCHEMA, Store
from sweeps.study import Study, load_study

TABLES = ("runs", "epochs", "cells", "confusion")
TRAIN = [f"train_{name}" for name in SCENARIO_FIELDS]
TEST = [f"test_{name}" for name in SCENARIO_FIELDS]
RECIPE = [f.name for f in fields(Recipe)]

# What of its run stands beside every row of the other tables.
_IDENTITY = [
    "model",
    "hyperparameters",
    "seed",
    *TRAIN,
    "classes",
    "modulation_set",
    "instances",
    "length",
    "dataset_seed",
    *RECIPE,
    "start",
    "parent",
]
_OUTCOME = ["parameters", "kept_epoch", "validation_accuracy", "seconds", "device", "host", "torch"]
_EPOCH = ["epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy"]
_EPOCH += ["learning_rate", "instances_per_second", "micro_batch"]
# Of the run, in the table epochs; a learning rate may change from epoch to epoch.
_OF_EPOCHS = {name: "of_epochs" if name == "epochs" else name for name in _IDENTITY if name != "learning_rate"}
_TESTED = ["run", *_IDENTITY, "cell", *TEST, "test_length", "setting", "snr_db"]

COLUMNS = {
    "runs": ["run", *_IDENTITY, *_OUTCOME, "started_at", "finished_at", "modulations"],
    "epochs": ["run", *_OF_EPOCHS.values(), *_EPOCH],
    "cells": [*_TESTED, "n", "correct", "accuracy", "evaluated_at"],
    "confusion": [*_TESTED, "sent", "recognised", "count", "evaluated_at"],
}

_SCENARIO_TEXTS = [name for name, value in Scenario().columns().items() if isinstance(value, str)]
_TEXTS = {f"{side}_{name}" for side in ("train", "test") for name in _SCENARIO_TEXTS}
_TEXTS |= {"run", "cell", "model", "hyperparameters", "modulation_set", "start", "parent", "device", "host", "torch"}
_TEXTS |= {"optimiser", "schedule", "keep", "retrain", "setting", "sent", "recognised"}

Filters = Mapping[str, Any]  # column → the value that rows have there, or the list of those they may have


def load(
    table: str,
    store: str | Path = "results",
    study: str | Study | None = None,
    scale: str | None = None,
    *,
    columns: Sequence[str] | None = None,
    filters: Filters | None = None,
) -> pd.DataFrame:
    """One of the tables "runs", "epochs", "cells", "confusion".

    store: directory. study: path or name of a study, whose runs and cells alone are taken; None takes the whole
    store. scale: the scale at which that study was run. columns: those that are wanted, by default all. filters:
    column → the value or the list of values to keep, None for where there is none. Runs, rows and columns that are
    not asked for are not read, or let go file by file. Rows are sorted by what they describe, so equal results are
    equal tables. An empty selection is an empty table with the same columns. Raises AmcError for an unknown table,
    column or study, and for a filter of a type that its column does not hold.
    """
    if table not in TABLES:
        raise AmcError(f"table {table!r} is not known{suggest(table, TABLES)}")
    columns, filters = _checked(table, COLUMNS[table] if columns is None else columns, filters or {})
    selected = load_study(study, scale) if isinstance(study, str | Path) else study
    store = Store(store)
    selected = selected and proposed(selected, store)
    runs = read_runs(store, selected)
    if table == "epochs":
        runs = runs[["run", *_OF_EPOCHS]].rename(columns=_OF_EPOCHS)
    of_runs = {name: filters.pop(name) for name in list(filters) if name in runs}
    runs = _kept(runs, of_runs)
    if table == "runs":
        return runs[columns]
    if table == "epochs":
        return _epochs(store, runs, filters)[columns]
    cells = {run.cell_key(test) for run in selected.runs() for test in selected.tests(run)} if selected else None
    return (_cells if table == "cells" else _confusion)(store, runs, cells, columns, filters)


def _checked(table: str, columns: Any, filters: Any) -> tuple[list[str], dict[str, list]]:
    """Columns and the lists of values to keep. Raises AmcError for unknown columns and for values of another type."""
    if isinstance(columns, str) or not isinstance(columns, Iterable):
        raise AmcError(f"columns {columns!r} is not allowed: give a list of names, such as ['model', 'accuracy']")
    if not isinstance(filters, Mapping):
        raise AmcError(f"filters {filters!r} is not allowed: it is a mapping such as {{'model': 'cnn1d'}}")
    columns = list(columns)
    for name in (*columns, *filters):
        if name not in COLUMNS[table]:
            raise AmcError(f"table {table!r} has no column {name!r}{suggest(name, COLUMNS[table])}")
    if len(set(columns)) < len(columns):
        raise AmcError(f"columns {columns} is not allowed: name each once")
    return columns, {name: [_plain_value(name, value) for value in _listed(filters[name])] for name in filters}


def _plain_value(name: str, value: Any) -> Any:
    """A value to filter a column by, as the table has it, None for NaN. Raises AmcError where it has no such values."""
    if name == "modulations" or name.endswith("_at"):
        raise AmcError(f"filter {name!r} is not allowed: filter the data frame that load gives by this column")
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or value != value:
        return None
    text, truth = isinstance(value, str), isinstance(value, bool)
    number = isinstance(value, int | float) and not truth and abs(value) < 1e300
    if name == "fresh":
        right, kind = truth, "true and false"
    elif name in _TEXTS:
        right, kind = text, "texts"
    elif name in (*TRAIN, *TEST):  # "uniform(0.1, 0.5)", "4 + 8"
        right, kind = number or (text and not _is_number(value)), "numbers, and texts for distributions and mixtures"
    else:
        right, kind = number, "numbers"
    if not right:
        raise AmcError(
            f"filter {name!r}: {value!r} is not allowed: the column holds {kind}; give one, or a list of those to keep"
        )
    return value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


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
    of_runs = [name for name in _IDENTITY if name not in ("model", "seed", "parent")]
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


Descent = Sequence[tuple[Collection[Scenario], range]]  # scenarios and lengths of training, of a run and its ancestors


def setting(scenario: Scenario, length: int, descent: Descent) -> str:
    """What a test scenario and a length in samples are to a run: "trained", "seen" or "unseen".

    "trained": the run itself was trained there; on a mixture in each of its parts, with random lengths from the
    shortest to the longest. "unseen": neither the run nor one that it descends from was trained in the scenario, at
    whatever length. "seen": what is left, a scenario of an ancestor or another length.
    """
    scenarios, lengths = descent[0]
    if scenario in scenarios and length in lengths:
        return "trained"
    return "seen" if any(scenario in scenarios for scenarios, _ in descent) else "unseen"


def descent_of(run: Run) -> Descent:
    """Of a run and those that it descends from, the nearest first: the scenarios and lengths of their training."""
    own = _trained_in(run.dataset.scenario, run.dataset.length, run.recipe.min_length)
    return [own, *(descent_of(run.parent) if run.parent else ())]


def settings(
    runs: pd.DataFrame, tests: Mapping[str, Scenario], lengths: Iterable[int]
) -> dict[tuple[str, str, int], str]:
    """(run, key in tests, length) → its setting; all that are missing are unseen. runs: of `read_runs`."""
    keys, lengths = defaultdict(list), list(lengths)
    for key, scenario in tests.items():
        keys[scenario].append(key)
    return {
        (run, key, length): setting(scenario, length, descent)
        for run, descent in zip(runs["run"], runs["descent"], strict=True)
        for scenario in {scenario for scenarios, _ in descent for scenario in scenarios}
        for key in keys.get(scenario, ())
        for length in lengths
    }


def _trained_in(scenario: Scenario | Mixture, length: int, min_length: int | None) -> tuple[frozenset[Scenario], range]:
    return frozenset(scenario.components), range(min_length or length, length + 1)


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
    run = pd.util.hash_pandas_object(cells[[name for name in _IDENTITY if name in cells]], index=False)
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
        reached = {name: _first_at(snrs, curve[bound].to_numpy(float), target) for name, bound in curves.items()}
        rows.append(dict(zip(by, values, strict=True)) | reached)
    return pd.DataFrame(rows, columns=[*by, *curves])


def _first_at(x: np.ndarray, y: np.ndarray, target: float) -> float:
    """Where the line through (x, y), x ascending, first reaches target."""
    reached = np.flatnonzero(y >= target)
    if not len(reached):
        return np.nan
    i = reached[0]
    if i == 0:
        return float(x[0])
    return float(x[i - 1] + (x[i] - x[i - 1]) * (target - y[i - 1]) / (y[i] - y[i - 1]))


def scenario_columns(side: str, scenario: Scenario | Mixture) -> dict:
    """A scenario's fields as columns "train_…" or "test_…"."""
    return {f"{side}_{name}": value for name, value in scenario.columns().items()}


def _sorted(table: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Sorted rows; a column of numbers and distributions has the numbers first."""
    return table.sort_values(
        by, key=lambda c: c.map(lambda v: (isinstance(v, str), v)) if c.dtype == object else c, ignore_index=True
    )


def _kept(table: pd.DataFrame, filters: Filters) -> pd.DataFrame:
    """The rows with a wanted value in every filtered column."""
    keep = np.ones(len(table), bool)
    for name, wanted in filters.items():
        keep &= (table[name].isin(wanted) | (table[name].isna() & (None in wanted))).to_numpy()
    return table[keep].reset_index(drop=True)


def _listed(values: Any) -> list:
    return [values] if isinstance(values, str | bytes | Mapping) or not np.iterable(values) else list(values)


def read_runs(store: Store, study: Study | None) -> pd.DataFrame:
    """The table "runs" of a study, or of all that is there, with what `setting` needs of a run as column `descent`."""
    keys = sorted({run.key for run in study.runs()} & store.trained() if study else store.trained())
    rows, chains, record_of = [], [], cache(store.run_record)  # runs share the records of what they start from
    for key in keys:
        record = record_of(key)
        chain = list(_chain(record_of, key))
        chains.append(chain[1:])
        dataset, recipe = record["dataset"], record["recipe"]
        rows.append(
            {
                "run": key,
                "model": record["model"],
                "hyperparameters": json.dumps(record["hyperparameters"], sort_keys=True),
                "seed": record["seed"],
                **scenario_columns("train", scenario_from(dataset["scenario"])),
                "classes": len(dataset["modulations"]),
                "modulation_set": _modulation_set(dataset["modulations"]),
                **{name: dataset[name] for name in ("instances", "length")},
                "dataset_seed": dataset["seed"],
                **{name: recipe[name] for name in RECIPE},
                "start": _start(record, record_of(record["parent"])) if record["parent"] else "",
                "parent": record["parent"] or "",
                **{name: record[name] for name in _OUTCOME},
                "started_at": pd.Timestamp(record["started_at"]),
                "finished_at": pd.Timestamp(record["finished_at"]),
                "modulations": dataset["modulations"],
                "descent": [
                    _trained_in(scenario_from(start["scenario"]), start["length"], how["min_length"])
                    for start, how in chain
                ],
            }
        )
    _tell_apart(rows, chains)
    return _sorted(pd.DataFrame(rows, columns=[*COLUMNS["runs"], "descent"]), [*_IDENTITY, "run"])


def _modulation_set(names: list[str]) -> str:
    """ "simple", "complex", …, or the names themselves."""
    return next((name for name, known in MODULATION_SETS.items() if list(known) == names), ", ".join(names))


def _start(record: dict, parent: dict) -> str:
    """In what the training scenario of a run's parent differed from its own, as "channel=awgn"."""
    own, start = (scenario_from(each["dataset"]["scenario"]).columns() for each in (record, parent))
    return ", ".join(f"{name}={start[name]}" for name in own if start[name] != own[name]) or "the same setting"


def _chain(record_of: Callable[[str], dict], key: str | None) -> Iterator[tuple[dict, dict]]:
    """What a run and those that it descends from were trained on and how, without seeds: the nearest first."""
    while key:
        record = record_of(key)
        yield record["dataset"], record["recipe"]
        key = record["parent"]


def _tell_apart(rows: list[dict], chains: list[list[tuple[dict, dict]]]) -> None:
    """Where runs have the same `start` and their parents differ otherwise than in the seed, say in what."""
    alike = defaultdict(list)
    for row, chain in zip(rows, chains, strict=True):
        if chain:
            alike[row["start"]].append((row, chain[0][1], json.dumps(chain, sort_keys=True)))
    for group in alike.values():
        varying = [name for name in RECIPE if len({str(recipe[name]) for _, recipe, _ in group}) > 1]
        meant = defaultdict(set)  # text → descents that it stands for
        for row, recipe, descent in group:
            row["start"] += "".join(f", {name}={recipe[name]}" for name in varying)
            meant[row["start"]].add(descent)
        for row, _, descent in group:
            if len(meant[row["start"]]) > 1:
                row["start"] += f" ({hashlib.blake2b(descent.encode(), digest_size=2).hexdigest()})"


def _epochs(store: Store, runs: pd.DataFrame, filters: Filters) -> pd.DataFrame:
    frames = [store.epochs(key).to_pandas().assign(run=key) for key in runs["run"]]
    epochs = pd.concat(frames)[["run", *_EPOCH]] if frames else pd.DataFrame(columns=["run", *_EPOCH])
    return _kept(_sorted(runs.merge(epochs, on="run"), [*_OF_EPOCHS.values(), "run", "epoch"]), filters)


@dataclass(frozen=True)
class _Tested:
    """Rows of the cells files that are wanted, sorted, and what they stand for."""

    rows: pa.Table
    runs: pd.DataFrame
    run: np.ndarray  # of each row, its place in runs
    tests: pd.DataFrame  # a row per test scenario
    test: np.ndarray  # of each row, its place in tests
    scenarios: dict[str, Scenario]  # test_scenario → what it stands for

    def column(self, name: str):
        """A column that has one value per row of the cells files."""
        if name == "setting":
            return self._settings()
        if name in self.runs:
            return self.runs[name].take(self.run).array
        return self.tests[name].take(self.test).array if name in self.tests else self.rows[name].to_pandas().array

    def _settings(self):
        lengths, texts = self.rows["test_length"].to_numpy(), self.tests["test_scenario"].tolist()
        place = np.stack([self.run, self.test, lengths])
        first = np.flatnonzero((np.diff(place, prepend=-1) != 0).any(axis=0))  # rows of a cell stand together
        known, keys = settings(self.runs, self.scenarios, np.unique(lengths).tolist()), self.runs["run"].tolist()
        told = [
            known.get((keys[run], texts[test], length), "unseen") for run, test, length in place[:, first].T.tolist()
        ]
        return (
            pd.Series(told, dtype="str")
            .take(np.repeat(np.arange(len(first)), np.diff(first, append=len(lengths))))
            .array
        )


def _tested(store: Store, runs: pd.DataFrame, cells: set[str] | None, extra: set[str], filters: Filters) -> _Tested:
    """What the filters keep of the cells of runs, each once; `extra` columns beside those that tell cells apart."""
    columns = ["run", "cell", "test_scenario", "test_length", "snr_db", *sorted(extra)]
    numbers = [name for name in ("test_length", "snr_db") if name in filters]
    by_value = {name: pa.array(pd.Series(filters[name], dtype="float64"), pa.float64()) for name in numbers}
    if "cell" in filters:
        by_value["cell"] = pa.array(filters["cell"], pa.string())
    of_tests = {name: values for name, values in filters.items() if name in TEST}
    if cells is not None:
        by_value["cell"] = pa.array(sorted(cells & set(filters.get("cell", cells))), pa.string())
    scenarios: dict[str, Scenario] = {}
    told: dict[str, dict] = {}  # as columns
    kept = [pa.schema([CELL_SCHEMA.field(name) for name in columns]).empty_table()]
    for table in store.cell_tables(runs["run"], columns):
        found = table["test_scenario"].unique().to_pylist()
        scenarios |= {text: scenario_from(json.loads(text)) for text in found if text not in scenarios}
        told |= {text: scenario_columns("test", scenarios[text]) for text in found if text not in told}
        keep = pc.is_in(table["test_scenario"], pa.array(_matching(told, found, of_tests), pa.string()))
        for name, values in by_value.items():
            keep = pc.and_(keep, pc.is_in(table[name].cast(values.type), values))
        kept.append(table.select(columns).filter(keep))
    rows = pa.concat_tables(kept)
    tests = pd.DataFrame(told.values(), columns=TEST).assign(test_scenario=list(told))
    tests = _sorted(tests, [*TEST, "test_scenario"])
    run = pd.Index(runs["run"]).get_indexer(rows["run"].to_pandas())
    test = pd.Index(tests["test_scenario"]).get_indexer(rows["test_scenario"].to_pandas())
    cell = pd.factorize(rows["cell"].to_pandas(), sort=True)[0]
    order = np.lexsort((cell, rows["snr_db"].to_numpy(), rows["test_length"].to_numpy(), test, run))
    first = ~pd.DataFrame({"cell": cell[order], "snr_db": rows["snr_db"].to_numpy()[order]}).duplicated().to_numpy()
    order = order[first]
    return _Tested(rows.take(order), runs, run[order], tests, test[order], scenarios)


def _matching(scenarios: dict[str, dict], texts: list[str], filters: Filters) -> list[str]:
    told = {
        text: {name: None if value != value else value for name, value in scenarios[text].items()} for text in texts
    }
    return [text for text in texts if all(told[text][name] in values for name, values in filters.items())]


def _cells(store: Store, runs: pd.DataFrame, cells: set[str] | None, columns: list[str], filters: Filters):
    wanted = {*columns, *filters}
    counts = {"n", "correct"} if "accuracy" in wanted else {"n", "correct"} & wanted
    tested = _tested(store, runs, cells, counts | ({"evaluated_at"} & wanted), filters)
    left = {name: filters[name] for name in ("setting", "n", "correct", "accuracy", "evaluated_at") if name in filters}
    table = pd.DataFrame(
        {name: tested.column(name) for name in {**dict.fromkeys(columns), **left} if name != "accuracy"}
    )
    if "accuracy" in wanted:
        table["accuracy"] = tested.rows["correct"].to_numpy() / tested.rows["n"].to_numpy()
    return _kept(table, left)[columns]


def _confusion(store: Store, runs: pd.DataFrame, cells: set[str] | None, columns: list[str], filters: Filters):
    tested = _tested(store, runs, cells, {"confusion"} | ({"evaluated_at"} & {*columns, *filters}), filters)
    names = list(dict.fromkeys(name for listed in runs["modulations"] for name in listed))
    place = np.arange(tested.rows.num_rows)
    # The modulations of a run, in the order of its counts; rows of a run stand together.
    codes = [np.array([names.index(name) for name in listed], np.int16) for listed in runs["modulations"]]
    rows_of = np.bincount(tested.run, minlength=len(codes))
    flat = {
        "sent": [np.tile(np.repeat(code, len(code)), m) for code, m in zip(codes, rows_of, strict=True)],
        "recognised": [np.tile(code, len(code) * m) for code, m in zip(codes, rows_of, strict=True)],
    }
    flat = {name: np.concatenate([np.empty(0, np.int16), *parts]) for name, parts in flat.items()}
    sizes = np.array([len(code) ** 2 for code in codes], np.int64)[tested.run]
    row = np.repeat(place, sizes)
    count = tested.rows["confusion"].combine_chunks().flatten().to_numpy().astype(np.int64)
    keep = np.ones(len(row), bool)
    for name in ("sent", "recognised"):
        if name in filters:
            keep &= np.isin(flat[name], [names.index(value) for value in filters[name] if value in names])
    if not keep.all():
        row, count, flat = row[keep], count[keep], {name: values[keep] for name, values in flat.items()}
    own = {name: pd.Categorical.from_codes(values, names) for name, values in flat.items()} | {"count": count}
    left = {name: filters[name] for name in ("setting", "count", "evaluated_at") if name in filters}
    wanted = {**dict.fromkeys(columns), **left}
    table = pd.DataFrame({name: own[name] if name in own else tested.column(name).take(row) for name in wanted})
    return _kept(table, left)[columns]
