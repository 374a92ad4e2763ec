"""SigMF recordings: a .sigmf-meta file (JSON) that describes the samples in the .sigmf-data file beside it.

Files are read by the specification 1.2 (github.com/sigmf/SigMF), archives included. An annotation marks a range of
samples and names its modulation, in `core:label` or in `signal:detail` of the signal extension. The specification has
no field for an SNR; ours is `amc:snr_db`, dB over the sampled band. Samples are used as they are: an annotation's
frequency edges do not tune or filter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from amc_core.errors import AmcError
from amc_core.fingerprint import piece_digest, recordings_at
from amc_core.pieces import Piece
from amc_core.reading import Reading
from amc_core.recordings.ranges import Ranges
from amc_core.recordings.recording import Recording
from amc_core.recordings.sigmf_meta import Meta

_DEFAULT_LENGTH = 1024
_AS_WRITTEN = Reading()


@dataclass(frozen=True)
class _Samples:
    """Instances in data files: file (n,) indices into pieces and types, start (n,) first sample in the piece."""

    pieces: list[Piece]
    types: list[np.dtype]
    file: np.ndarray
    start: np.ndarray
    length: int

    def fetch(self, positions: np.ndarray, length: int) -> np.ndarray:
        out = np.empty((len(positions), 2, length))
        for index in np.unique(self.file[positions]):
            piece, kind = self.pieces[index], self.types[index]
            size = 2 * kind.itemsize
            try:
                with open(piece.path, "rb") as file:
                    for row in np.flatnonzero(self.file[positions] == index):
                        file.seek(piece.offset + int(self.start[positions[row]]) * size)
                        samples = np.frombuffer(file.read(length * size), kind)
                        out[row] = samples.reshape(length, 2).T
            except (OSError, ValueError) as error:
                reason = "it may have changed since it was opened"
                raise AmcError(f"{piece.name} cannot be read ({error}): {reason}") from None
            if kind.kind == "u":
                out[self.file[positions] == index] -= 2 ** (8 * kind.itemsize - 1)
        return out

    def describe(self, position: int) -> str:
        name, start = self.pieces[self.file[position]].name, self.start[position]
        return f"{name}: instance {position} (samples {start} to {start + self.length - 1})"

    def spans(self, positions: np.ndarray) -> dict[str, np.ndarray]:
        file, start = self.file[positions], self.start[positions]
        return {
            piece_digest(self.pieces[index]): np.stack([start[file == index], start[file == index] + self.length], 1)
            for index in np.unique(file)
        }


def open_sigmf(paths: Sequence[Path], length: int | None, reading: Reading = _AS_WRITTEN) -> Recording:
    """The annotated instances of .sigmf-meta files and of .sigmf archives.

    length: samples of an instance; by default `amc:length` in the files, else 1024. Every annotated range of samples is
    cut in consecutive instances, and the rest at its end is dropped. If no annotation of a file names a modulation but
    its global object does, the whole file is one range. Annotations that end beyond the samples, or that name no
    modulation, are ignored and counted in `notes`. reading: its classes say what labels mean; its label, snr_db and
    sample_rate apply if the files have none.
    """
    reading.require_only(paths[0], "SigMF", "label", "classes", "snr_db", "sample_rate")
    if isinstance(reading.label, dict):
        raise AmcError(f"{paths[0]}: annotations say what samples are; allowed for label is one modulation")
    classes = reading.classes or {}
    if not isinstance(classes, dict):
        raise AmcError(f"{paths[0]}: SigMF names its labels; allowed is classes: {{label: modulation}}")
    if isinstance(reading.snr_db, str):
        raise AmcError(f"{paths[0]}: snr_db is {reading.snr_db!r}; allowed for SigMF is a number of dB")
    metas = [Meta(*pieces, classes, reading.label or "") for path in paths for pieces in _recordings(path)]
    if length is None:
        lengths = {meta.length for meta in metas}
        if len(lengths) > 1:
            raise AmcError(f"{paths[0]}: field 'amc:length' differs between the files; allowed is one length")
        length = next(iter(lengths), None) or _DEFAULT_LENGTH
    if length < 1:
        raise AmcError(f"{paths[0]}: length is {length}; allowed is 1 sample or more")
    names = sorted({name for meta in metas for name in meta.names})
    ranges = _ranges(metas, names)
    of, start = ranges.instances(length)
    if not len(of):
        notes = "".join(f"; {note}" for meta in metas for note in meta.notes)
        if len(ranges):
            longest = int((ranges.end - ranges.start).max())
            what = f"no annotation that names its modulation has {length} samples, the longest has {longest}"
            raise AmcError(f"{paths[0]}: {what}; allowed is a length of {longest} or less{notes}")
        what = "no annotation names its modulation"
        raise AmcError(f"{paths[0]}: {what}; allowed are names in core:label or signal:detail{notes}")
    occurring, modulation = np.unique(ranges.name[of], return_inverse=True)
    file = ranges.space[of]
    return Recording(
        modulations=tuple(names[index] for index in occurring),
        length=length,
        modulation=modulation,
        snr_db=_known(ranges.snr_db[of], reading.snr_db),
        sample_rate=_known(np.array([meta.sample_rate for meta in metas])[file], reading.sample_rate),
        source=_Samples([meta.data for meta in metas], [meta.type for meta in metas], file, start, length),
        notes=tuple(note for meta in metas for note in meta.notes),
    )


def _known(values: np.ndarray, otherwise: float | None) -> np.ndarray:
    return values if otherwise is None else np.where(np.isnan(values), otherwise, values)


def _recordings(path: Path) -> list[tuple[Piece, ...]]:
    allowed = "allowed are a .sigmf-meta file with its .sigmf-data file, a .sigmf archive, or a directory of them"
    try:
        recordings = recordings_at(path)
    except AmcError as error:
        raise AmcError(f"{path}: {error}; {allowed}") from None
    if not recordings:
        raise AmcError(f"{path}: the directory has no .sigmf-meta files; {allowed}")
    if len(recordings[0]) != 2:
        raise AmcError(f"{path}: the name does not end in .sigmf-meta; {allowed}")
    return recordings


def _ranges(metas: list[Meta], names: list[str]) -> Ranges:
    """The ranges of all files, each sample once; files of the same samples share one space, that of the first."""
    sizes, spaces, first_of = Counter(meta.data.size for meta in metas), [], {}
    for number, meta in enumerate(metas):
        alone = sizes[meta.data.size] == 1
        content = number if alone else (piece_digest(meta.data), meta.type)
        spaces.append(first_of.setdefault(content, number))
    index = {name: number for number, name in enumerate(names)}
    columns, firsts = [], np.cumsum([0, *(meta.rows for meta in metas)])
    for number, meta in enumerate(metas):
        start, end, kind, snr_db, row = meta.ranges()
        name = np.array([index[name] for name in meta.names], dtype=np.int64)[kind]
        space = np.full(len(start), spaces[number])
        columns.append((space, start, end, name, snr_db, row + firsts[number]))
    together = Ranges(*(np.concatenate(column) for column in zip(*columns, strict=True)))

    def conflict(first: int, second: int, start: int, end: int) -> AmcError:
        annotations = []
        for row in (first, second):
            number = int(np.searchsorted(firsts, row, side="right")) - 1
            annotations.append((metas[number].path, metas[number].describe(row - int(firsts[number]))))
        where = "" if annotations[0][0] == annotations[1][0] else f" of {annotations[1][0]}"
        both = f"{annotations[0][1]} and {annotations[1][1]}{where} name the same samples, {start} to {end}"
        return AmcError(f"{annotations[0][0]}: {both}; allowed is one label for a sample")

    return together.each_once(conflict)
