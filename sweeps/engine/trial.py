"""One trial: train a run if it is not trained, evaluate the cells it lacks, and make each result durable at once."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Generator, Iterator
from datetime import UTC, datetime

import torch

from amc_core.evaluation import Evaluation, evaluate
from amc_core.instances import Instances
from amc_core.models.complexity import parameters
from amc_core.run import Dataset, Run
from amc_core.training import new_model, train
from sweeps.store import Store

_FLUSH_SECONDS = 20  # how much evaluation a crash may lose
_PROGRESS_SECONDS = 2  # between reports of evaluation, each of which costs the driver milliseconds
_EPOCHS_WAITED, _WAITED_SECONDS = 3, 30  # at least, for the next epoch of another process that trains the same run


def compute(run: Run, tests: list[Dataset], store: Store, device: str = "cpu") -> Iterator[dict]:
    """Do what is missing of a run, yielding progress after every epoch and now and then while evaluating.

    Progress holds "epoch", "cells" (evaluated by this trial and durable), "accuracy" (on the validation part
    while training, over the last cell while evaluating), "trained" (the run's weights are durable) and, after an epoch,
    "curves" (its row).
    """
    while store.run_record(run.key) is None:
        yield from _train(run, store, device)
    saved = yield from _evaluate(run, tests, store, device)
    store.clear_failure(run.key)
    yield _progress(run.recipe.epochs, saved, store.run_record(run.key)["validation_accuracy"])


def _train(run: Run, store: Store, device: str) -> Iterator[dict]:
    """Train until the run is finished, or has for a while been left to another process that is ahead."""
    began = time.perf_counter()
    if device == "cuda":  # a worker trains one run after another
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    origin = store.weights_name(run.parent.key) if run.parent else None
    known = set(store.checkpoints(run.key))
    saved = store.checkpoint(run.key)
    if saved and saved.pop("parent_weights", origin) != origin:  # the parent has been trained again since
        saved = None
    seconds_before = saved.pop("seconds") if saved else 0.0
    started = (saved or {}).pop("started_at", datetime.now(UTC).isoformat())
    start = store.weights(run.parent.key) if run.parent and not saved else None
    for state in train(run, device, saved, start):
        seconds = seconds_before + time.perf_counter() - began
        ours = {"started_at": started, "seconds": seconds, "parent_weights": origin}
        name = store.save_checkpoint(run.key, state | ours)
        known.add(name)
        last = state["epochs"][-1]
        yield _progress(last["epoch"], 0, last["validation_accuracy"], trained=False) | {"curves": last}
        if _is_behind(run, store, name, known):
            _leave_to_other(run, store, _EPOCHS_WAITED * (time.perf_counter() - began))
            return
        began, seconds_before = time.perf_counter(), seconds
    kept = state["epochs"][state["kept_epoch"] - 1]
    outcome = {
        "parent_weights": origin,
        "parameters": parameters(new_model(run)),
        "kept_epoch": kept["epoch"],
        "validation_accuracy": kept["validation_accuracy"],
        "started_at": started,
        "seconds": seconds,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "gpu_share": _gpu_share() if device == "cuda" else None,
        "host": socket.gethostname(),
        "torch": torch.__version__,
    }
    store.save_run(run, state, outcome)
    yield _progress(last["epoch"], 0, kept["validation_accuracy"])


def _is_behind(run: Run, store: Store, own: str, known: set[str]) -> bool:
    """Has another process finished the run, or saved a checkpoint before ours of the same epoch, or a later one?"""
    there = store.checkpoints(run.key)
    others = [place for name, place in there.items() if name not in known]
    return store.run_record(run.key) is not None or any(place > there.get(own, (0, 0)) for place in others)


def _leave_to_other(run: Run, store: Store, seconds: float) -> None:
    """Wait until another process has finished the run, or has not saved an epoch for so long."""
    seen, since = {}, time.monotonic()
    while store.run_record(run.key) is None and time.monotonic() - since < max(seconds, _WAITED_SECONDS):
        there = store.checkpoints(run.key)
        if there != seen:
            seen, since = there, time.monotonic()
        time.sleep(1)
    if store.run_record(run.key) is not None:
        store.delete_checkpoints(run.key)  # ours may have come after


def _evaluate(run: Run, tests: list[Dataset], store: Store, device: str) -> Generator[dict, None, int]:
    """Evaluate the cells that the run lacks; returns how many."""
    evaluated = store.cells(run.key)
    missing = [test for test in tests if run.cell_key(test) not in evaluated]
    if not missing:
        return 0
    model = new_model(run, device)
    model.load_state_dict(store.weights(run.key))
    unsaved: list[tuple[Dataset, Evaluation]] = []
    saved, flushed, told = 0, time.monotonic(), -math.inf
    for test in missing:
        result = evaluate(model, Instances(test, "test", device), device, run.dataset.modulations)
        unsaved.append((test, result))
        now, last = time.monotonic(), test is missing[-1]
        if last or now - flushed > _FLUSH_SECONDS:
            store.save_cells(run, unsaved, now - flushed)
            saved, unsaved, flushed = saved + len(unsaved), [], now
        if last or now - told > _PROGRESS_SECONDS:
            told = now
            yield _progress(run.recipe.epochs, saved, result.accuracy)
    store.compact(run.key)
    return saved


def _gpu_share() -> float:
    """The part of the GPU's memory that this process has taken at most, with half a GiB for CUDA itself."""
    _, total = torch.cuda.mem_get_info()
    return (torch.cuda.max_memory_reserved() + (1 << 29)) / total


def _progress(epoch: int, cells: int, accuracy: float, trained: bool = True) -> dict:
    return {"epoch": epoch, "cells": cells, "accuracy": accuracy, "trained": trained}
