"""Files of the field: what is read is what was written."""

import pickle
import re
from collections import OrderedDict

import h5py
import numpy as np
import pytest

from amc_core.errors import AmcError
from amc_core.modulations import MODULATIONS
from amc_core.recordings import modulation_name, open_recording, write_radioml2018, write_sigmf
from tests.amc_core.recording_files import RNG, instances, python2_pickle, radioml2016, refusal, unit_power

# -- names ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("QAM16", "16QAM"),
        ("16-QAM", "16QAM"),
        ("PSK8", "8PSK"),
        ("4PAM", "PAM4"),
        ("WBFM", "B-FM"),
        ("AM-DSB", "DSB-AM"),
        ("AM-SSB-SC", "AM-SSB-SC"),
        ("qpsk", "QPSK"),
        ("256APSK", "256APSK"),
        ("FM", "FM"),
        ("gmsk", "GMSK"),
        ("AM-DSB-WC", "AM-DSB-WC"),
        ("pi/4-DQPSK", "PI/4-DQPSK"),
    ],
)
def test_a_name_of_a_file_becomes_ours_where_we_have_the_modulation(theirs, ours):
    assert modulation_name(theirs) == ours


def test_our_names_stay_as_they_are():
    assert [modulation_name(name) for name in MODULATIONS] == list(MODULATIONS)


# -- reading -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [0, 2, "python 3"])
def test_radioml_2016_reads_back_whichever_python_wrote_it(tmp_path, protocol):
    data = radioml2016()
    path = tmp_path / "any.name"
    path.write_bytes(pickle.dumps(data, 4) if protocol == "python 3" else python2_pickle(data, protocol))
    recording = open_recording(path)
    assert recording.modulations == ("16QAM", "B-FM", "QPSK")
    assert recording.snrs_db == (-20, 0, 18) and recording.length == 128 and len(recording) == 27
    expected = [data[name, snr] for name in ("QAM16", "WBFM", "QPSK") for snr in (-20, 0, 18)]
    np.testing.assert_allclose(recording.read(range(27)), unit_power(np.concatenate(expected)), rtol=1e-6)
    assert recording.modulation.tolist() == np.repeat([0, 1, 2], 9).tolist()
    assert recording.snr_db.tolist() == np.tile(np.repeat([-20, 0, 18], 3), 3).tolist()


def test_the_restricted_unpickler_agrees_with_the_real_one(tmp_path):
    data = radioml2016()
    for protocol in (0, 2):
        theirs = pickle.loads(python2_pickle(data, protocol), encoding="latin1")
        assert theirs.keys() == data.keys() and all((theirs[key] == data[key]).all() for key in data)


def test_a_pickle_with_numpy_numbers_and_fortran_order_reads_back(tmp_path):
    x = instances(4)
    path = tmp_path / "odd.pkl"
    path.write_bytes(pickle.dumps({("BPSK", np.int64(6)): np.asfortranarray(x.astype(">f8"))}, 2))
    recording = open_recording(path)
    assert recording.snrs_db == (6,)
    np.testing.assert_allclose(recording.read([3, 1]), unit_power(x[[3, 1]]), rtol=1e-6)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_subsets_that_are_pickled_anew_read_back(tmp_path, protocol):
    x, y = instances(12), np.asfortranarray(instances(5))
    data = {("QPSK", 0): x, ("BPSK", np.float32(-2)): y}
    forms = {
        "dictionary": data,
        "ordered": OrderedDict(data),
        "NumPy names": {(np.str_(name), np.int64(snr_db)): array for (name, snr_db), array in data.items()},
        "longer names": {(np.array(["QPSK", "BPSK-ISH"])[0], 0): x, ("BPSK", -2): y},
        "views": {("QPSK", 0): np.concatenate([x, x])[:12], ("BPSK", -2): y[::-1][::-1]},
        "big-endian": {("QPSK", 0): x.astype(">f4"), ("BPSK", -2): y.astype("f8")},
        "time first": {("QPSK", 0): x.transpose(0, 2, 1).copy().transpose(0, 2, 1), ("BPSK", -2): y},
    }
    expected = unit_power(np.concatenate([y, x]))
    for form, content in forms.items():
        path = tmp_path / f"{form}.pkl"
        path.write_bytes(pickle.dumps(content, protocol))
        recording = open_recording(path)
        assert recording.modulations == ("BPSK", "QPSK") and recording.snrs_db == (-2, 0), form
        np.testing.assert_allclose(recording.read(range(17)), expected, rtol=1e-6)


def test_radioml_2018_has_the_published_classes_in_the_order_of_its_columns(radioml2018):
    recording = open_recording(radioml2018)
    assert recording.modulations[:6] == ("OOK", "4ASK", "8ASK", "BPSK", "QPSK", "8PSK")
    assert recording.modulations[17:] == ("AM-SSB-WC", "AM-SSB-SC", "AM-DSB-WC", "AM-DSB-SC", "FM", "GMSK", "OQPSK")
    assert recording.modulation.tolist() == np.repeat(np.arange(24), 4).tolist()
    assert recording.snrs_db == (-20, -2, 0, 30) and recording.length == 1024
    with h5py.File(radioml2018) as file:
        x = file["X"][()].transpose(0, 2, 1)
    positions = [95, 3, 4, 5, 3]  # in no order, a run, and one of them twice
    np.testing.assert_allclose(recording.read(positions), unit_power(x[positions]), rtol=1e-6)


def test_augmod_reads_by_its_own_classes(augmod):
    recording = open_recording(augmod)
    assert recording.modulations == ("BPSK", "8PSK", "16QAM", "32QAM", "64QAM", "8QAM", "QPSK")
    assert recording.modulation.tolist() == [*range(7), *range(7)] and recording.snrs_db == (0, 40)
    with h5py.File(augmod) as file:
        np.testing.assert_allclose(recording.read(range(14)), unit_power(file["signals"][()]), rtol=1e-6)


def test_every_instance_has_unit_power_whatever_the_file_says(pickled, radioml2018, augmod, sigmf):
    for path in (pickled, radioml2018, augmod, sigmf):
        recording = open_recording(path)
        x = recording.read(range(len(recording)))
        assert x.shape == (len(recording), 2, recording.length) and x.dtype == np.float32
        np.testing.assert_allclose((x**2).sum(axis=1).mean(axis=1), 1, rtol=1e-5)


def test_a_shorter_length_takes_the_first_samples_at_unit_power(augmod):
    whole, short = open_recording(augmod), open_recording(augmod, length=100)
    np.testing.assert_allclose(short.read([2]), unit_power(whole.read([2])[:, :, :100]), rtol=1e-6)
    refusal(augmod, "1025", "1024", length=1025)
    refusal(augmod, "0", length=0)


def test_a_recording_can_be_sent_to_another_process(radioml2018, sigmf):
    for path in (radioml2018, sigmf):
        recording = open_recording(path)
        assert (pickle.loads(pickle.dumps(recording)).read([1, 0]) == recording.read([1, 0])).all()


@pytest.mark.parametrize("positions", [[5], [-1], [[0]], 0])
def test_a_position_outside_the_recording_is_refused(sigmf, positions):
    with pytest.raises(AmcError, match="from 0 to 4"):
        open_recording(sigmf).read(positions)


def test_reading_nothing_gives_nothing(pickled, radioml2018, sigmf):
    for path in (pickled, radioml2018, sigmf):
        recording = open_recording(path)
        assert recording.read([]).shape == (0, 2, recording.length)


# -- writing -------------------------------------------------------------------------------------------


def test_radioml_2018_reads_back_bit_for_bit_what_was_written_in_batches(tmp_path):
    x = unit_power(instances(1000, 200)).astype(np.float32)
    modulation, snr_db = RNG.integers(0, 3, 1000), RNG.choice([-6, 0.5, 18], 1000)
    path = tmp_path / "ours.hdf5"
    blocks = [slice(start, start + 300) for start in range(0, 1200, 300)]
    write_radioml2018(path, ((x[b], modulation[b], snr_db[b]) for b in blocks), ["64QAM", "B-FM", "GMSK"])
    recording = open_recording(path)
    assert recording.modulations == ("64QAM", "B-FM", "GMSK") and recording.snrs_db == (-6, 0.5, 18)
    assert (recording.modulation == modulation).all() and (recording.snr_db == snr_db).all()
    order = RNG.permutation(1000)
    assert (recording.read(order) == x[order]).all()
    with h5py.File(path) as file:
        assert file["X"].shape == (1000, 200, 2) and file["Y"].shape == (1000, 3) and file["Z"].shape == (1000, 1)
    assert [file.name for file in tmp_path.iterdir()] == ["ours.hdf5"]


def test_a_batch_may_have_one_modulation_and_one_snr(tmp_path):
    path = tmp_path / "ours.hdf5"
    write_radioml2018(path, [(instances(3), 1, 4.0), (instances(0), 0, 0.0), (instances(2), 0, 6)], ["BPSK", "QPSK"])
    assert open_recording(path).modulation.tolist() == [1, 1, 1, 0, 0]
    assert open_recording(path).snr_db.tolist() == [4, 4, 4, 6, 6]


def failing_batches():
    yield instances(10), 0, 0.0
    raise RuntimeError("the simulator stopped")


def test_a_write_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "ours.hdf5"
    write_radioml2018(path, [(instances(3), 0, 4.0)], ["BPSK"])
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match="stopped"):
        write_radioml2018(path, failing_batches(), ["BPSK"])
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def nan_instances() -> np.ndarray:
    x = instances(3)
    x[1, 0, 5] = np.nan
    return x


@pytest.mark.parametrize(
    ("batches", "part"),
    [
        ([], "nothing to write"),
        ([(nan_instances(), 0, 0.0)], "nan or infinite"),
        ([(instances(3)[:, 0], 0, 0.0)], "shape (3, 128)"),
        ([(instances(3), 0, 0.0), (instances(3, 64), 0, 0.0)], "(batch, 2, 128)"),
        ([(instances(3), 2, 0.0)], "0 to 1"),
        ([(instances(3), [0, 1], 0.0)], "shape (2,)"),
        ([(instances(3), 0, np.nan)], "'Z' is nan"),
    ],
)
def test_instances_that_cannot_be_written_are_refused_and_leave_nothing(tmp_path, batches, part):
    path = tmp_path / "ours.hdf5"
    with pytest.raises(AmcError, match=re.escape(part)) as caught:
        write_radioml2018(path, batches, ["BPSK", "QPSK"])
    assert str(path) in str(caught.value) and "allowed" in str(caught.value) and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"x": nan_instances()}, "nan or infinite"),
        ({"x": instances(3)[0]}, "shape (2, 128)"),
        ({"sample_rate": 0}, "above 0 Hz"),
        ({"modulation": ["BPSK"] * 2}, "(3,)"),
        ({"snr_db": np.inf}, "not finite"),
    ],
)
def test_what_sigmf_cannot_hold_is_refused_and_leaves_nothing(tmp_path, change, part):
    good = {"x": instances(3), "sample_rate": 1e6, "modulation": "BPSK", "snr_db": 0}
    with pytest.raises(AmcError, match=re.escape(part)) as caught:
        write_sigmf(tmp_path / "ours", **(good | change))
    assert "ours.sigmf-meta" in str(caught.value) and "allowed" in str(caught.value) and not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(AmcError, match="nowhere"):
        write_radioml2018(tmp_path / "nowhere" / "ours.hdf5", [(instances(3), 0, 0.0)], ["BPSK"])
    with pytest.raises(AmcError, match="nowhere"):
        write_sigmf(tmp_path / "nowhere" / "ours", instances(3), 1e6, "BPSK", 0)
