"""Confusion matrices."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.style import (
    COLUMN,
    PAGE,
    SHADES,
    in_lines,
    in_order,
    ink_on,
    minus,
    percent,
    printed,
    text_width,
    title_of,
)

_RANGES = 3  # of SNRs, at most


def snr_ranges(snrs: Sequence[float], most: int = _RANGES) -> list[tuple[float, float]]:
    """The tested SNRs in up to `most` ranges with about equally many values: (lowest, highest) of each.

    Unknown SNRs (NaN) have a range of their own.
    """
    levels = np.unique(np.asarray(snrs, float))
    known = levels[~np.isnan(levels)]
    parts = np.array_split(known, min(most, len(known))) if len(known) else []
    return [(float(part[0]), float(part[-1])) for part in parts] + [(np.nan, np.nan)] * (len(known) < len(levels))


@printed
def confusion_matrices(counts: pd.DataFrame, modulations: Sequence[str], width: float | None = None) -> Figure:
    """Recognised (columns) against sent (rows) modulations, in % of those sent, a panel per model and range of SNRs.

    counts: columns model, snr_db, sent, recognised, count. modulations: in the order to be shown. width: of the figure
    in inches; by default one column of a page for one panel, else both.
    """
    names, models, ranges = list(modulations), in_order(counts["model"]), snr_ranges(counts["snr_db"])
    label = max(map(text_width, names))
    shapes = [(len(ranges), len(models)), (len(models), len(ranges))]
    down, across = min(shapes, key=lambda shape: (shape[1] > 3, shape[0]))
    width = width or (COLUMN if across * down == 1 else PAGE)
    side = (width - 0.9 - label) / across - 0.1
    points = min(7.0, 72 * side / len(names) / 1.25)  # two digits fit
    height = 0.5 + label + down * (side + 0.35)
    figure = Figure(figsize=(width, height), layout="compressed")
    axes = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    for m, model in enumerate(models):
        for r, (low, high) in enumerate(ranges):
            axis = axes[r, m] if (down, across) == shapes[0] else axes[m, r]
            levels = counts["snr_db"]
            within = levels.between(low, high) if low == low else levels.isna()
            own = counts[(counts["model"] == model) & within]
            image = _matrix(axis, own, names, points)
            text = "unknown SNR" if low != low else f"{minus(low)} dB"
            text = f"{minus(low)} … {minus(high)} dB" if low < high else text
            axis.set_title(in_lines(f"{title_of(model)}, {text}", side))
    for axis in axes[-1]:
        axis.set_xlabel("recognised")
    for axis in axes[:, 0]:
        axis.set_ylabel("sent")
    bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.01, label="share of the sent")
    bar.ax.yaxis.set_major_formatter(percent())
    return figure


def _matrix(axis: Axes, counts: pd.DataFrame, names: list[str], points: float):
    """One matrix with its numbers, except those that round to 0; grey rows were not sent."""
    table = counts.pivot_table(index="sent", columns="recognised", values="count", aggfunc="sum", observed=True)
    matrix = table.reindex(index=names, columns=names).fillna(0).to_numpy(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = matrix / matrix.sum(1, keepdims=True)
    image = axis.imshow(shares, vmin=0, vmax=1, cmap=SHADES)
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.005:
            ink = ink_on(matplotlib.colormaps[SHADES](share))
            text = f"{100 * share:.0f}"
            size = points * (0.7 if len(text) > 2 and points < 7 else 1)
            number = axis.text(column, row, text, ha="center", va="center", color=ink, fontsize=size)
            number.set_in_layout(False)  # laying out thousands of texts would be slow
    axis.set_xticks(range(len(names)), names, rotation=90)
    axis.set_yticks(range(len(names)), names)
    axis.tick_params(length=0, labelsize=min(7.0, 1.5 * points))
    return image
