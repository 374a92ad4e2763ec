"""Learning curves."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from amc_core.models import is_trained_in_epochs
from analysis.figures.style import CHANCE, COLUMN, SHARES, finish, in_order, legend, look, printed, title_of


@printed
def learning_curves(epochs: pd.DataFrame, width: float | None = None) -> Figure:
    """Error rate against epochs as in P2 Fig. 2: solid on the validation part, dashed in training.

    A curve is the mean over a model's runs; transfers have a separate curve. Models that are fitted in one step have
    none; the others have the colours of the study's other figures. width: of the figure in inches; by default one
    column of a page.
    """
    figure = Figure(figsize=(width or COLUMN, 2.6), layout="constrained")
    axis = figure.subplots()
    for index, model in enumerate(in_order(epochs["model"])):
        own = epochs[epochs["model"] == model]
        if not is_trained_in_epochs(model) or own["epoch"].max() < 2:  # such as the user's own class with fit
            continue
        for transferred, rows in own.groupby(own["parent"] != ""):
            mean, runs = rows.groupby("epoch")[["train_accuracy", "validation_accuracy"]].mean(), rows["run"].nunique()
            label = title_of(model) + (", transfer" if transferred else "") + (f" ({runs} runs)" if runs > 1 else "")
            style = look(index) | {"linestyle": "-", "markevery": max(1, len(mean) // 8)}
            style |= {"markerfacecolor": "white"} if transferred else {}
            axis.plot(mean.index, 1 - mean["validation_accuracy"], label=label, **style)
            axis.plot(mean.index, 1 - mean["train_accuracy"], color=style["color"], linestyle="--", linewidth=0.8)
    axis.axhline(1 - 1 / epochs["classes"].max(), label="random classifier", **CHANCE)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set(xlabel="epochs", ylabel="error rate, 1 − accuracy\n(dashed: training part)", ylim=SHARES)
    finish(axis)
    legend(figure, axis)
    return figure
