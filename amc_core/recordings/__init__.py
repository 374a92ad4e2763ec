"""Readers and writers of common dataset files: RadioML 2016, RadioML 2018.01A, AugMod, SigMF, arrays. Imports no torch.

`open_recording` gives the same `Recording` for every format: labels are read at once, samples when they are needed.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

import h5py

from amc_core.errors import AmcError
from amc_core.pieces import ARCHIVE, DATA, META
from amc_core.reading import Reading, reading_of
from amc_core.recordings.arrays import Arrays
from amc_core.recordings.hdf5 import open_hdf5, write_radioml2018
from amc_core.recordings.hdf5_fields import hdf5_arrays
from amc_core.recordings.layouts import apply_reading, recording_of
from amc_core.recordings.matlab import MAGIC as MATLAB
from amc_core.recordings.matlab import MAGIC_73 as MATLAB_73
from amc_core.recordings.matlab import mat_arrays
from amc_core.recordings.names import modulation_name
from amc_core.recordings.numpy_files import MAGIC as NUMPY
from amc_core.recordings.numpy_files import npy_arrays, npz_arrays
from amc_core.recordings.radioml2016 import open_radioml2016
from amc_core.recordings.raw import is_raw, raw_arrays
from amc_core.recordings.recording import Recording, fitted
from amc_core.recordings.sigmf import open_sigmf
from amc_core.recordings.sigmf_write import write_sigmf
from amc_core.recordings.text_files import csv_arrays

__all__ = ["Recording", "modulation_name", "open_recording", "write_radioml2018", "write_sigmf"]

_ALLOWED = (
    "allowed are a RadioML 2016 pickle, a RadioML 2018.01A or AugMod HDF5 file, "
    "a .sigmf-meta file or a .sigmf archive, a list of them, or a directory of them; if {file: …, "
    "iq: field, …} or {file: …, datatype: …} tells its fields, also .npz, .npy, .mat, .csv, HDF5, .cfile, .bin and .dat"
)
_ARCHIVES = (b"BZh", b"\x1f\x8b", b"PK\x03\x04", b"\xfd7zXZ")


def open_recording(
    path: str | os.PathLike | Sequence[str | os.PathLike],
    length: int | None = None,
    cut: bool = False,
    own: Collection[str] = (),
) -> Recording:
    """The instances of a file, whose kind follows from its content.

    path: a file, a directory of SigMF recordings, or a list of their .sigmf-meta files and .sigmf archives. length:
    samples of an instance; by default the length of the file's instances. RadioML and AugMod instances give their first
    `length` samples, or with `cut` as many consecutive instances as fit into each. SigMF annotations and long captures
    are always cut in consecutive instances (of 1024 samples by default). A `ReadPath` describes the fields of a file
    whose format does not. own: the user's own modulations, which labels may name.

    Raises AmcError for a file of an unknown format, or one that is cut short or violates its format.
    """
    if not isinstance(path, str | os.PathLike):
        if not path:
            raise AmcError(f"the list of files is empty; {_ALLOWED}")
        return open_sigmf([Path(one) for one in path], length)
    reading, path = reading_of(path), Path(path)
    if path.name.endswith(DATA):
        path = path.with_name(path.name.removesuffix(DATA) + META)
    try:
        if path.is_dir() or path.name.endswith(META):
            return open_sigmf([path], length, reading)
        with open(path, "rb") as file:
            head = file.read(512)
        if path.name.endswith(ARCHIVE) and head[257:262] == b"ustar":
            return open_sigmf([path], length, reading)
        if is_raw(path, reading):
            return recording_of(path, raw_arrays(path, reading.datatype), reading, length, cut, own)
        is_hdf5 = head.startswith(b"\x89HDF") or h5py.is_hdf5(path)
        if arrays := _named_arrays(path, head, is_hdf5, reading):
            return recording_of(path, arrays, reading, length, cut, own)
        head = head[:64].lstrip()
        if is_hdf5:
            return fitted(path, apply_reading(path, open_hdf5(path), reading), length, cut)
    except OSError as error:
        raise AmcError(f"{path} cannot be read: {error.strerror or error}; {_ALLOWED}") from None
    if head.removeprefix(b"\xef\xbb\xbf").startswith(b"{"):
        return open_sigmf([path], length, reading)
    if head.startswith((b"\x80", b"(", b"}", b"ccollections\n")):
        return fitted(path, apply_reading(path, open_radioml2016(path), reading), length, cut)
    what = "is an archive, which has to be unpacked" if head.startswith(_ARCHIVES) else "has no known format"
    raise AmcError(f"{path}: the file {what}; {_ALLOWED}")


def _named_arrays(path: Path, head: bytes, is_hdf5: bool, reading: Reading) -> Arrays | None:
    """The arrays of a file whose format does not describe them; None for any other format."""
    wanted = [reading.iq] if isinstance(reading.iq, str) else list(reading.iq or ())
    wanted += [name for name in (reading.label, reading.snr_db, reading.classes) if isinstance(name, str)]
    if head.startswith(NUMPY):
        return npy_arrays(path)
    if head.startswith(b"PK\x03\x04") and path.suffix == ".npz":
        return npz_arrays(path)
    if is_hdf5:
        matlab = head.startswith(MATLAB_73)
        return hdf5_arrays(path, wanted, matlab) if matlab or reading.iq else None
    if head.startswith(MATLAB) or path.suffix == ".mat":
        return mat_arrays(path, wanted)
    return csv_arrays(path, wanted) if path.suffix == ".csv" else None
