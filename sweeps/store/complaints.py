"""Errors and warnings about damaged files and files of other versions."""

from __future__ import annotations

import logging
from functools import cache

from amc_core.errors import AmcError

_log = logging.getLogger("sweeps")  # it prints to standard error unless an application configures it


class Damaged(AmcError):
    """A file's content is not what was written."""


class OtherVersion(Damaged):
    """A record was written by another version of this program."""

    def __init__(self, path: str, version: object):
        super().__init__(f"{path} is of version {version} of this program: runs of other versions do not count")
        self.version = version


# What reading a file that is missing or ill-formed may raise.
UNREADABLE = (FileNotFoundError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError)


@cache
def warn_once(sentence: str) -> None:
    """Log a warning; the same one only once per process. Names in it may hold any bytes."""
    _log.warning(printable(sentence))


def printable(text: str) -> str:
    """The text with each character that a terminal would not show, or would obey, escaped."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
