"""amc calibration: calibration and open-set recognition of classifiers."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from sweeps.cli.app import Formats, Scale, StoreDir, StudyName, Width, app, figure_formats, inches
from sweeps.cli.show import out, show_whole, written, written_to

_MANY = 0.25  # of all pairs, in one bin


@app.command(name="calibration")
def show_calibration(
    study: StudyName,
    store: StoreDir = "results",
    scale: Scale = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Also write the table to this CSV file.")] = None,
    to: Annotated[Path, typer.Option("--to", help="Directory for the figure.")] = Path("figures"),
    formats: Formats = "png,svg",
    width: Width = None,
) -> None:
    """Print and draw the calibration of a study's classifiers.

    The table has the expected calibration error, the accuracy of confident answers, and the areas under the ROCs by
    which the largest probability separates known from unseen settings, and trained from other modulations.

    Example: amc calibration quickstart
    """
    from analysis import Results
    from analysis.calibration import SURE, Histograms, calibration
    from analysis.figures import save
    from analysis.figures.calibration import calibration_figure
    from sweeps.study import study_name

    kinds, wide = figure_formats(formats), inches(width)
    results = Results(study, store, scale)
    results.require_cells(study)
    rows = calibration(results)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("model")
    headings = {
        "accuracy": "accuracy\nin %",
        "confidence": "confidence\nin %",
        "calibration_error": "calibration\nerror in %",
        "sure_accuracy": f"accuracy in %\nfrom {100 * SURE:.0f} %",
        "sure": "share of\nthese in %",
        "unseen_auc": "AUC, unseen\nsettings",
        "open_set_auc": "AUC, other\nmodulations",
    }
    for heading in headings.values():
        table.add_column(heading, justify="right")
    for row in rows.to_dict("records"):
        texts = [_in_words(name, row) for name in headings]
        table.add_row(row["model"], *texts)
    show_whole(table)
    out.print(
        "The calibration error is exact to half the width of a bin, 2.5 %; intervals: 95 %, of these networks.",
        highlight=False,
    )
    tied = rows.loc[rows[["unseen_auc_ties", "open_set_auc_ties"]].max(axis=1) > _MANY, "model"]
    if len(tied):
        why = "the probabilities of many instances share a bin, which pulls the areas to 0.5"
        out.print(f"Note: of {', '.join(tied)}, {why}.", highlight=False)
    if csv is not None:
        written_to(csv, lambda path: rows.to_csv(path, index=False), len(rows))
    name = "-".join([study_name(study), *([scale] if scale else []), "calibration"])
    written(partial(save, formats=kinds), calibration_figure(Histograms(results), wide), to / name)


def _in_words(name: str, row: dict) -> str:
    value = row[name]
    if value != value:
        return ""
    if name.endswith("auc"):
        return f"{value:.2f} [{row[f'{name}_low']:.2f}, {row[f'{name}_high']:.2f}]"
    return f"{100 * value:.1f}"
