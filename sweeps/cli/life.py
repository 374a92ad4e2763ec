"""amc runs: listing runs and their states, removing and labelling them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from amc_core.errors import AmcError
from amc_core.quantities import bytes_in_words, written
from sweeps.cli.app import Group, Scale, StoreDir, app, study_argument
from sweeps.cli.run_table import (
    Yes,
    is_nothing,
    opened,
    remove_runs,
    run_table,
    show_curve,
    state_in_words,
    states_of,
    summary,
)
from sweeps.cli.show import out, show_whole, title_of, written_to

if TYPE_CHECKING:  # importing it would make `amc --help` slow
    import pandas as pd

_LINES_SHOWN = 15  # of a log


class _ListByDefault(Group):
    """`amc runs quickstart` is `amc runs list quickstart`."""

    def parse_args(self, context, arguments: list[str]) -> list[str]:
        if not arguments or (arguments[0] not in self.commands and arguments[0] not in ("--help", "-h")):
            arguments = ["list", *arguments]
        return super().parse_args(context, arguments)


runs = typer.Typer(
    cls=_ListByDefault,
    help="List the runs of a study or of a store; show, remove and label single ones. Without a command, list.",
    epilog="Example: amc runs quickstart, then amc runs show 3f09",
)
app.add_typer(runs, name="runs")

Where = Annotated[
    str | None,
    typer.Option("--where", help="Only runs for which a condition in SQL holds, such as \"model = 'resnet'\"."),
]
Keys = Annotated[list[str], typer.Argument(metavar="KEY", help="First digits of the runs' keys.")]


@runs.command(name="list")
def list_runs(
    study: Annotated[list[str] | None, study_argument("STUDY", "Only runs of these studies.")] = None,
    store: StoreDir = "results",
    scale: Scale = None,
    where: Where = None,
    sort: Annotated[
        str | None, typer.Option("--sort", help="The column to sort by; -COLUMN sorts in descending order.")
    ] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write all columns to this CSV file.")] = None,
) -> None:
    """List runs: key, model, training setting, state, accuracy, duration, size. Works while a study runs.

    The accuracy is that on the validation part. Columns for --where and --sort are those of the table runs, and state,
    epoch, evaluated, named, host_now, silence, failure, bytes, tags, note. The states are waiting, training,
    evaluating, begun, trained, failed and outdated.

    Example: amc runs quickstart --where "state = 'failed'", or amc runs --sort -validation_accuracy
    """
    from analysis.states import choose_states

    rows = _sorted(choose_states(states_of(study, store, scale), where=where), sort)
    if csv is not None:
        written_to(csv, lambda path: rows.to_csv(path, index=False), len(rows))
        return
    if rows.empty:
        text = f"No such run in {store}." if study or where else f"There are no runs in {store}."
        out.print(text, highlight=False)
        return
    show_whole(run_table(rows, stages=bool(study)))
    out.print(summary(rows), highlight=False)


@runs.command()
def show(
    key: Annotated[str, typer.Argument(metavar="KEY", help="First digits of the run's key.")],
    store: StoreDir = "results",
    study: Annotated[
        str | None, typer.Option("--study", help="A study that names the run; needed if the run has not begun.")
    ] = None,
    scale: Scale = None,
) -> None:
    """Show one run: its definition, its learning curve, and the end of its log.

    Most fields of the scenario and the recipe that have their default are left out.

    Example: amc runs show 3f09
    """
    from analysis import Results
    from analysis.states import choose_states
    from sweeps.study import load_study

    opened_store = opened(store)
    row = choose_states(states_of([study] if study else None, store, scale), [key]).iloc[0]
    usual = _defaults()
    known = {name: value for name, value in row.items() if not is_nothing(value) and (name, value) not in usual.items()}
    known["state"] = state_in_words(row.to_dict())
    known |= {name: f"{known[name]:%Y-%m-%d %H:%M:%S %Z}" for name in ("started_at", "finished_at") if name in known}
    shown = Table(title=f"run {row['run']}: {row['model']}", box=SIMPLE_HEAD, show_header=False)
    left_out = {"run", "model", "bytes", "evaluated", "named", "host_now", "silence", "failure"}
    left_out |= set() if study else {"stage"}
    for name, value in known.items():
        if name not in left_out and value not in ("{}", "unknown") and (name, value) != ("ancestors", 0):
            shown.add_row(title_of(name), written(", ".join(value) if isinstance(value, list) else value))
    shown.add_row("cells", f"{row['evaluated']} of {row['named']}" if study else str(row["evaluated"]))
    shown.add_row("size", bytes_in_words(row["bytes"]))
    out.print(shown)
    results = Results(load_study(study, scale) if study else None, opened_store)
    show_curve(results.table("epochs", filters={"run": row["run"]}))
    for line in opened_store.run(row["run"]).log().splitlines()[-_LINES_SHOWN:]:
        out.print(line, highlight=False, soft_wrap=True)


@runs.command()
def rm(
    key: Annotated[
        list[str] | None, typer.Argument(metavar="KEY", help="First digits of the runs' keys.", show_default=False)
    ] = None,
    store: StoreDir = "results",
    failed: Annotated[bool, typer.Option("--failed", help="Remove all runs that have failed.")] = False,
    where: Where = None,
    yes: Yes = False,
) -> None:
    """Remove runs with their cells. Runs that started from them still count.

    Example: amc runs rm 3f09 --yes, or amc runs rm --where "model = 'lstm'"
    """
    from analysis.states import choose_states

    if not key and not failed and where is None:
        raise AmcError("no run is named: give the first digits of keys, --failed, or a condition with --where")
    rows = choose_states(states_of(None, store, None), key or (), where, failed)
    remove_runs(rows, opened(store), yes)


@runs.command()
def tag(
    key: Keys,
    tag: Annotated[list[str], typer.Option("--tag", help="A tag; may repeat.")],
    store: StoreDir = "results",
    remove: Annotated[bool, typer.Option("--remove", help="Remove the tags.")] = False,
) -> None:
    """Give runs tags, for conditions such as --where "tags LIKE '%baseline%'".

    Example: amc runs tag 3f09 81aa --tag baseline
    """
    from sweeps.store.labels import change_label

    opened_store = opened(store)
    for chosen in _keys(store, key):
        label = change_label(opened_store.run(chosen), () if remove else tag, tag if remove else ())
        out.print(f"run {chosen}: {', '.join(label.tags) or 'no tags'}", highlight=False)


@runs.command()
def note(
    key: Keys,
    text: Annotated[str, typer.Option("--text", help='The note; "" deletes it.')],
    store: StoreDir = "results",
) -> None:
    """Write a note to runs. It replaces an earlier note.

    Example: amc runs note 3f09 --text "Learning rate too high"
    """
    from sweeps.store.labels import change_label

    opened_store = opened(store)
    for chosen in _keys(store, key):
        label = change_label(opened_store.run(chosen), note=text)
        out.print(f"run {chosen}: {label.note or 'no note'}", highlight=False)


def _defaults() -> dict:
    """Column of the scenario or the recipe → its default, except for columns that are always shown."""
    from dataclasses import asdict

    from amc_core.run import Recipe
    from amc_core.scenario import Scenario
    from analysis.columns import scenario_columns

    usual = scenario_columns("train", Scenario()) | asdict(Recipe())
    names = ("channel", "upsampling", "rolloff", "sample_rate", "epochs", "batch_size", "learning_rate")
    return {name: value for name, value in usual.items() if name.removeprefix("train_") not in names}


def _keys(store: str, keys: Sequence[str]) -> list[str]:
    from analysis.states import choose_states

    return list(choose_states(states_of(None, store, None), keys)["run"])


def _sorted(rows: pd.DataFrame, by: str | None) -> pd.DataFrame:
    if by is None:
        return rows
    name = by.removeprefix("-")
    if name not in rows:
        from amc_core.errors import suggest

        raise AmcError(f"--sort: column {name!r} is not known{suggest(name, rows.columns)}")
    from analysis.columns import sorted_rows

    ordered = sorted_rows(rows, [name])
    return ordered.iloc[::-1] if by.startswith("-") else ordered
