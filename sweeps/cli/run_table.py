"""Functions that the commands about runs share: the table of runs, states in words, curves, and removal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from amc_core.errors import AmcError
from amc_core.quantities import bytes_in_words, many
from sweeps.cli.show import out, show_whole, title_of, words

if TYPE_CHECKING:  # importing them would make `amc --help` slow
    import pandas as pd

    from sweeps.store import Store
    from sweeps.study import Studies, Study

_EPOCHS_SHOWN = 12
_BARS = "▁▂▃▄▅▆▇█"
_LISTED = 8  # runs to be removed that are listed

Yes = Annotated[bool, typer.Option("--yes", help="Remove them; without this option, runs are only listed.")]


def opened(path: str, exists: bool = True) -> Store:
    from sweeps.store import Store

    store = Store(path)
    if exists and not store.files.list("runs"):
        raise AmcError(f"store {path!r} holds no runs: name another with --store")
    return store


def states_of(study: Sequence[str] | None, store: str, scale: str | None) -> pd.DataFrame:
    from analysis.states import run_states
    from sweeps.search import proposed
    from sweeps.store import Store
    from sweeps.study import load_studies

    opened_store = Store(store)
    return run_states(proposed(load_studies(list(study), scale), opened_store) if study else None, opened_store)


def run_table(rows: pd.DataFrame, stages: bool) -> Table:
    """A line for each run. stages: do stages have names, as in a study? If not, the parent's key is shown instead."""
    digits = next(n for n in range(8, 25) if rows["run"].str[:n].nunique() == len(rows))
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    start = "stage" if stages else "parent"
    for name in ("key", "model", "trained in", start, "state", "accuracy", "duration", "size", "tags"):
        table.add_column(name, justify="right" if name in ("accuracy", "duration", "size") else "left")
    settings = _settings(rows)
    for row, setting in zip(rows.to_dict("records"), settings, strict=True):
        accuracy, seconds = row["validation_accuracy"], row["seconds"]
        table.add_row(
            row["run"][:digits],
            row["model"] or "unknown",
            setting,
            "" if is_nothing(row[start]) else row["stage"] if stages else row["parent"][:digits],
            state_in_words(row),
            "" if is_nothing(accuracy) else f"{accuracy:.1%}",
            "" if is_nothing(seconds) else str(timedelta(seconds=round(seconds))),
            bytes_in_words(row["bytes"]) if row["bytes"] else "",
            row["tags"],
        )
    return table


def _settings(rows: pd.DataFrame) -> list[str]:
    """The channel or recording of each run's training, with all fields in which the runs of a model differ."""
    from amc_core.reference import in_words
    from analysis.columns import IDENTITY
    from analysis.pivots import spread

    apart = ("model", "hyperparameters", "stage", "parent", "weights", "ancestors", "train_channel", "train_recording")
    alike = rows.groupby("model")  # the recipe of a fitted classifier differs from that of a trained one
    differing = [name for name in IDENTITY if name not in apart and _differs(alike[name])]
    rows, hyperparameters = spread(rows.assign(hyperparameters=rows["hyperparameters"].fillna("")))
    differing = [*hyperparameters, *differing]
    settings = []
    for row in rows.to_dict("records"):
        if not row["model"]:
            settings.append("")
            continue
        parts = [in_words(name, row[name]) for name in differing if not is_nothing(row[name])]
        settings.append(", ".join([row["train_recording"] or words(row["train_channel"]), *parts]))
    return settings


def _differs(groups) -> bool:
    """Does a column differ within any of the groups?"""
    return any(values.astype("str").nunique() > 1 for _, values in groups)


def show_incomplete(study: Study | Studies, store: Store) -> None:
    """List the runs of a study that are not complete."""
    from analysis.states import run_states

    rows = run_states(study, store)
    incomplete = rows[(rows["state"] != "trained") | (rows["evaluated"] < rows["named"])]
    show_whole(run_table(incomplete, stages=True))


def state_in_words(row: dict) -> str:
    state, epochs = row["state"], f"epoch {row['epoch']:.0f}/{row['epochs']:.0f}" if row["model"] else ""
    if state == "training":
        return f"training {epochs} on {row['host_now']}, sign of life {row['silence']:.0f} s ago"
    cells = f"cells {row['evaluated']}/{row['named']}"
    if state == "evaluating":
        return f"evaluating {cells} on {row['host_now']}, sign of life {row['silence']:.0f} s ago"
    if state == "failed":
        return f"failed: {row['failure']}"
    if state == "begun":
        return f"begun, {epochs}"
    return f"trained, {cells}" if state == "trained" and row["evaluated"] < row["named"] else state


def summary(rows: pd.DataFrame) -> str:
    """The number of runs in each state, and the size of all."""
    from analysis.states import STATES

    counts = rows["state"].value_counts()
    text = ", ".join(f"{counts[state]} {state}" for state in STATES if state in counts)
    return f"{many(len(rows), 'run')}: {text}; {bytes_in_words(rows['bytes'].sum())}"


def show_curve(epochs: pd.DataFrame) -> None:
    if epochs.empty:
        return
    accuracies = epochs["validation_accuracy"]
    bars = "".join(_BARS[min(int(accuracy * len(_BARS)), len(_BARS) - 1)] for accuracy in accuracies)
    out.print(f"Accuracy on the validation part, from 0 to 100 %: {bars}", highlight=False, soft_wrap=True)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    columns = ["epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "learning_rate"]
    for name in columns:
        table.add_column(title_of(name), justify="right")
    for row in epochs[columns].tail(_EPOCHS_SHOWN).itertuples(index=False):
        table.add_row(*(f"{value:.4g}" for value in row))
    out.print(table)


def is_nothing(value: object) -> bool:
    return value is None or str(value) in ("", "nan", "<NA>", "NaT")


def remove_runs(rows: pd.DataFrame, store: Store, yes: bool) -> None:
    """Remove runs, or list them if not `yes`. Raises AmcError if a trial is computing one of them."""
    from sweeps.store.removal import remove

    busy = rows[rows["state"].isin(("training", "evaluating"))]
    if len(busy):
        first = busy.iloc[0]
        raise AmcError(
            f"run {first['run']} is being computed on {first['host_now']}: end that launch first, or leave the run out"
        )
    amount = f"{many(len(rows), 'run')}, {bytes_in_words(rows['bytes'].sum())}"
    if not yes:
        for row in rows.head(_LISTED).to_dict("records"):
            words = f"{row['model'] or 'unknown'}, {state_in_words(row)}"
            out.print(f"  {row['run']} {words}", highlight=False)
        if len(rows) > _LISTED:
            out.print(f"  and {len(rows) - _LISTED:,} more")
        out.print(f"Would remove {amount}." + (" With --yes it does." if len(rows) else ""), highlight=False)
        return
    remove(store, rows["run"])
    out.print(f"Removed {amount}.", highlight=False)
