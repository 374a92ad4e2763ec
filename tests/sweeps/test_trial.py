"""Several trials of one run at the same time, as two launches on one store have them, here in turns."""

from dataclasses import replace
from datetime import UTC, datetime

import pyarrow.compute as pc
import pytest
import torch

from amc_core import AmcError, training
from amc_core.run import PARTS
from analysis import load
from analysis.query import query
from sweeps.engine import trial
from sweeps.engine.ending import Left
from sweeps.engine.life import SignOfLife
from sweeps.engine.log import RunLog
from sweeps.engine.trial import compute
from sweeps.planning import expected_seconds, make_plan
from sweeps.store import RunFolder, Store
from sweeps.store.begun import Begun, read_begun, record_of, save_begun
from sweeps.store.cells import cell_bytes
from sweeps.study import load_study

EPOCHS = 8


@pytest.fixture
def epochs_trained(monkeypatch):
    """The numbers of all epochs that are trained, in their order."""
    numbers, epoch = [], training._Session.epoch

    def counted(session, pause):
        numbers.append(len(session.rows) + 1)
        return epoch(session, pause)

    monkeypatch.setattr(training._Session, "epoch", counted)
    return numbers


@pytest.fixture
def work(study_file, tmp_path):
    """A run, its test datasets, and an empty store."""
    study = load_study(study_file(models="mod_lcnn", train="{}", recipe=f"{{epochs: {EPOCHS}, batch_size: 16}}"))
    [run] = study.runs()
    return run, study.tests(run), Store(tmp_path / "store")


def test_of_two_that_train_a_run_at_once_one_goes_on_and_the_other_waits_for_its_end(
    work, epochs_trained, replace_sleep
):
    run, tests, store = work
    first, second = compute(*work), compute(*work)
    next(first)
    next(second)  # from the checkpoint of the first, which then finds that it is behind
    replace_sleep(trial, lambda seconds: next(second, None))
    assert all(step["trained"] for step in first)
    assert epochs_trained == list(range(1, EPOCHS + 1))
    assert store.run(run.key).tested() == {test.key for test in tests}


def test_of_two_that_have_trained_the_same_epoch_the_later_leaves_the_run_to_the_earlier(
    work, epochs_trained, monkeypatch, replace_sleep
):
    checkpoint = RunFolder.checkpoint
    monkeypatch.setattr(RunFolder, "checkpoint", lambda folder: None)  # as if both had begun at the same moment
    earlier, later = compute(*work), compute(*work)
    next(earlier), next(later)
    monkeypatch.setattr(RunFolder, "checkpoint", checkpoint)
    replace_sleep(trial, lambda seconds: next(earlier, None))
    list(later)
    assert epochs_trained == [1, 1, *range(2, EPOCHS + 1)]


def test_a_trial_that_is_behind_leaves_the_run_at_once_if_told_so_with_the_others_sign_of_life(work, epochs_trained):
    run, tests, store = work
    ahead = compute(*work)
    next(ahead)
    sign = Begun(record_of(run), host="other", seen=datetime.now(UTC))
    with pytest.raises(Left), RunLog(run, store), SignOfLife(run, store):
        behind = compute(*work, leave=True)
        next(behind)  # epoch 2, from the checkpoint of the first
        next(ahead)
        next(ahead)
        save_begun(store.run(run.key), sign)
        next(behind)
    assert read_begun(store.run(run.key)) == sign
    log = store.run(run.key).log()
    assert "left to another process" in log and "Left" not in log
    list(ahead)
    assert store.run(run.key).tested() == {test.key for test in tests}
    assert [step["done"] for step in compute(*work, leave=True)] == [True]


def test_a_run_whose_other_trial_has_died_is_gone_on_with(work, epochs_trained, monkeypatch):
    first, dead = compute(*work), compute(*work)
    next(first), next(dead)
    monkeypatch.setattr(trial, "_WAITED_SECONDS", 0.1)
    monkeypatch.setattr(trial, "_EPOCHS_WAITED", 0)
    steps = list(first)
    assert steps[-1]["trained"] and epochs_trained == list(range(1, EPOCHS + 1))


def test_a_long_epoch_has_checkpoints_within_it_from_which_a_trial_that_dies_is_gone_on_with(work, monkeypatch):
    class Killed(Exception):
        pass

    run, tests, store = work
    whole = list(training.train(run))[-1]["kept"]
    saved, save = [], RunFolder.save_checkpoint

    def save_and_die(folder, state):
        saved.append((len(state["epochs"]), state.get("step", 0)))
        name = save(folder, state)
        if saved[-1] in [(0, 2), (1, 1)]:
            raise Killed
        return name

    monkeypatch.setattr(RunFolder, "save_checkpoint", save_and_die)
    monkeypatch.setattr(trial, "_CHECKPOINT_SECONDS", 0)  # after every step
    for _ in range(2):
        with pytest.raises(Killed):
            list(compute(*work))
    monkeypatch.setattr(trial, "_CHECKPOINT_SECONDS", 180)
    list(compute(*work))
    assert saved[:2] == [(0, 1), (0, 2)] and saved[2] > (0, 2) and saved[-1] == (EPOCHS, 0)
    assert saved.count((1, 0)) == 1 and saved == sorted(set(saved))
    weights = store.run(run.key).weights()
    assert all(torch.equal(whole[name], weights[name]) for name in whole)
    assert store.run(run.key).tested() == {test.key for test in tests}


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


def test_what_one_thread_and_two_threads_have_trained_differs_and_the_runs_tell_it(study_file, tmp_path):
    path = study_file(models="mod_lcnn", train="{}", instances="40", recipe="{epochs: 1, batch_size: 64}")
    study, stores = load_study(path), [Store(tmp_path / name) for name in ("one", "two")]
    [run] = study.runs()
    try:
        for threads, store in enumerate(stores, 1):
            torch.set_num_threads(threads)
            list(compute(run, study.tests(run), store))
    finally:
        torch.set_num_threads(1)
    one, two = (store.run(run.key).weights() for store in stores)
    assert any(not torch.equal(one[name], two[name]) for name in one)
    rows = [load("runs", store.path, path).iloc[0] for store in stores]
    assert [row["threads"] for row in rows] == ["1", "2"] and rows[0]["run"] == rows[1]["run"]
    for row in rows:
        assert row["vector_instructions"] == torch.backends.cpu.get_cpu_capability() and row["device"] == "cpu"
        assert row["torch"] == torch.__version__ and row["precision"] == "float32"


def test_a_run_tells_every_process_that_had_a_part_in_it(study_file, tmp_path, monkeypatch):
    path = study_file(models="mod_lcnn", train="{}", test="{}")
    study, store = load_study(path), Store(tmp_path / "store")
    [run] = study.runs()
    own = trial.this_process
    for host in ("first", "second", "second"):
        monkeypatch.setattr(trial, "this_process", lambda device, host=host: replace(own(device), host=host))
        next(compute(run, study.tests(run), store))
    monkeypatch.setattr(trial, "this_process", own)
    list(compute(run, study.tests(run), store))
    assert [process.host for process in store.run(run.key).record().processes] == ["first", "second", own("cpu").host]
    [row] = load("runs", store.path, path).to_dict("records")
    assert row["host"] == f"first + second + {own('cpu').host}" and row["threads"] == "1"


def test_cells_tell_the_process_that_evaluated_them_and_those_of_an_older_file_that_it_is_unknown(
    study_file, tmp_path, monkeypatch
):
    of_one = load_study(study_file(models="mod_lcnn", train="{}", test="{upsampling: 4}"))
    path, store = study_file("more", models="mod_lcnn", train="{}", test="{upsampling: [4, 8]}"), Store(tmp_path / "s")
    of_two = load_study(path)
    [run] = of_one.runs()
    asked = ["test_upsampling", "evaluated_threads", "evaluated_host"]
    try:
        torch.set_num_threads(1)
        list(compute(run, of_one.tests(run), store))
        own = trial.this_process("cpu")
        torch.set_num_threads(2)  # a later launch, on another machine
        monkeypatch.setattr(trial, "this_process", lambda device: replace(own, host="other", threads=2))
        list(compute(run, of_two.tests(run), store))
    finally:
        torch.set_num_threads(1)
    assert len(store.run(run.key).names("cells")) == 1  # which holds those of both
    expected = [(4, "1", own.host), (8, "2", "other")]
    cells = load("cells", store.path, path, columns=asked)
    assert list(cells.drop_duplicates().itertuples(index=False, name=None)) == expected
    sql = f"SELECT DISTINCT {', '.join(asked)} FROM cells ORDER BY test_upsampling"
    assert list(query(sql, store.path, path).itertuples(index=False, name=None)) == expected
    assert set(load("cells", store.path, path, filters={"evaluated_threads": "2"})["test_upsampling"]) == {8}
    row = load("cells", store.path, path).iloc[0]
    assert (row["evaluated_torch"], row["evaluated_device"]) == (torch.__version__, "cpu")
    assert row["evaluated_vector_instructions"] == torch.backends.cpu.get_cpu_capability()

    folder = store.run(run.key)
    [name] = folder.names("cells")
    old = folder.cell_table(name).drop_columns(["process"]).filter(pc.equal(folder.cell_table(name)["snr_db"], 0.0))
    folder.delete([name])
    folder._write("cells", "parquet", cell_bytes(old, 1, 1.0))
    list(compute(run, of_two.tests(run), store))
    assert set(load("cells", store.path, path)["evaluated_threads"]) == {"unknown"}
    assert set(query("SELECT evaluated_host FROM cells", store.path, path)["evaluated_host"]) == {"unknown"}


def test_a_classifier_that_needs_no_training_is_evaluated_and_planned_without_any(study_file, tmp_path):
    path, store = study_file(models="likelihood", modulations="[BPSK, 16QAM]", train="{}"), Store(tmp_path / "store")
    [run] = load_study(path).runs()
    tests = load_study(path).tests(run)
    assert make_plan(load_study(path), store).runs[0].training_work == 0
    *_, last = compute(run, tests, store)
    assert last["cells"] == len(tests) == len(store.run(run.key).tested())
    record = store.run(run.key).record()
    assert record.instances_trained == record.parameters == 0
    more = study_file("more", models="likelihood", modulations="[BPSK, 16QAM]", train="{}", seeds="[0, 1]")
    assert expected_seconds(make_plan(load_study(more), store), store)["cpu"] > 0


def test_the_tests_of_a_likelihood_classifier_are_checked_whatever_models_stand_before_it(study_file):
    path = study_file(
        models="[hoc_svm, likelihood]", modulations="[BPSK, QPSK]", train="{}", test="{phase_noise_linewidth: 9}"
    )
    with pytest.raises(AmcError, match="it cannot be used with phase_noise_linewidth"):
        load_study(path)


def test_runs_that_lack_the_same_cells_share_them_and_each_dataset_is_named_once(study_file, store):
    study = load_study(
        study_file(models="hoc_svm", train="{}", seeds="[0, 1]", test="[{upsampling: [2, 4]}, {rolloff: 0.2}]")
    )
    plan = make_plan(study, store)
    first, second = plan.runs
    assert first.missing is second.missing and len(first.missing) == 3
    assert plan.missing_datasets == {**dict.fromkeys(first.missing, ("test",)), first.run.dataset: PARTS}
    assert first.evaluation_work == sum(test.test_size for test in first.missing)


def test_a_cell_with_scores_that_are_nan_is_refused_and_the_others_are_kept(study_file, tmp_path, monkeypatch):
    study, store = load_study(study_file(models="hoc_svm", train="{}", seeds="[0]")), Store(tmp_path / "store")
    [run] = study.runs()
    tests = study.tests(run)
    others = {test.key for test in tests[1:]}
    results = iter([5] + [0] * 100)  # instances without a score, of one test after another
    with monkeypatch.context() as faulty:
        evaluate = trial.evaluate
        faulty.setattr(trial, "evaluate", lambda *given: replace(evaluate(*given), undefined=next(results)))
        with pytest.raises(AmcError, match=r"^hoc_svm gives nan as a score of 5 instances of the test \w+, "):
            list(compute(run, tests, store))
    assert others and store.run(run.key).tested() == others
    list(compute(run, tests, store))
    assert store.run(run.key).tested() == {test.key for test in tests}
