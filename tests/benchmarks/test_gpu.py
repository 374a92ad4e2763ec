"""The benchmark of a GPU runs whole on a CPU, at a tiny size, and outlives what fails in it."""

import multiprocessing
import subprocess
import sys
import time

import pytest

from benchmarks import gpu


def test_every_part_runs_on_a_cpu_and_is_written_to_a_file(tmp_path):
    path = tmp_path / "gpu.txt"
    command = [sys.executable, "benchmarks/gpu.py", "--device", "cpu", "--small", "--to", str(path)]
    printed = subprocess.run(command, env={"PYTHONPATH": ".", "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert printed.returncode == 0 and printed.stderr == ""
    text = path.read_text(encoding="utf-8")
    assert text == printed.stdout
    assert "FAILED" not in text and "out of time" not in text and "failed" not in text
    assert all(f"\n{name}: " in text for name in gpu.PARTS)
    assert "random words: equal" in text and "largest 0.0e+00: within the bound" in text  # of a CPU against itself
    assert "24 instances, 80 epochs" in text and "2 processes side by side" in text


def broken(bench):
    """What breaks."""
    yield "before"
    raise RuntimeError("CUDA error: an illegal memory access was encountered\nmore")


def slow(bench):
    """What takes half a minute."""
    time.sleep(30)
    yield "late"


def whole(bench):
    """What works."""
    yield "fine"


@pytest.fixture
def parts(monkeypatch):
    """Parts whose processes know those of a test."""
    fork = multiprocessing.get_context("fork")
    monkeypatch.setattr(gpu.multiprocessing, "get_context", lambda kind: fork)
    parts = gpu.Parts("cpu", gpu.SMALL)
    yield parts
    parts.stop()


def test_a_part_that_fails_says_why_and_the_next_has_a_process_of_its_own(parts, monkeypatch):
    monkeypatch.setattr(gpu, "PARTS", {"broken": (broken, 1), "whole": (whole, 1)})
    lines = list(parts.lines("broken", 20))
    assert lines == ["before", "FAILED: RuntimeError: CUDA error: an illegal memory access was encountered"]
    assert parts.process is None
    assert list(parts.lines("whole", 20)) == ["fine"] and parts.process is not None


def test_a_part_that_takes_too_long_is_ended(parts, monkeypatch):
    monkeypatch.setattr(gpu, "PARTS", {"slow": (slow, 1), "whole": (whole, 1)})
    assert list(parts.lines("slow", 0.2)) == ["FAILED: too slow"]
    assert list(parts.lines("whole", 20)) == ["fine"]


def test_the_bound_of_a_device_is_its_slower_peak(monkeypatch):
    monkeypatch.setattr(gpu, "_peak", {"float32": 6e9, "copy": 1e30})
    by_arithmetic = gpu.bound("mod_lcnn", gpu.SMALL)
    monkeypatch.setattr(gpu, "_peak", {"float32": 3e9, "copy": 1e30})
    assert gpu.bound("mod_lcnn", gpu.SMALL) == pytest.approx(by_arithmetic / 2)
    monkeypatch.setattr(gpu, "_peak", {"float32": 1e30, "copy": 1e9})
    by_bytes = gpu.bound("mod_lcnn", gpu.SMALL)
    monkeypatch.setattr(gpu, "_peak", {"float32": 6e9, "copy": 1e9})
    assert gpu.bound("mod_lcnn", gpu.SMALL) == min(by_arithmetic, by_bytes)
