"""The progress of a run under way, as its trial writes it: its record, its epochs so far, its last sign of life."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from amc_core.errors import AmcError
from amc_core.run import Run
from sweeps.store.complaints import UNREADABLE
from sweeps.store.record import RunRecord, read_record
from sweeps.store.run_folder import RunFolder

ALIVE_SECONDS = 60  # a trial whose last sign of life is older counts as ended


@dataclass(frozen=True)
class Begun:
    """A run under way.

    record: without files and outcome. rows: of its table of epochs so far. cells: the number that the trial has
    evaluated so far. host: the trial's machine. seen: when it last gave a sign of life; None if it has ended.
    """

    record: RunRecord
    rows: tuple[dict, ...] = ()
    cells: int = 0
    host: str = ""
    seen: datetime | None = None

    def age(self) -> float | None:
        """Seconds since the last sign of life; None if the trial has ended, or has given none for a minute."""
        seconds = (datetime.now(UTC) - self.seen).total_seconds() if self.seen else ALIVE_SECONDS
        return max(seconds, 0.0) if seconds < ALIVE_SECONDS else None

    def share(self) -> float:
        """The part of the training that is done."""
        return min(len(self.rows) / self.record.recipe.epochs, 1.0)

    def epochs_in_words(self) -> str:
        """ "training, epoch 7/20"."""
        return f"training, epoch {len(self.rows)}/{self.record.recipe.epochs}"


def is_alive(folder: RunFolder) -> bool:
    """Has a trial of the run given a sign of life in the last minute?"""
    begun = read_begun(folder)
    return begun is not None and begun.age() is not None


def record_of(run: Run) -> RunRecord:
    """A run's record before it is finished: without files and outcome."""
    parent = run.parent.key if run.parent else None
    return RunRecord(
        str(run.model), run.dataset, run.seed, "", "", run.code or None, run.hyperparameters, run.recipe, parent
    )


def save_begun(folder: RunFolder, begun: Begun) -> None:
    """Write what a trial says; a power cut may undo it. Raises AmcError if the store cannot be written."""
    seen = begun.seen and begun.seen.isoformat()
    plain = {"record": begun.record.content().decode(), "rows": begun.rows, "cells": begun.cells}
    plain |= {"host": begun.host, "seen": seen}
    folder.files.write(f"runs/{folder.key}/progress.json", json.dumps(plain).encode(), durable=False)


def read_begun(folder: RunFolder) -> Begun | None:
    """The progress of a run; None if there is none, it cannot be read or it is of another version."""
    try:
        plain = json.loads(folder.files.read(f"runs/{folder.key}/progress.json"))
        seen = plain["seen"] and datetime.fromisoformat(plain["seen"]).astimezone(UTC)
        rows = tuple(dict(row) for row in plain["rows"])
        record = read_record(plain["record"].encode(), "progress.json")
        return Begun(record, rows, int(plain["cells"]), str(plain["host"]), seen)
    except (AmcError, *UNREADABLE):
        return None
