"""The runs that Tune starts next: those of a plan, then those of a search's proposals.

Each follows as soon as its parent is trained.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable

from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from amc_core.errors import AmcError
from amc_core.run import Run
from sweeps.engine.ending import Ending
from sweeps.engine.life import first_free
from sweeps.engine.worker import CUT, LEFT, MACHINE, UNFIT, UNKNOWN
from sweeps.planning import Plan, RunPlan, make_plan
from sweeps.search import Proposal, Search
from sweeps.store import Store
from sweeps.store.run_folder import kind_of

_DIED = {"failure": "its worker died: it was killed, or there was too little memory", "kind": UNKNOWN}
_STILLBORN = 5  # trials of a run that may die before they begin without counting as attempts
_CLOCKS_SECONDS = 300  # by which the clock of a store's server may be slow
_DELAYS, _DELAY_SECONDS = 5, 4  # number of delayed attempts, and the first delay; each further delay is twice as long


class Feed(Searcher):
    """Hands the incomplete runs of a plan to Tune as its free resources ask for them, then those of proposals.

    A trial fails if it ends without results in the store. Its run is tried again at once, up to `attempts` times. If a
    disk, the network or a permission is to blame, it is tried again later, and a few times more. If the study is to
    blame, it is not tried again. An unfit node, the end of the launch and a run that is left to another process do not
    count as attempts. A run whose parent failed is never started. Runs that another process computes come last. A
    proposal is made only when a slot is free for it, so that it can use all known results; if its runs are in the store
    already, its result is reported at once.

    slots: returns how many runs fit at a time. added: called with the runs that a proposal adds. pruned: called with
    the key of a run that a pruner stops. store: where results have to be; without it, trials are trusted. nodes:
    returns the nodes that have room for a trial. ending: after it no run starts, and runs that could not end before it
    are withheld.
    """

    def __init__(
        self,
        plan: Plan,
        search: Search | None = None,
        slots: Callable[[], int] = lambda: 1,
        added: Callable[[tuple[RunPlan, ...]], None] = lambda plans: None,
        pruned: Callable[[str], None] = lambda key: None,
        store: Store | None = None,
        attempts: int = 2,
        nodes: Callable[[], set[str]] = set,
        ending: Ending | None = None,
    ):
        super().__init__()
        self.waiting: dict[str, Run] = {entry.run.key: entry.run for entry in plan.incomplete}
        self.untrained = {entry.run.key for entry in plan.incomplete if not entry.trained}
        self.running: dict[str, Run] = {}  # Tune's trial → run
        self.ended: list[str] = []  # keys of runs that ended since proposals were last updated
        self.failed: dict[str, str] = {}  # run key → why
        self.search, self.slots, self.added, self.pruned = search, slots, added, pruned
        self.store, self.attempts, self.nodes = store, attempts, nodes
        self.ending, self.cut = ending or Ending(), set()  # keys of runs that it has stopped
        self.ending.expect(plan.incomplete, store)
        self.tried, self.delayed = (
            Counter(),
            Counter(),
        )  # run key → failed attempts, and those of them for which a machine is to blame
        self.left: set[str] = set()  # keys of runs in which another process was ahead
        self.stillborn = Counter()  # run key → trials that a worker's death ended before they began
        self.logs: dict[str, set[str]] = defaultdict(set)  # run key → names of the logs of ended trials
        self.launched = time.time()
        self.not_before: dict[str, float] = {}  # run key → time.monotonic() at which it may be tried again
        self.unfit: dict[str, str] = {}  # node → its name and why it has no trials
        self.hopeless = False  # is every node with room for a trial unfit?
        self.planned = set(self.waiting)
        self.given_up: set[str] = set()  # keys of runs that a pruner has stopped
        self.proposals: list[Proposal] = []  # with runs that are not complete
        self.values: dict[str, tuple] = {}  # run key → values of the proposal that named it

    def suggest(self, trial_id: str) -> dict | str | None:
        """The next run whose parent is trained; None if there is none yet."""
        self._settle()
        run = self._ready()
        if run is None:
            later = self.not_before and not self.hopeless and not self.ending.due()
            return None if self.running or later else Searcher.FINISHED
        self.running[trial_id] = self.waiting.pop(run.key)
        self.not_before.pop(run.key, None)
        values, latest = self.values.get(run.key), self.ending.latest(run.key)
        # Tune asks a copy of the trial's function for its resources, which knows only this configuration.
        return {
            "run": run,
            "values": values,
            "latest": latest,
            "avoid": frozenset(self.unfit),
            "leave": run.key not in self.left,  # the second time, the trial waits for the other process
        }

    def has_work(self) -> bool:
        """Is there anything to compute? Proposals whose runs are in the store are made and reported meanwhile."""
        return self._ready() is not None

    def _ready(self) -> Run | None:
        """The next run that can start; proposals are made until there is one or no more are wanted."""
        now = time.monotonic()
        while not self.hopeless and not self.ending.due():
            ready = (run for run in self.waiting.values() if self._may_start(run, now))
            run = next(ready, None) if self.store is None else first_free(ready, self.store)
            if run is not None:
                return run
            if self.search is None or (self.running and len(self.running) >= self.slots()) or not self.search.wanted:
                return None
            if self.ending.withheld:  # the runs of a further proposal would be withheld too
                return None
            proposal = self.search.ask()
            if proposal is not None:
                self._admit(proposal)
        return None

    def _may_start(self, run: Run, now: float) -> bool:
        trained = run.parent is None or run.parent.key not in self.untrained
        return trained and self.not_before.get(run.key, now) <= now and self.ending.fits(run.key)

    def on_trial_result(self, trial_id: str, result: dict) -> None:
        if result.get("trained"):
            self.untrained.discard(self.running[trial_id].key)

    def prunes(self, trial_id: str, result: dict) -> bool:
        """Does the pruner give up the proposal of this trial, which has finished an epoch of training?"""
        if result.get("trained", True):
            return False
        key = self.running[trial_id].key
        proposal = next((proposal for proposal in self.proposals if key in proposal.missing), None)
        try:
            if proposal is None or not self.search.prune(proposal, result["epoch"], result["accuracy"]):
                return False
        except AmcError:  # Tune would attribute it to the run; if the search cannot continue, `suggest` raises too
            return False
        self.proposals.remove(proposal)
        self.given_up.add(key)
        self.pruned(key)
        return True

    def on_trial_complete(self, trial_id: str, result: dict | None = None, error: bool = False) -> None:
        run = self.running.pop(trial_id, None)
        if run is None:
            return
        if self.hopeless:
            self.cut.add(run.key)
            return
        if error:  # its worker may have died when all was done, before it could say so
            failure = None if self._is_complete(run) else _DIED
        else:
            failure = self._failure(run, result or {})
        if error and failure and not self._had_begun(run.key) and self.stillborn[run.key] < _STILLBORN:
            self.stillborn[run.key] += 1
            self.waiting[run.key] = run
            return
        if failure is None:
            self.untrained.discard(run.key)
            self.ended.append(run.key)  # Tune would swallow an exception here: `suggest` does the rest
        elif failure["kind"] == CUT:
            self.cut.add(run.key)
            self.ending.withheld = True
        elif failure["kind"] == LEFT:
            self.left.add(run.key)
            self.waiting[run.key] = run
        elif failure["kind"] == UNFIT:
            self.unfit.setdefault(failure["node"], f"{failure['host']} {failure['failure']}")
            self.waiting[run.key] = run
            self.look_at_nodes()
        elif self._is_tried_again(run.key, failure["kind"]):
            self.waiting[run.key] = run
        else:
            self.failed[run.key] = failure["failure"]
            self.ended.append(run.key)

    def _is_complete(self, run: Run) -> bool:
        """Does the store hold all that was missing of a run?"""
        if self.store is None:
            return False
        try:
            folder = self.store.run(run.key)
            return folder.record() is not None and self.ending.plans[run.key].missing.keys <= folder.tested()
        except (AmcError, FileNotFoundError):  # another trial will see
            return False

    def _had_begun(self, key: str) -> bool:
        """Has a trial whose worker died begun a log? If not, it was a worker of earlier runs that died."""
        if self.store is None:
            return True
        try:
            logs = self.store.run(key).names("log")
        except AmcError:
            return True
        new = [name for name, at in logs.items() if name not in self.logs[key] and at > self.launched - _CLOCKS_SECONDS]
        self.logs[key] |= logs.keys()
        return bool(new)

    def _failure(self, run: Run, result: dict) -> dict | None:
        """Why a trial that ended by itself has failed; None if its results are in the store."""
        if "failure" in result:
            return result
        if self.store is None or run.key in self.given_up:
            return None
        try:
            names = self.store.run(run.key).names()
        except AmcError:  # the plan at the end finds what is missing
            return None
        if {"run", "cells"} <= {kind_of(name) for name in names}:
            return None
        return {"failure": f"its results are not in store {str(self.store.path)!r}", "kind": UNKNOWN}

    def _is_tried_again(self, key: str, kind: str) -> bool:
        self.tried[key] += 1
        if kind == MACHINE:
            self.delayed[key] += 1
            self.not_before[key] = time.monotonic() + _DELAY_SECONDS * 2 ** (self.delayed[key] - 1)
            again = self.delayed[key] <= _DELAYS
        else:
            again = kind == UNKNOWN and self.tried[key] - self.delayed[key] < self.attempts
        if not again:
            self.not_before.pop(key, None)
        return again

    def look_at_nodes(self) -> None:
        """Give up if every node that has room for a trial is unfit."""
        if self.unfit and not self.nodes() - self.unfit.keys():
            self.hopeless = True

    def _settle(self) -> None:
        """Update the proposals whose runs have ended."""
        while self.ended:
            key = self.ended.pop()
            for proposal in [proposal for proposal in self.proposals if key in proposal.missing]:
                proposal.missing.discard(key)
                if key in self.failed or not proposal.missing:
                    self.proposals.remove(proposal)
                    self._admit(proposal)

    def _admit(self, proposal: Proposal) -> None:
        """Complete a proposal that lacks nothing, fail one that lacks a failed run, and else queue its missing runs."""
        incomplete = make_plan(proposal.study, self.search.store, few=True).incomplete
        proposal.missing = {entry.run.key for entry in incomplete}
        failed = next((key for key in proposal.missing if key in self.failed), None)
        if failed is not None:
            self.search.fail(proposal, f"run {failed}: {self.failed[failed]}")
            needed = self.planned.union(*(other.missing for other in self.proposals))
            self.waiting = {
                key: run for key, run in self.waiting.items() if key in needed or key not in proposal.missing
            }
            return
        if not incomplete:
            self.search.complete(proposal)
            return
        self.proposals.append(proposal)
        known = set(self.waiting) | {run.key for run in self.running.values()}
        new = tuple(entry for entry in incomplete if entry.run.key not in known)
        self.waiting |= {entry.run.key: entry.run for entry in new}
        self.untrained |= {entry.run.key for entry in new if not entry.trained}
        self.values |= {entry.run.key: tuple(proposal.values.items()) for entry in new}
        self.ending.expect(new, self.search.store)
        self.added(new)

    # Tune saves the state of its searcher; resuming relies on the store alone.

    def save(self, checkpoint_path: str) -> None:
        pass

    def __reduce__(self):
        return Feed, (Plan(()),)


class Pruning(FIFOScheduler):
    """Stops a trial whose proposal the feed gives up; its checkpoint stays in the store."""

    def __init__(self, feed: Feed):
        super().__init__()
        self.feed = feed

    def on_trial_result(self, tune_controller, trial, result: dict) -> str:
        return TrialScheduler.STOP if self.feed.prunes(trial.trial_id, result) else TrialScheduler.CONTINUE
