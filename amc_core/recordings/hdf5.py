"""HDF5 files: RadioML 2018.01A (read and written) and AugMod (read).

Only labels are read when a file is opened; samples are read instance by instance.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from amc_core.errors import AmcError
from amc_core.fingerprint import content_digest
from amc_core.recordings.arrays import MOST_DEFLATED
from amc_core.recordings.atomic import replacing
from amc_core.recordings.names import modulation_names
from amc_core.recordings.recording import Recording, per_instance

# The columns of Y. The classes.txt that comes with the file lists the 24 in another order, which does not fit the
# signals (github.com/radioML/dataset issue 25: what it calls QPSK is on-off keying). This order is that of the paper
# (O'Shea, Roy, Clancy 2018, the 24 "difficult" classes) and of the corrected classes-fixed.json that comes with later
# copies of the data set.
RADIOML2018_CLASSES = (
    *("OOK", "4ASK", "8ASK", "BPSK", "QPSK", "8PSK", "16PSK", "32PSK", "16APSK", "32APSK", "64APSK", "128APSK"),
    *("16QAM", "32QAM", "64QAM", "128QAM", "256QAM", "AM-SSB-WC", "AM-SSB-SC", "AM-DSB-WC", "AM-DSB-SC"),
    *("FM", "GMSK", "OQPSK"),
)
# The attribute that names the columns of Y in files that we wrote.
_CLASSES = "amc_modulations"

_RADIOML2018 = ("X", "Y", "Z")
_AUGMOD = ("signals", "modulations", "snr", "classes", "frequency_offsets")
_LAYOUTS = f"allowed are RadioML 2018.01A ({', '.join(_RADIOML2018)}) and AugMod ({', '.join(_AUGMOD)})"

_LABEL_ROWS = 1 << 16  # rows of labels read at a time
_CHUNK_BYTES = 1 << 17  # size of the chunks that we write
_LARGEST_CHUNK = 1 << 30  # bytes of a chunk that we read


@dataclass(frozen=True)
class _Signals:
    """A field of instances, (n, 2, samples), or (n, samples, 2) if time_first is set."""

    path: Path
    field: str
    time_first: bool

    def fetch(self, positions: np.ndarray, length: int) -> np.ndarray:
        order = np.argsort(positions, kind="stable")
        ordered = positions[order]
        with opened_hdf5(self.path) as file:
            dataset = file[self.field]
            out = np.empty((len(positions), 2, length))
            for rows in np.split(np.arange(len(order)), np.flatnonzero(np.diff(ordered) != 1) + 1):
                if len(rows):
                    run = slice(ordered[rows[0]], ordered[rows[-1]] + 1)
                    if self.time_first:
                        out[order[rows]] = dataset[run, :length].transpose(0, 2, 1)
                    else:
                        out[order[rows]] = dataset[run, :, :length]
        return out

    def describe(self, position: int) -> str:
        return f"{self.path}: instance {position} of field {self.field!r}"

    def spans(self, positions: np.ndarray) -> dict[str, np.ndarray]:
        return {content_digest(self.path): np.stack([positions, positions + 1], axis=1)}


def open_hdf5(path: Path) -> Recording:
    """A RadioML 2018.01A or AugMod file, recognised by its fields."""
    with opened_hdf5(path) as file:
        if set(_AUGMOD[:4]) & set(file):
            return _open_augmod(path, file)
        if set(_RADIOML2018) & set(file):
            return _open_radioml2018(path, file)
        raise AmcError(f"{path}: the fields are {', '.join(file)[:200]!r}; {_LAYOUTS}")


def _open_radioml2018(path: Path, file: h5py.File) -> Recording:
    x, y, z = (_field(path, file, name) for name in _RADIOML2018)
    if x.ndim != 3 or x.shape[2] != 2:
        raise AmcError(f"{path}: field 'X' has shape {x.shape}; allowed is (instances, samples, 2)")
    names = [_string(name) for name in np.ravel(file.attrs.get(_CLASSES, RADIOML2018_CLASSES))]
    if y.shape != (len(x), len(names)):
        allowed = f"({len(x)}, {len(names)}), a row for each instance in 'X' and a column for each modulation"
        raise AmcError(f"{path}: field 'Y' has shape {y.shape}; allowed is {allowed}")
    snr_db = _snr_db(path, "Z", _column(path, "Z", z, len(x)))
    return Recording(
        modulations=modulation_names(path, "modulations", names),
        length=x.shape[1],
        modulation=_one_hot(path, y),
        snr_db=snr_db,
        sample_rate=np.full(len(x), np.nan),
        source=_Signals(path, "X", time_first=True),
    )


def _open_augmod(path: Path, file: h5py.File) -> Recording:
    signals, modulations, snr, classes = (_field(path, file, name) for name in _AUGMOD[:4])
    if signals.ndim != 3 or signals.shape[1] != 2:
        raise AmcError(f"{path}: field 'signals' has shape {signals.shape}; allowed is (instances, 2, samples)")
    names = modulation_names(path, "classes", [_string(name) for name in np.ravel(classes[()])])
    index = _column(path, "modulations", modulations, len(signals))
    wrong = ~np.isin(index, np.arange(len(names)))
    if wrong.any():
        what = f"field 'modulations' is {index[wrong][0]} at instance {wrong.argmax()}"
        raise AmcError(f"{path}: {what}; allowed are the class indices 0 to {len(names) - 1}")
    return Recording(
        modulations=names,
        length=signals.shape[2],
        modulation=index.astype(np.int64),
        snr_db=_snr_db(path, "snr", _column(path, "snr", snr, len(signals))),
        sample_rate=np.full(len(signals), np.nan),
        source=_Signals(path, "signals", time_first=False),
    )


@contextmanager
def opened_hdf5(path: Path) -> Iterator[h5py.File]:
    try:
        # Some shared disks have no file locks, and nothing writes the file while it is read.
        with h5py.File(path, "r", locking="best-effort") as file:
            yield file
    except AmcError:
        raise
    except (OSError, RuntimeError, ValueError, KeyError, MemoryError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise AmcError(f"{path}: the HDF5 file is damaged or cut short ({reason}); allowed is a whole one") from None


def _field(path: Path, file: h5py.File, name: str) -> h5py.Dataset:
    """A field of instances or labels that is stored in the file itself."""
    if name not in file:
        raise AmcError(f"{path}: field {name!r} is missing; {_LAYOUTS}")
    hard = isinstance(file.get(name, getlink=True), h5py.HardLink)
    field = file[name] if hard else None
    if not isinstance(field, h5py.Dataset) or field.is_virtual or field.external:
        raise AmcError(f"{path}: field {name!r} is a group or a link; allowed is a data set in the file itself")
    if name == "classes":
        known = field.dtype.kind == "S" or h5py.check_string_dtype(field.dtype)
    else:
        known = field.dtype.kind in "fiub" and field.ndim > 0
    if not known or not field.shape or not len(field):
        what = f"field {name!r} has shape {field.shape} and type {field.dtype}"
        allowed = "one or more names" if name == "classes" else "numbers, of one or more instances"
        raise AmcError(f"{path}: {what}; allowed are {allowed}")
    require_written(path, name, field)
    return field


def require_written(path: Path, name: str, field: h5py.Dataset) -> None:
    """Raise AmcError if a field claims more values than the file holds, or chunks larger than we read."""
    if field.chunks:
        chunks = math.prod(-(-size // chunk) for size, chunk in zip(field.shape, field.chunks, strict=True))
        held = MOST_DEFLATED * field.id.get_storage_size()
        whole = field.id.get_num_chunks() == chunks and field.size * field.dtype.itemsize <= held
        large = math.prod(field.chunks) * field.dtype.itemsize > _LARGEST_CHUNK
    else:
        whole, large = field.id.get_storage_size() >= field.size * field.dtype.itemsize, False
    if large:
        raise AmcError(
            f"{path}: field {name!r} has chunks of shape {field.chunks}; allowed are chunks of at most 1 GiB"
        )
    if not whole:
        held = f"{field.id.get_storage_size()} bytes of it are in the file"
        raise AmcError(f"{path}: field {name!r} claims the shape {field.shape}, and {held}; allowed is a whole field")


def _string(name: str | bytes) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)


def _column(path: Path, name: str, field: h5py.Dataset, count: int) -> np.ndarray:
    if field.shape not in ((count,), (count, 1)):
        raise AmcError(f"{path}: field {name!r} has shape {field.shape}; allowed is ({count},), one for each instance")
    return field[()].reshape(count)


def _snr_db(path: Path, name: str, values: np.ndarray) -> np.ndarray:
    values = values.astype(np.float64)
    if np.isnan(values).any():
        raise AmcError(
            f"{path}: field {name!r} is nan at instance {np.isnan(values).argmax()}; allowed are numbers of dB"
        )
    return values


def _one_hot(path: Path, y: h5py.Dataset) -> np.ndarray:
    """(n, classes) one-hot rows → (n,) the column of the 1, computed a block of rows at a time."""
    columns = []
    for start in range(0, len(y), _LABEL_ROWS):
        rows = y[start : start + _LABEL_ROWS]
        valid = ((rows == 0) | (rows == 1)).all(axis=1) & ((rows == 1).sum(axis=1) == 1)
        if not valid.all():
            what = f"field 'Y' is not one-hot at instance {start + valid.argmin()}"
            raise AmcError(f"{path}: {what}; allowed are rows of one 1 and otherwise 0")
        columns.append(rows.argmax(axis=1))
    return np.concatenate(columns)


def write_radioml2018(
    path: str | Path, batches: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]], modulations: Sequence[str]
) -> None:
    """Write instances in the layout of RadioML 2018.01A, batch by batch, so that memory does not grow.

    batches: of (x, modulation, snr_db), with x (batch, 2, length) real, modulation (batch,) or one index into
    modulations, snr_db (batch,) or one number of dB. modulations: names, in the order of the columns of Y.
    The file has X (n, length, 2) float32, Y (n, modulations) int64 one-hot, Z (n, 1) float64, and the names in the
    attribute "amc_modulations"; it appears when it is complete.
    Raises AmcError for instances that are not finite, differ in length, or have an unknown modulation, if there are no
    instances, and if the file cannot be written.
    """
    path = Path(path)
    names = modulation_names(path, "modulations", modulations)
    with replacing(path) as [partial], h5py.File(partial, "w") as file:
        for x, modulation, snr_db in batches:
            x = np.asarray(x, dtype=np.float32)
            fields = {"X": x.transpose(0, 2, 1) if x.ndim == 3 else x}
            if x.ndim != 3 or x.shape[1] != 2 or ("X" in file and file["X"].shape[1] != x.shape[2]):
                length = file["X"].shape[1] if "X" in file else "length"
                raise AmcError(f"{path}: instances have shape {x.shape}; allowed is (batch, 2, {length})")
            if not np.isfinite(x).all():
                raise AmcError(f"{path}: instances have samples that are nan or infinite; allowed are finite samples")
            index = per_instance(path, "modulation", modulation, len(x))
            known = np.isin(index, np.arange(len(names)))
            if not known.all():
                wrong = index[~known][0]
                raise AmcError(f"{path}: modulation {wrong} is not an index; allowed are 0 to {len(names) - 1}")
            fields["Y"] = np.eye(len(names), dtype=np.int64)[index.astype(np.int64)]
            fields["Z"] = _snr_db(path, "Z", per_instance(path, "snr_db", snr_db, len(x)))[:, None]
            for name, rows in fields.items():
                if len(rows):
                    _append(file, name, rows)
        if "X" not in file:
            raise AmcError(f"{path}: there is nothing to write; allowed are one or more instances")
        file.attrs[_CLASSES] = list(names)


def _append(file: h5py.File, name: str, rows: np.ndarray) -> None:
    if name not in file:
        chunk = max(1, _CHUNK_BYTES // rows[0].nbytes)
        shape = rows.shape[1:]
        file.create_dataset(name, (0, *shape), rows.dtype, maxshape=(None, *shape), chunks=(chunk, *shape))
    field = file[name]
    field.resize(len(field) + len(rows), axis=0)
    field[len(field) - len(rows) :] = rows
