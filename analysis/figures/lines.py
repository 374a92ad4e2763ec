"""Panels of lines: accuracy against a column of the cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from amc_core.reference import axis as axis_name
from amc_core.reference import factor as factor_of
from analysis.figures.style import (
    COLOURS,
    COLUMN,
    LIMIT,
    PAGE,
    SHARES,
    finish,
    in_lines,
    in_order,
    legend,
    look,
    minus,
    printed,
    require_some,
    title_of,
)
from analysis.pivots import accuracy_by


@printed
def line_panels(
    cells: pd.DataFrame,
    x: str,
    lines: str,
    panels: str | None = None,
    error: bool = False,
    scale: str = "linear",
    width: float | None = None,
) -> Figure:
    """Accuracy, or the error rate, against column `x`: a line per value of `lines`, a panel per value of `panels`.

    scale: of the x axis: "linear", "log" (base 2), or "symlog" (decades on both sides of zero). width: of the figure in
    inches; by default one column of a page for one panel, else both. If there is only one training setting, a dotted
    vertical line marks it. Raises NothingToDraw if there are no cells.
    """
    require_some(cells)
    cells = cells.assign(_panel="") if panels is None else cells.rename(columns={panels: "_panel"})
    shown, drawn = in_order(cells["_panel"]), in_order(cells[lines])
    width = width or (COLUMN if len(shown) == 1 else PAGE)
    figure = Figure(figsize=(width, 2.6), layout="constrained")
    axes = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    factor = factor_of(x)
    for axis, panel in zip(axes, shown, strict=True):
        of_panel = cells[cells["_panel"] == panel]
        for index, line in enumerate(drawn):  # in an incomplete study, a panel may lack some
            curve = accuracy_by(of_panel[of_panel[lines] == line], [x])
            if curve.empty:
                continue
            at = factor * curve[x].to_numpy(float)
            values, low, high = (curve[name].to_numpy() for name in ("accuracy", "accuracy_low", "accuracy_high"))
            if error:
                values, low, high = 1 - values, 1 - high, 1 - low
            axis.plot(at, values, label=title_of(line), **look(index))
            axis.fill_between(at, low, high, color=COLOURS[index % len(COLOURS)], alpha=0.15, linewidth=0)
        trained = of_panel.get(x.replace("test_", "train_"), pd.Series(dtype=float)).unique()
        if len(trained) == 1 and x.startswith("test_") and not isinstance(trained[0], str) and scale != "symlog":
            axis.axvline(factor * trained[0], color="0.5", linestyle=":", linewidth=0.8, zorder=0)
        _scaled(axis, scale, factor * cells[x].astype(float))
        title = f"{panel} samples" if panels == "length" else title_of(panel)
        axis.set(title=in_lines(title, (width - 0.5) / len(shown) - 0.2), xlabel=axis_name(x))
        finish(axis)
    axes[0].set_ylabel("error rate" if error else "accuracy")
    axes[0].set_ylim(SHARES)
    legend(figure, *axes)
    return figure


def draw_limit(axis: Axes, cells: pd.DataFrame, limits: pd.DataFrame, x: str = "snr_db") -> None:
    """Draw the mean limit of the settings of a panel against column `x`, weighted by their instances.

    limits: of `analysis.limits`. If a limit is unknown, nothing is drawn.
    """
    known = cells.drop_duplicates(["cell", "snr_db"]).merge(limits, on=["cell", "snr_db"], how="left")
    if known["limit"].notna().all():
        weighted = known.assign(limit=known["limit"] * known["n"]).groupby(x)[["limit", "n"]].sum()
        curve = weighted["limit"] / weighted["n"]
        axis.plot(factor_of(x) * curve.index, curve, label="upper bound of any classifier", **LIMIT)


def _scaled(axis: Axes, scale: str, values: pd.Series) -> None:
    sizes = values.abs()[values != 0]
    if scale == "symlog" and len(sizes):
        axis.set_xscale("symlog", linthresh=sizes.min())
        tens = 10.0 ** np.arange(
            np.floor(np.log10(sizes.min())), np.log10(sizes.max()) + 0.5, 2
        )  # there is room for every second one
        axis.set_xticks([*-tens[::-1], 0, *tens])
    elif scale == "log":
        axis.set_xscale("log", base=2)
    if scale != "symlog" and values.nunique() <= 10:
        axis.set_xticks(sorted(values.unique()))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: minus(value)))
        axis.xaxis.set_minor_formatter(NullFormatter())
