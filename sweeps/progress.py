"""What a launch shows while it works: a live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from amc_core.run import Run
from amc_core.scenario import told
from sweeps.plan import Plan, RunPlan

_TRAINING_COST = 3  # a trained instance costs about as much as three that are only classified
_PLAIN_SECONDS = 15  # between plain lines
_ESTIMATE_SECONDS = 4  # of reports before the time left is told


@dataclass
class _Trial:
    """How far one run's trial has come."""

    plan: RunPlan
    epoch: int = 0
    cells: int = 0
    accuracy: float | None = None
    state: str = "waiting"  # running, finished, pruned, failed

    @property
    def work(self) -> float:
        return _TRAINING_COST * self.plan.training_work + self.plan.evaluation_work

    @property
    def done(self) -> float:
        if self.state in ("finished", "pruned", "failed"):
            return self.work
        trained = self.plan.training_work * min(self.epoch / self.epochs, 1)
        evaluated = self.plan.evaluation_work * self.cells / max(len(self.plan.missing), 1)
        return _TRAINING_COST * trained + evaluated

    @property
    def epochs(self) -> int:
        return self.plan.run.recipe.epochs


class Progress:
    """Counts runs and cells of a plan as trials report them, and shows them. Use as a context manager.

    heading: what to say before them, asked anew each time.
    """

    def __init__(self, plan: Plan, console: Console, heading: Callable[[], str] = lambda: ""):
        self.plan, self.console, self.heading = plan, console, heading
        self.trials = {plan.run.key: _Trial(plan) for plan in plan.incomplete}
        self.failures: dict[str, str] = {}  # run key → why
        self.began: tuple[float, float] | None = None  # when the first report came, and the fraction done by then
        self.printed = -float("inf")
        self.live = Live(console=console, get_renderable=self._render, refresh_per_second=4, transient=True)

    def __enter__(self) -> Progress:
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *exception) -> None:
        self.live.stop()

    def add(self, plans: tuple[RunPlan, ...]) -> None:
        """A search has proposed more runs."""
        keys = {plan.run.key for plan in plans}
        self.plan = Plan((*(plan for plan in self.plan.runs if plan.run.key not in keys), *plans))
        self.trials |= {plan.run.key: _Trial(plan) for plan in plans}

    def prune(self, key: str) -> None:
        """A pruner has stopped a run, which is going to end for that reason."""
        self.trials[key].state = "pruned"

    def advance(self, key: str, epoch: int, cells: int, accuracy: float) -> None:
        """A trial has finished an epoch, or evaluated a cell."""
        trial = self.trials[key]
        trial.epoch, trial.cells, trial.accuracy = epoch, cells, accuracy
        trial.state = "pruned" if trial.state == "pruned" else "running"
        self.began = self.began or (time.monotonic(), self._fraction())
        if time.monotonic() - self.printed > _PLAIN_SECONDS:
            self._line(self._summary())

    def finish(self, key: str) -> None:
        """A trial has ended well."""
        trial = self.trials[key]
        trial.state = "pruned" if trial.state == "pruned" else "finished"
        end = f"stopped after epoch {trial.epoch}" if trial.state == "pruned" else "done"
        self._line(f"{describe(trial.plan.run)}: {end} · {self._summary()}")

    def fail(self, key: str, reason: str) -> None:
        """A trial has ended with an error, after its retries."""
        self.trials[key].state = "failed"
        self.failures[key] = reason.strip().splitlines()[-1]
        self._line(f"{describe(self.trials[key].plan.run)}: failed · {self._summary()}")

    def _line(self, text: str) -> None:
        if not self.console.is_terminal:
            self.printed = time.monotonic()
            self.console.print(text, highlight=False, soft_wrap=True)

    def _summary(self) -> str:
        trials = self.trials.values()
        left = sum(trial.state not in ("finished", "pruned") for trial in trials)
        cells = self.plan.cells - self.plan.missing_cells
        cells += sum(len(t.plan.missing) if t.state == "finished" else t.cells for t in trials)
        failed = sum(trial.state == "failed" for trial in trials)
        parts = [f"runs {len(self.plan.runs) - left}/{len(self.plan.runs)}", f"cells {cells}/{self.plan.cells}"]
        parts += [f"{failed} failed"] if failed else []
        return " · ".join(part for part in (self.heading(), *parts, self._time_left()) if part)

    def _fraction(self) -> float:
        return sum(t.done for t in self.trials.values()) / max(sum(t.work for t in self.trials.values()), 1)

    def _time_left(self) -> str:
        began, already = self.began or (time.monotonic(), 0)
        elapsed, fraction = time.monotonic() - began, self._fraction()
        if elapsed < _ESTIMATE_SECONDS or fraction <= already:
            return "started" if self.began else "starting"
        seconds = round(elapsed * (1 - fraction) / (fraction - already))
        return f"about {seconds // 60}:{seconds % 60:02d} left"

    def _render(self) -> Group:
        running = [trial for trial in self.trials.values() if trial.state == "running"]
        lines = []
        for trial in running[:8]:
            stage = f"epoch {trial.epoch}/{trial.epochs}, cells {trial.cells}/{len(trial.plan.missing)}"
            lines.append(Text(f"  {describe(trial.plan.run)}: {stage}, accuracy {trial.accuracy:.1%}"))
        return Group(ProgressBar(total=1, completed=self._fraction(), width=60), Text(self._summary()), *lines)


def describe(run: Run) -> str:
    """A run in a few words, for people."""
    setting = run.dataset.scenario.columns()
    if setting["recording"]:
        words = f"recording {setting['recording']}"
    else:
        upsampling, rate, rolloff = (told(setting[name]) for name in ("upsampling", "sample_rate", "rolloff"))
        words = f"{setting['channel']}, L = {upsampling}, f_s = {rate}, α = {rolloff}"
    stage = f", retrain {run.recipe.retrain}" if run.parent else ""
    return f"{run.model} ({words}{stage}), seed {run.seed}"
