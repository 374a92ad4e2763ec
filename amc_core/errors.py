"""The one root of the errors that this project raises on purpose, and the end of their sentences."""

import difflib
from collections.abc import Iterable


class AmcError(ValueError):
    """Input that cannot be used; its message is one sentence saying what, where, and what is allowed."""


def suggest(name: object, known: Iterable[str]) -> str:
    """The end of an error sentence: the nearest known name, and all of them."""
    known = list(known)
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    return (f"; did you mean {close[0]!r}?" if close else "") + f" (known: {', '.join(known)})"


def require_known(what: str, names: Iterable[object], known: Iterable[str]) -> None:
    """Raise AmcError for the first of `names` that is not `known`, with what may have been meant."""
    known = list(known)
    for name in names:
        if name not in known:
            raise AmcError(f"{what} {name!r} is not known{suggest(name, known)}")
