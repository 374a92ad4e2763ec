"""Accuracy against size."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.style import COLOURS, MARKERS, finish, in_order, legend, title_of
from analysis.pivots import accuracy_by


def pareto_front(cells: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """Accuracy against trained parameters; the line joins the models that no smaller one is as accurate as."""
    accuracy = accuracy_by(cells, ["model", "run"]).merge(runs[["run", "parameters"]], on="run")
    pooled = accuracy.groupby(["model", "parameters"])[["n", "correct"]].sum().reset_index()
    table = accuracy_by(pooled, ["model", "parameters"]).sort_values(["parameters", "accuracy"])
    figure = Figure(figsize=(6, 4.2), layout="constrained")
    axis = figure.subplots()
    best = table["accuracy"].cummax()
    front = table[(table["accuracy"] == best) & (best > best.shift(fill_value=-1))]
    axis.step(front["parameters"], front["accuracy"], where="post", color="0.6", linewidth=1, zorder=0)
    for place, model in enumerate(in_order(table["model"])):
        rows = table[table["model"] == model]
        whiskers = [rows["accuracy"] - rows["accuracy_low"], rows["accuracy_high"] - rows["accuracy"]]
        look = {"marker": MARKERS[place % 7], "color": COLOURS[place % 7], "linestyle": "none"}
        axis.errorbar(rows["parameters"], rows["accuracy"], whiskers, capsize=2, label=title_of(model), **look)
    axis.set(xscale="log", xlabel="parameters", ylabel="accuracy, over all test settings", ylim=(0, None))
    finish(axis)
    legend(figure, axis)
    return figure
