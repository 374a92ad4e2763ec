"""The benchmark of a GPU runs whole on a CPU, at a tiny size, and outlives what fails in it."""

import functools
import multiprocessing
import os
import signal
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
    """What takes ten minutes."""
    time.sleep(600)
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


def test_a_part_that_fails_says_why_and_the_next_has_a_process_of_its_own(parts, monkeypatch, capfd):
    monkeypatch.setattr(gpu, "PARTS", {"broken": (broken, 1), "whole": (whole, 1)})
    lines = list(parts.lines("broken", 200))
    assert lines == ["before", "FAILED: RuntimeError: CUDA error: an illegal memory access was encountered"]
    assert parts.process is None
    assert list(parts.lines("whole", 200)) == ["fine"] and parts.process is not None
    assert capfd.readouterr().err == ""


def test_a_part_that_takes_too_long_is_ended(parts, monkeypatch):
    monkeypatch.setattr(gpu, "PARTS", {"slow": (slow, 1), "whole": (whole, 1)})
    assert list(parts.lines("slow", 0.2)) == ["FAILED: too slow"]
    assert list(parts.lines("whole", 200)) == ["fine"]


def test_the_bound_of_a_device_is_its_slower_peak(monkeypatch):
    monkeypatch.setattr(gpu, "_peak", {"float32": 6e9, "copy": 1e30})
    by_arithmetic = gpu.bound("mod_lcnn", gpu.SMALL)
    monkeypatch.setattr(gpu, "_peak", {"float32": 3e9, "copy": 1e30})
    assert gpu.bound("mod_lcnn", gpu.SMALL) == pytest.approx(by_arithmetic / 2)
    monkeypatch.setattr(gpu, "_peak", {"float32": 1e30, "copy": 1e9})
    by_bytes = gpu.bound("mod_lcnn", gpu.SMALL)
    monkeypatch.setattr(gpu, "_peak", {"float32": 6e9, "copy": 1e9})
    assert gpu.bound("mod_lcnn", gpu.SMALL) == min(by_arithmetic, by_bytes)


def starts(bench):
    """What starts a process, as trainings side by side do."""
    process = subprocess.Popen(["sleep", "600"])
    try:
        yield str(process.pid)
        time.sleep(600)
    finally:
        process.terminate()
        process.wait()


def test_a_part_that_is_ended_ends_the_processes_that_it_has_started(parts, monkeypatch):
    monkeypatch.setattr(gpu, "PARTS", {"starts": (starts, 1)})
    process = int(next(parts.lines("starts", 200)))
    os.kill(process, 0)  # it is there
    parts.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_a_process_that_dies_between_two_parts_costs_neither(parts, monkeypatch):
    monkeypatch.setattr(gpu, "PARTS", {"whole": (whole, 1)})
    assert list(parts.lines("whole", 200)) == ["fine"]
    parts.process.kill()
    parts.process.join()
    assert list(parts.lines("whole", 200)) == ["fine"]


def benchmark(*options, **environment) -> subprocess.Popen:
    command = [sys.executable, "benchmarks/gpu.py", "--device", "cpu", "--small", *map(str, options)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    heeds = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # Ctrl-C, which a background job ignores
    variables = {"PYTHONPATH": ".", "OMP_NUM_THREADS": "1"} | environment
    return subprocess.Popen(command, env=variables, preexec_fn=heeds, **pipes)


@pytest.mark.parametrize(
    ("to", "environment", "sentence"),
    [
        ("missing/gpu.txt", {}, "cannot be written: No such file or directory"),
        (".", {}, "cannot be written: Is a directory"),
        ("gpu.txt", {"AMC_ACCELERATION": "maybe"}, "AMC_ACCELERATION is 'maybe' in the environment"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence_before_any_part(tmp_path, to, environment, sentence):
    process = benchmark("--to", tmp_path / to, **environment)
    printed, errors = process.communicate(timeout=300)
    assert process.returncode == 2 and printed == "" and sentence in errors and "Traceback" not in errors
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("line", ["\n", "  awgn"])  # before a part's process starts; amid a part
def test_ctrl_c_ends_it_with_a_word_and_leaves_no_process(tmp_path, line):
    process = benchmark("--to", tmp_path / "gpu.txt")
    while not process.stdout.readline().startswith(line):
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    printed, errors = process.communicate(timeout=300)  # until no process holds the pipes
    assert process.returncode == 130 and printed.endswith("\nstopped\n") and errors == ""
    assert (tmp_path / "gpu.txt").read_text(encoding="utf-8").endswith("\nstopped\n")
