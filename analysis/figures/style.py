"""Looks that figures share, and how they are saved.

Colours are those of Okabe and Ito, told apart by the colour-blind; markers and dashes tell them apart in grey print.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import PercentFormatter

from amc_core.models import MODELS

matplotlib.rcParams["svg.hashsalt"] = "amc"  # the same figure is the same file

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
CHANNEL_TITLES = {
    "awgn": "AWGN",
    "rayleigh": "Rayleigh + AWGN",
    "rician": "Rician + AWGN",
    "rayleigh_2": "Rayleigh 2 + AWGN",
}


def title_of(value: object) -> str:
    return MODELS[value].title if value in MODELS else CHANNEL_TITLES.get(value, str(value))


def in_order(values: Iterable) -> list:
    """Models and channels in their usual order, all else in the order of the table."""
    usual = [*MODELS, *CHANNEL_TITLES]
    return sorted(dict.fromkeys(values), key=lambda value: usual.index(value) if value in usual else -1)


def look(place: int) -> dict:
    return {
        "color": COLOURS[place % 7],
        "marker": MARKERS[place % 7],
        "linestyle": DASHES[place % 7],
        "linewidth": 1.6,
        "markersize": 5,
    }


def finish(axis: Axes) -> None:
    axis.yaxis.set_major_formatter(PercentFormatter(1))
    axis.grid(alpha=0.3)
    axis.set_axisbelow(True)


def legend(figure: Figure, *axes: Axes) -> None:
    """Of all panels, below them."""
    entries = [entry for axis in axes for entry in zip(*axis.get_legend_handles_labels(), strict=True)]
    entries = {label: handle for handle, label in entries}
    figure.legend(
        entries.values(),
        entries.keys(),
        loc="outside lower center",
        ncols=min(max(2, int(figure.get_figwidth() // 3)), len(entries)),
        handlelength=3.2,  # room for a dash on both sides of the marker
        fontsize=9,
        frameon=False,
    )


def spell_names(figure: Figure) -> Figure:
    """Take no name for mathematics: a recording may be called "a$b$". Matplotlib writes its powers of ten so."""
    for text in figure.findobj(Text):
        if "\\mathdefault" not in text.get_text():
            text.set_parse_math(False)
    return figure


def save(figure: Figure, path: Path) -> list[Path]:
    """Write a figure as PNG and SVG, `path` with these endings; returns both paths."""
    spell_names(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    written = []
    for suffix, metadata in ((".png", {"Software": None}), (".svg", {"Date": None})):
        written.append(path.with_name(path.name + suffix))
        figure.savefig(written[-1], dpi=150, metadata=metadata)
    return written
