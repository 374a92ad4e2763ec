"""Which run Tune starts next: those of a plan, each as soon as the run that it starts from is trained."""

from __future__ import annotations

from ray.tune.search import Searcher

from amc_core.run import Run
from sweeps.plan import Plan


class Feed(Searcher):
    """Hands the incomplete runs of a plan to Tune as its free resources ask for them.

    A run whose parent failed is never handed out.
    """

    def __init__(self, plan: Plan):
        super().__init__()
        self.waiting: dict[str, Run] = {entry.run.key: entry.run for entry in plan.incomplete}
        self.untrained = {entry.run.key for entry in plan.incomplete if not entry.trained}
        self.running: dict[str, Run] = {}  # Tune's trial → run

    def suggest(self, trial_id: str) -> dict | str | None:
        """The next run whose parent is trained; None while there may yet be one."""
        for run in self.waiting.values():
            if run.parent is None or run.parent.key not in self.untrained:
                self.running[trial_id] = self.waiting.pop(run.key)
                return {"run": run}
        return None if self.running else Searcher.FINISHED

    def on_trial_result(self, trial_id: str, result: dict) -> None:
        if result.get("trained"):
            self.untrained.discard(self.running[trial_id].key)

    def on_trial_complete(self, trial_id: str, result: dict | None = None, error: bool = False) -> None:
        self.running.pop(trial_id, None)

    # Tune saves the state of what feeds it; the store is what resuming relies on.

    def save(self, checkpoint_path: str) -> None:
        pass

    def restore(self, checkpoint_path: str) -> None:
        raise NotImplementedError
