"""Run what is missing in this process, one run after another, on one device: for a machine without Ray.

`trial.compute` does the work, as under Ray, with the same results in the store. Several such processes, each of which
sees another GPU, may share a store. Each begins with a run that is drawn, then prefers runs that no other computes, and
leaves a run in which another is ahead for later.
"""

from __future__ import annotations

import os
import random
import socket
from contextlib import contextmanager

from amc_core.errors import AmcError
from amc_core.run import Run
from sweeps.engine.ending import Cut, Ending, Left
from sweeps.engine.life import SignOfLife, first_free
from sweeps.engine.progress import Progress
from sweeps.planning import Plan
from sweeps.store import Store
from sweeps.study import Studies, Study

_ATTEMPTS = 2


def compute_in_turn(
    study: Study | Studies, plan: Plan, store: Store, progress: Progress, ending: Ending | None = None
) -> None:
    """Do everything in `plan` that is incomplete; at the return, results are in the store.

    A run that fails is tried once more from its last checkpoint, unless the study is to blame, and is then recorded as
    failed. The others go on, except those that start from it. A CUDA device is used if there is one. ending: decides
    when to end before all is done.
    """
    import torch

    from amc_core.memory import keep_freed_memory

    store.require_writable()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    draw = random.Random(f"{socket.gethostname()} {os.getpid()}")  # differs between processes
    entries = draw.sample(plan.incomplete, len(plan.incomplete))
    # The largest first, so that processes end at about the same time; those that start together begin with a drawn one.
    entries.sort(key=lambda entry: -entry.training_work - entry.evaluation_work)
    waiting = {entry.run.key: entry.run for entry in entries}
    untrained = {entry.run.key for entry in entries if not entry.trained}
    left: set[str] = set()  # keys of runs in which another process was ahead
    ready = [run for run in waiting.values() if _may_start(run, untrained)]
    if ready:
        first = draw.choice(ready)
        waiting = {first.key: first} | waiting
    ending = ending or Ending()
    ending.notice = progress.note
    ending.expect(entries, store)
    ending.begin(shipped=device == "cpu")
    keep_freed_memory()
    with _threads(study.resources.cpus_per_trial):
        while run := _next(waiting, untrained, ending, store):
            del waiting[run.key]
            try:
                trained = _compute(run, study, store, device, progress, ending, leave=run.key not in left)
            except Left:
                left.add(run.key)
                waiting[run.key] = run
                progress.cut(run.key, "left to another process")
                continue
            if trained:
                untrained.discard(run.key)


def _may_start(run: Run, untrained: set[str]) -> bool:
    """Has the run no parent, or one that is trained?"""
    return run.parent is None or run.parent.key not in untrained


def _next(waiting: dict[str, Run], untrained: set[str], ending: Ending, store: Store) -> Run | None:
    """The next run that may start; if possible, one of which no other process gives signs of life."""
    if ending.due():
        return None
    return first_free((run for run in waiting.values() if _may_start(run, untrained) and ending.fits(run.key)), store)


def _compute(
    run: Run, study: Study | Studies, store: Store, device: str, progress: Progress, ending: Ending, leave: bool
) -> bool:
    """Do one run; returns whether its weights are in the store. leave: as in `trial.compute`."""
    from sweeps.engine.log import RunLog
    from sweeps.engine.trial import compute
    from sweeps.engine.worker import STUDY, blame

    trained = False
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with RunLog(run, store) as log, SignOfLife(run, store) as life:
                for step in compute(run, study.tests(run), store, device, ending.due, leave):
                    log.step(step)
                    life.step(step)
                    trained = step["trained"]
                    progress.advance(run.key, step["epoch"], step["cells"], step["accuracy"])
            progress.finish(run.key)
            return True
        except Left:
            raise
        except Cut:
            progress.cut(run.key)
            return trained
        except Exception as error:
            reason = str(error) if isinstance(error, AmcError) else f"{type(error).__name__}: {error}"
            if attempt == _ATTEMPTS or blame(error) == STUDY:
                store.run(run.key).save_failure(reason)
                progress.fail(run.key, reason)
                return trained
            progress.note(f"run {run.key} is tried again: {reason}")


@contextmanager
def _threads(number: int):
    """Let torch compute in `number` threads, as a trial does."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
