"""Run what is missing as Ray Tune trials, one per training run, as many at once as the resources allow.

Every launch is a fresh Tuner over the missing runs; resuming relies on the store, not on Tune's experiment state.
Actors are reused, since starting one takes seconds, and Tune's loggers are off.
"""

from __future__ import annotations

import logging
import math
import operator
import os
import pickle
import random
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from amc_core.errors import AmcError
from amc_core.quantities import many
from sweeps.engine.cluster import connected, environment, named_cluster, own_sigterm
from sweeps.engine.ending import Ending, announce, forget
from sweeps.engine.nodes import leave_token
from sweeps.engine.progress import Progress
from sweeps.engine.recordings import needed_files
from sweeps.engine.scratch import scratch_folder
from sweeps.engine.watch import watched
from sweeps.engine.worker import LEFT, UNFIT, Launch, trial
from sweeps.planning import Plan
from sweeps.search import Search
from sweeps.store import Store
from sweeps.store.timing import demand
from sweeps.study import SearchStudy, Studies, Study
from sweeps.study.file import gpu_share

_ATTEMPTS = {"here": 2, "cluster": 11}  # a cluster's spot machines come and go
_LOOK_SECONDS = 5  # between checks of the nodes
_GPU_FILLED, _TRIALS_PER_GPU = 0.9, 8  # share of a GPU's memory for trials of known need, and their largest number

if TYPE_CHECKING:
    from sweeps.engine.feed import Feed


@environment()
def launch(
    study: Study | Studies,
    plan: Plan,
    store: Store,
    progress: Progress,
    address: str | None = None,
    gpus_per_trial: float | None = None,
    log: str | None = None,
    search: Search | None = None,
    ending: Ending | None = None,
    work: Callable[..., Iterator[dict]] | None = None,
) -> None:
    """Do everything in `plan` that is incomplete, then what `search` proposes; at the return, results are in the store.

    address: of a running Ray cluster, None for our own Ray on this machine. gpus_per_trial: overrides the study. log: a
    kind of `Curves` to write besides the store. ending: decides when to end before all is done. work: replaces
    `trial.compute`.

    A trial that fails is retried from its last checkpoint, then recorded as failed, and the others go on. One that
    would fail in the same way again (for example if its loss diverges) is not retried. Raises AmcError if the cluster
    cannot be reached, or if this machine lacks the resources of a single trial (a cluster may still grow).
    """
    store.require_writable()
    curves = []
    if log:
        from sweeps.engine.curves import Curves

        curves = [Curves(log, study.name)]
    if gpus_per_trial is not None:
        gpu_share(gpus_per_trial, "--gpus-per-trial")
    address, named_by = named_cluster(address)
    from sweeps.engine.feed import Feed, Pruning

    ending, name = ending or Ending(), f"launch {secrets.token_hex(8)}"
    ending.notice = progress.note
    share = study.resources.gpus_per_trial
    share = _measured_share(study, plan, store) if share is None else share
    # Break ties differently in each process, so that launches that share a store start with different runs.
    runs = random.Random(f"{socket.gethostname()} {os.getpid()}").sample(plan.runs, len(plan.runs))
    plan = Plan(tuple(sorted(runs, key=lambda entry: -entry.training_work - entry.evaluation_work)))
    feed = Feed(
        plan,
        search,
        lambda: _slots(study, share, gpus_per_trial),
        progress.add,
        progress.prune,
        store,
        _ATTEMPTS["cluster" if address else "here"],
        lambda: _roomy(*_resources(study, share, gpus_per_trial, local=False)),
        ending,
    )
    if not feed.has_work():
        return
    scratch = scratch_folder() if address is None else nullcontext()
    with own_sigterm() as put_back_handler, scratch as folder, connected(address, named_by, folder):
        put_back_handler()
        import ray
        from ray import tune
        from ray.tune import TuneError

        # Our own report gives the reason why trials fail, without a traceback.
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
        cpus, gpus = _resources(study, share, gpus_per_trial, local=address is None)
        ending.begin(shipped=not gpus)
        with _tune_folder(store, folder) as (path, filesystem):
            # Workers on this machine need not prove that they see the store.
            proof = None if folder else leave_token(store, path, needed_files(study, plan))
            common = Launch(pickle.dumps(study), store, cpus, name, work, proof)
            tuner = tune.Tuner(
                tune.with_resources(
                    tune.with_parameters(trial, launch=common),
                    lambda config: _request(cpus, gpus, config["avoid"]),
                ),
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
                    storage_path=path,
                    storage_filesystem=filesystem,
                    failure_config=tune.FailureConfig(max_failures=0),  # the feed tries again
                    stop=_when_over(feed, ending),
                    callbacks=[_report_to(progress, store, search, feed), _stop_trials(ending, name), *curves],
                    progress_reporter=_no_reporter(),
                    verbose=0,
                ),
            )
            try:
                if not ending.due():
                    watched(tuner.fit, ray.get_runtime_context().gcs_address)
            except (ray.exceptions.RayError, TuneError, OSError) as error:
                raise _end_of_launch(error) from None
        forget(name)
    if search and ending.early:
        for proposal in feed.proposals:
            search.put_back(proposal)
    if feed.hopeless:
        reasons = "; ".join(f"node {reason}" for reason in feed.unfit.values())
        raise AmcError(f"no node with room for a trial is fit for trials: {reasons}")


def _no_reporter():
    """A reporter that reports nothing; Tune's own clears the output of a notebook's cell at any verbosity."""
    from ray import tune

    class Reporter(tune.ProgressReporter):
        def should_report(self, trials, done=False) -> bool:
            return False

    return Reporter()


@contextmanager
def _tune_folder(store: Store, folder: Path | None):
    """The folder of Tune's state, which is deleted afterwards; a cluster's workers have to see it, like the store."""
    if folder is None:
        with store.scratch() as scratch:
            yield scratch
    else:
        yield str(folder / "tune"), None


def _end_of_launch(error: Exception) -> AmcError:
    """The error that ended Tune's loop, in a sentence."""
    reason = _reason(error)
    kind, _, sentence = reason.partition(": ")
    if kind.endswith("AmcError"):
        return AmcError(sentence)
    return AmcError(f"the launch has ended ({reason}); the same command goes on from the store")


def _reason(error: Exception) -> str:
    """The reason of an error, in a line. Ray and Tune pass tracebacks as texts, whose last line has the reason."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [repr(error)]
    traced = any(line.startswith(("Traceback", "File ")) for line in lines)
    return lines[-1 if traced else 0]


@lru_cache(maxsize=16)  # Tune compares the requests of all trials at every step; identical objects compare fast
def _request(cpus: int, gpus: float, unfit: frozenset[str]):
    """A trial's request to Ray: resources, not on one of the unfit nodes."""
    from ray import tune

    bundle = {"CPU": cpus, "GPU": gpus} if gpus else {"CPU": cpus}
    selector = {"bundle_label_selector": [{"ray.io/node-id": f"!in({','.join(sorted(unfit))})"}]} if unfit else {}
    return tune.PlacementGroupFactory([bundle], **selector)


def _roomy(cpus: int, gpus: float) -> set[str]:
    """The nodes with the resources of one trial, even if other trials use them now."""
    import ray

    def has_room(resources: dict[str, float]) -> bool:
        return resources.get("CPU", 0) >= cpus and resources.get("GPU", 0) >= gpus

    return {node["NodeID"] for node in ray.nodes() if node["Alive"] and has_room(node["Resources"])}


def _when_over(feed: Feed, ending: Ending):
    """Ends Tune's loop if trials wait for unfit nodes only, and if the launch has to end."""
    from ray import tune

    class Over(tune.Stopper):
        def __reduce__(self):
            return tune.stopper.NoopStopper, ()

        def __call__(self, trial_id, result):
            return False

        def stop_all(self):
            return feed.hopeless or ending.over or ending.stopped

    return Over()


def _stop_trials(ending: Ending, name: str):
    """A Tune callback that tells the workers when the launch ends, and waits for those with a trial."""
    from ray import tune

    class Stop(tune.Callback):
        def __reduce__(self):
            return tune.Callback, ()

        def __init__(self):
            self.announced = False

        def on_step_begin(self, iteration, trials, **info):
            if not ending.due():
                return
            if not self.announced:
                with suppress(Exception):  # a head that does not answer now may answer the next time
                    announce(name)
                    self.announced = True
            # A trial that waits for a machine has nothing to write.
            ending.stopped = all(trial.status != trial.RUNNING for trial in trials)

    return Stop()


def _report_to(progress: Progress, store: Store, search: Search | None, feed: Feed):
    """A Tune callback that passes reports of trials to `progress`, and failures to `store`.

    It also lets `search` give signs of life, ten times a second. A callback that raises would end the launch, so
    exceptions are suppressed: the launch goes on without what cannot be shown.
    """
    from ray import tune
    from ray.exceptions import RayActorError

    harmless = suppress(Exception)

    class Report(tune.Callback):
        def __reduce__(self):  # Tune pickles its callbacks into experiment state that we never restore
            return tune.Callback, ()

        def __init__(self):
            self.last_look, self.nodes = time.monotonic(), set()

        def on_step_begin(self, iteration, trials, **info):
            with harmless:
                if search:
                    search.show_life()
            with harmless:
                if time.monotonic() - self.last_look > _LOOK_SECONDS:
                    self.last_look = time.monotonic()
                    feed.look_at_nodes()

        def on_trial_result(self, iteration, trials, trial, result, **info):
            if "failure" in result:
                return
            with harmless:
                progress.advance(trial.config["run"].key, result["epoch"], result["cells"], result["accuracy"])

        def on_trial_complete(self, iteration, trials, trial, **info):
            key = trial.config["run"].key
            if key in feed.failed:
                self.fail(key, feed.failed[key])
            elif key in feed.waiting:
                self.again(key, trial.last_result)
            else:
                self.over(key)

        def on_trial_error(self, iteration, trials, trial, **info):
            key, error = trial.config["run"].key, trial.get_error()
            reason = None if error is None or isinstance(error, RayActorError) else _reason(error)
            if key in feed.failed:
                feed.failed[key] = reason or feed.failed[key]
                self.fail(key, feed.failed[key])
            elif key in feed.waiting:
                self.again(key, {"failure": reason or "its worker died"})
            else:
                self.over(key)

        def again(self, key, end):
            """Print why a run is tried again; if a node is to blame, print that once."""
            if end.get("kind") == LEFT:
                with harmless:
                    progress.cut(key, "left to another process")
                return
            node = end.get("node") if end.get("kind") == UNFIT else None
            if node is None:
                line = f"run {key} is tried again: {end.get('failure', 'its results are not in the store')}"
            else:
                line = f"node {feed.unfit[node]}; it gets no trials"
            with harmless:
                if node not in self.nodes or node is None:
                    self.nodes.add(node)
                    progress.note(line)

        def over(self, key):
            with harmless:
                progress.cut(key) if key in feed.cut else progress.finish(key)

        def fail(self, key, reason):
            with harmless:
                store.run(key).save_failure(reason)
            with harmless:
                progress.fail(key, reason)

    return Report()


def _resources(study: Study | Studies, share: float, gpus_per_trial: float | None, local: bool) -> tuple[int, float]:
    """CPUs and GPUs of one trial: `gpus_per_trial` if it is given, else `share` if there are GPUs."""
    import ray

    available = ray.cluster_resources()
    cpus, have = study.resources.cpus_per_trial, available.get("GPU", 0)
    gpus = (share if have else 0.0) if gpus_per_trial is None else gpus_per_trial
    if local and (cpus > available.get("CPU", 0) or gpus > have):
        raise AmcError(
            f"a trial needs {many(cpus, 'CPU')} and {many(gpus, 'GPU')}, but this machine has "
            f"{available.get('CPU', 0):g} and {have:g}: lower resources in the study, or --gpus-per-trial"
        )
    return cpus, gpus


def _slots(study: Study | Studies, share: float, gpus_per_trial: float | None) -> int:
    """How many trials the cluster can hold now."""
    import ray

    have, (cpus, gpus) = ray.cluster_resources(), _resources(study, share, gpus_per_trial, local=False)
    return int(min(have.get("CPU", 0) // cpus, have.get("GPU", 0) // gpus if gpus else math.inf))


def _measured_share(study: Study | Studies, plan: Plan, store: Store) -> float:
    """The share of a GPU for a trial, from earlier runs of its models with at least its demand; else a whole GPU."""
    runs = [entry.run for entry in plan.incomplete]
    if isinstance(study, SearchStudy):
        runs += [run for end in study.ends for run in end.runs()]
    needs = {(run.model, demand(run.recipe, run.dataset)) for run in runs}
    shares = store.gpu_shares()
    largest = 1e-6
    for model, needed in needs:
        known = [share for held, share in shares.get(model, ()) if all(map(operator.ge, held, needed))]
        largest = max(largest, max(known, default=1.0))
    return 1 / max(1, min(_TRIALS_PER_GPU, int(_GPU_FILLED / largest)))
