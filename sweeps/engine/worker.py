"""A trial in a Tune worker: it computes one run and reports its end."""

from __future__ import annotations

import pickle
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

from amc_core.errors import AmcError
from sweeps.engine.ending import Cut, Left, announced
from sweeps.engine.nodes import Proof, unfitness
from sweeps.store import Store
from sweeps.study import Studies, Study

# Why a trial ended without results. `feed.Feed` decides what becomes of its run.
STUDY = "study"  # it would fail on every machine, at any time
MACHINE = "machine"  # a file, a disk or the network failed: on another machine or later it may work
UNFIT = "unfit"  # the node is unfit for trials; the run has not begun
UNKNOWN = "unknown"
LEFT = "left"  # another process is ahead with the run
CUT = "cut"  # the launch ends; the run goes on in the next one

_proven: set[str] = set()  # tokens that this process has seen


@dataclass(frozen=True)
class Launch:
    """What all trials of a launch share, in one object, since a worker fetches every object anew for each trial.

    study: pickled. threads: of PyTorch. name: the launch's early end is announced by it. work: what a trial does
    instead of `trial.compute`. proof: what a node has to show before its first trial; None if nothing.
    """

    study: bytes
    store: Store
    threads: int
    name: str
    work: Callable | None = None
    proof: Proof | None = None


def trial(config: dict, launch: Launch) -> None:
    """Compute one run and report its progress. If it ends without results, report why ("failure", "kind", "node").

    The last report is marked as "done", so that Tune does not ask for another.
    """
    import torch
    from ray import tune

    from amc_core.memory import keep_freed_memory
    from sweeps.engine.life import SignOfLife
    from sweeps.engine.log import RunLog
    from sweeps.engine.trial import compute

    stopped, latest = announced(launch.name), config["latest"]
    if stopped() or (latest is not None and time.time() > latest):
        tune.report(_end(CUT, "not begun, since the launch ends"))
        return
    store, proof = launch.store, launch.proof
    if proof is not None and proof.token not in _proven:
        if reason := unfitness(store, proof):
            tune.report(_end(UNFIT, reason))
            return
        _proven.add(proof.token)
    torch.set_num_threads(launch.threads)
    keep_freed_memory()
    run, values = config["run"], config["values"]
    device = "cuda" if torch.cuda.is_available() else "cpu"  # a trial without a GPU sees none
    try:
        study = _unpickled(launch.study)
        tests = (study if values is None else study.proposal(dict(values))).tests(run)
        work = launch.work or partial(compute, stopped=stopped, leave=config["leave"])
        with RunLog(run, store) as log, SignOfLife(run, store) as life:
            for step in work(run, tests, store, device):
                log.step(step)
                life.step(step)
                if not step["done"]:
                    tune.report(step)
        tune.report(step)
    except Cut as end:
        tune.report(_end(CUT, str(end)))
    except Left as end:
        tune.report(_end(LEFT, str(end)))
    except Exception as error:
        kind = blame(error)
        if kind == MACHINE:
            _proven.clear()  # the node may have lost the store
        tune.report(_end(kind, str(error) if isinstance(error, AmcError) else f"{type(error).__name__}: {error}"))


def blame(error: BaseException) -> str:
    """The kind of an error: MACHINE, STUDY or UNKNOWN."""
    if isinstance(error, OSError) or isinstance(error.__context__, OSError):  # an AmcError may explain an OSError
        return MACHINE
    return STUDY if isinstance(error, AmcError) else UNKNOWN


def _end(kind: str, reason: str) -> dict:
    import ray

    node = ray.get_runtime_context().get_node_id()
    host = f"{socket.gethostname()} ({node[:8]})"
    return {"failure": reason, "kind": kind, "node": node, "host": host, "done": True}


@lru_cache(maxsize=1)  # a worker that computes several trials in turn expands the study once
def _unpickled(study: bytes) -> Study | Studies:
    return pickle.loads(study)
