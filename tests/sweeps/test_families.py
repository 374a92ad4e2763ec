"""Runs that started from runs, when one of these gets other weights."""

from dataclasses import replace

import pytest

from analysis import load
from analysis.query import query
from analysis.states import run_states
from sweeps.engine.feed import Feed
from sweeps.engine.trial import compute
from sweeps.planning import make_plan
from sweeps.store import Store
from sweeps.study import load_study
from tests.sweeps.test_cli import replace_weights

TWO_TRANSFERS = "[{train: {channel: rician}}, {train: {channel: rayleigh}}]"


def launch(study, store) -> list[str]:
    """A launch without Ray, one run at a time; returns the keys of the runs that it trained."""
    feed, trained = Feed(make_plan(study, store)), []
    while (config := feed.suggest("trial")) != Feed.FINISHED:
        run = config["run"]
        for step in compute(run, study.tests(run), store):
            trained += [run.key] if step.get("curves") and run.key not in trained else []
            feed.on_trial_result("trial", step)
        feed.on_trial_complete("trial", {})
    return trained


@pytest.fixture
def family(study_file, tmp_path):
    """A study of a run, its two children and a grandchild, of the first of them, complete in a store."""
    path = study_file(models="mod_lcnn", train="{}", test="{}", transfer=TWO_TRANSFERS)
    study, store = load_study(path), Store(tmp_path / "store")
    launch(study, store)
    return path, study, store, [run.key for run in study.runs()]


def other_weights(store, run) -> None:
    replace_weights(store, run, {name: 1.01 * tensor for name, tensor in store.run(run.key).weights().items()})


def counted(path, store) -> list[set[str]]:
    """Keys of the runs that each way of asking counts."""
    study = load_study(path)
    return [
        store.trained(),
        set(store.records([run.key for run in study.runs()])),
        {entry.run.key for entry in make_plan(study, store).runs if entry.complete},
        *(set(load(table, store.path, study)["run"]) for table in ("runs", "epochs", "cells", "confusion")),
        set(load("cells", store.path)["run"]),
        set(query("SELECT DISTINCT run FROM cells", store.path)["run"]),
    ]


def test_what_started_from_other_weights_is_counted_nowhere(family):
    path, study, store, keys = family
    assert counted(path, store) == [set(keys)] * 9
    parent, child, _, _ = study.runs()
    other_weights(store, child)
    assert counted(path, store) == [set(keys[:3])] * 9
    other_weights(store, parent)
    assert counted(path, store) == [set(keys[:1])] * 9
    rows = run_states(None, store).set_index("run")
    assert list(rows["state"][keys]) == ["trained"] + ["outdated"] * 3 and set(rows["model"]) == {"mod_lcnn"}


def test_what_descends_from_a_run_that_is_gone_does_not_count_until_it_is_there_again(family):
    path, study, store, keys = family
    for name in store.run(keys[0]).names():
        store.run(keys[0]).set_aside(name)
    assert counted(path, store) == [set()] * 9
    assert launch(study, store) == [keys[0]]  # which ends in the weights that it had
    assert counted(path, store) == [set(keys)] * 9


def test_one_launch_heals_a_whole_family(family):
    path, study, store, keys = family
    other_weights(store, study.runs()[0])
    before = {key: store.run(key).record() for key in keys}
    assert set(launch(study, store)) == set(keys[1:])
    after = store.records()
    assert after.keys() == set(keys)
    assert after[keys[1]].parent_weights == before[keys[0]].weights != before[keys[1]].parent_weights
    assert after[keys[3]].parent_weights == after[keys[1]].weights != before[keys[1]].weights
    assert make_plan(study, store).incomplete == () and len(load("cells", store.path, path)) == 4 * 2


def test_cells_without_the_weights_that_they_were_counted_with_are_counted_anew(family):
    path, study, store, keys = family
    cells = store.run(keys[0]).tested()
    for name in ("run.json", *store.run(keys[0]).names("weights")):
        store.run(keys[0]).set_aside(name)
    assert counted(path, store) == [set()] * 9
    launch(study, store)
    assert store.run(keys[0]).tested() == cells and len(store.files.list(f"damaged/{keys[0]}")) == 4


def test_a_run_that_says_it_descends_from_itself_does_not_count(family):
    _, study, store, _ = family
    parent = study.runs()[0]
    folder = store.run(parent.key)
    record = folder.record()
    circle = replace(record, parent=parent.key, parent_weights=record.weights)
    store.files.write(f"runs/{parent.key}/run.json", circle.content())
    assert store.trained() == set() and set(run_states(None, store)["state"]) == {"outdated"}
