"""Groups of bars with whiskers."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.style import COLOURS, finish, in_order, legend, title_of


def bar_groups(table: pd.DataFrame, groups: str, bars: str, value: str = "accuracy", label: str = "accuracy") -> Figure:
    """A bar per value of `bars` in each of the `groups`, with whiskers from `value`_low to `value`_high."""
    names, kinds = in_order(table[groups]), in_order(table[bars])
    figure = Figure(figsize=(2 + len(names) * (0.5 + 0.33 * len(kinds)), 4.2), layout="constrained")
    axis, width = figure.subplots(), 0.84 / len(kinds)
    hatches = ("", "//", "..", "xx", "\\\\", "++", "oo")
    for place, kind in enumerate(kinds):
        rows = table[table[bars] == kind].set_index(groups).reindex(names)
        at = np.arange(len(names)) + (place - (len(kinds) - 1) / 2) * width
        whiskers = [rows[value] - rows[f"{value}_low"], rows[f"{value}_high"] - rows[value]]
        look = {"color": COLOURS[place % 7], "hatch": hatches[place % 7], "edgecolor": "white", "linewidth": 0}
        axis.bar(at, rows[value], width, yerr=whiskers, ecolor="0.25", capsize=2, label=title_of(kind), **look)
    axis.set_xticks(range(len(names)), [title_of(name) for name in names])
    axis.axhline(0, color="0.25", linewidth=0.8)
    axis.set_ylabel(label)
    finish(axis)
    axis.grid(axis="x", visible=False)
    legend(figure, axis)
    return figure
