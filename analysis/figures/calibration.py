"""Reliability diagram, and ROCs of known against unknown instances."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from amc_core.confidence import Roc, reliability
from analysis.calibration import Histograms
from analysis.figures.style import LEGEND_ROWS, PAGE, SHARES, finish, in_order, legend, look, percent, printed, title_of

_FEWEST = 10  # instances of a bin that is drawn
_NARROWEST = 2.0  # inches of a panel, the length of its labels; narrower panels are placed below each other


@printed
def calibration_figure(histograms: Histograms, width: float | None = None) -> Figure:
    """A line per model: accuracy against confidence (left), and ROCs by the largest probability, if there are any.

    A model below the diagonal of the reliability diagram is overconfident. Bins of fewer than ten instances are left
    out. width: in inches; by default both columns of a page, or their share for fewer panels.
    """
    models = in_order(histograms.models)
    rocs = {
        "known against unseen settings": [histograms.by_setting(model) for model in models],
        "trained against other modulations": [histograms.by_modulation(model) for model in models],
    }
    rocs = {title: curves for title, curves in rocs.items() if any(curve.area == curve.area for curve in curves)}
    panels = 1 + len(rocs)
    width = width or PAGE * panels / 3
    across = max(1, min(panels, int(width / _NARROWEST)))
    down = -(-panels // across)
    lines = min(-(-len(models) // int(width / 1.2)), LEGEND_ROWS)
    side = min(width / across, PAGE / 3)
    height = 0.55 + 0.15 * lines + down * (0.3 * (down > 1) + 0.76 * side)
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = list(figure.subplots(down, across, squeeze=False).flat)
    for axis in axes[panels:]:
        axis.remove()
    axes = axes[:panels]
    for index, model in enumerate(models):
        right, wrong, _ = histograms.of(model)
        confidence, accuracy, n = reliability(right, wrong)
        shown = n >= _FEWEST
        axes[0].plot(confidence[shown], accuracy[shown], label=title_of(model), **look(index))
    _prepare(axes[0], "reliability", "largest probability", "accuracy")
    for axis, (title, curves) in zip(axes[1:], rocs.items(), strict=True):
        for index, (model, curve) in enumerate(zip(models, curves, strict=True)):
            _draw(axis, curve, title_of(model), index)
        _prepare(axis, title, "unknown above the threshold", "known above the threshold")
    legend(figure, *axes)
    return figure


def _draw(axis: Axes, curve: Roc, title: str, index: int) -> None:
    if np.isfinite(curve.area):
        looks = look(index) | {"markersize": 2}
        axis.plot(curve.false_positive_rate, curve.true_positive_rate, label=title, **looks)


def _prepare(axis: Axes, title: str, x: str, y: str) -> None:
    axis.plot([0, 1], [0, 1], color="0.6", linewidth=1, zorder=0)
    axis.set(title=title, xlabel=x, ylabel=y, xlim=SHARES, ylim=SHARES, aspect="equal")
    axis.xaxis.set_major_formatter(percent())
    finish(axis)
