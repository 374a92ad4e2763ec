"""Paths as people write them."""

from __future__ import annotations

import os
from pathlib import Path

from amc_core.errors import AmcError


def expanded(path: str | Path) -> Path:
    """The path, with the home directory in the place of a leading ~. Raises AmcError where there is none."""
    read = os.path.expanduser(path)
    if str(read).startswith("~"):
        raise AmcError(f"{str(path)!r}: there is no home directory that ~ stands for: write the whole path")
    return Path(read)
