"""Instances of a recording by address, as the simulator gives them: (modulation, SNR, index) → I/Q."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch

from amc_core.copies import located
from amc_core.errors import AmcError
from amc_core.fingerprint import DigestedPath, keep, recall
from amc_core.identity import address_key
from amc_core.landmarks import Landmarks, landmarks, same_samples
from amc_core.quantities import many
from amc_core.recorded_labels import Asked, Selection, asked_by, opened
from amc_core.recordings import Recording
from amc_core.recordings.recording import ALLOWED, flaw, is_usable, mean_power
from amc_core.run import Dataset, Run
from amc_core.splits import amr_benchmark_parts

_BLOCK_SAMPLES = 1 << 20  # samples read at a time
_STEPS = 1 << 9  # quantisation steps of a component's amplitude, for digests of instances
_KEPT_BYTES = 1 << 26  # of samples: the digests and landmarks of more are kept on the machine
_log = logging.getLogger(__name__)


class Recorded:
    """The instances of a recording that a dataset names.

    The dataset's seed shuffles the instances of one modulation and SNR before they are numbered, since files may
    hold near copies side by side. Of instances that are equal, or that share a stretch of samples, only the first gets
    a number. Those of a whole recording keep the order of the file, unless there are more than are tested.

    modulations, snrs_db: names and dB of the instances, None for an unknown SNR. counts: (modulations, SNRs) int64,
    numbers of instances.

    Raises AmcError, naming the file, for a modulation, an SNR, a length, or a number of instances that it does not
    hold, for the same samples under two labels, and if the content is not, or no longer, the planned one.
    """

    def __init__(self, dataset: Dataset, path: str, device: torch.device | str = "cpu", normalisation: str = "power"):
        self.device, self.path, self.normalisation = device, located(DigestedPath(path)), normalisation
        self.path.require_planned()
        self.content = _opened(self.path, str(self.path), asked_by(dataset))
        selection, most = self.content.selection, dataset.test_instances
        if not dataset.whole:
            most = dataset.count // dataset.pieces
        self.modulations, self.snrs_db = selection.modulations, selection.snrs_db
        if len(dataset.scenario.components) > 1 and self.snrs_db != dataset.snrs_db:
            what = f"no SNR is recorded, and the other parts of the mixture have {len(dataset.snrs_db)} SNRs"
            raise AmcError(f"{path}: {what}: give snr_db one value, which then applies to the recording too")
        chosen, drawn = [], _drawn(dataset, selection)
        for cell, positions in enumerate(selection.cells):
            if drawn:
                positions = drawn[cell][np.isin(drawn[cell], positions)]
            if not dataset.whole and len(positions) < most:
                of, verb = selection.label(cell), "is" if len(positions) == 1 else "are"
                what = f"{many(len(positions), 'instance')} of {of} {verb} recorded"
                notes = "".join(f"; {note}" for note in self.content.notes)
                raise AmcError(f"{path}: {what}, and the study asks for {most}{notes}")
            if not drawn and (not dataset.whole or (most is not None and len(positions) > most)):
                # By names and values, not by their order: a test may have other modulations and SNRs than training.
                key = address_key(dataset.seed, *selection.of(cell))
                positions = positions[np.random.default_rng(key).permutation(len(positions))[:most]]
            pieces = positions[:, None] * dataset.pieces + np.arange(dataset.pieces)
            chosen.append(pieces.ravel())
        self.counts = np.array([len(each) for each in chosen]).reshape(len(self.modulations), -1)
        self.positions = np.concatenate(chosen)  # by modulation, SNR and index
        self.starts = (np.cumsum(self.counts) - self.counts.ravel()).reshape(self.counts.shape)

    def __call__(self, modulation: torch.Tensor, snr: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """As `Simulator`: (batch,) int64 each, on the CPU → (batch, 2, length) float32, scaled by `normalisation`."""
        positions = self.positions[self.starts[modulation.numpy(), snr.numpy()] + index.numpy()]
        x = torch.as_tensor(self.content.recording.read(positions, self.normalisation), device=self.device)
        self.path.require_planned()
        return x

    def at(self, index: np.ndarray | None) -> np.ndarray:
        """The positions in the recording of the instances with these indices, of every modulation and SNR.

        index: (n,) int64, None for all.
        """
        return self.positions if index is None else self.positions[(self.starts[..., None] + index).ravel()]


def _drawn(dataset: Dataset, selection: Selection) -> list[np.ndarray]:
    """The positions of each modulation and SNR in the order of the dataset's parts, if the split draws them itself.

    If the dataset has fewer instances than the recording, each part has those that were drawn first.
    """
    if dataset.split != "amr_benchmark":
        return []
    first, second = (dataset.indices(part).start // dataset.pieces for part in ("validation", "test"))
    most = first, second - first, dataset.count // dataset.pieces - second
    recording, parts = selection.recording, {}
    for index, snr_db, drawn in amr_benchmark_parts(recording):
        level = None if np.isnan(recording.snr_db).all() else snr_db
        cut = [part[:count] for part, count in zip(drawn, most, strict=True)]
        parts[recording.modulations[index], level] = np.concatenate(cut)
    return [parts[selection.of(cell)] for cell in range(len(selection.cells))]


@dataclass(frozen=True, eq=False)
class _Content:
    """A recording, and its instances of some modulations and SNRs.

    recording: of the instances that are consumed. selection: of the instances from which they are cut, if the parts
    were split at another length; equal ones are in it once. digests: (n,) uint64 of each instance of `recording`, 0 for
    those that are not selected. landmarks: of the selected instances, to detect shared stretches. notes: a sentence for
    each kind of instances that are left out.
    """

    recording: Recording
    selection: Selection
    digests: np.ndarray
    landmarks: Landmarks
    notes: tuple[str, ...]


@lru_cache(maxsize=4)
def _opened(path: DigestedPath, name: str, asked: Asked) -> _Content:
    """The planned content, which the caller has checked. name: the path as a string, which the cache tells apart."""
    selection, digest = opened(path, asked), path.digest
    recording, cells = selection.recording, selection.cells
    used, kind = np.concatenate(cells), np.repeat(np.arange(len(cells)), [len(cell) for cell in cells])
    known = _known(recording, used, kind, f"{digest} {asked.whole}")
    content = _each_once(_Content(recording, selection, *known, recording.notes), used, kind)
    if asked.split_length:
        cut, pieces = recording.cut(asked.length), asked.split_length // asked.length
        used, kind = (used[:, None] * pieces + np.arange(pieces)).ravel(), np.repeat(kind, pieces)
        digests, marks = _known(cut, used, kind, f"{digest} {pieces}")
        content = replace(content, recording=cut, digests=digests, landmarks=marks)
    path.require_planned()
    for note in content.notes:
        _log.warning("%s: %s", path, note)
    return content


def _each_once(content: _Content, used: np.ndarray, kind: np.ndarray) -> _Content:
    """The content without instances that equal earlier ones, or share a stretch of samples with them.

    used, kind: (n,) int64, the positions, and the cell of each. Raises AmcError for the same samples in two cells.
    """
    cell_of = np.zeros(len(content.digests), dtype=np.int64)
    cell_of[used] = kind
    order = used[np.lexsort((used, content.digests[used]))]
    equal = content.digests[order][1:] == content.digests[order][:-1]
    _require_one_label(content, cell_of, np.stack([order[:-1], order[1:]], axis=1)[equal])
    dropped, notes = order[1:][equal], []
    if len(dropped):
        one = "instance equals another in the file and is left out"
        several = "instances equal others in the file and are left out"
        notes.append(many(len(dropped), one, several))
    marks = content.landmarks.of(np.setdiff1d(used, dropped))
    overlapping: set[int] = set()
    while len(pairs := _verified(content.recording, content.recording, marks.repeats())):
        _require_one_label(content, cell_of, pairs)
        for first, second in pairs.tolist():
            if first not in overlapping:
                overlapping.add(second)
        marks = marks.of(np.setdiff1d(marks.instance, list(overlapping)))
    if overlapping:
        one = "instance shares samples with another in the file and is left out"
        several = "instances share samples with others in the file and are left out"
        notes.append(many(len(overlapping), one, several))
    if not notes:
        return content
    dropped = np.union1d(dropped, np.array(sorted(overlapping), dtype=np.int64))
    selection = replace(content.selection, cells=tuple(np.setdiff1d(cell, dropped) for cell in content.selection.cells))
    return replace(content, selection=selection, landmarks=marks, notes=(*content.notes, *notes))


def _verified(one: Recording, other: Recording, pairs: np.ndarray) -> np.ndarray:
    """The pairs of instances that have the same samples, (n, 2), among candidates (k, 3) with their shift."""
    kept = [np.empty((0, 2), dtype=np.int64)]
    step = max(1, _BLOCK_SAMPLES // max(one.length, other.length))
    for block in np.split(pairs, range(step, len(pairs), step)):
        if len(block):
            here, first = np.unique(block[:, 0], return_inverse=True)
            there, second = np.unique(block[:, 1], return_inverse=True)
            x, y = one.source.fetch(here, one.length), other.source.fetch(there, other.length)
            same = [same_samples(x[i], y[j], k) for i, j, k in zip(first, second, block[:, 2], strict=True)]
            kept.append(block[np.array(same, dtype=bool), :2])
    return np.concatenate(kept)


def _require_one_label(content: _Content, cell_of: np.ndarray, pairs: np.ndarray) -> None:
    """Raise AmcError if instances of the same samples, (n, 2) positions, have different labels."""
    differing = pairs[cell_of[pairs[:, 0]] != cell_of[pairs[:, 1]]]
    if len(differing):
        source = content.recording.source
        first, second = (
            f"{source.describe(position)} ({content.selection.label(cell_of[position])})"
            for position in differing[0].tolist()
        )
        raise AmcError(f"{first} and {second} have the same samples; allowed is one label for a sample")


def _known(recording: Recording, used: np.ndarray, kind: np.ndarray, digest: str) -> tuple[np.ndarray, Landmarks]:
    """Digests, (all,) uint64, which do not depend on scale, and landmarks of the instances at these positions.

    kind: (n,) int64, the cell of each. Digests at other positions are 0. Raises AmcError for instances that cannot be
    scaled to unit power.
    """
    values, marks = _known_in_order(recording, used, kind, digest)
    digests = np.zeros(len(recording), dtype=np.uint64)
    digests[used] = values
    return digests, marks


def _known_in_order(
    recording: Recording, used: np.ndarray, kind: np.ndarray, digest: str
) -> tuple[np.ndarray, Landmarks]:
    """As `_known`, with the digests of these positions only: (n,) uint64."""
    described = hashlib.blake2b(used.tobytes() + kind.tobytes(), digest_size=12).hexdigest()
    large = len(used) * recording.length * 8 >= _KEPT_BYTES
    name = "usable samples", digest, recording.length, described
    kept = recall(*name) if large else None
    if kept is not None and (read := _unpacked(kept, len(used), recording.length)):
        return read
    digests, unusable = [], []

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for block in _blocks(used, recording.length):
            x = recording.source.fetch(block, recording.length)
            usable = is_usable(mean_power(x))
            if not usable.all():
                unusable.append(block[~usable])
                block, x = block[usable], x[usable]
            digests.extend(map(_shape_digest, x))
            yield block, x

    kind_of = np.zeros(len(recording), dtype=np.int64)
    kind_of[used] = kind
    marks = landmarks(batches(), recording.length, kind_of)
    if unusable:
        _refuse_unusable(recording, np.sort(np.concatenate(unusable)))
    values = np.frombuffer(b"".join(digests), dtype=np.uint64)
    if large:
        columns = (values, marks.instance, marks.first, marks.hash)
        keep(b"".join([np.int64(marks.one_of).tobytes(), *(column.tobytes() for column in columns)]), *name)
    return values, marks


def _refuse_unusable(recording: Recording, positions: np.ndarray) -> None:
    """Raise AmcError for instances (n,), in the order of the file, that cannot be scaled to unit power."""
    [first] = recording.source.fetch(positions[:1], recording.length)
    what = f"{recording.source.describe(int(positions[0]))} {flaw(first)}"
    several = f" (the first of {len(positions)} instances that cannot be used)" if len(positions) > 1 else ""
    raise AmcError(f"{what}{several}; {ALLOWED}")


def _unpacked(kept: bytes, count: int, length: int) -> tuple[np.ndarray, Landmarks] | None:
    """What `_known_in_order` has kept of so many instances, None if it is damaged."""
    numbers = np.frombuffer(kept[: len(kept) // 8 * 8], dtype=np.int64)
    if len(kept) % 8 or len(numbers) < 1 + count or (len(numbers) - 1 - count) % 3:
        return None
    instance, first, hashes = numbers[1 + count :].reshape(3, -1)
    marks = Landmarks(length, int(numbers[0]), instance, first, hashes.view(np.uint64))
    return numbers[1 : 1 + count].view(np.uint64), marks


def _blocks(positions: np.ndarray, length: int) -> list[np.ndarray]:
    """Positions, in blocks that are read at once."""
    step = max(1, _BLOCK_SAMPLES // length)
    return np.split(positions, range(step, len(positions), step))


def _shape_digest(x: np.ndarray) -> bytes:
    """An 8-byte digest of samples (2, n) that is the same at any gain.

    Files may hold the same samples as integers, as fractions of full scale, or scaled to unit power. They are rounded
    in steps of their largest component that are coarser than the rounding of single precision, and finer than noise.
    """
    peak = abs(x).max()
    rounded = np.rint(x * (_STEPS / peak)).astype(np.int16) if 0 < peak < np.inf else x.astype(np.float32)
    return hashlib.blake2b(rounded.tobytes(), digest_size=8).digest()


# -- one sample, one part ------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Use:
    """The instances of one recording in some parts of a dataset.

    positions: (n,) of its instances. spans: as `Source.spans`, each sorted by its first column.
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
        """How many instances have samples that `other` has as well."""
        marks, others = (use.recorded.content.landmarks.of(use.positions) for use in (self, other))
        recordings = (use.recorded.content.recording for use in (self, other))
        shared = len(np.unique(_verified(*recordings, marks.shared(others))[:, 0]))
        if self.spans.keys() != other.spans.keys() or self.length == other.length:
            length = min(self.length, other.length)
            shared = max(shared, np.isin(self.digests(length), other.digests(length)).any(axis=1).sum())
        for content, spans in self.spans.items():
            there = other.spans.get(content)
            if there is not None:
                before = np.maximum.accumulate(there[:, 1])  # the last end of all that begin earlier
                last = np.searchsorted(there[:, 0], spans[:, 1]) - 1
                shared = max(shared, int(((last >= 0) & (before[last.clip(0)] > spans[:, 0])).sum()))
        return int(shared)


def require_unseen_tests(run: Run, tests: Iterable[Dataset]) -> None:
    """Raise AmcError if recorded samples test a run that trained it, or a run that it descends from."""
    tests = [test for test in tests if test.recorded]
    trained: Run | None = run
    while tests and trained is not None:
        if trained.dataset.recorded:
            for test in tests:
                require_unseen(trained.dataset, ("train", "validation"), test)
        trained = trained.parent


def require_parts_apart(dataset: Dataset) -> None:
    """Raise AmcError if recordings of a mixture share samples across its parts."""
    require_unseen(dataset, ("train",), dataset, "validation")
    require_unseen(dataset, ("train", "validation"), dataset, "test")


def require_unseen(training: Dataset, parts: tuple[str, ...], test: Dataset, part: str = "test") -> None:
    """Raise AmcError if recorded samples of these parts of a training dataset are in a part of another as well."""
    for tested in _uses(test, (part,), _recordings(test)):
        for trained in _uses(training, parts, _recordings(training)):
            shared = tested.shared_with(trained)
            if shared:
                whole, verb = many(len(tested.positions), f"{part} instance"), "has" if shared == 1 else "have"
                what = f"{shared} of its {whole} {verb} samples"
                where = "this recording" if trained.path == tested.path else trained.path
                raise AmcError(
                    f"{tested.path}: {what} that are in the {' or '.join(parts)} part of {where}: "
                    f"test on samples that did not train (lengths {trained.length} and {tested.length})"
                )


def _recordings(dataset: Dataset) -> tuple[str, ...]:
    return tuple(str(scenario.recording) for scenario in dataset.scenario.components)


@lru_cache(maxsize=32)
def _uses(dataset: Dataset, parts: tuple[str, ...], names: tuple[str, ...]) -> list[_Use]:
    """The recorded instances of parts of a dataset, one `_Use` for each recording.

    names: the paths as strings, which the cache tells apart, since datasets of equal content are equal.
    """
    indices = [] if dataset.whole else [np.array(dataset.indices(part), dtype=np.int64) for part in parts]
    index = None if dataset.whole else np.concatenate(indices)
    components, uses = dataset.scenario.components, []
    for number, scenario in enumerate(components):
        if scenario.recording:
            own = index[dataset.scenario.component(index) == number] if len(components) > 1 else index
            recorded = Recorded(dataset, scenario.recording)
            positions = recorded.at(own)
            spans = recorded.content.recording.source.spans(positions)
            spans = {content: span[np.argsort(span[:, 0], kind="stable")] for content, span in spans.items()}
            uses.append(_Use(str(recorded.path), dataset.length, recorded, positions, spans))
    return uses
