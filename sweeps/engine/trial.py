"""One trial: train a run if it is not trained, evaluate the cells it lacks, and make each result durable at once."""

from __future__ import annotations

import gc
import math
import socket
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict
from datetime import UTC, datetime

import torch

from amc_core.errors import AmcError
from amc_core.evaluation import Evaluation, evaluate
from amc_core.instances import Instances
from amc_core.models.complexity import parameters
from amc_core.quantities import many
from amc_core.run import Dataset, Run
from amc_core.training import finished, new_model, train
from sweeps.engine.ending import Cut, Left
from sweeps.engine.progress import setting_in_words
from sweeps.store import Process, RunFolder, Store
from sweeps.store.healing import set_aside_results
from sweeps.store.record import read_process
from sweeps.store.run_folder import kind_of

_FLUSH_SECONDS = 20  # of evaluation that a crash may lose
_PROGRESS_SECONDS = 2  # between reports of evaluation, each of which costs the driver milliseconds
_CHECKPOINT_SECONDS = 180  # between checkpoints within an epoch
_EPOCHS_WAITED, _WAITED_SECONDS = 3, 30  # least wait for the next epoch of another process that trains the same run


def compute(
    run: Run,
    tests: list[Dataset],
    store: Store,
    device: str = "cpu",
    stopped: Callable[[], bool] = lambda: False,
    leave: bool = False,
) -> Iterator[dict]:
    """Do what is missing of a run, yielding progress after every epoch and at intervals while evaluating.

    Progress holds "epoch", "cells" (evaluated by this trial and durable), "accuracy" (on the validation part while
    training, over the last cell while evaluating), "trained" (are the run's weights durable?), "done" (is this the last
    report?) and, after an epoch, "curves" (its row). stopped: called between steps; if it returns True, Cut is raised
    as soon as the store holds all that was done. leave: if another process is ahead with the training, raise Left
    instead of waiting for its end.
    """
    folder = store.run(run.key)
    _let_go_outdated(run, store)
    try:
        while folder.record() is None:
            yield from _train(run, store, device, stopped, leave)
        saved = yield from _evaluate(run, tests, folder, device, stopped)
    except Cut:
        folder.clear_failure()
        raise
    folder.clear_failure()
    yield _progress(run.recipe.epochs, saved, folder.record().validation_accuracy) | {"done": True}


def _let_go_outdated(run: Run, store: Store) -> None:
    """Set aside invalid results: the run started from other weights than the parent has now, or lacks its own.

    Cells are listed before the record is read, since another process writes them in the opposite order.
    """
    folder = store.run(run.key)
    written = folder.names()
    if any(kind_of(name) in ("run", "cells") for name in written) and run.key not in store.records([run.key]):
        set_aside_results(folder)


def _train(run: Run, store: Store, device: str, stopped: Callable[[], bool], leave: bool) -> Iterator[dict]:
    """Train until the run is finished, or until it has been left for a while to another process that is ahead."""
    began, folder = time.perf_counter(), store.run(run.key)
    if device == "cuda":  # a worker trains one run after another
        gc.collect()  # objects of the last run
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    origin = store.run(run.parent.key).weights_name() if run.parent else None
    known = set(folder.checkpoints())
    saved = folder.checkpoint()
    if saved and saved.pop("parent_weights", origin) != origin:  # the parent has been trained again since
        saved = None
    seconds_before = saved.pop("seconds") if saved else 0.0
    started = (saved or {}).pop("started_at", datetime.now(UTC).isoformat())
    before = [read_process(process) for process in (saved or {}).pop("processes", ())]
    processes = [process for process in before if process != this_process(device)] + [this_process(device)]
    start = store.run(run.parent.key).weights() if run.parent and not saved else None

    def pause() -> bool:
        return stopped() or time.perf_counter() - began > _CHECKPOINT_SECONDS

    for state in train(run, device, saved, start, pause):
        seconds = seconds_before + time.perf_counter() - began
        ours = {"started_at": started, "seconds": seconds, "parent_weights": origin}
        ours["processes"] = [asdict(process) for process in processes]
        name = folder.save_checkpoint(state | ours)
        known.add(name)
        if "step" not in state:
            last = state["epochs"][-1]
            yield _progress(last["epoch"], 0, last["validation_accuracy"], trained=False) | {"curves": last}
        if stopped() and not finished(run.recipe, state["epochs"]):
            raise Cut(f"stopped after epoch {len(state['epochs'])}, since the launch ends")
        if _is_behind(folder, name, known):
            if leave and folder.record() is None:
                raise Left("left to another process, which is ahead with it")
            _leave_to_other(folder, _EPOCHS_WAITED * (time.perf_counter() - began), stopped)
            return
        began, seconds_before = time.perf_counter(), seconds
    kept = state["epochs"][state["kept_epoch"] - 1]
    folder.save(
        run,
        state,
        processes,
        parent_weights=origin,
        parameters=parameters(new_model(run)),
        kept_epoch=kept["epoch"],
        validation_accuracy=kept["validation_accuracy"],
        started_at=datetime.fromisoformat(started),
        seconds=seconds,
        gpu_share=_gpu_share() if device == "cuda" else None,
    )
    yield _progress(last["epoch"], 0, kept["validation_accuracy"])


def this_process(device: str) -> Process:
    """The properties of this process that decide the last bits of its results on a device, "cpu" or "cuda"."""
    return Process(
        host=socket.gethostname(),
        device=torch.cuda.get_device_name() if device == "cuda" else "cpu",
        threads=torch.get_num_threads(),
        vector_instructions=torch.backends.cpu.get_cpu_capability(),
        torch=str(torch.__version__),
    )


def _is_behind(folder: RunFolder, own: str, known: set[str]) -> bool:
    """Has another process finished the run, or saved a checkpoint before ours of the same epoch, or a later one?"""
    there = folder.checkpoints()
    others = [position for name, position in there.items() if name not in known]
    return folder.record() is not None or any(position > there.get(own, (0, 0)) for position in others)


def _leave_to_other(folder: RunFolder, seconds: float, stopped: Callable[[], bool]) -> None:
    """Wait until another process has finished the run, or has not saved an epoch for `seconds`."""
    seen, since = {}, time.monotonic()
    while folder.record() is None and time.monotonic() - since < max(seconds, _WAITED_SECONDS):
        there = folder.checkpoints()
        if there != seen:
            seen, since = there, time.monotonic()
        if stopped():
            raise Cut("left to another process, since the launch ends")
        time.sleep(1)
    if folder.record() is not None:
        folder.delete_checkpoints()  # ours may have been written afterwards


def _evaluate(
    run: Run, tests: list[Dataset], folder: RunFolder, device: str, stopped: Callable[[], bool]
) -> Generator[dict, None, int]:
    """Evaluate the cells that the run lacks; returns their number.

    Raises AmcError at the end if scores of some cells are NaN; these cells are not saved.
    """
    tested = folder.tested()
    missing = [test for test in tests if test.key not in tested]
    if not missing:
        return 0
    model = new_model(run, device)
    model.load_state_dict(folder.weights())
    unsaved: list[tuple[Dataset, Evaluation]] = []
    saved, flushed, last_report, complaint = 0, time.monotonic(), -math.inf, ""
    for test in missing:
        result = evaluate(model, Instances(test, "test", device), device, run.dataset.modulations)
        if result.undefined:
            of = f"{many(result.undefined, 'instance')} of the test {setting_in_words(test.scenario)}"
            complaint = complaint or f"{run.model} gives nan as a score of {of}: it has to give numbers"
        else:
            unsaved.append((test, result))
        now, ends = time.monotonic(), stopped()
        last = ends or test is missing[-1]
        if unsaved and (last or now - flushed > _FLUSH_SECONDS):
            folder.save_cells(run, unsaved, now - flushed, this_process(device))
            saved, unsaved, flushed = saved + len(unsaved), [], now
        if last or now - last_report > _PROGRESS_SECONDS:
            last_report = now
            yield _progress(run.recipe.epochs, saved, result.accuracy)
        if ends and test is not missing[-1]:
            raise Cut(f"stopped after {saved} of {len(missing)} cells, since the launch ends")
    folder.compact()
    if complaint:
        raise AmcError(complaint)
    return saved


def _gpu_share() -> float:
    """The largest share of the GPU's memory that this process has taken, with half a GiB for CUDA itself."""
    _, total = torch.cuda.mem_get_info()
    return (torch.cuda.max_memory_reserved() + (1 << 29)) / total


def _progress(epoch: int, cells: int, accuracy: float, trained: bool = True) -> dict:
    return {"epoch": epoch, "cells": cells, "accuracy": accuracy, "trained": trained, "done": False}
