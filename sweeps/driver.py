"""One call that runs a study, from the command line, a notebook, a script or a test.

`analysis` makes the tables and the figure of an outcome; it is imported when one of them is used.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from amc_core.errors import AmcError
from sweeps.engine.ending import Ending
from sweeps.engine.options import limit_in_seconds, require_options
from sweeps.own_code import require_working_code
from sweeps.planning import Plan, make_plan, require_recordings
from sweeps.search import Search, completed, mend, proposed
from sweeps.store import Store
from sweeps.study import SearchStudy, Source, Studies, Study, load_studies

_LOG = logging.getLogger("sweeps")
_LAUNCHES = threading.Lock()  # a process has one connection to Ray: launches of several threads wait for each other


class SearchCount(NamedTuple):
    """The progress of a search: how many proposals are evaluated, are wanted, and are computed by other drivers."""

    done: int
    wanted: int
    elsewhere: int


@dataclass(frozen=True, repr=False)
class Outcome:
    """The outcome of `sweeps.run`.

    study: as it was run; a search has the proposals whose objective is known. plan: what the study names, and what of
    it is missing. failures: run key → the reason why the run is not complete, in a sentence. search: the progress of a
    search, else None. early: did the launch end before all was done, by its time limit or on request? The runs that it
    left are not failures.
    """

    study: Study | Studies
    store: Store
    plan: Plan
    failures: dict[str, str]
    search: SearchCount | None = None
    early: bool = False

    @property
    def complete(self) -> bool:
        """Is every run trained, every cell evaluated, and every proposal of a search made?"""
        searched = self.search is None or self.search.done >= max(self.search.wanted, 1)
        return not self.plan.incomplete and searched

    @property
    def counts(self) -> dict[str, int]:
        """The numbers of runs, trained runs, cells, evaluated cells and failures; for a search also of proposals."""
        plan = self.plan
        counts = {"runs": len(plan.runs), "trained": len(plan.runs) - plan.untrained}
        counts |= {"cells": plan.cells, "evaluated": plan.cells - plan.missing_cells, "failures": len(self.failures)}
        return counts | ({"proposals": self.search.wanted, "proposed": self.search.done} if self.search else {})

    @cached_property
    def results(self):
        """The study's `analysis.Results` in the store, the source of the tables."""
        from analysis import Results

        return Results(self.study, self.store)

    @property
    def runs(self):
        """A data frame with a row per run, with its model, recipe, training scenario and times."""
        return self.results.runs

    @property
    def epochs(self):
        """A data frame with a row per run and epoch, with loss and accuracy on the training and validation parts."""
        return self.results.epochs

    @property
    def cells(self):
        """A data frame with a row per run, test scenario and SNR, with n, correct and accuracy."""
        return self.results.cells

    @cached_property
    def confusion(self):
        """A data frame with a row per run, test scenario, SNR, sent and recognised modulation, with their count."""
        return self.results.table("confusion")

    def figure(self):
        """A Matplotlib figure of the accuracies by training and test setting. Raises AmcError if there are no cells."""
        from analysis.figures import train_test_heat_map

        return train_test_heat_map(self.cells)

    def __repr__(self) -> str:
        parts = [self.study.name, "complete" if self.complete else "not complete"]
        parts += [f"{name} {count}" for name, count in self.counts.items()]
        return f"<Outcome: {', '.join(parts)}>"


def plan(study: Source | Studies | Sequence[Source], store: str | Path | Store = "results", scale: str | None = None):
    """The `Plan` of one study, or of several together: what they still have to compute. Nothing runs or is written.

    Parameters:
        study, store, scale: As in `run`.

    Returns:
        A `Plan`, with the numbers of named and missing runs and cells.

    Raises:
        AmcError: The study cannot be run, or a recording does not hold what the study needs.
    """
    store = _opened(store)
    plan = make_plan(proposed(load_studies(study, scale), store), store)
    require_recordings(plan)
    return plan


def run(
    study: Source | Studies | Sequence[Source],
    store: str | Path | Store = "results",
    scale: str | None = None,
    *,
    address: str | None = None,
    gpus_per_trial: float | None = None,
    log: str | None = None,
    ray: bool = True,
    time_limit: float | str | None = None,
    console: Console | None = None,
    planned: Callable[[Study | Studies, Plan], None] = lambda study, plan: None,
    notice: Callable[[str], None] = _LOG.warning,
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Compute what one study, or several together, name and the store lacks. Call it again to resume or to extend.

    A run that fails does not end the others; the outcome says why it failed. After an interruption
    (KeyboardInterrupt), everything that was finished is in the store.

    Parameters:
        study: A path, the name of a shipped study, YAML text, a dictionary, or a list of these, which run as one.
        store: The path of a directory, or s3://bucket/prefix.
        scale: smoke, small, medium, paper, or a scale of the study; None takes the sizes of the study file.
        address: host:port of a Ray cluster, "auto", or None for a Ray of its own on this machine.
        gpus_per_trial: GPUs, or a fraction of one, for each trial.
        log: "tensorboard", "mlflow" or "wandb", which gets the learning curves too.
        ray: If False, one run after another is computed in this process, on a GPU if there is one, without Ray.
        time_limit: The time in which the launch ends, in seconds or as "1h30m". No run starts that could not end in
            time, and runs under way write a checkpoint and stop.
        console: Shows progress, as a display on a terminal and in a notebook, as lines elsewhere; Console(quiet=True)
            shows none.
        planned: Called before anything runs.
        notice: Called with a line about each damaged file that was set aside.
        stop: Called all the time; once it returns True, the launch ends as at a time limit.

    Returns:
        An `Outcome`.

    Raises:
        AmcError: The study cannot be run; no work has started then.
    """
    require_options(address, gpus_per_trial, log, ray)
    ending = Ending(limit_in_seconds(time_limit), stop)
    chosen, store = load_studies(study, scale), _opened(store)
    if not ray and isinstance(chosen, SearchStudy):
        raise AmcError(f"{chosen.name} is a search, whose proposals Ray starts: it cannot be run without Ray")
    if isinstance(chosen, SearchStudy) and (damage := mend(chosen, store)):
        notice(damage)
    _set_aside(store, (run.key for run in proposed(chosen, store).runs()), notice)
    chosen = completed(chosen, store)  # a search makes unfinished proposals again
    before = make_plan(chosen, store)
    require_recordings(before)
    require_working_code(chosen, before)
    planned(chosen, before)
    search = _open_search(chosen, store)
    if not before.incomplete and not (search and search.wanted):
        return Outcome(chosen, store, before, {}, _counted(search))
    from sweeps.engine.launch import launch
    from sweeps.engine.progress import Progress, usual_console
    from sweeps.engine.sequential import compute_in_turn

    showing = Progress(before, console or usual_console(), lambda: search.heading if search else "")
    with _LAUNCHES, showing as progress:
        if ray:
            launch(chosen, before, store, progress, address, gpus_per_trial, log, search, ending)
        else:
            compute_in_turn(chosen, before, store, progress, ending)
    chosen = completed(chosen, store)
    after = make_plan(chosen, store)
    failures = {} if ending.early else _unmet(after, store)
    return Outcome(chosen, store, after, failures | progress.failures, _counted(search), ending.early)


def _opened(store: str | Path | Store) -> Store:
    return store if isinstance(store, Store) else Store(store)


def _open_search(study: Study | Studies, store: Store) -> Search | None:
    """The search of a study, None if it has none; raises AmcError if proposals could not be computed or stored."""
    if not isinstance(study, SearchStudy):
        return None
    require_recordings(make_plan(replace(study, proposals=study.ends), store))
    store.require_writable()
    return Search(study, store)


def _counted(search: Search | None) -> SearchCount | None:
    return search and SearchCount(search.done, search.trials, search.elsewhere)


def _set_aside(store: Store, keys: Iterable[str], notice: Callable[[str], None]) -> None:
    """Set damaged and outdated files of runs aside, so that they count as missing."""
    for name in store.verify(keys):
        notice(f"damaged or outdated, set aside in {store.path}/damaged: {name}")


def _unmet(plan: Plan, store: Store) -> dict[str, str]:
    """Run key → why a run is not complete although no trial of it has failed."""
    untrained = {entry.run.key for entry in plan.incomplete if not entry.trained}
    outdated = {key for key in untrained if store.run(key).names("run")}
    reasons = {}
    for entry in plan.incomplete:
        key, parent = entry.run.key, entry.run.parent.key if entry.run.parent else None
        if parent and key in outdated:
            since = "is outdated" if parent in outdated else "has other weights now"
            reasons[key] = f"outdated, since run {parent}, from which it started, {since}"
        elif parent in untrained:
            reasons[key] = f"not begun, since it starts from run {parent}"
        else:
            reasons[key] = "not finished"
    return reasons
