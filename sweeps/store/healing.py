"""Setting aside what is damaged or outdated, so that it is computed again."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sweeps.store.complaints import Damaged
from sweeps.store.record import RunRecord
from sweeps.store.run_folder import RunFolder, kind_of

if TYPE_CHECKING:
    from sweeps.store.store import Store

_RECORDED_SECONDS = 3600  # a file that is older and that run.json does not name will never be named
_OF_WEIGHTS = ("run", "weights", "epochs", "cells")  # kinds of files that are useless without the run's weights


def verify(store: Store, keys: Iterable[str]) -> list[str]:
    """Read and check every file of these runs; set damaged ones aside, and return their names.

    A file that is set aside counts as missing. If a run's weights, epochs or record are damaged, it has to be trained
    again. On a GPU the new weights will differ in the last bits, so its cells are set aside too. Once it has other
    weights, so are the runs that started from it.
    """
    names = store.listing().names
    folders = [store.run(key) for key in dict.fromkeys(keys) if key in names]
    damages = store.map(lambda folder: _damage(store, folder), folders)
    suspects = [folder for folder, damage in zip(folders, damages, strict=True) if damage]
    for folder in folders:
        folder.delete(_left_over(folder, names[folder.key]))
    # A second look, since another process may have been writing and deleting during the first.
    return [
        f"runs/{folder.key}/{name}" for folder in suspects for name in _damage(store, folder) if folder.set_aside(name)
    ]


def damages(store: Store) -> dict[str, list[str]]:
    """Run key → its files that `verify` would set aside, of all runs that have any; nothing is changed."""
    folders = [store.run(key) for key in store.listing().names]
    suspects = zip(folders, store.map(lambda folder: _damage(store, folder), folders), strict=True)
    # A second look, as `verify` takes it.
    return {folder.key: damage for folder, first in suspects if first and (damage := _damage(store, folder))}


def set_aside_results(folder: RunFolder) -> None:
    """Set aside a run's record, weights, epochs and cells, so that they are computed again."""
    for name in folder.names():
        if kind_of(name) in _OF_WEIGHTS:
            folder.set_aside(name)


def _damage(store: Store, folder: RunFolder) -> list[str]:
    """The files of a run that are to be set aside."""
    names = set(folder.names())
    sound = {name for name in names if folder.is_sound(name)}
    if "run.json" in names:
        record = _record(folder) if "run.json" in sound else None
        if record is None or not {record.weights, record.epochs} <= sound or _is_outdated(store, record):
            sound = {name for name in sound if kind_of(name) not in _OF_WEIGHTS}
    return sorted(names - sound)


def _left_over(folder: RunFolder, written: dict[str, float]) -> list[str]:
    """Files of a finished run that its record does not name, since two processes have trained it or one was killed.

    They are left over if they are older than an hour: no process will write a record that names them.
    """
    before = datetime.now(UTC).timestamp() - _RECORDED_SECONDS
    old = [name for name in written if kind_of(name) in ("weights", "epochs", "checkpoint") and written[name] < before]
    record = _record(folder) if len(old) > 2 else None
    return [name for name in old if name not in (record.weights, record.epochs)] if record else []


def _is_outdated(store: Store, record: RunRecord) -> bool:
    """Does the run that this one started from have other weights now?"""
    parent = _record(store.run(record.parent)) if record.parent else None
    return parent is not None and parent.weights != record.parent_weights


def _record(folder: RunFolder) -> RunRecord | None:
    try:
        return folder.record()
    except Damaged:  # that run's own check reports it
        return None
