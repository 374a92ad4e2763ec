"""amc plan, run, status, search: what is missing, computing it, and how far it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from amc_core.errors import AmcError
from amc_core.quantities import written
from sweeps.cli.app import Scale, StoreDir, StudyName, StudyNames, app
from sweeps.cli.show import err, out, show_plan, show_trials, title_of, written_to
from sweeps.engine.options import require_options
from sweeps.engine.progress import many
from sweeps.planning import Plan, expected_seconds, make_plan, require_recordings
from sweeps.search import Search, completed, location, mend, proposed, trial_table
from sweeps.store import Store
from sweeps.study import SearchStudy, Studies, Study, load_studies, load_study


@app.command()
def plan(study: StudyNames, store: StoreDir = "results", scale: Scale = None) -> None:
    """Show what a study, or several together, still have to compute, before anything runs.

    Example: amc plan quickstart, or amc plan 'p1-*' --scale small
    """
    place = Store(store)
    chosen = proposed(load_studies(study, scale), place)
    found = make_plan(chosen, place)
    require_recordings(found)
    show_missing(chosen, found)
    for device, seconds in sorted(expected_seconds(found, place).items() if found.incomplete else ()):
        duration = timedelta(seconds=max(1, round(seconds)))
        out.print(f"By what runs in the store took, that is {duration} for one trial at a time on {device}.")
    show_trials(chosen, place)


@app.command()
def run(
    study: StudyNames,
    store: StoreDir = "results",
    scale: Scale = None,
    address: Annotated[
        str | None,
        typer.Option("--address", help="host:port of a Ray cluster, auto, or local; otherwise RAY_ADDRESS, or here."),
    ] = None,
    gpus_per_trial: Annotated[
        float | None, typer.Option("--gpus-per-trial", min=0, help="GPUs, or a fraction of one, for each trial.")
    ] = None,
    log: Annotated[
        str | None, typer.Option("--log", help="Also write learning curves: tensorboard, mlflow or wandb, under logs/.")
    ] = None,
) -> None:
    """Compute what a study, or several together, name and the store lacks; run it again to resume.

    Example: amc run quickstart --store results --scale smoke
    """
    require_options(address, gpus_per_trial, log)
    chosen, place = load_studies(study, scale), Store(store)
    if isinstance(chosen, SearchStudy) and (damage := mend(chosen, place)):
        err.print(damage, highlight=False, markup=False, soft_wrap=True)
    set_aside(place, (run.key for run in proposed(chosen, place).runs()))
    chosen = completed(chosen, place)  # of a search; what it has begun, it proposes again
    before = make_plan(chosen, place)
    require_recordings(before)
    show_plan(chosen, before)
    search = None
    if isinstance(chosen, SearchStudy):
        require_recordings(make_plan(replace(chosen, proposals=chosen.ends), place))
        place.require_writable()
        search = Search(chosen, place)
    if not before.incomplete and not (search and search.wanted):
        show_trials(chosen, place)
        if search:
            show_elsewhere(search)
        return
    from sweeps.engine.launch import launch
    from sweeps.engine.progress import Progress

    with Progress(before, out, lambda: search.heading if search else "") as progress:
        launch(chosen, before, place, progress, address, gpus_per_trial, log, search)
    trained = {entry.run.key for entry in before.runs if not entry.trained}
    heirs = [entry.run for entry in before.runs if entry.trained and entry.run.parent]
    set_aside(place, (run.key for run in heirs if run.parent.key in trained))  # which may have other weights now
    after = make_plan(completed(chosen, place), place)
    show_trials(chosen, place)
    if after.incomplete:
        for left in after.incomplete:
            start = left.run.parent
            waited = f"not begun, since it starts from run {start.key}" if start else "not finished"
            line = f"run {left.run.key} ({left.run.model}): {progress.failures.get(left.run.key, waited)}"
            err.print(line, highlight=False, markup=False, soft_wrap=True)
        what = "is incomplete; the same command tries it" if len(after.runs) == 1 else _TRIED
        err.print(f"{len(after.incomplete)} of {many(len(after.runs), 'run')} {what} again.")
        raise typer.Exit(1)
    if search and search.done < search.trials:
        if show_elsewhere(search):
            return
        for key, reason in progress.failures.items():
            err.print(f"run {key}: {reason}", highlight=False, markup=False, soft_wrap=True)
        next_time = "tries those again" if chosen.search.sampler == "grid" else "proposes others"
        err.print(f"{search.done} of {search.trials} trials are complete; the same command {next_time}.")
        raise typer.Exit(1)
    verb = "are" if isinstance(chosen, Studies) else "is"
    out.print(
        f"{chosen.name} {verb} complete: {many(len(after.runs), 'run')}, {many(after.cells, 'cell')} in {store}.",
        highlight=False,
    )


_TRIED = "are incomplete; the same command tries them"


def show_elsewhere(search: Search) -> bool:
    """Say that all that a search lacks is being computed by other drivers, if that is so."""
    missing = search.trials - search.done
    if not 0 < missing <= search.elsewhere:
        return False
    what = "1 trial is" if missing == 1 else f"{missing} trials are"
    out.print(f"{what} being computed by another driver, and nothing else is missing.", highlight=False)
    return True


@app.command()
def status(
    study: Annotated[
        list[str] | None, typer.Argument(metavar="[STUDY...]", help="Look at these studies only.", show_default=False)
    ] = None,
    store: StoreDir = "results",
    scale: Scale = None,
) -> None:
    """Show what is in a store: finished, begun and failed runs. Works while a study runs.

    Example: amc status quickstart --store results
    """
    place = Store(store)
    listing = place.listing()
    trained, training, failures = listing.trained(), listing.training(), listing.failures()
    if study:
        chosen = proposed(load_studies(study, scale), place)
        show_missing(chosen, make_plan(chosen, place))
        show_trials(chosen, place)
        keys = {run.key for run in chosen.runs()}
        trained, training = trained & keys, training & keys
        failures = {key: failure for key, failure in failures.items() if key in keys}
    out.print(
        f"{many(len(trained), 'run')} trained, {len(training)} begun, {len(failures)} failed in {store}",
        highlight=False,
    )
    for key, failure in failures.items():
        reason = failure["reason"].strip().splitlines()[-1]
        out.print(f"  {key} failed at {failure['failed_at']}: {reason}", highlight=False, markup=False)


@app.command(name="search")
def show_search(
    study: StudyName,
    store: StoreDir = "results",
    scale: Scale = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the trials to this CSV file.")] = None,
) -> None:
    """Show what a study's search has tried, how well it did, and which is best. Works while it runs.

    Example: amc search architecture-search --csv trials.csv
    """
    chosen, place = load_study(study, scale), Store(store)
    if not isinstance(chosen, SearchStudy):
        raise AmcError(f"{study} searches nothing: it has no section search")
    table = trial_table(chosen, place)
    columns = [name for name in table if name != "failure" or table[name].any()]
    shown = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in columns:
        title = title_of(name.removeprefix("models.").removeprefix("recipe.").replace(".recipe.", "."))
        shown.add_column(title.replace(".", "\n"), vertical="bottom", overflow="fold")
    for row in table[columns].itertuples(index=False):
        shown.add_row(*map(written, row))
    out.print(shown)
    show_trials(chosen, place)
    if csv is not None:
        written_to(csv, lambda path: table.to_csv(path, index=False), len(table))
    out.print(f"Live in a browser: optuna-dashboard {location(chosen, place)}", highlight=False, soft_wrap=True)


def set_aside(place: Store, keys: Iterable[str]) -> None:
    for name in place.verify(keys):
        line = f"damaged or outdated, set aside in {place.path}/damaged: {name}"
        err.print(line, highlight=False, markup=False, soft_wrap=True)


def show_missing(study: Study | Studies, found: Plan) -> None:
    show_plan(study, found)
    if found.damaged:
        out.print(f"Damaged files of cells: {found.damaged}; what they held is missing, 'amc run' computes it again.")
