"""Accuracy over SNR, the standard figure of this field."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from amc_core.settings import SETTINGS
from analysis.figures.labels import row_label
from analysis.figures.lines import line_panels
from analysis.figures.style import legend
from analysis.pivots import varied_settings

_PANELS = 4  # at most, else settings are pooled by what they are to the runs
_KINDS = {
    "trained": "in the setting of training",
    "seen": "in settings seen before, or at another length",
    "covered": "in settings that the training could draw",
    "unseen": "in unseen settings",
}


def accuracy_over_snr(cells: pd.DataFrame) -> Figure:
    """Accuracy against SNR: a line per model, a panel per setting of training and test, beside chance.

    Of more than four settings there is a panel for each of trained, seen, covered and unseen, over the settings that
    are so: what a network was trained for is never pooled with what it was not.
    """
    cells = cells[cells["snr_db"].notna()]  # what is unknown has no place on the axis
    fields = varied_settings(cells)
    told = cells[fields].astype(object).where(cells[fields].notna(), None)  # which equals itself
    settings = list(dict.fromkeys(told.itertuples(index=False, name=None)))
    if fields and len(settings) <= _PANELS:
        words = {setting: row_label(fields, setting) for setting in settings}
        panel = pd.Series([words[each] for each in told.itertuples(index=False, name=None)], cells.index)
        cells = cells.assign(_where=panel)
    else:
        cells = cells.assign(_where=cells["setting"].map(_KINDS))
        cells = cells.sort_values("setting", key=lambda kinds: kinds.map(SETTINGS.index), kind="stable")
    figure = line_panels(cells, "snr_db", "model", "_where")
    for axis in figure.axes:
        axis.axhline(1 / cells["classes"].max(), color="0.4", linewidth=1, linestyle=(0, (1, 3)), label="chance")
    figure.legends[0].remove()
    legend(figure, *figure.axes)
    return figure
