"""The figures that the results of a study allow."""

from __future__ import annotations

from collections.abc import Iterator

from matplotlib.figure import Figure

from amc_core.models import is_trained_in_epochs
from analysis.figures.confusion import confusion_matrices
from analysis.figures.learning import learning_curves
from analysis.figures.papers import FIGURES
from analysis.figures.pareto import pareto_front
from analysis.results import Results


def study_figures(results: Results) -> Iterator[tuple[str, Figure]]:
    """The figures that a study's results allow, each with a word for its kind: "published", "learning", …"""
    cells, runs, epochs, name = results.cells, results.runs, results.epochs, results.study.name
    told = f"{name}: {cells['instances'].max()} instances × {cells['epochs'].max()} epochs"

    def titled(figure: Figure, pooled: str = "") -> Figure:
        figure.suptitle(f"{told}, {cells['classes'].max()} modulations{pooled}", fontsize=10)
        return figure

    if name in FIGURES:
        yield "published", titled(FIGURES[name](cells))
    networks = [model for model in epochs["model"].unique() if is_trained_in_epochs(model)]
    if networks and epochs["epoch"].max() > 1:
        yield "published" if name == "p2-fig02" else "learning", titled(learning_curves(epochs))
    if cells["model"].nunique() > 1:
        yield "pareto", titled(pareto_front(cells, runs))
    counts = results.query("SELECT model, sent, recognised, sum(count) AS count FROM confusion GROUP BY ALL")
    modulations = runs["modulations"].iloc[0]
    yield "confusion", titled(confusion_matrices(counts, modulations), ", all settings and SNRs")
