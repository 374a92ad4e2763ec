"""Accuracy over SNR."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from amc_core.settings import SETTINGS
from analysis.figures.labels import row_label
from analysis.figures.lines import draw_limit, line_panels
from analysis.figures.style import CHANCE, legend, printed
from analysis.pivots import spread, varied_settings

_PANELS = 4  # at most; of more settings, those with the same relation to their runs are pooled
KINDS = {
    "trained": "in the setting of training",
    "seen": "in settings seen before, or at another length",
    "covered": "in settings that the training could draw",
    "unseen": "in unseen settings",
}


def by_setting(cells: pd.DataFrame) -> pd.DataFrame:
    """Cells with the column `where`: the setting of training and test, if there are few, else its kind.

    Trained settings are never pooled with others. Rows are in the order to be shown.
    """
    cells, hyperparameters = spread(cells)
    fields = [*hyperparameters, *(name for name in varied_settings(cells) if name != "hyperparameters")]
    values = cells[fields].astype(object).where(cells[fields].notna(), None)  # None equals itself
    settings = list(dict.fromkeys(values.itertuples(index=False, name=None)))
    if fields and len(settings) <= _PANELS:
        words = {setting: row_label(fields, setting) for setting in settings}
        where = [words[each] for each in values.itertuples(index=False, name=None)]
        return cells.assign(where=pd.Series(where, cells.index, dtype="str"))
    cells = cells.assign(where=cells["setting"].map(KINDS))
    return cells.sort_values("setting", key=lambda kinds: kinds.map(SETTINGS.index), kind="stable")


@printed
def accuracy_over_snr(cells: pd.DataFrame, limits: pd.DataFrame | None = None, width: float | None = None) -> Figure:
    """Accuracy against SNR: a line per model, a panel per setting of training and test, beside chance.

    If there are more than four settings, there is a panel for each of trained, seen, covered and unseen settings.
    limits: of `analysis.limits`, for the line of the upper bound; a panel with an unknown limit has no such line.
    width: of the figure in inches.
    """
    cells = by_setting(cells[cells["snr_db"].notna()])  # an unknown SNR is not on the axis
    figure = line_panels(cells, "snr_db", "model", "where", width=width)
    for axis, (_, own) in zip(figure.axes, cells.groupby("where", sort=False), strict=True):
        if limits is not None:
            draw_limit(axis, own, limits)
        axis.axhline(1 / cells["classes"].max(), label="chance", **CHANCE)
    figure.legends[0].remove()
    legend(figure, *figure.axes)
    return figure
