"""The papers' figures in their layout, from the cells of the shipped studies.

Shaded bands and whiskers are 95 % intervals, see `analysis.pivots`. Each raises NothingToDraw as long as a store has
none of the cells that it shows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.bars import bar_groups
from analysis.figures.lines import draw_limit, line_panels
from analysis.figures.style import PAGE, legend, printed
from analysis.pivots import accuracy_by, drop_from_training


def _drops(cells: pd.DataFrame, width: float | None = None) -> Figure:
    drops = drop_from_training(cells, ["model", "train_channel", "test_channel"])
    drops = drops[drops["train_channel"] != drops["test_channel"]]
    short = {"awgn": "AWGN", "rayleigh": "Rayleigh", "rician": "Rician"}
    train, test = (
        drops[f"{side}_channel"].map(lambda channel: short.get(channel, channel)) for side in ("train", "test")
    )
    pairs = train + "\n→ " + test
    return bar_groups(drops.assign(pair=pairs), "pair", "model", "drop", "accuracy drop", width)


def _transfers(cells: pd.DataFrame, width: float | None = None) -> Figure:
    """P1 Fig. 12: the trained model, and the model after retraining one of its parts with few labels."""
    parts = {"head": "last dense layers", "stn_block": "last ResNeXt block of the STN"}
    share = (100 * cells["label_fraction"] / 3).map("{:.0f} %".format).astype("str")  # of each of three channels
    variant = (cells["retrain"].map(parts) + ", " + share).where(cells["parent"] != "", "without transfer")
    by = ["parent", "retrain", "label_fraction", "test_channel", "variant"]
    table = accuracy_by(cells.assign(variant=variant, parent=cells["parent"] != ""), by)
    return bar_groups(table, "test_channel", "variant", width=width)


def _sampling_frequencies(cells: pd.DataFrame, width: float | None = None) -> Figure:
    """P1 Fig. 13: the network adapted to the channels, and retrained at 1500 kHz with 5 and 10 % of the labels."""
    adapted = cells["stage"] == "transfer-1"
    retrained = (cells["stage"] == "transfer-2") & (cells["ancestors"] == 2)
    share = (100 * cells["label_fraction"] / 3).map("with transfer, {:.0f} %".format)
    cells = cells.assign(variant=share.where(retrained, "without transfer"), retrained=retrained)[adapted | retrained]
    cells = cells.sort_values(["retrained", "label_fraction"], kind="stable")
    return line_panels(cells, "test_sample_rate", "variant", "test_channel", width=width)


def _across_upsampling(
    cells: pd.DataFrame, before: str, after: str, ancestors: int, width: float | None = None
) -> Figure:
    """P1 Figs. 14 and 15: a stage without transfer (left), and one that starts from it (right)."""
    last = (cells["stage"] == after) & (cells["ancestors"] == ancestors)
    cells = cells.assign(variant=np.where(last, "with transfer", "without transfer"))[(cells["stage"] == before) | last]
    cells = cells.sort_values("variant", ascending=False, kind="stable").drop(columns="train_upsampling")
    return line_panels(cells, "test_upsampling", "test_channel", "variant", scale="log", width=width)


def _lengths(cells: pd.DataFrame, width: float | None = None) -> Figure:
    """P2 Fig. 3, right: three ways of training."""
    cells = cells[cells["min_length"].isna() | (cells["length"] == cells["length"].max())]
    fixed = "trained on " + cells["length"].astype("str") + " samples"
    way = fixed.where(cells["min_length"].isna(), "trained on random lengths")
    return line_panels(
        cells.assign(way=way).sort_values("length", kind="stable"), "test_length", "way", None, True, "log", width
    )


def _offsets(cells: pd.DataFrame, width: float | None = None) -> Figure:
    """P2 Fig. 4: fixed and random lengths, trained without offsets and retrained with them."""
    lengths = np.where(cells["min_length"].isna(), "fixed length", "random lengths")
    offsets = np.where(cells["parent"] == "", "trained without offsets, ", "retrained with offsets, ")
    way = pd.Series(offsets, cells.index) + lengths
    return line_panels(cells.assign(way=way), "test_relative_carrier_offset", "way", scale="symlog", width=width)


def _in_ways(cells: pd.DataFrame, ways: dict[str, pd.Series]) -> pd.DataFrame:
    """The cells that each way chooses, in the order of `ways`, with its name in the column "way"."""
    return pd.concat([cells[chosen].assign(way=way) for way, chosen in ways.items()])


@printed
def _remedies(cells: pd.DataFrame, width: float | None = None, limits: pd.DataFrame | None = None) -> Figure:
    """Accuracy at other samples per symbol for each remedy; combinations of two remedies are left out."""
    drawn = cells["train_upsampling"].astype("str").str.startswith("log_uniform")
    blind, first = cells["train_resample_to"].notna(), cells["stage"] == "training"
    from_8 = cells["start"].str.match("upsampling=8|the same setting") & ~blind
    ways = {
        "trained at 8": first & ~blind & ~drawn,
        "trained at 8, 5 % of labels at five L": (cells["stage"] == "labelled") & from_8,
        "trained at 8, adapted without labels": (cells["stage"] == "adapted") & from_8,
        "trained at 8, blind resampling to 8": first & blind,
        "trained on 2 to 32, drawn": first & drawn,
    }
    shown = _in_ways(cells, ways).drop(columns="train_upsampling")
    figure = line_panels(shown, "test_upsampling", "way", scale="log", width=width or PAGE)
    if limits is not None:
        draw_limit(figure.axes[0], shown, limits, "test_upsampling")
        figure.legends[0].remove()
        legend(figure, *figure.axes)
    return figure


def _randomised(cells: pd.DataFrame, width: float | None = None) -> Figure:
    """Accuracy at other samples per symbol, over three channels, of networks trained in one and in drawn settings."""
    over_upsampling = (cells["test_rolloff"] == 0.35) & (cells["test_sample_rate"] == 200e3)
    cells = cells[over_upsampling & (cells["test_channel"] != "rayleigh_2")]
    drawn = cells["train_upsampling"].astype("str").str.startswith("log_uniform")
    with_all = cells["train_channel"].str.contains("rayleigh_2")
    ways = {
        "trained at 8 in Rayleigh fading": ~drawn,
        "trained on drawn settings": drawn & with_all,
        "the same without Rayleigh_2": drawn & ~with_all,
    }
    shown = _in_ways(cells, ways).drop(columns="train_upsampling")
    return line_panels(shown, "test_upsampling", "way", "model", scale="log", width=width)


def _realisations(cells: pd.DataFrame, width: float | None = None) -> Figure:
    """Accuracy against the number of fading realisations of training: in these, in the channel at large, in AWGN."""
    cells = cells[cells["train_normalisation"] == "power"]
    parts = cells["train_channel"].str.extract(r"(?P<channel>\w+)(?: realisations (?P<number>\d+))?")
    number = parts["number"].astype(float)
    every = 2 * number.fillna(1).max()  # the place of a realisation for each instance, beside the largest number
    ways = {
        "realisations of training": cells["train_channel"] == cells["test_channel"],
        "channel at large": cells["test_channel"] == parts["channel"],
        "awgn": cells["test_channel"] == "awgn",
    }
    cells = cells.assign(realisations=number.fillna(every), channel=parts["channel"])
    shown = _in_ways(cells, ways)
    figure = line_panels(shown, "realisations", "way", "channel", scale="log", width=width or PAGE)
    for axis in figure.axes:
        ticks = axis.get_xticks()
        axis.set_xticks(ticks, ["all" if tick == every else f"{tick:g}" for tick in ticks])
    return figure


# Shipped study → a function that draws the published figure from its cells.
FIGURES: dict[str, Callable[..., Figure]] = {
    **{
        name: lambda cells, width=None: line_panels(cells, "length", "model", scale="log", width=width)
        for name in ("p1-fig01", "p1-fig01-simple")
    },
    "p1-fig02": lambda cells, width=None: line_panels(
        cells, "test_upsampling", "model", "test_channel", scale="log", width=width
    ),
    "p1-fig03": lambda cells, width=None: line_panels(cells, "test_rolloff", "model", "test_channel", width=width),
    "p1-fig04": lambda cells, width=None: line_panels(cells, "test_sample_rate", "model", "test_channel", width=width),
    "p1-fig05": _drops,
    "p1-fig06": lambda cells, width=None: bar_groups(
        accuracy_by(cells, ["model", "test_channel"]), "model", "test_channel", width=width
    ),
    "p1-fig12": _transfers,
    "p1-fig13": _sampling_frequencies,
    "p1-fig14": lambda cells, width=None: _across_upsampling(cells, "training", "transfer-1", 1, width),
    "p1-fig15": lambda cells, width=None: _across_upsampling(cells, "transfer-1", "transfer-2", 2, width),
    "p2-table3": lambda cells, width=None: line_panels(cells, "snr_db", "model", "length", error=True, width=width),
    "p2-fig03": _lengths,
    "p2-fig04": _offsets,
    "beyond-randomised": _randomised,
    "beyond-upsampling": _remedies,
    "open-question-realisations": _realisations,
    "open-question-fs": lambda cells, width=None: line_panels(
        cells, "test_sample_rate", "model", "test_channel", width=width
    ),
}
WITH_LIMIT = ("beyond-upsampling",)  # studies whose figures have limits, too
