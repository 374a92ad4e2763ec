"""Instances of a recording by address, as the simulator gives them: (modulation, SNR, index) → I/Q."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch

from amc_core.errors import AmcError, suggest
from amc_core.fingerprint import DigestedPath, keep, recall
from amc_core.identity import address_key
from amc_core.landmarks import Landmarks, landmarks
from amc_core.recordings import Recording, open_recording
from amc_core.run import Dataset, Run

_BLOCK_SAMPLES = 1 << 20  # read at a time to find equal ones
_STEPS = 1 << 9  # of a component's amplitude, by which instances are told apart
_KEPT_BYTES = 1 << 26  # of samples of which what is found is worth keeping on the machine
_log = logging.getLogger(__name__)


class Recorded:
    """The instances of a recording that a dataset names.

    Those of one modulation and SNR are numbered in an order that the dataset's seed shuffles, since files may
    hold near copies side by side; of instances that are equal, or that share a stretch of samples, only the first has
    a number. A recording that knows no SNR is of the one level that the dataset names.

    Raises AmcError, naming the file, for a modulation, an SNR, a length, or a number of instances that it does not
    hold, for the same samples under two labels, and where the content is not, or no longer, what was planned.
    """

    def __init__(self, dataset: Dataset, path: str, device: torch.device | str = "cpu"):
        self.device, self.path = device, DigestedPath(path)
        self.path.require_planned()
        self.content = _opened(str(path), self.path.digest, dataset.length, dataset.modulations, dataset.snrs_db)
        positions = []
        for cell, found in enumerate(self.content.cells):
            if len(found) < dataset.count:
                what = f"{len(found)} instances of {self.content.label(cell)} are recorded"
                notes = "".join(f"; {note}" for note in self.content.notes)
                raise AmcError(f"{path}: {what}, and the study asks for {dataset.count}{notes}")
            # By names and values, not by their order: a test may have other modulations and SNRs than training.
            key = address_key(dataset.seed, *self.content.of(cell))
            positions.append(found[np.random.default_rng(key).permutation(len(found))[: dataset.count]])
        shape = (len(dataset.modulations), len(dataset.snrs_db), dataset.count)
        self.positions = np.stack(positions).reshape(shape)

    def __call__(self, modulation: torch.Tensor, snr: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """As `Simulator`: (batch,) int64 each, on the CPU → (batch, 2, length) float32 of mean power 1."""
        positions = self.positions[modulation.numpy(), snr.numpy(), index.numpy()]
        x = torch.as_tensor(self.content.recording.read(positions), device=self.device)
        self.path.require_planned()
        return x


@dataclass(frozen=True, eq=False)
class _Content:
    """A recording, and which of its instances some modulations and SNRs are.

    cells: for each modulation and SNR, the positions of its instances, equal ones once. digests: (n,) uint64, what
    each of these instances is, 0 for all others. landmarks: of these instances, by which stretches that two share
    are found. notes: what is passed over, a sentence each.
    """

    recording: Recording
    modulations: tuple[str, ...]
    snrs_db: tuple[float, ...]
    cells: tuple[np.ndarray, ...]
    digests: np.ndarray
    landmarks: Landmarks
    notes: tuple[str, ...]

    def of(self, cell: int) -> tuple[str, float | None]:
        """Modulation and SNR in dB; None where no SNR is recorded."""
        place, level = divmod(cell, len(self.snrs_db))
        unknown = np.isnan(self.recording.snr_db).all()
        return self.modulations[place], None if unknown else self.snrs_db[level]

    def label(self, cell: int) -> str:
        name, snr_db = self.of(cell)
        return name if snr_db is None else f"{name} at {snr_db:g} dB"


@lru_cache(maxsize=4)
def _opened(path: str, digest: str, length: int, modulations: tuple[str, ...], snrs_db: tuple[float, ...]) -> _Content:
    """The content of that digest, which the caller has seen to."""
    recording = open_recording(path, length)
    cells = [found for name in modulations for found in _levels(path, recording, name, snrs_db)]
    used = np.concatenate(cells)
    kind = np.repeat(np.arange(len(cells)), [len(cell) for cell in cells])
    digests = np.zeros(len(recording), dtype=np.uint64)
    digests[used], marks = _known(recording, used, kind, digest)
    content = _Content(recording, modulations, snrs_db, tuple(cells), digests, marks, recording.notes)
    content = _each_once(content, used, kind)
    DigestedPath(path, digest).require_planned()
    for note in content.notes:
        _log.warning("%s: %s", path, note)
    return content


def _each_once(content: _Content, used: np.ndarray, kind: np.ndarray) -> _Content:
    """The content without instances that equal others before them, or share a stretch of samples with them.

    used, kind: (n,) int64, the positions, and the cell of each. Raises AmcError for the same samples in two cells.
    """
    cell_of = np.zeros(len(content.digests), dtype=np.int64)
    cell_of[used] = kind
    order = used[np.lexsort((used, content.digests[used]))]
    equal = content.digests[order][1:] == content.digests[order][:-1]
    _require_one_label(content, cell_of, np.stack([order[:-1], order[1:]], axis=1)[equal])
    dropped, told = order[1:][equal], []
    if len(dropped):
        told.append(f"{len(dropped)} instances equal others of the file and do not count again")
    marks = content.landmarks.of(np.setdiff1d(used, dropped))
    overlapping: set[int] = set()
    while len(pairs := marks.repeats()):
        _require_one_label(content, cell_of, pairs)
        for first, second in pairs.tolist():
            if first not in overlapping:
                overlapping.add(second)
        marks = marks.of(np.setdiff1d(marks.instance, list(overlapping)))
    if overlapping:
        told.append(f"{len(overlapping)} instances share samples with others of the file and do not count again")
    if not told:
        return content
    dropped = np.union1d(dropped, np.array(sorted(overlapping), dtype=np.int64))
    cells = tuple(np.setdiff1d(cell, dropped) for cell in content.cells)
    return replace(content, cells=cells, landmarks=marks, notes=(*content.notes, *told))


def _require_one_label(content: _Content, cell_of: np.ndarray, pairs: np.ndarray) -> None:
    """Raise AmcError where instances of the same samples, (n, 2) positions, are in two cells."""
    differing = pairs[cell_of[pairs[:, 0]] != cell_of[pairs[:, 1]]]
    if len(differing):
        source = content.recording.source
        first, second = (
            f"{source.describe(place)} ({content.label(cell_of[place])})" for place in differing[0].tolist()
        )
        raise AmcError(f"{first} and {second} have the same samples; allowed is one label for a sample")


def _levels(path: str, recording: Recording, name: str, snrs_db: tuple[float, ...]) -> list[np.ndarray]:
    """The positions of a modulation's instances at each SNR."""
    if name not in recording.modulations:
        raise AmcError(f"{path}: modulation {name!r} is not recorded{suggest(name, recording.modulations)}")
    of_name = recording.modulation == recording.modulations.index(name)
    known = recording.snrs_db
    if np.isnan(known).all():
        if len(snrs_db) > 1:
            what = "no SNR is recorded (SigMF has amc:snr_db for it), so all its instances are of one level"
            how = f"give snr_db one value here, which is then theirs, not {len(snrs_db)}; a test may have its own"
            raise AmcError(f"{path}: {what}: {how}")
        return [np.flatnonzero(of_name)]
    for snr_db in snrs_db:
        if snr_db not in known:
            levels = ", ".join("unknown" if snr != snr else f"{snr:g}" for snr in known)
            raise AmcError(f"{path}: SNR {snr_db:g} dB is not recorded (recorded: {levels})")
    return [np.flatnonzero(of_name & (recording.snr_db == snr_db)) for snr_db in snrs_db]


def _known(recording: Recording, used: np.ndarray, kind: np.ndarray, digest: str) -> tuple[np.ndarray, Landmarks]:
    """(n,) uint64 of the samples of the instances at these positions of a content, whatever their scale; landmarks.

    kind: (n,) int64, the cell of each.
    """
    described = hashlib.blake2b(used.tobytes() + kind.tobytes(), digest_size=12).hexdigest()
    large = len(used) * recording.length * 8 >= _KEPT_BYTES
    name = "samples", digest, recording.length, described
    kept = recall(*name) if large else None
    if kept is not None and (read := _unpacked(kept, len(used), recording.length)):
        return read
    digests = []

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for block in _blocks(used, recording.length):
            x = recording.source.fetch(block, recording.length)
            digests.extend(map(_shape_digest, x))
            yield block, x

    kind_of = np.zeros(len(recording), dtype=np.int64)
    kind_of[used] = kind
    marks = landmarks(batches(), recording.length, kind_of)
    found = np.frombuffer(b"".join(digests), dtype=np.uint64)
    if large:
        columns = (found, marks.instance, marks.first, marks.hash)
        keep(b"".join([np.int64(marks.one_of).tobytes(), *(column.tobytes() for column in columns)]), *name)
    return found, marks


def _unpacked(kept: bytes, count: int, length: int) -> tuple[np.ndarray, Landmarks] | None:
    """What `_known` has kept of so many instances, None where it is not whole."""
    numbers = np.frombuffer(kept[: len(kept) // 8 * 8], dtype=np.int64)
    if len(kept) % 8 or len(numbers) < 1 + count or (len(numbers) - 1 - count) % 3:
        return None
    instance, first, hashes = numbers[1 + count :].reshape(3, -1)
    marks = Landmarks(length, int(numbers[0]), instance, first, hashes.view(np.uint64))
    return numbers[1 : 1 + count].view(np.uint64), marks


def _blocks(positions: np.ndarray, length: int) -> list[np.ndarray]:
    """Positions, as many at a time as are read at once."""
    step = max(1, _BLOCK_SAMPLES // length)
    return np.split(positions, range(step, len(positions), step))


def _shape_digest(x: np.ndarray) -> bytes:
    """8 bytes of samples (2, n), the same at any gain: instances are scaled to unit power when they are read.

    The same samples may be there as integers, as fractions of full scale, and scaled to unit power. All are rounded to
    a part of their largest component that is coarser than the rounding of single precision, and finer than noise.
    """
    peak = abs(x).max()
    rounded = np.rint(x * (_STEPS / peak)).astype(np.int16) if 0 < peak < np.inf else x.astype(np.float32)
    return hashlib.blake2b(rounded.tobytes(), digest_size=8).digest()


# -- one sample, one part ------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Use:
    """What of one recording some parts of a dataset are.

    positions: (n,) of its instances. spans: as `Source.spans`, each sorted by its first.
    """

    path: str
    length: int
    recorded: Recorded
    positions: np.ndarray
    spans: dict[str, np.ndarray]

    def digests(self, length: int) -> np.ndarray:
        """(n, blocks) uint64 of each instance's consecutive blocks of `length` samples."""
        content = self.recorded.content
        if length == self.length:
            return content.digests[self.positions][:, None]
        blocks = self.length // length
        rows = [
            [np.frombuffer(_shape_digest(x[:, start : start + length]), np.uint64)[0] for start in starts]
            for starts in [range(0, blocks * length, length)]
            for chunk in _blocks(self.positions, self.length)
            for x in content.recording.source.fetch(chunk, self.length)
        ]
        return np.array(rows, dtype=np.uint64)

    def shared_with(self, other: _Use) -> int:
        """How many instances here have samples that are there as well."""
        marks, others = (use.recorded.content.landmarks.of(use.positions) for use in (self, other))
        shared = len(np.unique(marks.shared(others)[:, 0]))
        if self.spans.keys() != other.spans.keys() or self.length == other.length:
            length = min(self.length, other.length)
            shared = max(shared, np.isin(self.digests(length), other.digests(length)).any(axis=1).sum())
        for content, spans in self.spans.items():
            there = other.spans.get(content)
            if there is not None:
                before = np.maximum.accumulate(there[:, 1])  # where those that begin earlier end
                last = np.searchsorted(there[:, 0], spans[:, 1]) - 1
                shared = max(shared, int(((last >= 0) & (before[last.clip(0)] > spans[:, 0])).sum()))
        return int(shared)


def require_unseen_tests(run: Run, tests: Iterable[Dataset]) -> None:
    """Raise AmcError where recorded samples test a run that trained it, or a run that it descends from."""
    tests = [test for test in tests if _is_recorded(test)]
    trained: Run | None = run
    while tests and trained is not None:
        if _is_recorded(trained.dataset):
            for test in tests:
                require_unseen(trained.dataset, ("train", "validation"), test)
        trained = trained.parent


def require_parts_apart(dataset: Dataset) -> None:
    """Raise AmcError where recordings of a mixture share samples across its parts."""
    require_unseen(dataset, ("train",), dataset, "validation")
    require_unseen(dataset, ("train", "validation"), dataset, "test")


def _is_recorded(dataset: Dataset) -> bool:
    return any(scenario.recording for scenario in dataset.scenario.components)


def require_unseen(training: Dataset, parts: tuple[str, ...], test: Dataset, part: str = "test") -> None:
    """Raise AmcError where recorded samples of these parts of a training dataset are in a part of another as well."""
    for tested in _uses(test, (part,)):
        for trained in _uses(training, parts):
            shared = tested.shared_with(trained)
            if shared:
                what = f"{shared} of its {len(tested.positions)} {part} instances have samples"
                where = "this recording" if trained.path == tested.path else trained.path
                raise AmcError(
                    f"{tested.path}: {what} that are in the {' or '.join(parts)} part of {where}: "
                    f"test on samples that no training has (lengths {trained.length} and {tested.length})"
                )


@lru_cache(maxsize=32)
def _uses(dataset: Dataset, parts: tuple[str, ...]) -> list[_Use]:
    """The recorded instances of parts of a dataset, by the recordings that they are from."""
    index = np.concatenate([np.array(dataset.indices(part), dtype=np.int64) for part in parts])
    components, uses = dataset.scenario.components, []
    for place, scenario in enumerate(components):
        if scenario.recording:
            own = index[dataset.scenario.component(index) == place] if len(components) > 1 else index
            recorded = Recorded(dataset, scenario.recording)
            positions = recorded.positions[:, :, own].ravel()
            spans = recorded.content.recording.source.spans(positions)
            spans = {content: span[np.argsort(span[:, 0], kind="stable")] for content, span in spans.items()}
            uses.append(_Use(str(recorded.path), dataset.length, recorded, positions, spans))
    return uses
