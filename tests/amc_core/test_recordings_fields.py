"""Recordings of named fields: .npz, .npy, .mat, .csv, HDF5 and raw files, in every layout of I/Q, labels and SNRs."""

import pickle
import zipfile

import h5py
import numpy as np
import pytest
import scipy.io

from amc_core import AmcError
from amc_core.reading import Reading, ReadPath, read_recording
from amc_core.recordings import open_recording, write_radioml2018
from tests.amc_core.recording_files import instances, unit_power

X = instances(6, 64)
COMPLEX = (X[:, 0] + 1j * X[:, 1]).astype(np.complex64)
LABELS = np.array([1, 0, 2, 2, 1, 0])
NAMES = ("QPSK", "BPSK", "16QAM")
SNRS = np.array([0.0, 10, 10, -4, 0, 0])
FIELDS = {"iq": "X", "label": "Y", "snr_db": "Z", "classes": NAMES}


def opened(path, length=None, **told):
    return open_recording(ReadPath(str(path), Reading(**told)), length)


def require_the_six(recording) -> None:
    assert [recording.modulations[index] for index in recording.modulation] == [NAMES[label] for label in LABELS]
    assert recording.snr_db.tolist() == SNRS.tolist() and recording.length == 64
    read = recording.read([5, 0, 3, 3])  # in any order
    np.testing.assert_allclose(read, unit_power(X[[5, 0, 3, 3]]), rtol=2e-6)


def write_mat73(path, **fields) -> None:
    """As MATLAB writes them: axes in the other order, complex numbers as pairs, texts as references to characters."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in fields.items():
            if values.dtype.kind == "U":
                texts = [file.create_dataset(f"#refs#/{name}{n}", data=np.array([[ord(c)] for c in text], np.uint16))
                         for n, text in enumerate(values)]  # fmt: skip
                for text in texts:
                    text.attrs["MATLAB_class"] = np.bytes_(b"char")
                cell = file.create_dataset(name, data=np.array([[t.ref for t in texts]], h5py.ref_dtype))
                cell.attrs["MATLAB_class"] = np.bytes_(b"cell")
                continue
            if values.dtype.kind == "c":
                pairs = np.empty(values.shape, [("real", "f4"), ("imag", "f4")])
                pairs["real"], pairs["imag"] = values.real, values.imag
                values = pairs
            values = values.T if values.ndim > 1 else values[None]  # a column is a row there
            file.create_dataset(name, data=values).attrs["MATLAB_class"] = np.bytes_(b"double")
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(116))


def write_h5(path, **fields) -> None:
    with h5py.File(path, "w") as file:
        for name, values in fields.items():
            kind = h5py.string_dtype() if values.dtype.kind == "U" else values.dtype
            file.create_dataset(name, data=values.astype(object) if values.dtype.kind == "U" else values, dtype=kind)


WRITERS = {
    "stored.npz": lambda path, **fields: np.savez(path, **fields),
    "deflated.npz": lambda path, **fields: np.savez_compressed(path, **fields),
    "five.mat": lambda path, **fields: scipy.io.savemat(path, fields),
    "compressed.mat": lambda path, **fields: scipy.io.savemat(path, fields, do_compression=True),
    "seven.mat": write_mat73,
    "own.h5": write_h5,
}
LAYOUTS = {
    "complex": COMPLEX,
    "channels first": X,
    "channels last": np.ascontiguousarray(X.transpose(0, 2, 1)),
    "in Fortran's order": np.asfortranarray(COMPLEX),
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_instances_are_read_in_every_format_and_layout(tmp_path, name, layout):
    WRITERS[name](tmp_path / name, X=LAYOUTS[layout], Y=LABELS, Z=SNRS)
    require_the_six(opened(tmp_path / name, **FIELDS))


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (np.eye(3)[LABELS], NAMES),
        (np.array([NAMES[label] for label in LABELS]), None),
        (np.array([f"s{label}" for label in LABELS]), {f"s{n}": name for n, name in enumerate(NAMES)}),
        (LABELS + 7, {str(n + 7): name for n, name in enumerate(NAMES)}),
    ],
    ids=["one-hot", "names", "own names", "own numbers"],
)
def test_labels_may_be_one_hot_or_names_or_spelled_freely(tmp_path, name, labels, classes):
    WRITERS[name](tmp_path / name, I=X[:, 0], Q=X[:, 1], Y=labels, Z=SNRS)
    require_the_six(opened(tmp_path / name, **FIELDS | {"iq": ["I", "Q"], "classes": classes}))


def test_one_modulation_and_one_snr_hold_for_all_and_an_absent_snr_is_unknown(tmp_path):
    np.savez(tmp_path / "lab.npz", X=X, names=np.array(NAMES), Y=LABELS)
    one = opened(tmp_path / "lab.npz", iq="X", label="BPSK", snr_db=3, sample_rate=1e6)
    assert one.modulations == ("BPSK",) and one.snrs_db == (3,) and set(one.sample_rate) == {1e6}
    unknown = opened(tmp_path / "lab.npz", iq="X", label="Y", classes="names")
    assert np.isnan(unknown.snr_db).all() and unknown.modulations == tuple(sorted(NAMES))


@pytest.mark.parametrize("name", WRITERS)
def test_a_label_that_is_neither_a_field_nor_a_modulation_is_no_modulation_in_a_file_of_one_field(tmp_path, name):
    WRITERS[name](tmp_path / name, X=X)
    reading = Reading(iq="X", label="my8")
    with pytest.raises(AmcError, match=r"label is given as field 'my8', which the file does not have \(known: X\)"):
        open_recording(ReadPath(str(tmp_path / name), reading))
    for told, own in ((reading, ("My8",)), (Reading(iq="X", label="my8", classes=["my8"]), ())):
        assert open_recording(ReadPath(str(tmp_path / name), told), own=own).modulations == ("MY8",)


def test_a_structured_npy_file_has_its_fields_and_a_plain_one_its_array(tmp_path):
    table = np.zeros(6, [("x", "c8", (64,)), ("y", "U5"), ("z", "f8")])
    table["x"], table["y"], table["z"] = COMPLEX, [NAMES[label] for label in LABELS], SNRS
    np.save(tmp_path / "table.npy", table)
    require_the_six(opened(tmp_path / "table.npy", iq="x", label="y", snr_db="z"))
    np.save(tmp_path / "plain.npy", X)
    assert opened(tmp_path / "plain.npy", label="MY8").modulations == ("MY8",)


def test_a_text_file_has_an_instance_or_a_sample_a_line(tmp_path):
    rows = [[*x[0], *x[1], NAMES[label], snr] for x, label, snr in zip(X, LABELS, SNRS, strict=True)]
    head = [*(f"I_{n}" for n in range(64)), *(f"Q_{n}" for n in range(64)), "mod", "snr"]
    lines = [",".join(map(str, row)) for row in [head, *rows]]
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    require_the_six(opened(tmp_path / "rows.csv", iq=["I", "Q"], label="mod", snr_db="snr"))
    samples = [f"{i};{q};{NAMES[label]}" for x, label in zip(X, LABELS, strict=True) for i, q in x.T]
    (tmp_path / "samples.csv").write_text("\n".join(["I;Q;mod", *samples]))
    recording = opened(tmp_path / "samples.csv", 64, iq=["I", "Q"], label="mod")
    assert [recording.modulations[index] for index in recording.modulation] == [NAMES[label] for label in LABELS]
    np.testing.assert_allclose(recording.read(range(6)), unit_power(X), rtol=1e-6)


CAPTURE = COMPLEX.ravel()  # 384 samples
PAIRS = np.stack([CAPTURE.real, CAPTURE.imag])


@pytest.mark.parametrize(
    ("name", "write", "told"),
    [
        ("a.npy", lambda path: np.save(path, CAPTURE), {}),
        ("a.npy", lambda path: np.save(path, PAIRS), {}),
        ("a.npy", lambda path: np.save(path, PAIRS.T), {}),
        ("a.mat", lambda path: scipy.io.savemat(path, {"s": CAPTURE}), {"iq": "s"}),  # a row of MATLAB's
        ("a.mat", lambda path: write_mat73(path, s=CAPTURE[:, None]), {"iq": "s"}),
        ("a.cfile", lambda path: CAPTURE.tofile(path), {}),
        ("a.dat", lambda path: CAPTURE.tofile(path), {"datatype": "complex64"}),
        ("a.bin", lambda path: np.rint(1000 * PAIRS.T).astype("<i2").tofile(path), {"datatype": "int16"}),
    ],
)
def test_a_long_capture_of_one_label_is_cut_in_consecutive_instances(tmp_path, name, write, told):
    write(tmp_path / name)
    recording = opened(tmp_path / name, 100, label="QPSK", snr_db=5, **told)
    assert len(recording) == 3 and recording.modulations == ("QPSK",) and recording.snrs_db == (5,)
    expected = unit_power(PAIRS[:, :300].reshape(2, 3, 100).transpose(1, 0, 2))
    np.testing.assert_allclose(recording.read([2, 0]), expected[[2, 0]], atol=2e-3 if "bin" in name else 1e-6)
    spans = recording.source.spans(np.array([2, 0]))
    assert [span.tolist() for span in spans.values()] == [[[200, 300], [0, 100]]]


def test_samples_of_a_capture_are_labelled_by_ranges_and_no_instance_reaches_into_another_label(tmp_path):
    CAPTURE.tofile(tmp_path / "a.cfile")
    label = {"BPSK": [[0, 130], [250, 384]], "burst": [130, 250]}
    recording = opened(tmp_path / "a.cfile", 60, label=label, classes={"burst": "QPSK"})
    names = [recording.modulations[index] for index in recording.modulation]
    assert names == ["BPSK"] * 2 + ["QPSK"] * 2 + ["BPSK"] * 2
    assert next(iter(recording.source.spans(np.arange(6)).values()))[:, 0].tolist() == [0, 60, 130, 190, 250, 310]
    with pytest.raises(AmcError, match=r"samples 120 to 129 two modulations, BPSK and QPSK; allowed is one"):
        opened(tmp_path / "a.cfile", 60, label={"BPSK": [0, 130], "QPSK": [120, 250]})
    assert Reading(label={"BPSK": [1e2, "3e2"]}) == Reading(label={"BPSK": [[100, 300]]})  # equal numbers are equal
    with pytest.raises(AmcError, match=r"label BPSK \[0, 1.5\]"):
        Reading(label={"BPSK": [0, 1.5]})


def test_what_is_no_number_in_a_study_is_none_beside_a_recording_or_in_a_text_file(tmp_path):
    assert Reading(snr_db="1e1").snr_db == 10 and Reading(snr_db="10").snr_db == 10
    assert [Reading(snr_db=name).snr_db for name in ("1_0", "inf", "nan")] == ["1_0", "inf", "nan"]  # names of fields
    (tmp_path / "a.csv").write_text("I,Q,Y\n" + "0.5,1_0,BPSK\n" * 64)
    with pytest.raises(AmcError, match="fields I and Q have shapes"):
        opened(tmp_path / "a.csv", 64, iq=("I", "Q"), label="Y")


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ({}, r"does not say what its fields are \(X \(6, 64\), .*describe them as recording: \{file: lab.npz"),
        (FIELDS | {"iq": "W"}, r"iq is given as field 'W', which the file does not have.*\(known: X, Y, Z"),
        (FIELDS | {"label": "V"}, r"label is given as field 'V', which the file does not have"),
        (FIELDS | {"label": None}, r"label is not given; allowed are a field, one of X, Y, Z"),
        (FIELDS | {"classes": None}, r"field 'Y' has numbers, 0 to 2: give classes, the modulation of each"),
        (FIELDS | {"classes": NAMES[:2]}, r"field 'Y' is 2 at instance 2; allowed are 0 to 1, as many as classes"),
        (FIELDS | {"classes": {"0": "QPSK"}}, r"field 'Y' has 1, which classes does not name; allowed are 0"),
        (FIELDS | {"label": "H"}, r"field 'H' has shape \(6, 2\).*|has 2 columns, and classes 3 names; allowed is a n"),
        (FIELDS | {"label": "F"}, r"field 'F' has numbers that are not whole; allowed for label are whole"),
        (FIELDS | {"label": "large"}, r"field 'large' has the number 1e\+300; allowed for label are whole"),
        (FIELDS | {"label": "short"}, r"field 'short' has shape \(5,\); allowed for label is \(6,\), or one-hot"),
        (FIELDS | {"snr_db": "short"}, r"field 'short' has shape \(5,\) of int64; allowed for snr_db are numbers"),
        (FIELDS | {"snr_db": "endless"}, r"field 'endless' is infinite at 0; allowed are numbers of dB"),
        (FIELDS | {"iq": "real"}, r"field 'real' has shape \(6, 64\) of float64; allowed for iq are complex"),
        (FIELDS | {"iq": "two"}, r"field 'two' has shape \(6, 2, 2\) of float64; allowed for iq are complex"),
        (FIELDS | {"iq": ["X", "real"]}, r"fields X and real have shapes \(6, 64\) of complex64 and .*allowed for iq"),
        (FIELDS | {"label": {"BPSK": [0, 3]}}, r"label maps samples, but iq has instances; allowed is the name"),
    ],
)
def test_what_does_not_fit_is_refused_with_field_shape_and_what_is_allowed(tmp_path, told, sentence):
    more = {"short": LABELS[:5], "endless": np.full(6, np.inf), "real": X[:, 0].astype(float)}
    more["large"] = np.full(6, 1e300)
    more |= {"two": np.zeros((6, 2, 2)), "H": np.eye(2)[LABELS % 2], "F": LABELS + 0.5}
    path = tmp_path / "lab.npz"
    np.savez(path, X=COMPLEX, Y=LABELS, Z=SNRS, **more)
    with pytest.raises(AmcError, match=sentence) as refusal:
        opened(path, **told)
    assert str(path) in str(refusal.value) and "\n" not in str(refusal.value)


class Marker:
    def __reduce__(self):
        return open, ("/nowhere/marker", "w")


def test_python_objects_are_refused_and_never_unpickled(tmp_path):
    objects = np.array([Marker()], dtype=object)
    np.save(tmp_path / "a.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "a.npz", X=objects)
    for name in ("a.npy", "a.npz"):
        told = "holds Python objects, which can run code; allowed are numbers and texts"
        with pytest.raises(AmcError, match=told) as refusal:
            opened(tmp_path / name, iq="X", label="BPSK")
        assert "damaged" not in str(refusal.value)


def test_arrays_that_claim_more_than_the_file_holds_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", COMPLEX)
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content[:-8])
    with pytest.raises(
        AmcError, match=r"the array claims the shape \(6, 64\) of complex64, 3072 bytes, but the file has 3064"
    ):
        opened(tmp_path / "a.npy", label="BPSK")
    huge = content[:128].replace(b"(6, 64), }" + b" " * 10, b"(60000000000, 64), }")
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("X.npy", huge + content[128:])
    with pytest.raises(AmcError, match=r"X.npy claims the shape \(60000000000, 64\)"):
        opened(tmp_path / "a.npz", iq="X", label="BPSK")
    (tmp_path / "a.cfile").write_bytes(content[:12])
    with pytest.raises(AmcError, match="the size is 12 bytes; allowed are whole complex64 samples of 8 bytes"):
        opened(tmp_path / "a.cfile", label="BPSK")
    scipy.io.savemat(tmp_path / "b.mat", {"X": COMPLEX})
    content = (tmp_path / "b.mat").read_bytes()
    shape = np.array([6, 64], "<i4").tobytes()
    assert content.count(shape) == 1
    (tmp_path / "b.mat").write_bytes(content.replace(shape, np.array([600000, 64000], "<i4").tobytes()))
    with pytest.raises(AmcError, match=r"'X' claims the shape \(600000, 64000\), more than the file can hold"):
        opened(tmp_path / "b.mat", iq="X", label="BPSK")
    for name in ("a.npz", "a.mat"):
        (tmp_path / name).write_bytes((b"PK\x03\x04" if name == "a.npz" else b"MATLAB 5.0 MAT-file") + bytes(200))
        with pytest.raises(AmcError, match="is damaged or cut short"):
            opened(tmp_path / name, iq="X", label="BPSK")


@pytest.mark.parametrize("shape", ["(-1, 2, 64)", "(-6, 2, -64)", "(True, 2, 64)", "(0x6, 2.0, 64)", "-" * 9000 + "1"])
def test_a_shape_that_no_array_has_is_refused(tmp_path, shape):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(4096)
    (tmp_path / "a.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("X.npy", content)
    with pytest.raises(AmcError, match=r"the array is damaged or cut short .*; allowed is what NumPy writes"):
        opened(tmp_path / "a.npy", label="BPSK")
    with pytest.raises(AmcError, match=r"X\.npy is damaged or cut short .*; allowed is what NumPy writes"):
        opened(tmp_path / "a.npz", iq="X", label="BPSK")


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"file": "a.npz", "iqq": "X"}, r"key of recording 'iqq' is not known.*iq"),
        ({"iq": "X"}, "file has to be the path of one file"),
        ({"file": ["a.cfile", "b.cfile"]}, "file has to be the path of one file; join several files into one"),
        (
            {"file": "a.npz", "iq": ["I"]},
            r"iq \['I'\] of a recording is not allowed: it has to be the name of a field, or two",
        ),
        ({"file": "a.bin", "datatype": "float"}, "datatype 'float' of a recording.*complex64 or int16"),
        ({"file": "a.npz", "sample_rate": -1}, "sample_rate of a recording"),
        (
            {"file": "a.npz", "label": {"BPSK": [5, 2]}},
            r"label BPSK \[5, 2\] of a recording is not allowed: it has to be \[fir",
        ),
        (
            {"file": "a.npz", "classes": []},
            r"classes \[\] of a recording is not allowed: it has to be a list of modulations",
        ),
    ],
)
def test_what_is_told_of_a_file_is_checked_before_the_file_is_looked_at(value, sentence):
    with pytest.raises(AmcError, match=sentence):
        read_recording(value)


def test_a_format_that_says_what_its_fields_are_is_told_nothing_but_names(tmp_path):
    write_radioml2018(tmp_path / "a.h5", [(X, LABELS, SNRS)], ("MINE", "BPSK", "16QAM"))
    renamed = opened(tmp_path / "a.h5", classes={"mine": "QPSK"})
    assert [renamed.modulations[n] for n in renamed.modulation] == [NAMES[label] for label in LABELS]
    with pytest.raises(
        AmcError, match="label cannot be given for this format, which contains it; allowed beside file: class"
    ):
        opened(tmp_path / "a.h5", label="Y")
    with pytest.raises(AmcError, match="classes rename 'OTHER', which is not recorded; allowed are"):
        opened(tmp_path / "a.h5", classes={"other": "QPSK"})


def test_a_file_read_in_another_way_is_another_recording_and_travels_as_it_is_read(tmp_path):
    np.savez(tmp_path / "a.npz", X=X, Y=LABELS)
    path = str(tmp_path / "a.npz")
    one = ReadPath(path, Reading(iq="X", label="Y", classes=NAMES))
    other = ReadPath(path, Reading(iq="X", label="Y", classes=NAMES[::-1]))
    assert one != other and one.digest != other.digest and one.content == other.content and one.label != other.label
    for same in (pickle.loads(pickle.dumps(one)), read_recording(one.as_dict()), ReadPath(path, one.reading)):
        assert same == one and same.reading == one.reading and hash(same) == hash(one)
