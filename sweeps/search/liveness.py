"""Which drivers of a search still live, by their processes here and by signs of life elsewhere."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from copy import copy
from pathlib import Path

SIGN_SECONDS, SILENT_SECONDS = 60, 600  # between a driver's signs of life; after which others take it for dead
LOOK_SECONDS = 10  # between looks for drivers that are dead
ENDED = "driver ended"  # of a trial that still runs by what the storage has


def driver_name(process: int) -> str | None:
    """A name that no earlier process of this number on this machine had; None if there is no such process."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    with suppress(OSError):
        state, *_ = fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return None if state == "Z" else f"{socket.gethostname()} {process} {fields[19]}"  # when it started
    return f"{socket.gethostname()} {process}"


def is_alive(driver: str | None, seen: dict[str, float]) -> bool:
    """Does the driver of a trial still run? An earlier search of this process does not.

    seen: driver → when it last gave a sign of life, by which those on other machines are judged.
    """
    host, process, *_ = [*(driver or "").split(), "", ""]
    if host != socket.gethostname():
        return time.time() - seen.get(driver, 0) < SILENT_SECONDS
    if not process.isdecimal() or int(process) == os.getpid():
        return False
    return driver_name(int(process)) == driver


def with_ended(trials: list, seen: dict[str, float]) -> list:
    """Optuna's trials, those that run marked as `ENDED` whose driver does not live; seen: as for `is_alive`."""
    marked = []
    for trial in trials:
        if trial.state.name == "RUNNING" and not is_alive(trial.user_attrs.get("driver"), seen):
            trial = copy(trial)  # shallow: its storage has it, too
            trial.user_attrs = trial.user_attrs | {ENDED: True}
        marked.append(trial)
    return marked
