"""Which run Tune starts next: those of a plan, then those of a search's proposals.

Each comes as soon as the run that it starts from is trained.
"""

from __future__ import annotations

from collections.abc import Callable

from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from amc_core.errors import AmcError
from amc_core.run import Run
from sweeps.planning import Plan, RunPlan, make_plan
from sweeps.search import Proposal, Search


class Feed(Searcher):
    """Hands the incomplete runs of a plan to Tune as its free resources ask for them, then those of proposals.

    A run whose parent failed is never handed out. A proposal is made only when a slot is free for it, so that it can
    heed all that is known; one whose runs are in the store already is told at once. slots: how many runs go at a time.
    added: called with the runs that a proposal adds. pruned: called with the key of a run that a pruner stops.
    """

    def __init__(
        self,
        plan: Plan,
        search: Search | None = None,
        slots: Callable[[], int] = lambda: 1,
        added: Callable[[tuple[RunPlan, ...]], None] = lambda plans: None,
        pruned: Callable[[str], None] = lambda key: None,
    ):
        super().__init__()
        self.waiting: dict[str, Run] = {entry.run.key: entry.run for entry in plan.incomplete}
        self.untrained = {entry.run.key for entry in plan.incomplete if not entry.trained}
        self.running: dict[str, Run] = {}  # Tune's trial → run
        self.ended: list[str] = []  # keys of runs, since the last time that proposals were looked at
        self.failed: dict[str, str] = {}  # run key → why
        self.search, self.slots, self.added, self.pruned = search, slots, added, pruned
        self.planned = set(self.waiting)
        self.proposals: list[Proposal] = []  # with runs that are not complete
        self.values: dict[str, tuple] = {}  # run key → of the proposal that named it

    def suggest(self, trial_id: str) -> dict | str | None:
        """The next run whose parent is trained; None while there may yet be one."""
        self._settle()
        run = self._ready()
        if run is None:
            return None if self.running else Searcher.FINISHED
        self.running[trial_id] = self.waiting.pop(run.key)
        return {"run": run, "values": self.values.get(run.key)}

    def has_work(self) -> bool:
        """Is there anything to compute? Proposals whose runs are in the store are made and told on the way."""
        return self._ready() is not None

    def _ready(self) -> Run | None:
        """The next run that can start, proposals made until there is one or none is wanted."""
        while True:
            for run in self.waiting.values():
                if run.parent is None or run.parent.key not in self.untrained:
                    return run
            if self.search is None or (self.running and len(self.running) >= self.slots()) or not self.search.wanted:
                return None
            proposal = self.search.ask()
            if proposal is not None:
                self._admit(proposal)

    def on_trial_result(self, trial_id: str, result: dict) -> None:
        if result.get("trained"):
            self.untrained.discard(self.running[trial_id].key)

    def prunes(self, trial_id: str, result: dict) -> bool:
        """Is the proposal of this trial, which has finished an epoch of training, given up?"""
        if result.get("trained", True):
            return False
        key = self.running[trial_id].key
        proposal = next((proposal for proposal in self.proposals if key in proposal.missing), None)
        try:
            if proposal is None or not self.search.prune(proposal, result["epoch"], result["accuracy"]):
                return False
        except AmcError:  # Tune would take it for the run's; if the search cannot go on, `suggest` will say so
            return False
        self.proposals.remove(proposal)
        self.pruned(key)
        return True

    def on_trial_complete(self, trial_id: str, result: dict | None = None, error: bool = False) -> None:
        run = self.running.pop(trial_id, None)
        if run is None:
            return
        if error or (result or {}).get("failure"):
            self.failed[run.key] = (result or {}).get("failure") or "its worker died"
        else:
            self.untrained.discard(run.key)
        self.ended.append(run.key)  # an exception here would be swallowed by Tune, so the rest comes with `suggest`

    def _settle(self) -> None:
        """See to the proposals whose runs have ended."""
        while self.ended:
            key = self.ended.pop()
            for proposal in [proposal for proposal in self.proposals if key in proposal.missing]:
                proposal.missing.discard(key)
                if key in self.failed or not proposal.missing:
                    self.proposals.remove(proposal)
                    self._admit(proposal)

    def _admit(self, proposal: Proposal) -> None:
        """See what a proposal lacks: nothing, and it is told; a run that failed, and so has it; else that is to do."""
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
        self.added(new)

    # Tune saves the state of what feeds it; the store is what resuming relies on.

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
