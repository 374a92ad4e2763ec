"""The papers' figures in their layout, and figures that any study has, from tables alone.

Colours are those of Okabe and Ito, told apart by the colour-blind; markers and dashes tell them apart in grey print.
Shaded bands and whiskers are 95 % intervals of the test instances drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, PercentFormatter

from amc_core.models import MODELS
from analysis.pivots import accuracy_by, drop_from_training
from analysis.query import query
from analysis.tables import load
from sweeps.study import load_study, study_name

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
_CHANNELS = {
    "awgn": "AWGN",
    "rayleigh": "Rayleigh + AWGN",
    "rician": "Rician + AWGN",
    "rayleigh_2": "Rayleigh 2 + AWGN",
}
_NAMES = {
    "test_upsampling": "samples per symbol L",
    "test_rolloff": "roll-off α",
    "test_sample_rate": "sampling frequency in kHz",
    "test_length": "samples of an instance",
    "length": "samples of an instance",
    "snr_db": "SNR in dB",
    "test_relative_carrier_offset": "relative frequency offset Δf",
}


def _title(value: object) -> str:
    return MODELS[value].title if value in MODELS else _CHANNELS.get(value, str(value))


def _ordered(values: Iterable) -> list:
    """Models and channels in their usual order, all else in the order of the table."""
    usual = [*MODELS, *_CHANNELS]
    return sorted(dict.fromkeys(values), key=lambda value: usual.index(value) if value in usual else -1)


def line_panels(
    cells: pd.DataFrame, x: str, lines: str, panels: str | None = None, error: bool = False, scale: str = "linear"
) -> Figure:
    """Accuracy, or the error rate, against column `x`: a line per value of `lines`, a panel per value of `panels`.

    scale: of the x axis: "linear", "log" (base 2), or "symlog" (decades on both sides of zero). A dotted upright line
    marks the setting of training, where that is one.
    """
    cells = cells.assign(_panel="") if panels is None else cells.rename(columns={panels: "_panel"})
    shown, drawn = _ordered(cells["_panel"]), _ordered(cells[lines])
    figure = Figure(figsize=(max(7, 1.2 + 4.2 * len(shown)), 4.2), layout="constrained")
    axes = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    factor = 1e-3 if x.endswith("sample_rate") else 1
    for axis, panel in zip(axes, shown, strict=True):
        of_panel = cells[cells["_panel"] == panel]
        for place, line in enumerate(drawn):  # of a study that is not complete, some are not in every panel
            curve = accuracy_by(of_panel[of_panel[lines] == line], [x])
            if curve.empty:
                continue
            at = factor * curve[x].to_numpy(float)
            values, low, high = (curve[name].to_numpy() for name in ("accuracy", "accuracy_low", "accuracy_high"))
            if error:
                values, low, high = 1 - values, 1 - high, 1 - low
            axis.plot(at, values, label=_title(line), **_style(place))
            axis.fill_between(at, low, high, color=_COLOURS[place % len(_COLOURS)], alpha=0.15, linewidth=0)
        trained = of_panel.get(x.replace("test_", "train_"), pd.Series(dtype=float)).unique()
        if len(trained) == 1 and x.startswith("test_") and not isinstance(trained[0], str) and scale != "symlog":
            axis.axvline(factor * trained[0], color="0.5", linestyle=":", linewidth=1, zorder=0)
        _scaled(axis, scale, factor * cells[x].astype(float))
        axis.set(title=f"{panel} samples" if panels == "length" else _title(panel), xlabel=_NAMES.get(x, x))
        _finish(axis)
    axes[0].set_ylabel("error rate" if error else "accuracy")
    axes[0].set_ylim(0, 1)
    _legend(figure, *axes)
    return figure


def bar_groups(table: pd.DataFrame, groups: str, bars: str, value: str = "accuracy", label: str = "accuracy") -> Figure:
    """A bar per value of `bars` in each of the `groups`, with whiskers from `value`_low to `value`_high."""
    names, kinds = _ordered(table[groups]), _ordered(table[bars])
    figure = Figure(figsize=(2 + len(names) * (0.5 + 0.33 * len(kinds)), 4.2), layout="constrained")
    axis, width = figure.subplots(), 0.84 / len(kinds)
    hatches = ("", "//", "..", "xx", "\\\\", "++", "oo")
    for place, kind in enumerate(kinds):
        rows = table[table[bars] == kind].set_index(groups).reindex(names)
        at = np.arange(len(names)) + (place - (len(kinds) - 1) / 2) * width
        whiskers = [rows[value] - rows[f"{value}_low"], rows[f"{value}_high"] - rows[value]]
        look = {"color": _COLOURS[place % 7], "hatch": hatches[place % 7], "edgecolor": "white", "linewidth": 0}
        axis.bar(at, rows[value], width, yerr=whiskers, ecolor="0.25", capsize=2, label=_title(kind), **look)
    axis.set_xticks(range(len(names)), [_title(name) for name in names])
    axis.axhline(0, color="0.25", linewidth=0.8)
    axis.set_ylabel(label)
    _finish(axis)
    axis.grid(axis="x", visible=False)
    _legend(figure, axis)
    return figure


def learning_curves(epochs: pd.DataFrame) -> Figure:
    """Error rate against epochs as in P2 Fig. 2: solid on the validation part, dotted in training.

    A curve is the mean over a model's runs, those of transfer by themselves. Models that are fitted in one step have
    none; the others have the colours of the study's other figures.
    """
    figure = Figure(figsize=(6, 4.2), layout="constrained")
    axis = figure.subplots()
    for place, model in enumerate(_ordered(epochs["model"])):
        if not MODELS[model].epochs:
            continue
        own = epochs[epochs["model"] == model]
        for transferred, rows in own.groupby(own["parent"] != ""):
            mean, runs = rows.groupby("epoch")[["train_accuracy", "validation_accuracy"]].mean(), rows["run"].nunique()
            label = _title(model) + (", transfer" if transferred else "") + (f" ({runs} runs)" if runs > 1 else "")
            style = _style(place) | {"linestyle": "-", "markevery": max(1, len(mean) // 8)}
            style |= {"markerfacecolor": "white"} if transferred else {}
            axis.plot(mean.index, 1 - mean["validation_accuracy"], label=label, **style)
            axis.plot(mean.index, 1 - mean["train_accuracy"], color=style["color"], linestyle=":", linewidth=1.4)
    chance = 1 - 1 / epochs["classes"].max()
    axis.axhline(chance, color="0.4", linewidth=1, linestyle=(0, (1, 3)), label="random classifier")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set(xlabel="epochs", ylabel="error rate (dotted: training part)", ylim=(0, 1))
    _finish(axis)
    _legend(figure, axis)
    return figure


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
    for place, model in enumerate(_ordered(table["model"])):
        rows = table[table["model"] == model]
        whiskers = [rows["accuracy"] - rows["accuracy_low"], rows["accuracy_high"] - rows["accuracy"]]
        look = {"marker": _MARKERS[place % 7], "color": _COLOURS[place % 7], "linestyle": "none"}
        axis.errorbar(rows["parameters"], rows["accuracy"], whiskers, capsize=2, label=_title(model), **look)
    axis.set(xscale="log", xlabel="parameters", ylabel="accuracy, over all test settings", ylim=(0, None))
    _finish(axis)
    _legend(figure, axis)
    return figure


def confusion_matrices(counts: pd.DataFrame, modulations: Sequence[str]) -> Figure:
    """What is recognised (columns) of what was sent (rows), in shares of the sent, a panel per model.

    counts: columns model, sent, recognised, count, each combination once. modulations: in the order to be shown.
    """
    names, models = list(modulations), _ordered(counts["model"])
    side = 1.2 + 0.24 * len(names)
    figure = Figure(figsize=(2.4 + side * len(models), 1.6 + side), layout="compressed")
    axes = figure.subplots(1, len(models), sharey=True, squeeze=False)[0]
    for axis, model in zip(axes, models, strict=True):
        of_model = counts[counts["model"] == model]
        matrix = of_model.pivot(index="sent", columns="recognised", values="count").loc[names, names].to_numpy(float)
        image = axis.imshow(matrix / matrix.sum(1, keepdims=True), vmin=0, vmax=1, cmap="cividis")
        axis.set_xticks(range(len(names)), names, rotation=90, fontsize=8)
        axis.set_yticks(range(len(names)), names, fontsize=8)
        axis.set(title=_title(model), xlabel="recognised")
    axes[0].set_ylabel("sent")
    bar = figure.colorbar(image, ax=axes, fraction=0.04, pad=0.01, label="share of the sent")
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1))
    return figure


def _style(place: int) -> dict:
    return {
        "color": _COLOURS[place % 7],
        "marker": _MARKERS[place % 7],
        "linestyle": _DASHES[place % 7],
        "linewidth": 1.6,
        "markersize": 5,
    }


def _scaled(axis: Axes, scale: str, values: pd.Series) -> None:
    if scale == "symlog":
        axis.set_xscale("symlog", linthresh=values.abs()[values != 0].min())
        axis.tick_params(axis="x", labelsize=7)
    elif scale == "log":
        axis.set_xscale("log", base=2)
    if scale != "symlog" and values.nunique() <= 10:
        axis.set_xticks(sorted(values.unique()))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.tick_params(axis="x", labelsize=8)


def _finish(axis: Axes) -> None:
    axis.yaxis.set_major_formatter(PercentFormatter(1))
    axis.grid(alpha=0.3)
    axis.set_axisbelow(True)


def _legend(figure: Figure, *axes: Axes) -> None:
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


def _drops(cells: pd.DataFrame) -> Figure:
    drops = drop_from_training(cells, ["model", "train_channel", "test_channel"])
    drops = drops[drops["train_channel"] != drops["test_channel"]]
    short = {"awgn": "AWGN", "rayleigh": "Rayleigh", "rician": "Rician"}
    pairs = drops["train_channel"].map(short) + "\n→ " + drops["test_channel"].map(short)
    return bar_groups(drops.assign(pair=pairs), "pair", "model", "drop", "accuracy drop")


def _transfers(cells: pd.DataFrame) -> Figure:
    """P1 Fig. 12: the model as trained, and retrained in one part or another with few labels."""
    parts = {"head": "last dense layers", "stn_block": "last ResNeXt block of the STN"}
    share = (100 * cells["label_fraction"] / 3).map("{:.0f} %".format)  # of each of the mixture's three channels
    variant = (cells["retrain"].map(parts) + ", " + share).where(cells["parent"] != "", "without transfer")
    by = ["parent", "retrain", "label_fraction", "test_channel", "variant"]
    table = accuracy_by(cells.assign(variant=variant, parent=cells["parent"] != ""), by)
    return bar_groups(table, "test_channel", "variant")


def _sampling_frequencies(cells: pd.DataFrame) -> Figure:
    """P1 Fig. 13: the network adapted to the channels, and retrained at 1500 kHz with 5 and 10 % of the labels."""
    adapted = (cells["train_sample_rate"] == 200e3) & (cells["retrain"] == "head")
    retrained = cells["start"] == "sample_rate=200000.0"
    share = (100 * cells["label_fraction"] / 3).map("with transfer, {:.0f} %".format)
    cells = cells.assign(variant=share.where(retrained, "without transfer"), retrained=retrained)[adapted | retrained]
    cells = cells.sort_values(["retrained", "label_fraction"], kind="stable")
    return line_panels(cells, "test_sample_rate", "variant", "test_channel")


def _across_upsampling(cells: pd.DataFrame) -> Figure:
    """P1 Figs. 14 and 15: without transfer (left) and with (right)."""
    adapted = (cells["retrain"] == "head") & (cells["train_upsampling"] == 8.0)  # Fig. 15 starts from this
    last = (cells["retrain"] == "head") & ~adapted & cells["start"].str.contains("upsampling=8.0")
    if adapted.any():
        last &= cells["start"].str.contains("rician")
    left = adapted if adapted.any() else cells["parent"] == ""
    cells = cells.assign(variant=np.where(last, "with transfer", "without transfer"))[left | last]
    cells = cells.sort_values("variant", ascending=False, kind="stable").drop(columns="train_upsampling")
    return line_panels(cells, "test_upsampling", "test_channel", "variant", scale="log")


def _lengths(cells: pd.DataFrame) -> Figure:
    """P2 Fig. 3, right: three ways of training."""
    cells = cells[cells["min_length"].isna() | (cells["length"] == cells["length"].max())]
    fixed = "trained on " + cells["length"].astype("str") + " samples"
    way = fixed.where(cells["min_length"].isna(), "trained on random lengths")
    return line_panels(
        cells.assign(way=way).sort_values("length", kind="stable"), "test_length", "way", None, True, "log"
    )


def _offsets(cells: pd.DataFrame) -> Figure:
    """P2 Fig. 4: fixed and random lengths, trained without offsets and retrained with them."""
    lengths = np.where(cells["min_length"].isna(), "fixed length", "random lengths")
    offsets = np.where(cells["parent"] == "", "trained without offsets, ", "retrained with offsets, ")
    way = pd.Series(offsets, cells.index) + lengths
    return line_panels(cells.assign(way=way), "test_relative_carrier_offset", "way", scale="symlog")


# Shipped study → the published figure of its cells.
FIGURES: dict[str, Callable[[pd.DataFrame], Figure]] = {
    **{
        name: lambda cells: line_panels(cells, "length", "model", scale="log")
        for name in ("p1-fig01", "p1-fig01-simple")
    },
    "p1-fig02": lambda cells: line_panels(cells, "test_upsampling", "model", "test_channel", scale="log"),
    "p1-fig03": lambda cells: line_panels(cells, "test_rolloff", "model", "test_channel"),
    "p1-fig04": lambda cells: line_panels(cells, "test_sample_rate", "model", "test_channel"),
    "p1-fig05": _drops,
    "p1-fig06": lambda cells: bar_groups(accuracy_by(cells, ["model", "test_channel"]), "model", "test_channel"),
    "p1-fig12": _transfers,
    "p1-fig13": _sampling_frequencies,
    "p1-fig14": _across_upsampling,
    "p1-fig15": _across_upsampling,
    "p2-table3": lambda cells: line_panels(cells, "snr_db", "model", "length", error=True),
    "p2-fig03": _lengths,
    "p2-fig04": _offsets,
    "open-question-fs": lambda cells: line_panels(cells, "test_sample_rate", "model", "test_channel"),
}


def study_figures(study: str, store: str, scale: str | None, cells: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """The figures that a study's results allow, each with a word for its kind: "published", "learning", …"""
    name = study_name(study)
    told = f"{name}: {cells['instances'].max()} instances × {cells['epochs'].max()} epochs"
    chosen = load_study(study, scale)

    def titled(figure: Figure, pooled: str = "") -> Figure:
        figure.suptitle(f"{told}, {cells['classes'].max()} modulations{pooled}", fontsize=10)
        return figure

    if name in FIGURES:
        yield "published", titled(FIGURES[name](cells))
    epochs = load("epochs", store, chosen)
    networks = [model for model in epochs["model"].unique() if MODELS[model].epochs]
    if networks and epochs["epoch"].max() > 1:
        yield "published" if name == "p2-fig02" else "learning", titled(learning_curves(epochs))
    runs = load("runs", store, chosen)
    if cells["model"].nunique() > 1:
        yield "pareto", titled(pareto_front(cells, runs))
    sql = "SELECT model, sent, recognised, sum(count) AS count FROM confusion GROUP BY ALL"
    yield (
        "confusion",
        titled(confusion_matrices(query(sql, store, chosen), runs["modulations"].iloc[0]), ", all settings and SNRs"),
    )
