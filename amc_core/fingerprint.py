"""The identity of a file: the digest of its content, wherever it lies and whatever its name is.

A file is digested in full. The digest of a large file is kept on the machine, outside of any store, under the file's
device, inode, size and times, so that later commands need not read the file again.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path, PurePath
from types import MappingProxyType

from amc_core.errors import AmcError, printable
from amc_core.pieces import ARCHIVE, DATA, META, Piece, pieces_at

BUCKET = "s3://"  # begins the address of a file in a bucket

_BLOCK = 1 << 20  # bytes read at a time
_KEPT_BYTES = 1 << 20  # files of at least this size have their digest kept
_PROGRESS_BYTES = 1 << 30  # of files whose reading is shown on a terminal
_TICK = 0.1  # s, the coarsest step of a file system's clock that is trusted to tell two writes apart

_UNREAD = "path "  # begins the substitute for the digest of a file that cannot be read

_planned: ContextVar[Mapping[str, str]] = ContextVar("planned", default=MappingProxyType({}))
_known: dict[tuple[int, ...], str] = {}  # state of a file and the piece of it → digest, in this process


class DigestedPath(str):
    """The path of a file that a scenario names; two are equal if their content is.

    content: 24 hex digits of the planned content, by default of the file's content at the first use. It travels with
    the path to other processes and into records, where the file itself may be missing. digest: 24 hex digits that
    identify the file: those of its content, unless a subclass adds more.
    """

    __slots__ = ("_digest",)

    def __new__(cls, path: str, digest: str = "") -> DigestedPath:
        if isinstance(path, DigestedPath) and digest in ("", path._digest):
            return path  # so that a digest, once known, is known to all who have the path
        self = super().__new__(cls, path)
        self._digest = digest
        return self

    @property
    def content(self) -> str:
        """The digest of the planned content. Raises AmcError if it is not known and the file cannot be read."""
        if not self._digest:
            self._digest = _planned.get().get(str(self)) or content_digest(self)
        return self._digest

    @property
    def digest(self) -> str:
        return self.content

    @property
    def label(self) -> str:
        """The file in tables: its name, the same for both files of a SigMF recording, and the start of its digest.

        If the content is not known, it is the name alone.
        """
        name = printable(PurePath(self).name)
        name = name.removesuffix(META) + ARCHIVE if name.endswith(META) else name
        name = name.removesuffix(DATA) + ARCHIVE if name.endswith(DATA) else name
        identity = self._identity()
        return name if identity.startswith(_UNREAD) else f"{name} {identity[:6]}"

    def require_planned(self) -> None:
        """Raise AmcError unless the file still has the planned content."""
        planned = self.content
        if content_digest(self) != planned:
            raise AmcError(f"{str(self)!r} has changed since it was planned: run the same command again to plan anew")

    def as_dict(self) -> dict[str, str]:
        """Plain values from which a scenario makes the same path again, and that JSON can hold."""
        return {"path": str(self), "content": self.content}

    def elsewhere(self, path: str) -> DigestedPath:
        """The same file at another path."""
        return DigestedPath(path, self.content)

    def _identity(self) -> str:
        try:
            return self.digest
        except AmcError:
            return f"{_UNREAD}{self!s}"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, DigestedPath):
            return self._identity() == other._identity()
        return str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self._identity())

    def __reduce__(self):
        return DigestedPath, (str(self), self.content)


@contextmanager
def planned(digests: Mapping[str, str]) -> Iterator[None]:
    """In this context, paths without a known digest take it from `digests`, path → digest, and read no file."""
    before = _planned.set(digests)
    try:
        yield
    finally:
        _planned.reset(before)


def fingerprint(path: str) -> str:
    """24 hex digits that identify the content of a path: those that a `DigestedPath` carries, else `content_digest`."""
    return path.digest if isinstance(path, DigestedPath) else content_digest(path)


def content_digest(path: str) -> str:
    """24 hex digits of all content that is read under a path, whatever the names are.

    path: of a file, of either file of a SigMF recording, or of a directory of SigMF recordings, in any order of their
    names; s3://… of a file in a bucket, which is fetched. Raises AmcError if it cannot be read, or changes while it is
    read.
    """
    if str(path).startswith(BUCKET):
        from amc_core.copies import fetched

        path = fetched(path)
    digests = sorted(_recording_digest(pieces) for pieces in pieces_at(Path(str(path))))
    if not digests:
        raise AmcError(
            f"{str(path)!r} is a directory without .sigmf-meta or .sigmf files; only SigMF recordings are read from "
            "a directory: join other files into one, and say in label which samples have which modulation"
        )
    return _combined(digests)


def recordings_at(path: Path) -> list[tuple[Piece, ...]]:
    """`pieces_at`, in the order of their digests, so that names do not matter."""
    recordings = pieces_at(path)
    return sorted(recordings, key=_recording_digest) if len(recordings) > 1 else recordings


def _recording_digest(pieces: tuple[Piece, ...]) -> str:
    return _combined([piece_digest(piece) for piece in pieces])


def _combined(digests: list[str]) -> str:
    """The digest of several contents in their order; for one content, its own digest."""
    if len(digests) == 1:
        return digests[0]
    return hashlib.blake2b(" ".join(digests).encode(), digest_size=12).hexdigest()


def piece_digest(piece: Piece) -> str:
    """24 hex digits of the bytes of a piece. Raises AmcError if it cannot be read, or changes while it is read."""
    try:
        with open(piece.path, "rb", buffering=0) as file:
            began, state = time.time(), _state(file.fileno())
            key = (*state, piece.offset, piece.size)
            digest = _known.get(key) or (_recalled(key) if piece.size >= _KEPT_BYTES else None)
            if not digest:
                digest = read_digest(file, piece)
                if _state(file.fileno()) != state:
                    raise AmcError(f"{piece.name!r} changes while it is read: run again when it is complete")
                if began - state[-1] / 1e9 < _TICK:  # another write may show the same time of change
                    return digest
                if piece.size >= _KEPT_BYTES:
                    keep(digest.encode(), *key)
    except OSError as error:
        raise AmcError(f"{piece.name!r} cannot be read: {error.strerror or error}") from None
    if len(_known) > 1 << 16:
        _known.clear()
    _known[key] = digest
    return digest


def _recalled(key: tuple[int, ...]) -> str | None:
    digest = (recall(*key) or b"").decode("ascii", "replace")
    return digest if len(digest) == 24 else None


def read_digest(file, piece: Piece) -> str:
    """The digest of a piece of an open file; on a terminal, the progress of a large piece is shown."""
    digest, block = hashlib.blake2b(digest_size=12), memoryview(bytearray(_BLOCK))
    left, progress = piece.size, piece.size > _PROGRESS_BYTES and bool(sys.stderr and sys.stderr.isatty())
    file.seek(piece.offset)
    while left:
        count = file.readinto(block[: min(left, _BLOCK)])
        if not count:
            raise AmcError(f"{piece.name!r} became shorter while it was read: run again when it is complete")
        digest.update(block[:count])
        left -= count
        if progress and (left >> 20) % 64 == 0:
            share = f"{(piece.size - left) / 1e9:.1f} of {piece.size / 1e9:.1f} GB"
            with suppress(OSError):  # a terminal that is gone does not end the command
                print(f"\rreading {piece.path.name}: {share}", end="" if left else "\n", file=sys.stderr, flush=True)
    return digest.hexdigest()


def _state(descriptor: int) -> tuple[int, int, int, int, int]:
    """The values that change if a file is written to: device, inode, size, and both times in ns."""
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


# -- what is kept of files on this machine -------------------------------------------------------------


def recall(*what: object) -> bytes | None:
    """What an earlier process has kept under these values, None if there is nothing."""
    folder = known_folder()
    try:
        return (folder / _name(what)).read_bytes() if folder else None
    except OSError:
        return None


def keep(content: bytes, *what: object) -> None:
    """Keep bytes under these values for later processes of this user on this machine, if they can be written."""
    folder = known_folder()
    if folder is None:
        return
    partial = folder / f".{uuid.uuid4().hex}"
    with suppress(OSError):  # a full disk costs the next command time, and this one nothing
        try:
            partial.write_bytes(content)
            os.replace(partial, folder / _name(what))
        finally:
            partial.unlink(missing_ok=True)


def _name(what: tuple[object, ...]) -> str:
    return hashlib.blake2b(repr(what).encode(), digest_size=16).hexdigest()


def known_folder() -> Path | None:
    """The folder for `keep`: in the user's cache directory, or in the temporary one if that cannot be written."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    choices = [Path(cache)] if os.path.isabs(cache) else []
    with suppress(RuntimeError):  # a user without a home
        choices.append(Path.home() / ".cache")
    choices = [choice / "amc-sweeps" for choice in choices]
    choices.append(Path(tempfile.gettempdir()) / f"amc-sweeps-{os.getuid()}")
    for folder in choices:
        with suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = folder.lstat()
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and os.access(folder, os.W_OK | os.X_OK):
                return folder
    return None
