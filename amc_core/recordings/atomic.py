"""Files are written completely or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from amc_core.errors import AmcError


@contextmanager
def replacing(*paths: Path) -> Iterator[list[Path]]:
    """Temporary paths that replace `paths` when the block ends, and are removed if it fails.

    The last of several paths makes the others valid: an old one is removed before the others change. Raises AmcError if
    they cannot be written.
    """
    if not paths[0].parent.is_dir():
        raise AmcError(f"{paths[0]}: the directory does not exist; name a file in a writable directory")
    partial = [path.with_name(f".{path.name}.{uuid.uuid4().hex}") for path in paths]
    try:
        yield partial
        if len(paths) > 1:
            paths[-1].unlink(missing_ok=True)
        for source, path in zip(partial, paths, strict=True):
            os.replace(source, path)
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        raise AmcError(f"{paths[0]} cannot be written: {reason}; name a file in a writable directory") from None
    finally:
        for path in partial:
            path.unlink(missing_ok=True)
