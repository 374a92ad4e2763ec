"""The figures that the results of a study allow."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure

from amc_core.models import is_trained_in_epochs
from analysis.figures.confusion import confusion_matrices
from analysis.figures.learning import learning_curves
from analysis.figures.over_snr import accuracy_over_snr
from analysis.figures.papers import FIGURES
from analysis.figures.pareto import pareto_front
from analysis.pooling import pool
from analysis.results import Results


def study_figures(results: Results) -> Iterator[tuple[str, Figure]]:
    """The figures that a study's results allow, each with a word for its kind: "snr", "published", "learning", …"""
    cells, runs, epochs, name = results.cells, results.runs, results.epochs, results.study.name
    told = f"{name}: {cells['instances'].max()} instances × {cells['epochs'].max()} epochs"

    def titled(figure: Figure, more: str = "") -> Figure:
        figure.suptitle(f"{told}, {cells['classes'].max()} modulations{more}", fontsize=10)
        return figure

    covered = f"; 95 % intervals of {_covered(cells)}"
    if cells["snr_db"].nunique() > 1:
        yield "snr", titled(accuracy_over_snr(cells), covered)
    if name in FIGURES:
        yield "published", titled(FIGURES[name](cells), covered)
    networks = [model for model in epochs["model"].unique() if is_trained_in_epochs(model)]
    if networks and epochs["epoch"].max() > 1:
        yield "published" if name == "p2-fig02" else "learning", titled(learning_curves(epochs))
    if cells["model"].nunique() > 1:
        yield "pareto", titled(pareto_front(cells, runs), covered)
    counts = results.query("SELECT model, sent, recognised, sum(count) AS count FROM confusion GROUP BY ALL")
    modulations = runs["modulations"].iloc[0]
    yield "confusion", titled(confusion_matrices(counts, modulations), ", all settings and SNRs")


def _covered(cells: pd.DataFrame) -> str:
    """What the intervals of a study's accuracies cover."""
    seeds = pool(cells, ["model"]).table["seeds"]
    if seeds.max() == 1:
        return "these networks"
    return "another training" if seeds.min() > 1 else "another training, of models that draw nothing of these networks"
