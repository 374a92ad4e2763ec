"""Confusion matrices."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from analysis.figures.style import in_order, title_of


def confusion_matrices(counts: pd.DataFrame, modulations: Sequence[str]) -> Figure:
    """What is recognised (columns) of what was sent (rows), in shares of the sent, a panel per model.

    counts: columns model, sent, recognised, count, each combination once. modulations: in the order to be shown; the
    row of one that was not sent is empty.
    """
    names, models = list(modulations), in_order(counts["model"])
    side = 1.2 + 0.24 * len(names)
    figure = Figure(figsize=(2.4 + side * len(models), 1.6 + side), layout="compressed")
    axes = figure.subplots(1, len(models), sharey=True, squeeze=False)[0]
    for axis, model in zip(axes, models, strict=True):
        of_model = counts[counts["model"] == model]
        matrix = of_model.pivot(index="sent", columns="recognised", values="count")
        matrix = matrix.reindex(index=names, columns=names).to_numpy(float)
        image = axis.imshow(matrix / matrix.sum(1, keepdims=True), vmin=0, vmax=1, cmap="cividis")
        axis.set_xticks(range(len(names)), names, rotation=90, fontsize=8)
        axis.set_yticks(range(len(names)), names, fontsize=8)
        axis.set(title=title_of(model), xlabel="recognised")
    axes[0].set_ylabel("sent")
    bar = figure.colorbar(image, ax=axes, fraction=0.04, pad=0.01, label="share of the sent")
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1))
    return figure
