"""Readers and writers of the field's files: RadioML 2016, RadioML 2018.01A, AugMod, SigMF. Imports no torch.

Whatever the file, `open_recording` gives the same `Recording`: labels at once, samples when they are read.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import h5py

from amc_core.errors import AmcError
from amc_core.pieces import ARCHIVE, DATA, META
from amc_core.recordings.hdf5 import open_hdf5, write_radioml2018
from amc_core.recordings.names import modulation_name
from amc_core.recordings.radioml2016 import open_radioml2016
from amc_core.recordings.recording import Recording, fitted
from amc_core.recordings.sigmf import open_sigmf
from amc_core.recordings.sigmf_write import write_sigmf

__all__ = ["Recording", "modulation_name", "open_recording", "write_radioml2018", "write_sigmf"]

_ALLOWED = (
    "allowed are a RadioML 2016 pickle, a RadioML 2018.01A or AugMod HDF5 file, "
    "a .sigmf-meta file or a .sigmf archive, a list of them, or a directory of them"
)
_ARCHIVES = (b"BZh", b"\x1f\x8b", b"PK\x03\x04", b"\xfd7zXZ")


def open_recording(
    path: str | os.PathLike | Sequence[str | os.PathLike], length: int | None = None, cut: bool = False
) -> Recording:
    """The instances of a file; its kind is told by its content.

    path: a file, a directory of SigMF recordings, or a list of their .sigmf-meta files and .sigmf archives. length:
    samples of an instance; by default what the file's instances have. RadioML and AugMod instances give their first
    `length` samples, or with `cut` as many consecutive instances as go into each; what SigMF annotations mark is always
    cut in consecutive instances (of 1024 samples by default).
    Raises AmcError for a file that is of no known kind, cut short, or not as its kind should be.
    """
    if not isinstance(path, str | os.PathLike):
        if not path:
            raise AmcError(f"the list of files is empty; {_ALLOWED}")
        return open_sigmf([Path(one) for one in path], length)
    path = Path(path)
    if path.name.endswith(DATA):
        path = path.with_name(path.name.removesuffix(DATA) + META)
    try:
        if path.is_dir() or path.name.endswith(META):
            return open_sigmf([path], length)
        with open(path, "rb") as file:
            head = file.read(512)
        if path.name.endswith(ARCHIVE) and head[257:262] == b"ustar":
            return open_sigmf([path], length)
        head = head[:64].lstrip()
        if head.startswith(b"\x89HDF") or h5py.is_hdf5(path):
            return fitted(path, open_hdf5(path), length, cut)
    except OSError as error:
        raise AmcError(f"{path}: cannot be read: {error.strerror or error}; {_ALLOWED}") from None
    if head.removeprefix(b"\xef\xbb\xbf").startswith(b"{"):
        return open_sigmf([path], length)
    if head.startswith((b"\x80", b"(", b"}", b"ccollections\n")):
        return fitted(path, open_radioml2016(path), length, cut)
    what = "an archive, which has to be unpacked" if head.startswith(_ARCHIVES) else "of no known kind"
    raise AmcError(f"{path}: the file is {what}; {_ALLOWED}")
