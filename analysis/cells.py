"""The tables of cells and of confusion counts, from the files of a store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from amc_core.scenario import Scenario
from amc_core.settings import covers, setting, varies
from analysis.columns import EVALUATED, OF_ROWS, TEST, Filters, kept, scenario_columns, sorted_rows
from analysis.runs import modulation_set
from sweeps.store import CELL_SCHEMA, Store
from sweeps.store.cells import merge, scenario_of
from sweeps.store.complaints import warn_once
from sweeps.store.record import process_of


@dataclass(frozen=True)
class Tested:
    """The selected rows of cells files, sorted, with their runs, tests and scenarios."""

    rows: pa.Table
    runs: pd.DataFrame
    run: np.ndarray  # for each row, its index in runs
    tests: pd.DataFrame  # a row per test scenario
    test: np.ndarray  # for each row, its index in tests
    scenarios: dict[str, Scenario]  # text in the column test_scenario → scenario

    def column(self, name: str):
        """A column with one value per row of the cells files."""
        if name == "setting":
            return self._settings()
        if name == "test_modulation_set":
            return self._modulation_sets()
        if name in EVALUATED:
            return self._evaluated(name)
        if name in self.runs:
            return self.runs[name].take(self.run).array
        return self.tests[name].take(self.test).array if name in self.tests else self.rows[name].to_pandas().array

    def sent(self) -> tuple[np.ndarray, list[tuple[str, ...]]]:
        """For each row the index of its set of sent modulations, and the list of these sets."""
        own = [None if names is None else tuple(names) for names in self.rows["test_modulations"].to_pylist()]
        trained = [tuple(names) for names in self.runs["modulations"]]
        sets = [trained[run] if names is None else names for run, names in zip(self.run, own, strict=True)]
        known = {names: index for index, names in enumerate(dict.fromkeys(sets))}
        return np.array([known[names] for names in sets], np.int64), list(known)

    def _modulation_sets(self):
        index, sets = self.sent()
        return pd.Series([modulation_set(list(names)) for names in sets], dtype="str").take(index).array

    def _evaluated(self, name: str):
        index, texts = pd.factorize(self.rows["process"].to_pandas(), use_na_sentinel=False)
        words = [process_of(text if isinstance(text, str) else None).in_words(EVALUATED[name]) for text in texts]
        return pd.Series(words, dtype="str").take(index).array

    def _settings(self):
        lengths, texts = self.rows["test_length"].to_numpy(), self.tests["test_scenario"].tolist()
        cells = np.stack([self.run, self.test, lengths])
        first = np.flatnonzero((np.diff(cells, prepend=-1) != 0).any(axis=0))  # rows of a cell are adjacent
        known, keys = settings(self.runs, self.scenarios, np.unique(lengths).tolist()), self.runs["run"].tolist()
        kinds = [
            known.get((keys[run], texts[test], length), "unseen") for run, test, length in cells[:, first].T.tolist()
        ]
        return (
            pd.Series(kinds, dtype="str")
            .take(np.repeat(np.arange(len(first)), np.diff(first, append=len(lengths))))
            .array
        )


def _read(store: Store, keys: Iterable[str], columns: list[str]) -> Iterator[pa.Table]:
    """The cells of each run; a cell that two launches computed at once comes only once.

    A run in one file has no cell twice. If a run is in several files, the earlier cell is kept, as in `sweeps.store`.
    """
    tables = store.cell_tables(keys, list(dict.fromkeys([*columns, "test", "evaluated_at"])))
    for _, files in groupby((table for table in tables if len(table)), key=lambda table: table["run"][0].as_py()):
        files = list(files)
        yield (merge(files) if len(files) > 1 else files[0]).select(columns)


def once(store: Store, keys: Iterable[str]) -> pa.Table:
    """All rows of the cells files of runs, each cell once."""
    return pa.concat_tables([CELL_SCHEMA.empty_table(), *_read(store, keys, CELL_SCHEMA.names)])


def _tested(store: Store, runs: pd.DataFrame, cells: set[str] | None, extra: set[str], filters: Filters) -> Tested:
    """The cells of runs that the filters keep; `extra`: columns besides those that identify cells."""
    columns = ["run", "cell", "test_scenario", "test_length", "snr_db", *sorted(extra)]
    source_of = {"test_modulation_set": "test_modulations", **dict.fromkeys(EVALUATED, "process")}
    columns = list(dict.fromkeys(source_of.get(name, name) for name in columns))
    numbers = [name for name in ("test_length", "snr_db") if name in filters]
    by_value = {name: pa.array(pd.Series(filters[name], dtype="float64"), pa.float64()) for name in numbers}
    if "cell" in filters:
        by_value["cell"] = pa.array(filters["cell"], pa.string())
    of_tests = {name: values for name, values in filters.items() if name in TEST}
    if cells is not None:
        by_value["cell"] = pa.array(sorted(cells & set(filters.get("cell", cells))), pa.string())
    scenarios: dict[str, Scenario] = {}
    columns_of: dict[str, dict] = {}  # text of a scenario → its columns
    kept_rows = [pa.schema([CELL_SCHEMA.field(name) for name in columns]).empty_table()]
    classes = dict(zip(runs["run"], runs["modulations"].map(len), strict=True)) if "confusion" in columns else {}
    for table in _read(store, runs["run"], columns):
        table = _fitting(table, classes, store) if classes else table
        texts = table["test_scenario"].unique().to_pylist()
        scenarios |= {text: scenario_of(text) for text in texts}
        columns_of |= {text: scenario_columns("test", scenarios[text]) for text in texts if text not in columns_of}
        keep = pc.is_in(table["test_scenario"], pa.array(_matching(columns_of, texts, of_tests), pa.string()))
        for name, values in by_value.items():
            keep = pc.and_(keep, pc.is_in(table[name].cast(values.type), values))
        kept_rows.append(table.filter(keep))
    rows = pa.concat_tables(kept_rows)
    tests = pd.DataFrame(columns_of.values(), columns=TEST).assign(test_scenario=list(columns_of))
    tests = sorted_rows(tests, [*TEST, "test_scenario"])
    run = pd.Index(runs["run"]).get_indexer(rows["run"].to_pandas())
    test = pd.Index(tests["test_scenario"]).get_indexer(rows["test_scenario"].to_pandas())
    cell = pd.factorize(rows["cell"].to_pandas(), sort=True)[0]
    order = np.lexsort((cell, rows["snr_db"].to_numpy(), rows["test_length"].to_numpy(), test, run))
    return Tested(rows.take(order), runs, run[order], tests, test[order], scenarios)


def _fitting(table: pa.Table, classes: Mapping[str, int], store: Store) -> pa.Table:
    """The cells of a run whose counts fit the modulations that it was trained on; others are reported."""
    key = table["run"][0].as_py()
    sent = pc.coalesce(pc.list_value_length(table["test_modulations"]), pa.scalar(classes[key], pa.int32()))
    fits = pc.equal(pc.list_value_length(table["confusion"]), pc.multiply(sent, classes[key])).fill_null(False)
    if not pc.all(fits).as_py():
        warn_once(
            f"{store.path}/runs/{key} holds counts that do not fit the modulations in its run.json: they are left out"
        )
    return table.filter(fits)


def settings(
    runs: pd.DataFrame, tests: Mapping[str, Scenario], lengths: Iterable[int]
) -> dict[tuple[str, str, int], str]:
    """(run, key in tests, length) → its setting; a missing one is unseen. runs: of `read_runs`."""
    keys, lengths = defaultdict(list), list(lengths)
    for key, scenario in tests.items():
        keys[scenario].append(key)
    known_to = {}  # training scenario → test scenarios that it equals or covers
    kinds = {}
    for run, descent in zip(runs["run"], runs["descent"], strict=True):
        for training in {scenario for scenarios, _ in descent for scenario in scenarios}:
            if training not in known_to:
                covered = [test for test in keys if covers(training, test)] if varies(training) else [training]
                known_to[training] = [test for test in covered if test in keys]
            for scenario in known_to[training]:
                by_length = {length: setting(scenario, length, descent) for length in lengths}
                kinds |= {(run, key, length): by_length[length] for key in keys[scenario] for length in lengths}
    return kinds


def _matching(scenarios: dict[str, dict], texts: list[str], filters: Filters) -> list[str]:
    values_of = {
        text: {name: None if value != value else value for name, value in scenarios[text].items()} for text in texts
    }
    return [text for text in texts if all(values_of[text][name] in values for name, values in filters.items())]


def read_cells(store: Store, runs: pd.DataFrame, cells: set[str] | None, columns: list[str], filters: Filters):
    wanted = {*columns, *filters}
    counts = {"n", "correct"} if "accuracy" in wanted else set()
    tested = _tested(store, runs, cells, counts | (OF_ROWS["cells"] & wanted), filters)
    left = {name: filters[name] for name in ("setting", "accuracy", *sorted(OF_ROWS["cells"])) if name in filters}
    table = pd.DataFrame(
        {name: tested.column(name) for name in {**dict.fromkeys(columns), **left} if name != "accuracy"}
    )
    if "accuracy" in wanted:
        with np.errstate(invalid="ignore"):  # of modulations that were all never trained there is none
            table["accuracy"] = tested.rows["correct"].to_numpy() / tested.rows["n"].to_numpy()
    return kept(table, left)[columns]


def read_confusion(store: Store, runs: pd.DataFrame, cells: set[str] | None, columns: list[str], filters: Filters):
    asked = OF_ROWS["confusion"] & {*columns, *filters}
    tested = _tested(store, runs, cells, {"confusion", "test_modulations"} | asked - {"test_modulation_set"}, filters)
    index, sets = tested.sent()
    names = list(dict.fromkeys(name for listed in (*runs["modulations"], *sets) for name in listed))
    sent = [np.array([names.index(name) for name in listed], np.int16) for listed in sets]
    recognised = [np.array([names.index(name) for name in listed], np.int16) for listed in runs["modulations"]]
    # Rows of a run are adjacent, and so, nearly always, are rows with the same modulations sent.
    bounds = np.flatnonzero(np.diff(np.stack([tested.run, index]), prepend=-1, append=-1).any(axis=0))
    flat = {"sent": [np.empty(0, np.int16)], "recognised": [np.empty(0, np.int16)]}
    sizes = np.zeros(len(index), np.int64)
    for start, end in pairwise(bounds):
        rows, columns_ = sent[index[start]], recognised[tested.run[start]]
        flat["sent"].append(np.tile(np.repeat(rows, len(columns_)), end - start))
        flat["recognised"].append(np.tile(columns_, len(rows) * (end - start)))
        sizes[start:end] = len(rows) * len(columns_)
    flat = {name: np.concatenate(parts) for name, parts in flat.items()}
    row = np.repeat(np.arange(len(index)), sizes)
    count = tested.rows["confusion"].combine_chunks().flatten().to_numpy().astype(np.int64)
    keep = np.ones(len(row), bool)
    for name in ("sent", "recognised"):
        if name in filters:
            keep &= np.isin(flat[name], [names.index(value) for value in filters[name] if value in names])
    if not keep.all():
        row, count, flat = row[keep], count[keep], {name: values[keep] for name, values in flat.items()}
    own = {name: pd.Categorical.from_codes(values, names) for name, values in flat.items()} | {"count": count}
    left = {name: filters[name] for name in ("setting", "count", *sorted(OF_ROWS["confusion"])) if name in filters}
    wanted = {**dict.fromkeys(columns), **left}
    table = pd.DataFrame({name: own[name] if name in own else tested.column(name).take(row) for name in wanted})
    return kept(table, left)[columns]


def read_matrices(
    store: Store, runs: pd.DataFrame, cells: set[str] | None
) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """For each run its key, and for its rows the cells' keys [rows], SNRs [rows] and counts [rows, sent, recognised].

    Tests with modulations that were not trained are left out; counts of modulations that were not sent are zero.
    """
    for number, trained in enumerate(runs["modulations"]):
        own = runs.iloc[[number]].reset_index(drop=True)
        rows = _tested(store, own, cells, {"confusion", "test_modulations"}, {}).rows
        index = {name: row for row, name in enumerate(trained)}
        sent = [trained if names is None else names for names in rows["test_modulations"].to_pylist()]
        known = np.array([all(name in index for name in names) for names in sent], bool)
        rows, sent = rows.filter(pa.array(known)), [names for names, own in zip(sent, known, strict=True) if own]
        level = np.repeat(np.arange(len(sent)), [len(names) for names in sent])
        counts = np.zeros((len(sent), len(trained), len(trained)), np.int64)
        flat = rows["confusion"].combine_chunks().flatten().to_numpy().reshape(-1, len(trained))
        counts[level, [index[name] for names in sent for name in names]] = flat
        keys, snrs = rows["cell"].to_pandas().to_numpy(), rows["snr_db"].to_numpy()
        yield runs["run"].iloc[number], keys, snrs, counts
