"""Which drivers of a search are alive: on this machine by their processes, on others by their signs of life."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from copy import copy
from pathlib import Path

SIGN_SECONDS = 60  # between a driver's signs of life
SILENT_SECONDS = 600  # after its last sign of life, others take a driver for dead
LOOK_SECONDS = 10  # between looks for drivers that are dead
ENDED = "driver ended"  # attribute of a trial that is running according to the storage


def driver_name(process: int) -> str | None:
    """A name for a process by its id, unlike those of earlier processes with this id; None if there is none."""
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
    """Is the driver of a trial alive? An earlier search of this process is not.

    seen: driver → when it last gave a sign of life, by which those on other machines are judged.
    """
    host, process, *_ = [*(driver or "").split(), "", ""]
    if host != socket.gethostname():
        return time.time() - seen.get(driver, 0) < SILENT_SECONDS
    if not process.isdecimal() or int(process) == os.getpid():
        return False
    return driver_name(int(process)) == driver


def with_ended(trials: list, seen: dict[str, float]) -> list:
    """Optuna's trials; running ones whose driver is dead are marked as `ENDED`. seen: as for `is_alive`."""
    marked = []
    for trial in trials:
        if trial.state.name == "RUNNING" and not is_alive(trial.user_attrs.get("driver"), seen):
            trial = copy(trial)  # shallow: its storage has it, too
            trial.user_attrs = trial.user_attrs | {ENDED: True}
        marked.append(trial)
    return marked
