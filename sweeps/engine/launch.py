"""Run what is missing as Ray Tune trials, one per training run, as many at once as the resources allow.

Every launch is a fresh Tuner over the missing runs; the store, not Tune's own experiment state, is what resuming
relies on. Actors are reused, since starting one takes seconds, and Tune's loggers are off.
"""

from __future__ import annotations

import logging
import math
import os
import pickle
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from amc_core.errors import AmcError
from sweeps.engine.progress import Progress
from sweeps.planning import Plan
from sweeps.search import Search
from sweeps.store import Store
from sweeps.study import SearchStudy, Studies, Study
from sweeps.study.file import gpu_share

_EVERYWHERE = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a trial without a GPU sees none
    "MALLOC_ARENA_MAX": "1",  # Tune runs trials in a thread, whose own heap is too small for `keep_freed_memory`
}
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    **_EVERYWHERE,
    "RAY_memory_monitor_refresh_ms": "0",  # what it ends may bring down the driver; what the kernel ends is tried again
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is ours: everything finished is already in the store
    "RAY_AIR_NEW_OUTPUT": "0",  # the old output heeds verbose=0
    "TUNE_MAX_PENDING_TRIALS_PG": "16",  # asked of the feed ahead of free resources
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
_RETRIES = {"here": 1, "cluster": 10}  # whose spot machines come and go
_SCRATCH = ".amc-tune-"  # and the driver's process number: Tune's directory on one machine, of no use afterwards
_GPU_FILLED, _TRIALS_PER_GPU = 0.9, 8  # of its memory, by trials whose need is known; and how many take turns on it
_OBJECT_STORE_BYTES = 256 << 20  # trials exchange no data through Ray


def launch(
    study: Study | Studies,
    plan: Plan,
    store: Store,
    progress: Progress,
    address: str | None = None,
    gpus_per_trial: float | None = None,
    log: str | None = None,
    search: Search | None = None,
    work: Callable[..., Iterator[dict]] | None = None,
) -> None:
    """Do everything in `plan` that is incomplete, then what `search` proposes; results are in the store at the return.

    address: of a running Ray cluster, None for a Ray of our own on this machine. gpus_per_trial: overrides the
    study. log: a kind of `Curves` to write beside the store. work: what a trial does in the place of `trial.compute`.

    A trial that fails is retried from its last checkpoint, then recorded as failed, and the others go on; one that
    would fail in the same way again (a loss that is no number, say) is not retried. Raises AmcError if the cluster
    cannot be reached, or this machine lacks the resources of a single trial (a cluster may still grow).
    """
    store.require_writable()
    curves = []
    if log:
        from sweeps.engine.curves import Curves

        curves = [Curves(log, study.name)]
    if gpus_per_trial is not None:
        gpu_share(gpus_per_trial)
    os.environ.update(_ENVIRONMENT)
    on_sigterm = signal.getsignal(signal.SIGTERM)
    address = os.environ.get("RAY_ADDRESS") if address is None else address
    from sweeps.engine.feed import Feed, Pruning

    share = study.resources.gpus_per_trial
    share = _measured_share(study, plan, store) if share is None else share
    # Those of equal work in another order on every machine: launches that share a store begin with different runs.
    runs = random.Random(socket.gethostname()).sample(plan.runs, len(plan.runs))
    plan = Plan(tuple(sorted(runs, key=lambda entry: -entry.training_work - entry.evaluation_work)))
    feed = Feed(plan, search, lambda: _slots(study, share, gpus_per_trial), progress.add, progress.prune)
    if not feed.has_work():
        return
    with _ray(address), _own_sigterm(on_sigterm):
        import ray
        from ray import tune
        from ray.tune import TuneError

        cpus, gpus = _resources(study, share, gpus_per_trial, local=address is None)
        trial = tune.with_parameters(_trial, study=pickle.dumps(study), store=store, threads=cpus, work=work)
        _remove_left_over()
        with _scratch(store, shared=address is not None) as (place, filesystem):
            tuner = tune.Tuner(
                tune.with_resources(trial, {"cpu": cpus, "gpu": gpus}),
                tune_config=tune.TuneConfig(
                    search_alg=feed,
                    scheduler=Pruning(feed) if search else None,
                    num_samples=-1,  # as many as the feed has
                    reuse_actors=True,
                    trial_name_creator=lambda trial: trial.trial_id,
                    trial_dirname_creator=lambda trial: trial.trial_id,
                ),
                run_config=tune.RunConfig(
                    name="study",
                    storage_path=place,
                    storage_filesystem=filesystem,
                    failure_config=tune.FailureConfig(max_failures=_RETRIES["cluster" if address else "here"]),
                    callbacks=[_report_to(progress, store, search), *curves],
                    verbose=0,
                ),
            )
            try:
                tuner.fit()
            except (ray.exceptions.RayError, TuneError) as error:
                reason = str(error).strip().splitlines()[0]
                raise AmcError(f"Ray has died ({reason}); the same command goes on from the store") from None


@contextmanager
def _scratch(store: Store, shared: bool):
    """A directory for Tune, of no use afterwards; workers of a cluster have to see it, as they see the store."""
    if shared:
        with store.scratch() as place:
            yield place
    else:
        with tempfile.TemporaryDirectory(prefix=f"{_SCRATCH}{os.getpid()}-") as place:
            yield place, None


def _remove_left_over() -> None:
    """Remove the scratch directories of drivers on this machine that were killed."""
    for left in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*-*"):
        process = left.name.removeprefix(_SCRATCH).partition("-")[0]
        if process.isdigit() and not Path("/proc", process).exists() and Path("/proc").exists():
            shutil.rmtree(left, ignore_errors=True)


def _trial(config: dict, study: bytes, store: Store, threads: int, work: Callable | None) -> None:
    """What a Tune worker does with one run."""
    import torch
    from ray import tune

    from amc_core.memory import keep_freed_memory
    from sweeps.engine.log import RunLog
    from sweeps.engine.trial import compute

    torch.set_num_threads(threads)
    keep_freed_memory()
    run, values = config["run"], config["values"]
    named = _unpickled(study) if values is None else _unpickled(study).proposal(dict(values))
    device = "cuda" if torch.cuda.is_available() else "cpu"  # a trial without a GPU sees none
    try:
        with RunLog(run, store) as log:
            for step in (work or compute)(run, named.tests(run), store, device):
                log.step(step)
                tune.report(step)
    except AmcError as error:  # which would only come again: no retry
        tune.report({"failure": str(error)})


@lru_cache(maxsize=1)  # a worker that does one trial after another expands the study once
def _unpickled(study: bytes) -> Study | Studies:
    return pickle.loads(study)


def _report_to(progress: Progress, store: Store, search: Search | None):
    """A Tune callback that tells `progress` what its trials report, and `store` which of them fail.

    `search` gives signs of life, for which Tune's loop comes by ten times a second.
    """
    from ray import tune

    class Report(tune.Callback):
        def __reduce__(self):  # Tune pickles its callbacks into experiment state that we never restore
            return tune.Callback, ()

        def on_step_begin(self, iteration, trials, **info):
            if search:
                search.show_life()

        def on_trial_result(self, iteration, trials, trial, result, **info):
            if "failure" not in result:
                progress.advance(trial.config["run"].key, result["epoch"], result["cells"], result["accuracy"])

        def on_trial_complete(self, iteration, trials, trial, **info):
            key, failure = trial.config["run"].key, trial.last_result.get("failure")
            if failure is None:
                progress.finish(key)
            else:
                self.fail(key, failure)

        def on_trial_error(self, iteration, trials, trial, **info):
            self.fail(trial.config["run"].key, str(trial.get_error() or "its worker died"))

        def fail(self, key, reason):
            progress.fail(key, reason)
            with suppress(AmcError, OSError):  # a callback that raises would end the launch
                store.run(key).save_failure(reason)

    return Report()


def _resources(study: Study | Studies, share: float, gpus_per_trial: float | None, local: bool) -> tuple[int, float]:
    """CPUs and GPUs of one trial: `gpus_per_trial` whatever there is, else `share` where there are GPUs."""
    import ray

    available = ray.cluster_resources()
    cpus, have = study.resources.cpus_per_trial, available.get("GPU", 0)
    gpus = (share if have else 0.0) if gpus_per_trial is None else gpus_per_trial
    if local and (cpus > available.get("CPU", 0) or gpus > have):
        raise AmcError(
            f"a trial asks for {cpus} CPUs and {gpus:g} GPUs, and this machine has "
            f"{available.get('CPU', 0):g} and {have:g}: lower resources in the study, or --gpus-per-trial"
        )
    return cpus, gpus


def _slots(study: Study | Studies, share: float, gpus_per_trial: float | None) -> int:
    """How many trials the cluster, as it is now, can hold."""
    import ray

    have, (cpus, gpus) = ray.cluster_resources(), _resources(study, share, gpus_per_trial, local=False)
    return int(min(have.get("CPU", 0) // cpus, have.get("GPU", 0) // gpus if gpus else math.inf))


def _measured_share(study: Study | Studies, plan: Plan, store: Store) -> float:
    """The part of a GPU for a trial, from what its models took before in batches no smaller; else a whole one."""
    runs = [entry.run for entry in plan.incomplete]
    if isinstance(study, SearchStudy):
        runs += [run for end in study.ends for run in end.runs()]
    needs = {(run.model, run.recipe.batch_size * run.dataset.length) for run in runs}
    shares = store.gpu_shares()
    largest = 1e-6
    for model, needed in needs:
        known = [share for samples, share in shares.get(model, ()) if samples >= needed]
        largest = max(largest, max(known, default=1.0))
    return 1 / max(1, min(_TRIALS_PER_GPU, int(_GPU_FILLED / largest)))


@contextmanager
def _ray(address: str | None):
    """A connection to the cluster at `address`, or a Ray of our own that ends with us."""
    if address not in (None, "auto"):
        _require_cluster(address)
    import ray

    if address is None:  # by default Ray would join whatever cluster it finds on this machine
        settings = {"address": "local", "include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}
    else:
        settings = {"address": address, "runtime_env": {"env_vars": _EVERYWHERE}}
    try:
        try:
            ray.init(**settings, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # Ray raises bare ones, too
            reason = (str(error).strip() or repr(error)).splitlines()[0]
            if address is None:
                raise AmcError(f"Ray does not start on this machine ({reason}); the same command tries again") from None
            told = f"--address {address!r} cannot be reached ({reason})"
            raise AmcError(f"{told}: give host:port of a running Ray head") from None
        yield
    finally:
        ray.shutdown()


def _require_cluster(address: str) -> None:
    """Raise AmcError unless a Ray cluster answers at host:port."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdigit() or not 0 < int(port) < 65536:
        raise AmcError(f"--address {address[:80]!r} is not the address of a Ray cluster: give host:port or auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
        # ray.init itself would try for minutes, so a process that can be given up on tries first.
        attempt = "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False)"
        answer = subprocess.run([sys.executable, "-c", attempt, address], capture_output=True, text=True, timeout=30)
        if answer.returncode == 0:
            return
        reason = answer.stderr.strip().splitlines()[-1] + "; a cluster with tokens needs RAY_AUTH_MODE=token"
    except subprocess.TimeoutExpired:
        reason = "what listens there does not answer as a Ray head"
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
    raise AmcError(f"--address {address!r} cannot be reached ({reason}): give host:port of a running Ray head")


@contextmanager
def _own_sigterm(handler):
    """Let SIGTERM end the launch the way Ctrl-C does; Ray has put a handler of its own there."""
    previous = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
