"""The progress display of a launch: live on a terminal and in a notebook, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from amc_core.reference import different, in_words
from amc_core.run import Run
from amc_core.scenario import Mixture, Scenario
from sweeps.planning import Plan, RunPlan

_TRAINING_COST = 3  # a trained instance costs about as much as three classified ones
_PLAIN_SECONDS = 15  # between plain lines
_BAR_WIDTH, _MOST_LINES = 60, 8
_NOTEBOOK_SECONDS = 0.5  # between updates of a notebook's display
_ESTIMATE_SECONDS = 4  # of reports before the time left is shown


@dataclass
class _Trial:
    """The progress of one run's trial."""

    plan: RunPlan
    epoch: int = 0
    cells: int = 0
    accuracy: float | None = None
    state: str = "waiting"  # running, finished, pruned, failed, or orphaned (its parent has failed)

    def __post_init__(self):
        self.epochs = self.plan.run.recipe.epochs
        self.training, self.evaluation = _TRAINING_COST * self.plan.training_work, self.plan.evaluation_work

    @property
    def trained(self) -> bool:
        return self.plan.trained or self.state == "finished" or self.epoch >= self.epochs

    def counts(self) -> Counter:
        """The contribution of this trial to the sums over all trials."""
        missing, work = len(self.plan.missing), self.training + self.evaluation
        done = self.training * min(self.epoch / self.epochs, 1) + self.evaluation * self.cells / max(missing, 1)
        return Counter(
            runs=1,
            trained=self.trained,
            pruned=self.state == "pruned",
            failed=self.state == "failed",
            cells=self.plan.cells,
            evaluated=self.plan.cells - (0 if self.state == "finished" else missing - self.cells),
            work=work,
            done=done if self.state in ("waiting", "running") else work,
        )


class Progress:
    """Counts runs and cells of a plan as trials report them, and shows them. Use as a context manager.

    heading: returns a text to show before them, and is called each time.
    """

    def __init__(self, plan: Plan, console: Console, heading: Callable[[], str] = lambda: ""):
        self.console, self.heading = console, heading
        self.trials: dict[str, _Trial] = {}  # by the key of their run
        self.sums = Counter()  # over all trials, so that a report costs the same in a study of any size
        self.add(plan.runs)
        self.failures: dict[str, str] = {}  # run key → why
        self.best: tuple[float, str] | None = None  # accuracy on the validation part, and its model
        self.began: tuple[float, float] | None = None  # time of the first report, and the fraction done by then
        self.printed = -float("inf")
        self.live = Live(console=console, get_renderable=self._render, refresh_per_second=4, transient=True)
        self.output = None  # of a notebook's cell, which is updated

    def __enter__(self) -> Progress:
        if self.console.is_jupyter and not self.console.quiet:  # Live would need widgets there
            from IPython.display import display

            self.output = display(self._plain(), raw=True, display_id=True)
        elif self.console.is_terminal:
            with suppress(OSError):  # a study also runs without its terminal
                self.live.start()
        return self

    def __exit__(self, *exception) -> None:
        with suppress(OSError):
            self.live.stop()
        self._refresh(at_once=True)

    def add(self, plans: Iterable[RunPlan]) -> None:
        """A search has proposed more runs, or more cells of known ones."""
        for plan in plans:
            known = self.trials.get(plan.run.key)
            trial = self.trials[plan.run.key] = _Trial(plan, state="finished" if plan.complete else "waiting")
            self._move(known.counts() if known else Counter(), trial.counts())

    def prune(self, key: str) -> None:
        """A pruner has stopped a run, whose trial will end."""
        with self._changing(key) as trial:
            trial.state = "pruned"

    def advance(self, key: str, epoch: int, cells: int, accuracy: float) -> None:
        """A trial has finished an epoch, or evaluated a cell."""
        with self._changing(key) as trial:
            trial.epoch, trial.cells, trial.accuracy = epoch, cells, accuracy
            trial.state = "pruned" if trial.state == "pruned" else "running"
        self.began = self.began or (time.monotonic(), self._fraction())
        self._refresh()
        if time.monotonic() - self.printed > _PLAIN_SECONDS:
            self._line(self._summary())

    def finish(self, key: str) -> None:
        """A trial has ended without an error."""
        with self._changing(key) as trial:
            trial.state = "pruned" if trial.state == "pruned" else "finished"
        if trial.state == "finished" and trial.accuracy is not None:
            self.best = max(self.best or (0, ""), (trial.accuracy, trial.plan.run.model))
        end = f"stopped after epoch {trial.epoch}" if trial.state == "pruned" else "done"
        self._line(f"{describe(trial.plan.run)}: {end} · {self._summary()}")

    def fail(self, key: str, reason: str) -> None:
        """A trial has ended with an error, after its retries."""
        with self._changing(key) as trial:
            trial.state = "failed"
        self.failures[key] = reason.strip().splitlines()[-1]
        if not trial.trained:
            self._orphan(key)
        self._line(f"{describe(trial.plan.run)}: failed · {self._summary()}")

    def cut(self, key: str, how: str = "stopped") -> None:
        """A trial has stopped, or did not begin, because the launch ends or another process is ahead with the run."""
        with self._changing(key) as trial:
            begun, trial.state = trial.state == "running", "waiting"
        if begun:
            self._line(f"{describe(trial.plan.run)}: {how} after epoch {trial.epoch} · {self._summary()}")

    def note(self, text: str) -> None:
        """Print a text that does not concern a single run."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _orphan(self, key: str) -> None:
        """Mark the runs that start from this one: they will not begin."""
        for heir, trial in self.trials.items():
            if trial.state == "waiting" and trial.plan.run.parent and trial.plan.run.parent.key == key:
                with self._changing(heir):
                    trial.state = "orphaned"
                self._orphan(heir)

    @contextmanager
    def _changing(self, key: str) -> Iterator[_Trial]:
        trial = self.trials[key]
        before = trial.counts()
        yield trial
        self._move(before, trial.counts())

    def _move(self, before: Counter, after: Counter) -> None:
        """Add the difference, so that the display's thread never sees sums without a trial."""
        after.subtract(before)
        self.sums.update(after)

    def _line(self, text: str) -> None:
        if not (self.console.is_terminal or self.output):
            self.printed = time.monotonic()
            self.console.print(text, highlight=False, soft_wrap=True)
        self._refresh()

    def _refresh(self, at_once: bool = False) -> None:
        """Update a notebook's display, not too often."""
        if self.output and (at_once or time.monotonic() - self.printed > _NOTEBOOK_SECONDS):
            self.printed = time.monotonic()
            self.output.update(self._plain(), raw=True)

    def _summary(self) -> str:
        sums, heading = self.sums, self.heading()
        parts = [f"{name} {sums[done]}/{sums[name]}" for name, done in (("runs", "trained"), ("cells", "evaluated"))]
        parts += [f"{sums[name]} {name}" for name in ("pruned", "failed") if sums[name]]
        if self.best and not heading:  # the heading of a search has the best
            parts.append("best on validation: {1} {0:.1%}".format(*self.best))
        return " · ".join(part for part in (heading, *parts, self._time_left()) if part)

    def _fraction(self) -> float:
        return min(self.sums["done"] / max(self.sums["work"], 1), 1)

    def _time_left(self) -> str:
        began, already = self.began or (time.monotonic(), 0)
        elapsed, fraction = time.monotonic() - began, self._fraction()
        if fraction == 1:
            return ""
        if elapsed < _ESTIMATE_SECONDS or fraction <= already:
            return "started" if self.began else "starting"
        seconds = round(elapsed * (1 - fraction) / (fraction - already))
        return f"about {seconds // 60}:{seconds % 60:02d} left"

    def _plain(self) -> dict[str, str]:
        """The display in a notebook."""
        filled = round(_BAR_WIDTH * self._fraction())
        bar = "━" * filled + "·" * (_BAR_WIDTH - filled)
        return {"text/plain": "\n".join([bar, self._summary(), *self._running()])}

    def _running(self) -> list[str]:
        """A line for each of the first few running trials."""
        running = [trial for trial in tuple(self.trials.values()) if trial.state == "running"]
        stages = [f"epoch {t.epoch}/{t.epochs}, cells {t.cells}/{len(t.plan.missing)}" for t in running[:_MOST_LINES]]
        return [
            f"  {stage}, accuracy {trial.accuracy:.1%}: {describe(trial.plan.run)}"
            for stage, trial in zip(stages, running, strict=False)
        ]

    def _render(self) -> Group:
        lines = [Text(line, no_wrap=True, overflow="ellipsis") for line in self._running()]
        bar = Table.grid()  # ends its line, unlike the bar alone
        bar.add_row(ProgressBar(total=1, completed=self._fraction(), width=_BAR_WIDTH))
        return Group(bar, Text(self._summary()), *lines)


def usual_console() -> Console:
    """A console on standard output; if that is not a terminal, it is wide enough for whole lines."""
    return Console(width=None if sys.stdout and sys.stdout.isatty() else 120, markup=False)


def describe(run: Run) -> str:
    """A run in a few words, for the user."""
    words = setting_in_words(run.dataset.scenario)
    if run.parent:
        words += f", retrain {run.recipe.retrain} of {run.parent.key}"
    return f"{run.model} ({words}), seed {run.seed}, run {run.key}"


def setting_in_words(scenario: Scenario | Mixture) -> str:
    """The channel, samples per symbol, roll-off and all that is not usual of a scenario; or its recording."""
    setting, usual = scenario.columns(), Scenario().columns()
    if setting["recording"]:
        return f"recording {setting['recording']}"
    others = [name for name in setting if name in ("upsampling", "rolloff") or setting[name] != usual[name]]
    named = (in_words(name, setting[name]) for name in others if name != "channel")
    return ", ".join([different(setting["channel"]), *named])
