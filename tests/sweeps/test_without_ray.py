"""Studies computed in one process, where Ray is not installed."""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from amc_core import AmcError
from benchmarks.faults import tables
from sweeps.driver import run
from sweeps.engine import trial
from sweeps.engine.ending import Left
from sweeps.engine.progress import Progress
from sweeps.engine.sequential import compute_in_turn
from sweeps.planning import make_plan
from sweeps.store import Store
from sweeps.store.begun import Begun, record_of, save_begun
from sweeps.study import load_study
from tests.sweeps.test_driver import QUIET

_WITHOUT_RAY = """if True:
    import sys

    sys.modules["ray"] = None  # importing it raises ImportError, as where it is not installed
    from sweeps.__main__ import main

    sys.argv = ["amc", *sys.argv[1:]]
    main()
"""


def command(*arguments: str) -> list[str]:
    """amc with these arguments, in a process that has no Ray."""
    return [sys.executable, "-c", _WITHOUT_RAY, *arguments]


@pytest.fixture
def study(study_file) -> str:
    """A study with two stages, which takes some seconds."""
    transfer = "{train: {channel: rician}, recipe: {retrain: head}}"
    return study_file(recipe="{epochs: 20, batch_size: 16}", seeds="[0, 1]", transfer=transfer)


def kill_in_mid_training(study: str, store: str) -> None:
    """Start a launch, and kill -9 it as soon as a checkpoint is there."""
    process = subprocess.Popen(command("run", study, "--store", store, "--without-ray"), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not Store(store).training() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_killed_and_run_again_without_ray_a_study_ends_in_the_tables_and_keys_of_ray(amc, study, tmp_path):
    with_ray, without = str(tmp_path / "with"), str(tmp_path / "without")
    assert amc("run", study, "--store", with_ray).returncode == 0
    kill_in_mid_training(study, without)
    plan = make_plan(load_study(study), Store(without))
    assert plan.untrained and Store(without).training()
    ended = subprocess.run(command("run", study, "--store", without, "--without-ray"), capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "small is complete: 12 runs, 48 cells" in ended.stdout
    expected = tables(study, with_ray)
    for name, table in tables(study, without).items():
        assert len(table) > 0
        pd.testing.assert_frame_equal(table, expected[name])  # keys, digests of weights, counts
    assert "Nothing is missing" in amc("run", study, "--store", without, "--without-ray").stdout


def test_a_launch_on_ray_where_it_is_not_installed_is_refused_in_a_sentence(study, tmp_path):
    refused = subprocess.run(command("run", study, "--store", str(tmp_path / "s")), capture_output=True, text=True)
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1
    assert "Ray is not installed" in refused.stderr and "--without-ray" in refused.stderr
    assert not os.path.exists(tmp_path / "s")


def test_a_run_that_fails_without_ray_does_not_end_the_others(study, tmp_path, monkeypatch):
    compute, tried = trial.compute, []

    def failing(run, *arguments):
        tried.append(run.key)
        if run.model == "mod_lcnn" and run.seed == 1 and run.parent is None:
            raise RuntimeError("a fault")
        yield from compute(run, *arguments)

    monkeypatch.setattr(trial, "compute", failing)
    outcome = run(study, tmp_path / "store", ray=False, console=QUIET)
    failed = {key: reason for key, reason in outcome.failures.items() if "a fault" in reason}
    assert len(failed) == 2 and all(tried.count(key) == 2 for key in failed)
    waited = outcome.failures.keys() - failed.keys()  # runs that start from those
    assert len(waited) == 2 and not waited & set(tried)
    assert outcome.counts["trained"] == 12 - 4
    assert Store(tmp_path / "store").failures().keys() == failed.keys()


def test_a_run_that_another_process_is_ahead_with_is_left_for_later_and_then_waited_for(study, tmp_path, monkeypatch):
    compute, taken = trial.compute, []

    def behind(run, tests, store, device, stopped, leave):
        taken.append((run.key, leave))
        if len(taken) == 1:
            raise Left("left to another process")
        yield from compute(run, tests, store, device, stopped, leave)

    monkeypatch.setattr(trial, "compute", behind)
    outcome = run(study, tmp_path / "store", ray=False, console=QUIET)
    assert not outcome.failures and outcome.counts["trained"] == 12
    first, keys = taken[0][0], [key for key, _ in taken]
    children = {each.key for each in load_study(study).runs() if each.parent and each.parent.key == first}
    again = keys.index(first, 1)
    assert set(keys[again + 1 :]) == children and len(keys) == 13
    assert [leave for _, leave in taken] == [place != again for place in range(13)]


def order_of_runs(study, folder, monkeypatch) -> list[str]:
    """The keys in the order in which one process takes them up; nothing is computed."""
    taken = []

    def noting(run, *arguments):
        taken.append(run.key)
        yield {"epoch": 20, "cells": 0, "accuracy": 0.5, "trained": True, "done": True}

    monkeypatch.setattr(trial, "compute", noting)
    store = Store(folder)
    plan = make_plan(study, store)
    with Progress(plan, QUIET) as progress:
        compute_in_turn(study, plan, store, progress)
    return taken


def test_a_process_without_ray_takes_the_run_that_another_computes_last(study, tmp_path, monkeypatch):
    study = load_study(study)
    order = order_of_runs(study, tmp_path / "alone", monkeypatch)
    first = next(run for run in study.runs() if run.key == order[0])
    children = {run.key for run in study.runs() if run.parent == first}
    store = Store(tmp_path / "shared")
    save_begun(store.run(first.key), Begun(record_of(first), host="other", seen=datetime.now(UTC)))
    shared = order_of_runs(study, store.path, monkeypatch)
    assert len(shared) == len(order) == 12
    assert set(shared[shared.index(first.key) + 1 :]) == children
    long_ago = datetime.now(UTC) - timedelta(minutes=2)  # the other process has been killed
    save_begun(store.run(first.key), Begun(record_of(first), host="other", seen=long_ago))
    assert order_of_runs(study, store.path, monkeypatch) == order


def test_processes_that_start_together_without_ray_begin_with_different_runs(study, tmp_path, monkeypatch):
    study, begun = load_study(study), set()
    for process in range(12):
        monkeypatch.setattr(os, "getpid", lambda process=process: process)
        begun.add(order_of_runs(study, tmp_path / "store", monkeypatch)[0])
    assert len(begun) >= 4 and begun <= {run.key for run in study.runs() if run.parent is None}


@pytest.mark.parametrize("option", [{"address": "127.0.0.1:1"}, {"gpus_per_trial": 0.5}, {"log": "wandb"}])
def test_what_ray_alone_can_do_is_refused_without_it(study, option, tmp_path):
    with pytest.raises(AmcError, match=f"--{next(iter(option)).replace('_', '-')} .* --without-ray"):
        run(study, tmp_path / "store", ray=False, **option)


def test_a_search_is_refused_without_ray(search_file, tmp_path):
    with pytest.raises(AmcError, match="is a search, whose proposals Ray starts"):
        run(search_file(), tmp_path / "store", ray=False, console=QUIET)
