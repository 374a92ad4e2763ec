"""What is said of files that are not what was written."""

from __future__ import annotations

import logging
from functools import cache

from amc_core.errors import AmcError

_log = logging.getLogger("sweeps")  # which prints to standard error unless an application says otherwise


class Damaged(AmcError):
    """A file is not what was written."""


class OtherVersion(Damaged):
    """A record was written by another version of this program."""

    def __init__(self, path: str, version: object):
        super().__init__(f"{path} is of version {version}: runs of another version are not counted")
        self.version = version


# What reading a file for information only may lead to, whatever it holds: then it tells nothing.
UNTOLD = (FileNotFoundError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError)


@cache
def tell(sentence: str) -> None:
    """Warn of something that is passed over; once in the life of a process. Names may hold whatever bytes."""
    _log.warning(printable(sentence))


def printable(text: str) -> str:
    """A text of which a terminal shows every character, and obeys none."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
