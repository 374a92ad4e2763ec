"""Recordings and audio files on the nodes of a cluster: read there, or sent once through Ray's object store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amc_core.copies import located, received
from amc_core.errors import AmcError
from amc_core.fingerprint import BUCKET, DigestedPath, content_digest
from amc_core.pieces import pieces_at
from amc_core.scenario import FILE_FIELDS
from sweeps.planning import Plan
from sweeps.study import SearchStudy, Studies, Study

MOST_SENT = 2 << 30  # bytes of a recording that is sent to nodes
_PART = 64 << 20  # bytes of an object


@dataclass(frozen=True)
class Needed:
    """A file that trials read.

    size: in bytes. names, parts: of the files that are sent, and their contents as Ray objects; empty if it is too
    large to send.
    """

    path: DigestedPath
    size: int
    names: tuple[str, ...] = ()
    parts: tuple[tuple[Any, ...], ...] = field(default=(), hash=False, compare=False)


def needed_files(study: Study | Studies, plan: Plan) -> tuple[Needed, ...]:
    """The files that missing work reads; each goes into Ray's object store unless it is too large or in a bucket."""
    import ray

    contents = {path: content for path, content in study.digests.items()} if isinstance(study, SearchStudy) else {}
    datasets = [dataset for entry in plan.incomplete for dataset in (entry.run.dataset, *entry.missing)]
    for scenario in {scenario for dataset in datasets for scenario in dataset.scenario.components}:
        paths = [getattr(scenario, name) for name in FILE_FIELDS if getattr(scenario, name)]
        contents |= {str(path): path.content for path in paths}
    listed = []
    for path in (DigestedPath(path, content) for path, content in contents.items()):
        if path.startswith(BUCKET):
            listed.append(Needed(path, 0))
            continue
        top = Path(located(path))
        files = sorted({piece.path for pieces in pieces_at(top) for piece in pieces})
        size = sum(file.stat().st_size for file in files)
        if size > MOST_SENT:
            listed.append(Needed(path, size))
            continue
        names = tuple(str(file.relative_to(top.parent)) for file in files)
        parts = tuple(tuple(ray.put(part) for part in _parts(file)) for file in files)
        listed.append(Needed(path, size, names, parts))
    return tuple(listed)


def _parts(file: Path) -> Iterator[bytes]:
    with open(file, "rb") as opened:
        while part := opened.read(_PART):
            yield part


def lacking(files: tuple[Needed, ...]) -> str | None:
    """The file that this node lacks and cannot be sent, in words that follow its name; None if it has all."""
    for file in files:
        try:
            if content_digest(located(file.path)) == file.path.content:
                continue
            reason = "the file there has another content"
        except AmcError as error:
            reason = str(error)
        if not file.names:
            how = f"{file.size / 1e9:.1f} GB are more than the {MOST_SENT / 1e9:.1f} GB that are sent: put it on "
            how = "" if file.path.startswith(BUCKET) else f"; {how}storage that all nodes see, or into a bucket"
            return f"does not have recording {str(file.path)!r} ({reason}{how})"
        try:
            received(file.path, list(file.names), map(_contents, file.parts))
        except AmcError as error:
            return f"does not have recording {str(file.path)!r}, and sending it failed ({error})"
    return None


def _contents(parts: tuple[Any, ...]) -> Iterator[bytes]:
    import ray

    for part in parts:
        yield ray.get(part)
