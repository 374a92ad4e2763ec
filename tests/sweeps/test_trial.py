"""Several trials of one run at the same time, as two launches on one store have them, here in turns."""

import pytest

from amc_core import training
from sweeps.engine import trial
from sweeps.engine.trial import compute
from sweeps.planning import expected_seconds, make_plan
from sweeps.store import RunFolder, Store
from sweeps.study import load_study

EPOCHS = 8


@pytest.fixture
def epochs_trained(monkeypatch):
    """The numbers of all epochs that are trained, in their order."""
    numbers, epoch = [], training._Session.epoch

    def counted(session):
        numbers.append(len(session.rows) + 1)
        return epoch(session)

    monkeypatch.setattr(training._Session, "epoch", counted)
    return numbers


@pytest.fixture
def work(study_file, tmp_path):
    """A run, its test datasets, and an empty store."""
    study = load_study(study_file(models="mod_lcnn", train="{}", recipe=f"{{epochs: {EPOCHS}, batch_size: 16}}"))
    [run] = study.runs()
    return run, study.tests(run), Store(tmp_path / "store")


def test_of_two_that_train_a_run_at_once_one_goes_on_and_the_other_waits_for_its_end(work, epochs_trained, monkeypatch):
    run, tests, store = work
    first, second = compute(*work), compute(*work)
    next(first)
    next(second)  # from the checkpoint of the first, which then finds that it is behind
    monkeypatch.setattr(trial.time, "sleep", lambda seconds: next(second, None))
    assert all(step["trained"] for step in first)
    assert epochs_trained == list(range(1, EPOCHS + 1))
    assert store.run(run.key).cells() == {run.cell_key(test) for test in tests}


def test_of_two_that_have_trained_the_same_epoch_the_later_leaves_the_run_to_the_earlier(
    work, epochs_trained, monkeypatch
):
    checkpoint = RunFolder.checkpoint
    monkeypatch.setattr(RunFolder, "checkpoint", lambda folder: None)  # as if both had begun at the same moment
    earlier, later = compute(*work), compute(*work)
    next(earlier), next(later)
    monkeypatch.setattr(RunFolder, "checkpoint", checkpoint)
    monkeypatch.setattr(trial.time, "sleep", lambda seconds: next(earlier, None))
    list(later)
    assert epochs_trained == [1, 1, *range(2, EPOCHS + 1)]


def test_a_run_whose_other_trial_has_died_is_gone_on_with(work, epochs_trained, monkeypatch):
    first, dead = compute(*work), compute(*work)
    next(first), next(dead)
    monkeypatch.setattr(trial, "_WAITED_SECONDS", 0.1)
    monkeypatch.setattr(trial, "_EPOCHS_WAITED", 0)
    steps = list(first)
    assert steps[-1]["trained"] and epochs_trained == list(range(1, EPOCHS + 1))


def test_a_run_that_another_has_finished_meanwhile_is_not_trained_on_and_leaves_no_checkpoint(work, epochs_trained):
    run, _, store = work
    suspended = compute(*work)
    next(suspended)
    list(compute(*work))
    record = store.run(run.key).record()
    list(suspended)
    assert (
        len(epochs_trained) == EPOCHS and store.run(run.key).record() == record and not store.run(run.key).checkpoints()
    )


def test_a_classifier_that_needs_no_training_is_evaluated_and_planned_without_any(study_file, tmp_path):
    path, store = study_file(models="likelihood", modulations="[BPSK, 16QAM]", train="{}"), Store(tmp_path / "store")
    [run] = load_study(path).runs()
    tests = load_study(path).tests(run)
    assert make_plan(load_study(path), store).runs[0].training_work == 0
    *_, last = compute(run, tests, store)
    assert last["cells"] == len(tests) == len(store.run(run.key).cells())
    record = store.run(run.key).record()
    assert record.instances_trained == record.parameters == 0
    more = study_file("more", models="likelihood", modulations="[BPSK, 16QAM]", train="{}", seeds="[0, 1]")
    assert expected_seconds(make_plan(load_study(more), store), store)["cpu"] > 0
