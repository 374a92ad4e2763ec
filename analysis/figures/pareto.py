"""Accuracy against size."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from analysis.figures.style import CHANCE, COLUMN, finish, in_order, legend, look, printed, title_of
from analysis.pivots import accuracy_by


@printed
def pareto_front(cells: pd.DataFrame, runs: pd.DataFrame, width: float | None = None) -> Figure:
    """Accuracy against trained parameters; the line joins the models that are more accurate than all smaller ones.

    width: of the figure in inches; by default one column of a page.
    """
    cells = cells.merge(runs[["run", "parameters"]], on="run")
    table = accuracy_by(cells, ["model", "parameters"]).sort_values(["parameters", "accuracy"])
    figure = Figure(figsize=(width or COLUMN, 2.6), layout="constrained")
    axis = figure.subplots()
    best = table["accuracy"].cummax()
    front = table[(table["accuracy"] == best) & (best > best.shift(fill_value=-1))]
    if front["parameters"].max() < table["parameters"].max():  # beyond its last model, the front is constant
        front = pd.concat([front, front.tail(1).assign(parameters=table["parameters"].max())])
    grey = {"color": "0.5", "linewidth": 0.9, "zorder": 0, "label": "Pareto front"}
    axis.step(front["parameters"], front["accuracy"], where="post", **grey)
    for index, model in enumerate(in_order(table["model"])):
        rows = table[table["model"] == model]
        whiskers = [rows["accuracy"] - rows["accuracy_low"], rows["accuracy_high"] - rows["accuracy"]]
        looks = look(index) | {"linestyle": "none", "markersize": 4, "capsize": 2, "elinewidth": 0.8}
        axis.errorbar(rows["parameters"], rows["accuracy"], whiskers, label=title_of(model), **looks)
    if "classes" in cells:
        axis.axhline(1 / cells["classes"].max(), label="chance", **CHANCE)
    axis.set(xscale="log", xlabel="trained parameters", ylabel="accuracy, all test settings", ylim=(0, None))
    axis.xaxis.set_major_formatter(EngFormatter())
    finish(axis)
    legend(figure, axis)
    return figure
