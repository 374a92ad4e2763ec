"""Learning curves of a running study for TensorBoard, MLflow or Weights & Biases; the store has them as well."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from ray import tune

from amc_core.run import Run
from sweeps.engine.options import require_log
from sweeps.engine.progress import describe
from sweeps.engine.worker import CUT

LOG = Callable[[dict, int], object]  # of values and the epoch
END = Callable[[bool], object]  # has the run failed?


class Curves(tune.Callback):
    """A Tune callback that writes a point per epoch and run, in the format `kind`, to the folder "logs".

    Raises AmcError for a kind that is not known or whose package is not installed.
    """

    def __init__(self, kind: str, study: str):
        require_log(kind)
        self.kind, self.study, self.folder = kind, study, Path("logs").absolute()
        self.open: dict[str, tuple[LOG, END]] = {}

    def __reduce__(self):  # Tune pickles its callbacks into experiment state that we never restore
        return tune.Callback, ()

    # A callback that raises would end the launch, so exceptions are suppressed.

    def on_trial_result(self, iteration, trials, trial, result, **info):
        run = trial.config["run"]
        with suppress(Exception):
            if run.key not in self.open:
                self.folder.mkdir(exist_ok=True)
                self.open[run.key] = KINDS[self.kind](run, self.folder, self.study)
            if result.get("curves"):
                self.open[run.key][0](result["curves"], result["epoch"])

    def on_trial_complete(self, iteration, trials, trial, **info):
        self._end(trial, "failure" in trial.last_result and trial.last_result["kind"] != CUT)

    def on_trial_error(self, iteration, trials, trial, **info):
        self._end(trial, True)

    def _end(self, trial, failed: bool) -> None:
        with suppress(Exception):
            self.open.pop(trial.config["run"].key)[1](failed)


def _tensorboard(run: Run, folder: Path, study: str) -> tuple[LOG, END]:
    from tensorboardX import SummaryWriter

    writer = SummaryWriter(str(folder / "tensorboard" / study / run.key))
    writer.add_text("run", describe(run))
    return (
        lambda values, epoch: [writer.add_scalar(*value, epoch) for value in values.items()],
        lambda failed: writer.close(),
    )


def _mlflow(run: Run, folder: Path, study: str) -> tuple[LOG, END]:
    from mlflow import MlflowClient

    client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder}/mlflow.db")
    record = client.get_experiment_by_name(study)
    experiment = record.experiment_id if record else client.create_experiment(study)
    begun = client.search_runs([experiment], f"tags.run = '{run.key}'")  # by an earlier launch
    if begun:
        entry = begun[0].info.run_id
    else:
        entry = client.create_run(experiment, run_name=describe(run), tags={"run": run.key}).info.run_id
        for name, value in _facts(run).items():
            client.log_param(entry, name, value)
    return (
        lambda values, epoch: [client.log_metric(entry, *value, step=epoch) for value in values.items()],
        lambda failed: client.set_terminated(entry, "FAILED" if failed else "FINISHED"),
    )


def _wandb(run: Run, folder: Path, study: str) -> tuple[LOG, END]:
    import wandb

    mode = os.environ.get("WANDB_MODE", "offline")
    settings = {"id": run.key, "name": describe(run), "config": _facts(run), "resume": "allow"}
    entry = wandb.init(project=study, dir=folder, mode=mode, reinit="create_new", **settings)
    return lambda values, epoch: entry.log(values, step=epoch), lambda failed: entry.finish(exit_code=int(failed))


def _facts(run: Run) -> dict:
    setting = {f"train_{name}": value for name, value in run.dataset.scenario.columns().items()}
    return {"model": run.model, "seed": run.seed} | run.hyperparameters | asdict(run.recipe) | setting


KINDS = {"tensorboard": _tensorboard, "mlflow": _mlflow, "wandb": _wandb}
