"""Files of the field that are not whole, not right, or programs: each is refused in one sentence."""

import os
import pickle

import h5py
import numpy as np
import pytest

from amc_core.errors import AmcError
from amc_core.recordings import open_recording
from amc_core.recordings.names import modulation_name
from tests.amc_core.recording_files import (
    change,
    edit,
    instances,
    python2_pickle,
    radioml2016,
    refusal,
)

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
        (b"\x96" + b"\xff" * 5 + b"\x00\x00\x00abc", ""),  # bytearray(2⁴⁰)
        (b"\x97", "instruction"),  # a buffer that is not in the file
        (b"cnumpy._core.numeric\n_frombuffer\n(C\x04abcd" + TYPE + b"(I1\nI2\nI1000000000\ntS'C'\ntR", "4 bytes"),
        (b"cnumpy._core.numeric\n_frombuffer\n(C\x04abcdcnumpy\ndtype\n(S'O8'\nI0\nI1\ntR(I1\ntS'C'\ntR", "'O8'"),
        (b"cnumpy._core.numeric\nfull\n((I1000000000\ntI1\ntR", "calls"),
        (b"ccollections\nOrderedDict\n)R}(S'call'\nI1\nub", ""),
        (b"ccollections\ndefaultdict\n(cbuiltins\nlist\ntR", "calls"),
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


def test_one_modulation_in_two_spellings_is_refused(tmp_path):
    path = tmp_path / "two.pkl"
    for other, part in ((b"QPSK", "twice"), ("qpsk", "two spellings"), ("4PSK", "two spellings")):
        path.write_bytes(pickle.dumps({("QPSK", 0): instances(3), (other, 0): instances(3)}, 4))
        refusal(path, part, "'QPSK'")


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
        refusal(path, "cut short")


def test_files_of_no_known_kind_are_refused(tmp_path):
    path = tmp_path / "file"
    for content, part in [(b"", "no known format"), (b"RIFF....WAVE", "no known format"), (b"BZh91AY", "unpacked")]:
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


@pytest.mark.parametrize("name", ["X", "Y", "Z", "signals", "modulations", "snr", "classes"])
def test_hdf5_that_claims_more_than_it_holds_is_refused(radioml2018, augmod, name):
    path = radioml2018 if name in "XYZ" else augmod
    with h5py.File(path, "a") as file:
        shape, kind = (2_000_000_000, *file[name].shape[1:]), file[name].dtype
        del file[name]
        file.create_dataset(name, shape, kind, chunks=(1 << 14, *(1 for _ in shape[1:])), compression="gzip")
    refusal(path, f"field {name!r} claims the shape (2000000000,", "0 bytes")


def test_hdf5_with_a_chunk_that_would_fill_the_memory_is_refused(radioml2018):
    with h5py.File(radioml2018, "a") as file:
        del file["X"]
        x = file.create_dataset("X", (96, 1024, 2), "f4", chunks=(1 << 18, 1024, 2), maxshape=(None, 1024, 2))
        x.id.write_direct_chunk((0, 0, 0), bytes(8), 1)
    refusal(radioml2018, "chunks of shape (262144, 1024, 2)", "1 GiB")


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
        (("global", "core:datatype"), None, "cf32_le, cf32_be, cf64_le"),
        (("global", "core:datatype"), "rf32_le", "complex samples"),
        (("global", "core:datatype"), "ri16_be", "complex samples"),
        (("global", "core:datatype"), "cf16_le", "'cf16_le'"),
        (("global", "core:sample_rate"), 0, "Hz"),
        (("global", "core:sample_rate"), "1 MHz", "Hz"),
        (("global", "core:sample_rate"), float("nan"), "Hz"),
        (("global", "core:num_channels"), 2, "core:num_channels"),
        (("global", "core:dataset"), "../../etc/passwd", "core:dataset"),
        (("global", "amc:length"), 0, "amc:length"),
        (("captures", 0, "core:header_bytes"), 4, "core:header_bytes"),
        (("annotations", 0, "core:sample_start"), None, "core:sample_start"),
        (("annotations", 0, "core:sample_start"), -1, "annotation 0: field 'core:sample_start' is -1"),
        (("annotations", 0, "core:sample_count"), 1.5, "core:sample_count"),
        (("annotations", 0, "signal:detail", "order"), 64, "annotation 0 contradicts itself"),
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
    assert len(open_recording(sigmf)) == 2  # of the first annotation: the second reaches beyond the samples
    data.write_bytes(content[: 8 * 256])
    refusal(sigmf, "ignored 2 of 2 annotations beyond the 256 samples", "first annotation 0 (16QAM, 10 dB)")
    data.write_bytes(content)
    with pytest.raises(AmcError, match="has 1000 samples, the longest has 768"):
        open_recording(sigmf, length=1000)
    data.unlink()
    with pytest.raises(AmcError, match=r"field\.sigmf-data' cannot be read"):
        open_recording(sigmf)


def test_sigmf_whose_data_shrinks_after_it_was_opened_is_refused(sigmf):
    recording = open_recording(sigmf)
    sigmf.with_name("field.sigmf-data").write_bytes(bytes(8))
    with pytest.raises(AmcError, match=r"field\.sigmf-data cannot be read"):
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


def test_a_name_out_of_a_file_is_on_one_line_and_moves_no_terminal(tmp_path):
    path = tmp_path / "named.h5"
    with h5py.File(path, "w") as file:
        file["iq"] = np.ones((4, 128, 2), np.float32)
        file["mod\nulation"] = np.array(["BPSK\n2", "QPSK\x1b[31m"] * 2, dtype=object)
    with pytest.raises(AmcError) as refusal:
        open_recording(path)
    assert "mod\\nulation" in str(refusal.value) and "\n" not in str(refusal.value)
    assert modulation_name("QPSK\x1b[31m") == r"QPSK\x1b[31M" and modulation_name("8 QAM\n2") == "8 QAM 2"
    assert str(AmcError("two\nlines of \x1b[31m")) == "two\nlines of \\x1b[31m"
