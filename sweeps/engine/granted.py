"""Cores and memory that are granted to this process, which may be less than the machine has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_ROOT, _MEMBERSHIP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def granted_cores(root: Path = _ROOT, membership: Path = _MEMBERSHIP) -> int:
    """The least of the cores that the scheduler may use, a container's quota, and SLURM_CPUS_PER_TASK; at least 1.

    root, membership: paths of the quotas of control groups, and of the list of this process's groups, on Linux.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    slurm = os.environ.get("SLURM_CPUS_PER_TASK", "")
    quotas = [quota for folder in _groups("cpu", root, membership) for quota in _quota(folder)]
    limits = [affinity, *quotas, *([int(slurm)] if slurm.isdecimal() else [])]
    return max(1, int(min(limits)))


def granted_memory(root: Path = _ROOT, membership: Path = _MEMBERSHIP) -> int:
    """The least of the machine's bytes of memory, a container's limit, SLURM_MEM_PER_NODE, and SLURM_MEM_PER_CPU."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for folder in _groups("memory", root, membership):
        for name in ("memory.max", "memory.limit_in_bytes"):
            with suppress(OSError, ValueError):  # "max" is no limit
                limits.append(int((folder / name).read_text()))
    for variable, cores in (("SLURM_MEM_PER_NODE", 1), ("SLURM_MEM_PER_CPU", granted_cores(root, membership))):
        megabytes = os.environ.get(variable, "")
        if megabytes.isdecimal() and int(megabytes) > 0:  # 0 means all memory of the node
            limits.append((int(megabytes) << 20) * cores)
    return min(limits)


def _groups(controller: str, root: Path, membership: Path) -> Iterator[Path]:
    """The folders of this process's control groups, of version 2 or 1, and of their parent groups."""
    try:
        groups = [line.split(":", 2) for line in membership.read_text().splitlines()]
    except (OSError, UnicodeError):
        return
    for _, controllers, path in groups:
        if not controllers or controller in controllers.split(","):
            inside = Path(path.lstrip("/"))
            for folder in (inside, *inside.parents):  # a group has at most what its parents have
                yield root / controllers / folder


def _quota(folder: Path) -> list[float]:
    """The quota of a control group in cores, in a list that is empty if it has none."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        return [int(quota) / int(period)] if quota.isdecimal() and int(quota) > 0 and int(period) > 0 else []
    except (OSError, ValueError):
        return []
