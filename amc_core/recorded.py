"""Instances of a recording by address, as the simulator gives them: (modulation, SNR, index) → I/Q."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch

from amc_core.copies import located
from amc_core.errors import AmcError
from amc_core.fingerprint import DigestedPath, keep, recall
from amc_core.identity import address_key
from amc_core.recorded_labels import Asked, Selection, asked_by, opened
from amc_core.recordings import Recording
from amc_core.run import Dataset, Run
from amc_core.splits import amr_benchmark_parts

_BLOCK = 1024  # instances read at a time to find equal ones
_STEPS = 1 << 9  # of a component's amplitude, by which instances are told apart
_KEPT_BYTES = 1 << 26  # of samples of which what is found is worth keeping on the machine
_log = logging.getLogger(__name__)


class Recorded:
    """The instances of a recording that a dataset names.

    Those of one modulation and SNR are numbered in an order that the dataset's seed shuffles, since files may
    hold near copies side by side; of instances that are equal only the first has a number. Those of a whole recording
    keep the order of the file, unless there are more than are tested.

    modulations, snrs_db: names and dB of the instances, None for an SNR that nobody knows. counts: (modulations, SNRs)
    int64, how many there are of each.

    Raises AmcError, naming the file, for a modulation, an SNR, a length, or a number of instances that it does not
    hold, for equal instances of two labels, and where the content is not, or no longer, what was planned.
    """

    def __init__(self, dataset: Dataset, path: str, device: torch.device | str = "cpu", normalisation: str = "power"):
        self.device, self.path, self.normalisation = device, located(DigestedPath(path)), normalisation
        self.path.require_planned()
        self.content = _opened(self.path, str(self.path), asked_by(dataset))
        selection, most = self.content.selection, dataset.test_instances
        if not dataset.whole:
            most = dataset.count // dataset.pieces
        self.modulations, self.snrs_db = selection.modulations, selection.snrs_db
        chosen, drawn = [], _drawn(dataset, selection)
        for cell, positions in enumerate(selection.cells):
            if drawn:
                positions = drawn[cell][np.isin(drawn[cell], positions)]
            if not dataset.whole and len(positions) < most:
                what = f"{len(positions)} instances of {selection.label(cell)} are recorded"
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
        """The positions in the recording of instances of these indices, of every modulation and SNR; None for all."""
        return self.positions if index is None else self.positions[(self.starts[..., None] + index).ravel()]


def _drawn(dataset: Dataset, selection: Selection) -> list[np.ndarray]:
    """Of each modulation and SNR the positions in the order of the dataset's parts, where these are drawn otherwise.

    Of fewer instances than there are, each part has those that were drawn first.
    """
    if dataset.split != "amr_benchmark":
        return []
    first, second = (dataset.indices(part).start // dataset.pieces for part in ("validation", "test"))
    most = first, second - first, dataset.count // dataset.pieces - second
    recording, parts = selection.recording, {}
    for place, snr_db, drawn in amr_benchmark_parts(recording):
        level = None if np.isnan(recording.snr_db).all() else snr_db
        cut = [part[:count] for part, count in zip(drawn, most, strict=True)]
        parts[recording.modulations[place], level] = np.concatenate(cut)
    return [parts[selection.of(cell)] for cell in range(len(selection.cells))]


@dataclass(frozen=True, eq=False)
class _Content:
    """A recording, and which of its instances are of some modulations and SNRs.

    recording: of the instances that are consumed. selection: of those that they are cut from, if the parts were split
    at another length, equal ones once. digests: (n,) uint64, what each instance of `recording` is, 0 for those that
    are not selected. notes: what is passed over, a sentence each.
    """

    recording: Recording
    selection: Selection
    digests: np.ndarray
    notes: tuple[str, ...]


@lru_cache(maxsize=4)
def _opened(path: DigestedPath, name: str, asked: Asked) -> _Content:
    """The planned content, which the caller has seen to; name: the path as a text, by which it is kept as well."""
    selection, digest = opened(path, asked), path.digest
    used, recording = np.concatenate(selection.cells), selection.recording
    content = _Content(recording, selection, _all_digests(recording, used, f"{digest} {asked.whole}"), recording.notes)
    content = _each_once(content, used)
    if asked.split_length:
        cut, pieces = recording.cut(asked.length), asked.split_length // asked.length
        used = (used[:, None] * pieces + np.arange(pieces)).ravel()
        content = replace(content, recording=cut, digests=_all_digests(cut, used, f"{digest} {pieces}"))
    path.require_planned()
    for note in content.notes:
        _log.warning("%s: %s", path, note)
    return content


def _all_digests(recording: Recording, used: np.ndarray, content: str) -> np.ndarray:
    """(n,) uint64 for a whole recording, of the instances at `used` positions; content: what the recording is of."""
    digests = np.zeros(len(recording), dtype=np.uint64)
    digests[used] = _digests(recording, used, content)
    return digests


def _each_once(content: _Content, used: np.ndarray) -> _Content:
    """The content without instances that equal others before them. Raises AmcError for equal ones of two labels."""
    selection = content.selection
    cell_of = np.repeat(np.arange(len(selection.cells)), [len(cell) for cell in selection.cells])
    order = np.lexsort((used, content.digests[used]))
    used, cell_of = used[order], cell_of[order]
    equal = content.digests[used][1:] == content.digests[used][:-1]
    differing = np.flatnonzero(equal & (cell_of[1:] != cell_of[:-1]))
    if len(differing):
        rows, source = (differing[0], differing[0] + 1), content.recording.source
        first, second = (f"{source.describe(int(used[row]))} ({selection.label(cell_of[row])})" for row in rows)
        raise AmcError(f"{first} and {second} have the same samples; allowed is one label for a sample")
    if not equal.any():
        return content
    cells = tuple(np.setdiff1d(cell, used[1:][equal]) for cell in selection.cells)
    note = f"{equal.sum()} instances equal others of the file and do not count again"
    return replace(content, selection=replace(selection, cells=cells), notes=(*content.notes, note))


def _digests(recording: Recording, used: np.ndarray, digest: str) -> np.ndarray:
    """(n,) uint64 of the samples of the instances at these positions of a content, whatever their scale."""
    large = len(used) * recording.length * 8 >= _KEPT_BYTES
    name = "shapes", digest, recording.length, hashlib.blake2b(used.tobytes(), digest_size=12).hexdigest()
    kept = recall(*name) if large else None
    if kept is not None and len(kept) == 8 * len(used):
        return np.frombuffer(kept, dtype=np.uint64)
    digests = b"".join(
        _shape_digest(x)
        for block in np.split(used, range(_BLOCK, len(used), _BLOCK))
        for x in recording.source.fetch(block, recording.length)
    )
    if large:
        keep(digests, *name)
    return np.frombuffer(digests, dtype=np.uint64)


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
            for chunk in np.split(self.positions, range(_BLOCK, len(self.positions), _BLOCK))
            for x in content.recording.source.fetch(chunk, self.length)
        ]
        return np.array(rows, dtype=np.uint64)

    def shared_with(self, other: _Use) -> int:
        """How many instances here have samples that are there as well."""
        shared = 0
        if self.spans.keys() != other.spans.keys() or self.length == other.length:
            length = min(self.length, other.length)
            shared = np.isin(self.digests(length), other.digests(length)).any(axis=1).sum()
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
    indices = [] if dataset.whole else [np.array(dataset.indices(part), dtype=np.int64) for part in parts]
    index = None if dataset.whole else np.concatenate(indices)
    components, uses = dataset.scenario.components, []
    for place, scenario in enumerate(components):
        if scenario.recording:
            own = index[dataset.scenario.component(index) == place] if len(components) > 1 else index
            recorded = Recorded(dataset, scenario.recording)
            positions = recorded.at(own)
            spans = recorded.content.recording.source.spans(positions)
            spans = {content: span[np.argsort(span[:, 0], kind="stable")] for content, span in spans.items()}
            uses.append(_Use(str(recorded.path), dataset.length, recorded, positions, spans))
    return uses
