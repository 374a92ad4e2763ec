"""What columns and their values are called in figures."""

from __future__ import annotations

import json
import re
from textwrap import wrap

import pandas as pd

from amc_core.scenario import Scenario
from analysis.columns import TEST, TRAIN

# Scenario field → its name along an axis, and how a fixed value of it is told.
LABELS = {
    "channel": ("channel", "channel {}"),
    "upsampling": ("samples per symbol L", "L = {}"),
    "rolloff": ("roll-off α", "α = {}"),
    "sample_rate": ("sample rate in kHz", "sample rate {} kHz"),
    "pulse": ("pulse", "pulse {}"),
    "timing_offset": ("timing offset in symbols", "timing offset {} symbols"),
    "phase_offset": ("phase offset in rad", "phase offset {} rad"),
    "carrier_offset": ("carrier offset in Hz", "carrier offset {} Hz"),
    "relative_carrier_offset": ("carrier offset in cycles per sample", "carrier offset {} cycles per sample"),
    "audio": ("audio", "audio {}"),
    "recording": ("recording", "recording {}"),
    "sample_rate_offset": ("sample-rate offset in ppm", "sample-rate offset {} ppm"),
    "length": ("length in samples", "{} samples"),
}
_SHORT = {"channel": "{}", "sample_rate": "{} kHz"}  # in the labels of rows
_UNSAID = ("", "all", 1.0)  # of what a transfer retrains with which labels, where there is none
_MAIN = ("channel", "upsampling", "rolloff", "sample_rate")  # told even at their default


def row_label(names: list[str], entry: tuple) -> str:
    """ "awgn, epochs 2 → rician": what varies of the training, then of the test setting, in two lines if it is long."""
    sides = {"train": [], "test": []}
    for name, value in zip(names, entry, strict=True):
        unsaid = name in ("start", "retrain", "label_fraction") and value in _UNSAID
        if value is not None and value != "" and not unsaid:
            sides["test" if name in (*TEST, "test_length") else "train"].append(named(name, value))
    train, test = (", ".join(sides[side]) for side in ("train", "test"))
    label = f"{train} → {test}" if train and test else (train and f"train {train}") or (test and f"test {test}")
    return "\n".join(wrap(label, max(60, len(label) // 2 + 12), break_long_words=False))


def named(name: str, value: object) -> str:
    """A value of a column with its name or unit: "rician", "L = 8", "epochs 2"."""
    if name in (*TRAIN, *TEST, "length", "test_length"):
        field = name if name == "length" else name.partition("_")[2]
        return _SHORT.get(field, LABELS[field][1]).format(value_text(name, value))
    if name == "start":  # "channel=awgn, upsampling=8.0"
        parts = [part.partition("=") for part in re.split(r", (?=\w+=)", str(value))]
        plain = [(field, told.removesuffix(".0")) for field, _, told in parts if told != "None"]
        told = [named(f"train_{field}" if field in LABELS else field, own) if own else field for field, own in plain]
        return f"from {', '.join(told)}"
    if name == "hyperparameters":
        return ", ".join(f"{field.replace('_', ' ')} {own}" for field, own in json.loads(str(value)).items())
    return f"{name.replace('_', ' ')} {value_text(name, value)}"


def value_text(name: str, value: object) -> str:
    if value != value:  # of a recording, where nothing is known of the setting
        return ""
    if name.endswith("sample_rate"):
        return " + ".join(f"{float(rate) / 1e3:g}" for rate in str(value).split(" + "))  # several in a mixture
    return f"{value:g}" if isinstance(value, float) else str(value)


def fixed_in_words(cells: pd.DataFrame) -> str:
    """The test fields that do not vary, in words."""
    return in_words(
        {
            name: cells[f"test_{name}"].iloc[0]
            for name in LABELS
            if cells[f"test_{name}"].nunique() == 1 and name != "length"
        }
    )


def in_words(columns: dict[str, str | float]) -> str:
    """A scenario's columns in words; an offset of zero and the usual pulse go without saying."""
    usual = Scenario().columns()
    known = {name: value for name, value in columns.items() if value == value and value != ""}
    told = [name for name, value in known.items() if name in _MAIN or value != usual[name]]
    return ", ".join(LABELS[name][1].format(value_text(name, columns[name])) for name in told)
