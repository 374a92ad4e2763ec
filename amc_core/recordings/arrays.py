"""Arrays of files by name, which are read in parts, and their content: I/Q, labels, SNRs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from amc_core.errors import AmcError, printable, suggest

MOST_DEFLATED = 1100  # the largest ratio by which deflation can compress


class Array(Protocol):
    """An array in a file. It holds no open file, so that a recording can be sent to another process."""

    shape: tuple[int, ...]
    dtype: np.dtype

    def read(self, *index: slice) -> np.ndarray:
        """The values that slices along the first axes select; without slices, all of them."""


Arrays = Mapping[str, Array]  # by the names of the fields


@dataclass(frozen=True, eq=False)
class InMemory:
    """An array that has been read completely, because its file is compressed or a text."""

    values: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    @property
    def dtype(self) -> np.dtype:
        return self.values.dtype

    def read(self, *index: slice) -> np.ndarray:
        return self.values[index]


@dataclass(frozen=True, eq=False)
class Mapped:
    """An array that a file stores as memory does, from byte `offset` on.

    stored, extent: its type and shape in the file. fortran: is it in Fortran's order? column: the column of a
    structured type that is read.
    """

    path: Path
    offset: int
    stored: np.dtype
    extent: tuple[int, ...]
    fortran: bool = False
    column: str | None = None

    @property
    def dtype(self) -> np.dtype:
        return self.stored if self.column is None else self.stored[self.column].base

    @property
    def shape(self) -> tuple[int, ...]:
        return self.extent if self.column is None else self.extent + self.stored[self.column].shape

    def read(self, *index: slice) -> np.ndarray:
        order = "F" if self.fortran else "C"
        try:
            whole = np.memmap(self.path, self.stored, "r", self.offset, self.extent, order)
        except (OSError, ValueError) as error:
            raise AmcError(f"{self.path} cannot be read ({error}): it may have changed since it was opened") from None
        part = np.array(whole[index])
        return part if self.column is None else part[self.column]


def named(path: Path, arrays: Arrays, name: str, what: str) -> Array:
    """The array of the name given for `what`. Raises AmcError with the known names if there is none."""
    if name not in arrays:
        hint = suggest(name, [*map(printable, arrays)]) if arrays else "; it has none"
        raise AmcError(f"{path}: {what} is given as field {name!r}, which the file does not have{hint:.300}")
    return arrays[name]


def untold(path: Path, arrays: Arrays) -> AmcError:
    """The error for a file whose fields nobody has described."""
    fields = ", ".join(f"{printable(name)} {array.shape}" for name, array in arrays.items())
    how = f"recording: {{file: {path.name}, iq: FIELD, label: FIELD, snr_db: FIELD, classes: [BPSK, …]}}"
    return AmcError(f"{path}: the format does not say what its fields are ({fields:.300}): describe them as {how}")


def is_complex(dtype: np.dtype) -> bool:
    """Is it a type of complex numbers, or of pairs of numbers, which other programs write?"""
    pair = dtype.names is not None and len(dtype.names) == 2
    return dtype.kind == "c" or (pair and all(dtype[name].kind in "fiu" for name in dtype.names))


def as_iq(x: np.ndarray, axis: int | None) -> np.ndarray:
    """Complex (..., n), or real with I and Q along `axis` → (..., 2, n) float64."""
    if axis is not None:
        return np.moveaxis(x, axis, -2).astype(np.float64)
    if x.dtype.names is not None:
        i, q = (x[name] for name in x.dtype.names)
    else:
        i, q = x.real, x.imag
    return np.stack([i, q], axis=-2).astype(np.float64)


def texts(values: np.ndarray) -> list[str] | None:
    """The strings in an array of strings or bytes; None for an array of anything else."""
    flat = values.ravel()
    if values.dtype.kind == "S" or (values.dtype.kind == "O" and all(isinstance(v, bytes) for v in flat)):
        return [value.decode("utf-8", "replace") for value in flat]
    if values.dtype.kind == "U" or (values.dtype.kind == "O" and all(isinstance(v, str) for v in flat)):
        return [str(value) for value in flat]
    return None
