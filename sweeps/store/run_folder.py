"""The folder of one run in a store. Only this module knows the names of its files.

run.json                        the record of a finished run; it names the next two and is written after them
weights-<digest>.pt             the weights that were kept
epochs-<digest>.parquet         a row per epoch
code-<digest>.json              the text of code of the user's own; nothing imports it
cells-<digest>.parquet          counts of some cells, a row per test scenario and SNR
checkpoint-<epochs>-<steps>-<digest>.pt  of a run in training: the newest two, after that many epochs and steps
progress.json                   of a run in training: its progress, see `begun`
label.json                      tags and a note of the user's, see `labels`
failure.json                    why it last failed
log-<time>-<process>.txt        the log of one of its trials

Every file is written as a whole. Its name holds the digest of its content (run.json holds one of itself), so damage is
noticed, and processes never write different contents under one name. Files with other names are ignored.
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
from sweeps.store.complaints import UNREADABLE, Damaged
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
_CHECKPOINTS = 2  # if the newest is damaged, the one before is used
_PARTS = 16  # if a run has more cells files, they are merged into one


def kind_of(name: str) -> str | None:
    """The kind of a file in a run's folder, by its name: "run", "weights", …; None for a file with another name."""
    return kind if (kind := re.match("[a-z]*", name)[0]) in _KINDS and _KINDS[kind].fullmatch(name) else None


def trained_by(name: str) -> tuple[int, int]:
    """The epochs, and the steps of the next epoch, after which the checkpoint of this name was written."""
    _, epochs, steps, _ = name.split("-")
    return int(epochs), int(steps)


class RunFolder:
    """The files of one run; it need not have any."""

    def __init__(self, files: Directory | Bucket, key: str):
        self.files, self.key = files, key

    # -- reading ---------------------------------------------------------------------------------------

    def names(self, kind: str | None = None) -> dict[str, float]:
        """File name → time of writing in seconds since 1970, sorted by name, for files of one kind or of any kind."""
        start = len(f"runs/{self.key}/")
        times = {file[start:]: written for file, written in sorted(self.files.list(f"runs/{self.key}").items())}
        return {name: at for name, at in times.items() if (known := kind_of(name)) and kind in (None, known)}

    def record(self) -> RunRecord | None:
        """The record of a finished run; None if there is none. Raises Damaged."""
        try:
            try:
                return self._read_record()
            except Damaged:  # a bucket may return a part of it while another process replaces it by a longer one
                return self._read_record()
        except FileNotFoundError:
            return None

    def _read_record(self) -> RunRecord:
        record = read_record(self.files.read(f"runs/{self.key}/run.json"), self._path("run.json"))
        if (kind_of(record.weights), kind_of(record.epochs)) != ("weights", "epochs"):
            self._complain("run.json")
        return record

    def epochs(self) -> pa.Table:
        """A finished run's table with a row per epoch. Raises AmcError if the run is not finished, or Damaged."""
        name = self._finished().epochs
        content = self._read(name)
        try:
            return read_parquet(content)
        except (OSError, pa.ArrowException):
            self._complain(name)

    def weights(self) -> dict:
        """The state dictionary of a finished run. Raises AmcError if the run is not finished, or Damaged."""
        return self._read_tensors(self.weights_name())

    def weights_name(self) -> str:
        """The name of the file with a finished run's weights; its digest identifies them."""
        return self._finished().weights

    def _finished(self) -> RunRecord:
        record = self.record()
        if record is None:
            raise AmcError(
                f"run {self.key} is not in store {str(self.files.path)!r}: 'amc run' of its study computes it"
            )
        return record

    def code(self, digest: str | None = None) -> dict[str, str]:
        """Path → text of code of the user's own; {} if it cannot be read.

        digest: of the code, for example of a front end; by default that of the trained network.
        """
        for name in self.names("code"):
            with suppress(AmcError, *UNREADABLE):
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
        """read(name) of each cells file; lists the files again if compaction has replaced them meanwhile."""
        while True:
            try:
                return [read(name) for name in (self.names("cells") if names is None else names)]
            except FileNotFoundError:
                names = None

    def footer(self, name: str) -> Footer:
        """The footer of a cells file. Raises Damaged."""
        try:
            return read_footer(lambda count: self.files.read(f"runs/{self.key}/{name}", count))
        except (FileNotFoundError, AmcError):
            raise
        except (OSError, ValueError, LookupError, TypeError):  # Arrow's exceptions are among them
            self._complain(name)

    def log(self) -> str:
        """The logs of all trials of the run so far, in order of time."""
        texts = []
        for name in self.names("log"):
            with suppress(FileNotFoundError):
                texts.append(self._read(name).decode(errors="replace"))
        return "".join(texts)

    def checkpoint(self) -> dict | None:
        """The training state saved last; None if there is none. Damaged ones are set aside and skipped."""
        for name in reversed(self.names("checkpoint")):
            try:
                return self._read_tensors(name)
            except Damaged:
                self.set_aside(name)
            except FileNotFoundError:  # another process that trains this run has saved a later one
                continue
        return None

    def checkpoints(self) -> dict[str, tuple[int, int, float]]:
        """Name of each checkpoint → its epochs, its steps, and minus its time of writing.

        If two processes train the run, the greater one is of the process that is ahead.
        """
        return {name: (*trained_by(name), -written) for name, written in self.names("checkpoint").items()}

    def failure(self) -> dict[str, str] | None:
        """When and why the run last failed; None if it has not failed or the file cannot be read."""
        try:
            failure = json.loads(self.files.read(f"runs/{self.key}/failure.json"))
            return {name: str(failure[name]) for name in ("reason", "failed_at")}
        except UNREADABLE:
            return None

    def is_sound(self, name: str) -> bool:
        """Is the content of a file what was written? A file that is gone counts as sound."""
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
        """Save a training state of `amc_core.training`, after an epoch or within one; return the file's name."""
        epochs, step = len(state["epochs"]), state.get("step", 0)
        name = self._write(f"checkpoint-{epochs:06d}-{step:08d}", "pt", _tensor_bytes(state))
        self.delete([*self.names("checkpoint")][:-_CHECKPOINTS])
        return name

    def delete_checkpoints(self) -> None:
        """Delete the checkpoints of a finished run."""
        self.delete(self.names("checkpoint"))

    def save(self, run: Run, state: dict, processes: Iterable[Process], **outcome) -> None:
        """Record the run as finished: write weights, epochs and last the record.

        outcome: the fields of `RunRecord` that do not follow from the other arguments.
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
        """Save cells of the run: test datasets and their evaluations by a process, which took `seconds`."""
        self._save_code([function for test, _ in evaluated for function in test.functions])
        table = cell_table(run, evaluated, process)
        instances = sum(int(result.confusion.sum()) for _, result in evaluated)
        self._write_cells(table, instances, seconds)
        if len(self.names("cells")) > _PARTS:
            self.compact()

    def _save_code(self, used: Iterable[object]) -> None:
        """Save the text of each that is code of the user's own, once."""
        texts = {json.dumps(code.sources, indent=1): None for code in used if isinstance(code, OwnCode)}
        there = self.names("code") if texts else ()
        for content in map(str.encode, texts):
            if f"code-{digest(content)}.json" not in there:
                self._write("code", "json", content)

    def compact(self) -> None:
        """Merge the cells files into one.

        Of a cell that comes twice the earlier one is kept, so that processes that do this at the same time agree. At
        any time, each cell is in some file.
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
        """Save why the run failed, if the store can still be written."""
        failure = {"reason": reason, "failed_at": datetime.now(UTC).isoformat()}
        with suppress(AmcError):  # the failure itself matters more
            self.files.write(f"runs/{self.key}/failure.json", json.dumps(failure, indent=1).encode())

    def clear_failure(self) -> None:
        """Delete the reason of the last failure, since the run is complete."""
        self.delete(["failure.json"])

    def new_log(self) -> str:
        """A file name for the log of a trial that begins now in this process."""
        host = re.sub(r"[^\w-]", "_", socket.gethostname())
        return f"log-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{host}-{os.getpid()}.txt"

    def save_log(self, name: str, text: str) -> None:
        """Save the log of a trial, if the store can still be written."""
        with suppress(AmcError):
            self.files.write(f"runs/{self.key}/{name}", text.encode(), durable=False)

    def copy(self, name: str, target: RunFolder) -> int:
        """Copy a file into the run's folder in another store; return its size in bytes. Raises Damaged."""
        content = self._read(name)
        target.files.write(f"runs/{target.key}/{name}", content)
        return len(content)

    def set_aside(self, name: str) -> bool:
        """Move a file to <store>/damaged; return False if another process was faster."""
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
        except Exception:  # damage may lead torch and the unpickler to raise anything
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
