"""The results of a study in a store: the object behind tables, queries, comparison, figures and report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from amc_core.errors import AmcError
from analysis.cells import read_cells, read_confusion, read_matrices
from analysis.columns import COLUMNS, EPOCH, OF_EPOCHS, Filters, checked, kept, sorted_rows
from analysis.runs import read_begun_runs, read_runs
from sweeps.planning import elsewhere
from sweeps.search import proposed
from sweeps.store import Store
from sweeps.study import Study, load_study, run_command


class Results:
    """The results of a study in a store, including a search's proposals so far; without a study, all results.

    study: a path, a shipped name, or a study; None takes the whole store. store: directory, bucket or `Store`. scale:
    the scale at which a named study was run. Each table is read when it is first used. Raises AmcError for a study that
    cannot be loaded.
    """

    def __init__(
        self, study: str | Path | Study | None = None, store: str | Path | Store = "results", scale: str | None = None
    ):
        self.store = store if isinstance(store, Store) else Store(store)
        study = load_study(str(study), scale) if isinstance(study, str | Path) else study
        self.study: Study | None = study and proposed(study, self.store)
        self.passed_over: set[str] = set()  # cells files that a query found damaged

    def table(self, table: str, columns: Sequence[str] | None = None, filters: Filters | None = None) -> pd.DataFrame:
        """One of the tables "runs", "epochs", "cells", "confusion", as `load` gives it."""
        columns, filters = checked(table, columns, filters)
        runs = self.described_runs
        if table == "epochs":
            begun, rows = read_begun_runs(self.store, self.study)
            begun = begun[~begun["run"].isin(runs["run"])]  # finished since the runs were read
            runs = (pd.concat([runs, begun]) if len(begun) else runs)[["run", *OF_EPOCHS]].rename(columns=OF_EPOCHS)
        runs = kept(runs, {name: filters.pop(name) for name in list(filters) if name in runs})
        if table == "runs":
            return runs[columns]
        if table == "epochs":
            return self._epochs_of(runs, rows, filters)[columns]
        read = read_cells if table == "cells" else read_confusion
        return read(self.store, runs, self.cell_keys, columns, filters)

    @cached_property
    def described_runs(self) -> pd.DataFrame:
        """The table "runs", with the scenarios and lengths of all trainings of a run as column `descent`."""
        return read_runs(self.store, self.study)

    @cached_property
    def cell_keys(self) -> set[str] | None:
        """Keys of the cells of the study; None for all cells of the store."""
        if self.study is None:
            return None
        return {run.cell_key(test) for run in self.study.runs() for test in self.study.tests(run)}

    @property
    def runs(self) -> pd.DataFrame:
        """The whole table "runs"."""
        return self.described_runs[COLUMNS["runs"]]

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """The whole table "epochs"."""
        return self.table("epochs")

    @cached_property
    def cells(self) -> pd.DataFrame:
        """The whole table "cells"."""
        return self.table("cells")

    def require_cells(self, name: str) -> pd.DataFrame:
        """The table "cells". Raises AmcError if it is empty, with the command that fills it.

        name: of the study on the command line.
        """
        if self.cells.empty:
            scale = self.study and self.study.scale
            command = run_command(name, self.store.path, scale)
            hint = elsewhere(name, self.store, scale)
            problem = f"store {str(self.store.path)!r} holds no cells of {name}{f' at {scale}' if scale else ''}"
            raise AmcError(f"{problem}; {hint}" if hint else f"{problem}: '{command}' computes them")
        return self.cells

    def matrices(self) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
        """For each run its key, and for its rows the cells' keys [rows], SNRs [rows], counts [rows, sent, recognised].

        Modulations are in the order of the column `modulations` of the table "runs".
        """
        return read_matrices(self.store, self.described_runs, self.cell_keys)

    def query(self, sql: str) -> pd.DataFrame:
        """The rows of one SELECT statement, see `analysis.query`."""
        from analysis.query import answer  # DuckDB takes a while to import

        return answer(sql, self)

    def _epochs_of(self, runs: pd.DataFrame, begun: pd.DataFrame, filters: Filters) -> pd.DataFrame:
        """begun: a row per epoch of the runs that are not finished."""
        finished = runs["run"][runs["weights"] != ""]
        frames = [table.to_pandas().assign(run=key) for key, table in self.store.epoch_tables(finished)]
        frames += [begun] if len(begun) else []
        epochs = pd.concat(frames).reindex(columns=["run", *EPOCH]) if frames else pd.DataFrame(columns=["run", *EPOCH])
        return kept(sorted_rows(runs.merge(epochs, on="run"), [*OF_EPOCHS.values(), "run", "epoch"]), filters)


def load(
    table: str,
    store: str | Path = "results",
    study: str | Study | None = None,
    scale: str | None = None,
    *,
    columns: Sequence[str] | None = None,
    filters: Filters | None = None,
) -> pd.DataFrame:
    """One of the four tables of a store: "runs", "epochs", "cells" or "confusion".

    `analysis.columns` describes the columns. Rows are sorted by what they describe, so equal results give equal tables.
    Memory is used only for the selected rows and columns. If nothing is selected, the table is empty and has the same
    columns.

    Parameters:
        table: The name of the table.
        store: A directory, or s3://bucket/prefix.
        study: The path or name of a study, whose runs and cells are selected; None takes the whole store.
        scale: The scale at which the study was run.
        columns: Names of columns, by default all.
        filters: Column → the value to keep, or a list of values. None keeps rows without a value.

    Returns:
        A pandas data frame. SNRs are in dB, sample rates in Hz, delays in s, accuracies fractions from 0 to 1.

    Raises:
        AmcError: The table, a column or the study is not known, or a filter's type is not that of its column.
    """
    columns, filters = checked(table, columns, filters)
    return Results(study, store, scale).table(table, columns, filters)
