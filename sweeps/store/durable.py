"""Durable writing: contents, and names of files and directories, that survive a power cut."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from pathlib import Path

_FLUSHING = ThreadPoolExecutor(4, "flush")


def write_through(contents: dict[Path, bytes], durable: bool = True, folders: Iterable[Path] = ()) -> None:
    """Write new files. durable: so that their contents, and the names in these folders, survive a power cut.

    They are flushed at the same time, since a file system writes what is flushed together in one go.
    """
    with ExitStack() as opened:
        files = [opened.enter_context(open(path, "xb")) for path in contents]
        for file, content in zip(files, contents.values(), strict=True):
            file.write(content)
            file.flush()
        if durable:
            first, *others = files
            flushed = [_FLUSHING.submit(sync, folder) for folder in folders]
            flushed += [_FLUSHING.submit(os.fsync, file.fileno()) for file in others]
            try:
                os.fsync(first.fileno())
            finally:
                wait(flushed)
            for each in flushed:
                each.result()


def make(directory: Path) -> Path:
    """Make a directory and those above it so that they survive a power cut."""
    if not directory.is_dir():
        make(directory.parent)
        directory.mkdir(exist_ok=True)
        sync(directory.parent)
    return directory


def sync(directory: Path) -> None:
    """Make the names in a directory durable, if the file system can."""
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
