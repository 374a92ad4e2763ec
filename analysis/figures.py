"""Figures, each made from tables alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from textwrap import wrap

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.ticker import PercentFormatter

from amc_core.models import MODELS
from amc_core.scenario import Scenario
from analysis.pivots import train_test
from analysis.tables import TEST, TRAIN

matplotlib.rcParams["svg.hashsalt"] = "amc"  # the same figure is the same file

# Scenario field → its name along an axis, and how a fixed value of it is told.
_LABELS = {
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


def train_test_heat_map(cells: pd.DataFrame, title: str) -> Figure:
    """Accuracy by training and test setting (rows) and the most varied test field (columns), a panel per model.

    Accuracies are pooled over SNRs and seeds. Cells whose test setting is the training setting are framed.
    """
    table = train_test(cells)
    settings, width = table.index.names[1:], len(table.columns)
    models = sorted(cells["model"].unique(), key=list(MODELS).index)
    panels = {model: {} for model in models}  # model → setting → accuracies
    for (model, *setting), accuracies in zip(_entries(table), table.to_numpy(), strict=True):
        panels[model][tuple(setting)] = accuracies
    # The same for all, whatever of it is there of a model; the order is that of the one with most.
    rows = list(dict.fromkeys(row for panel in sorted(panels.values(), key=len, reverse=True) for row in panel))
    names = [_row_label(settings, row) for row in rows]
    labels = 0.075 * max(len(line) for name in names for line in name.split("\n"))  # inches
    size = (max(7.5, 2.0 + labels + 0.58 * width * len(models)), 2.2 + 0.4 * len(rows))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, len(models), sharey=True, squeeze=False)[0]
    highest = np.ceil(10 * np.nanmax(table.to_numpy())) / 10  # of the colour scale, which starts at 0
    for axis, model in zip(axes, models, strict=True):
        panel = np.stack([panels[model].get(row, np.full(width, np.nan)) for row in rows])
        image = axis.imshow(panel, vmin=0, vmax=highest, cmap="cividis", aspect="auto")
        axis.set_title(MODELS[model].title, fontsize=11)
        _write_accuracies(axis, panel, highest)
        trained = cells[(cells["model"] == model) & (cells["setting"] == "trained")]
        for *row, column in trained[[*settings, table.columns.name]].drop_duplicates().itertuples(index=False):
            _frame(axis, rows.index(_known(tuple(row))), table.columns.get_loc(column))
        axis.set_xticks(range(width), [_value(table.columns.name, value) for value in table.columns])
        axis.set_xlabel(f"test {_LABELS[table.columns.name.removeprefix('test_')][0]}")
        axis.set_yticks(range(len(rows)), names)
    axes[0].set_ylabel("training → test setting")
    bar = figure.colorbar(image, ax=axes, label="accuracy", fraction=0.04, pad=0.01)
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1))
    snrs = cells["snr_db"]
    note = f"{cells['classes'].max()} modulations, mean over SNR {snrs.min():g} … {snrs.max():g} dB"
    note = f"Accuracy in %, {note}; {_fixed(cells)}; a frame marks the setting of training."
    lines = wrap(note, int(size[0] / 0.075))
    figure.suptitle(title + "\n" * len(lines), fontsize=12)
    axes[0].annotate(
        "\n".join(lines),
        (0.5, 1 - 0.33 / size[1]),  # below the title
        xycoords=figure.transFigure,
        ha="center",
        va="top",
        fontsize=9,
        annotation_clip=False,
    ).set_in_layout(False)
    return figure


def _write_accuracies(axis, panel: np.ndarray, highest: float) -> None:
    for (row, column), accuracy in np.ndenumerate(panel):
        if not np.isnan(accuracy):
            colour = "black" if accuracy > 0.55 * highest else "white"
            axis.text(column, row, f"{100 * accuracy:.0f}", ha="center", va="center", color=colour, fontsize=9)


def _frame(axis, row: int, column: int) -> None:
    axis.add_patch(Rectangle((column - 0.46, row - 0.46), 0.92, 0.92, fill=False, edgecolor="#d1495b", linewidth=2))


def _entries(table: pd.DataFrame) -> list[tuple]:
    """What each row stands for, as a tuple even where the model is all there is."""
    return [_known(entry if isinstance(entry, tuple) else (entry,)) for entry in table.index]


def _known(entry: tuple) -> tuple:
    """With None for not a number, which equals nothing."""
    return tuple(None if value != value else value for value in entry)


def _row_label(names: list[str], entry: tuple) -> str:
    """ "awgn, epochs 2 → rician": what varies of the training, then of the test setting, in two lines if it is long."""
    sides = {"train": [], "test": []}
    for name, value in zip(names, entry, strict=True):
        unsaid = name in ("start", "retrain", "label_fraction") and value in _UNSAID
        if value is not None and value != "" and not unsaid:
            sides["test" if name in (*TEST, "test_length") else "train"].append(_named(name, value))
    train, test = (", ".join(sides[side]) for side in ("train", "test"))
    label = f"{train} → {test}" if train and test else (train and f"train {train}") or (test and f"test {test}")
    return "\n".join(wrap(label, max(60, len(label) // 2 + 12), break_long_words=False))


def _named(name: str, value: object) -> str:
    """A value of a column with its name or unit: "rician", "L = 8", "epochs 2"."""
    if name in (*TRAIN, *TEST, "length", "test_length"):
        field = name if name == "length" else name.partition("_")[2]
        return _SHORT.get(field, _LABELS[field][1]).format(_value(name, value))
    if name == "start":  # "channel=awgn, upsampling=8.0"
        parts = [part.partition("=") for part in re.split(r", (?=\w+=)", str(value))]
        plain = [(field, told.removesuffix(".0")) for field, _, told in parts if told != "None"]
        told = [_named(f"train_{field}" if field in _LABELS else field, own) if own else field for field, own in plain]
        return f"from {', '.join(told)}"
    if name == "hyperparameters":
        return ", ".join(f"{field.replace('_', ' ')} {own}" for field, own in json.loads(str(value)).items())
    return f"{name.replace('_', ' ')} {_value(name, value)}"


def _value(name: str, value: object) -> str:
    if value != value:  # of a recording, where nothing is known of the setting
        return ""
    if name.endswith("sample_rate"):
        return " + ".join(f"{float(rate) / 1e3:g}" for rate in str(value).split(" + "))  # several in a mixture
    return f"{value:g}" if isinstance(value, float) else str(value)


def _fixed(cells: pd.DataFrame) -> str:
    """The test fields that do not vary, in words."""
    return in_words(
        {
            name: cells[f"test_{name}"].iloc[0]
            for name in _LABELS
            if cells[f"test_{name}"].nunique() == 1 and name != "length"
        }
    )


def in_words(columns: dict[str, str | float]) -> str:
    """A scenario's columns in words; an offset of zero and the usual pulse go without saying."""
    usual = Scenario().columns()
    known = {name: value for name, value in columns.items() if value == value and value != ""}
    told = [name for name, value in known.items() if name in _MAIN or value != usual[name]]
    return ", ".join(_LABELS[name][1].format(_value(name, columns[name])) for name in told)


def spell_names(figure: Figure) -> Figure:
    """Take no name for mathematics: a recording may be called "a$b$". Matplotlib writes its powers of ten so."""
    for text in figure.findobj(Text):
        if "\\mathdefault" not in text.get_text():
            text.set_parse_math(False)
    return figure


def save(figure: Figure, path: Path) -> list[Path]:
    """Write a figure as PNG and SVG, `path` with these endings; returns both paths."""
    spell_names(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    written = []
    for suffix, metadata in ((".png", {"Software": None}), (".svg", {"Date": None})):
        written.append(path.with_name(path.name + suffix))
        figure.savefig(written[-1], dpi=150, metadata=metadata)
    return written
