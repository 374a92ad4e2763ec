"""A listing of a store's files at one moment, and which of its runs count."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Set
from typing import TYPE_CHECKING

from sweeps.store.begun import Begun, read_begun
from sweeps.store.complaints import Damaged, OtherVersion, warn_once
from sweeps.store.record import RunRecord
from sweeps.store.removal import removed_record
from sweeps.store.run_folder import KEY, kind_of

if TYPE_CHECKING:
    from sweeps.store.store import Store


class Listing:
    """The files of runs by name; their contents are read when they are needed."""

    def __init__(self, store: Store, files: dict[str, float]):
        self.store = store
        self.names: dict[str, dict[str, float]] = defaultdict(dict)  # run key → file name → when it was written
        self.damaged: set[str] = set()  # cells files that could not be read: their cells count as missing
        self._read: dict[str, RunRecord | None] = {}  # run key → its record; None if it cannot be read
        self._removed: dict[str, RunRecord] = {}  # the same for removed runs that others started from
        for file, written in files.items():
            _, key, *names = file.split("/")
            if len(names) == 1 and KEY.fullmatch(key) and kind_of(names[0]):
                self.names[key][names[0]] = written
            elif not any(part.startswith(".") for part in (key, *names)):
                warn_once(f"{store.path}/{file} is not a file of the store: it is ignored")

    def records(self, keys: Iterable[str] | None = None) -> dict[str, RunRecord]:
        """Run key → record, for all runs that count, or for those among `keys` and those that these descend from.

        A run counts if its record can be read and is of this version, its files exist, and the run that it started
        from, if any, counts and still has the weights that it started from. If one of the first two fails, the path is
        reported. A removed run counts for the runs that started from it, but is not in the result.
        """
        return {key: self._read[key] for key in self._known(keys) if self._read[key] and self._counts(key)}

    def readable(self, keys: Iterable[str] | None = None) -> dict[str, RunRecord]:
        """As `records`, with those of runs that do not count, since what they started from is gone or another."""
        return {key: self._read[key] for key in self._known(keys) if self._read[key]}

    def lineage(self, keys: Iterable[str] | None = None) -> dict[str, RunRecord]:
        """As `records`, including the removed runs that these descend from."""
        return {key: self._read[key] or self._removed[key] for key in self._known(keys) if self._counts(key)}

    def _known(self, keys: Iterable[str] | None) -> list[str]:
        """The finished runs among `keys`, and all that they descend from; their records are read."""
        keys = self.names if keys is None else keys
        known: dict[str, None] = {}
        new = {key: None for key in keys if "run.json" in self.names.get(key, ())}
        while new:
            unread = [key for key in new if key not in self._read]
            self._read |= dict(zip(unread, self.store.map(self._record, unread, small=True), strict=True))
            lacking = [key for key in unread if self._read[key] is None]
            removed = self.store.map(lambda key: removed_record(self.store, key), lacking)
            self._removed |= {key: record for key, record in zip(lacking, removed, strict=True) if record}
            known |= new
            read = [self._read[key] or self._removed.get(key) for key in new]
            parents = {record.parent: None for record in read if record and record.parent}
            new = {key: None for key in parents if key not in known}
        return list(known)

    def _record(self, key: str) -> RunRecord | None:
        folder = self.store.run(key)
        try:
            record = folder.record()
            # The run may have been trained again since the listing, or the listing may be of other runs.
            if record is None or {record.weights, record.epochs} <= {*self.names.get(key, ())}:
                return record
            if missing := {record.weights, record.epochs} - {*folder.names()}:
                where = f"{self.store.path}/runs/{key}"
                raise Damaged(
                    f"{where}/{min(missing)} is missing: run {key} does not count until 'amc run' computes it"
                )
            return record
        except OtherVersion as error:
            self._warn_of_version(error)
        except Damaged as error:
            warn_once(str(error))
        return None

    def warn_of_version(self) -> None:
        """Warn where the oldest run of the store, which no study of today names, is of another version."""
        finished = [key for key, names in self.names.items() if "run.json" in names]
        if finished:
            try:
                self.store.run(min(finished, key=lambda key: self.names[key]["run.json"])).record()
            except OtherVersion as error:
                self._warn_of_version(error)
            except Damaged:
                pass  # which is told to those who ask for the run

    def _warn_of_version(self, error: OtherVersion) -> None:
        warn_once(
            f"store {str(self.store.path)!r} holds runs of version {error.version} of this program: they are kept but "
            "ignored, since the same study has other results now"
        )

    def _counts(self, key: str) -> bool:
        weights, passed = None, set()
        while key not in passed:  # a record may say that a run descends from itself
            passed.add(key)
            record = self._read.get(key) or self._removed.get(key)
            if record is None or weights not in (None, record.weights):
                return False
            if record.parent is None:
                return True
            key, weights = record.parent, record.parent_weights or ""
        return False

    def trained(self) -> set[str]:
        """Keys of the runs that are finished and count."""
        return set(self.records())

    def training(self) -> set[str]:
        """Keys of the runs that have a checkpoint and are not finished."""
        begun = {key for key, names in self.names.items() if any(kind_of(name) == "checkpoint" for name in names)}
        return {key for key in begun if "run.json" not in self.names[key]}

    def begun(self, keys: Iterable[str] | None = None) -> dict[str, Begun]:
        """Run key → its progress, for the unfinished runs among `keys`, by default among all."""
        keys = [key for key in (self.names if keys is None else keys) if "progress.json" in self.names.get(key, ())]
        pairs = zip(keys, self.store.map(lambda key: read_begun(self.store.run(key)), keys, small=True), strict=True)
        return {key: begun for key, begun in pairs if begun}

    def failures(self) -> dict[str, dict[str, str]]:
        """Run key → when and why it last failed, for runs that have not been completed since."""
        keys = [key for key, names in self.names.items() if "failure.json" in names]
        pairs = zip(keys, self.store.map(lambda key: self.store.run(key).failure(), keys, small=True), strict=True)
        return {key: failure for key, failure in pairs if failure}

    def tested(self, keys: Iterable[str]) -> Iterator[Set[str]]:
        """For each run in turn, the keys of the test datasets that it has been evaluated on."""
        return self.store.map(self._tested, keys, small=True)

    def _tested(self, key: str) -> Set[str]:
        names = [name for name in self.names.get(key, ()) if kind_of(name) == "cells"]
        files = self.store.run(key).each_cell_file(lambda name: self._sound_keys(key, name), names)
        return files[0] if len(files) == 1 else set().union(*files)

    def _sound_keys(self, key: str, name: str) -> Set[str]:
        try:
            return self.store.run(key).footer(name).tests
        except Damaged as error:
            warn_once(str(error))
            self.damaged.add(f"runs/{key}/{name}")
            return set()
