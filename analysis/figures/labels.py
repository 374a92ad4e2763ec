"""Names of columns and their values in figures."""

from __future__ import annotations

import json
import re
from textwrap import wrap

import pandas as pd

from amc_core import reference
from amc_core.scenario import SCENARIO_FIELDS, Scenario
from analysis.columns import TEST, TRAIN

_SHORT = ("channel", "sample_rate", "length")  # their values in row labels need no name
_UNSAID = ("", "all", 1.0)  # values of start, retrain and label_fraction without a transfer
_MAIN = ("channel", "upsampling", "rolloff", "sample_rate")  # shown even at their default


def row_label(names: list[str], entry: tuple) -> str:
    """ "awgn, epochs 2 → rician": varied fields of training, then of the test setting, in two lines if it is long."""
    sides = {"train": [], "test": []}
    for name, value in zip(names, entry, strict=True):
        unsaid = name in ("start", "retrain", "label_fraction") and value in _UNSAID
        if value is not None and value != "" and not unsaid:
            sides["test" if name in (*TEST, "test_length") else "train"].append(named(name, value))
    train, test = (", ".join(sides[side]) for side in ("train", "test"))
    label = f"{train} → {test}" if train and test else (train and f"train {train}") or (test and f"test {test}")
    return "\n".join(wrap(label, max(60, len(label) // 2 + 12), break_long_words=False))


def named(column: str, value: object) -> str:
    """A value of a column with its name or unit: "rician", "L = 8", "epochs 2"."""
    if column == "start":  # "channel=awgn, upsampling=8.0"
        parts = [part.partition("=") for part in re.split(r", (?=\w+=)", str(value))]
        plain = [(field, text.removesuffix(".0")) for field, _, text in parts if text != "None"]
        return f"from {', '.join(named(field, text) if text else field for field, text in plain)}"
    if column == "hyperparameters":
        return ", ".join(f"{field.replace('_', ' ')} {own}" for field, own in json.loads(str(value)).items())
    if reference.name_of(column) in _SHORT:
        return reference.value_text(column, value, unit=True)
    return reference.in_words(column, value)


def fixed_in_words(cells: pd.DataFrame) -> str:
    """The test fields that do not vary, in words."""
    return in_words(
        {name: cells[f"test_{name}"].iloc[0] for name in SCENARIO_FIELDS if cells[f"test_{name}"].nunique() == 1}
    )


def in_words(columns: dict[str, str | float]) -> str:
    """A scenario's columns in words; most fields at their default are left out."""
    usual = Scenario().columns()
    known = {name: value for name, value in columns.items() if value == value and value != ""}
    names = [name for name, value in known.items() if name in _MAIN or value != usual[name]]
    return ", ".join(reference.in_words(name, columns[name]) for name in names)


def heading(column: str) -> str:
    """A column's name above the headings of rows, as its symbol if it has one: "train L", "test channel"."""
    side = column.partition("_")[0]
    return (
        f"{side} {reference.symbol(column)}" if column in (*TRAIN, *TEST, "test_length") else reference.symbol(column)
    )


def value_in_heading(column: str, value: object) -> str:
    """A value below its heading, in lines of at most 34 characters; "" if there is none."""
    if value is None or value == "" or (column in ("start", "retrain", "label_fraction") and value in _UNSAID):
        return ""
    text = named(column, value) if column == "start" else reference.value_text(column, value, unit=True)
    parts = text.split(" + ")
    different = " + ".join(dict.fromkeys(parts))
    text = different + (f" ({len(parts)} parts)" if different != text else "")
    return "\n".join(wrap(text, 34, break_long_words=False))
