"""Arrays of .npy and .npz files, mapped if they are not compressed; nothing in them is unpickled."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from amc_core.errors import AmcError
from amc_core.recordings.arrays import MOST_DEFLATED, Array, Arrays, InMemory, Mapped

MAGIC = b"\x93NUMPY"
_LOCAL_HEADER = 30  # bytes of a ZIP member's own header, before its name and its extra field
_LONGEST_HEADER = 1 << 14  # bytes; NumPy refuses longer ones
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def npy_arrays(path: Path) -> Arrays:
    """The array of a .npy file, named "array", or each field of a structured array."""
    with open(path, "rb") as file:
        shape, fortran, kind, size = _header(path, "the array", file)
        array = Mapped(path, size, kind, shape, fortran)
    _require_whole(path, "the array", shape, kind, path.stat().st_size - array.offset)
    if kind.names is None or (len(kind.names) == 2 and set(kind.names) in ({"r", "i"}, {"real", "imag"})):
        return {"array": array}
    return {name: Mapped(path, array.offset, kind, shape, fortran, name) for name in kind.names}


def npz_arrays(path: Path) -> Arrays:
    """The arrays of a .npz file."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
            if not members:
                raise AmcError(f"{path}: the archive has no .npy files; allowed is what numpy.savez writes")
            return {member.filename.removesuffix(".npy"): _member(path, archive, member) for member in members}
    except AmcError:
        raise
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, zipfile.zlib.error) as error:
        raise AmcError(f"{path}: the archive is damaged or cut short ({error}); allowed is a whole one") from None


def _member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array:
    name = member.filename
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or member.flag_bits & 1:
        raise AmcError(f"{path}: {name} is encrypted or compressed in another way; allowed is what numpy.savez writes")
    with archive.open(member) as file:
        shape, fortran, kind, header = _header(path, name, file)
        most = member.compress_size * (MOST_DEFLATED if member.compress_type else 1)
        _require_whole(path, name, shape, kind, min(member.file_size, most + 1024) - header)
    if member.compress_type:
        with archive.open(member) as file:
            file.read(header)
            values = np.frombuffer(file.read(math.prod(shape) * kind.itemsize), kind, math.prod(shape))
        return InMemory(values.reshape(shape, order="F" if fortran else "C"))
    with open(path, "rb") as file:
        file.seek(member.header_offset)
        local = file.read(_LOCAL_HEADER)
    behind = int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
    return Mapped(path, member.header_offset + _LOCAL_HEADER + behind + header, kind, shape, fortran)


def _header(path: Path, name: str, file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Shape, order and type of an array, and the size of its header in bytes."""
    try:
        file = io.BytesIO(file.read(_LONGEST_HEADER))
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f"version {version[0]}.{version[1]}")
        shape, fortran, kind = _HEADERS[version](file)
        if any(type(size) is not int or size < 0 for size in shape):
            raise ValueError(f"shape {shape}")
    except (ValueError, EOFError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        what = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise AmcError(f"{path}: {name} is damaged or cut short ({what}); allowed is what NumPy writes") from None
    if kind.hasobject:
        raise AmcError(f"{path}: {name} holds Python objects, which can run code; allowed are numbers and texts")
    return shape, fortran, kind, file.tell()


def _require_whole(path: Path, name: str, shape: tuple[int, ...], kind: np.dtype, there: int) -> None:
    claimed = math.prod(shape) * kind.itemsize
    if claimed > there or kind.itemsize == 0:
        what = f"{name} claims the shape {shape} of {kind}, {claimed} bytes, but the file has {max(there, 0)}"
        raise AmcError(f"{path}: {what}; allowed is a whole array")
