"""What a sweep costs beside the training: our launch, bare Ray Tune and plain Ray tasks, doing the same nothing.

    python benchmarks/sweep.py [--runs 1000] [--cells 300000] [--sides ours,tune,...]

A trial writes what a trained run leaves (weights, epochs, record, cells), without training or evaluating.

ours          launch(): a fresh Tuner over what is missing, actors reused, results in the store
tune-none     bare Ray Tune without loggers, actors reused: a trial reports one dictionary and stores nothing
tune-default  the same with Tune's own loggers
ray           plain Ray tasks that return a dictionary

Prints seconds from the first finished run to the last, and milliseconds a run; then how long cells in runs of 640 take
us. Starting Ray and its first workers is outside of all of them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIDES = ("ours", "tune-none", "tune-default", "ray")
STUDY = """
modulations: [BPSK, QPSK, 16QAM, GFSK]
snr_db: {{from: -6, to: 18, step: 2}}
instances: 100
models: mod_lcnn
recipe: {{epochs: 1}}
seeds: [{seeds}]
test: {test}
"""
ONE_CELL = "{}"
ALL_CELLS = """
  channel: [awgn, rayleigh, rician, rayleigh_2]
  upsampling: [2, 3.2, 4, 6.4, 8, 10.67, 16, 32]
  rolloff: [0.15, 0.25, 0.35, 0.45]
  sample_rate: [200e3, 600e3, 1e6, 1.5e6, 2e6]
"""


def stand_in(run, tests, store, device):
    """What `trial.compute` leaves in the store, without its work."""
    import torch

    from amc_core.evaluation import Evaluation

    row = {"epoch": 1, "train_loss": 0.0, "validation_accuracy": 0.0}
    weights = {"weight": torch.zeros(30_000)}
    state = {"epochs": [row], "kept": weights, "weights": weights}
    outcome = {name: 0 for name in ("parameters", "kept_epoch", "validation_accuracy", "seconds")}
    folder = store.run(run.key)
    folder.save(run, state, [], **outcome)
    classes, snrs = len(run.dataset.modulations), len(run.dataset.snrs_db)
    n = 3 * classes * classes
    result = Evaluation(
        torch.full((snrs, classes, classes), 3),
        torch.arange(classes),
        (torch.arange(n) < 3 * classes,) * snrs,
        torch.full((snrs, 3, 20), n // 40),
        0.0,
    )
    folder.save_cells(run, [(test, result) for test in tests], 1.0)
    yield {"epoch": 1, "cells": len(tests), "accuracy": 0.0, "trained": True, "done": True}


def ours(folder: Path, runs: int, test: str = ONE_CELL) -> tuple[float, int]:
    """Seconds between the first and the last finished run, and how many cells there are."""
    from rich.console import Console

    from sweeps.engine.launch import launch
    from sweeps.engine.progress import Progress
    from sweeps.planning import make_plan
    from sweeps.store import Store
    from sweeps.study import load_study

    moments = []

    class Timed(Progress):
        def finish(self, key):
            moments.append(time.perf_counter())
            super().finish(key)

    study = folder / "study.yaml"
    study.write_text(STUDY.format(seeds=", ".join(map(str, range(runs))), test=test))
    chosen, store = load_study(str(study)), Store(folder / "store")
    plan = make_plan(chosen, store)
    with Timed(plan, Console(quiet=True)) as progress:
        launch(chosen, plan, store, progress, work=stand_in)
    assert not make_plan(chosen, store).incomplete
    return moments[-1] - moments[0], plan.cells


def tune(folder: Path, runs: int, loggers: bool) -> float:
    """The same of bare Ray Tune."""
    import os

    os.environ |= {"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "0" if loggers else "1", "RAY_AIR_NEW_OUTPUT": "0"}
    import ray
    from ray import tune

    moments = []

    class Timed(tune.Callback):
        def on_trial_complete(self, iteration, trials, trial, **info):
            moments.append(time.perf_counter())

    def trial(config):
        tune.report({"accuracy": 0.0})

    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    tune.Tuner(
        trial,
        param_space={"seed": tune.grid_search(list(range(runs)))},
        tune_config=tune.TuneConfig(reuse_actors=True),
        run_config=tune.RunConfig(storage_path=str(folder), callbacks=[Timed()], verbose=0),
    ).fit()
    ray.shutdown()
    return moments[-1] - moments[0]


def plain_tasks(runs: int) -> float:
    """The same of Ray tasks, two at a time."""
    import ray

    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level="ERROR")

    @ray.remote
    def task(seed):
        return {"accuracy": 0.0}

    ray.get([task.remote(seed) for seed in range(16)])
    start = time.perf_counter()
    ray.get([task.remote(seed) for seed in range(runs)])
    seconds = time.perf_counter() - start
    ray.shutdown()
    return seconds


def measure(side: str, folder: Path, runs: int) -> None:
    if side == "cells":
        seconds, cells = ours(folder, runs, ALL_CELLS)
        print(f"{cells:,} cells in {runs} runs: {seconds:.1f} s")
        return
    if side == "ours":
        seconds, _ = ours(folder, runs)
    elif side == "ray":
        seconds = plain_tasks(runs)
    else:
        seconds = tune(folder, runs, loggers=side == "tune-default")
    print(f"{side:13} {seconds:7.1f} s   {1e3 * seconds / runs:6.1f} ms a run")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--cells", type=int, default=300_000)
    parser.add_argument("--sides", default=",".join(SIDES))
    parser.add_argument("--do", default=None, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.do:
        with tempfile.TemporaryDirectory() as folder:
            measure(arguments.do, Path(folder), arguments.runs)
        return
    for side in [*arguments.sides.split(","), *(["cells"] if arguments.cells else [])]:
        runs = -(-arguments.cells // 640) if side == "cells" else arguments.runs
        subprocess.run([sys.executable, __file__, "--do", side, "--runs", str(runs)], check=True)


if __name__ == "__main__":
    main()
