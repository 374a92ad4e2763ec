"""How many of a machine's cores are granted to this process, which may be fewer than the machine has."""

from __future__ import annotations

import os
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")


def granted_cores(root: Path = _ROOT, membership: Path = Path("/proc/self/cgroup")) -> int:
    """The least of the cores that the scheduler may use, a container's quota, and SLURM_CPUS_PER_TASK; at least 1.

    root, membership: where Linux tells the quotas of control groups, and which of them this process is in.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    slurm = os.environ.get("SLURM_CPUS_PER_TASK", "")
    limits = [affinity, *_quotas(root, membership), *([int(slurm)] if slurm.isdigit() else [])]
    return max(1, int(min(limits)))


def _quotas(root: Path, membership: Path) -> list[float]:
    """Cores by the quota of each control group that this process is in, of version 2 or 1."""
    try:
        groups = [line.split(":", 2) for line in membership.read_text().splitlines()]
    except (OSError, UnicodeError):
        return []
    quotas = []
    for _, controllers, path in groups:
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = root / controllers if controllers else root
        inside = Path(path.lstrip("/"))
        for folder in (inside, *inside.parents):  # a group has at most what those around it have
            quotas += _quota(base / folder)
    return quotas


def _quota(folder: Path) -> list[float]:
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        return [int(quota) / int(period)] if quota.isdigit() and int(quota) > 0 and int(period) > 0 else []
    except (OSError, ValueError):
        return []
