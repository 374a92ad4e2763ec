"""Paths that users write."""

from __future__ import annotations

import os
from pathlib import Path

from amc_core.errors import AmcError


def expanded(path: str | Path) -> Path:
    """The path with a leading ~ replaced by the home directory. Raises AmcError if none is known."""
    read = os.path.expanduser(path)
    if str(read).startswith("~"):
        raise AmcError(f"{str(path)!r}: no home directory is known for ~: write the whole path")
    return Path(read)
