"""amc results, query, compare: numbers from a store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from amc_core.quantities import many, written
from sweeps.cli.app import (
    Limit,
    Scale,
    SnrRange,
    StoreDir,
    StudyName,
    app,
    listed,
    snr_range,
    study_argument,
    tell_limits,
)
from sweeps.cli.show import natural_width, out, show_lack, show_table, show_whole, snrs_in_words, written_to

_MOST_ROWS = 200  # of a query on the terminal
_COMPARED = (
    "run at: scale, instances of a modulation and SNR × epochs; intervals: 95 %, of another training if there are "
    "several seeds, else of the network that was trained. Verdicts that rest on an interval: {}, of which {:.1f} are "
    "expected to be wrong by chance."
)


@app.command()
def results(
    study: StudyName,
    store: StoreDir = "results",
    scale: Scale = None,
    rows: Annotated[
        str | None,
        typer.Option("--rows", help="Columns of the table cells whose values make rows, separated by commas."),
    ] = None,
    columns: Annotated[
        str | None, typer.Option("--columns", help="The column of the table cells whose values make columns.")
    ] = None,
    snr: SnrRange = None,
    limit: Limit = False,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the cells to this CSV file.")] = None,
    parquet: Annotated[Path | None, typer.Option("--parquet", help="Write the cells to this Parquet file.")] = None,
) -> None:
    """Print a study's train × test table; optionally write its cells, a row per run, test scenario and SNR.

    By default, rows have every column that varies, including hyperparameters; --rows and --columns choose others.

    Example: amc results quickstart --rows model,test_channel --columns test_upsampling --snr 0..10
    """
    from analysis import Results, train_test
    from analysis.limits import limit_rows, limits_of
    from analysis.pivots import at_snrs, shares_of_training

    results = Results(study, store, scale)
    cells = at_snrs(results.require_cells(study), snr_range(snr))
    table = train_test(cells, listed(rows), columns)
    fields, column = list(table.index.names), table.columns.name
    bounds = limit_rows(cells, limits_of(results, cells), fields, column) if limit else None
    show_table(table, shares_of_training(cells, fields, column), bounds, snrs_in_words(cells["snr_db"]))
    # A Parquet column holds numbers or texts, so a column with distributions becomes text.
    mixed = {name: "str" for name in cells if cells[name].dtype == object}
    writers = (csv, lambda path: cells.to_csv(path, index=False)), (parquet, cells.astype(mixed).to_parquet)
    for path, write in writers:
        if path is not None:
            written_to(path, write, len(cells))
    show_lack(results.study, results.store)
    if limit:
        show_check([results])


@app.command()
def query(
    sql: Annotated[
        str, typer.Argument(metavar="SQL", help="A SELECT statement over the tables runs, epochs, cells and confusion.")
    ],
    store: StoreDir = "results",
    study: Annotated[str | None, typer.Option("--study", help="Only runs and cells of this study.")] = None,
    scale: Scale = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the rows to this CSV file.")] = None,
    parquet: Annotated[Path | None, typer.Option("--parquet", help="Write the rows to this Parquet file.")] = None,
) -> None:
    """Run a SQL query over the tables of a store.

    Example: amc query "SELECT model, snr_db, sum(correct) / sum(n) AS accuracy FROM cells GROUP BY ALL ORDER BY ALL"
    """
    from analysis import Results
    from analysis.query import Answer

    answer = Answer(sql, Results(study, store, scale))
    for path, write in ((csv, write_csv), (parquet, write_parquet)):
        if path is not None:
            written_to(path, lambda path, write=write: write(path, answer.batches()))
    if csv or parquet:
        return
    rows = answer.head(_MOST_ROWS + 1)
    show_rows(rows.head(_MOST_ROWS))
    if len(rows) > _MOST_ROWS:
        more = many(answer.count() - _MOST_ROWS, "more row")
        out.print(f"{more}: --csv FILE or --parquet FILE writes all.", highlight=False)


def write_csv(path: Path, batches) -> int:
    """Write record batches to a CSV file; returns the number of rows."""
    from analysis.query import frame

    count = 0
    with open(path, "w", newline="", encoding="utf-8") as file:
        for number, batch in enumerate(batches):
            frame(batch).to_csv(file, index=False, header=number == 0)
            count += batch.num_rows
    return count


def write_parquet(path: Path, batches) -> int:
    """Write record batches to a Parquet file; returns the number of rows."""
    import pyarrow.parquet as pq

    first = next(batches)
    with pq.ParquetWriter(path, first.schema) as file:
        file.write_batch(first)
        return first.num_rows + sum(file.write_batch(batch) or batch.num_rows for batch in batches)


def show_rows(rows) -> None:
    """Print rows as a table, or, if that is wider than the terminal, each as a list of its columns."""
    cells = [[written(value) for value in row] for row in rows.itertuples(index=False)]
    shown = Table(*map(str, rows.columns), box=SIMPLE_HEAD)
    for row in cells:
        shown.add_row(*row)
    if natural_width(shown) <= max(out.width, 100) or not cells:
        show_whole(shown)
        return
    for number, row in enumerate(cells, 1):
        shown = Table("column", "value", title=f"row {number}", title_justify="left", box=SIMPLE_HEAD)
        for name, value in zip(rows.columns, row, strict=True):
            shown.add_row(str(name), value)
        out.print(shown)


@app.command()
def compare(
    study: Annotated[str | None, study_argument("STUDY", "Only numbers of this study.")] = None,
    store: StoreDir = "results",
    scale: Scale = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Write the rows, with the papers' words, to this CSV file.")
    ] = None,
    limit: Annotated[
        bool,
        typer.Option(
            "--limit",
            help="Check whether a network is above the upper bound; may take minutes the first time.",
            callback=tell_limits,
        ),
    ] = False,
) -> None:
    """Compare results with the numbers that the two papers report, and name the scale at which they were computed.

    Example: amc compare p1-fig02 --scale small
    """
    from analysis.compare import by_chance, in_words
    from analysis.compare import compare as compare_published

    rows = compare_published(study, store, scale)
    if csv is not None:
        written_to(csv, lambda path: rows.to_csv(path, index=False), len(rows))
        return
    shown = Table("what", "where", "published", "ours", "run at", "verdict", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for row in rows.to_dict("records"):
        shown.add_row(row["what"], f"{row['paper']} {row['place']}", *in_words(row), row["run_at"], row["verdict"])
    out.print(shown)
    verdicts = rows["verdict"].value_counts()
    out.print(", ".join(f"{count} {name}" for name, count in verdicts.items()), highlight=False)
    if set(verdicts.index) != {"not run"}:
        resting, by_luck = by_chance(rows)
        out.print(_COMPARED.format(resting, by_luck), highlight=False)
    if limit:
        from analysis.compare import compared_studies

        show_check(compared_studies(study, store, scale))


def show_check(studies: list) -> None:
    """Print whether a network is above the upper bound; if so, something is wrong and the command fails."""
    from analysis.beyond import check

    checked = check(studies)
    out.print(str(checked), highlight=False, soft_wrap=True)
    if len(checked.above):
        raise typer.Exit(1)
