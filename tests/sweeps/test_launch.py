"""What a launch makes of runs that fail, and of runs that start from others."""

import subprocess
import sys

import pytest

from analysis import load
from sweeps.engine import launch
from sweeps.engine.feed import Feed
from sweeps.planning import make_plan
from sweeps.store import Store
from sweeps.study import load_study

KEPT = 3 * 2 * 16 * 128  # samples of the training part of `study_file`: modulations, SNRs, instances, length
USUAL = (2048, KEPT)


def test_a_run_that_diverges_is_recorded_with_the_reason_and_the_rest_of_the_study_goes_on(study_file, tmp_path):
    path = study_file(
        models="[hoc_svm, mod_lcnn]",
        train="{}",
        test="{}",
        transfer="[{train: {channel: rician}, recipe: [{retrain: [head, all]}, {learning_rate: 1e6}]}]",
    )
    command = [sys.executable, "-m", "sweeps", "run", path, "--store", str(tmp_path / "store")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 1
    assert result.stderr.count("training diverged: the loss is nan in epoch 1 at learning_rate 1e+06") == 1
    assert "1 of 5 runs are incomplete" in result.stderr and "Traceback" not in result.stderr
    cells = load("cells", tmp_path / "store", path)
    assert len(cells) == 4 * 2 and set(cells["learning_rate"]) == {1e-3}
    moved = cells[cells["parent"] != ""]
    assert set(moved["start"]) == {"channel=awgn"} and set(moved["retrain"]) == {"head", "all"}
    store = Store(tmp_path / "store")
    [(failed, failure)] = store.failures().items()
    assert failure["reason"].startswith("training diverged")
    assert "ended by AmcError: training diverged" in store.run(failed).log()
    for key in store.trained():
        log = store.run(key).log()
        assert log.count("epoch ") == len(store.run(key).epochs()) and " evaluated" in log and log.endswith("ended\n")


@pytest.mark.parametrize(
    ("models", "shares", "share"),
    [
        ("[mod_lcnn]", {"mod_lcnn": [(USUAL, 0.2)]}, 1 / 4),  # four take 80 % of the memory
        ("[mod_lcnn, lstm]", {"mod_lcnn": [(USUAL, 0.2)], "lstm": [(USUAL, 0.2), ((4096, KEPT), 0.3)]}, 1 / 3),
        ("[mod_lcnn, lstm]", {"mod_lcnn": [(USUAL, 0.2)]}, 1),  # nothing is known of one of them
        ("[mod_lcnn]", {"mod_lcnn": [(USUAL, 0.6)]}, 1),
        ("[mod_lcnn]", {"mod_lcnn": [(USUAL, 0.001)]}, 1 / 8),  # more than eight only wait for each other
        ("[mod_lcnn]", {"mod_lcnn": [((2047, KEPT), 0.2)]}, 1),  # what smaller batches took says nothing of larger ones
        ("[mod_lcnn]", {"mod_lcnn": [((2047, KEPT), 0.001), (USUAL, 0.2)]}, 1 / 4),
        ("[mod_lcnn]", {"mod_lcnn": [((2048, KEPT - 1), 0.2)]}, 1),  # nor of a larger training part, which is kept
    ],
)
def test_trials_share_a_gpu_by_the_memory_that_their_models_took_before(study_file, monkeypatch, models, shares, share):
    store = Store("nowhere")
    monkeypatch.setattr(store, "gpu_shares", lambda: shares)
    study = load_study(study_file(models=models))  # batches of 16 instances of 128 samples
    assert launch._measured_share(study, make_plan(study, store), store) == share


def test_the_share_of_a_search_is_that_of_the_largest_batches_it_may_propose(study_file, monkeypatch):
    sizes = "{epochs: 3, batch_size: {int: [16, 64]}}"
    study = load_study(study_file(models="mod_lcnn", train="{}", recipe=sizes, search="{proposals: 2}"))
    store = Store("nowhere")
    for samples, share in ((16 * 128, 1), (64 * 128, 1 / 4)):
        monkeypatch.setattr(store, "gpu_shares", lambda samples=samples: {"mod_lcnn": [((samples, KEPT), 0.2)]})
        assert launch._measured_share(study, make_plan(study, store), store) == share


def feed_of(study_file, tmp_path) -> Feed:
    study = load_study(study_file(models="[mod_lcnn]", train="{}", transfer="{train: {channel: rician}}"))
    return Feed(make_plan(study, Store(tmp_path)))


def test_a_run_waits_until_the_one_it_starts_from_is_trained(study_file, tmp_path):
    feed = feed_of(study_file, tmp_path)
    parent = feed.suggest("a")["run"]
    assert parent.parent is None and feed.suggest("b") is None
    feed.on_trial_result("a", {"trained": False})
    assert feed.suggest("b") is None
    feed.on_trial_result("a", {"trained": True})  # its cells are still being evaluated
    assert feed.suggest("b")["run"].parent.key == parent.key
    feed.on_trial_complete("a")
    feed.on_trial_complete("b")
    assert feed.suggest("c") == Feed.FINISHED


def test_a_run_whose_start_failed_is_not_handed_out(study_file, tmp_path):
    feed = feed_of(study_file, tmp_path)
    feed.suggest("a")
    feed.on_trial_complete("a", {"failure": "no luck", "kind": "study"})
    assert feed.suggest("b") == Feed.FINISHED
