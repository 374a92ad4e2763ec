"""The four tables of a store as pandas data frames.

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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from amc_core.errors import AmcError, suggest
from amc_core.modulations import MODULATION_SETS
from amc_core.run import Dataset, Recipe
from amc_core.scenario import SCENARIO_FIELDS, Mixture, Scenario, scenario_from
from analysis.settings import settings, trained_in
from sweeps.search import proposed
from sweeps.store import CELL_SCHEMA, RunRecord, Store
from sweeps.study import Study, load_study

TABLES = ("runs", "epochs", "cells", "confusion")
TRAIN = [f"train_{name}" for name in SCENARIO_FIELDS]
TEST = [f"test_{name}" for name in SCENARIO_FIELDS]
RECIPE = [f.name for f in fields(Recipe)]

# What of its run stands beside every row of the other tables.
IDENTITY = [
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
_OUTCOME = ["parameters", "kept_epoch", "validation_accuracy", "seconds"]
_PROCESS = ["device", "host", "torch", "threads", "vector_instructions", "precision"]  # of those that trained it
_EPOCH = ["epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy"]
_EPOCH += ["learning_rate", "instances_per_second", "micro_batch"]
# Of the run, in the table epochs; a learning rate may change from epoch to epoch.
_OF_EPOCHS = {name: "of_epochs" if name == "epochs" else name for name in IDENTITY if name != "learning_rate"}
_TEST_PART = ["test_modulation_set", "test_instances", "test_length"]
_TESTED = ["run", *IDENTITY, "cell", *TEST, *_TEST_PART, "setting", "snr_db"]

COLUMNS = {
    "runs": ["run", *IDENTITY, *_OUTCOME, *_PROCESS, "started_at", "finished_at", "modulations"],
    "epochs": ["run", *_OF_EPOCHS.values(), *_EPOCH],
    "cells": [*_TESTED, "n", "correct", "accuracy", "evaluated_at"],
    "confusion": [*_TESTED, "sent", "recognised", "count", "evaluated_at"],
}

_SCENARIO_TEXTS = [name for name, value in Scenario().columns().items() if isinstance(value, str)]
_TEXTS = {f"{side}_{name}" for side in ("train", "test") for name in _SCENARIO_TEXTS}
_TEXTS |= {
    "run",
    "cell",
    "test",
    "test_modulation_set",
    "model",
    "hyperparameters",
    "modulation_set",
    "start",
    "parent",
    *_PROCESS,
}
_TEXTS |= {"optimiser", "schedule", "keep", "retrain", "setting", "sent", "recognised"}

# Columns that each row of the cells files has of its own.
_OF_ROWS = {"confusion": {"test_modulation_set", "test_instances", "evaluated_at"}}
_OF_ROWS["cells"] = _OF_ROWS["confusion"] | {"n", "correct", "test", "right", "confidence"}
# Columns that come only where they are asked for: see `sweeps.store.CELL_SCHEMA`.
ASKED_FOR = {"cells": ["test", "right", "confidence"]}

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
        if name not in COLUMNS[table] and name not in ASKED_FOR.get(table, ()):
            raise AmcError(f"table {table!r} has no column {name!r}{suggest(name, COLUMNS[table])}")
    if len(set(columns)) < len(columns):
        raise AmcError(f"columns {columns} is not allowed: name each once")
    return columns, {name: [_plain_value(name, value) for value in _listed(filters[name])] for name in filters}


def _plain_value(name: str, value: Any) -> Any:
    """A value to filter a column by, as the table has it, None for NaN. Raises AmcError where it has no such values."""
    if name in ("modulations", "right", "confidence") or name.endswith("_at"):
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
    """The table "runs" of a study, or of all that is there, with what `settings` needs of a run as column `descent`."""
    chosen = {run.key for run in study.runs()} if study else None
    records = store.listing().records(chosen)
    rows, chains = [], []
    for key in sorted(records if chosen is None else chosen & records.keys()):
        record = records[key]
        chain = list(_chain(records, key))
        chains.append(chain[1:])
        dataset, recipe = record.dataset, record.recipe
        rows.append(
            {
                "run": key,
                "model": record.model,
                "hyperparameters": json.dumps(record.hyperparameters, sort_keys=True),
                "seed": record.seed,
                **scenario_columns("train", dataset.scenario),
                "classes": len(dataset.modulations),
                "modulation_set": modulation_set(dataset.modulations),
                **{name: getattr(dataset, name) for name in ("instances", "length")},
                "dataset_seed": dataset.seed,
                **{name: getattr(recipe, name) for name in RECIPE},
                "start": _start(record, records[record.parent]) if record.parent else "",
                "parent": record.parent or "",
                **{name: getattr(record, name) for name in _OUTCOME},
                **{name: record.of_processes(name) for name in _PROCESS},
                **{name: pd.to_datetime(getattr(record, name), utc=True) for name in ("started_at", "finished_at")},
                "modulations": list(dataset.modulations),
                "descent": [trained_in(start.scenario, start.length, how.min_length) for start, how in chain],
            }
        )
    _tell_apart(rows, chains)
    return _sorted(pd.DataFrame(rows, columns=[*COLUMNS["runs"], "descent"]), [*IDENTITY, "run"])


def modulation_set(names: Sequence[str]) -> str:
    """ "simple", "complex", …, or the names themselves."""
    return next((name for name, known in MODULATION_SETS.items() if tuple(known) == tuple(names)), ", ".join(names))


def _start(record: RunRecord, parent: RunRecord) -> str:
    """In what the training scenario of a run's parent differed from its own, as "channel=awgn"."""
    own, start = (each.dataset.scenario.columns() for each in (record, parent))
    return ", ".join(f"{name}={start[name]}" for name in own if start[name] != own[name]) or "the same setting"


def _chain(records: Mapping[str, RunRecord], key: str | None) -> Iterator[tuple[Dataset, Recipe]]:
    """What a run and those that it descends from were trained on and how, without seeds: the nearest first."""
    while key:
        record = records[key]
        yield record.dataset, record.recipe
        key = record.parent


def _descent_text(chain: list[tuple[Dataset, Recipe]]) -> str:
    return json.dumps([(dataset.as_dict(), asdict(recipe)) for dataset, recipe in chain], sort_keys=True)


def _tell_apart(rows: list[dict], chains: list[list[tuple[Dataset, Recipe]]]) -> None:
    """Where runs have the same `start` and their parents differ otherwise than in the seed, say in what."""
    alike = defaultdict(list)
    for row, chain in zip(rows, chains, strict=True):
        if chain:
            alike[row["start"]].append((row, chain[0][1], _descent_text(chain)))
    for group in alike.values():
        varying = [name for name in RECIPE if len({str(getattr(recipe, name)) for _, recipe, _ in group}) > 1]
        meant = defaultdict(set)  # text → descents that it stands for
        for row, recipe, descent in group:
            row["start"] += "".join(f", {name}={getattr(recipe, name)}" for name in varying)
            meant[row["start"]].add(descent)
        for row, _, descent in group:
            if len(meant[row["start"]]) > 1:
                row["start"] += f" ({hashlib.blake2b(descent.encode(), digest_size=2).hexdigest()})"


def _epochs(store: Store, runs: pd.DataFrame, filters: Filters) -> pd.DataFrame:
    frames = [table.to_pandas().assign(run=key) for key, table in store.epoch_tables(runs["run"])]
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
        if name == "test_modulation_set":
            return self._modulation_sets()
        if name in self.runs:
            return self.runs[name].take(self.run).array
        return self.tests[name].take(self.test).array if name in self.tests else self.rows[name].to_pandas().array

    def sent(self) -> tuple[np.ndarray, list[tuple[str, ...]]]:
        """For each row which modulations were sent: a place in the list of such, and that list."""
        own = [None if names is None else tuple(names) for names in self.rows["test_modulations"].to_pylist()]
        trained = [tuple(names) for names in self.runs["modulations"]]
        sets = [trained[run] if names is None else names for run, names in zip(self.run, own, strict=True)]
        known = {names: place for place, names in enumerate(dict.fromkeys(sets))}
        return np.array([known[names] for names in sets], np.int64), list(known)

    def _modulation_sets(self):
        place, sets = self.sent()
        return pd.Series([modulation_set(list(names)) for names in sets], dtype="str").take(place).array

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
    columns = ["test_modulations" if name == "test_modulation_set" else name for name in columns]
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
    counts = {"n", "correct"} if "accuracy" in wanted else set()
    tested = _tested(store, runs, cells, counts | (_OF_ROWS["cells"] & wanted), filters)
    left = {name: filters[name] for name in ("setting", "accuracy", *sorted(_OF_ROWS["cells"])) if name in filters}
    table = pd.DataFrame(
        {name: tested.column(name) for name in {**dict.fromkeys(columns), **left} if name != "accuracy"}
    )
    if "accuracy" in wanted:
        table["accuracy"] = tested.rows["correct"].to_numpy() / tested.rows["n"].to_numpy()
    return _kept(table, left)[columns]


def _confusion(store: Store, runs: pd.DataFrame, cells: set[str] | None, columns: list[str], filters: Filters):
    asked = _OF_ROWS["confusion"] & {*columns, *filters}
    tested = _tested(store, runs, cells, {"confusion", "test_modulations"} | asked - {"test_modulation_set"}, filters)
    place, sets = tested.sent()
    names = list(dict.fromkeys(name for listed in (*runs["modulations"], *sets) for name in listed))
    sent = [np.array([names.index(name) for name in listed], np.int16) for listed in sets]
    recognised = [np.array([names.index(name) for name in listed], np.int16) for listed in runs["modulations"]]
    # Rows of a run stand together, and so do those with the same modulations sent, nearly always.
    bounds = np.flatnonzero(np.diff(np.stack([tested.run, place]), prepend=-1, append=-1).any(axis=0))
    flat = {"sent": [np.empty(0, np.int16)], "recognised": [np.empty(0, np.int16)]}
    sizes = np.zeros(len(place), np.int64)
    for start, end in pairwise(bounds):
        rows, columns_ = sent[place[start]], recognised[tested.run[start]]
        flat["sent"].append(np.tile(np.repeat(rows, len(columns_)), end - start))
        flat["recognised"].append(np.tile(columns_, len(rows) * (end - start)))
        sizes[start:end] = len(rows) * len(columns_)
    flat = {name: np.concatenate(parts) for name, parts in flat.items()}
    row = np.repeat(np.arange(len(place)), sizes)
    count = tested.rows["confusion"].combine_chunks().flatten().to_numpy().astype(np.int64)
    keep = np.ones(len(row), bool)
    for name in ("sent", "recognised"):
        if name in filters:
            keep &= np.isin(flat[name], [names.index(value) for value in filters[name] if value in names])
    if not keep.all():
        row, count, flat = row[keep], count[keep], {name: values[keep] for name, values in flat.items()}
    own = {name: pd.Categorical.from_codes(values, names) for name, values in flat.items()} | {"count": count}
    left = {name: filters[name] for name in ("setting", "count", *sorted(_OF_ROWS["confusion"])) if name in filters}
    wanted = {**dict.fromkeys(columns), **left}
    table = pd.DataFrame({name: own[name] if name in own else tested.column(name).take(row) for name in wanted})
    return _kept(table, left)[columns]
