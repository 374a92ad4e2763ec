"""Resuming is running again: real processes, killed at random moments, against an uninterrupted study."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from analysis import load
from benchmarks.faults import files, tables
from sweeps.store import Store

STUDY = dict(
    modulations="[BPSK, 16QAM, GFSK]",
    instances="20",
    length="128",
    models="[hoc_svm, mod_lcnn]",
    recipe="{epochs: 40, batch_size: 16}",
    seeds="[0, 1]",
)


def amc(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "sweeps", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=cwd)


def kill_in_mid_study(study: str, store: Path, seconds: float) -> None:
    """Start a launch, let it work for `seconds` after its first new file, and kill -9 the driver."""
    before = files(store)
    driver = subprocess.Popen([sys.executable, "-m", "sweeps", "run", study, "--store", str(store)])
    try:
        deadline = time.monotonic() + 300
        while files(store) == before and driver.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(seconds)
    finally:
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """A study run once without interruption, and its store."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    path = folder / "study.yaml"
    lines = [f"{key}: {value}" for key, value in STUDY.items()]
    lines += ["snr_db: [0, 18]", "train: {channel: [awgn, rayleigh]}"]
    lines += ["test: {channel: [awgn, rician], upsampling: [4, 8]}"]
    path.write_text("\n".join(lines))
    result = amc("run", "study.yaml", "--store", "store", cwd=folder)  # as users do: relative to where they are
    assert result.returncode == 0, result.stderr
    assert "8 runs, 32 cells" in result.stdout
    return str(path), folder / "store"


def test_a_driver_killed_three_times_ends_in_the_tables_of_an_uninterrupted_study(uninterrupted, tmp_path):
    study, expected = uninterrupted
    store = tmp_path / "store"
    moments = random.Random(os.environ.get("AMC_TEST_SEED"))
    finished: dict[str, int] = {}
    for _ in range(3):
        kill_in_mid_study(study, store, moments.uniform(0, 3))
        for key in Store(store).trained():
            finished.setdefault(key, (store / "runs" / key / "run.json").stat().st_mtime_ns)
    result = amc("run", study, "--store", str(store))
    assert result.returncode == 0, result.stderr
    for key, moment in finished.items():
        assert (store / "runs" / key / "run.json").stat().st_mtime_ns == moment, "a finished run was trained again"
    for name, table in tables(study, store).items():
        pd.testing.assert_frame_equal(table, tables(study, expected)[name])
    assert not list(store.glob("runs/*/checkpoint*"))


def test_a_complete_study_trains_nothing(uninterrupted):
    study, store = uninterrupted
    before = files(store)
    result = amc("run", study, "--store", str(store))
    assert result.returncode == 0 and "Nothing is missing" in result.stdout
    assert files(store) == before


def test_additions_compute_the_additions_and_nothing_else(uninterrupted, tmp_path):
    study, store = uninterrupted
    before = load("cells", store, study)
    runs_before = load("runs", store, study)
    text = Path(study).read_text().replace("upsampling: [4, 8]", "upsampling: [4, 8, 16]")
    larger = tmp_path / "larger.yaml"
    larger.write_text(text.replace("seeds: [0, 1]", "seeds: [0, 1, 2]"))
    # Before: 8 runs of 4 cells. Now: 12 runs of 6 cells; 4 runs and 8 · 2 + 4 · 6 = 40 cells are new.
    plan = amc("plan", str(larger), "--store", str(store)).stdout
    assert [int(word) for word in plan.split() if word.isdigit()][:6] == [12, 8, 4, 72, 32, 40]
    began = pd.Timestamp.now("UTC")
    assert amc("run", str(larger), "--store", str(store)).returncode == 0
    runs, cells = load("runs", store, str(larger)), load("cells", store, str(larger))
    assert set(runs.loc[runs["finished_at"] > began, "seed"]) == {2}
    pd.testing.assert_frame_equal(runs[runs["seed"] < 2].reset_index(drop=True), runs_before)
    new = cells["evaluated_at"] > began
    assert (new == ((cells["seed"] == 2) | (cells["test_upsampling"] == 16))).all()
    pd.testing.assert_frame_equal(cells[~new].reset_index(drop=True), before)


def test_ctrl_c_stops_in_an_orderly_way_and_says_how_to_go_on(uninterrupted, tmp_path):
    study, _ = uninterrupted
    store = tmp_path / "store"
    driver = subprocess.Popen(
        [sys.executable, "-m", "sweeps", "run", study, "--store", str(store)], stderr=subprocess.PIPE, text=True
    )
    while not files(store) and driver.poll() is None:
        time.sleep(0.1)
    driver.send_signal(signal.SIGINT)
    _, errors = driver.communicate(timeout=300)
    assert driver.returncode == 130
    assert "The same command goes on from there" in errors and "Traceback" not in errors
