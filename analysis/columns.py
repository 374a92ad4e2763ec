"""The columns of the four tables, and the checks of columns and filters.

runs       a row per run: model, recipe, training scenario (train_…), outcome, times
epochs     a row per run and epoch: loss and accuracy on the training and validation parts
cells      a row per run, test scenario (test_…) and SNR: n, correct, accuracy
confusion  a row per run, test scenario, SNR, sent and recognised modulation: count

In cells and confusion, `setting` is the relation of the test scenario to the run, see `amc_core.settings`. `stage` is
the name of the run's stage in the study; in tables without a study, it is the number of runs from which the run
descends, as `ancestors` is everywhere. `code` is the digest of the user's own network, empty for one of ours. `weights`
is equal for runs that ended in equal weights. `device`, `host`, `torch`, `threads` and `vector_instructions` describe
the processes that trained a run; in cells, `evaluated_…` describe the one that evaluated the cell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd

from amc_core.errors import AmcError, suggest
from amc_core.run import Recipe
from amc_core.scenario import SCENARIO_FIELDS, Mixture, Scenario

TABLES = ("runs", "epochs", "cells", "confusion")
TRAIN = [f"train_{name}" for name in SCENARIO_FIELDS]
TEST = [f"test_{name}" for name in SCENARIO_FIELDS]
RECIPE = [f.name for f in fields(Recipe)]

# Columns of a run that every row of the other tables has too.
IDENTITY = [
    "model",
    "code",
    "hyperparameters",
    "seed",
    *TRAIN,
    "classes",
    "modulation_set",
    "instances",
    "length",
    "dataset_seed",
    "split",
    *RECIPE,
    "start",
    "parent",
    "stage",
    "ancestors",
    "weights",
]
OUTCOME = ["parameters", "kept_epoch", "validation_accuracy", "seconds"]
PROCESS = ["device", "host", "torch", "threads", "vector_instructions"]  # of those that trained it
EVALUATED = {f"evaluated_{name}": name for name in PROCESS}  # of the one that evaluated a cell
EPOCH = ["epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy"]
EPOCH += ["learning_rate", "instances_per_second", "micro_batch"]
# Columns of the run in the table epochs; the learning rate there is that of the epoch.
OF_EPOCHS = {name: "of_epochs" if name == "epochs" else name for name in IDENTITY if name != "learning_rate"}
_TEST_PART = ["test_modulation_set", "test_instances", "test_length"]
_TESTED = ["run", *IDENTITY, "cell", *TEST, *_TEST_PART, "setting", "snr_db"]

COLUMNS = {
    "runs": ["run", *IDENTITY, *OUTCOME, *PROCESS, "started_at", "finished_at", "modulations"],
    "epochs": ["run", *OF_EPOCHS.values(), *EPOCH],
    "cells": [*_TESTED, "n", "correct", "accuracy", "evaluated_at", *EVALUATED],
    "confusion": [*_TESTED, "sent", "recognised", "count", "evaluated_at"],
}

_SCENARIO_TEXTS = [name for name, value in Scenario().columns().items() if isinstance(value, str)]
_TEXTS = {f"{side}_{name}" for side in ("train", "test") for name in _SCENARIO_TEXTS}
_TEXTS |= {
    "run",
    "cell",
    "test",
    "test_modulation_set",
    "stage",
    "weights",
    "model",
    "code",
    "hyperparameters",
    "modulation_set",
    "start",
    "parent",
    *PROCESS,
    *EVALUATED,
}
_TEXTS |= {"split", "optimiser", "schedule", "keep", "retrain", "setting", "sent", "recognised"}

# Columns that are stored in each row of the cells files.
OF_ROWS = {"confusion": {"test_modulation_set", "test_instances", "evaluated_at"}}
OF_ROWS["cells"] = OF_ROWS["confusion"] | {*EVALUATED, "n", "correct", "test", "right", "confidence"}
# Columns that are returned only if they are named, see `sweeps.store.CELL_SCHEMA`.
ASKED_FOR = {"cells": ["test", "right", "confidence"]}

Filters = Mapping[str, Any]  # column → the value that rows must have, or the list of allowed values


def checked(table: str, columns: Sequence[str] | None, filters: Filters | None) -> tuple[list[str], dict[str, list]]:
    """Columns, by default all, and the lists of values to keep.

    Raises AmcError for an unknown table, unknown columns, and values of another type than the column holds.
    """
    if table not in TABLES:
        raise AmcError(f"table {table!r} is not known{suggest(table, TABLES)}")
    columns, filters = COLUMNS[table] if columns is None else columns, filters or {}
    if isinstance(columns, str) or not isinstance(columns, Iterable):
        raise AmcError(f"columns {columns!r} is not allowed: give a list of names, such as ['model', 'accuracy']")
    if not isinstance(filters, Mapping):
        raise AmcError(f"filters {filters!r} is not allowed: it has to be a mapping such as {{'model': 'cnn1d'}}")
    columns = list(columns)
    for name in (*columns, *filters):
        if name not in COLUMNS[table] and name not in ASKED_FOR.get(table, ()):
            raise AmcError(f"table {table!r} has no column {name!r}{suggest(name, COLUMNS[table])}")
    for name, count in Counter(columns).items():
        if count > 1:
            raise AmcError(f"columns name {name!r} {count} times: name each once")
    return columns, {name: [_plain_value(name, value) for value in _listed(filters[name])] for name in filters}


def _plain_value(name: str, value: Any) -> Any:
    """A filter value in the form of the column, None for NaN. Raises AmcError if the column holds no such values."""
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
            f"filter {name!r}: {value!r} is not allowed: the column holds {kind}; give one value, or a list of values"
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


def sorted_rows(table: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Sorted rows; in a column of numbers and distributions, numbers come first."""
    return table.sort_values(
        by, key=lambda c: c.map(lambda v: (isinstance(v, str), v)) if c.dtype == object else c, ignore_index=True
    )


def kept(table: pd.DataFrame, filters: Filters) -> pd.DataFrame:
    """The rows with an allowed value in every filtered column."""
    keep = np.ones(len(table), bool)
    for name, wanted in filters.items():
        keep &= (table[name].isin(wanted) | (table[name].isna() & (None in wanted))).to_numpy()
    return table[keep].reset_index(drop=True)


def _listed(values: Any) -> list:
    return [values] if isinstance(values, str | bytes | Mapping) or not np.iterable(values) else list(values)
