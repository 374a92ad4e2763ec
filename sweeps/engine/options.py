"""Checks of the options of a launch, before anything is planned, and so even if nothing is missing."""

from __future__ import annotations

import re
from importlib.util import find_spec

from amc_core.errors import AmcError, suggest
from amc_core.quantities import many, number
from sweeps.engine.cluster import named_cluster, require_listener
from sweeps.study.file import gpu_share

LOGS = {"tensorboard": "tensorboardX", "mlflow": "mlflow", "wandb": "wandb"}  # kind of learning curves → its package


def require_options(address: str | None, gpus_per_trial: float | None, log: str | None, ray: bool = True) -> None:
    """Raise AmcError if options of a launch are not allowed.

    It is raised if no cluster listens at the address, GPUs are missing, the kind of curves is not known, an option
    needs Ray but `ray` is False, or Ray is needed but not installed.
    """
    if not ray:
        options = {"--address": address, "--gpus-per-trial": gpus_per_trial, "--log": log}
        given = next((name for name, value in options.items() if value is not None), None)
        if given:
            raise AmcError(f"{given} is not allowed with --without-ray: it is an option of Ray")
        return
    if find_spec("ray") is None:
        raise AmcError("Ray is not installed: pip install 'ray[tune]', or compute with --without-ray")
    if log is not None:
        require_log(log)
    cluster, named_by = named_cluster(address)
    if cluster not in (None, "auto"):
        require_listener(cluster, named_by)
    if gpus_per_trial is not None and gpu_share(gpus_per_trial, "--gpus-per-trial") > 0 and cluster is None:
        import torch

        available = torch.cuda.device_count()
        if gpus_per_trial > available:
            raise AmcError(
                f"--gpus-per-trial asks for {many(gpus_per_trial, 'GPU')}, but this machine has {available}: "
                "give less, or 0 for trials on CPUs"
            )


_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_LONGEST_DAYS = 1000
_DURATIONS = (  # days, hours, minutes, seconds
    "".join(rf"(?:(\d+(?:\.\d+)?){unit})?" for unit in _UNITS),
    r"(?:(\d+)-)?(\d+):([0-5]\d):([0-5]\d)",
    r"()()(\d+):([0-5]\d)",
)


def limit_in_seconds(value: float | str | None) -> float | None:
    """Seconds of a time limit: 3h, 1h30m, 1-12:00:00, 3:00:00 and 30:00 as in Slurm, or a number of seconds.

    Raises AmcError for anything else.
    """
    if value is None:
        return None
    text = value.strip() if isinstance(value, str) else ""
    match = next(filter(None, (re.fullmatch(pattern, text) for pattern in _DURATIONS)), None)
    if isinstance(value, str):
        parts = zip(match.groups(), _UNITS.values(), strict=True) if match else ()
        seconds = sum(float(part) * unit for part, unit in parts if part)
    else:
        seconds = number(value)
    if seconds is None or not 0 < seconds <= _LONGEST_DAYS * _UNITS["d"]:
        raise AmcError(
            f"--time-limit {value!r} is not allowed: give a duration of at most {_LONGEST_DAYS}d, "
            "such as 90s, 45m, 3h, 1h30m or 2d, or H:MM:SS"
        )
    return seconds


def require_log(kind: str) -> None:
    """Raise AmcError unless learning curves of this kind can be written."""
    if kind not in LOGS:
        raise AmcError(f"--log {kind!r} is not known{suggest(kind, LOGS)}")
    if find_spec(LOGS[kind]) is None:
        raise AmcError(f"--log {kind} needs a package that is not installed: pip install {LOGS[kind]}")
