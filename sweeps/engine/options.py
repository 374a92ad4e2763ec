"""What may be asked of a launch, looked at before anything is planned, so also where nothing is missing."""

from __future__ import annotations

from importlib.util import find_spec

from amc_core.errors import AmcError, suggest
from amc_core.quantities import many
from sweeps.engine.cluster import named_cluster, require_listener
from sweeps.study.file import gpu_share

LOGS = {"tensorboard": "tensorboardX", "mlflow": "mlflow", "wandb": "wandb"}  # kind of learning curves → its package


def require_options(address: str | None, gpus_per_trial: float | None, log: str | None, ray: bool = True) -> None:
    """Raise AmcError for a cluster that nothing listens at, for GPUs that are not here, and for curves of no kind.

    Also for what is asked of Ray without it, and where Ray is wanted and not installed.
    """
    if not ray:
        options = {"--address": address, "--gpus-per-trial": gpus_per_trial, "--log": log}
        given = next((name for name, value in options.items() if value is not None), None)
        if given:
            raise AmcError(f"{given} is of a launch on Ray: it does not go with --without-ray")
        return
    if find_spec("ray") is None:
        raise AmcError("Ray is not installed: pip install 'ray[tune]', or compute with --without-ray")
    if log is not None:
        require_log(log)
    cluster, named_by = named_cluster(address)
    if cluster not in (None, "auto"):
        require_listener(cluster, named_by)
    if gpus_per_trial is not None and gpu_share(gpus_per_trial) > 0 and cluster is None:
        import torch

        available = torch.cuda.device_count()
        if gpus_per_trial > available:
            raise AmcError(
                f"--gpus-per-trial asks for {many(gpus_per_trial, 'GPU')}, and this machine has {available}: "
                "give less, or 0 for trials on its CPUs"
            )


def require_log(kind: str) -> None:
    """Raise AmcError unless learning curves of this kind can be written."""
    if kind not in LOGS:
        raise AmcError(f"--log {kind!r} is not known{suggest(kind, LOGS)}")
    if find_spec(LOGS[kind]) is None:
        raise AmcError(f"--log {kind} needs a package that is not installed: pip install {LOGS[kind]}")
