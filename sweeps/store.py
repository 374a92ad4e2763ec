"""The store: durable results in a directory shared by all studies. The only module that knows file names.

    <store>/runs/<run key>/run.json            what was run and how it went; written last: its presence is "trained"
                           weights.pt          the weights that were kept
                           epochs.parquet      a row per epoch
                           cells-<hash>.parquet  counts of some cells, a row per test scenario and SNR
                           checkpoint.pt       while it is being trained
                           failure.json        why it last failed

Every file appears by one atomic rename after it is complete, so whatever is there is whole, and what is missing
is found by looking. Two launches that compute the same run write the same files.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from amc_core.errors import AmcError
from amc_core.run import VERSION, Dataset, Run

CELL_SCHEMA = pa.schema(
    [
        ("run", pa.string()),
        ("cell", pa.string()),
        ("test_scenario", pa.string()),  # JSON of its fields
        ("test_length", pa.int64()),
        ("snr_db", pa.float64()),
        ("n", pa.int64()),
        ("correct", pa.int64()),
        ("confusion", pa.list_(pa.int32())),  # classes × classes, row by row: sent, then recognised
        ("evaluated_at", pa.timestamp("us", "UTC")),
    ]
)


class Store:
    """Runs and cells under a directory. Reading a store that does not exist finds nothing in it."""

    def __init__(self, path: str | Path):
        self.path = Path(path).absolute()  # trials have working directories of their own
        if not self.path.is_dir() and self.path.exists():
            raise AmcError(f"store {str(path)!r} is a file: name a directory with --store")

    # -- what is there ---------------------------------------------------------------------------------

    def trained(self) -> set[str]:
        """Keys of the runs that are finished."""
        return {key for key in self._directories() if self._file(key, "run.json").exists()}

    def training(self) -> set[str]:
        """Keys of the runs that have a checkpoint and are not finished."""
        return {key for key in self._directories() if self._file(key, "checkpoint.pt").exists()} - self.trained()

    def failures(self) -> dict[str, dict]:
        """Run key → when and why it last failed, of the runs that have not been completed since."""
        found = {key: self._json(key, "failure.json") for key in self._directories()}
        return {key: failure for key, failure in found.items() if failure}

    def cells(self, key: str) -> set[str]:
        """Keys of the cells of a run that have been evaluated."""
        tables = (_read_parquet(path, ["cell"]) for path in self._cell_files(key))
        return {cell for table in tables for cell in table["cell"].unique().to_pylist()}

    # -- reading ---------------------------------------------------------------------------------------

    def run_record(self, key: str) -> dict | None:
        """The contents of a finished run's run.json."""
        return self._json(key, "run.json")

    def epochs(self, key: str) -> pa.Table:
        return _read_parquet(self._file(key, "epochs.parquet"))

    def cell_tables(self, keys: Iterable[str], columns: list[str] | None = None) -> Iterator[pa.Table]:
        """The cells of runs, a table per file; a cell that two launches computed at once comes twice."""
        for key in keys:
            for path in self._cell_files(key):
                yield _read_parquet(path, columns)

    def weights(self, key: str) -> dict:
        """The state dictionary of a finished run."""
        return _load_tensors(self._file(key, "weights.pt"))

    def checkpoint(self, key: str) -> dict | None:
        """The training state saved last, None where there is none."""
        path = self._file(key, "checkpoint.pt")
        try:
            return _load_tensors(path) if path.exists() else None
        except AmcError:  # training starts anew rather than never
            path.unlink()
            return None

    # -- writing ---------------------------------------------------------------------------------------

    def require_writable(self) -> None:
        """Raise AmcError where the store, or the directory that would hold it, cannot be written. Leaves no trace."""
        place = next(path for path in (self.path, *self.path.parents) if path.exists())
        probe = place / f".{uuid.uuid4().hex}"
        try:
            probe.touch()
            probe.unlink()
        except OSError as error:
            reason = f"store {str(self.path)!r} cannot be written: {error.strerror}"
            raise AmcError(f"{reason}; name a writable directory with --store") from None

    def make(self) -> Path:
        """The store's directory, made if it is not there."""
        self.path.mkdir(parents=True, exist_ok=True)
        return self.path

    def save_checkpoint(self, key: str, state: dict) -> None:
        self._write(key, "checkpoint.pt", _tensor_bytes(state))

    def save_run(self, run: Run, state: dict, outcome: dict) -> None:
        """Record a finished run: weights, epochs, and last of all the record that makes it finished."""
        self._write(run.key, "weights.pt", _tensor_bytes(state["kept"]))
        self._write(run.key, "epochs.parquet", _parquet_bytes(pa.Table.from_pylist(state["epochs"])))
        record = {
            "version": VERSION,
            "model": run.model,
            "hyperparameters": run.hyperparameters,
            "recipe": asdict(run.recipe),
            "dataset": run.dataset.as_dict(),
            "seed": run.seed,
            "parent": run.parent.key if run.parent else None,
            **outcome,
            "finished_at": _now().isoformat(),
        }
        self._write(run.key, "run.json", json.dumps(record, indent=1).encode())
        self._file(run.key, "checkpoint.pt").unlink(missing_ok=True)

    def save_cells(self, run: Run, evaluated: list[tuple[Dataset, np.ndarray]]) -> None:
        """Record cells of a run: test datasets and their (SNRs, classes, classes) confusion counts."""
        rows = []
        for test, confusion in evaluated:
            shared = {
                "run": run.key,
                "cell": run.cell_key(test),
                "test_scenario": json.dumps(test.scenario.as_dict()),
                "test_length": test.length,
                "evaluated_at": _now(),
            }
            for snr_db, counts in zip(test.snrs_db, confusion, strict=True):
                correct = {"n": int(counts.sum()), "correct": int(counts.trace()), "confusion": counts.ravel().tolist()}
                rows.append(shared | {"snr_db": snr_db} | correct)
        names = "".join(sorted({row["cell"] for row in rows}))
        digest = hashlib.blake2b(names.encode(), digest_size=8).hexdigest()
        self._write(run.key, f"cells-{digest}.parquet", _parquet_bytes(pa.Table.from_pylist(rows, CELL_SCHEMA)))

    def save_failure(self, key: str, reason: str) -> None:
        failure = {"reason": reason, "failed_at": _now().isoformat()}
        self._write(key, "failure.json", json.dumps(failure, indent=1).encode())

    def clear_failure(self, key: str) -> None:
        """Forget why a run failed, since it is complete."""
        self._file(key, "failure.json").unlink(missing_ok=True)

    # -- files -----------------------------------------------------------------------------------------

    def _directories(self) -> list[str]:
        try:
            return sorted(entry.name for entry in os.scandir(self.path / "runs") if entry.is_dir())
        except FileNotFoundError:
            return []
        except NotADirectoryError:
            raise AmcError(f"store {str(self.path)!r} is not a directory: name another with --store") from None

    def _file(self, key: str, name: str) -> Path:
        return self.path / "runs" / key / name

    def _cell_files(self, key: str) -> list[Path]:
        return sorted((self.path / "runs" / key).glob("cells-*.parquet"))

    def _json(self, key: str, name: str) -> dict[str, Any] | None:
        path = self._file(key, name)
        try:
            return json.loads(path.read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            raise _damaged(path) from None

    def _write(self, key: str, name: str, content: bytes) -> None:
        path = self._file(key, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{name}.{uuid.uuid4().hex}")
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def _now() -> datetime:
    return datetime.now(UTC)


def _tensor_bytes(state: dict) -> bytes:
    import torch  # not needed to read tables

    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def _load_tensors(path: Path) -> dict:
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch and the unpickler raise whatever the damage leads them to
        raise _damaged(path) from None


def _read_parquet(path: Path, columns: list[str] | None = None) -> pa.Table:
    try:
        return pq.read_table(path, columns=columns)
    except (OSError, pa.ArrowException):
        raise _damaged(path) from None


def _damaged(path: Path) -> AmcError:
    return AmcError(f"{path} is damaged: delete {path.parent}, and 'amc run' computes it again")


def _parquet_bytes(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()
