"""The life of a store: which runs there are and how far they are; removing, merging, checking and labelling them."""

import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import pandas as pd
import pytest

from amc_core.quantities import bytes_in_words
from analysis import load
from analysis.states import run_states
from benchmarks.faults import files
from sweeps.cli import running
from sweeps.engine.life import SignOfLife
from sweeps.engine.trial import compute
from sweeps.store import Store
from sweeps.store.begun import read_begun, save_begun
from sweeps.store.healing import damages
from sweeps.store.merging import merge_stores
from sweeps.store.removal import remove
from sweeps.study import load_study

MEASURED = ["seconds", "started_at", "finished_at", "evaluated_at", "instances_per_second", "host", "device"]


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """A small study with a transfer, all of it computed once: its path and its store, to be copied."""
    folder = tmp_path_factory.mktemp("computed")
    path = folder / "small.yaml"
    path.write_text(
        "{modulations: [BPSK, GFSK], snr_db: [18], instances: 20, length: 128, models: [hoc_svm, mod_lcnn],\n"
        " recipe: {epochs: 2, batch_size: 16}, train: {channel: [awgn, rayleigh]}, test: {upsampling: [4, 8]},\n"
        " transfer: [{train: {channel: rician}}]}\n"
    )
    complete(str(path), Store(folder / "store"))
    return str(path), folder / "store"


@pytest.fixture
def filled(computed, tmp_path):
    """The path of the study, and a copy of its store."""
    path, origin = computed
    return path, Store(shutil.copytree(origin, tmp_path / "store"))


def complete(path: str, store: Store, models: tuple[str, ...] = ("hoc_svm", "mod_lcnn")) -> None:
    """Compute the runs of a study's models."""
    study = load_study(path)
    for run in study.runs():
        if run.model in models:
            list(compute(run, study.tests(run), store))


def tables(store: Store, path: str) -> list[pd.DataFrame]:
    """All four tables without what was measured on the way."""
    names = ("runs", "epochs", "cells", "confusion")
    return [load(name, store.path, path).drop(columns=MEASURED, errors="ignore") for name in names]


def states(store: Store, path: str | None = None) -> dict[str, str]:
    rows = run_states(load_study(path) if path else None, store)
    return dict(zip(rows["run"], rows["state"], strict=True))


def test_runs_lists_every_run_with_its_state(amc, study_file, tmp_path):
    path, store = study_file(train="{}", models="[hoc_svm, mod_lcnn]"), Store(tmp_path / "store")
    fitted, trained = load_study(path).runs()
    assert states(store, path) == {fitted.key: "waiting", trained.key: "waiting"}
    complete(path, store, models=("hoc_svm",))
    with SignOfLife(trained, store) as life:
        life.write()
        for step in compute(trained, load_study(path).tests(trained), store):
            life.step(step)
            if step["epoch"] == 2:
                save_begun(life.folder, replace(life.begun, seen=datetime.now(UTC) - timedelta(seconds=12)))
                break
        shown = amc("runs", path, "--store", str(store.path))
        assert "training epoch 2/3 on " in shown.stdout and "sign of life 12 s ago" in shown.stdout
        assert "2 runs: 1 training, 1 trained" in shown.stdout
        assert "training, epoch 2/3" in amc("status", path, "--store", str(store.path)).stdout
        epochs = load("epochs", store.path, path)
        assert list(epochs["epoch"][epochs["run"] == trained.key]) == [1, 2]
        assert set(epochs["weights"][epochs["run"] == trained.key]) == {""}
        refused = amc("runs", "rm", trained.key, "--yes", "--store", str(store.path))
        assert refused.returncode == 2 and "is being computed on" in refused.stderr
        save_begun(life.folder, replace(life.begun, seen=datetime.now(UTC) - timedelta(minutes=5)))
        assert states(store, path)[trained.key] == "begun"  # its trial was killed
    store.run(trained.key).save_failure("Traceback\nMemoryError: no memory")
    failed = amc("runs", path, "--where", "state = 'failed'", "--store", str(store.path))
    assert "failed: MemoryError: no memory" in failed.stdout and "1 run: 1 failed" in failed.stdout
    removed = amc("runs", "rm", "--failed", "--yes", "--store", str(store.path))
    assert removed.stdout.startswith("Removed 1 run, ") and states(store) == {fitted.key: "trained"}


def test_a_trial_that_has_done_its_work_leaves_no_sign_of_life_and_one_that_fails_leaves_its_epochs(study_file, store):
    study = load_study(study_file(models="mod_lcnn", train="{}"))
    [run] = study.runs()
    with pytest.raises(ZeroDivisionError), SignOfLife(run, store) as life:
        life.step(next(compute(run, study.tests(run), store)))
        raise ZeroDivisionError
    left = read_begun(store.run(run.key))
    assert left.age() is None and [row["epoch"] for row in left.rows] == [1]
    with SignOfLife(run, store) as life:
        assert read_begun(store.run(run.key)).age() is None  # a trial that ends at once would not say it is there
        while read_begun(store.run(run.key)).age() is None:
            time.sleep(0.1)
        for step in compute(run, study.tests(run), store):
            life.step(step)
        assert [row["epoch"] for row in life.begun.rows] == [1, 2, 3]
    assert read_begun(store.run(run.key)) is None


def test_runs_are_sorted_written_to_csv_and_chosen_by_a_condition(amc, filled, tmp_path):
    path, store = filled
    where = ("--store", str(store.path))
    assert amc("runs", *where, "--csv", str(tmp_path / "runs.csv")).stdout.startswith("6 rows written")
    rows = pd.read_csv(tmp_path / "runs.csv")
    assert set(rows["state"]) == {"trained"} and rows["bytes"].sum() == sum(
        file.stat().st_size for file in (store.path / "runs").rglob("*.*")
    )
    shown = amc("runs", path, *where, "--sort", "-seconds", "--where", "model = 'hoc_svm'").stdout
    assert "mod_lcnn" not in shown and "2 runs: 2 trained" in shown
    for arguments, told in (
        (("--sort", "second"), "did you mean 'seconds'"),
        (("--where", "state ="), "the condition 'state ='"),
    ):
        refused = amc("runs", path, *where, *arguments)
        assert refused.returncode == 2 and told in refused.stderr and refused.stderr.count("\n") == 1


def test_a_run_is_listed_with_its_stage_in_a_study_and_else_with_the_run_it_started_from(amc, filled):
    path, store = filled
    child = next(run for run in load_study(path).runs() if run.parent)
    named, without = (amc("runs", *study, "--store", str(store.path)).stdout for study in ((path,), ()))
    assert "transfer-1" in named and "parent" not in named
    [line] = [line for line in without.splitlines() if line.split()[:1] == [child.key[:8]]]
    assert child.parent.key[:8] in line and "stage" not in without
    shown = amc("runs", "show", child.key, "--store", str(store.path)).stdout
    assert child.parent.key in shown and "stage" not in shown


def test_show_tells_what_a_run_is_how_it_went_and_what_its_log_says(amc, filled):
    path, store = filled
    run = next(run for run in load_study(path).runs() if run.model == "mod_lcnn" and not run.parent)
    store.run(run.key).save_log(store.run(run.key).new_log(), "begun on a host\nended\n")
    shown = amc("runs", "show", run.key[:9], "--store", str(store.path)).stdout
    assert run.key in shown and "mod_lcnn" in shown and "begun on a host\nended" in shown
    assert "Accuracy on the validation part" in shown and "augment" not in shown
    assert re.search(r"started at +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\b", shown)
    assert "ancestors" not in shown and "{}" not in shown and "unknown" not in shown
    refused = amc("runs", "show", "fffff", "--store", str(store.path))
    assert "no run has a key that begins with 'fffff'" in refused.stderr


def test_tags_and_notes_are_kept_and_found(amc, filled):
    path, store = filled
    key, where = load_study(path).runs()[0].key, ("--store", str(store.path))
    assert amc("runs", "tag", key, "--tag", "baseline", "--tag", "August", *where).stdout.endswith("August, baseline\n")
    amc("runs", "note", key, "--text", "for the talk", *where)
    found = amc("runs", *where, "--where", "tags LIKE '%baseline%' AND note = 'for the talk'").stdout
    assert key[:8] in found and "1 run: " in found
    amc("runs", "tag", key, "--tag", "baseline", "--tag", "August", "--remove", *where)
    amc("runs", "note", key, "--text", "", *where)
    assert "label.json" not in store.run(key).names()
    assert "no comma" in amc("runs", "tag", key, "--tag", "a,b", *where).stderr


def test_what_started_from_a_removed_run_still_answers(amc, filled):
    path, store = filled
    before = load("cells", store.path, path)
    parent = next(run.parent for run in load_study(path).runs() if run.parent)
    shown = amc("runs", "rm", parent.key[:10], "--store", str(store.path))
    assert shown.stdout.count("Would remove 1 run") == 1 and parent.key in store.trained()
    amc("runs", "rm", parent.key[:10], "--store", str(store.path), "--yes")
    assert not (store.path / "runs" / parent.key).exists() and parent.key not in store.trained()
    after = load("cells", store.path, path)
    pd.testing.assert_frame_equal(after, before[before["run"] != parent.key].reset_index(drop=True))
    assert set(after["start"]) >= {"channel=awgn", "channel=rayleigh"}
    complete(path, store)  # on this machine with the same weights again
    again = load("cells", store.path, path).drop(columns=MEASURED, errors="ignore")
    pd.testing.assert_frame_equal(again, before.drop(columns=MEASURED, errors="ignore"))


def part_of(path: str, folder: Path) -> str:
    """A study of two of the runs of `computed`."""
    part = folder / "part.yaml"
    part.write_text(Path(path).read_text().replace("[hoc_svm, mod_lcnn]", "hoc_svm").partition(" transfer")[0] + "}")
    return str(part)


def test_gc_says_what_would_go_and_keeps_what_the_studies_name_at_any_scale(amc, filled, tmp_path):
    path, store = filled
    part = part_of(path, tmp_path)
    complete(part, store)
    kept = {run.key for run in load_study(part).runs()}
    gone = sum(size for key, size in store.sizes().items() if key not in kept)
    where = ("--keep", part, "--store", str(store.path))
    assert f"Would remove 4 runs, {bytes_in_words(gone)}" in amc("store", "gc", *where).stdout
    assert len(store.trained()) == 6
    assert amc("store", "gc", *where, "--yes").stdout == f"Removed 4 runs, {bytes_in_words(gone)}.\n"
    assert store.trained() == set(store.sizes()) == kept
    assert amc("store", "gc", *where, "--scale", "smoke").stdout.count("Would remove 2 runs") == 1


_KILLED = """
import os, shutil, signal, sys
from sweeps.__main__ import main

step, when, *sys.argv[1:] = sys.argv[1:]
left = int(step)

def killed(step):
    def run(*arguments, **more):
        global left
        left -= 1
        if not left and when == "before": os.kill(os.getpid(), signal.SIGKILL)
        try:
            return step(*arguments, **more)
        finally:
            if not left: os.kill(os.getpid(), signal.SIGKILL)
    return run

os.replace, os.rename, os.unlink = killed(os.replace), killed(os.rename), killed(os.unlink)
shutil.os.unlink = os.unlink
main()
"""


@pytest.mark.parametrize("command", ["rm", "gc"])
@pytest.mark.parametrize(
    ("step", "when"),  # a record kept, a run moved away, its files deleted, the next one
    [(1, "after"), (2, "before"), (3, "after"), (5, "before"), (8, "after")],
)
def test_a_kill_while_runs_are_removed_leaves_each_whole_or_gone(amc, filled, tmp_path, command, step, when):
    path, store = filled
    before, cells = files(store.path / "runs"), load("cells", store.path, path)
    part, everything = part_of(path, tmp_path), store.trained()
    if command == "gc":
        gone, arguments = everything - {run.key for run in load_study(part).runs()}, ["store", "gc", "--keep", part]
    else:
        gone = set(sorted(everything)[:3])
        arguments = ["runs", "rm", *gone]
    arguments += ["--yes", "--store", str(store.path)]
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(step), when, *arguments], capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    left = store.trained()
    assert left >= everything - gone
    assert files(store.path / "runs") == {file for file in before if any(key in str(file) for key in left)}
    pd.testing.assert_frame_equal(
        load("cells", store.path, path), cells[cells["run"].isin(left)].reset_index(drop=True)
    )
    remove(store, left & gone)
    assert store.trained() == everything - gone and not list(store.path.glob(".*"))


def test_two_stores_merged_equal_one_in_which_all_was_computed(amc, computed, tmp_path):
    path, whole = computed
    one, two = Store(tmp_path / "one"), Store(tmp_path / "two")
    complete(path, one, models=("hoc_svm",))
    complete(path, two, models=("mod_lcnn",))
    fitted = load_study(path).runs()[0]
    next(compute(fitted, load_study(path).tests(fitted), two))  # it has no cells there
    shown = amc("store", "merge", str(two.path), "--store", str(one.path))
    assert shown.stdout.startswith("Copied 4 runs and 8 cells from ")
    for merged, computed_at_once in zip(tables(one, path), tables(Store(whole), path), strict=True):
        pd.testing.assert_frame_equal(merged, computed_at_once)
    kept = files(one.path)
    assert merge_stores(one, two)[:3] == (0, 0, 0) and files(one.path) == kept
    assert not damages(one)


def test_a_merge_takes_over_what_is_begun_and_leaves_out_other_weights(study_file, tmp_path, monkeypatch):
    path = study_file(models="mod_lcnn", train="{}", transfer="[{train: {channel: rician}}]")
    one, two, three = (Store(tmp_path / name) for name in ("one", "two", "three"))
    first, second = load_study(path).runs()
    list(islice(compute(first, load_study(path).tests(first), two), 2))
    assert merge_stores(one, two).runs == 0
    assert [len(one.run(first.key).checkpoint()["epochs"]), one.trained()] == [2, set()]
    complete(path, one)
    monkeypatch.setattr("amc_core.training._seed", lambda *values: len(str(values)))  # as another GPU would
    complete(path, three)
    merged = merge_stores(one, three)
    assert merged.runs == 0 and set(merged.left_out) == {first.key, second.key}


def test_a_watched_status_looks_again_until_all_is_complete(amc, study_file, store, replace_sleep):
    path = study_file(models="hoc_svm")
    replace_sleep(running, lambda seconds: complete(path, store))
    watched = amc("status", path, "--store", str(store.path), "--watch")
    looks = [line for line in watched.stdout.splitlines() if "runs trained" in line]
    assert watched.returncode == 0 and [line.split()[0] for line in looks] == ["0", "2"]


def test_ctrl_c_leaves_a_watched_status_without_a_word(amc, study_file, store, replace_sleep):
    replace_sleep(running, lambda seconds: signal.raise_signal(signal.SIGINT))
    watched = amc("status", study_file(), "--store", str(store.path), "--watch")
    assert watched.returncode == 0 and watched.stderr == "" and watched.stdout.count("runs trained") == 1


def test_check_names_what_is_damaged_and_changes_nothing(amc, filled):
    _, store = filled
    assert amc("store", "check", "--store", str(store.path)).stdout.endswith("No file is damaged.\n")
    victim = next(store.path.glob("runs/*/cells*"))
    victim.write_bytes(victim.read_bytes()[:-20])
    before = files(store.path)
    shown = amc("store", "check", "--store", str(store.path))
    assert shown.returncode == 1 and str(victim) in shown.stderr and files(store.path) == before


def test_a_study_that_is_there_at_another_scale_says_so(amc, study_file, tmp_path):
    path, where = study_file(models="hoc_svm", train="{}"), ("--store", str(tmp_path / "store"))
    study = load_study(path, "smoke")
    list(compute(study.runs()[0], study.tests(study.runs()[0]), Store(tmp_path / "store")))
    refused = amc("results", path, *where)
    assert refused.returncode == 2 and "it holds cells at smoke: add --scale smoke" in refused.stderr
    shown = " ".join(amc("plan", path, *where).stdout.split())
    assert "it holds cells at smoke: add --scale smoke" in shown


def test_a_plan_names_the_runs_and_estimates_their_time_before_anything_has_run(amc, study_file, tmp_path):
    shown = amc("plan", study_file(), "--list", "--store", str(tmp_path / "store")).stdout
    assert (
        "The store has no times of such runs yet. On one core of an AMD EPYC with AVX2, that is about 0:00:0" in shown
    )
    assert [shown.count(f"  {model} ") for model in ("hoc_svm", "mod_lcnn")] == [2, 2]


def test_runs_that_differ_in_a_hyperparameter_are_listed_by_its_own_name(amc, study_file, tmp_path):
    path = study_file(models="[mod_lcnn, {stn_resnext: {blocks: [1, 2]}}]", train="{}", test="{}")
    listed = amc("runs", path, "--store", str(tmp_path / "store")).stdout
    assert listed.count("blocks 1") == listed.count("blocks 2") == 1 and "hyperparameters" not in listed


def test_fields_in_which_runs_differ_are_listed_in_the_units_of_the_tables(amc, study_file, tmp_path):
    path = study_file(models="hoc_svm", train="{upsampling: [4, 8], sample_rate: [2e5, 6e5]}")
    shown = amc("runs", path, "--store", str(tmp_path / "store")).stdout
    assert [f"awgn, L = {L}, sample rate {rate} kHz" in shown for L in (4, 8) for rate in (200, 600)] == [True] * 4
