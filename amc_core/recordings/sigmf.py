"""SigMF recordings: a .sigmf-meta file (JSON) that describes the samples in the .sigmf-data file beside it.

Read and written by the specification 1.2 (github.com/sigmf/SigMF). An annotation marks a range of samples and says
what is there: its modulation in `core:label` or in `signal:detail` of the signal extension. The specification has no
place for an SNR; ours is `amc:snr_db`, dB over the sampled band. Samples are taken as they are: an annotation's
frequency edges are not used to tune or to filter.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from amc_core.errors import AmcError
from amc_core.recordings.atomic import replacing
from amc_core.recordings.names import known_name, modulation_name
from amc_core.recordings.recording import Recording, per_instance

_DATATYPES = {"cf32_le": "<f4", "cf32_be": ">f4", "ci16_le": "<i2", "ci16_be": ">i2", "ci8": "i1", "cu8": "u1"}
_UNSIGNED_ZERO = 128  # of cu8
_DEFAULT_LENGTH = 1024
_BEYOND_SAMPLES = ("core:dataset", "core:trailing_bytes", "core:header_bytes")  # of non-conforming data files

# How the signal extension (1.0.0) describes our modulations. It has no class for APSK.
_DETAILS = (
    {"BPSK": {"mod_class": "psk", "order": 2}, "QPSK": {"mod_class": "psk", "order": 4}}
    | {"OQPSK": {"mod_class": "psk", "order": 4, "symbol_variant": "offset"}}
    | {f"{order}PSK": {"mod_class": "psk", "order": order} for order in (8, 16, 32)}
    | {f"{order}QAM": {"mod_class": "qam", "order": order} for order in (8, 16, 32, 64, 128, 256)}
    | {f"{order}APSK": {"order": order, "class_variant": "APSK"} for order in (16, 32, 64, 128, 256)}
    | {"OOK": {"mod_class": "ook", "order": 2}, "PAM4": {"mod_class": "ask", "order": 4, "class_variant": "PAM"}}
    | {f"{order}ASK": {"mod_class": "ask", "order": order} for order in (4, 8)}
    | {"CPFSK": {"mod_class": "cpm", "order": 2, "class_variant": "CPFSK"}}
    | {"GFSK": {"mod_class": "fsk", "order": 2, "class_variant": "GFSK"}}
    | {"GMSK": {"mod_class": "msk", "order": 2, "class_variant": "GMSK"}}
    | {"FM": {"mod_class": "fm"}, "B-FM": {"mod_class": "fm", "class_variant": "B-FM"}}
    | {f"AM-{bands}-WC": {"mod_class": bands.lower()} for bands in ("DSB", "SSB")}
    | {
        f"AM-{bands}-SC": {
            "mod_class": bands.lower(),
            "carrier_variant": "suppressed_carrier",
            "class_variant": f"AM-{bands}-SC",
        }
        for bands in ("DSB", "SSB")
    }
    | {"DSB-AM": {"mod_class": "dsb", "carrier_variant": "suppressed_carrier"}}
    | {"SSB-AM": {"mod_class": "ssb", "carrier_variant": "suppressed_carrier"}}
)


@dataclass(frozen=True)
class _Samples:
    """Instances in data files: file (n,) indices into paths and types, start (n,) first sample in the file."""

    paths: list[Path]
    types: list[np.dtype]
    file: np.ndarray
    start: np.ndarray
    length: int

    def fetch(self, positions: np.ndarray) -> np.ndarray:
        out = np.empty((len(positions), 2, self.length))
        for index in np.unique(self.file[positions]):
            path, kind = self.paths[index], self.types[index]
            size = 2 * kind.itemsize
            try:
                with open(path, "rb") as file:
                    for row in np.flatnonzero(self.file[positions] == index):
                        file.seek(int(self.start[positions[row]]) * size)
                        samples = np.frombuffer(file.read(self.length * size), kind)
                        out[row] = samples.reshape(self.length, 2).T
            except (OSError, ValueError) as error:
                raise AmcError(f"{path}: cannot be read ({error}); allowed is the file as it was opened") from None
            if kind.kind == "u":
                out[self.file[positions] == index] -= _UNSIGNED_ZERO
        return out

    def describe(self, position: int) -> str:
        start = self.start[position]
        return f"{self.paths[self.file[position]]}: instance {position} (samples {start} to {start + self.length - 1})"


def open_sigmf(paths: Sequence[Path], length: int | None) -> Recording:
    """The annotated instances of .sigmf-meta files.

    length: samples of an instance; by default what the files say (`amc:length`), else 1024. Every annotation that
    names a modulation is cut in consecutive instances, and what is left over at its end is dropped; a file without
    such annotations has one, the whole file, if its global object names a modulation.
    """
    metas = [_Meta(path) for path in paths]
    if length is None:
        lengths = {meta.length for meta in metas}
        if len(lengths) > 1:
            raise AmcError(f"{paths[0]}: field 'amc:length' differs between the files; allowed is one length")
        length = next(iter(lengths), None) or _DEFAULT_LENGTH
    if length < 1:
        raise AmcError(f"{paths[0]}: length is {length}; allowed is 1 sample or more")
    segments = [(file, *segment) for file, meta in enumerate(metas) for segment in meta.segments()]
    counts = [count // length for _, _, count, _, _ in segments]
    if not sum(counts):
        what = f"no annotation has {length} samples and names its modulation"
        raise AmcError(f"{paths[0]}: {what}; allowed are names in core:label or signal:detail")
    names = [name for *_, name, _ in segments]
    modulations = tuple(sorted({name for name, count in zip(names, counts, strict=True) if count}))
    index = {name: place for place, name in enumerate(modulations)}
    file = np.repeat([file for file, *_ in segments], counts)
    starts = [start + length * np.arange(count) for (_, start, *_), count in zip(segments, counts, strict=True)]
    return Recording(
        modulations=modulations,
        length=length,
        modulation=np.repeat([index.get(name, -1) for name in names], counts),
        snr_db=np.repeat([snr_db for *_, snr_db in segments], counts),
        sample_rate=np.array([meta.sample_rate for meta in metas])[file],
        source=_Samples([m.data for m in metas], [m.type for m in metas], file, np.concatenate(starts), length),
    )


class _Meta:
    """A .sigmf-meta file, checked against its data file."""

    def __init__(self, path: Path):
        if not path.name.endswith(".sigmf-meta"):
            raise AmcError(f"{path}: allowed is a file whose name ends in .sigmf-meta")
        self.path, self.data = path, path.with_name(path.name.removesuffix("-meta") + "-data")
        try:
            content = json.loads(path.read_text(encoding="utf-8-sig"))
        except OSError as error:
            raise AmcError(f"{path}: cannot be read: {error.strerror}; allowed is a .sigmf-meta file") from None
        except (ValueError, RecursionError) as error:
            raise AmcError(f"{path}: is not whole JSON ({error}); allowed is a .sigmf-meta file") from None
        content = content if isinstance(content, dict) else {}
        self.head = self._objects("global", content.get("global"), dict)
        self.captures = self._objects("captures", content.get("captures"), list)
        self.annotations = self._objects("annotations", content.get("annotations"), list)
        self._check_conforming()
        datatype = self.head.get("core:datatype")
        if not isinstance(datatype, str) or datatype not in _DATATYPES:
            raise self._wrong("core:datatype", datatype, ", ".join(_DATATYPES))
        self.type = np.dtype(_DATATYPES[datatype])
        self.sample_rate = self._number(self.head, "core:sample_rate", "a positive number of Hz")
        if self.sample_rate <= 0:
            raise self._wrong("core:sample_rate", self.sample_rate, "a positive number of Hz")
        self.length = self._count(self.head, "amc:length") if "amc:length" in self.head else None
        self.offset = self._count(self.head, "core:offset") if "core:offset" in self.head else 0
        self.samples = self._samples(datatype)

    def segments(self) -> list[tuple[int, int, str, float]]:
        """First sample in the data file, number of samples, modulation and SNR of each annotation that has one."""
        found = []
        for annotation in self.annotations:
            name = self._modulation(annotation)
            start = self._count(annotation, "core:sample_start") - self.offset
            if "core:sample_count" in annotation:
                end = start + self._count(annotation, "core:sample_count")
            else:
                end = self._capture_end(start)
            if not 0 <= start <= end <= self.samples:
                what = f"the annotation {name!r} reaches from sample {start} to {end}"
                raise AmcError(f"{self.path}: {what}; allowed are the {self.samples} samples of {self.data.name}")
            if name:
                found.append((start, end - start, name, self._number(annotation, "amc:snr_db", "a number of dB")))
        if not found and (name := self._modulation(self.head)):
            found.append((0, self.samples, name, self._number(self.head, "amc:snr_db", "a number of dB")))
        return found

    def _modulation(self, fields: dict[str, Any]) -> str | None:
        """A label that we know, else what signal:detail says, else the label as it is."""
        label, detail = fields.get("core:label", ""), fields.get("signal:detail", {})
        if not isinstance(label, str):
            raise self._wrong("core:label", label, "text")
        if not isinstance(detail, dict):
            raise self._wrong("signal:detail", detail, "an object")
        told = {key: detail[key] for key in ("order", "mod_class", "symbol_variant", "class_variant") if key in detail}
        if detail.get("carrier_variant") == "suppressed_carrier":
            told["carrier_variant"] = "suppressed_carrier"
        by_detail = next((name for name, known in _DETAILS.items() if known == told), None)
        spelled = "-".join(str(part) for part in told.values() if isinstance(part, str | int))
        return known_name(label) or by_detail or modulation_name(label) or spelled.upper() or None

    def _capture_end(self, start: int) -> int:
        """Where the capture of a sample ends: an annotation without a sample count reaches to there."""
        starts = [self._count(capture, "core:sample_start") - self.offset for capture in self.captures]
        return min((other for other in starts if other > start), default=self.samples)

    def _samples(self, datatype: str) -> int:
        try:
            size = os.stat(self.data).st_size
        except OSError as error:
            what = f"{self.data.name} cannot be read: {error.strerror}"
            raise AmcError(f"{self.path}: {what}; allowed is a .sigmf-data file beside it") from None
        if size % (2 * self.type.itemsize):
            whole = f"whole {datatype} samples of {2 * self.type.itemsize} bytes"
            raise AmcError(f"{self.data}: the size is {size} bytes; allowed are {whole}")
        return size // (2 * self.type.itemsize)

    def _check_conforming(self) -> None:
        for fields in (self.head, *self.captures):
            for name in _BEYOND_SAMPLES:
                if fields.get(name):
                    raise self._wrong(name, fields[name], "a data file of samples only, without this field")
        channels = self.head.get("core:num_channels", 1)
        if channels != 1:
            raise self._wrong("core:num_channels", channels, "1")

    def _objects(self, name: str, value: Any, kind: type) -> Any:
        if not isinstance(value, kind) or (kind is list and not all(isinstance(one, dict) for one in value)):
            allowed = "an object" if kind is dict else "a list of objects"
            raise AmcError(f"{self.path}: field {name!r} is missing or of another type; allowed is {allowed}")
        return value

    def _count(self, fields: dict[str, Any], name: str) -> int:
        value = fields.get(name)
        whole = (type(value) is int or (type(value) is float and value.is_integer())) and 0 <= value < 2**63
        if not whole or (name == "amc:length" and value < 1):
            raise self._wrong(name, value, "a number of samples")
        return int(value)

    def _number(self, fields: dict[str, Any], name: str, allowed: str) -> float:
        """A finite number, nan where the field is absent."""
        value = fields.get(name, math.nan)
        if type(value) not in (int, float) or (name in fields and not abs(value) < 1e300):
            raise self._wrong(name, value, allowed)
        return float(value)

    def _wrong(self, name: str, value: Any, allowed: str) -> AmcError:
        return AmcError(f"{self.path}: field {name!r} is {value!r:.80}; allowed is {allowed}")


def write_sigmf(
    path: str | Path,
    x: np.ndarray,
    sample_rate: float,
    modulation: str | Sequence[str],
    snr_db: float | Sequence[float],
    description: str = "",
) -> Path:
    """Write instances, one after the other, as a SigMF recording of cf32_le samples.

    path: where, with or without .sigmf-meta. x: (batch, 2, length) real. sample_rate: Hz. modulation: one name, or
    one for each instance. snr_db: dB, one or one for each instance. Consecutive instances of the same modulation
    and SNR share an annotation. Returns the path of the .sigmf-meta file, which appears last, when all is complete.
    Raises AmcError for what SigMF cannot hold, and where the files cannot be written.
    """
    base = str(path).removesuffix(".sigmf-meta").removesuffix(".sigmf-data")
    meta, data = Path(base + ".sigmf-meta"), Path(base + ".sigmf-data")
    x = np.asarray(x, dtype=np.float32)
    if x.ndim != 3 or x.shape[1] != 2 or not x.size:
        raise AmcError(f"{meta}: instances have shape {x.shape}; allowed is (batch, 2, length)")
    if not np.isfinite(x).all():
        raise AmcError(f"{meta}: instances have samples that are nan or infinite; allowed are finite samples")
    if not 0 < sample_rate <= 1e12:
        raise AmcError(f"{meta}: sample_rate is {sample_rate}; allowed is above 0 Hz, up to 1e12 Hz")
    names = [modulation_name(str(name)) for name in per_instance(meta, "modulation", modulation, len(x))]
    levels = per_instance(meta, "snr_db", snr_db, len(x)).astype(np.float64)
    if not all(names) or not np.isfinite(levels).all():
        raise AmcError(f"{meta}: a modulation has no name, or an SNR is not finite; allowed are names and dB")
    samples = np.ascontiguousarray(x.transpose(0, 2, 1), dtype="<f4")
    extensions = [{"name": name, "version": "1.0.0", "optional": True} for name in ("signal", "amc")]
    content = {
        "global": {
            "core:datatype": "cf32_le",
            "core:version": "1.2.0",
            "core:sample_rate": float(sample_rate),
            "core:sha512": hashlib.sha512(samples).hexdigest(),
            "core:recorder": "amc-sweeps",
            "core:description": description,
            "core:extensions": extensions,
            "amc:length": x.shape[2],
        },
        "captures": [{"core:sample_start": 0}],
        "annotations": _annotations(names, levels.tolist(), x.shape[2]),
    }
    with replacing(data, meta) as [partial_data, partial_meta]:
        samples.tofile(partial_data)
        partial_meta.write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")
    return meta


def _annotations(names: list[str], snrs_db: list[float], length: int) -> list[dict[str, Any]]:
    """An annotation for each run of instances of one modulation and SNR."""
    annotations, previous = [], None
    for place, label in enumerate(zip(names, snrs_db, strict=True)):
        if label != previous:
            start = {"core:sample_start": place * length, "core:sample_count": 0, "core:label": label[0]}
            detail = {"signal:detail": _detail(label[0])} if label[0] in _DETAILS else {}
            annotations.append(start | {"amc:snr_db": label[1]} | detail)
            previous = label
        annotations[-1]["core:sample_count"] += length
    return annotations


def _detail(name: str) -> dict[str, Any]:
    analogue = _DETAILS[name].get("mod_class") in ("fm", "dsb", "ssb")
    return {"type": "analog" if analogue else "digital"} | _DETAILS[name]
