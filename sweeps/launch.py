"""Run what is missing as Ray Tune trials, one per training run, as many at once as the resources allow.

Every launch is a fresh Tuner over the missing runs; the store, not Tune's own experiment state, is what resuming
relies on. Actors are reused, since starting one takes seconds, and Tune's loggers are off.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import tempfile
import traceback
from contextlib import contextmanager

from amc_core.errors import AmcError
from sweeps.plan import Plan
from sweeps.progress import Progress
from sweeps.store import Store
from sweeps.study import Study

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a trial without a GPU sees none
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is ours: everything finished is already in the store
    "RAY_AIR_NEW_OUTPUT": "0",  # the old output heeds verbose=0
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
_RETRIES = 1
_OBJECT_STORE_BYTES = 256 << 20  # trials exchange no data through Ray


def launch(
    study: Study,
    plan: Plan,
    store: Store,
    progress: Progress,
    address: str | None = None,
    gpus_per_trial: float | None = None,
) -> None:
    """Do everything in `plan` that is incomplete; results are in the store when this returns.

    address: of a running Ray cluster, None for a Ray of our own on this machine. gpus_per_trial: overrides the
    study. A trial that fails is retried from its last checkpoint, then recorded as failed, and the others go on.
    Raises AmcError if the cluster cannot be reached or lacks the resources of a single trial.
    """
    os.environ.update(_ENVIRONMENT)
    with _ray(address or os.environ.get("RAY_ADDRESS")), _orderly_sigterm():
        from ray import tune

        cpus, gpus = _resources(study, gpus_per_trial, local=address is None)
        runs = {plan.run.key: plan.run for plan in plan.incomplete}
        trial = tune.with_parameters(_trial, study=study, store=store, device="cuda" if gpus else "cpu", threads=cpus)
        # Workers of a cluster have to see Tune's directory; that of the store is the one they share.
        with tempfile.TemporaryDirectory(prefix=".tune-", dir=store.path if address else None) as scratch:
            tuner = tune.Tuner(
                tune.with_resources(trial, {"cpu": cpus, "gpu": gpus}),
                param_space={"run": tune.grid_search(list(runs.values()))},
                tune_config=tune.TuneConfig(reuse_actors=True, trial_dirname_creator=lambda trial: trial.trial_id),
                run_config=tune.RunConfig(
                    name="study",
                    storage_path=os.path.abspath(scratch),
                    failure_config=tune.FailureConfig(max_failures=_RETRIES),
                    callbacks=[_report_to(progress)],
                    verbose=0,
                ),
            )
            tuner.fit()


def _trial(config: dict, study: Study, store: Store, device: str, threads: int) -> None:
    """What a Tune worker does with one run."""
    import torch
    from ray import tune

    from amc_core.memory import keep_freed_memory
    from sweeps.trial import compute

    torch.set_num_threads(threads)
    keep_freed_memory()
    run = config["run"]
    try:
        for step in compute(run, study.tests(run), store, device):
            tune.report(step)
    except Exception:
        store.save_failure(run.key, traceback.format_exc())
        raise


def _report_to(progress: Progress):
    """A Tune callback that tells `progress` what its trials report."""
    from ray import tune

    class Report(tune.Callback):
        def __reduce__(self):  # Tune pickles its callbacks into experiment state that we never restore
            return tune.Callback, ()

        def on_trial_result(self, iteration, trials, trial, result, **info):
            progress.advance(trial.config["run"].key, result["epoch"], result["cells"], result["accuracy"])

        def on_trial_complete(self, iteration, trials, trial, **info):
            progress.finish(trial.config["run"].key)

        def on_trial_error(self, iteration, trials, trial, **info):
            progress.fail(trial.config["run"].key)

    return Report()


def _resources(study: Study, gpus_per_trial: float | None, local: bool) -> tuple[int, float]:
    """CPUs and GPUs of one trial."""
    import ray

    available = ray.cluster_resources()
    cpus, have = study.file.resources.cpus_per_trial, available.get("GPU", 0)
    gpus = gpus_per_trial
    if gpus is None:
        wanted = study.file.resources.gpus_per_trial
        gpus = (1.0 if wanted is None else wanted) if have else 0.0
    if local and (cpus > available.get("CPU", 0) or gpus > have):
        raise AmcError(
            f"a trial asks for {cpus} CPUs and {gpus:g} GPUs, and this machine has "
            f"{available.get('CPU', 0):g} and {have:g}: lower resources in the study, or --gpus-per-trial"
        )
    return cpus, gpus


@contextmanager
def _ray(address: str | None):
    """A connection to the cluster at `address`, or a Ray of our own that ends with us."""
    if address not in (None, "auto", "local"):
        _require_listening(address)
    import ray

    own = address in (None, "local")
    local = {"include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES} if own else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **local)
    except (ConnectionError, RuntimeError, ValueError) as error:
        if own:
            raise
        raise AmcError(f"--address {address!r}: no Ray cluster answers there: {str(error).splitlines()[0]}") from None
    try:
        yield
    finally:
        ray.shutdown()


def _require_listening(address: str) -> None:
    """Raise AmcError unless something listens at host:port, sooner than Ray would find out."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise AmcError(f"--address {address!r} is not the address of a Ray cluster: give host:port or auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except OSError as error:
        raise AmcError(
            f"--address {address!r} cannot be reached ({error.strerror or error}): give host:port of a running Ray head"
        ) from None


@contextmanager
def _orderly_sigterm():
    """Let SIGTERM end the launch the way Ctrl-C does."""

    def interrupt(number, frame):
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
