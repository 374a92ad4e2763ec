"""Recordings from fields that a user has named: the possible layouts of I/Q, labels and SNRs in arrays."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from amc_core.errors import AmcError
from amc_core.fingerprint import content_digest
from amc_core.modulations import known_name
from amc_core.quantities import many
from amc_core.reading import Reading
from amc_core.recordings.arrays import Array, Arrays, as_iq, is_complex, named, texts, untold
from amc_core.recordings.names import modulation_name
from amc_core.recordings.ranges import Ranges
from amc_core.recordings.recording import Recording, fitted

_DEFAULT_LENGTH = 1024
_BLOCK = 1 << 16  # labels read at a time
_LARGEST_LABEL = 1 << 31  # more classes than any dataset has
_LAYOUTS = (
    "complex (instances, samples) or (samples,), real (instances, 2, samples), (instances, samples, 2), (2, samples) "
    "or (samples, 2), or two fields of real (instances, samples) or (samples,)"
)


@dataclass(frozen=True, eq=False)
class _Signals:
    """I/Q in one array, or in two, for I and Q.

    name: of the field. axis: of I and Q in an array of real numbers. capture: is it one long capture instead of `count`
    instances? samples: of the capture, or of an instance. across: are the samples of a capture columns of the array?
    """

    path: Path
    name: str
    arrays: tuple[Array, ...]
    axis: int | None
    capture: bool
    count: int
    samples: int
    across: bool = False

    def read(self, first: int, end: int) -> np.ndarray:
        """Instances (end − first, 2, samples), or samples of a capture (2, end − first), float64."""
        index = (slice(None),) * self.across + (slice(first, end),)
        parts = [array.read(*index) for array in self.arrays]
        if len(parts) == 2:
            return np.stack(parts, axis=-2).astype(np.float64)
        [x] = parts
        return as_iq(x.reshape(-1) if self.capture and self.axis is None else x, self.axis)

    def content(self) -> str:
        return f"{content_digest(self.path)} {self.name}"


@dataclass(frozen=True, eq=False)
class _Instances:
    """Instances as the file stores them."""

    signals: _Signals

    def fetch(self, positions: np.ndarray, length: int) -> np.ndarray:
        order = np.argsort(positions, kind="stable")
        ordered = positions[order]
        out = np.empty((len(positions), 2, length))
        for rows in np.split(np.arange(len(order)), np.flatnonzero(np.diff(ordered) > 1) + 1):
            if len(rows):
                first = ordered[rows[0]]
                block = self.signals.read(int(first), int(ordered[rows[-1]]) + 1)
                out[order[rows]] = block[ordered[rows] - first, :, :length]
        return out

    def describe(self, position: int) -> str:
        return f"{self.signals.path}: instance {position} of field {self.signals.name!r}"

    def spans(self, positions: np.ndarray) -> dict[str, np.ndarray]:
        return {self.signals.content(): np.stack([positions, positions + 1], axis=1)}


@dataclass(frozen=True, eq=False)
class _Stretches:
    """Instances cut from a capture; start: (n,) first sample of each."""

    signals: _Signals
    start: np.ndarray
    length: int

    def fetch(self, positions: np.ndarray, length: int) -> np.ndarray:
        out = np.empty((len(positions), 2, length))
        for row, start in enumerate(self.start[positions].tolist()):
            out[row] = self.signals.read(start, start + length)
        return out

    def describe(self, position: int) -> str:
        start = self.start[position]
        return f"{self.signals.path}: instance {position} (samples {start} to {start + self.length - 1})"

    def spans(self, positions: np.ndarray) -> dict[str, np.ndarray]:
        start = self.start[positions]
        return {self.signals.content(): np.stack([start, start + self.length], axis=1)}


def recording_of(
    path: Path, arrays: Arrays, reading: Reading, length: int | None, cut: bool, own: Collection[str]
) -> Recording:
    """The recording of named arrays. length, cut, own: as in `open_recording`.

    Raises AmcError, naming file and field, for a missing field and for an unknown layout.
    """
    if reading.iq is None and not _is_unnamed(arrays):
        raise untold(path, arrays)
    fields = next(iter(arrays)) if reading.iq is None else reading.iq
    signals = _signals(path, arrays, fields)
    if reading.label is None:
        names = ", ".join(arrays)
        raise AmcError(f"{path}: label is not given; allowed are a field, one of {names:.200}, or one modulation")
    constant = _constant(path, arrays, reading, own)
    if signals.capture:
        return _of_capture(signals, arrays, reading, constant, length or _DEFAULT_LENGTH)
    names, modulation = _labels(path, arrays, reading, constant, signals.count)
    whole = Recording(
        modulations=names,
        length=signals.samples,
        modulation=modulation,
        snr_db=_snr_db(path, arrays, reading, signals.count),
        sample_rate=np.full(signals.count, np.nan if reading.sample_rate is None else reading.sample_rate),
        source=_Instances(signals),
    )
    return fitted(path, whole, length, cut)


def _is_unnamed(arrays: Arrays) -> bool:
    """Is it the one array of a file without names of fields, .npy or raw?"""
    return set(arrays) in ({"array"}, {"samples"})


def _signals(path: Path, arrays: Arrays, fields: str | tuple[str, str]) -> _Signals:
    if isinstance(fields, tuple):
        pair = tuple(named(path, arrays, name, "iq") for name in fields)
        name, shape = " and ".join(fields), pair[0].shape
        real = all(array.dtype.kind in "fiu" for array in pair)
        if not real or pair[1].shape != shape or len(shape) not in (1, 2) or 0 in shape:
            shapes = " and ".join(f"{array.shape} of {array.dtype}" for array in pair)
            raise AmcError(f"{path}: fields {name} have shapes {shapes}; allowed for iq are {_LAYOUTS}")
        return _Signals(path, name, pair, None, len(shape) == 1, shape[0], shape[-1])
    array = named(path, arrays, fields, "iq")
    shape, kind = array.shape, array.dtype
    wrong = AmcError(f"{path}: field {fields!r} has shape {shape} of {kind}; allowed for iq are {_LAYOUTS}")
    if 0 in shape:
        raise wrong
    if is_complex(kind):
        if len(shape) == 1 or (len(shape) == 2 and 1 in shape):
            across = len(shape) == 2 and shape[0] == 1 and shape[1] > 1
            return _Signals(path, fields, (array,), None, True, max(shape), max(shape), across)
        if len(shape) == 2:
            return _Signals(path, fields, (array,), None, False, *shape)
        raise wrong
    ends = shape[1:] if len(shape) == 3 else shape
    if kind.kind not in "fiu" or len(shape) not in (2, 3) or ends.count(2) != 1:
        raise wrong
    if len(shape) == 3:
        axis = shape[1:].index(2) + 1
        return _Signals(path, fields, (array,), axis, False, shape[0], shape[3 - axis])
    axis = shape.index(2)
    return _Signals(path, fields, (array,), axis, True, shape[1 - axis], shape[1 - axis], across=axis == 0)


def apply_reading(path: Path, recording: Recording, reading: Reading) -> Recording:
    """The recording of a format that describes its fields, with modulations renamed as the reading's classes say."""
    reading.require_only(path, "this format", "classes", "sample_rate")
    if reading.sample_rate is not None:
        recording = replace(recording, sample_rate=np.full(len(recording), reading.sample_rate))
    if reading.classes is None:
        return recording
    if not isinstance(reading.classes, dict):
        raise AmcError(f"{path}: the format names its classes; allowed is classes: {{its name: modulation}}")
    own = {modulation_name(name): modulation_name(known) for name, known in reading.classes.items()}
    missing = [name for name in own if name not in recording.modulations]
    if missing:
        there = ", ".join(recording.modulations)
        raise AmcError(f"{path}: classes rename {missing[0]!r}, which is not recorded; allowed are {there}")
    names, index = _of_names([own.get(name, name) for name in recording.modulations])
    return replace(recording, modulations=names, modulation=index[recording.modulation])


# -- labels --------------------------------------------------------------------------------------------


def renamed(reading: Reading, label: str) -> str:
    """Our name of the modulation that a file calls `label`."""
    own = reading.classes.get(label) if isinstance(reading.classes, dict) else None
    return modulation_name(own or label)


def _classes(path: Path, arrays: Arrays, reading: Reading) -> tuple[str, ...] | dict[str, str] | None:
    """The classes of a reading, read from a field if it names one."""
    if not isinstance(reading.classes, str):
        return reading.classes
    array = named(path, arrays, reading.classes, "classes")
    names = texts(array.read())
    if not names:
        raise AmcError(f"{path}: field {reading.classes!r} has type {array.dtype}; allowed for classes are names")
    return tuple(names)


def _constant(path: Path, arrays: Arrays, reading: Reading, own: Collection[str]) -> str | None:
    """The one modulation that a label names, None if it names a field."""
    label = reading.label
    if isinstance(label, dict) or label in arrays:
        return None
    listed = reading.classes if isinstance(reading.classes, tuple) else ()
    renames = reading.classes if isinstance(reading.classes, dict) else {}
    known = label in (*listed, *renames, *renames.values()) or known_name(label) is not None
    if not (known or _is_unnamed(arrays) or modulation_name(label) in map(modulation_name, own)):
        named(path, arrays, label, "label")  # raises, with the known names
    return renamed(reading, label)


def _labels(
    path: Path, arrays: Arrays, reading: Reading, constant: str | None, count: int
) -> tuple[tuple[str, ...], np.ndarray]:
    """Modulations, and (count,) int64 indices into them. constant: the one modulation of all, or None."""
    if isinstance(reading.label, dict):
        raise AmcError(f"{path}: label maps samples, but iq has instances; allowed is the name of a field")
    if constant is not None:
        return (constant,), np.zeros(count, np.int64)
    array, field = named(path, arrays, reading.label, "label"), reading.label
    across = array.shape == (1, count)  # as MATLAB stores a list
    if not across and (array.shape[:1] != (count,) or len(array.shape) > 2):
        allowed = f"({count},), or one-hot ({count}, classes)"
        raise AmcError(f"{path}: field {field!r} has shape {array.shape}; allowed for label is {allowed}")
    blocks = [array.read(slice(first, first + _BLOCK)) for first in range(0, array.shape[0], _BLOCK)]
    if (words := [texts(block) for block in blocks]) and all(block is not None for block in words):
        return _of_names([renamed(reading, word) for block in words for word in block])
    if array.dtype.kind not in "fiub":
        what = f"field {field!r} has type {array.dtype}"
        raise AmcError(f"{path}: {what}; allowed for label are whole numbers, one-hot rows, or names")
    one_hot = not across and len(array.shape) == 2 and array.shape[1] > 1
    numbers = np.concatenate([_hot(path, field, block) if one_hot else _whole(path, field, block) for block in blocks])
    classes = _classes(path, arrays, reading)
    if classes is None:
        largest = f"0 to {numbers.max()}"
        raise AmcError(f"{path}: field {field!r} has numbers, {largest}: give classes, the modulation of each number")
    if isinstance(classes, dict):
        return _of_names([_of_number(path, field, classes, number) for number in numbers.tolist()])
    if one_hot and array.shape[1] != len(classes):
        what = f"field {field!r} has {many(array.shape[1], 'column')}, and classes {many(len(classes), 'name')}"
        raise AmcError(f"{path}: {what}; allowed is a name for each column")
    outside = (numbers < 0) | (numbers >= len(classes))
    if outside.any():
        what = f"field {field!r} is {numbers[outside][0]} at instance {outside.argmax()}"
        raise AmcError(f"{path}: {what}; allowed are 0 to {len(classes) - 1}, as many as classes")
    names, of_class = _of_names([modulation_name(name) for name in classes])
    if len(names) < len(classes):
        raise AmcError(f"{path}: classes {', '.join(classes)} name a modulation twice; allowed is each name once")
    occurring = [
        name for name, there in zip(names, np.isin(range(len(names)), of_class[numbers]), strict=True) if there
    ]
    positions = np.array([occurring.index(name) if name in occurring else -1 for name in names])
    return tuple(occurring), positions[of_class[numbers]]


def _of_names(names: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
    known, index = np.unique(np.array(names, dtype=object).astype(str), return_inverse=True)
    return tuple(map(str, known)), index.astype(np.int64)


def _of_number(path: Path, field: str, classes: dict[str, str], number: int) -> str:
    if str(number) not in classes:
        allowed = ", ".join(classes)
        raise AmcError(f"{path}: field {field!r} has {number}, which classes does not name; allowed are {allowed:.200}")
    return modulation_name(classes[str(number)])


def _hot(path: Path, field: str, rows: np.ndarray) -> np.ndarray:
    if not (((rows == 0) | (rows == 1)).all() and ((rows == 1).sum(1) == 1).all()):
        raise AmcError(f"{path}: field {field!r} is not one-hot; allowed are rows of one 1 and otherwise 0")
    return rows.argmax(1)


def _whole(path: Path, field: str, values: np.ndarray) -> np.ndarray:
    values = values.reshape(-1)
    if not (np.isfinite(values) & (values == np.rint(values))).all():
        raise AmcError(f"{path}: field {field!r} has numbers that are not whole; allowed for label are whole numbers")
    largest = abs(values.astype(np.float64)).max()
    if largest >= _LARGEST_LABEL:
        what = f"field {field!r} has the number {largest:g}"
        raise AmcError(f"{path}: {what}; allowed for label are whole numbers below {_LARGEST_LABEL:,}")
    return values.astype(np.int64)


def _snr_db(path: Path, arrays: Arrays, reading: Reading, count: int) -> np.ndarray:
    """(count,) float64, nan if the SNR is unknown."""
    if not isinstance(reading.snr_db, str):
        return np.full(count, np.nan if reading.snr_db is None else reading.snr_db)
    array = named(path, arrays, reading.snr_db, "snr_db")
    if array.shape not in ((count,), (count, 1), (1, count)) or array.dtype.kind not in "fiu":
        what = f"field {reading.snr_db!r} has shape {array.shape} of {array.dtype}"
        raise AmcError(f"{path}: {what}; allowed for snr_db are numbers of shape ({count},)")
    values = array.read().reshape(count).astype(np.float64)
    if np.isinf(values).any():
        what = f"field {reading.snr_db!r} is infinite at {np.isinf(values).argmax()}"
        raise AmcError(f"{path}: {what}; allowed are numbers of dB, or nan for an unknown SNR")
    return values + 0.0


# -- captures ------------------------------------------------------------------------------------------


def _of_capture(signals: _Signals, arrays: Arrays, reading: Reading, constant: str | None, length: int) -> Recording:
    """Consecutive instances of a capture, each of one modulation and SNR."""
    path, names, ranges = signals.path, *_labelled(signals, arrays, reading, constant)

    def conflict(first: int, second: int, start: int, end: int) -> AmcError:
        both = f"label gives samples {start} to {end} two modulations, {names[ranges.name[first]]} and "
        return AmcError(f"{path}: {both}{names[ranges.name[second]]}; allowed is one label for a sample")

    once = ranges.each_once(conflict)
    of, start = once.instances(length)
    if not len(of):
        what = f"no {length} consecutive samples of its {signals.samples} have one label"
        raise AmcError(f"{path}: {what}; allowed is a shorter length")
    occurring, modulation = np.unique(once.name[of], return_inverse=True)
    return Recording(
        modulations=tuple(names[index] for index in occurring),
        length=length,
        modulation=modulation,
        snr_db=once.snr_db[of],
        sample_rate=np.full(len(of), np.nan if reading.sample_rate is None else reading.sample_rate),
        source=_Stretches(signals, start, length),
    )


def _labelled(
    signals: _Signals, arrays: Arrays, reading: Reading, constant: str | None
) -> tuple[tuple[str, ...], Ranges]:
    """Modulations, and the labelled ranges of samples."""
    path, total = signals.path, signals.samples
    if isinstance(reading.label, dict) or (constant is not None and not isinstance(reading.snr_db, str)):
        if isinstance(reading.snr_db, str):
            raise AmcError(f"{path}: label maps samples, but snr_db is field {reading.snr_db!r}; allowed is one number")
        spans = {constant: [[0, total]]} if constant is not None else reading.label
        listed = [(renamed(reading, name), *ends) for name, several in spans.items() for ends in several]
        beyond = next((end for _, _, end in listed if end > total), None)
        if beyond is not None:
            raise AmcError(f"{path}: label ends at sample {beyond}; the capture has {total} samples")
        names, index = _of_names([name for name, _, _ in listed])
        start, end = (np.array([entry[column] for entry in listed], np.int64) for column in (1, 2))
        level = _snr_db(path, arrays, reading, len(listed))
    else:
        names, of_sample = _labels(path, arrays, reading, constant, total)
        snr_db = _snr_db(path, arrays, reading, total)
        start = _changes(of_sample, snr_db)
        end, index, level = np.append(start[1:], total), of_sample[start], snr_db[start]
    rows = np.arange(len(start))
    return names, Ranges(np.zeros(len(start), np.int64), start, end, index, level, rows)


def _changes(of_sample: np.ndarray, snr_db: np.ndarray) -> np.ndarray:
    """Indices of the samples whose label or SNR, known or not, differs from that of the sample before; 0 is one."""
    unknown = np.isnan(snr_db)
    same = (snr_db[1:] == snr_db[:-1]) | (unknown[1:] & unknown[:-1])
    return np.flatnonzero(np.append(True, (of_sample[1:] != of_sample[:-1]) | ~same))
