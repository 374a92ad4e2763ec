"""Heat maps of accuracy by training and test setting."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from amc_core.models import model_order, model_title
from amc_core.reference import axis as axis_name
from amc_core.reference import value_text
from analysis.figures.labels import fixed_in_words, heading, value_in_heading
from analysis.figures.style import COLUMN, PAGE, SHADES, SMALL, ink_on, minus, percent, printed, text_width, titled
from analysis.pivots import accuracy_by, axes_of, spread

_CELL, _ROW = 0.25, 0.17  # inches, at least, of a column and a row
_INTERVAL = (0.36, 0.27)  # with intervals


@printed
def train_test_heat_map(
    cells: pd.DataFrame,
    title: str | None = None,
    intervals: bool = False,
    rows: list[str] | None = None,
    column: str | None = None,
    width: float | None = None,
) -> Figure:
    """Accuracy by the most varied test field (columns) and all other varied fields (rows), a panel per model.

    Each field has a separate column of headings, or the axis. Accuracies are pooled over SNRs and seeds. Cells whose
    test setting is the training setting are framed; a line on the colour bar marks chance. title: None for the default
    title. intervals: below the accuracies. rows, column: other fields, as in `analysis.train_test`. width: of the
    figure in inches; by default one column of a page, or both.
    """
    cells, hyperparameters = spread(cells)
    rows, column = axes_of(cells, hyperparameters, rows, column)
    fields = [name for name in rows if name != "model"]
    apart = ["model"] if "model" in rows else []
    accuracy = accuracy_by(cells.assign(**{name: cells[name].map(_known) for name in fields}), [*rows, column])
    columns = _in_order(map(_known, accuracy[column]))
    names = [_column_text(cells, column, value) for value in columns]
    models = sorted(accuracy["model"].unique(), key=model_order) if apart else [None]
    entries = list(dict.fromkeys(map(tuple, _fields_of(accuracy, fields))))
    row_texts = [
        [value_in_heading(name, value) for name, value in zip(fields, entry, strict=True)] for entry in entries
    ]
    heads = [heading(name) for name in fields]
    widths = [max(map(text_width, column_texts)) + 0.1 for column_texts in zip(heads, *row_texts, strict=True)]
    cell, row_height = _INTERVAL if intervals else (_CELL, _ROW)
    row_height = max(
        row_height, 0.05 + 0.12 * max(text.count("\n") + 1 for texts in row_texts for text in texts or [""])
    )
    cell = max(cell, *(text_width(name) + 0.04 for name in names))
    bar = 0.6
    if width is None:
        width = COLUMN if sum(widths) + bar + cell * len(columns) * len(models) <= COLUMN else PAGE
    across = max(1, min(len(models), int((width - sum(widths) - bar) / (cell * len(columns) + 0.08))))
    down = -(-len(models) // across)
    figure = Figure(figsize=(width, 0.75 + down * (0.55 + row_height * max(4, len(entries)))), layout="constrained")
    panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    highest = np.ceil(10 * accuracy["accuracy"].max()) / 10  # of the colour scale, which starts at 0
    for index, panel in enumerate(panels.flat):
        if index >= len(models):
            panel.set_visible(False)
            continue
        model = models[index]
        own = accuracy if model is None else accuracy[accuracy["model"] == model]
        tested = cells if model is None else cells[cells["model"] == model]
        at = {entry: row for row, entry in enumerate(entries)}, {value: k for k, value in enumerate(columns)}
        image = _paint(panel, own, fields, column, at, highest, intervals)
        trained = tested[tested["setting"] == "trained"]
        for *entry, value in trained[[*fields, column]].drop_duplicates().itertuples(index=False):
            _frame(panel, at[0][tuple(map(_known, entry))], at[1][_known(value)])
        panel.set_title(model_title(model) if model else "")
        panel.set_xticks(range(len(columns)), names)
        panel.tick_params(axis="x", length=0, labelbottom=True)
        panel.set_yticks([])
        if index + across >= len(models):
            side = "test " if column.startswith("test_") else ""
            panel.set_xlabel(f"{side}{axis_name(column)}")
        for row in (k for k, (last, own) in enumerate(pairwise(row_texts), 1) if len(heads) > 1 and last[0] != own[0]):
            panel.axhline(row - 0.5, color="black", linewidth=0.8)
        if index % across == 0:
            _headings(panel, heads, row_texts, widths)
    drawn = [panel for panel in panels.flat if panel.get_visible()]
    scale = figure.colorbar(image, ax=drawn, label="accuracy", fraction=0.04, pad=0.01)
    scale.ax.yaxis.set_major_formatter(percent())
    chance = 1 / cells["classes"].max()
    scale.ax.axhline(chance, color=ink_on(image.cmap(image.norm(chance))), linewidth=1)
    return titled(figure, _title(cells, chance, intervals) if title is None else title)


def _title(cells: pd.DataFrame, chance: float, intervals: bool) -> str:
    levels = cells["snr_db"].dropna()
    many = f"mean over SNR {minus(levels.min())} … {minus(levels.max())} dB"
    parts = [many if levels.nunique() > 1 else f"SNR {minus(levels.min())} dB"] if len(levels) else []
    snr = " and ".join(parts + ["unknown SNR"] * (len(levels) < len(cells)))
    bounds = ", with 95 % intervals" if intervals else ""
    fixed = fixed_in_words(cells)
    return (
        f"Accuracy in %{bounds}; {cells['classes'].max()} modulations, {snr}{'; ' if fixed else ''}{fixed}. A frame "
        f"marks the training setting, the line on the scale marks chance, {100 * chance:.3g} %."
    )


def _paint(
    panel: Axes,
    accuracy: pd.DataFrame,
    fields: list[str],
    column: str,
    at: tuple[dict, dict],
    highest: float,
    bounds: bool,
):
    """Colours and numbers of a model; at: entry → row, and value → column."""
    shares = np.full((len(at[0]), len(at[1])), np.nan)
    for entry, row in zip(_fields_of(accuracy, fields), accuracy.to_dict("records"), strict=True):
        cell = at[0][tuple(entry)], at[1][_known(row[column])]
        shares[cell] = row["accuracy"]
        colour = ink_on(matplotlib.colormaps[SHADES](row["accuracy"] / highest))
        middle = {"ha": "center", "va": "center", "color": colour}
        shift = 0.2 if bounds else 0
        panel.text(cell[1], cell[0] - shift, f"{100 * row['accuracy']:.0f}", fontsize=SMALL, **middle)
        if bounds:
            text = f"{100 * row['accuracy_low']:.0f}–{100 * row['accuracy_high']:.0f}"
            panel.text(cell[1], cell[0] + 0.25, text, fontsize=5.5, **middle)
    return panel.imshow(shares, vmin=0, vmax=highest, cmap=SHADES, aspect="auto")


def _frame(panel: Axes, row: int, column: int) -> None:
    """A black frame within a white one, visible on every shade and in grey print."""
    for colour, inset, line in (("white", 0.06, 2.6), ("black", 0.06, 1.2)):
        side = 1 - 2 * inset
        corner = (column - side / 2, row - side / 2)
        panel.add_patch(Rectangle(corner, side, side, fill=False, edgecolor=colour, linewidth=line))


def _headings(panel: Axes, heads: list[str], row_texts: list[list[str]], widths: list[float]) -> None:
    """A column of headings for every field, left of the rows; a value is written only in the first of its rows."""
    left = -72 * sum(widths)
    look = {"textcoords": "offset points", "fontsize": SMALL, "ha": "left"}
    for level, (head, width) in enumerate(zip(heads, widths, strict=True)):
        panel.annotate(head, (0, 1), xycoords="axes fraction", xytext=(left, 2), va="bottom", color="0.35", **look)
        before = [None, *(texts[: level + 1] for texts in row_texts)]
        for row, (last, own) in enumerate(pairwise(before)):
            if own != last:
                where = {"xycoords": panel.get_yaxis_transform(), "xytext": (left, 0), "va": "center"}
                panel.annotate(own[level], (0, row), **where, **look)
        left += 72 * width


def _fields_of(table: pd.DataFrame, fields: list[str]) -> list[tuple]:
    return (
        [tuple(map(_known, entry)) for entry in table[fields].itertuples(index=False, name=None)]
        if fields
        else [()] * len(table)
    )


def _known(value: object) -> object:
    """The value, but None for NaN, which does not equal itself."""
    return None if value != value else value


def _in_order(values: Iterable) -> list:
    return sorted(dict.fromkeys(values), key=lambda value: (value is not None, isinstance(value, str), value))


def _column_text(cells: pd.DataFrame, column: str, value: object) -> str:
    """The label below a column; the setting of a recording is unknown."""
    if value is None and (cells.loc[cells[column].isna(), "test_recording"] != "").all():
        return "recorded"
    return value_text(column, value) or ("simulated" if column.endswith("recording") else "none")
