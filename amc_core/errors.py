"""The base class of the errors that this project raises on purpose, and suggestions for their messages."""

import difflib
import re
from collections.abc import Iterable


class AmcError(ValueError):
    """Input that cannot be used; its message is one sentence saying what, where, and what is allowed."""

    def __init__(self, message: object = ""):
        super().__init__("\n".join(map(printable, str(message).split("\n"))))


def printable(text: str) -> str:
    """A text on one line; control characters, which a terminal would act on, are escaped as in Python."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def suggest(name: object, known: Iterable[str]) -> str:
    """The end of an error sentence: the nearest known name, and all of them."""
    known = list(known)
    close = _nearest(str(name), known)
    return (f"; did you mean {close!r}?" if close else "") + f" (known: {', '.join(map(printable, known))})"


_OTHER_NAMES = {"4PSK": "QPSK", "2PSK": "BPSK", "4QAM": "QPSK", "1DCNN": "cnn1d"}


def _nearest(name: str, known: list[str]) -> str | None:
    """The known name that is meant, or None.

    A name matches in other capitals (bpsk), in another order (QAM16), by initials (lr), without a number that only one
    name has (cnn), or by another usual name (4PSK). If none matches, the closest name is taken.
    """
    meant = {"".join(part[0] for part in re.split(r"[\W_]+", entry) if part): entry for entry in known if "_" in entry}
    shortened = [entry for entry in known if re.sub(r"\d\w?", "", entry.lower()) == name.lower()]
    meant |= {name.lower(): shortened[0]} if shortened else {}
    meant |= {_parts(usual): entry for usual, entry in _OTHER_NAMES.items() if entry in known}
    meant |= {_parts(entry): entry for entry in known}
    same = meant.get(_parts(name)) or meant.get(name.lower())
    close = [same] if same else difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if not close:
        lowered = {entry.lower(): entry for entry in known}
        close = [lowered[entry] for entry in difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.5)]
    return close[0] if close else None


def _parts(name: str) -> str:
    """Letters and digits of a name, sorted, so that 16-QAM, qam16 and 16QAM are one."""
    return " ".join(sorted(re.findall(r"[a-z]+|\d+", name.lower().replace("_", ""))))


def require_known(what: str, names: Iterable[object], known: Iterable[str]) -> None:
    """Raise AmcError for the first of `names` that is not `known`, with what may have been meant."""
    known = list(known)
    for name in names:
        if name not in known:
            raise AmcError(f"{what} {name!r} is not known{suggest(name, known)}")
