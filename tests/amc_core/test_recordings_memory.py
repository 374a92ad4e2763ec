"""Memory follows what is used of a recording, not what the file holds or claims."""

import io
import subprocess
import sys
import textwrap
import zipfile
import zlib

import h5py
import numpy as np
import pytest
import scipy.io

from amc_core.reading import Reading, ReadPath
from amc_core.recordings import open_recording, write_sigmf
from tests.amc_core.recording_files import edit, instances

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")


def measured(
    path, length: int | None, read: str = "[len(recording) - 1]", refused: str = "claims", **told
) -> tuple[float, float]:
    """MB by which the peak memory of a process grows that opens a recording and reads of it, and its seconds of CPU."""
    named = f"ReadPath({str(path)!r}, Reading(**{told!r}))" if told else repr(str(path))
    code = f"""
        import time
        from amc_core.errors import AmcError
        from amc_core.reading import Reading, ReadPath
        from amc_core.recordings import open_recording

        def peak():  # of this process: ru_maxrss would be that of its parent where it is higher
            return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024

        before, began = peak(), time.process_time()
        try:
            recording = open_recording({named}, {length})
            x = recording.read({read})
            assert x.shape[1:] == (2, recording.length)
        except AmcError as error:
            assert {refused!r} in str(error)
        print(peak() - before, time.process_time() - began)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    return tuple(float(figure) for figure in done.stdout.split())


def repeated(file: h5py.File, name: str, chunk: np.ndarray, count: int) -> None:
    """A compressed field of `count` rows, of which every chunk is the same."""
    field = file.create_dataset(name, (count, *chunk.shape[1:]), chunk.dtype, chunks=chunk.shape, compression="gzip")
    content = zlib.compress(chunk.tobytes())
    for start in range(0, count, len(chunk)):
        field.id.write_direct_chunk((start, *(0 for _ in chunk.shape[1:])), content)


def labels(file: h5py.File, count: int, chunk: int) -> None:
    """Y and Z of RadioML 2018.01A, all QPSK at 10 dB."""
    repeated(file, "Y", np.eye(24, dtype=np.int8)[np.full(chunk, 4)], count)
    repeated(file, "Z", np.full((chunk, 1), 10), count)


def test_files_larger_than_memory_are_read_instance_by_instance(tmp_path):
    count, chunk = 1 << 20, 1 << 10  # 8 GiB of samples, compressed
    path = tmp_path / "large.hdf5"
    with h5py.File(path, "w") as file:
        repeated(file, "X", np.ones((chunk, 1024, 2), np.float32), count)
        labels(file, count, 1 << 14)
    assert measured(path, None)[0] < 200
    large = write_sigmf(tmp_path / "large", instances(1, 1024), 1e6, "BPSK", 0)
    with open(tmp_path / "large.sigmf-data", "r+b") as file:
        file.seek(8 << 30)
        file.write(instances(1, 1024).tobytes())
    edit(large, lambda content: content["annotations"][0].update({"core:sample_count": (1 << 30) + 1024}))
    assert measured(large, None)[0] < 200


def test_instances_cut_to_a_few_samples_are_read_no_further(tmp_path):
    path = tmp_path / "long.hdf5"
    with h5py.File(path, "w") as file:
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple((16, 10**7, 2))
        x = h5py.Dataset(h5py.h5d.create(file.id, b"X", h5py.h5t.IEEE_F32LE, space, layout))  # 1.3 GB, a hole
        x[:, :128] = instances(16).transpose(0, 2, 1)
        labels(file, 16, 16)
    memory, seconds = measured(path, 128, "range(16)")
    assert memory < 60 and seconds < 2


def test_a_claim_beyond_the_file_takes_no_memory(tmp_path):
    path = tmp_path / "claim.hdf5"
    with h5py.File(path, "w") as file:
        for name, shape in (("X", (1024, 2)), ("Y", (24,)), ("Z", (1,))):
            file.create_dataset(name, (2_000_000_000, *shape), np.int8, chunks=(64, *shape), compression="gzip")
    assert path.stat().st_size < 20_000
    memory, seconds = measured(path, 128)
    assert memory < 60 and seconds < 2


def test_what_is_compressed_twice_takes_no_memory(tmp_path):
    path, chunk = tmp_path / "twice.hdf5", 1 << 26
    content = zlib.compress(zlib.compress(bytes(chunk), 9), 9)
    with h5py.File(path, "w") as file:
        for name, shape in (("signals", (2, 1)), ("modulations", ()), ("snr", ())):
            layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            layout.set_chunk((chunk // 2 ** bool(shape), *shape))
            layout.set_deflate(9)
            layout.set_deflate(9)
            space = h5py.h5s.create_simple((4 * chunk, *shape))
            field = h5py.h5d.create(file.id, name.encode(), h5py.h5t.NATIVE_INT8, space, layout)
            for start in range(0, 4 * chunk, chunk // 2 ** bool(shape)):
                field.write_direct_chunk((start, *(0 for _ in shape)), content)
        file["classes"] = np.array([b"BPSK"])
    assert path.stat().st_size < 20_000
    memory, seconds = measured(path, None)
    assert memory < 60 and seconds < 2


@pytest.mark.parametrize("what", ["numbers", "header"])
def test_of_a_compressed_array_no_more_is_read_than_it_claims(tmp_path, what):
    path = tmp_path / "much.npz"
    np.savez(path, Y=np.zeros(4, np.int64))
    array = io.BytesIO()
    np.save(array, np.ones((4, 2, 8), np.float32))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("X.npy", "w") as file:
        file.write(array.getvalue() if what == "numbers" else b"\x93NUMPY\x02\x00" + (1 << 29).to_bytes(4, "little"))
        for _ in range(32):
            file.write(b" " * (1 << 24))
    told = {"iq": "X", "label": "Y", "classes": ["BPSK"]}
    assert measured(path, None, refused="X.npy is damaged", **told)[0] < 60
    if what == "numbers":
        assert len(open_recording(ReadPath(str(path), Reading(**told)))) == 4


@pytest.mark.parametrize("compressed", [False, True])
def test_a_cell_that_claims_more_than_the_file_takes_no_memory(tmp_path, compressed):
    path, labels = tmp_path / "cells.mat", np.full((4, 1), "BPSK", object)
    labels[2, 0] = np.full((1, 77), "QPSK", object)
    scipy.io.savemat(path, {"X": np.ones((4, 2, 8)), "Y": labels})
    content = path.read_bytes()
    shape = np.array([1, 77], "<i4").tobytes()
    assert content.count(shape) == 1
    content = content.replace(shape, np.array([1, 50_000_000], "<i4").tobytes())
    if compressed:
        first, at = content[:128], 128 + 8 + int.from_bytes(content[132:136], "little")
        matrices = zlib.compress(content[128:at]), zlib.compress(content[at:])
        content = first + b"".join(np.array([15, len(m)], "<i4").tobytes() + m for m in matrices)
    path.write_bytes(content)
    refused = (
        "field 'Y' is a cell array with other cells than texts; allowed are complete numbers, texts and cell arrays"
    )
    assert measured(path, None, refused=refused, iq="X", label="Y")[0] < 60


def test_a_quarter_of_a_million_annotations_are_read_in_little_memory_and_time(tmp_path):
    count = 250_000
    meta = write_sigmf(tmp_path / "many", np.ones((1, 2, 8 * count)), 1e6, "QPSK", 0)

    annotation = '{{"core:sample_start": {}, "core:sample_count": 8, "core:label": "{}", "amc:snr_db": 10}}'
    many = ", ".join(annotation.format(8 * k, ("BPSK", "QPSK")[k % 2]) for k in range(count))
    edit(meta, lambda content: content.update(annotations="many"))
    meta.write_text(meta.read_text().replace('"many"', f"[{many}]"))
    memory, seconds = measured(meta, 8)
    assert memory < 80 and seconds < 5
