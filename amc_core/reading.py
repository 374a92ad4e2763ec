"""How to read a recording whose format does not describe its fields; it is given beside the path and identifies it too.

Imports no reader of any format, so that studies can be planned without one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from amc_core.errors import AmcError, require_known
from amc_core.fingerprint import DigestedPath
from amc_core.identity import canonical
from amc_core.quantities import number, require_number, whole

DATATYPES = ("complex64", "int16")  # of raw files: alternating I and Q, little-endian


@dataclass(frozen=True)
class Reading:
    """What the fields of a file are. A field that is None was not given.

    iq: name of the field with the samples, or two names, for I and Q. label: name of the field with the modulations;
    or the modulation of all instances (in SigMF, of files that name none); or, for a long capture, modulation → [first
    sample, the one after the last], or a list of such pairs. snr_db: name of a field, or dB. classes: names of
    modulations, which whole numbers and one-hot labels count from 0; the name of a field with these names; or label in
    the file → modulation. sample_rate: Hz. datatype: of a raw file. Raises AmcError for anything else.
    """

    iq: str | tuple[str, str] | None = None
    label: str | dict[str, list] | None = None
    snr_db: str | float | None = None
    classes: str | tuple[str, ...] | dict[str, str] | None = None
    sample_rate: float | None = None
    datatype: str | None = None

    def __post_init__(self):
        for name, read in _READERS.items():
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, read(value))

    def __hash__(self) -> int:
        return hash(canonical(self.entries))

    @property
    def entries(self) -> dict[str, Any]:
        """The fields that are given, as JSON can hold them."""
        values = ((f.name, getattr(self, f.name)) for f in fields(self))
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values if v is not None}

    def require_only(self, path: object, kind: str, *allowed: str) -> None:
        """Raise AmcError if a field is given that the format itself contains."""
        for name in self.entries:
            if name not in allowed:
                may = " and ".join(allowed)
                raise AmcError(
                    f"{path}: {name} cannot be given for {kind}, which contains it; allowed beside file: {may}"
                )


class ReadPath(DigestedPath):
    """The path of a file together with its `Reading`; two are equal if content and reading are."""

    __slots__ = ("reading",)

    def __new__(cls, path: str, reading: Reading, content: str = "") -> ReadPath:
        self = super().__new__(cls, str(path), content)
        self.reading = reading
        return self

    @property
    def digest(self) -> str:
        both = f"{self.content} {canonical(self.reading.entries)}"
        return hashlib.blake2b(both.encode(), digest_size=12).hexdigest()

    def as_dict(self) -> dict[str, Any]:
        return super().as_dict() | {"reading": self.reading.entries}

    def elsewhere(self, path: str) -> ReadPath:
        return ReadPath(path, self.reading, self.content)

    def __reduce__(self):
        return ReadPath, (str(self), self.reading, self.content)


def reading_of(path: object) -> Reading:
    """The `Reading` of a path; it is empty unless the path is a `ReadPath`."""
    return path.reading if isinstance(path, ReadPath) else Reading()


def read_recording(value: Any) -> str:
    """The value of a scenario's field `recording`: a path, {"file": path, …} with fields of a `Reading`, or `as_dict`.

    Raises AmcError for anything else.
    """
    if isinstance(value, str):
        return DigestedPath(value) if value else ""
    if not isinstance(value, Mapping):
        allowed = "the path of a file, or {file: path, iq: field, …}"
        raise AmcError(f"recording {value!r} is not allowed: it has to be {allowed}")
    if set(value) <= {"path", "content", "reading"} and "path" in value:
        path, content, entries = value["path"], value.get("content", ""), value.get("reading", {})
    else:
        require_known("key of recording", value, ("file", *_READERS))
        path, content = value.get("file", ""), ""
        entries = {name: entry for name, entry in value.items() if name != "file"}
    if not (isinstance(path, str) and path and isinstance(content, str) and isinstance(entries, Mapping)):
        several = "; join several files into one" if isinstance(path, list | tuple) else ""
        raise AmcError(f"recording {dict(value)!r:.200} is not allowed: file has to be the path of one file{several}")
    return ReadPath(path, Reading(**entries), content) if entries else DigestedPath(path, content)


def recording_schema() -> dict[str, Any]:
    """JSON Schema of the field `recording`."""
    text, number = {"type": "string"}, {"type": ["number", "string"]}
    texts = {"type": "array", "items": text, "minItems": 1}
    properties = {
        "file": text | {"description": "The path of the file."},
        "iq": {"anyOf": [text, texts | {"minItems": 2, "maxItems": 2}]}
        | {"description": "The field with the samples, or two fields, I and Q."},
        "label": {"anyOf": [text, {"type": "object"}]}
        | {"description": "The field with the modulations, one modulation, or modulation → samples of a capture."},
        "snr_db": number | {"description": "The field with the SNRs, or one SNR in dB."},
        "classes": {"anyOf": [text, texts, {"type": "object", "additionalProperties": text}]}
        | {"description": "Modulations that numeric labels count from 0, or label in the file → modulation."},
        "sample_rate": number | {"description": "Sample rate in Hz."},
        "datatype": {"enum": list(DATATYPES)} | {"description": "Number type of a raw file of alternating I and Q."},
    }
    mapping = {"type": "object", "properties": properties, "additionalProperties": False, "required": ["file"]}
    return {"anyOf": [text, mapping]}


def _texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0 and all(isinstance(v, str) and v for v in value)


def _refused(name: str, value: Any, allowed: str) -> AmcError:
    return AmcError(f"{name} {value!r:.200} of a recording is not allowed: it has to be {allowed}")


def _iq(value: Any) -> str | tuple[str, str]:
    if isinstance(value, str) and value:
        return value
    if not _texts(value) or len(value) != 2:
        raise _refused("iq", value, "the name of a field, or two names, [I, Q]")
    return tuple(value)


def _label(value: Any) -> str | dict[str, list]:
    if isinstance(value, str) and value:
        return value
    if not isinstance(value, Mapping) or not value:
        allowed = "the name of a field, one modulation, or modulation → [first sample, the one after the last]"
        raise _refused("label", value, allowed)
    return {str(name): _ranges(name, ranges) for name, ranges in value.items()}


def _ranges(name: Any, value: Any) -> list[list[int]]:
    listed = value if isinstance(value, list | tuple) and value and isinstance(value[0], list | tuple) else [value]
    ranges = []
    for entry in listed:
        ends = [whole(end) for end in entry] if isinstance(entry, list | tuple) else []
        if len(ends) != 2 or None in ends or not 0 <= ends[0] < ends[1] < 1 << 62:
            raise _refused(f"label {name}", value, "[first sample, the one after the last], or a list of such pairs")
        ranges.append(ends)
    return ranges


def _snr_db(value: Any) -> str | float:
    if isinstance(value, str) and value and number(value) is None:
        return value
    return float(require_number("snr_db of a recording", value, -1000, 1000, "dB"))


def _classes(value: Any) -> str | tuple[str, ...] | dict[str, str]:
    if isinstance(value, str) and value:
        return value
    if isinstance(value, Mapping) and value and _texts([*value.values()]):
        return {str(name): own for name, own in value.items()}
    if not _texts(value):
        raise _refused("classes", value, "a list of modulations, or label in the file → modulation")
    return tuple(value)


def _sample_rate(value: Any) -> float:
    return float(require_number("sample_rate of a recording", value, 1e-6, 1e15, "Hz"))


def _datatype(value: Any) -> str:
    if value not in DATATYPES:
        raise _refused("datatype", value, " or ".join(DATATYPES))
    return value


_READERS = {
    "iq": _iq,
    "label": _label,
    "snr_db": _snr_db,
    "classes": _classes,
    "sample_rate": _sample_rate,
    "datatype": _datatype,
}
