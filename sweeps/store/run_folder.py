"""What a store holds of one run. The only module that knows the names of its files.

run.json                        what was run and how it went; names the next two, and is written after them
weights-<digest>.pt             the weights that were kept
epochs-<digest>.parquet         a row per epoch
code-<digest>.json              the text of code of the user's own: a record, which nothing imports
cells-<digest>.parquet          counts of some cells, a row per test scenario and SNR
checkpoint-<epochs>-<steps>-<digest>.pt  while it is being trained: the newest two, after so many epochs and steps
progress.json                   while a trial computes it: how far that is, see `begun`
label.json                      tags and a note that somebody gave it, see `labels`
failure.json                    why it last failed
log-<time>-<process>.txt        what one of its trials did, and when

Every file appears at once and whole. Its name holds the digest of its content (run.json holds one of itself), so
damage is noticed, and processes never write different things under one name. Other names are left alone.
"""

from __future__ import annotations

import io
import json
import os
import re
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from amc_core.errors import AmcError
from amc_core.identity import key
from amc_core.own import OwnCode
from amc_core.run import Dataset, Run
from sweeps.store.cells import (
    NOT_CELLS,
    Footer,
    cell_bytes,
    cell_table,
    holds_cells,
    merge,
    parquet_bytes,
    read_cells,
    read_footer,
    read_parquet,
)
from sweeps.store.complaints import UNTOLD, Damaged
from sweeps.store.files import Bucket, Directory
from sweeps.store.record import Process, RunRecord, digest, read_record

if TYPE_CHECKING:
    from amc_core.evaluation import Evaluation

KEY = re.compile(r"[0-9a-f]{24}")
_KINDS = {  # of files → their names, each of which begins with its kind
    "run": re.compile(r"run\.json"),
    "weights": re.compile(r"weights-[0-9a-f]{32}\.pt"),
    "epochs": re.compile(r"epochs-[0-9a-f]{32}\.parquet"),
    "code": re.compile(r"code-[0-9a-f]{32}\.json"),
    "cells": re.compile(r"cells-[0-9a-f]{32}\.parquet"),
    "checkpoint": re.compile(r"checkpoint-[0-9]{6,9}-[0-9]{8}-[0-9a-f]{32}\.pt"),
    "progress": re.compile(r"progress\.json"),
    "label": re.compile(r"label\.json"),
    "failure": re.compile(r"failure\.json"),
    "log": re.compile(r"log(-[\w.-]+)?\.txt"),
}
_DIGEST = re.compile(r"-([0-9a-f]{32})\.")
_CHECKPOINTS = 2  # should the newest be damaged, there is the one before
_PARTS = 16  # files with cells that a run may have before they become one


def kind_of(name: str) -> str | None:
    """What a file of a run's folder is, by its name: "run", "weights", …; None for what is none of ours."""
    return kind if (kind := re.match("[a-z]*", name)[0]) in _KINDS and _KINDS[kind].fullmatch(name) else None


def trained_by(name: str) -> tuple[int, int]:
    """The epochs, and steps of the next one, after which a checkpoint of this name was written."""
    _, epochs, steps, _ = name.split("-")
    return int(epochs), int(steps)


class RunFolder:
    """The files of one run, which need not be there."""

    def __init__(self, files: Directory | Bucket, key: str):
        self.files, self.key = files, key

    # -- reading ---------------------------------------------------------------------------------------

    def names(self, kind: str | None = None) -> dict[str, float]:
        """File name → when it was written (seconds since 1970), sorted, for files of one kind or all that are ours."""
        start = len(f"runs/{self.key}/")
        times = {file[start:]: written for file, written in sorted(self.files.list(f"runs/{self.key}").items())}
        return {name: at for name, at in times.items() if (known := kind_of(name)) and kind in (None, known)}

    def record(self) -> RunRecord | None:
        """The record of a finished run, None where there is none. Raises Damaged."""
        try:
            try:
                return self._read_record()
            except Damaged:  # a bucket may give a part of it while another process puts a longer one in its place
                return self._read_record()
        except FileNotFoundError:
            return None

    def _read_record(self) -> RunRecord:
        record = read_record(self.files.read(f"runs/{self.key}/run.json"), self._path("run.json"))
        if (kind_of(record.weights), kind_of(record.epochs)) != ("weights", "epochs"):
            self._complain("run.json")
        return record

    def epochs(self) -> pa.Table:
        """A finished run's row per epoch."""
        name = self._finished().epochs
        content = self._read(name)
        try:
            return read_parquet(content)
        except (OSError, pa.ArrowException):
            self._complain(name)

    def weights(self) -> dict:
        """The state dictionary of a finished run."""
        return self._read_tensors(self.weights_name())

    def weights_name(self) -> str:
        """What tells a finished run's weights from any others: their file's name, with the digest."""
        return self._finished().weights

    def _finished(self) -> RunRecord:
        record = self.record()
        if record is None:
            raise AmcError(
                f"run {self.key} is not in store {str(self.files.path)!r}: 'amc run' of its study computes it"
            )
        return record

    def code(self, digest: str | None = None) -> dict[str, str]:
        """Path → text of code of the user's own, to be compared; {} where it cannot be read.

        digest: which, of a front end for one; by default that of the network that was trained.
        """
        for name in self.names("code"):
            with suppress(AmcError, *UNTOLD):
                texts = json.loads(self._read(name))
                if key(texts) == (digest or self._finished().code):
                    return texts
        return {}

    def tested(self) -> set[str]:
        """Keys of the test datasets that the run has been evaluated on."""
        return set().union(*self.each_cell_file(lambda name: self.footer(name).tests))

    def cell_tables(self, columns: list[str] | None = None) -> list[pa.Table]:
        """The cells, a table per file; a cell that two launches computed at once comes twice."""
        return self.each_cell_file(lambda name: self.cell_table(name, columns))

    def cell_table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """The cells in one file."""
        content = self._read(name)
        try:
            return read_cells(content, self.key, columns)
        except NOT_CELLS:
            self._complain(name)

    def each_cell_file(self, read: Callable, names: Iterable[str] | None = None) -> list:
        """read(name) of each file of cells; looks again when compaction has replaced files in the meantime."""
        while True:
            try:
                return [read(name) for name in (self.names("cells") if names is None else names)]
            except FileNotFoundError:
                names = None

    def footer(self, name: str) -> Footer:
        """What the end of a file of cells tells about it."""
        try:
            return read_footer(lambda count: self.files.read(f"runs/{self.key}/{name}", count))
        except (FileNotFoundError, AmcError):
            raise
        except (OSError, ValueError, LookupError, TypeError):  # Arrow's exceptions are among them
            self._complain(name)

    def log(self) -> str:
        """The logs of the trials of the run so far, one after another."""
        texts = []
        for name in self.names("log"):
            with suppress(FileNotFoundError):
                texts.append(self._read(name).decode(errors="replace"))
        return "".join(texts)

    def checkpoint(self) -> dict | None:
        """The training state saved last, None where there is none; damaged ones are set aside and passed over."""
        for name in reversed(self.names("checkpoint")):
            try:
                return self._read_tensors(name)
            except Damaged:
                self.set_aside(name)
            except FileNotFoundError:  # another process that trains this run has gone on
                continue
        return None

    def checkpoints(self) -> dict[str, tuple[int, int, float]]:
        """Name of each checkpoint → the epochs and steps that it is after, and minus when it was written.

        Of two by different processes, the greater one is that of the process that is ahead.
        """
        return {name: (*trained_by(name), -written) for name, written in self.names("checkpoint").items()}

    def failure(self) -> dict[str, str] | None:
        """When and why the run last failed, None where it has not or that cannot be read."""
        try:
            failure = json.loads(self.files.read(f"runs/{self.key}/failure.json"))
            return {name: str(failure[name]) for name in ("reason", "failed_at")}
        except UNTOLD:
            return None

    def is_sound(self, name: str) -> bool:
        """Is a file what was written? One that is gone is."""
        try:
            content = self.files.read(f"runs/{self.key}/{name}")
            if name == "run.json":
                read_record(content, name)
        except FileNotFoundError:
            return True
        except Damaged:
            return False
        expected = _DIGEST.search(name)
        whole = expected is None or digest(content) == expected[1]
        return whole and (kind_of(name) != "cells" or holds_cells(content, self.key))

    # -- writing ---------------------------------------------------------------------------------------

    def save_checkpoint(self, state: dict) -> str:
        """Record a state of training, after an epoch or within one, as `amc_core.training` has it; returns its name."""
        epochs, step = len(state["epochs"]), state.get("step", 0)
        name = self._write(f"checkpoint-{epochs:06d}-{step:08d}", "pt", _tensor_bytes(state))
        self.delete([*self.names("checkpoint")][:-_CHECKPOINTS])
        return name

    def delete_checkpoints(self) -> None:
        """Remove the states of training of a run that is finished."""
        self.delete(self.names("checkpoint"))

    def save(self, run: Run, state: dict, processes: Iterable[Process], **outcome) -> None:
        """Record the run as finished: weights, epochs, and last of all the record that makes it so.

        outcome: the fields of `RunRecord` that the others do not tell.
        """
        self._save_code([run.model, *run.dataset.functions])
        weights, epochs = _tensor_bytes(state["kept"]), parquet_bytes(pa.Table.from_pylist(state["epochs"]))
        written = {_named("weights", "pt", weights): weights, _named("epochs", "parquet", epochs): epochs}
        weights_name, epochs_name = written
        record = RunRecord(
            model=str(run.model),
            code=run.code or None,
            dataset=run.dataset,
            seed=run.seed,
            hyperparameters=run.hyperparameters,
            recipe=run.recipe,
            parent=run.parent.key if run.parent else None,
            instances_trained=run.work() // run.recipe.epochs * len(state["epochs"]),
            finished_at=datetime.now(UTC),
            weights=weights_name,
            epochs=epochs_name,
            processes=tuple(processes),
            **outcome,
        )
        written["run.json"] = record.content()
        self.files.write_last({f"runs/{self.key}/{name}": content for name, content in written.items()})
        self.delete_checkpoints()

    def save_cells(
        self, run: Run, evaluated: list[tuple[Dataset, Evaluation]], seconds: float, process: Process | None = None
    ) -> None:
        """Record cells of the run: test datasets and what it made of them, in so many seconds, in a process."""
        self._save_code([function for test, _ in evaluated for function in test.functions])
        table = cell_table(run, evaluated, process)
        instances = sum(int(result.confusion.sum()) for _, result in evaluated)
        self._write_cells(table, instances, seconds)
        if len(self.names("cells")) > _PARTS:
            self.compact()

    def _save_code(self, used: Iterable[object]) -> None:
        """Keep the text of each that is code of the user's own, once."""
        texts = {json.dumps(code.sources, indent=1): None for code in used if isinstance(code, OwnCode)}
        there = self.names("code") if texts else ()
        for content in map(str.encode, texts):
            if f"code-{digest(content)}.json" not in there:
                self._write("code", "json", content)

    def compact(self) -> None:
        """Make one file of those that hold the cells, so that files grow with runs.

        Of a cell that is there twice the earlier is kept, so that processes that do this at once agree. What they
        leave in whatever order, each cell is in some file at any time.
        """
        parts, tables, footers = self.names("cells"), [], []
        for name in parts if len(parts) > 1 else ():
            try:
                tables.append(self.cell_table(name))
                footers.append(self.footer(name))
            except Damaged:
                self.set_aside(name)
            except FileNotFoundError:  # another process is doing the same
                return
        if tables:
            instances, seconds = sum(f.instances for f in footers), sum(f.seconds for f in footers)
            whole = self._write_cells(merge(tables), instances, seconds)
            self.delete(name for name in parts if name != whole)

    def save_failure(self, reason: str) -> None:
        """Note why the run failed, where the store can still be written."""
        failure = {"reason": reason, "failed_at": datetime.now(UTC).isoformat()}
        with suppress(AmcError):  # the failure itself matters more
            self.files.write(f"runs/{self.key}/failure.json", json.dumps(failure, indent=1).encode())

    def clear_failure(self) -> None:
        """Forget why the run failed, since it is complete."""
        self.delete(["failure.json"])

    def new_log(self) -> str:
        """A name for the log of a trial that begins now in this process."""
        host = re.sub(r"[^\w-]", "_", socket.gethostname())
        return f"log-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{host}-{os.getpid()}.txt"

    def save_log(self, name: str, text: str) -> None:
        """Keep what a trial tells, where the store can still be written."""
        with suppress(AmcError):
            self.files.write(f"runs/{self.key}/{name}", text.encode(), durable=False)

    def copy(self, name: str, target: RunFolder) -> int:
        """Copy a file into the folder of another store; returns its bytes. Raises Damaged if it is not sound."""
        content = self._read(name)
        target.files.write(f"runs/{target.key}/{name}", content)
        return len(content)

    def set_aside(self, name: str) -> bool:
        """Move a file away; False where another process has been faster."""
        try:
            moment = datetime.now(UTC)
            self.files.move(f"runs/{self.key}/{name}", f"damaged/{self.key}/{moment:%Y%m%dT%H%M%S.%f}-{name}")
        except FileNotFoundError:
            return False
        return True

    def delete(self, names: Iterable[str]) -> None:
        for name in list(names):
            self.files.delete(f"runs/{self.key}/{name}")

    # -- bytes -----------------------------------------------------------------------------------------

    def _path(self, name: str) -> str:
        return f"{self.files.path}/runs/{self.key}/{name}"

    def _complain(self, name: str) -> None:
        raise Damaged(
            f"{self._path(name)} is damaged: 'amc run' of a study that needs it sets it aside and computes it again"
        )

    def _read(self, name: str) -> bytes:
        content, expected = self.files.read(f"runs/{self.key}/{name}"), _DIGEST.search(name)
        if expected and digest(content) != expected[1]:
            self._complain(name)
        return content

    def _read_tensors(self, name: str) -> dict:
        import torch  # not needed to read tables

        content = self._read(name)
        try:
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        except Exception:  # torch and the unpickler raise whatever the damage leads them to
            self._complain(name)

    def _write(self, stem: str, suffix: str, content: bytes) -> str:
        name = _named(stem, suffix, content)
        self.files.write(f"runs/{self.key}/{name}", content)
        return name

    def _write_cells(self, table: pa.Table, instances: int, seconds: float) -> str:
        return self._write("cells", "parquet", cell_bytes(table, instances, seconds))


def _named(stem: str, suffix: str, content: bytes) -> str:
    return f"{stem}-{digest(content)}.{suffix}"


def _tensor_bytes(state: dict) -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()
