"""The store: durable results in a directory or a bucket, shared by all studies. The only module that knows file names.

    <store>/runs/<run key>/run.json                        what was run and how it went; written last: its presence
                                                           is "trained"; names the next two
                           weights-<digest>.pt             the weights that were kept
                           epochs-<digest>.parquet         a row per epoch
                           cells-<digest>.parquet          counts of some cells, a row per test scenario and SNR
                           checkpoint-<epoch>-<digest>.pt  while it is being trained: the newest two
                           failure.json                    why it last failed
                           log.txt                         what its trials did, and when
    <store>/damaged/<run key>/<time>-<name>                what was found torn or altered, set aside

Every file appears at once and whole, and what is missing is found by looking. A file's name holds the digest of its
content (run.json holds one of itself), so what a disk or a network did to it is noticed, and processes that compute
the same run at the same time never write different things under one name.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.dataset
from pyarrow.fs import FileSystem

from amc_core.errors import AmcError
from amc_core.identity import VERSION
from amc_core.run import Dataset, Run
from sweeps.store.cells import (
    CELL_SCHEMA,
    Footer,
    cell_bytes,
    cell_table,
    merge,
    parquet_bytes,
    read_footer,
    read_parquet,
)
from sweeps.store.files import open_files

if TYPE_CHECKING:
    from amc_core.evaluation import Evaluation

__all__ = ["CELL_SCHEMA", "Damaged", "Listing", "Store"]

_DIGEST = re.compile(r"-([0-9a-f]{32})\.")
_CHECKPOINTS = 2  # should the newest be damaged, there is the one before
_PARTS = 16  # files with cells that a run may have before they become one
_RECORDED_SECONDS = 3600  # after which no process is still about to name in run.json what it has written for it
_TIMED_RUNS = 200  # the newest runs, that speeds and shares of memory are taken from


class Damaged(AmcError):
    """A file is not what was written."""


class Store:
    """Runs and cells in a directory or a bucket. Reading a store that does not exist finds nothing in it."""

    def __init__(self, path: str | Path):
        self.files = open_files(path)
        self.path: Path | str = self.files.path  # what --store takes: an absolute path, or s3://bucket/prefix

    # -- what is there ---------------------------------------------------------------------------------

    def listing(self, keys: Iterable[str] | None = None) -> Listing:
        """What the store holds now, found in one look; or what it holds of some runs."""
        folders = ["runs"] if keys is None else [f"runs/{key}" for key in keys]
        return Listing(
            self, {file: written for files in self._map(self.files.list, folders) for file, written in files.items()}
        )

    def trained(self) -> set[str]:
        """Keys of the runs that are finished."""
        return self.listing().trained()

    def training(self) -> set[str]:
        """Keys of the runs that have a checkpoint and are not finished."""
        return self.listing().training()

    def failures(self) -> dict[str, dict]:
        """Run key → when and why it last failed, of the runs that have not been completed since."""
        return self.listing().failures()

    def cells(self, key: str) -> set[str]:
        """Keys of the cells of a run that have been evaluated."""
        return set().union(*self._each_cell_file(key, self._cell_keys))

    def speeds(self) -> dict[tuple[str, str], tuple[float, float]]:
        """(device, model) → samples that it was trained on, and samples that it classified, per second.

        device: "cpu" or a GPU's name. Medians over the runs finished last. Cells are taken to have been evaluated on
        the device that their run was trained on, at its length.
        """
        trained, classified = defaultdict(list), defaultdict(list)
        for record, footers in self._map(self._timing, self._newest()):
            if record.get("seconds"):
                place, length = (record["device"], record["model"]), record["dataset"]["length"]
                trained[place].append(record["instances_trained"] * length / record["seconds"])
                classified[place] += [f.instances * length / f.seconds for f in footers if f.seconds]
        return {place: (median(trained[place]), median(classified[place])) for place in trained if classified[place]}

    def gpu_shares(self) -> dict[str, list[tuple[int, float]]]:
        """Model → samples in a batch, and the part of a GPU's memory that training took, of the runs finished last."""
        shares = defaultdict(list)
        for record, _ in self._map(self._timing, self._newest()):
            if record.get("gpu_share"):
                samples = record["recipe"]["batch_size"] * record["dataset"]["length"]
                shares[record["model"]].append((samples, record["gpu_share"]))
        return dict(shares)

    def _newest(self) -> list[str]:
        """Keys of the runs finished last."""
        names = self.listing().names
        finished = [key for key in names if "run.json" in names[key]]
        return sorted(finished, key=lambda key: -names[key]["run.json"])[:_TIMED_RUNS]

    # -- reading ---------------------------------------------------------------------------------------

    def run_record(self, key: str) -> dict | None:
        """The contents of a finished run's run.json."""
        file = f"runs/{key}/run.json"
        try:
            # A bucket may give a part of it while another process puts a longer one in its place: hence a second look.
            return _record(self.files.read(file)) or _record(self.files.read(file)) or self._complain(key, "run.json")
        except FileNotFoundError:
            return None

    def epochs(self, key: str) -> pa.Table:
        """A finished run's row per epoch."""
        return self._read_table(key, self._named(key, "epochs"))

    def weights(self, key: str) -> dict:
        """The state dictionary of a finished run."""
        return self._read_tensors(key, self._named(key, "weights"))

    def weights_name(self, key: str) -> str:
        """What tells a finished run's weights from any others: their file's name, with the digest."""
        return self._named(key, "weights")

    def cell_tables(self, keys: Iterable[str], columns: list[str] | None = None) -> Iterator[pa.Table]:
        """The cells of runs, a table per file; a cell that two launches computed at once comes twice."""
        read = self._read_table
        for tables in self._map(lambda key: self._each_cell_file(key, lambda *file: read(*file, columns)), keys):
            yield from tables

    def cell_dataset(self, keys: Iterable[str]) -> pyarrow.dataset.Dataset:
        """The cells of runs as one dataset, of which a query reads what it asks for, digests unseen."""
        names = [f"runs/{key}/{name}" for key in keys for name in self._cell_files(key)]
        filesystem, paths = self.files.for_arrow(names)
        return pyarrow.dataset.dataset(paths, schema=CELL_SCHEMA, format="parquet", filesystem=filesystem)

    def log(self, key: str) -> str:
        """What a run's trials have told so far."""
        try:
            return self.files.read(f"runs/{key}/log.txt").decode(errors="replace")
        except FileNotFoundError:
            return ""

    def checkpoint(self, key: str) -> dict | None:
        """The training state saved last, None where there is none; damaged ones are set aside and passed over."""
        for name in reversed(self._checkpoints(key)):
            try:
                return self._read_tensors(key, name)
            except Damaged:
                self._set_aside(key, name)
            except FileNotFoundError:  # another process that trains this run has gone on
                continue
        return None

    def checkpoints(self, key: str) -> dict[str, tuple[int, float]]:
        """Name of each checkpoint of a run → the epoch that it is of, and minus when it was written.

        Of two by different processes, the greater pair is that of the one that is ahead.
        """
        written = self.listing([key]).names[key]
        return {name: (int(name.split("-")[1]), -written[name]) for name in written if name.startswith("checkpoint-")}

    # -- writing ---------------------------------------------------------------------------------------

    def require_writable(self) -> None:
        """Raise AmcError where results could not be written. Leaves no trace, and removes those of killed processes."""
        self.files.require_writable()

    def scratch(self) -> AbstractContextManager[tuple[str, FileSystem | None]]:
        """A folder that all who see the store see, gone after the context: its path, and the file system that is in.

        These are what Tune calls storage_path and storage_filesystem.
        """
        return self.files.scratch()

    def save_checkpoint(self, key: str, state: dict) -> str:
        """Record the state of training after an epoch; state["epochs"] has a row for each so far. Returns its name."""
        name = self._write(key, f"checkpoint-{len(state['epochs']):06d}", "pt", _tensor_bytes(state))
        self._delete(key, self._checkpoints(key)[:-_CHECKPOINTS])
        return name

    def delete_checkpoints(self, key: str) -> None:
        """Remove the states of training of a run that is finished."""
        self._delete(key, self._checkpoints(key))

    def save_run(self, run: Run, state: dict, outcome: dict) -> None:
        """Record a finished run: weights, epochs, and last of all the record that makes it finished."""
        record = {
            "version": VERSION,
            "model": run.model,
            "hyperparameters": run.hyperparameters,
            "recipe": asdict(run.recipe),
            "dataset": run.dataset.as_dict(),
            "seed": run.seed,
            "parent": run.parent.key if run.parent else None,
            **outcome,
            "instances_trained": run.work() // run.recipe.epochs * len(state["epochs"]),
            "finished_at": _now().isoformat(),
            "files": {
                "weights": self._write(run.key, "weights", "pt", _tensor_bytes(state["kept"])),
                "epochs": self._write(
                    run.key, "epochs", "parquet", parquet_bytes(pa.Table.from_pylist(state["epochs"]))
                ),
            },
        }
        record = json.loads(json.dumps(record))  # as it will be read
        sealed = record | {"checksum": _checksum(record)}
        self.files.write(f"runs/{run.key}/run.json", json.dumps(sealed, indent=1).encode())
        self.delete_checkpoints(run.key)

    def save_cells(self, run: Run, evaluated: list[tuple[Dataset, Evaluation]], seconds: float) -> None:
        """Record cells of a run: test datasets and what it made of them.

        seconds: that evaluating them took.
        """
        table = cell_table(run, evaluated)
        instances = sum(int(result.confusion.sum()) for _, result in evaluated)
        self._write_cells(run.key, table, instances, seconds)
        if len(self._cell_files(run.key)) > _PARTS:
            self.compact(run.key)

    def compact(self, key: str) -> None:
        """Make one file of those that hold a run's cells, so that files grow with runs.

        Of a cell that is there twice the earlier is kept, so that processes that do this at once agree. What they
        leave in whatever order, each cell is in some file at any time.
        """
        parts, tables, footers = self._cell_files(key), [], []
        for name in parts if len(parts) > 1 else ():
            try:
                tables.append(self._read_table(key, name))
                footers.append(self._footer(key, name))
            except Damaged:
                self._set_aside(key, name)
            except FileNotFoundError:  # another process is doing the same
                return
        if tables:
            whole = self._write_cells(
                key, merge(tables), sum(f.instances for f in footers), sum(f.seconds for f in footers)
            )
            self._delete(key, [name for name in parts if name != whole])

    def save_failure(self, key: str, reason: str) -> None:
        """Note why a run failed, where the store can still be written."""
        failure = {"reason": reason, "failed_at": _now().isoformat()}
        with suppress(AmcError):  # the failure itself matters more
            self.files.write(f"runs/{key}/failure.json", json.dumps(failure, indent=1).encode())

    def save_log(self, key: str, text: str) -> None:
        """Keep what a run's trials tell, where the store can still be written."""
        with suppress(AmcError):
            self.files.write(f"runs/{key}/log.txt", text.encode(), durable=False)

    def clear_failure(self, key: str) -> None:
        """Forget why a run failed, since it is complete."""
        self._delete(key, ["failure.json"])

    # -- damage ----------------------------------------------------------------------------------------

    def verify(self, keys: Iterable[str]) -> list[str]:
        """Read and check every file of these runs; set damaged ones aside, and return their names.

        What is set aside counts as missing. Without sound weights, epochs and record a run has to be trained again;
        on a GPU its weights will not be the same to the last bit, so its cells are set aside with it, and once it has
        other weights, so are the runs that started from what it had.
        """
        names = self.listing().names
        keys = [key for key in dict.fromkeys(keys) if key in names]
        suspects = [key for key, damage in zip(keys, self._map(self._damage, keys), strict=True) if damage]
        for key in keys:
            self._delete(key, self._left_over(key, names[key]))
        # A second look tells damage from what another process was writing and deleting during the first.
        return [f"runs/{key}/{name}" for key in suspects for name in self._damage(key) if self._set_aside(key, name)]

    def _damage(self, key: str) -> list[str]:
        """The files of a run that are to be set aside."""
        names = set(self._names(key))
        sound = {name for name in names if self._is_sound(key, name)}
        if "run.json" in names:
            record = self.run_record(key) if "run.json" in sound else None
            if record is None or not set(record["files"].values()) <= sound or self._is_outdated(record):
                sound = {name for name in sound if name.startswith(("checkpoint", "failure", "log"))}
        return sorted(names - sound)

    def _is_sound(self, key: str, name: str) -> bool:
        try:
            content = self.files.read(f"runs/{key}/{name}")
        except FileNotFoundError:  # deleted since
            return True
        if name == "run.json":
            return _record(content) is not None
        digest = _DIGEST.search(name)
        return digest is None or _digest(content) == digest[1]

    def _left_over(self, key: str, written: dict[str, float]) -> list[str]:
        """Files of a finished run that its record does not name, since two processes have trained it or one was killed.

        An hour after they were written nobody is about to write a record that names them.
        """
        kinds = ("weights", "epochs", "checkpoint")
        old = [n for n in written if n.startswith(kinds) and _now().timestamp() - written[n] > _RECORDED_SECONDS]
        try:
            record = self.run_record(key) if len(old) > 2 else None
        except Damaged:
            return []
        return [name for name in old if name not in record["files"].values()] if record else []

    def _is_outdated(self, record: dict) -> bool:
        """Has the run that this one started from got other weights since?"""
        try:
            parent = self.run_record(record["parent"]) if record.get("parent_weights") else None
        except Damaged:  # which is for that run's own check
            return False
        return parent is not None and parent["files"]["weights"] != record["parent_weights"]

    def _set_aside(self, key: str, name: str) -> bool:
        """Move a file away; False where another process has been faster."""
        try:
            self.files.move(f"runs/{key}/{name}", f"damaged/{key}/{_now():%Y%m%dT%H%M%S.%f}-{name}")
        except FileNotFoundError:
            return False
        return True

    def _complain(self, key: str, name: str) -> None:
        place = f"{self.path}/runs/{key}/{name}"
        raise Damaged(f"{place} is damaged: 'amc run' of a study that needs it sets it aside and computes it again")

    # -- files -----------------------------------------------------------------------------------------

    def _names(self, key: str, stem: str = "") -> list[str]:
        names = Listing(self, self.files.list(f"runs/{key}")).names[key]
        return sorted(name for name in names if name.startswith(stem))

    def _checkpoints(self, key: str) -> list[str]:
        """Checkpoints of a run, the newest last."""
        return self._names(key, "checkpoint")

    def _cell_files(self, key: str) -> list[str]:
        return self._names(key, "cells-")

    def _each_cell_file(self, key: str, read: Callable, names: list[str] | None = None) -> list:
        """read(key, name) of each; looks again when compaction has replaced files in the meantime."""
        while True:
            try:
                return [read(key, name) for name in (self._cell_files(key) if names is None else names)]
            except FileNotFoundError:
                names = None

    def _named(self, key: str, kind: str) -> str:
        """The name of a finished run's weights or epochs."""
        record = self.run_record(key)
        if record is None:
            raise AmcError(f"run {key} is not in store {str(self.path)!r}: 'amc run' of its study computes it")
        return record["files"][kind]

    def _read(self, key: str, name: str) -> bytes:
        content, digest = self.files.read(f"runs/{key}/{name}"), _DIGEST.search(name)
        if digest and _digest(content) != digest[1]:
            self._complain(key, name)
        return content

    def _read_table(self, key: str, name: str, columns: list[str] | None = None) -> pa.Table:
        content = self._read(key, name)
        try:
            return read_parquet(content, columns)
        except (OSError, pa.ArrowException):
            self._complain(key, name)

    def _read_tensors(self, key: str, name: str) -> dict:
        import torch  # not needed to read tables

        content = self._read(key, name)
        try:
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        except Exception:  # torch and the unpickler raise whatever the damage leads them to
            self._complain(key, name)

    def _footer(self, key: str, name: str) -> Footer:
        try:
            return read_footer(lambda count: self.files.read(f"runs/{key}/{name}", count))
        except (FileNotFoundError, AmcError):
            raise
        except (OSError, ValueError, LookupError, TypeError):  # Arrow's exceptions are among them
            self._complain(key, name)

    def _cell_keys(self, key: str, name: str) -> set[str]:
        return self._footer(key, name).cells

    def _timing(self, key: str) -> tuple[dict, list[Footer]]:
        """A run's record and the footers of its cells, nothing where they are damaged."""
        try:
            return self.run_record(key) or {}, self._each_cell_file(key, self._footer)
        except Damaged:
            return {}, []

    def _write(self, key: str, stem: str, suffix: str, content: bytes) -> str:
        name = f"{stem}-{_digest(content)}.{suffix}"
        self.files.write(f"runs/{key}/{name}", content)
        return name

    def _write_cells(self, key: str, table: pa.Table, instances: int, seconds: float) -> str:
        return self._write(key, "cells", "parquet", cell_bytes(table, instances, seconds))

    def _delete(self, key: str, names: Iterable[str]) -> None:
        for name in names:
            self.files.delete(f"runs/{key}/{name}")

    def _map(self, function: Callable, items: Iterable) -> Iterator:
        """function of each item, in order; as many at once as the files gain from."""
        waiting = deque()
        with ThreadPoolExecutor(self.files.threads) as pool:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > 2 * self.files.threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()


class Listing:
    """What a store held at one moment."""

    def __init__(self, store: Store, files: dict[str, float]):
        self.store = store
        self.names: dict[str, dict[str, float]] = defaultdict(dict)  # run key → file name → when it was written
        self.damaged: set[str] = set()  # files of cells, as far as `cells` has looked: what they held counts as missing
        for file, written in files.items():
            _, key, *names = file.split("/")
            if len(names) == 1:
                self.names[key][names[0]] = written

    def trained(self) -> set[str]:
        """Keys of the runs that are finished."""
        return {key for key, names in self.names.items() if "run.json" in names}

    def training(self) -> set[str]:
        """Keys of the runs that have a checkpoint and are not finished."""
        begun = {key for key, names in self.names.items() if any(name.startswith("checkpoint") for name in names)}
        return begun - self.trained()

    def failures(self) -> dict[str, dict]:
        """Run key → when and why it last failed, of the runs that have not been completed since."""
        keys = [key for key, names in self.names.items() if "failure.json" in names]
        found = zip(keys, self.store._map(self._failure, keys), strict=True)
        return {key: failure for key, failure in found if failure}

    def _failure(self, key: str) -> dict | None:
        try:
            content = self.store.files.read(f"runs/{key}/failure.json")
        except FileNotFoundError:
            return None
        try:
            failure = json.loads(content)
            return {name: str(failure[name]) for name in ("reason", "failed_at")}
        except (ValueError, LookupError, TypeError):  # for information only: damaged is as good as absent
            return None

    def cells(self, keys: Iterable[str]) -> Iterator[set[str]]:
        """Of each run in turn, the keys of its cells that have been evaluated."""
        return self.store._map(self._cells, keys)

    def _cells(self, key: str) -> set[str]:
        names = [name for name in self.names.get(key, ()) if name.startswith("cells-")]
        return set().union(*self.store._each_cell_file(key, self._sound_keys, names))

    def _sound_keys(self, key: str, name: str) -> set[str]:
        try:
            return self.store._cell_keys(key, name)
        except Damaged:
            self.damaged.add(f"runs/{key}/{name}")
            return set()


def _now() -> datetime:
    return datetime.now(UTC)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _checksum(record: dict) -> str:
    return _digest(json.dumps(record, sort_keys=True).encode())


def _record(content: bytes) -> dict | None:
    """The record in a run.json, None if it is damaged."""
    try:
        record = json.loads(content)
        checksum = record.pop("checksum", None)
    except (ValueError, AttributeError):
        return None
    return record if checksum == _checksum(record) else None


def _tensor_bytes(state: dict) -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()
