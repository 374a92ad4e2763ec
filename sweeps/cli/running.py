"""amc plan, run, status, search: what is missing, computing it, and its progress."""

from __future__ import annotations

import shlex
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from amc_core.errors import AmcError
from amc_core.quantities import duration, many, written
from sweeps.cli.app import Scale, StoreDir, StudyName, StudyNames, app, numeral, study_argument
from sweeps.cli.run_table import show_incomplete
from sweeps.cli.show import err, out, show_plan, show_search_state, title_of, written_to

if TYPE_CHECKING:  # importing them would make `amc --help` slow
    from sweeps.driver import Outcome
    from sweeps.planning import Plan
    from sweeps.store import Store
    from sweeps.study import Studies, Study


@app.command()
def plan(
    study: StudyNames,
    store: StoreDir = "results",
    scale: Scale = None,
    listed: Annotated[bool, typer.Option("--list", help="Also list the incomplete runs.")] = False,
) -> None:
    """Show what one study, or several together, still have to compute. Nothing runs.

    Example: amc plan quickstart, or amc plan 'p1-*' --scale small --list
    """
    from sweeps import driver
    from sweeps.own_code import changes_of_code
    from sweeps.planning import elsewhere
    from sweeps.search import proposed
    from sweeps.store import Store
    from sweeps.study import load_studies

    opened_store = Store(store)
    chosen = proposed(load_studies(study, scale), opened_store)
    plan = driver.plan(chosen, opened_store)
    show_missing(chosen, plan)
    for line in changes_of_code(plan, opened_store):
        out.print(line, highlight=False, soft_wrap=True)
    show_time(plan, opened_store)
    if listed and plan.incomplete:
        show_incomplete(chosen, opened_store)
    if plan.runs and plan.untrained == len(plan.runs):
        for name in study:
            if hint := elsewhere(name, opened_store, scale):
                out.print(f"The store has nothing of {name} at this scale, but {hint}.", highlight=False)
    show_search_state(chosen, opened_store)


def show_time(plan: Plan, store: Store) -> None:
    """Print how long the missing work takes with one trial at a time, by the store's runs, else by shipped rates."""
    from sweeps import rates
    from sweeps.planning import expected_seconds, run_seconds, shipped_seconds

    if not plan.incomplete:
        return
    known = expected_seconds(plan, store)
    for device, seconds in sorted(known.items()):
        text = f"that is {duration(seconds)} for one trial at a time on {device}"
        out.print(f"By the times of runs in the store, {text}.")
    if known:
        return
    if (seconds := shipped_seconds(plan)) is not None:
        text = f"that is about {duration(seconds)} for one trial at a time"
        out.print(f"The store has no times of such runs yet. On {rates.MACHINE}, {text}.", highlight=False)
        return
    speeds = store.speeds()
    each = [(entry.run.model, run_seconds(entry, speeds)) for entry in plan.incomplete]
    if untimed := sorted({str(model) for model, seconds in each if seconds is None}):
        out.print(f"How long that takes is not known before a run of {', '.join(untimed)} is trained.", highlight=False)
    else:
        text = f"that is about {duration(sum(seconds for _, seconds in each))} for one trial at a time"
        out.print(f"By the times of runs in the store, and else by rates of {rates.MACHINE}, {text}.", highlight=False)


@app.command()
def run(
    study: StudyNames,
    store: StoreDir = "results",
    scale: Scale = None,
    address: Annotated[
        str | None,
        typer.Option(
            "--address", help="host:port of a Ray cluster, auto, or local; by default RAY_ADDRESS, or this machine."
        ),
    ] = None,
    gpus_per_trial: Annotated[
        float | None,
        numeral(
            "--gpus-per-trial",
            "a number of GPUs from 0",
            0,
            10**6,
            help="GPUs, or a fraction of one, for each trial.",
        ),
    ] = None,
    log: Annotated[
        str | None, typer.Option("--log", help="Also write learning curves: tensorboard, mlflow or wandb, under logs/.")
    ] = None,
    time_limit: Annotated[
        str | None,
        typer.Option(
            "--time-limit", metavar="DURATION", help="End within this time, such as 3h, 1h30m or 2:00:00; see above."
        ),
    ] = None,
    without_ray: Annotated[
        bool, typer.Option("--without-ray", help="Compute in this process, one run after another, on one device.")
    ] = False,
) -> None:
    """Compute what one study, or several together, name and the store lacks. Run it again to resume.

    With --time-limit, no run starts that could not end in time. A minute before the end (or a tenth of a limit below
    ten minutes), runs under way write a checkpoint and stop. SIGTERM and SIGUSR1 make them do so at once. The exit code
    is 0 if nothing failed. A second SIGTERM, or Ctrl-C, does not wait for checkpoints.

    Example: amc run quickstart --store results --scale smoke
    """
    from sweeps import driver
    from sweeps.signals import heeding_warnings, warned
    from sweeps.study import Studies

    with heeding_warnings():
        outcome = driver.run(
            study,
            store,
            scale,
            address=address,
            gpus_per_trial=gpus_per_trial,
            log=log,
            ray=not without_ray,
            time_limit=time_limit,
            console=out,
            planned=show_plan,
            notice=complaint,
            stop=warned,
        )
    show_search_state(outcome.study, outcome.store)
    if not outcome.complete and show_elsewhere(outcome):
        return
    if not outcome.complete and outcome.early:
        show_rest(outcome)
        if not outcome.failures:
            return
    if not outcome.complete:
        show_failures(outcome)
        raise typer.Exit(1)
    verb, counts = "are" if isinstance(outcome.study, Studies) else "is", outcome.counts
    sentence = f"{outcome.study.name} {verb} complete: "
    sentence += f"{many(counts['runs'], 'run')}, {many(counts['cells'], 'cell')} in {store}."
    out.print(sentence, highlight=False)
    show_next(study, store, scale)


def show_next(study: list[str], store: str, scale: str | None) -> None:
    """Print the commands that show the results, quoted for a shell."""
    where = [*(["--scale", scale] if scale else []), *(["--store", store] if store != "results" else [])]
    names = ("results", "figures", "report") if len(study) == 1 and not set("*?[") & set(study[0]) else ("report",)
    commands = " · ".join(shlex.join(["amc", name, *study, *where]) for name in names)
    out.print(f"Next: {commands}", highlight=False, soft_wrap=True)


_WATCH_SECONDS = 5
_TRIED = "are incomplete; the same command tries them"


def show_elsewhere(outcome: Outcome) -> bool:
    """Say that other drivers are computing all that a search lacks, if they are; returns whether they are."""
    missing = outcome.search.wanted - outcome.search.done if outcome.search and not outcome.plan.incomplete else 0
    if not 0 < missing <= outcome.search.elsewhere:
        return False
    what = many(missing, "proposal is", "proposals are")
    out.print(f"{what} being computed by another driver, and nothing else is missing.", highlight=False)
    return True


def show_rest(outcome: Outcome) -> None:
    """Print what a launch that ended early has left to do, and how to continue."""
    plan, search = outcome.plan, outcome.search
    runs, cells = len(plan.runs), plan.cells
    if search:
        rest = f"{search.wanted - search.done} of {many(search.wanted, 'proposal')}"
    else:
        begun = outcome.store.listing(entry.run.key for entry in plan.incomplete).training()
        rest = f"{plan.untrained} of {many(runs, 'run')}" + (f" ({len(begun)} of them begun)" if begun else "")
        rest += f" and {plan.missing_cells} of {many(cells, 'cell')}"
    out.print(f"Ended early, with {rest} left. The same command goes on from the store.", highlight=False)
    show_time(plan, outcome.store)


def show_failures(outcome: Outcome) -> None:
    """Print a line for each run that is not complete, and what to do."""
    models = {entry.run.key: f" ({entry.run.model})" for entry in outcome.plan.incomplete}
    for key, reason in outcome.failures.items():
        complaint(f"run {key}{models.get(key, '')}: {reason}")
    incomplete, counts = len(outcome.plan.incomplete), outcome.counts
    if outcome.failures:
        complaint("'amc runs' lists all runs with their states, and 'amc runs show KEY' shows one with its log.")
    if incomplete:
        what = "is incomplete; the same command tries it" if counts["runs"] == 1 else _TRIED
        complaint(f"{incomplete} of {many(counts['runs'], 'run')} {what} again.")
    elif not counts["proposals"]:
        complaint("Every combination of the grid was refused: 'amc search' lists them with the reasons.")
    else:
        whole = many(counts["proposals"], "proposal is", "proposals are")
        done = f"{counts['proposed']} of {whole} complete"
        again = "tries the others again" if outcome.study.search.sampler == "grid" else "makes more"
        complaint(f"{done}; the same command {again}.")


def complaint(line: str) -> None:
    err.print(line, highlight=False, soft_wrap=True)


@app.command()
def status(
    study: Annotated[list[str] | None, study_argument("STUDY", "Only runs of these studies.")] = None,
    store: StoreDir = "results",
    scale: Scale = None,
    watch: Annotated[bool, typer.Option("--watch", help="Update every 5 s, until all runs are complete.")] = False,
) -> None:
    """Show the state of a store: finished, begun and failed runs, and the time left. Works while a study runs.

    `amc runs` lists the runs one by one.

    Example: amc status quickstart --store results --watch
    """
    from sweeps.signals import until_interrupted

    with until_interrupted() if watch else nullcontext():
        while show_status(study, store, scale) and watch:
            time.sleep(_WATCH_SECONDS)
            out.clear()


def show_status(study: list[str] | None, store: str, scale: str | None) -> bool:
    """Print the summary; returns whether something may be left to compute."""
    from sweeps.planning import make_plan
    from sweeps.search import proposed
    from sweeps.store import Store
    from sweeps.study import SearchStudy, load_studies

    opened_store, plan, searching = Store(store), None, False
    listing = opened_store.listing()
    trained, training, failures = listing.trained(), listing.training(), listing.failures()
    begun = listing.begun()
    if study:
        chosen = proposed(load_studies(study, scale), opened_store)
        plan, searching = make_plan(chosen, opened_store), isinstance(chosen, SearchStudy)
        show_missing(chosen, plan)
        show_search_state(chosen, opened_store)
        keys = {run.key for run in chosen.runs()}
        trained, training = trained & keys, training & keys
        failures = {key: failure for key, failure in failures.items() if key in keys}
        begun = {key: each for key, each in begun.items() if key in keys}
    out.print(
        f"{many(len(trained), 'run')} trained, {len(training)} begun, {len(failures)} failed in {store}",
        highlight=False,
    )
    under_way = {key: each for key, each in begun.items() if each.age() is not None}
    for key, each in under_way.items():
        what = f"evaluating, {many(each.cells, 'cell')} so far" if key in trained else each.epochs_in_words()
        line = f"  {key} {each.record.model}: {what}, on {each.host}, sign of life {each.age():.0f} s ago"
        out.print(line, highlight=False)
    for key, failure in failures.items():
        reason = failure["reason"].strip().splitlines()[-1]
        out.print(f"  {key} failed at {failure['failed_at']}: {reason}", highlight=False)
    if plan and under_way:
        show_time_left(plan, opened_store, {key: each.share() for key, each in begun.items()}, len(under_way))
    return searching or plan is None or bool(plan.incomplete)


def show_time_left(plan: Plan, store: Store, done: dict[str, float], trials: int) -> None:
    """Print how long the rest takes with the current number of trials. done: run key → finished share of training."""
    from sweeps.planning import expected_seconds, shipped_seconds

    known = expected_seconds(plan, store, done)
    if not known and (seconds := shipped_seconds(plan, done)) is not None:
        known = {"a CPU like that of the shipped rates": seconds}
    for device, seconds in sorted(known.items() if plan.incomplete else ()):
        text = (
            f"About {duration(seconds / trials)} left on {device}, with the current {many(trials, 'trial')} at a time"
        )
        out.print(f"{text}.", highlight=False)


@app.command(name="search")
def show_search(
    study: StudyName,
    store: StoreDir = "results",
    scale: Scale = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the proposals to this CSV file.")] = None,
) -> None:
    """Show the proposals of a study's search, their objectives, and the best one. Works while it runs.

    Example: amc search architecture-search --csv proposals.csv
    """
    from sweeps.search import location, proposal_table
    from sweeps.store import Store
    from sweeps.study import SearchStudy, load_study

    chosen, opened_store = load_study(study, scale), Store(store)
    if not isinstance(chosen, SearchStudy):
        raise AmcError(f"study {study} is not a search: it has no section search")
    table = proposal_table(chosen, opened_store)
    columns = [name for name in table if name != "failure" or table[name].any()]
    shown = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in columns:
        *of, last = name.removeprefix("models.").removeprefix("recipe.").replace(".recipe.", ".").split(".")
        shown.add_column("\n".join([*of, title_of(last)]), vertical="bottom", overflow="fold")
    for row in table[columns].itertuples(index=False):
        shown.add_row(*map(written, row))
    out.print(shown)
    show_search_state(chosen, opened_store)
    if csv is not None:
        written_to(csv, lambda path: table.to_csv(path, index=False), len(table))
    out.print(f"Live in a browser: optuna-dashboard {location(chosen, opened_store)}", highlight=False, soft_wrap=True)


def show_missing(study: Study | Studies, plan: Plan) -> None:
    show_plan(study, plan)
    if plan.damaged:
        out.print(f"Damaged cells files: {plan.damaged}. Their cells count as missing; 'amc run' computes them again.")
