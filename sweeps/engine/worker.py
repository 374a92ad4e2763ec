"""What a Tune worker does with one run, and what it tells of its end."""

from __future__ import annotations

import pickle
import socket
import time
from collections.abc import Callable
from functools import lru_cache, partial

from amc_core.errors import AmcError
from sweeps.engine.ending import Cut, announced
from sweeps.engine.nodes import Proof, unfitness
from sweeps.store import Store
from sweeps.study import Studies, Study

# Why a trial ended without results → what becomes of its run: see `feed.Feed`.
STUDY = "study"  # it would end in the same way anywhere, at any time
PLACE = "place"  # a file, a disk or the network: elsewhere or later it may do better
UNFIT = "unfit"  # the node cannot have trials; the run has not begun
UNKNOWN = "unknown"
CUT = "cut"  # the launch ends: it goes on in the next one

_proven: set[str] = set()  # tokens that this process has seen


def trial(
    config: dict,
    study: bytes,
    store: Store,
    threads: int,
    launch: str,
    work: Callable | None = None,
    proof: Proof | None = None,
) -> None:
    """Do one run; report its progress or, at its end, why it has no results ("failure", "kind" and "node").

    launch: a name, by which its early end is announced.
    """
    import torch
    from ray import tune

    from amc_core.memory import keep_freed_memory
    from sweeps.engine.life import SignOfLife
    from sweeps.engine.log import RunLog
    from sweeps.engine.trial import compute

    stopped, latest = announced(launch), config["latest"]
    if stopped() or (latest is not None and time.time() > latest):
        tune.report(_end(CUT, "not begun, since the launch ends"))
        return
    if proof is not None and proof.token not in _proven:
        if reason := unfitness(store, proof):
            tune.report(_end(UNFIT, reason))
            return
        _proven.add(proof.token)
    torch.set_num_threads(threads)
    keep_freed_memory()
    run, values = config["run"], config["values"]
    device = "cuda" if torch.cuda.is_available() else "cpu"  # a trial without a GPU sees none
    try:
        named = _unpickled(study) if values is None else _unpickled(study).proposal(dict(values))
        with RunLog(run, store) as log, SignOfLife(run, store) as life:
            for step in (work or partial(compute, stopped=stopped))(run, named.tests(run), store, device):
                log.step(step)
                life.step(step)
                tune.report(step)
    except Cut as end:
        tune.report(_end(CUT, str(end)))
    except Exception as error:
        kind = blame(error)
        if kind == PLACE:
            _proven.clear()  # the node may have lost the store
        tune.report(_end(kind, str(error) if isinstance(error, AmcError) else f"{type(error).__name__}: {error}"))


def blame(error: BaseException) -> str:
    """Whose fault an error is."""
    if isinstance(error, OSError) or isinstance(error.__context__, OSError):  # which `AmcError` puts into a sentence
        return PLACE
    return STUDY if isinstance(error, AmcError) else UNKNOWN


def _end(kind: str, reason: str) -> dict:
    import ray

    node = ray.get_runtime_context().get_node_id()
    return {"failure": reason, "kind": kind, "node": node, "host": f"{socket.gethostname()} ({node[:8]})"}


@lru_cache(maxsize=1)  # a worker that does one trial after another expands the study once
def _unpickled(study: bytes) -> Study | Studies:
    return pickle.loads(study)
