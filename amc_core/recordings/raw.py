"""Raw files of samples, alternating I and Q, as GNU Radio's file sink and many receivers write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from amc_core.errors import AmcError
from amc_core.reading import DATATYPES, Reading
from amc_core.recordings.arrays import Arrays, Mapped

_SUFFIXES = (".cfile", ".bin", ".dat")
_TYPES = {"complex64": np.dtype("<c8"), "int16": np.dtype([("I", "<i2"), ("Q", "<i2")])}


def is_raw(path: Path, reading: Reading) -> bool:
    """Is a file raw, by its name and reading? A file that ends in .dat may be anything, such as RadioML 2016.10B."""
    return bool(reading.datatype) or (reading.label is not None and path.suffix in _SUFFIXES)


def raw_arrays(path: Path, datatype: str | None) -> Arrays:
    """The samples of a raw file, as the field "samples"; a .cfile is complex64 unless the reading says otherwise."""
    if datatype is None and path.suffix == ".cfile":
        datatype = "complex64"
    if datatype is None:
        raise AmcError(f"{path}: datatype is not given; allowed beside file are {' and '.join(DATATYPES)}")
    kind, size = _TYPES[datatype], path.stat().st_size
    if size % kind.itemsize or not size:
        whole = f"whole {datatype} samples of {kind.itemsize} bytes"
        raise AmcError(f"{path}: the size is {size} bytes; allowed are {whole}")
    return {"samples": Mapped(path, 0, kind, (size // kind.itemsize,))}
