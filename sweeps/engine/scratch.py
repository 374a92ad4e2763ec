"""The temporary folder of a launch, for files of Ray and Tune on one machine."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from amc_core.errors import AmcError

_PREFIX = ".amc-"
_LOCK = "held"  # locked by the folder's process as long as it lives
_SESSION = "/ray/session_2026-11-30_01-09-58_123456_4194304/sockets/plasma_store"  # the longest path that Ray creates
_LONGEST = 103 if sys.platform == "darwin" else 107  # bytes of the path of a socket
_NEEDED_BYTES = 16 << 20  # of Ray's logs, mostly
_MINUTE = 60


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A new folder that only this user can enter; it is removed at the end, or by the next launch after a kill.

    It lies in RAY_TMPDIR, else in TMPDIR if the paths of Ray's sockets are short enough there, else in /tmp. Raises
    AmcError if no such folder can be made, or if there is too little space.
    """
    parent = _parent()
    _remove_left_over(parent)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    try:
        with open(folder / f"{_LOCK}.new", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            os.rename(folder / f"{_LOCK}.new", folder / _LOCK)  # so that no other process sees it unlocked
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _parent() -> Path:
    """The directory for the folder. Raises AmcError if there is none."""
    longest = _LONGEST - len(_SESSION) - len(f"/{_PREFIX}12345678")
    named = os.environ.get("RAY_TMPDIR")
    if named:
        if len(os.fsencode(named)) > longest:
            raise AmcError(f"RAY_TMPDIR {named!r} is too long a path for Ray's sockets: at most {longest} characters")
        if not _usable(named):
            raise AmcError(f"RAY_TMPDIR {named!r} is not a writable directory")
        _require_space("RAY_TMPDIR", named)
        return Path(named)
    temporary = os.environ.get("TMPDIR")
    if temporary and _usable(temporary):
        _require_space("TMPDIR", temporary)  # also if it is too long, since other libraries write there too
    for directory in (temporary, "/tmp", os.environ.get("XDG_RUNTIME_DIR")):
        if directory and len(os.fsencode(directory)) <= longest and _usable(directory):
            _require_space("TMPDIR", directory)
            return Path(directory)
    raise AmcError(
        "Ray has no directory for its sockets: set RAY_TMPDIR to a writable directory "
        f"whose path has at most {longest} characters"
    )


def _usable(directory: str) -> bool:
    return os.path.isabs(directory) and os.path.isdir(directory) and os.access(directory, os.W_OK | os.X_OK)


def _require_space(variable: str, directory: str) -> None:
    free = shutil.disk_usage(directory).free
    if free < _NEEDED_BYTES:
        raise AmcError(
            f"{directory!r} has {free / 1e6:.1f} MB of free space, and Ray writes up to {_NEEDED_BYTES / 1e6:.0f} MB "
            f"there: free some space, or set {variable} to another directory"
        )


def _remove_left_over(parent: Path) -> None:
    """Remove the folders of launches that were killed."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # it may be another user's, or was just removed
            if (folder / _LOCK).exists():
                with open(folder / _LOCK) as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
            elif time.time() - folder.stat().st_mtime > _MINUTE and not any(folder.iterdir()):
                folder.rmdir()
