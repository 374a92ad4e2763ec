"""The style of figures, and how they are saved: sizes and fonts of a page in two columns (IEEE).

Colours are those of Okabe and Ito, which colour-blind readers can distinguish; markers and dashes distinguish lines in
grey print. The font resembles Times and comes with Matplotlib, so that every machine draws the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from matplotlib.textpath import TextPath
from matplotlib.ticker import FuncFormatter

from amc_core.errors import AmcError
from amc_core.models import MODELS

COLUMN, PAGE = 3.5, 7.16  # inches: one column, and both
FORMATS = ("pdf", "png", "svg")
FONTS = ["STIXGeneral", "DejaVu Sans"]  # the second has the characters that the first lacks
SMALL = 7.0  # points, of ticks, legends and numbers; other texts have 8
_PRINT = {
    "font.family": FONTS,
    "mathtext.fontset": "stix",
    "font.size": 8.0,
    "figure.titlesize": 8.0,
    "legend.fontsize": SMALL,
    **dict.fromkeys(("axes.titlesize", "axes.labelsize"), 8.0),
    **dict.fromkeys(("xtick.labelsize", "ytick.labelsize"), SMALL),
    **dict.fromkeys(("axes.linewidth", "xtick.major.width", "ytick.major.width"), 0.6),
    **dict.fromkeys(("xtick.minor.width", "ytick.minor.width", "grid.linewidth", "hatch.linewidth"), 0.4),
    **dict.fromkeys(("pdf.fonttype", "ps.fonttype"), 42),  # TrueType, which can be searched and edited
    "svg.hashsalt": "amc",  # the same figure is the same file
}
_METADATA = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
SHADES = "YlGnBu"  # of maps: darker means more, in grey print too, and no shade is grey
LEGEND_ROWS = 5  # of a legend, for which figures have room
LEGEND_ROW = 0.16  # inches
CHANCE = {"color": "0.35", "linewidth": 0.8, "linestyle": (0, (1, 2.5))}
SHARES = (-0.02, 1.03)  # limits of an axis of shares, so that the frame hides no line at 0 or 100 %
LIMIT = {"color": "black", "linewidth": 0.8, "linestyle": (0, (6, 2, 1, 2))}
CHANNEL_TITLES = {
    "awgn": "AWGN",
    "rayleigh": "Rayleigh + AWGN",
    "rician": "Rician + AWGN",
    "rayleigh_2": "Rayleigh 2 + AWGN",
}


def printed(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """A decorator of functions that draw a figure: fonts and lines are those of a printed page."""

    @wraps(draw)
    def call(*arguments, **more) -> Figure:
        with matplotlib.rc_context(_PRINT):
            return draw(*arguments, **more)

    return call


def title_of(value: object) -> str:
    return MODELS[value].title if value in MODELS else CHANNEL_TITLES.get(value, str(value))


class NothingToDraw(AmcError):
    """None of the cells that a figure shows has been computed yet."""


def require_some(table: pd.DataFrame) -> None:
    """Raise NothingToDraw for a table without rows."""
    if table.empty:
        raise NothingToDraw("there is nothing to draw: the store has none of the cells that this figure shows")


def in_order(values: Iterable) -> list:
    """Models and channels in the order of their registries, other values before them in the order of the table."""
    usual = [*MODELS, *CHANNEL_TITLES]
    return sorted(dict.fromkeys(values), key=lambda value: usual.index(value) if value in usual else -1)


def minus(value: float) -> str:
    """A number with a minus sign instead of a hyphen: "−6"."""
    return f"{value:g}".replace("-", "−")


def look(index: int) -> dict:
    """Colour, marker and dash of a line. After seven lines the colours come again, with other markers and dashes."""
    return {
        "color": COLOURS[index % 7],
        "marker": MARKERS[(index + index // 7) % 7],
        "linestyle": DASHES[(index + index // 7) % 7],
        "linewidth": 1.1,
        "markersize": 3.5,
    }


def percent() -> FuncFormatter:
    """Ticks of shares: "40%"."""
    return FuncFormatter(lambda share, _: f"{100 * share:.3g}%".replace("-", "−"))


def finish(axis: Axes) -> None:
    axis.yaxis.set_major_formatter(percent())
    axis.grid(alpha=0.3)
    axis.set_axisbelow(True)


def luminance(colour: Sequence[float] | np.ndarray) -> np.ndarray:
    """Relative luminance of colours: [..., 3 or 4] sRGB in [0, 1] → [...] (WCAG 2.1)."""
    rgb = np.asarray(colour, float)[..., :3]
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


def ink_on(colour: Sequence[float]) -> str:
    """Black or white, whichever has the higher contrast to a colour; it is never below √21 : 1 (WCAG 2.1)."""
    return "black" if luminance(colour) + 0.05 > np.sqrt(1.05 * 0.05) else "white"


def text_width(text: str, size: float = SMALL) -> float:
    """The width of a text in inches, at a size in points."""
    font = FontProperties(family=FONTS, size=size)
    lines = text.replace("$", r"\$").split("\n")  # no mathematics, as in `spell_names`
    paths = (TextPath((0, 0), line, prop=font, usetex=False) for line in lines if line.strip())
    return max((path.get_extents().width for path in paths), default=0) / 72


def in_lines(text: str, width: float, size: float = 8.0) -> str:
    """A text in lines that are at most so many inches wide at a size in points, broken between words.

    What stands in brackets stays together: "uniform(0, 20)".
    """
    lines = []
    for word in re.split(r"\s+(?![^()]*\))", text.strip()):
        longer = f"{lines[-1]} {word}" if lines else word
        lines[-1:] = [longer] if not lines or text_width(longer, size) <= width else [lines[-1], word]
    return "\n".join(lines)


def titled(figure: Figure, title: str) -> Figure:
    """A figure with a title above it, in lines that fit its width; no title if it is empty."""
    if title:
        figure.suptitle(in_lines(title, figure.get_figwidth() - 0.1), fontsize=8.0, fontfamily=FONTS)
    return figure


def legend(figure: Figure, *axes: Axes) -> None:
    """Draw one legend for all panels, below them, in as many columns as fit. Many rows make the figure higher."""
    entries = [entry for axis in axes for entry in zip(*axis.get_legend_handles_labels(), strict=True)]
    entries = {label: handle for handle, label in entries}
    widest = 0.5 + max(text_width(label) for label in entries)
    columns = max(1, min(len(entries), int(figure.get_figwidth() / widest)))
    more = -(-len(entries) // columns) - LEGEND_ROWS
    if more > 0:
        figure.set_figheight(figure.get_figheight() + LEGEND_ROW * more)
    figure.legend(
        entries.values(),
        entries.keys(),
        loc="outside lower center",
        ncols=columns,
        handlelength=3.2,  # room for a dash on both sides of the marker
        columnspacing=1.2,
        borderpad=0.1,
        frameon=False,
    )


def spell_names(figure: Figure) -> Figure:
    """Draw names literally: a recording may be called "a$b$". Only Matplotlib's own powers of ten are mathematics."""
    for text in figure.findobj(Text):
        if text.get_text() and "\\mathdefault" not in text.get_text():
            text.set_parse_math(False)
    return figure


def save(figure: Figure, path: Path, formats: Sequence[str] = ("png", "svg")) -> list[Path]:
    """Write a figure in some of `FORMATS` to `path` with their endings appended; returns the paths."""
    spell_names(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    dots = 300 if figure.get_figwidth() <= 8 else 150  # an inch; wider figures are for the screen
    paths = [path.with_name(f"{path.name}.{kind}") for kind in formats]
    with matplotlib.rc_context(_PRINT):
        for kind, name in zip(formats, paths, strict=True):
            figure.savefig(name, dpi=dots, metadata=_METADATA[kind])
    return paths
