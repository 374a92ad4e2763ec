"""RadioML 2016.04C, 2016.10A and 2016.10B: a pickle of {(modulation, snr): float32 array (n, 2, 128)}.

Python 2 wrote the published files; subsets that users pickle again may have any protocol up to 5.

A pickle is a program: it names functions and calls them. This unpickler gives it none of Python's or NumPy's
functions. Stand-ins replace the few names that a pickled array needs; they record the array's type and shape and check
them against the bytes in the file. Every other name, and every instruction that plain data does not need, is refused.
So nothing in a file can run, or make us allocate more than the file's size.
"""

from __future__ import annotations

import math
import os
import pickle
import re
import struct
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

from amc_core.errors import AmcError
from amc_core.fingerprint import content_digest
from amc_core.recordings.names import modulation_name
from amc_core.recordings.recording import Recording

_ALLOWED = "allowed is a pickled dictionary {(modulation, snr): float32 array (n, 2, 128)}"

# For numbers, strings, tuples, a dictionary, frames, the memo, and the three that make an array: GLOBAL, REDUCE, BUILD.
_INSTRUCTIONS = (
    "PROTO FRAME STOP MARK NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 FLOAT BINFLOAT "
    "STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8 "
    "TUPLE EMPTY_TUPLE TUPLE1 TUPLE2 TUPLE3 DICT EMPTY_DICT SETITEM SETITEMS "
    "PUT BINPUT LONG_BINPUT GET BINGET LONG_BINGET MEMOIZE GLOBAL STACK_GLOBAL REDUCE BUILD"
).split()


class _Refused(Exception):
    """What a pickle does or holds that is not allowed, as the predicate of an error sentence."""


class _StandIn:
    """The replacement of a function that a pickle names."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[..., Any]):
        self.call = call

    def __call__(self, *arguments):
        return self.call(*arguments)

    def __setstate__(self, state):
        raise _Refused("changes a function")


class _Type:
    """A NumPy number type, from its code ("f4") and byte order, or a string type ("U5"), for names."""

    __slots__ = ("code", "order")

    def __init__(self, code, *_flags):
        self.code, self.order = _text(code), "<"
        if self.code not in _NUMBERS and not re.fullmatch(r"U\d{1,3}", self.code):
            raise _Refused(f"holds an array of type {self.code!r}")

    def __setstate__(self, state):
        self.order = _text(state[1])
        if self.order not in ("<", ">", "|", "="):
            raise _Refused(f"holds an array of byte order {self.order!r}")

    def numpy(self) -> np.dtype:
        return np.dtype(self.order + self.code)


class _Array:
    """A NumPy array, after its state was set."""

    __slots__ = ("values",)

    def __init__(self, kind, *_placeholder):
        if kind is not _NDARRAY:
            raise _Refused("reconstructs something other than an array")
        self.values = None

    def __setstate__(self, state):
        _, shape, kind, fortran, content = state
        kind, content = kind.numpy(), _bytes(content)
        if not (isinstance(shape, tuple) and all(type(n) is int and n >= 0 for n in shape)):
            raise _Refused("holds an array whose shape is not a tuple of sizes")
        if math.prod(shape) * kind.itemsize != len(content):
            raise _Refused(f"holds an array of shape {shape} and type {kind} in {len(content)} bytes")
        self.values = np.frombuffer(content, kind).reshape(shape, order="F" if fortran else "C")

    @classmethod
    def from_buffer(cls, content, kind, shape, order, axes=None):
        """A contiguous array as protocol 5 writes it; since NumPy 2.3, its axes may be in any order."""
        array = cls(_NDARRAY)
        array.__setstate__((1, shape, kind, _text(order) == "F", content))
        if axes is not None:
            array.values = array.values.transpose(axes)
        return array


class _Entries(dict):
    """The dictionary; keys are checked before Python hashes them, since nested tuples could take endless time."""

    __slots__ = ()

    def __setitem__(self, key, value):
        if not (isinstance(key, tuple) and len(key) == 2 and isinstance(key[0], str | bytes)):
            raise _Refused("has a key that is not (modulation, snr)")
        modulation, snr_db = _text(key[0]), key[1]
        if type(snr_db) not in (int, float) or not abs(snr_db) < 1e6:
            raise _Refused(f"has an SNR at {modulation!r} that is not a number of dB")
        array = value.values if isinstance(value, _Array) else None
        if (modulation, snr_db) in self:
            raise _Refused(f"has {(modulation, snr_db)} twice, perhaps as text and as bytes")
        if array is None or array.ndim != 3 or array.shape[1] != 2 or not array.shape[2] or array.dtype.kind != "f":
            what = "no array" if array is None else f"an array of shape {array.shape} and type {array.dtype}"
            raise _Refused(f"has {what} at {(modulation, snr_db)}")
        super().__setitem__((modulation, snr_db), array)


def _text(value) -> str:
    """A string of Python 2, which is bytes, or of Python 3."""
    return value.decode("latin-1") if isinstance(value, bytes) else str.__str__(value)


def _bytes(value) -> bytes | bytearray:
    return value if isinstance(value, bytes | bytearray) else str.encode(value, "latin-1")


def _scalar(kind: _Type, content) -> int | float | str:
    return np.frombuffer(_bytes(content), kind.numpy(), 1)[0].item()


def _encode(text: str, encoding="latin-1") -> bytes:
    """Bytes as Python 3 writes them for Python 2."""
    if _text(encoding) not in ("latin1", "latin-1"):
        raise _Refused("encodes text in another way than latin-1")
    return _bytes(text)


def _ordered_dictionary() -> _Entries:
    """An empty OrderedDict, which the pickle fills later; the order of entries does not matter."""
    return _Entries()


_NUMBERS = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")
_NDARRAY = object()  # only _reconstruct makes arrays: the class itself cannot be called
_STAND_INS = {
    ("numpy", "ndarray"): lambda: _NDARRAY,
    ("numpy", "dtype"): lambda: _StandIn(_Type),
    ("_codecs", "encode"): lambda: _StandIn(_encode),
    ("collections", "OrderedDict"): lambda: _StandIn(_ordered_dictionary),
}
for _package in ("numpy.core", "numpy._core"):  # before NumPy 2, and since
    _STAND_INS[f"{_package}.multiarray", "_reconstruct"] = lambda: _StandIn(_Array)
    _STAND_INS[f"{_package}.multiarray", "scalar"] = lambda: _StandIn(_scalar)
    _STAND_INS[f"{_package}.numeric", "_frombuffer"] = lambda: _StandIn(_Array.from_buffer)


class _Instructions(dict):
    """Code of an instruction → method."""

    def __missing__(self, code):
        raise _Refused(f"uses the instruction {chr(code)!a}, which plain data does not need")


class _Unpickler(pickle._Unpickler):
    """Python's own unpickler in Python, with the instructions that plain data needs.

    The one in C is unsafe for files from outside: twenty bytes that number a memo entry 2³² make it fill 64 GB.
    """

    def load_empty_dictionary(self):
        self.append(_Entries())

    def load_dictionary(self):
        items, entries = self.pop_mark(), _Entries()
        for key, value in zip(items[::2], items[1::2], strict=True):
            entries[key] = value
        self.append(entries)

    def load_bytes_to_change(self):
        """A bytearray, which Python would allocate before it checks that the file is long enough."""
        (length,) = struct.unpack("<Q", self.read(8))
        content = self.read(length)
        if len(content) < length:
            raise EOFError
        self.append(content)

    dispatch: ClassVar = _Instructions(
        {code: pickle._Unpickler.dispatch[code] for code in (getattr(pickle, name)[0] for name in _INSTRUCTIONS)}
        | {pickle.EMPTY_DICT[0]: load_empty_dictionary, pickle.DICT[0]: load_dictionary}
        | {pickle.BYTEARRAY8[0]: load_bytes_to_change}
    )

    def find_class(self, module: str, name: str):
        if (module, name) not in _STAND_INS:
            raise _Refused(f"calls {f'{module}.{name}'!a:.80}")
        return _STAND_INS[module, name]()


class _Bounded:
    """A file that never reads or allocates more than its size."""

    def __init__(self, file: BinaryIO):
        self.file, self.size = file, os.fstat(file.fileno()).st_size

    def read(self, count: int) -> bytes:
        return self.file.read(min(count, self.size - self.file.tell()))

    def readline(self) -> bytes:
        line = self.file.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        return line


@dataclass(frozen=True)
class _Arrays:
    """The arrays of a pickle in a sequence; starts: the position of each array's first instance."""

    path: Path
    keys: list[tuple[str, float]]
    arrays: list[np.ndarray]
    starts: list[int]

    def fetch(self, positions: np.ndarray, length: int) -> np.ndarray:
        out = np.empty((len(positions), 2, length))
        for row, position in enumerate(positions):
            index = bisect_right(self.starts, position) - 1
            out[row] = self.arrays[index][position - self.starts[index], :, :length]
        return out

    def describe(self, position: int) -> str:
        index = bisect_right(self.starts, position) - 1
        return f"{self.path}: instance {position - self.starts[index]} of {self.keys[index]}"

    def spans(self, positions: np.ndarray) -> dict[str, np.ndarray]:
        return {content_digest(self.path): np.stack([positions, positions + 1], axis=1)}


def open_radioml2016(path: Path) -> Recording:
    """A RadioML 2016 pickle, in memory; instances are ordered by modulation, then SNR, then as in the file."""
    entries = _load(path)
    keys = sorted((key for key in entries if len(entries[key])), key=lambda key: (modulation_name(key[0]), key[1]))
    arrays = [entries[key] for key in keys]
    if not keys:
        raise AmcError(f"{path}: the pickle holds no instances; {_ALLOWED}")
    for key, array in zip(keys, arrays, strict=True):
        if array.shape[2] != arrays[0].shape[2]:
            what = f"the array at {key} has {array.shape[2]} samples an instance and the one at {keys[0]} has"
            raise AmcError(f"{path}: {what} {arrays[0].shape[2]}; allowed is one length")
    spellings: dict[str, str] = {}  # our name → the file's
    for name, _ in keys:
        other = spellings.setdefault(modulation_name(name), name)
        if other != name:
            raise AmcError(f"{path}: {other!r} and {name!r} are two spellings of one modulation; {_ALLOWED}, each once")
    names = [modulation_name(name) for name, _ in keys]
    modulations = tuple(sorted(spellings))
    counts = [len(array) for array in arrays]
    starts = np.cumsum([0, *counts[:-1]]).tolist()
    return Recording(
        modulations=modulations,
        length=arrays[0].shape[2],
        modulation=np.repeat([modulations.index(name) for name in names], counts),
        snr_db=np.repeat([float(snr_db) for _, snr_db in keys], counts),
        sample_rate=np.full(sum(counts), np.nan),
        source=_Arrays(path, keys, arrays, starts),
        spelled=tuple(spellings[name] for name in modulations),
    )


def _load(path: Path) -> _Entries:
    try:
        with open(path, "rb") as file:
            entries = _Unpickler(_Bounded(file), encoding="bytes").load()
    except _Refused as refusal:
        raise AmcError(f"{path}: the pickle {refusal}; {_ALLOWED}") from None
    except Exception as error:  # a damaged pickle can fail in any way
        raise AmcError(f"{path}: the pickle is damaged or cut short ({error!r:.200}); {_ALLOWED}") from None
    if not isinstance(entries, _Entries):
        raise AmcError(f"{path}: the pickle holds a {type(entries).__name__}; {_ALLOWED}")
    return entries
