"""Tags and notes that people give to runs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

from amc_core.errors import AmcError
from sweeps.store.complaints import UNREADABLE
from sweeps.store.run_folder import RunFolder

_LONGEST_TAG, _LONGEST_NOTE = 40, 2000  # characters


@dataclass(frozen=True)
class Label:
    """The tags of a run, sorted, and a note about it."""

    tags: tuple[str, ...] = ()
    note: str = ""


def read_label(folder: RunFolder) -> Label:
    """The label of a run; an empty one if there is none or it cannot be read."""
    try:
        plain = json.loads(folder.files.read(f"runs/{folder.key}/label.json"))
        return Label(tuple(sorted(map(str, plain["tags"]))), str(plain["note"]))
    except UNREADABLE:
        return Label()


def change_label(
    folder: RunFolder, add: Iterable[str] = (), remove: Iterable[str] = (), note: str | None = None
) -> Label:
    """Add and remove tags of a run, and replace its note; "" deletes the note. Returns the new label.

    Raises AmcError for a tag that is empty, too long or holds a comma, and for a note that is too long.
    """
    for tag in add:
        if not tag.strip() or "," in tag or len(tag) > _LONGEST_TAG:
            raise AmcError(f"tag {tag[:80]!r} is not allowed: a tag has 1 to {_LONGEST_TAG} characters and no comma")
    if note is not None and len(note) > _LONGEST_NOTE:
        raise AmcError(f"the note has {len(note):,} characters: at most {_LONGEST_NOTE:,} are allowed")
    before = read_label(folder)
    tags = tuple(sorted({*before.tags, *add} - {*remove}))
    label = replace(before, tags=tags, note=before.note if note is None else note)
    if label == Label():
        folder.delete(["label.json"])
    elif label != before:
        folder.files.write(f"runs/{folder.key}/label.json", json.dumps(asdict(label), indent=1).encode())
    return label
