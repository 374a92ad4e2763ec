"""Arrays of MATLAB's .mat files: to version 7 by SciPy, of version 7.3, which are HDF5, by h5py."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import scipy.io

from amc_core.errors import AmcError
from amc_core.recordings.arrays import Arrays, InMemory
from amc_core.recordings.numpy_files import MOST_DEFLATED

MAGIC = b"MATLAB 5.0 MAT-file"
MAGIC_73 = b"MATLAB 7.3 MAT-file"


def mat_arrays(path: Path, wanted: list[str]) -> Arrays:
    """The variables of a .mat file that is not HDF5; those that are not `wanted` have a shape alone."""
    try:
        known = {name: shape for name, shape, kind in scipy.io.whosmat(str(path))}
        for name in set(known).intersection(wanted):
            if math.prod(known[name]) > MOST_DEFLATED * path.stat().st_size:
                raise AmcError(f"field {name!r} claims the shape {known[name]}, more than the file can hold")
        read = scipy.io.loadmat(str(path), variable_names=wanted, chars_as_strings=True) if wanted else {}
    except Exception as error:  # a damaged file can fail in any way
        what = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise AmcError(f"{path}: the MATLAB file is damaged or cut short ({what}); allowed is a whole one") from None
    empty = {name: InMemory(np.broadcast_to(np.zeros((), np.uint8), shape)) for name, shape in known.items()}
    return empty | {name: InMemory(_plain(path, name, read[name])) for name in wanted if name in read}


def _plain(path: Path, name: str, values: np.ndarray) -> np.ndarray:
    """Numbers, or (n,) texts of a cell array or of the rows of a char array."""
    if values.dtype == object:
        cells = [entry.ravel() if isinstance(entry, np.ndarray) else None for entry in values.ravel()]
        if any(cell is None or len(cell) != 1 or cell.dtype.kind != "U" for cell in cells):
            raise AmcError(f"{path}: field {name!r} is a cell array of other things; allowed are numbers and texts")
        return np.array([str(cell[0]) for cell in cells])
    if values.dtype.kind == "U":
        return np.char.strip(values.ravel())
    if values.dtype.kind not in "fiubc":
        raise AmcError(f"{path}: field {name!r} has type {values.dtype}; allowed are numbers and texts")
    return values
