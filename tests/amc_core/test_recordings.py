"""Files of the field: what is read is what was written, and what is wrong is refused in one sentence."""

import json
import os
import pickle
import re
import subprocess
import sys
import textwrap

import h5py
import numpy as np
import pytest

from amc_core.errors import AmcError
from amc_core.modulations import MODULATIONS
from amc_core.recordings import modulation_name, open_recording, write_radioml2018, write_sigmf
from amc_core.recordings.hdf5 import RADIOML2018_CLASSES

RNG = np.random.default_rng(7)


def instances(count: int, length: int = 128, scale: float = 1.0) -> np.ndarray:
    return (scale * RNG.standard_normal((count, 2, length))).astype(np.float32)


def unit_power(x: np.ndarray) -> np.ndarray:
    return x / np.sqrt((x.astype(np.float64) ** 2).sum(axis=1).mean(axis=1))[:, None, None]


def refusal(path, *parts: str, **options) -> str:
    """The sentence with which a file is refused; it names the file, and says what is allowed."""
    with pytest.raises(AmcError) as caught:
        recording = open_recording(path, **options)
        recording.read(range(len(recording)))
    message = str(caught.value)
    for part in (str(path), "allowed", *parts):
        assert part in message
    assert "\n" not in message
    return message


# -- files as their makers wrote them ------------------------------------------------------------------


def python2_pickle(data: dict, protocol: int) -> bytes:
    """What cPickle of Python 2 writes for {(str, int): float32 array}: strings of bytes, and the old module names."""

    def string(value: bytes) -> bytes:
        if protocol == 0:
            return b"S" + repr(value)[1:].encode("latin-1") + b"\n"
        return (b"U" + bytes([len(value)]) if len(value) < 256 else b"T" + len(value).to_bytes(4, "little")) + value

    def number(value: int) -> bytes:
        return b"I%d\n" % value if protocol == 0 else b"J" + value.to_bytes(4, "little", signed=True)

    def sequence(*parts: bytes) -> bytes:
        return b"(" + b"".join(parts) + b"t"

    def array(x: np.ndarray) -> bytes:
        false = b"I00\n" if protocol == 0 else b"\x89"
        kind = b"cnumpy\ndtype\n" + sequence(string(b"f4"), number(0), number(1)) + b"R"
        kind += sequence(number(3), string(b"<"), b"NNN", number(-1), number(-1), number(0)) + b"b"
        blank = b"cnumpy.core.multiarray\n_reconstruct\n"
        blank += sequence(b"cnumpy\nndarray\n", sequence(number(0)), string(b"b")) + b"R"
        return blank + sequence(number(1), sequence(*map(number, x.shape)), kind, false, string(x.tobytes())) + b"b"

    out = b"(dp1\n" if protocol == 0 else b"\x80\x02}q\x01"
    for (name, snr_db), x in data.items():
        out += sequence(string(name.encode("latin-1")), number(snr_db)) + array(x) + b"s"
    return out + b"."


def radioml2016(count: int = 3) -> dict:
    return {(name, snr): instances(count, scale=0.01) for name in ("WBFM", "QAM16", "QPSK") for snr in (18, -20, 0)}


@pytest.fixture
def pickled(tmp_path):
    path = tmp_path / "RML2016.10a_dict.pkl"
    path.write_bytes(python2_pickle(radioml2016(), 2))
    return path


@pytest.fixture
def radioml2018(tmp_path):
    """A file of RadioML 2018.01A's layout, and the means to change it: four instances of each class."""
    path = tmp_path / "GOLD_XYZ_OSC.0001_1024.hdf5"
    count = 4 * len(RADIOML2018_CLASSES)
    with h5py.File(path, "w") as file:
        file["X"] = instances(count, 1024).transpose(0, 2, 1)
        file["Y"] = np.repeat(np.eye(24, dtype=np.int64), 4, axis=0)
        file["Z"] = np.tile([-20, -2, 0, 30], 24)[:, None]
    return path


@pytest.fixture
def augmod(tmp_path):
    path = tmp_path / "augmod.hdf5"
    with h5py.File(path, "w") as file:
        file["classes"] = [b"BPSK", b"PSK8", b"QAM16", b"QAM32", b"QAM64", b"QAM8", b"QPSK"]
        file["signals"] = instances(14, 1024)
        file["modulations"] = np.arange(14) % 7
        file["snr"] = np.repeat([0.0, 40.0], 7)
        file["frequency_offsets"] = np.zeros(14)
    return path


def change(path, name: str, values=None) -> None:
    """Put other values in a field of an HDF5 file; none of them removes it."""
    with h5py.File(path, "a") as file:
        del file[name]
        if values is not None:
            file[name] = values


@pytest.fixture
def sigmf(tmp_path):
    """A recording of 16QAM at 10 dB, two instances, and then 8PSK at 12.5 dB, three instances."""
    x = instances(5, 256)
    return write_sigmf(tmp_path / "field", x, 200e3, ["16QAM"] * 2 + ["8PSK"] * 3, [10] * 2 + [12.5] * 3)


def edit(path, change) -> None:
    """Change the JSON of a .sigmf-meta file."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


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


# -- SigMF ---------------------------------------------------------------------------------------------


def test_sigmf_reads_back_bit_for_bit_what_was_written_at_unit_power(tmp_path):
    x = unit_power(instances(5, 300)).astype(np.float32)
    names, snrs_db = ["OQPSK", "OQPSK", "16APSK", "GFSK", "B-FM"], [1.5, 3, 3, 3, -6]
    recording = open_recording(write_sigmf(tmp_path / "snr.5", x, 1e6, names, snrs_db))
    assert (recording.read(range(5)) == x).all() and recording.length == 300
    assert [recording.modulations[index] for index in recording.modulation] == names
    assert recording.snr_db.tolist() == snrs_db and recording.sample_rate.tolist() == [1e6] * 5


def test_what_we_write_is_valid_sigmf(tmp_path):
    sigmf = pytest.importorskip("sigmf")
    x = unit_power(instances(len(MODULATIONS), 64)).astype(np.float32)
    meta = write_sigmf(tmp_path / "all", x, 200e3, list(MODULATIONS), 10, description="one of each")
    file = sigmf.fromfile(str(meta))  # checks the SHA-512 too
    file.validate()
    assert file.sample_rate == 200e3 and file.sample_count == 64 * len(x)
    annotations = file.get_annotations()
    assert [annotation["core:label"] for annotation in annotations] == list(MODULATIONS)
    assert (file.read_samples(64, 64) == x[1, 0] + 1j * x[1, 1]).all()


@pytest.mark.parametrize("name", MODULATIONS)
def test_signal_detail_alone_names_a_modulation(tmp_path, name):
    meta = write_sigmf(tmp_path / "one", instances(1), 1e6, name, 0)
    edit(meta, lambda content: content["annotations"][0].pop("core:label"))
    assert open_recording(meta).modulations == (name,)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"core:label": "qam64"}, "64QAM"),
        ({"core:label": "LTE 12", "signal:detail": {"mod_class": "qam", "order": 16, "type": "digital"}}, "16QAM"),
        ({"core:label": "Wi-Fi", "signal:detail": {"standard": "802.11ac"}}, "WI-FI"),
        ({"signal:detail": {"mod_class": "fsk", "order": 4}}, "4-FSK"),
    ],
)
def test_a_label_we_know_comes_first_then_the_detail_then_the_label_as_it_is(sigmf, fields, name):
    def relabel(content):
        content["annotations"] = [{"core:sample_start": 0, "core:sample_count": 512, **fields}]

    edit(sigmf, relabel)
    recording = open_recording(sigmf)
    assert recording.modulations == (name,) and len(recording) == 2
    assert np.isnan(recording.snr_db).all() and np.isnan(recording.snrs_db).tolist() == [True]


@pytest.mark.parametrize(
    ("datatype", "kind", "zero"),
    [
        ("cf32_le", "<f4", 0),
        ("cf32_be", ">f4", 0),
        ("ci16_le", "<i2", 0),
        ("ci16_be", ">i2", 0),
        ("ci8", "i1", 0),
        ("cu8", "u1", 128),
    ],
)
def test_each_datatype_gives_the_same_samples(sigmf, datatype, kind, zero):
    values = RNG.integers(-100, 100, (5, 256, 2))
    (values + zero).astype(kind).tofile(sigmf.with_name("field.sigmf-data"))
    edit(sigmf, lambda content: content["global"].update({"core:datatype": datatype}))
    expected = unit_power(values.transpose(0, 2, 1).astype(np.float64))
    np.testing.assert_allclose(open_recording(sigmf).read(range(5)), expected, rtol=1e-6)


def test_annotations_are_cut_in_consecutive_instances_and_the_rest_is_dropped(sigmf):
    recording = open_recording(sigmf, length=100)  # 512 samples of 16QAM, then 768 of 8PSK
    assert recording.modulations == ("16QAM", "8PSK") and recording.modulation.tolist() == [0] * 5 + [1] * 7
    whole = np.fromfile(sigmf.with_name("field.sigmf-data"), "<f4").reshape(-1, 2).T
    np.testing.assert_allclose(recording.read([6])[0], unit_power(whole[None, :, 612:712])[0], rtol=1e-6)


def test_an_annotation_without_a_count_reaches_to_the_end_of_its_capture(sigmf):
    def shorten(content):
        content["captures"] = [{"core:sample_start": 0}, {"core:sample_start": 300}]
        content["annotations"] = [{"core:sample_start": start, "core:label": "BPSK"} for start in (0, 400)]

    edit(sigmf, shorten)
    assert open_recording(sigmf, length=100).source.start.tolist() == [0, 100, 200, *range(400, 1200, 100)]


def test_sample_indices_count_from_the_offset_of_the_recording(sigmf):
    def move(content):
        content["global"]["core:offset"] = 1000
        for annotation in content["annotations"]:
            annotation["core:sample_start"] += 1000

    before = open_recording(sigmf).read(range(5))
    edit(sigmf, move)
    assert (open_recording(sigmf).read(range(5)) == before).all()


def test_a_file_without_annotations_is_what_its_global_label_says(sigmf):
    def relabel(content):
        content["annotations"] = []
        content["global"] |= {"core:label": "16QAM", "amc:snr_db": 7}

    edit(sigmf, relabel)
    recording = open_recording(sigmf)
    assert recording.modulations == ("16QAM",) and recording.snrs_db == (7,) and len(recording) == 5


def test_a_directory_and_a_list_of_recordings_are_one_dataset(tmp_path):
    a = write_sigmf(tmp_path / "a.sigmf-meta", instances(2), 1e6, "QPSK", 0)
    b = write_sigmf(tmp_path / "b.sigmf-data", instances(3), 2e6, "BPSK", 6)
    for path in (tmp_path, [a, b], [str(a), str(b)]):
        recording = open_recording(path)
        assert recording.modulations == ("BPSK", "QPSK") and recording.modulation.tolist() == [1, 1, 0, 0, 0]
        assert recording.snrs_db == (0, 6) and recording.sample_rate.tolist() == [1e6] * 2 + [2e6] * 3
        both = np.concatenate([open_recording(a).read([1]), open_recording(b.with_suffix(".sigmf-data")).read([2])])
        assert (recording.read([1, 4]) == both).all()
    refusal(tmp_path / "b.sigmf-meta", "length", length=0)
    with pytest.raises(AmcError, match="empty; allowed"):
        open_recording([])


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


# -- pickles that are programs -------------------------------------------------------------------------


class Calls:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_a_pickle_that_calls_a_function_is_refused_and_does_not_run(tmp_path):
    marker = tmp_path / "ran"
    code = f"open({str(marker)!r}, 'w')"
    hostile = {
        "system": pickle.dumps({("QPSK", 0): Calls(os.system, f"touch {marker}")}, 2),
        "eval": pickle.dumps({("QPSK", 0): Calls(eval, code)}, 2),
        "python 2": f"(dp0\nc__builtin__\neval\n(S{code!r}\ntR.".encode(),
        "through numpy": b"(dp0\ncnumpy.core.multiarray\n__builtins__\n(S'eval'\ntR.",
        "dotted": b"\x80\x04}\x8c\x16numpy._core.multiarray\x8c\x18_reconstruct.__globals__\x93.",
        "runpy": b"(dp0\ncnumpy.testing._private.utils\nrunstring\n(S'1'\n(dtR.",
        "codecs": b"(dp0\nc_codecs\nlookup\n(S'utf-8'\ntR.",
    }
    for name, content in hostile.items():
        path = tmp_path / f"{name}.pkl"
        path.write_bytes(content)
        refusal(path, "calls ")
    assert not marker.exists()


ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
TYPE = b"cnumpy\ndtype\n(S'f4'\nI0\nI1\ntR"


@pytest.mark.parametrize(
    ("value", "part"),
    [
        (b"cnumpy\nndarray\n((I1000000000000\nttR", ""),  # numpy.ndarray((10**12,))
        (ARRAY + b"(I1\n(I1000000\nI2\nI1000000000\nt" + TYPE + b"I00\nS'abcd'\ntb", "4 bytes"),
        (ARRAY + b"(I1\n(I1000000000000000\nI2\nI0\nt" + TYPE + b"I00\nS''\ntb", "shape"),
        (ARRAY + b"(I1\n(I1\nI2\nI-1\nt" + TYPE + b"I00\nS'abcd'\ntb", "shape"),
        (ARRAY + b"(I1\n(I1\nI2\nI1\nt" + TYPE + b"I00\n(lp0\ntb", "instruction"),
        (ARRAY + b"(I1\n(I1\nI2\nI1\ntcnumpy\ndtype\n(S'O8'\nI0\nI1\ntRI00\nS'abcdefgh'\ntb", "'O8'"),
        (ARRAY + b"(I1\n(I4\nt" + TYPE + b"I00\nS'" + b"a" * 16 + b"'\ntb", "shape (4,)"),
        (ARRAY, "no array"),
        (b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\n(I0\ntS'b'\ntR", "other than an array"),
        (b"cnumpy\ndtype\nNb", "changes a function"),
        (b"I3\n", "no array"),
        (b"S'a'\nr\xff\xff\xff\xff", "no array"),  # memo entry 2³² − 1: 64 GB in the unpickler in C
        (b"T\xff\xff\xff\x7fabc", ""),  # a string of 2 GB, of which 3 bytes are there
        (b"\x8e" + b"\xff" * 7 + b"\x00abc", ""),  # and one of 2⁵⁶ bytes
        (b"\x96" + b"\xff" * 5 + b"\x00\x00\x00abc", "instruction"),  # bytearray(2⁴⁰)
        (b"cnumpy\ndtype\n)\x81", "instruction"),  # NEWOBJ
        (b"(icollections\nOrderedDict\n", "instruction"),
        (b"P1\n", "instruction"),  # a persistent id
        (b"\x8f(K\x01\x90", "instruction"),  # a set
    ],
)
def test_a_pickle_that_misuses_what_arrays_need_is_refused(tmp_path, value, part):
    path = tmp_path / "hostile.pkl"
    path.write_bytes(b"(dp0\n(S'QPSK'\nI0\nt" + value + b"s.")
    refusal(path, "pickle", part)


@pytest.mark.parametrize(
    ("key", "part"),
    [
        (b"S'QPSK'\n", "(modulation, snr)"),
        (b"(S'QPSK'\nNt", "SNR"),
        (b"(S'QPSK'\nFnan\nt", "SNR"),
        (b"(I1\nI2\nt", "(modulation, snr)"),
        (b")" + b"\x85" * 200_000, "(modulation, snr)"),  # hashing it would overflow the stack
        (b"(S'QPSK'\n)" + b"q\x01\x86h\x01" * 64 + b"\x86t", "SNR"),  # and this would take 2⁶⁴ steps
    ],
)
def test_a_pickle_with_a_key_that_is_no_label_is_refused(tmp_path, key, part):
    path = tmp_path / "hostile.pkl"
    path.write_bytes(b"(dp0\n" + key + b"Ns.")
    refusal(path, "pickle")


def test_pickles_that_hold_something_else_are_refused(tmp_path):
    path = tmp_path / "other.pkl"
    two = {("QPSK", 0): instances(3), ("BPSK", 0): instances(3, 64)}
    for content, part in [
        ((1, 2), "tuple"),
        ({}, "no instances"),
        ({("QPSK", 0): instances(0)}, "no instances"),
        ({("QPSK", 0): instances(3).astype(np.int16)}, "int16"),
        ({("QPSK", 0): instances(3).transpose(0, 2, 1)}, "(3, 128, 2)"),
        (two, "one length"),
    ]:
        path.write_bytes(pickle.dumps(content, 4))
        refusal(path, part)


# -- files that are not whole or not right -------------------------------------------------------------


@pytest.mark.parametrize("kept", [0.001, 0.3, 0.9, 0.999])
def test_a_file_that_is_cut_short_is_refused(tmp_path, pickled, radioml2018, augmod, sigmf, kept):
    old = tmp_path / "RML2016.10b.dat"
    old.write_bytes(python2_pickle(radioml2016(), 0))
    for path in (pickled, old, radioml2018, augmod, sigmf):
        content = path.read_bytes()
        path.write_bytes(content[: max(3, int(kept * len(content)))])
        refusal(path, "not whole" if path == sigmf else "cut short")


def test_files_of_no_known_kind_are_refused(tmp_path):
    path = tmp_path / "file"
    for content, part in [(b"", "no known kind"), (b"RIFF....WAVE", "no known kind"), (b"BZh91AY", "unpacked")]:
        path.write_bytes(content)
        refusal(path, part, "RadioML", "SigMF".lower())
    refusal(tmp_path / "missing.hdf5", "No such file")
    (tmp_path / "empty").mkdir()
    refusal(tmp_path / "empty", "no .sigmf-meta files")
    with h5py.File(tmp_path / "other.hdf5", "w") as file:
        file["images"] = np.zeros(3)
    refusal(tmp_path / "other.hdf5", "'images'", "X, Y, Z", "signals")


@pytest.mark.parametrize("name", ["X", "Y", "Z"])
def test_radioml_2018_without_a_field_is_refused(radioml2018, name):
    change(radioml2018, name)
    refusal(radioml2018, f"{name!r} is missing")


@pytest.mark.parametrize("name", ["signals", "modulations", "snr", "classes"])
def test_augmod_without_a_field_is_refused(augmod, name):
    change(augmod, name)
    refusal(augmod, f"{name!r} is missing")


@pytest.mark.parametrize(
    ("name", "values", "part"),
    [
        ("X", np.ones((96, 2, 1024), np.float32), "(96, 2, 1024)"),
        ("X", np.ones((95, 1024, 2), np.float32), "'Y' has shape (96, 24)"),
        ("X", np.ones((0, 1024, 2), np.float32), "one or more"),
        ("X", np.full((96, 8, 2), b"a"), "numbers"),
        ("Y", np.ones((96, 24)), "one-hot at instance 0"),
        ("Y", np.zeros((96, 24)), "one-hot at instance 0"),
        ("Y", np.eye(96, 24) * 2, "one-hot at instance 0"),
        ("Y", np.eye(96, 10), "(96, 24)"),
        ("Z", np.zeros((96, 2)), "(96,)"),
        ("Z", np.full(96, np.nan), "nan at instance 0"),
    ],
)
def test_radioml_2018_with_a_wrong_field_is_refused(radioml2018, name, values, part):
    change(radioml2018, name, values)
    refusal(radioml2018, part)


@pytest.mark.parametrize(
    ("name", "values", "part"),
    [
        ("signals", np.ones((14, 1024, 2), np.float32), "(instances, 2, samples)"),
        ("signals", np.ones((15, 2, 1024), np.float32), "(15,)"),
        ("modulations", np.full(14, 7), "0 to 6"),
        ("modulations", np.full(14, 0.5), "0 to 6"),
        ("snr", np.zeros(13), "(14,)"),
        ("classes", [b"QAM16", b"16QAM"] + [b"BPSK"] * 5, "each once"),
        ("classes", np.arange(7), "names"),
    ],
)
def test_augmod_with_a_wrong_field_is_refused(augmod, name, values, part):
    change(augmod, name, values)
    refusal(augmod, part)


def test_hdf5_fields_that_lie_in_other_files_are_refused(tmp_path, radioml2018):
    other = tmp_path / "other.hdf5"
    with h5py.File(other, "w") as file:
        file["Z"] = np.zeros((96, 1))
    (tmp_path / "secret").write_bytes(bytes(96 * 8))
    for kind in ("link", "virtual", "raw"):
        with h5py.File(radioml2018, "a") as file:
            del file["Z"]
            if kind == "link":
                file["Z"] = h5py.ExternalLink(str(other), "/Z")
            elif kind == "virtual":
                layout = h5py.VirtualLayout((96, 1), np.float64)
                layout[:] = h5py.VirtualSource(str(other), "Z", (96, 1))
                file.create_virtual_dataset("Z", layout)
            else:
                file.create_dataset("Z", (96, 1), np.float64, external=[(str(tmp_path / "secret"), 0, 96 * 8)])
        refusal(radioml2018, "'Z'", "in the file itself")


@pytest.mark.parametrize(
    ("where", "value", "part"),
    [
        (("global",), None, "'global'"),
        (("captures",), {}, "'captures'"),
        (("annotations",), [3], "'annotations'"),
        (("global", "core:datatype"), None, "cf32_le, cf32_be, ci16_le, ci16_be, ci8, cu8"),
        (("global", "core:datatype"), "rf32_le", "'rf32_le'"),
        (("global", "core:sample_rate"), 0, "Hz"),
        (("global", "core:sample_rate"), "1 MHz", "Hz"),
        (("global", "core:sample_rate"), float("nan"), "Hz"),
        (("global", "core:num_channels"), 2, "core:num_channels"),
        (("global", "core:dataset"), "../../etc/passwd", "core:dataset"),
        (("global", "amc:length"), 0, "amc:length"),
        (("captures", 0, "core:header_bytes"), 4, "core:header_bytes"),
        (("annotations", 0, "core:sample_start"), None, "core:sample_start"),
        (("annotations", 0, "core:sample_start"), -1, "core:sample_start"),
        (("annotations", 0, "core:sample_count"), 1.5, "core:sample_count"),
        (("annotations", 1, "core:sample_count"), 769, "1281"),
        (("annotations", 0, "core:label"), 16, "core:label"),
        (("annotations", 0, "signal:detail"), "16QAM", "signal:detail"),
        (("annotations", 0, "amc:snr_db"), "10 dB", "amc:snr_db"),
    ],
)
def test_sigmf_with_a_wrong_field_is_refused(sigmf, where, value, part):
    def replace(content):
        *parents, name = where
        for parent in parents:
            content = content[parent]
        if value is None:
            del content[name]
        else:
            content[name] = value

    edit(sigmf, replace)
    refusal(sigmf, part)


def test_sigmf_without_samples_or_labels_is_refused(sigmf):
    data = sigmf.with_name("field.sigmf-data")
    content = data.read_bytes()
    data.write_bytes(content[:-3])
    refusal(data, "whole cf32_le samples of 8 bytes")
    data.write_bytes(content[:-8])
    with pytest.raises(AmcError, match="1279"):
        open_recording(sigmf)
    data.write_bytes(content)
    with pytest.raises(AmcError, match="no annotation has 1000 samples"):
        open_recording(sigmf, length=1000)
    data.unlink()
    with pytest.raises(AmcError, match=r"field\.sigmf-data cannot be read"):
        open_recording(sigmf)


def test_sigmf_whose_data_shrinks_after_it_was_opened_is_refused(sigmf):
    recording = open_recording(sigmf)
    sigmf.with_name("field.sigmf-data").write_bytes(bytes(8))
    with pytest.raises(AmcError, match=r"field\.sigmf-data: cannot be read"):
        recording.read([4])


@pytest.mark.parametrize(("value", "part"), [(np.nan, "nan or infinite"), (np.inf, "nan or infinite"), (0, "all zero")])
def test_an_instance_without_a_scale_is_named_with_its_file(tmp_path, radioml2018, augmod, sigmf, value, part):
    data = radioml2016()
    data["QPSK", 0][1] = value
    path = tmp_path / "bad.pkl"
    path.write_bytes(python2_pickle(data, 2))
    refusal(path, part, "instance 1 of ('QPSK', 0)")
    for path, field in ((radioml2018, "X"), (augmod, "signals")):
        with h5py.File(path, "a") as file:
            file[field][7] = value
        refusal(path, part, f"instance 7 of field {field!r}")
        assert open_recording(path).read([6]).shape == (1, 2, 1024)
    samples = np.fromfile(sigmf.with_name("field.sigmf-data"), "<f4").reshape(5, -1)
    samples[3] = value
    samples.tofile(sigmf.with_name("field.sigmf-data"))
    with pytest.raises(AmcError, match=rf"field\.sigmf-data: instance 3 \(samples 768 to 1023\) .*{part}"):
        open_recording(sigmf).read(range(5))


# -- memory --------------------------------------------------------------------------------------------


def grown_megabytes(path) -> float:
    """By how much the peak memory of a process grows that opens a recording and reads its last instance."""
    code = f"""
        from amc_core.recordings import open_recording

        def peak():  # of this process: ru_maxrss would be that of its parent where it is higher
            return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024

        before = peak()
        recording = open_recording({str(path)!r})
        assert recording.read([len(recording) - 1]).shape == (1, 2, 1024)
        print(peak() - before)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    return float(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_files_larger_than_memory_are_read_instance_by_instance(tmp_path):
    count = 1 << 20  # 8 GiB of samples, of which one instance is written
    path = tmp_path / "large.hdf5"
    with h5py.File(path, "w") as file:
        x = file.create_dataset("X", (count, 1024, 2), np.float32, chunks=(16, 1024, 2))
        x[-1] = 1
        y = file.create_dataset("Y", (count, 24), np.int8, chunks=(1 << 14, 24), compression="gzip")
        for start in range(0, count, 1 << 14):
            y[start : start + (1 << 14)] = np.eye(24, dtype=np.int8)[np.full(1 << 14, 5)]
        file.create_dataset("Z", (count, 1), np.int64, chunks=(1 << 14, 1), fillvalue=10)
    assert grown_megabytes(path) < 200
    large = write_sigmf(tmp_path / "large", instances(1, 1024), 1e6, "BPSK", 0)
    with open(tmp_path / "large.sigmf-data", "r+b") as file:
        file.seek(8 << 30)
        file.write(instances(1, 1024).tobytes())
    edit(large, lambda content: content["annotations"][0].update({"core:sample_count": (1 << 30) + 1024}))
    assert grown_megabytes(large) < 200
