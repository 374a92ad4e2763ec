"""One sample, one part: no recorded sample that trained may test; and what is read is what was planned."""

import pickle
import shutil
import zlib

import h5py
import numpy as np
import pytest
import torch
from scipy.io import wavfile

from amc_core import AmcError, Scenario, simulate
from amc_core.instances import Instances
from amc_core.recorded import Recorded, require_unseen_tests
from amc_core.recordings import write_radioml2018, write_sigmf
from amc_core.run import PARTS, Dataset, Recipe, Run
from amc_core.scenario import Mixture
from amc_core.training import train
from sweeps.engine.trial import compute
from sweeps.store import Store
from tests.amc_core import recording_files
from tests.amc_core.recording_files import edit, instances

NAMES = ("BPSK", "QPSK")


@pytest.fixture(autouse=True)
def samples_of_its_own(monkeypatch, request):
    """Each test has its own samples, whatever ran before it: which instances are drawn follows from them."""
    seed = zlib.crc32(request.node.name.encode())
    monkeypatch.setattr(recording_files, "RNG", np.random.default_rng(seed))


def dataset(path, **changes) -> Dataset:
    fields = dict(modulations=NAMES, snrs_db=(10.0,), instances=20, length=128)
    return Dataset(Scenario(recording=str(path)), **fields | changes)


def rows(described: Dataset, part: str) -> set[bytes]:
    """The instances of a part, by their samples."""
    part = Instances(described, part)
    return {x.tobytes() for batch, _, _ in part.batches(torch.arange(len(part)), 64) for x in batch.numpy()}


@pytest.fixture
def radioml(tmp_path):
    """20 instances of BPSK and 20 of QPSK at 10 dB, and their samples."""
    path, x = tmp_path / "rml.h5", instances(40)
    write_radioml2018(path, [(x, np.repeat([0, 1], 20), 10.0)], NAMES)
    return path


@pytest.fixture
def field(tmp_path):
    """A recording of 20 instances of BPSK and 20 of QPSK at 10 dB."""
    return write_sigmf(tmp_path / "field", instances(40), 1e6, np.repeat(NAMES, 20), 10)


# -- equal instances -----------------------------------------------------------------------------------


def test_equal_instances_of_a_file_count_once(tmp_path, radioml):
    with h5py.File(radioml) as file:
        x = file["X"][()].transpose(0, 2, 1)
    twice = tmp_path / "twice.h5"
    modulation = np.repeat([0, 1], 20)
    write_radioml2018(twice, [(x, modulation, 10.0), (x[::-1], modulation[::-1], 10.0)], NAMES)
    parts = [rows(dataset(twice), part) for part in PARTS]
    assert [len(part) for part in parts] == [32, 4, 4] and len(set.union(*parts)) == 40
    with pytest.raises(AmcError, match=r"20 instances of BPSK.*40 instances equal others") as refusal:
        Instances(dataset(twice, instances=21), "train")
    assert str(twice) in str(refusal.value)


@pytest.mark.parametrize(("modulation", "snr_db", "second"), [(1, 10.0, "QPSK at 10 dB"), (0, 0.0, "BPSK at 0 dB")])
def test_equal_instances_of_two_labels_are_refused_with_both(tmp_path, radioml, modulation, snr_db, second):
    path = tmp_path / "two.h5"
    x = instances(60)
    batches = [(x[:20], 0, 10.0), (x[20:40], 1, 10.0), (x[40:], 0, 0.0), (instances(20), 1, 0.0)]
    write_radioml2018(path, [*batches, (x[5:6], modulation, snr_db)], NAMES)
    with pytest.raises(AmcError, match=rf"instance 5 of.*\(BPSK at 10 dB\) and .*instance 80 of.*\({second}\)"):
        Recorded(dataset(path, snrs_db=(0.0, 10.0)), str(path))
    Recorded(dataset(path, modulations=("BPSK",)), str(path))  # which has no use for the other label


def test_samples_annotated_twice_are_instances_once(field, tmp_path):
    before = [rows(dataset(field), part) for part in PARTS]
    edit(field, lambda content: content["annotations"].extend(reversed(content["annotations"].copy())))
    assert [rows(dataset(field), part) for part in PARTS] == before
    assert len(set.union(*before)) == 40
    with pytest.raises(AmcError, match="20 instances of BPSK"):
        Recorded(dataset(field, instances=21), str(field))


# -- a run and its tests -------------------------------------------------------------------------------


def site(folder, *recordings):
    """A directory of copies of recordings."""
    folder.mkdir()
    for place, path in enumerate(recordings):
        for suffix in ("meta", "data"):
            shutil.copy(path.with_suffix(f".sigmf-{suffix}"), folder / f"{place}.sigmf-{suffix}")
    return folder


def test_a_recording_tests_what_was_trained_on_it_with_other_instances(field, radioml, tmp_path):
    for path in (field, radioml):
        run = Run("hoc_svm", dataset(path))
        copy = tmp_path / f"copy{path.suffix}"
        shutil.copy(path, copy)
        if path == field:
            shutil.copy(path.with_suffix(".sigmf-data"), copy.with_suffix(".sigmf-data"))
        require_unseen_tests(run, [run.dataset, dataset(copy), Dataset(Scenario(), NAMES, (10.0,), 20, 128)])
        train_rows, test_rows = rows(run.dataset, "train"), rows(dataset(copy), "test")
        assert not train_rows & test_rows and len(test_rows) == 4


def test_a_directory_that_holds_a_training_recording_does_not_test_it(field, tmp_path):
    other = write_sigmf(tmp_path / "other", instances(40), 1e6, np.repeat(NAMES, 20), 10)
    folder = site(tmp_path / "site", field, other)
    run = Run("hoc_svm", dataset(field))
    with pytest.raises(
        AmcError, match=r"site: \d+ of its 4 test instances .* train or validation part of .*field"
    ) as e:
        require_unseen_tests(run, [dataset(folder)])
    assert str(field) in str(e.value)
    require_unseen_tests(run, [dataset(site(tmp_path / "apart", other))])


def test_names_in_a_directory_of_recordings_decide_nothing(field, tmp_path):
    other = write_sigmf(tmp_path / "other", instances(40), 1e6, np.repeat(NAMES, 20), 10)
    first, second = (
        dataset(site(tmp_path / name, *paths)) for name, paths in (("a", (field, other)), ("b", (other, field)))
    )
    assert first.key == second.key
    assert all(rows(first, part) == rows(second, part) for part in PARTS)


def test_a_transfer_does_not_test_on_what_trained_its_parent(field, tmp_path):
    other = write_sigmf(tmp_path / "other", instances(40), 1e6, np.repeat(NAMES, 20), 10)
    folder = site(tmp_path / "site", field, other)
    parent = Run("mod_lcnn", dataset(field))
    child = Run("mod_lcnn", dataset(other), parent=parent)
    require_unseen_tests(child, [dataset(field), dataset(other)])
    with pytest.raises(AmcError, match="test on samples that did not train"):
        require_unseen_tests(child, [dataset(folder)])


def test_another_length_cuts_a_recording_in_other_instances_which_may_not_test(field, radioml):
    with pytest.raises(AmcError, match="lengths 128 and 64"):
        require_unseen_tests(Run("cnn1d", dataset(field)), [dataset(field, length=64)])
    # The first samples of the same instances: those of the test part have trained at no length.
    require_unseen_tests(Run("cnn1d", dataset(radioml)), [dataset(radioml, length=64)])


def test_samples_at_another_gain_or_as_integers_are_the_same_samples(tmp_path):
    x, labels = np.round(1000 * instances(40)), np.repeat([0, 1], 20)
    once, again = tmp_path / "once.h5", tmp_path / "again.h5"
    write_radioml2018(once, [(x, labels, 10.0)], NAMES)
    for gain in (1 / 32768, 0.3):
        more = np.concatenate([gain * x, instances(40)])
        write_radioml2018(again, [(more, np.tile(labels, 2), 10.0)], NAMES)
        with pytest.raises(AmcError, match=r"again.h5: \d of its 4 test instances .*once.h5"):
            require_unseen_tests(Run("hoc_svm", dataset(once)), [dataset(again)])
        write_radioml2018(again, [(np.concatenate([x, gain * x]), np.tile(labels, 2), 10.0)], NAMES)
        with pytest.raises(AmcError, match=r"20 instances of BPSK at 10 dB are recorded.* 40 instances equal others"):
            Recorded(dataset(again, instances=40), str(again))


def test_another_file_with_the_same_instances_does_not_test_at_another_length(radioml, tmp_path):
    with h5py.File(radioml) as file:
        x = file["X"][()].transpose(0, 2, 1)
    labels, larger = np.tile(np.repeat([0, 1], 20), 2), tmp_path / "larger.h5"
    write_radioml2018(larger, [(np.concatenate([x, instances(40)]), labels, 10.0)], NAMES)
    for trained, tested in ((128, 64), (64, 128), (128, 48)):
        run = Run("hoc_svm", dataset(radioml, length=trained))
        with pytest.raises(AmcError, match=f"lengths {trained} and {tested}"):
            require_unseen_tests(run, [dataset(larger, length=tested)])
    write_radioml2018(larger, [(instances(80), labels, 10.0)], NAMES)
    require_unseen_tests(run, [dataset(larger, length=64)])


def test_recordings_of_a_mixture_that_share_samples_are_refused(field, radioml, tmp_path):
    other = write_sigmf(tmp_path / "other", instances(40), 1e6, np.repeat(NAMES, 20), 10)
    folder = site(tmp_path / "site", field, other)
    mixed = {
        name: Dataset(Mixture(tuple(Scenario(recording=str(p)) for p in paths), (1, 1)), NAMES, (10.0,), 20, 128)
        for name, paths in {"overlapping": (field, folder), "apart": (field, other)}.items()
    }
    with pytest.raises(AmcError, match=r"instances? ha(?:s|ve) samples that are in the train"):
        Instances(mixed["overlapping"], "train")
    parts = [rows(mixed["apart"], part) for part in PARTS]
    assert [len(part) for part in parts] == [32, 4, 4] and len(set.union(*parts)) == 40


def test_a_copy_of_the_samples_with_other_labels_does_not_test(field, tmp_path):
    shifted = tmp_path / "shifted.sigmf-meta"
    shutil.copy(field, shifted)
    shutil.copy(field.with_suffix(".sigmf-data"), shifted.with_suffix(".sigmf-data"))

    def shift(content):
        for annotation in content["annotations"]:
            annotation["core:sample_start"] += 64  # half an instance: no two are equal, and all overlap
            annotation["core:sample_count"] -= 128

    edit(shifted, shift)
    with pytest.raises(AmcError, match=r"4 of its|3 of its|2 of its"):
        require_unseen_tests(Run("hoc_svm", dataset(field)), [dataset(shifted, instances=19)])


def test_fresh_instances_are_those_of_no_dataset():
    described = Dataset(Scenario(), NAMES, (10.0,), 10, 128)
    part, seen = Instances(described, "train"), []
    source = part.sources[0]
    part.sources[0] = lambda modulation, snr, index: seen.append(index) or source(modulation, snr, index)
    for epoch in range(1, 4):
        list(part.batches(torch.arange(len(part)), 16, epoch=epoch))
    fresh = [set(index.tolist()) for index in seen]
    assert min(min(index) for index in fresh) > 10**6 and len(set.union(*fresh)) == sum(map(len, fresh))


# -- SNR unknown ---------------------------------------------------------------------------------------


def test_a_recording_without_snr_is_of_one_level_which_a_study_of_one_names(field):
    def forget(content):
        for annotation in content["annotations"]:
            del annotation["amc:snr_db"]

    edit(field, forget)
    parts = [rows(dataset(field, snrs_db=(3.0,)), part) for part in PARTS]
    assert [len(part) for part in parts] == [32, 4, 4] and len(set.union(*parts)) == 40
    assert [rows(dataset(field, snrs_db=(10.0,)), part) for part in PARTS] == parts  # whatever their level
    assert Recorded(dataset(field, snrs_db=(3.0,)), str(field)).snrs_db == (3.0,)
    several = dataset(field, snrs_db=(0.0, 10.0))
    assert [rows(several, part) for part in PARTS] == parts  # still one level, which is nobody's
    assert Recorded(several, str(field)).snrs_db == (None,)


# -- planned and read ----------------------------------------------------------------------------------


def test_a_file_that_is_swapped_after_planning_fails_the_trial_and_leaves_nothing(field, tmp_path):
    run = Run("hoc_svm", dataset(field))
    sent = pickle.loads(pickle.dumps(run))
    write_sigmf(field, instances(40), 1e6, np.repeat(NAMES, 20), 10)
    store = Store(tmp_path / "store")
    with pytest.raises(AmcError, match=r"field\.sigmf-meta.*changed since it was planned"):
        list(compute(sent, [sent.dataset], store))
    assert store.run(run.key).record() is None and sent.key == run.key != Run("hoc_svm", dataset(field)).key


def test_a_test_recording_that_is_swapped_leaves_no_cell(field, tmp_path):
    run = Run("hoc_svm", Dataset(Scenario(), NAMES, (10.0,), 20, 128))
    test, store = pickle.loads(pickle.dumps(dataset(field))), Store(tmp_path / "store")
    write_sigmf(field, instances(40), 1e6, np.repeat(NAMES, 20), 10)
    with pytest.raises(AmcError, match="changed since it was planned"):
        list(compute(run, [test], store))
    assert not store.run(run.key).tested()


def test_a_file_that_is_rewritten_while_it_is_read_fails_the_training(field):
    run = Run("mod_lcnn", dataset(field), Recipe(epochs=2, batch_size=8))
    source = Recorded(run.dataset, run.dataset.scenario.recording)
    first = torch.zeros(1, dtype=torch.int64)
    assert source(first, first, first).shape == (1, 2, 128)
    data = field.with_suffix(".sigmf-data")
    content = np.fromfile(data, "<f4")
    content[-3:] = 1
    content.tofile(data)
    with pytest.raises(AmcError, match="changed since it was planned"):
        source(first, first, first)
    with pytest.raises(AmcError, match="changed since it was planned"):
        next(train(run))


def test_audio_that_is_swapped_after_planning_is_refused(tmp_path):
    path = tmp_path / "speech.wav"
    noise = np.random.default_rng(0).normal(0, 3000, (2, 16_000)).astype(np.int16)
    wavfile.write(path, 16_000, noise[0])
    planned = pickle.loads(pickle.dumps(Scenario(audio=str(path))))
    before = simulate(planned, "DSB-AM", 10, range(4))
    wavfile.write(path, 16_000, noise[1])
    again = Scenario(audio=str(path))
    assert (simulate(again, "DSB-AM", 10, range(4)) != before).any()
    with pytest.raises(AmcError, match=r"speech\.wav.*changed since it was planned"):
        simulate(Scenario(**planned.as_dict() | {"sample_rate": 20e3}), "DSB-AM", 10, range(4))
