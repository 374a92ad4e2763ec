"""How often a run is tried, by what its trials ended of; no Ray."""

import errno
import os
from datetime import UTC, datetime

import pytest

from amc_core import AmcError
from sweeps.engine import nodes
from sweeps.engine.feed import Feed
from sweeps.engine.launch import _request
from sweeps.engine.nodes import leave_token, unfitness
from sweeps.engine.trial import compute
from sweeps.engine.worker import LEFT, MACHINE, STUDY, UNFIT, UNKNOWN, blame
from sweeps.planning import make_plan
from sweeps.store import Store, files
from sweeps.store.begun import Begun, record_of, save_begun
from sweeps.study import load_study


def feed_of(study_file, tmp_path, attempts: int = 2, room: str = "ab") -> Feed:
    """One run, which nodes called by the letters of `room` have room for."""
    study, store = load_study(study_file(models="[hoc_svm]", train="{}")), Store(tmp_path / "store")
    return Feed(make_plan(study, store), store=store, attempts=attempts, nodes=lambda: set(room))


def end(kind: str, node: str = "a") -> dict:
    return {"failure": f"for a reason of {kind}", "kind": kind, "node": node, "host": f"host-{node}"}


def tried(feed: Feed, begins: bool = False, **ending) -> int:
    """How often the run is handed out, if all its trials end like this, after they have begun a log."""
    for count in range(100):
        if (config := feed.suggest("trial")) == Feed.FINISHED:
            return count
        if begins:
            folder = feed.store.run(config["run"].key)
            folder.save_log(folder.new_log(), "begun\n")
        feed.on_trial_complete("trial", **ending)
    raise AssertionError("for ever")


@pytest.mark.parametrize("attempts", [1, 2, 11])
def test_a_run_has_all_its_attempts_when_workers_die_and_then_it_has_failed(study_file, tmp_path, attempts):
    feed = feed_of(study_file, tmp_path, attempts)
    assert tried(feed, begins=True, error=True) == attempts
    assert list(feed.failed.values()) == ["its worker died: it was killed, or there was too little memory"]


def test_a_death_before_the_trial_began_costs_no_attempt_and_does_not_go_on_for_ever(study_file, tmp_path):
    feed = feed_of(study_file, tmp_path)
    feed.suggest("trial")
    feed.on_trial_complete("trial", error=True)  # as where the worker to be reset is one that was killed
    assert tried(feed, begins=True, error=True) == 2
    assert tried(feed_of(study_file, tmp_path / "other"), error=True) == 5 + 2


@pytest.mark.parametrize("cells", ["all", "some"])
def test_a_worker_that_dies_when_all_is_done_has_done_it(study_file, tmp_path, cells):
    feed = feed_of(study_file, tmp_path, attempts=1)
    run = feed.suggest("trial")["run"]
    tests = load_study(study_file(models="[hoc_svm]", train="{}")).tests(run)
    list(compute(run, tests if cells == "all" else tests[:1], feed.store))
    feed.store.run(run.key).save_log("log-now.txt", "begun\n")
    feed.on_trial_complete("trial", error=True)
    assert feed.suggest("next") == Feed.FINISHED and (run.key in feed.failed) == (cells == "some")


def test_an_error_of_the_study_is_not_tried_again_and_its_reason_is_the_workers(study_file, tmp_path):
    feed = feed_of(study_file, tmp_path)
    assert tried(feed, result=end(STUDY)) == 1 and list(feed.failed.values()) == ["for a reason of study"]


def test_a_trial_whose_results_are_not_in_the_store_has_failed(study_file, tmp_path):
    feed = feed_of(study_file, tmp_path)
    assert tried(feed, result={"epoch": 1, "trained": True}) == 2
    assert "its results are not in store" in next(iter(feed.failed.values()))
    feed = feed_of(study_file, tmp_path)
    run = feed.suggest("trial")["run"]
    list(compute(run, load_study(study_file(models="[hoc_svm]", train="{}")).tests(run), feed.store))
    feed.on_trial_complete("trial", {"trained": True})
    assert feed.suggest("next") == Feed.FINISHED and feed.failed == {}


def test_an_error_of_a_place_is_tried_again_later_and_leaves_the_attempts_for_others(study_file, tmp_path, clock):
    feed, waited = feed_of(study_file, tmp_path), []
    for _ in range(5):
        assert feed.suggest("trial")["run"]
        feed.on_trial_complete("trial", end(MACHINE))
        began = clock.now
        while feed.suggest("other") is None:
            clock.now += 1
        waited.append(clock.now - began)
        feed.on_trial_complete("other", {"failure": "", "kind": UNFIT, "node": "b", "host": "host-b"})
    assert waited == [4, 8, 16, 32, 64] and feed.failed == {}
    feed.suggest("trial")
    feed.on_trial_complete("trial", end(UNKNOWN))
    assert feed.suggest("trial")["run"] and not feed.failed  # the first of two attempts has failed
    feed.on_trial_complete("trial", end(MACHINE))
    assert feed.suggest("trial") == Feed.FINISHED and list(feed.failed.values()) == ["for a reason of machine"]


def test_a_node_that_is_not_fit_costs_no_attempt_and_where_none_is_the_launch_ends(study_file, tmp_path):
    feed = feed_of(study_file, tmp_path)
    for _ in range(20):
        feed.suggest("trial")
        feed.on_trial_complete("trial", end(UNFIT, "a"))
    assert not feed.hopeless and feed.unfit == {"a": "host-a for a reason of unfit"}
    avoided = feed.suggest("trial")["avoid"]
    assert _request(1, 0, avoided)._kwargs["bundle_label_selector"] == [{"ray.io/node-id": "!in(a)"}]
    feed.on_trial_complete("trial", end(UNFIT, "b"))
    assert feed.hopeless and feed.suggest("trial") == Feed.FINISHED and not feed.failed


def test_a_run_that_is_left_to_another_process_comes_last_costs_no_attempt_and_is_then_waited_for(study_file, tmp_path):
    study, store = load_study(study_file(models="[hoc_svm]", seeds="[0, 1, 2]", train="{}")), Store(tmp_path / "store")
    feed = Feed(make_plan(study, store), store=store, attempts=1)
    first = feed.suggest("a")
    assert first["leave"]
    feed.on_trial_complete("a", end(LEFT))
    others = [feed.suggest(name) for name in "bc"]
    last = feed.suggest("d")
    assert last["run"] == first["run"] and not last["leave"] and all(other["leave"] for other in others)
    assert len({config["run"].key for config in (first, *others)}) == 3
    feed.on_trial_complete("d", end(UNKNOWN))
    assert set(feed.failed) == {first["run"].key}


def test_runs_of_which_another_process_gives_signs_of_life_come_last(study_file, tmp_path):
    study, store = load_study(study_file(models="[hoc_svm]", seeds="[0, 1, 2]", train="{}")), Store(tmp_path / "store")
    plan = make_plan(study, store)
    runs = [entry.run for entry in plan.incomplete]
    save_begun(store.run(runs[0].key), Begun(record_of(runs[0]), host="other", seen=datetime.now(UTC)))
    feed = Feed(plan, store=store)
    assert [feed.suggest(name)["run"].key for name in "abc"] == [runs[at].key for at in (1, 2, 0)]


def test_a_launch_ends_when_the_last_fit_node_is_lost(study_file, tmp_path):
    feed = feed_of(study_file, tmp_path)
    feed.suggest("trial")
    feed.on_trial_complete("trial", end(UNFIT, "a"))
    feed.nodes = lambda: {"a"}
    feed.look_at_nodes()
    assert feed.hopeless


def test_a_trial_that_ends_with_a_launch_without_a_fit_node_is_not_said_to_be_done(study_file, tmp_path):
    feed = feed_of(study_file, tmp_path, room="a")
    run = feed.suggest("trial")["run"]
    feed.unfit, feed.hopeless = {"a": "host-a"}, True
    feed.on_trial_complete("trial", end(UNFIT, "a"))
    assert feed.cut == {run.key} and not feed.failed


# -- whose fault an error is ---------------------------------------------------------------------------


def test_errors_of_disks_networks_and_permissions_are_told_from_those_of_the_study(tmp_path):
    def error_of(number):
        try:
            with files.Directory(tmp_path)._explained("written"):
                raise OSError(number, os.strerror(number))
        except AmcError as error:
            return error

    for number in (errno.ENOSPC, errno.EACCES, errno.EIO, errno.ESTALE):
        assert blame(error_of(number)) == MACHINE
    assert blame(ConnectionResetError()) == MACHINE
    assert blame(AmcError("training diverged")) == STUDY and blame(RuntimeError("no such kernel")) == UNKNOWN


# -- what a node has to show ---------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch, replace_sleep):
    monkeypatch.setattr(nodes, "_PATIENCE", {True: 0, False: 0})
    replace_sleep(nodes, lambda seconds: None)


def test_a_node_that_sees_the_store_and_has_the_same_versions_is_fit_and_leaves_no_trace(tmp_path):
    store = Store(tmp_path / "store")
    with store.scratch() as (place, _):
        assert unfitness(store, leave_token(store, place)) is None
    assert [path for path in store.path.rglob("*") if path.is_file()] == []


def test_a_node_that_sees_none_or_another_store_is_told_so(tmp_path, impatient):
    store, other = Store(tmp_path / "store"), Store(tmp_path / "other")
    with store.scratch() as (place, _):
        proof = leave_token(store, place)
        assert unfitness(other, proof).startswith("does not see the driver's store: '")
        other.files.write(proof.file, b"another token")
        assert unfitness(other, proof) == f"sees another store at {str(other.path)!r}"


def test_a_node_that_may_not_write_is_told_so(tmp_path, impatient, monkeypatch):
    store = Store(tmp_path / "store")
    with store.scratch() as (place, _):
        proof = leave_token(store, place)

        def refused(*arguments):
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(files, "write_through", refused)
        assert "cannot be written: Permission denied" in unfitness(store, proof)


def test_a_node_with_another_pytorch_or_other_files_of_ours_is_told_so(tmp_path, monkeypatch):
    store = Store(tmp_path / "store")
    with store.scratch() as (place, _):
        proof = leave_token(store, place)
        for what, needed in proof.versions.items():
            monkeypatch.setattr(nodes, "versions", lambda what=what: proof.versions | {what: "0.1"})
            assert unfitness(store, proof) == f"has {what} 0.1, but the driver has {needed}"
