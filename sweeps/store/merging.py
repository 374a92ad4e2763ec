"""Merging another store into a store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from sweeps.store.complaints import Damaged
from sweeps.store.record import RunRecord
from sweeps.store.removal import removed_record
from sweeps.store.run_folder import RunFolder, kind_of
from sweeps.store.store import Store


class Merged(NamedTuple):
    """What a merge copied: runs, cells and bytes; left_out: keys of runs whose weights differ in the target."""

    runs: int
    cells: int
    size: int
    left_out: tuple[str, ...]


def merge_stores(target: Store, source: Store, notice: Callable[[str], None] = lambda line: None) -> Merged:
    """Copy what `source` holds and `target` lacks, as if all of it had been computed in `target`.

    If both have a run with the same weights, it gets the cells of both. If its weights differ, that of `target` stays,
    and the runs of `source` that started from the other one are left out. A run that is finished in neither goes on
    from the later checkpoint. Searches are not merged. Damaged files are left out; `notice` is called with a line about
    each. After an interruption, the same call completes the merge.
    """
    listing = source.listing()
    records, lineage, taken, left_out = listing.records(), listing.lineage(), Counter(), []
    for key in sorted(lineage, key=lambda key: _depth(lineage, key)):
        if key not in records:
            _merge_removed(target, source, key, taken)
        elif _fits(target, key, lineage[key]):
            _merge_finished(target.run(key), source.run(key), lineage[key], taken, notice)
        else:
            left_out.append(key)
    for key, names in listing.names.items():
        if "run.json" not in names:
            _merge_unfinished(target.run(key), source.run(key), taken, notice)
    return Merged(taken["runs"], taken["cells"], taken["size"], tuple(sorted(left_out)))


def _depth(lineage: dict[str, RunRecord], key: str) -> int:
    """How many runs a run descends from."""
    depth = 0
    while (parent := lineage[key].parent) is not None:
        key, depth = parent, depth + 1
    return depth


def _fits(target: Store, key: str, record: RunRecord) -> bool:
    """Does the target have the same weights, or none, of a run and of the one that it started from?"""
    needed = {key: record.weights} | ({record.parent: record.parent_weights} if record.parent else {})
    return all(_weights(target, each) in (None, weights) for each, weights in needed.items())


def _weights(store: Store, key: str) -> str | None:
    """The name of a run's weights, also of a removed run; None if there are none."""
    try:
        record = store.run(key).record() or removed_record(store, key)
    except Damaged:  # 'amc run' sets it aside
        return None
    return record and record.weights


def _merge_removed(target: Store, source: Store, key: str, taken: Counter) -> None:
    if _weights(target, key) is None:
        content = source.files.read(f"removed/{key}.json")
        target.files.write(f"removed/{key}.json", content)
        taken["size"] += len(content)


def _merge_finished(
    target: RunFolder, source: RunFolder, record: RunRecord, taken: Counter, notice: Callable[[str], None]
) -> None:
    names, tested = source.names(), target.tested()
    if "run.json" not in target.names():
        first = [record.weights, record.epochs, *(name for name in names if kind_of(name) == "code")]
        if not all([_copy(target, source, name, taken, notice) for name in first]):
            return
    cells = [name for name in names if kind_of(name) == "cells" and not _tests(source, name, notice) <= tested]
    for name in cells:
        _copy(target, source, name, taken, notice)
    taken["cells"] += len(target.tested()) - len(tested)
    if "run.json" not in target.names():
        _copy(target, source, "run.json", taken, notice)
        taken["runs"] += 1
        target.delete_checkpoints()
        target.clear_failure()
    if cells:
        target.compact()
    _merge_words(target, source, taken, notice)


def _merge_unfinished(target: RunFolder, source: RunFolder, taken: Counter, notice: Callable[[str], None]) -> None:
    """Copy the later checkpoint, with progress, failure, logs and label, of a run finished in neither store."""
    if "run.json" in target.names():
        return
    saved = {name: at[:2] for name, at in source.checkpoints().items()}
    furthest = max([at[:2] for at in target.checkpoints().values()], default=(-1, -1))
    further = [name for name, at in saved.items() if at > furthest]
    for name in further[-1:]:
        if _copy(target, source, name, taken, notice) and "progress.json" in source.names():
            _copy(target, source, "progress.json", taken, notice)
    if "failure.json" in source.names() and not target.names("checkpoint"):
        _copy(target, source, "failure.json", taken, notice)
    _merge_words(target, source, taken, notice)


def _merge_words(target: RunFolder, source: RunFolder, taken: Counter, notice: Callable[[str], None]) -> None:
    """Copy logs, and the label if the target has none."""
    there = target.names()
    for name in source.names():
        if kind_of(name) in ("log", "label") and name not in there:
            _copy(target, source, name, taken, notice)


def _tests(source: RunFolder, name: str, notice: Callable[[str], None]) -> set[str]:
    """Keys of the test datasets in a cells file; none if it is damaged."""
    try:
        return source.footer(name).tests
    except Damaged as error:
        notice(str(error))
        return set()


def _copy(target: RunFolder, source: RunFolder, name: str, taken: Counter, notice: Callable[[str], None]) -> bool:
    """Copy a file; return False if it is damaged or gone."""
    try:
        taken["size"] += source.copy(name, target)
    except Damaged as error:
        notice(str(error))
        return False
    except FileNotFoundError:  # another process has compacted or removed it
        return False
    return True
