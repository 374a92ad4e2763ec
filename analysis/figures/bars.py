"""Groups of bars with whiskers."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.style import COLOURS, COLUMN, PAGE, finish, in_order, legend, printed, require_some, title_of


@printed
def bar_groups(
    table: pd.DataFrame,
    groups: str,
    bars: str,
    value: str = "accuracy",
    label: str = "accuracy",
    width: float | None = None,
) -> Figure:
    """A bar per value of `bars` in each of the `groups`, with whiskers from `value`_low to `value`_high.

    width: of the figure in inches; by default one column of a page, or both if there are many bars. Raises
    NothingToDraw if the table has no rows.
    """
    require_some(table)
    names, kinds = in_order(table[groups]), in_order(table[bars])
    usual = COLUMN if len(names) * len(kinds) <= 12 else PAGE
    figure = Figure(figsize=(width or usual, 2.6), layout="constrained")
    axis, share = figure.subplots(), 0.84 / len(kinds)
    hatches = ("", "//", "..", "xx", "\\\\", "++", "oo")
    for index, kind in enumerate(kinds):
        rows = table[table[bars] == kind].set_index(groups).reindex(names)
        at = np.arange(len(names)) + (index - (len(kinds) - 1) / 2) * share
        whiskers = [rows[value] - rows[f"{value}_low"], rows[f"{value}_high"] - rows[value]]
        look = {"color": COLOURS[index % 7], "hatch": hatches[(index + index // 7) % 7]}
        look |= {"edgecolor": "white", "linewidth": 0, "error_kw": {"elinewidth": 0.7, "capthick": 0.7}}
        axis.bar(at, rows[value], share, yerr=whiskers, ecolor="0.25", capsize=1.5, label=title_of(kind), **look)
    axis.set_xticks(range(len(names)), [title_of(name) for name in names])
    axis.axhline(0, color="0.25", linewidth=0.6)
    axis.set_ylabel(label)
    finish(axis)
    axis.grid(axis="x", visible=False)
    legend(figure, axis)
    return figure
