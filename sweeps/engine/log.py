"""The log of a trial: what it did and when, written beside the results of its run."""

from __future__ import annotations

import logging
import socket
import time
from contextlib import suppress
from datetime import datetime
from types import TracebackType

from amc_core.errors import AmcError
from amc_core.quantities import many
from amc_core.run import Run
from sweeps.engine.ending import Cut, Left
from sweeps.engine.progress import describe
from sweeps.store import Store

_WRITE_SECONDS = 20


class RunLog(logging.Handler):
    """Collects lines and warnings of `amc_core`, and writes them to the store at intervals. Use as a context."""

    def __init__(self, run: Run, store: Store):
        super().__init__()
        self.run = run
        self.folder = store.run(run.key)
        self.name, self.text, self.written = self.folder.new_log(), "", time.monotonic()
        self.cells = 0  # evaluated, in the last line

    def __enter__(self) -> RunLog:
        logging.getLogger("amc_core").addHandler(self)
        self.line(f"begun on {socket.gethostname()}: {describe(self.run)}", at_once=True)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        logging.getLogger("amc_core").removeHandler(self)
        ended = (
            str(error) if isinstance(error, (Cut, Left)) else f"ended by {kind.__name__}: {error}" if error else "ended"
        )
        self.line(ended, at_once=True)

    def emit(self, record: logging.LogRecord) -> None:
        self.line(record.getMessage())

    def line(self, text: str, at_once: bool = False) -> None:
        """Add a line. If the log cannot be written, the run goes on without it."""
        self.text += f"{datetime.now().astimezone().isoformat(timespec='seconds')} {text}\n"
        if at_once or time.monotonic() - self.written > _WRITE_SECONDS:
            self.written = time.monotonic()
            with suppress(AmcError, OSError):
                self.folder.save_log(self.name, self.text)

    def step(self, progress: dict) -> None:
        """Add lines for the progress that `trial.compute` yields."""
        row = progress.get("curves")
        if progress["cells"] > self.cells:
            self.cells = progress["cells"]
            self.line(f"{many(self.cells, 'cell')} evaluated")
        if row is not None:
            self.line(
                f"epoch {row['epoch']}/{self.run.recipe.epochs}: loss {row['train_loss']:.4f}, accuracy "
                f"{row['train_accuracy']:.2%}, on validation {row['validation_accuracy']:.2%}, "
                f"{row['instances_per_second']:.0f} instances/s"
            )
