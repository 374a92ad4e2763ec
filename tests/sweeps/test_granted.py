"""Cores and memory that are granted to a process, of those that the machine has."""

import os
import re

import pytest

from sweeps.engine.granted import granted_cores, granted_memory


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine of 128 cores and 64 GiB, on which a process is in the control groups that its test writes."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(128)), raising=False)
    for name in ("SLURM_CPUS_PER_TASK", "SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1 << 24}.get)

    def groups(lines: str, **files: str):
        (tmp_path / "membership").write_text(lines)
        for name, content in files.items():
            path = tmp_path / re.sub("(cpu|memory)_(?!.*/)", r"\1.", name.replace("__", "/"))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return tmp_path, tmp_path / "membership"

    return groups


def test_without_limits_all_cores_are_granted(machine):
    assert granted_cores(*machine("0::/user\n", user__cpu_max="max 100000\n")) == 128


def test_a_container_grants_the_whole_cores_of_its_quota_or_of_one_around_it(machine):
    assert granted_cores(*machine("0::/user\n", user__cpu_max="650000 100000\n")) == 6
    assert granted_cores(*machine("0::/user/inner\n", user__inner__cpu_max="max 100000\n")) == 6
    assert granted_cores(*machine("0::/user\n", user__cpu_max="50000 100000\n")) == 1
    old = machine("4:memory:/\n3:cpu,cpuacct:/job\n", **{"cpu,cpuacct__job__cpu_cfs_quota_us": "400000\n"})
    machine("3:cpu,cpuacct:/job\n", **{"cpu,cpuacct__job__cpu_cfs_period_us": "100000\n"})
    assert granted_cores(*old) == 4


def test_slurm_and_the_scheduler_grant_fewer(machine, monkeypatch):
    where = machine("0::/user\n", user__cpu_max="3200000 100000\n")
    assert granted_cores(*where) == 32
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "8")
    assert granted_cores(*where) == 8
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {5, 6})
    assert granted_cores(*where) == 2
    assert granted_cores(where[0], where[0] / "absent") == 2


def test_memory_is_the_least_of_the_machines_a_containers_and_what_slurm_grants(machine, monkeypatch):
    assert granted_memory(*machine("0::/user\n", user__memory_max="max\n")) == 64 << 30
    assert granted_memory(*machine("0::/user/inner\n", user__memory_max=f"{16 << 30}\n")) == 16 << 30
    old = machine("4:memory:/job\n3:cpu,cpuacct:/\n", memory__job__memory_limit_in_bytes=f"{8 << 30}\n")
    assert granted_memory(*old) == 8 << 30
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "2")
    monkeypatch.setenv("SLURM_MEM_PER_CPU", "2048")
    assert granted_memory(*old) == 4 << 30
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "3072")
    assert granted_memory(*old) == 3 << 30
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "0")
    monkeypatch.delenv("SLURM_MEM_PER_CPU")
    assert granted_memory(*old) == 8 << 30
