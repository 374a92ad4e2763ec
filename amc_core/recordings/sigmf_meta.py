"""The metadata of a SigMF recording, checked against its samples and kept in a few bytes for each annotation."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Mapping
from typing import Any

import numpy as np

from amc_core.errors import AmcError
from amc_core.pieces import Piece
from amc_core.recordings.details import modulation_of
from amc_core.recordings.json_stream import JsonStream
from amc_core.recordings.names import modulation_name

_KINDS = {"f32": "f4", "f64": "f8", "i32": "i4", "u32": "u4", "i16": "i2", "u16": "u2"}
_DATATYPES = {
    f"c{kind}_{order}": sign + code for kind, code in _KINDS.items() for order, sign in (("le", "<"), ("be", ">"))
} | {"ci8": "i1", "cu8": "u1"}
_BEYOND_SAMPLES = ("core:dataset", "core:trailing_bytes", "core:header_bytes")  # of non-conforming data files
_DB, _HZ = "a number of dB", "a positive number of Hz"
_TO_THE_END = -1  # stands for a sample count that is not given


class Meta:
    """Metadata and samples of one recording.

    classes: label in the file → modulation; it has priority over other meanings. unlabelled: the modulation of a file
    that names none; "" to leave its samples out.

    data, type: the samples, and the type of I and of Q. sample_rate: Hz, nan if it is not given. length: samples of an
    instance, from `amc:length`, or None. names: the modulations that are named. notes: what is ignored, a sentence
    each. rows: the number of annotations.
    """

    def __init__(self, meta: Piece, data: Piece, classes: Mapping[str, str], unlabelled: str = ""):
        self.path, self.data, self.classes = meta.name, data, classes
        self.head: dict[str, Any] | None = None
        self.captures: list[int] = []
        self.names: list[str] = []
        self.notes: list[str] = []
        self.rows = self.nameless = 0
        self._where = ""  # the annotation that is read, for messages
        self._said: dict[tuple[str, str], str | None] = {}  # label and detail → modulation
        self._kinds: dict[str, int] = {}  # modulation → index in names
        self._start, self._count, self._kind, self._row = array("q"), array("q"), array("q"), array("q")
        self._snr_db = array("d")
        self._read(meta)
        self._require_conforming(self.head)
        self.type = self._datatype()
        self.sample_rate = self._number(self.head, "core:sample_rate", _HZ)
        if self.sample_rate <= 0:
            raise self._wrong("core:sample_rate", self.sample_rate, _HZ)
        self.length = self._whole(self.head, "amc:length") if "amc:length" in self.head else None
        self.offset = self._whole(self.head, "core:offset") if "core:offset" in self.head else 0
        size = 2 * self.type.itemsize
        if data.size % size:
            whole = f"whole {self.head['core:datatype']} samples of {size} bytes"
            raise AmcError(f"{data.name}: the size is {data.size} bytes; allowed are {whole}")
        self.samples = data.size // size
        if self.nameless and self._row:
            self.notes.append(f"ignored {self.nameless} of {self.rows} annotations, for lack of a modulation")
        if not self._row and (name := self._name(self.head) or unlabelled):  # no annotation names a modulation
            self.rows = 1
            self._add(0, name, self.head | {"core:sample_start": self.offset, "core:sample_count": self.samples})

    def ranges(self) -> tuple[np.ndarray, ...]:
        """First sample in the data file, the one after the last, index in names, SNR, and row of annotations.

        Annotations that end beyond the samples, or that are empty, are left out.
        """
        start = np.frombuffer(self._start, dtype=np.int64) - self.offset
        count = np.frombuffer(self._count, dtype=np.int64)
        captures = np.unique(np.array([*self.captures, self.samples + self.offset], dtype=np.int64)) - self.offset
        following = captures[np.searchsorted(captures, start, side="right").clip(max=len(captures) - 1)]
        end = np.where(count == _TO_THE_END, np.maximum(following, start), start + count)
        within = (start >= 0) & (end <= self.samples)
        if not within.all():
            first = self.describe(int(self._row[int(within.argmin())]))
            what = f"beyond the {self.samples} samples of {self.data.name}, first {first}"
            self.notes.append(f"ignored {(~within).sum()} of {self.rows} annotations {what}")
        kept = within & (end > start)
        types = (self._kind, np.int64), (self._snr_db, np.float64), (self._row, np.int64)
        return start[kept], end[kept], *(np.frombuffer(column, kind)[kept] for column, kind in types)

    def describe(self, row: int) -> str:
        """An annotation that names a modulation, for messages."""
        index = int(np.searchsorted(np.frombuffer(self._row, dtype=np.int64), row))
        snr_db = self._snr_db[index]
        level = "no SNR" if math.isnan(snr_db) else f"{snr_db:g} dB"
        return f"annotation {row} ({self.names[self._kind[index]]}, {level})"

    # -- reading ---------------------------------------------------------------------------------------

    def _read(self, piece: Piece) -> None:
        presence = {"captures": False, "annotations": False}
        try:
            with open(piece.path, "rb") as file:
                file.seek(piece.offset)
                stream = JsonStream(file, piece.size)
                for name in stream.members():
                    if name in presence:
                        presence[name] = True
                        for entry in self._entries(stream, name):
                            (self._capture if name == "captures" else self._annotation)(entry)
                    else:
                        value = stream.value()
                        if name == "global" and isinstance(value, dict):
                            self.head = value
        except OSError as error:
            raise AmcError(f"{self.path} cannot be read: {error.strerror}; allowed is a .sigmf-meta file") from None
        except (ValueError, RecursionError) as error:
            if isinstance(error, AmcError):
                raise
            raise AmcError(f"{self.path} is cut short or not JSON ({error}); allowed is a .sigmf-meta file") from None
        missing = "global" if self.head is None else next((name for name, there in presence.items() if not there), None)
        if missing:
            raise self._mistyped(missing)

    def _entries(self, stream: JsonStream, name: str):
        if stream.peek() != "[":
            raise self._mistyped(name)
        for entry in stream.entries():
            if not isinstance(entry, dict):
                raise self._mistyped(name)
            yield entry

    def _capture(self, fields: dict[str, Any]) -> None:
        self._require_conforming(fields)
        self.captures.append(self._whole(fields, "core:sample_start"))

    def _annotation(self, fields: dict[str, Any]) -> None:
        row, self._where = self.rows, f"annotation {self.rows}: "
        self.rows += 1
        name = self._name(fields)
        if name:
            self._add(row, name, fields)
        else:
            self.nameless += 1
        self._where = ""

    def _add(self, row: int, name: str, fields: dict[str, Any]) -> None:
        kind = self._kinds.setdefault(name, len(self.names))
        if kind == len(self.names):
            self.names.append(name)
        self._start.append(self._whole(fields, "core:sample_start"))
        self._count.append(self._whole(fields, "core:sample_count") if "core:sample_count" in fields else _TO_THE_END)
        self._snr_db.append(self._number(fields, "amc:snr_db", _DB))
        self._kind.append(kind)
        self._row.append(row)

    def _name(self, fields: dict[str, Any]) -> str | None:
        label, detail = fields.get("core:label"), fields.get("signal:detail")
        if label is None:  # some programs write null for an absent label
            label = ""
        elif not isinstance(label, str):
            raise self._wrong("core:label", label, "text")
        if detail is None:
            detail = {}
        elif not isinstance(detail, dict):
            raise self._wrong("signal:detail", detail, "an object")
        said = label, json.dumps(detail, sort_keys=True) if detail else ""
        if said not in self._said:
            try:
                own = self.classes.get(label)
                self._said[said] = modulation_name(own) if own else modulation_of(label, detail)
            except ValueError as error:
                what = f"annotation {self.rows - 1} contradicts itself: {error}"
                raise AmcError(f"{self.path}: {what}; allowed are a label and a detail of one modulation") from None
        return self._said[said]

    # -- checks ----------------------------------------------------------------------------------------

    def _datatype(self) -> np.dtype:
        datatype = self.head.get("core:datatype")
        if not isinstance(datatype, str) or datatype not in _DATATYPES:
            real = isinstance(datatype, str) and datatype.startswith("r") and f"c{datatype[1:]}" in _DATATYPES
            allowed = ("complex samples, " if real else "") + ", ".join(_DATATYPES)
            raise self._wrong("core:datatype", datatype, allowed)
        return np.dtype(_DATATYPES[datatype])

    def _require_conforming(self, fields: dict[str, Any]) -> None:
        for name in _BEYOND_SAMPLES:
            if fields.get(name):
                raise self._wrong(name, fields[name], "a data file of samples only, without this field")
        if fields.get("core:num_channels", 1) != 1:
            raise self._wrong("core:num_channels", fields["core:num_channels"], "1")

    def _whole(self, fields: dict[str, Any], name: str) -> int:
        value = fields.get(name)
        whole = (type(value) is int or (type(value) is float and value.is_integer())) and 0 <= value < 2**62
        if not whole or (name == "amc:length" and value < 1):
            raise self._wrong(name, value, "a number of samples")
        return int(value)

    def _number(self, fields: dict[str, Any], name: str, allowed: str) -> float:
        """A finite number, nan if the field is absent."""
        value = fields.get(name, math.nan)
        if type(value) not in (int, float) or (name in fields and not abs(value) < 1e300):
            raise self._wrong(name, value, allowed)
        return float(value)

    def _wrong(self, name: str, value: Any, allowed: str) -> AmcError:
        return AmcError(f"{self.path}: {self._where}field {name!r} is {value!r:.80}; allowed is {allowed}")

    def _mistyped(self, name: str) -> AmcError:
        allowed = "an object" if name == "global" else "a list of objects"
        return AmcError(f"{self.path}: field {name!r} is missing or of another type; allowed is {allowed}")
