"""Cores that are granted to a process, of those that the machine has."""

import os

import pytest

from sweeps.engine.granted import granted_cores


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine of 128 cores, on which a process is in the control groups that its test writes."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(128)), raising=False)
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)

    def groups(lines: str, **files: str):
        (tmp_path / "membership").write_text(lines)
        for name, content in files.items():
            path = tmp_path / name.replace("__", "/").replace("cpu_max", "cpu.max").replace("cpu_cfs", "cpu.cfs")
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
