"""Heat maps of accuracy by training and test setting."""

from __future__ import annotations

from textwrap import wrap

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter

from amc_core.models import model_order, model_title
from amc_core.reference import axis as axis_name
from amc_core.reference import value_text
from analysis.figures.labels import fixed_in_words, row_label
from analysis.pivots import train_test


def train_test_heat_map(cells: pd.DataFrame, title: str) -> Figure:
    """Accuracy by training and test setting (rows) and the most varied test field (columns), a panel per model.

    Accuracies are pooled over SNRs and seeds. Cells whose test setting is the training setting are framed.
    """
    table = train_test(cells)
    settings, width = table.index.names[1:], len(table.columns)
    models = sorted(cells["model"].unique(), key=model_order)
    panels = {model: {} for model in models}  # model → setting → accuracies
    for (model, *setting), accuracies in zip(_entries(table), table.to_numpy(), strict=True):
        panels[model][tuple(setting)] = accuracies
    # The same for all, whatever of it is there of a model; the order is that of the one with most.
    rows = list(dict.fromkeys(row for panel in sorted(panels.values(), key=len, reverse=True) for row in panel))
    names = [row_label(settings, row) or ("recorded" if None in row else "") for row in rows]
    ticks = [_tick(table.columns.name, value) for value in table.columns]
    labels, each = (
        0.075 * max(len(line) for name in of for line in name.split("\n")) for of in (names, ticks)
    )  # inches
    size = (max(7.5, 2.0 + labels + max(0.58, each) * width * len(models)), 2.2 + 0.4 * len(rows))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, len(models), sharey=True, squeeze=False)[0]
    highest = np.ceil(10 * np.nanmax(table.to_numpy())) / 10  # of the colour scale, which starts at 0
    for axis, model in zip(axes, models, strict=True):
        panel = np.stack([panels[model].get(row, np.full(width, np.nan)) for row in rows])
        image = axis.imshow(panel, vmin=0, vmax=highest, cmap="cividis", aspect="auto")
        axis.set_title(model_title(model), fontsize=11)
        _write_accuracies(axis, panel, highest)
        trained = cells[(cells["model"] == model) & (cells["setting"] == "trained")]
        for *row, column in trained[[*settings, table.columns.name]].drop_duplicates().itertuples(index=False):
            _frame(axis, rows.index(_known(tuple(row))), table.columns.get_loc(column))
        axis.set_xticks(range(width), ticks)
        axis.set_xlabel(f"test {axis_name(table.columns.name)}")
        axis.set_yticks(range(len(rows)), names)
    axes[0].set_ylabel("training → test setting")
    bar = figure.colorbar(image, ax=axes, label="accuracy", fraction=0.04, pad=0.01)
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1))
    levels = cells["snr_db"].dropna()
    told = [f"{levels.min():g} … {levels.max():g} dB"] * (len(levels) > 0) + ["unknown"] * (len(levels) < len(cells))
    note = f"{cells['classes'].max()} modulations, mean over SNR {' and '.join(told)}"
    fixed = [words] if (words := fixed_in_words(cells)) else []
    note = "; ".join([f"Accuracy in %, {note}", *fixed, "a frame marks the setting of training."])
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


def _tick(column: str, value: object) -> str:
    """A value along the columns: of recordings, which are long, the name above the start of the digest."""
    if column == "test_recording":
        return value_text(column, value).replace(" ", "\n") or "simulated"
    return value_text(column, value)


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
