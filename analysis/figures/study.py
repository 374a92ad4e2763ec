"""The figures of a study's results."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from amc_core.models import is_trained_in_epochs
from amc_core.quantities import many
from analysis.figures.confusion import confusion_matrices
from analysis.figures.heat_map import train_test_heat_map
from analysis.figures.learning import learning_curves
from analysis.figures.over_snr import KINDS, accuracy_over_snr, by_setting
from analysis.figures.papers import FIGURES, WITH_LIMIT
from analysis.figures.pareto import pareto_front
from analysis.figures.style import NothingToDraw, titled
from analysis.limits import limits_of
from analysis.pivots import at_snrs
from analysis.pooling import pool
from analysis.results import Results


@dataclass(frozen=True)
class Wishes:
    """Options of figures.

    width: inches; None for the default of each figure, one column of a page or both. title: None for the default title,
    "" for none. snrs: lowest and highest in dB. intervals: in the heat map. limit: draw the upper bound of any
    classifier if it is known?
    """

    width: float | None = None
    title: str | None = None
    snrs: tuple[float, float] | None = None
    intervals: bool = False
    limit: bool = False


def study_figures(results: Results, wishes: Wishes | None = None) -> Iterator[tuple[str, Figure]]:
    """The figures of a study's results, each with its kind; that of the heat map is "".

    Other kinds are "snr", "published", "learning", "pareto" and, for every setting or kind of setting, "confusion-…".
    Raises AmcError if no cell was tested at the given SNRs.
    """
    wishes = wishes or Wishes()
    cells, runs, epochs, name = results.cells, results.runs, results.epochs, results.study.name
    cells = at_snrs(cells, wishes.snrs)
    heading = f"{name}: {cells['instances'].max()} instances × {many(cells['epochs'].max(), 'epoch')}"

    def named(figure: Figure, more: str = "") -> Figure:
        usual = f"{heading}, {cells['classes'].max()} modulations{more}"
        return titled(figure, usual if wishes.title is None else wishes.title)

    width, covered = wishes.width, f"; 95 % intervals of {_covered(cells)}"
    yield "", train_test_heat_map(cells, wishes.title, wishes.intervals, width=width)
    limits = limits_of(results, cells) if wishes.limit else None
    if cells["snr_db"].nunique() > 1:
        yield "snr", named(accuracy_over_snr(cells, limits, width), covered)
    if name in FIGURES:
        more = {"limits": limits} if name in WITH_LIMIT else {}
        with suppress(NothingToDraw):  # it shows later stages than those that have been run
            yield "published", named(FIGURES[name](cells, width=width, **more), covered)
    networks = [model for model in epochs["model"].unique() if is_trained_in_epochs(model)]
    if networks and epochs["epoch"].max() > 1:
        yield "published" if name == "p2-fig02" else "learning", named(learning_curves(epochs, width))
    if cells["model"].nunique() > 1:
        yield "pareto", named(pareto_front(cells, runs, width), covered)
    for where, counts in _confusions(results, cells):
        figure = confusion_matrices(counts, runs["modulations"].iloc[0], width)
        yield f"confusion-{_stem(where)}", named(figure, f", {where}; in % of the sent")


def _confusions(results: Results, cells: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """For every setting, or kind of setting, the counts by model, SNR, modulation sent and recognised."""
    grouped = by_setting(cells)
    where = grouped[["cell", "where"]].drop_duplicates("cell")
    counts = results.query(
        "SELECT cell, model, snr_db, sent, recognised, sum(count) AS count FROM confusion GROUP BY ALL"
    ).merge(where, on="cell")
    counts = counts[counts["snr_db"].isin(cells["snr_db"].unique())]
    for name in dict.fromkeys(where["where"]):
        yield name, counts[counts["where"] == name]


def _stem(where: str) -> str:
    """A setting in the name of a file: "unseen", "test-rayleigh"."""
    kinds = {words: kind for kind, words in KINDS.items()}
    return kinds.get(where) or re.sub(r"[^\w.=]+", "-", where).strip("-")


def _covered(cells: pd.DataFrame) -> str:
    """What the intervals of a study's accuracies cover."""
    seeds = pool(cells, ["model"]).table["seeds"]
    if seeds.max() == 1:
        return "these networks"
    return "another training" if seeds.min() > 1 else "another training (of this network where there is one training)"
