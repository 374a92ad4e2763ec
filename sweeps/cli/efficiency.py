"""amc efficiency: accuracy of classifiers against their cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from sweeps.cli.app import Scale, SnrRange, StoreDir, StudyName, app, snr_range
from sweeps.cli.show import out, show_whole, snrs_in_words, words, written_to


@app.command(name="efficiency")
def show_efficiency(
    study: StudyName,
    store: StoreDir = "results",
    scale: Scale = None,
    snr: SnrRange = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Also write the table to this CSV file.")] = None,
) -> None:
    """Print the accuracy of a study's classifiers per parameter and per multiply-accumulate, the smallest first.

    Accuracy is the mean over all test settings, with its 95 % interval. Multiply-accumulates are those of one instance.

    Example: amc efficiency classifiers --snr 18
    """
    from analysis import Results
    from analysis.efficiency import efficiency
    from analysis.pivots import at_snrs, spread, varied

    cells = at_snrs(Results(study, store, scale).require_cells(study), snr_range(snr))
    rows = efficiency(cells)
    shown, hyperparameters = spread(rows)
    fields = [*hyperparameters, *varied(rows, ["classes", "length"])]
    table = Table(
        title=f"accuracy, mean over test settings and {snrs_in_words(cells['snr_db'])}",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for heading in ("model", *fields):
        table.add_column(heading, vertical="bottom")
    for heading in ("accuracy in %", "parameters", "MACs", "% per 1000\nparameters", "% per million\nMACs"):
        table.add_column(heading, justify="right", no_wrap=True, vertical="bottom")
    for row in shown.to_dict("records"):
        low, value, high = (100 * row[name] for name in ("accuracy_low", "accuracy", "accuracy_high"))
        table.add_row(
            *(words(row[name]) for name in ("model", *fields)),
            f"{value:.1f} [{low:.1f}, {high:.1f}]" if value == value else "",
            *(_number(row[name], ",.0f") for name in ("parameters", "multiply_accumulates")),
            _number(1e5 * row["accuracy_per_parameter"], ".3g"),
            _number(1e8 * row["accuracy_per_multiply_accumulate"], ".3g"),
        )
    show_whole(table)
    out.print("MACs: multiply-accumulates to classify one instance, counted as in amc models.", highlight=False)
    if csv is not None:
        written_to(csv, lambda path: rows.to_csv(path, index=False), len(rows))


def _number(value: float, form: str) -> str:
    """A number without an exponent; "" for NaN."""
    return "" if value != value else f"{float(format(value, form.lstrip(','))):,.10g}"
