"""Which bytes of which files are read for a path: for SigMF both metadata and samples, whichever of them is named.

Imports nothing heavy, so that studies can be planned without a reader of any format.
"""

from __future__ import annotations

import os
import stat
import tarfile
from dataclasses import dataclass
from pathlib import Path

from amc_core.errors import AmcError

META, DATA, ARCHIVE = ".sigmf-meta", ".sigmf-data", ".sigmf"


@dataclass(frozen=True)
class Piece:
    """A whole file, or a member of an archive.

    offset: of its first byte. size: in bytes. name: in messages.
    """

    path: Path
    offset: int
    size: int
    name: str


def pieces_at(path: Path) -> list[tuple[Piece, ...]]:
    """The recordings that are read for a path, in the order of their names.

    Each is (metadata, samples) of SigMF, or one whole file. path: a file, or a directory of SigMF recordings, in which
    other files and hidden ones are ignored. Raises AmcError for what cannot be read.
    """
    try:
        if path.is_dir():
            files = sorted(file for file in path.iterdir() if file.name.endswith((META, ARCHIVE)))
            files = [file for file in files if not file.name.startswith(".")]  # macOS adds a ._x for each x
            return [pieces for file in files for pieces in _of_file(file)]
        return _of_file(path)
    except OSError as error:
        name = error.filename or path
        raise AmcError(f"{str(name)!r} cannot be read: {error.strerror or error}") from None


def _of_file(path: Path) -> list[tuple[Piece, ...]]:
    if path.name.endswith((META, DATA)):
        stem = path.name.removesuffix(META).removesuffix(DATA)
        return [(_whole(path.with_name(stem + META)), _whole(path.with_name(stem + DATA)))]
    if path.name.endswith(ARCHIVE) and _is_tar(path):
        return _members(path)
    return [(_whole(path),)]


def _whole(path: Path) -> Piece:
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise AmcError(f"{str(path)!r} is neither a file nor a directory")
    return Piece(path, 0, status.st_size, str(path))


def _is_tar(path: Path) -> bool:
    _whole(path)  # refuses a pipe, which would block
    with open(path, "rb") as file:
        return file.read(512)[257:262] == b"ustar"


def _members(path: Path) -> list[tuple[Piece, ...]]:
    """The recordings in a SigMF archive, an uncompressed tar file, in the order of their names."""
    members: dict[str, Piece] = {}
    try:
        size = path.stat().st_size
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                if not member.isreg() or not member.name.endswith((META, DATA)):
                    continue
                piece = Piece(path, member.offset_data, member.size, f"{path}: {member.name}")
                if member.issparse() or piece.offset + piece.size > size or member.name in members:
                    raise AmcError(f"{piece.name} is cut short, sparse or duplicated; allowed is a whole archive")
                members[member.name] = piece
    except tarfile.TarError as error:
        raise AmcError(f"{path}: the archive is damaged ({error}); allowed is a whole SigMF archive") from None
    stems = sorted({name.removesuffix(META).removesuffix(DATA) for name in members})
    for stem in stems:
        for suffix in (META, DATA):
            if stem + suffix not in members:
                raise AmcError(f"{path}: {stem + suffix} is missing; allowed is an archive of whole SigMF recordings")
    if not stems:
        raise AmcError(f"{path}: the archive has no .sigmf-meta file; allowed is a SigMF archive")
    return [(members[stem + META], members[stem + DATA]) for stem in stems]
