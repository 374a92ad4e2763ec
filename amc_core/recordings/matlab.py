"""Arrays of MATLAB's .mat files up to version 7, read by SciPy; files of version 7.3 are HDF5."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import scipy.io

from amc_core.errors import AmcError
from amc_core.recordings.arrays import MOST_DEFLATED, Arrays, InMemory

MAGIC = b"MATLAB 5.0 MAT-file"
MAGIC_73 = b"MATLAB 7.3 MAT-file"
_READ = ("double", "single", "logical", "char", "cell", *(f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)))
_COMPRESSED, _MATRIX, _CELL, _CHAR = 15, 14, 1, 4  # types of elements, and classes of matrices
_FILE_HEADER, _MOST_HEADER = 128, 1 << 12  # bytes of the file's header, and bytes of a matrix read for its header


def mat_arrays(path: Path, wanted: list[str]) -> Arrays:
    """The variables of a .mat file that is not HDF5; those that are not `wanted` have a shape only."""
    try:
        listed = scipy.io.whosmat(str(path))
        known, kinds = {name: shape for name, shape, _ in listed}, {name: kind for name, _, kind in listed}
        for name in set(known).intersection(wanted):
            if kinds[name] not in _READ:
                raise AmcError(f"field {name!r} is of class {kinds[name]}")
            if math.prod(known[name]) > MOST_DEFLATED * path.stat().st_size:
                raise AmcError(f"field {name!r} claims the shape {known[name]}, more than the file can hold")
        _require_texts(path, {name for name in wanted if kinds.get(name) == "cell"})
        read = scipy.io.loadmat(str(path), variable_names=wanted, chars_as_strings=True) if wanted else {}
    except AmcError as error:
        raise AmcError(f"{path}: {error}; allowed are complete numbers, texts and cell arrays of texts") from None
    except Exception as error:  # a damaged file can fail in any way
        what = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise AmcError(f"{path}: the MATLAB file is damaged or cut short ({what}); allowed is a whole one") from None
    empty = {name: InMemory(np.broadcast_to(np.zeros((), np.uint8), shape)) for name, shape in known.items()}
    return empty | {name: InMemory(_plain(path, name, read[name])) for name in wanted if name in read}


def _require_texts(path: Path, names: set[str]) -> None:
    """Raise AmcError unless the cell arrays of these names have all their cells, each a text.

    SciPy allocates as many cells as a file claims, within cells as well, before it checks that the file holds them.
    """
    if not names:
        return
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(_FILE_HEADER - 2)
        order = "<" if file.read(2) == b"IM" else ">"
        while file.tell() + 8 <= size:
            kind, count = struct.unpack(order + "II", file.read(8))
            following = file.tell() + count
            content = file.read(min(count, _MOST_HEADER))
            if kind == _COMPRESSED:
                content = zlib.decompressobj().decompress(content, _MOST_HEADER)
                content = content[8:]
            class_, shape, name, _ = _matrix(order, content)
            if class_ == _CELL and name in names:
                file.seek(following - count)
                content = file.read(count)
                content = zlib.decompress(content)[8:] if kind == _COMPRESSED else content
                _, _, _, at = _matrix(order, content)
                cells = [_matrix(order, content[first:end])[0] for first, end in _elements(order, content, at)]
                if len(cells) != math.prod(shape) or any(cell != _CHAR for cell in cells):
                    raise AmcError(f"field {name!r} is a cell array with other cells than texts")
            file.seek(following)


def _matrix(order: str, content: bytes) -> tuple[int, tuple[int, ...], str, int]:
    """Class, shape and name of a matrix, and the offset of its numbers or cells in its bytes."""
    (_, flags), (_, shape), (at, name) = (part for part in _parts(order, content, 3))
    dimensions = struct.unpack(f"{order}{len(shape) // 4}i", shape)
    return flags[0 if order == "<" else 3], dimensions, name.decode("latin-1"), at


def _parts(order: str, content: bytes, count: int) -> Iterator[tuple[int, bytes]]:
    """The first elements of a matrix: the offset of the next element, and the bytes of this one."""
    at = 0
    for _ in range(count):
        (tag,) = struct.unpack_from(order + "I", content, at)
        if tag >> 16:  # a short element, in its own tag
            first, size, after = at + 4, tag >> 16, at + 8
        else:
            (size,) = struct.unpack_from(order + "I", content, at + 4)
            first, after = at + 8, at + 8 + size + -size % 8
        if first + size > len(content):
            raise AmcError("the file ends within a variable")
        yield after, content[first : first + size]
        at = after


def _elements(order: str, content: bytes, at: int) -> Iterator[tuple[int, int]]:
    """First and end offset of each matrix in the cells."""
    while at < len(content):
        kind, size = struct.unpack_from(order + "II", content, at)
        if kind != _MATRIX or at + 8 + size > len(content):
            raise AmcError("the file ends within a cell")
        yield at + 8, at + 8 + size
        at += 8 + size


def _plain(path: Path, name: str, values: np.ndarray) -> np.ndarray:
    """Numbers, or (n,) texts of a cell array or of the rows of a char array."""
    if values.dtype == object:
        cells = [entry.ravel() if isinstance(entry, np.ndarray) else None for entry in values.ravel()]
        if any(cell is None or len(cell) != 1 or cell.dtype.kind != "U" for cell in cells):
            raise AmcError(
                f"{path}: field {name!r} is a cell array with other cells than texts; allowed are numbers and texts"
            )
        return np.array([str(cell[0]) for cell in cells])
    if values.dtype.kind == "U":
        return np.char.strip(values.ravel())
    if values.dtype.kind not in "fiubc":
        raise AmcError(f"{path}: field {name!r} has type {values.dtype}; allowed are numbers and texts")
    return values
