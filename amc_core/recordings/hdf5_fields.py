"""Arrays of HDF5 files, including MATLAB 7.3, whose fields a user has named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from amc_core.errors import AmcError
from amc_core.recordings.arrays import Arrays, InMemory
from amc_core.recordings.hdf5 import opened_hdf5, require_written

_CHARS = "MATLAB_class"


@dataclass(frozen=True, eq=False)
class _Stored:
    """An array in an HDF5 file; reversed: are its axes reversed, as MATLAB writes them?"""

    path: Path
    field: str
    shape: tuple[int, ...]
    dtype: np.dtype
    reversed: bool

    def read(self, *index: slice) -> np.ndarray:
        with opened_hdf5(self.path) as file:
            if not self.reversed:
                return file[self.field][index]
            around = (..., *reversed(index)) if index else ...
            return file[self.field][around].T


def hdf5_arrays(path: Path, wanted: list[str], matlab: bool = False) -> Arrays:
    """The data sets of an HDF5 file by their names, those in groups as "group/name".

    Raises AmcError if one of the `wanted` is a link, or claims more values than the file holds.
    """
    arrays = {}
    with opened_hdf5(path) as file:
        for name in _names(file):
            field = file[name]
            if name in wanted:
                if field.is_virtual or field.external:
                    raise AmcError(
                        f"{path}: field {name!r} is stored elsewhere; allowed is a data set in the file itself"
                    )
                require_written(path, name, field)
            if matlab and name in wanted and field.attrs.get(_CHARS) in (b"cell", b"char"):
                arrays[name] = InMemory(_texts(path, name, file, field))
            else:
                shape = field.shape[::-1] if matlab else field.shape
                arrays[name] = _Stored(path, name, shape, field.dtype, matlab)
    return arrays


def _names(group: h5py.Group, before: str = "") -> list[str]:
    """The names of the data sets in a group and in those below it; links are left out."""
    names = []
    for name in group:
        if name.startswith("#") or not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        entry = group[name]
        if isinstance(entry, h5py.Dataset) and entry.shape is not None:
            names.append(before + name)
        elif isinstance(entry, h5py.Group) and before.count("/") < 8:
            names += _names(entry, f"{before}{name}/")
    return names


def _texts(path: Path, name: str, file: h5py.File, field: h5py.Dataset) -> np.ndarray:
    """(n,) texts of a cell array, whose entries are references to char arrays, or the one text of a char array."""
    if field.attrs[_CHARS] == b"char":
        return np.array(["".join(map(chr, field[()].T.ravel()))])
    entries = [file[reference] for reference in field[()].T.ravel()]
    if any(entry.attrs.get(_CHARS) != b"char" for entry in entries):
        raise AmcError(
            f"{path}: field {name!r} is a cell array with other cells than texts; allowed are numbers and texts"
        )
    return np.array(["".join(map(chr, entry[()].T.ravel())) for entry in entries])
