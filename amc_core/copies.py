"""Copies on this machine of files in a bucket and of files sent to a node, named by a digest of their content.

They lie in the user's cache directory, and may be deleted whenever nothing runs.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath

from amc_core.errors import AmcError
from amc_core.fingerprint import BUCKET, DigestedPath, content_digest, keep, known_folder, recall
from amc_core.pieces import DATA, META

_BLOCK = 1 << 24  # bytes copied at a time


def located(path: DigestedPath) -> DigestedPath:
    """The path of the planned content on this machine: `path` itself or a copy; `path` if neither holds it.

    Raises AmcError for a file in a bucket that cannot be read.
    """
    for candidate in (path, _copy(path.content, PurePath(path).name)):
        if not str(candidate).startswith(BUCKET):
            with suppress(AmcError):
                if content_digest(str(candidate)) == path.content:
                    return path if candidate is path else path.elsewhere(str(candidate))
    return path.elsewhere(fetched(path)) if path.startswith(BUCKET) else path


def fetched(url: str) -> str:
    """The path of a copy of a file in a bucket, which is fetched if there is no copy yet.

    Both files of a SigMF recording are copied. url: s3://bucket/name. Raises AmcError if it cannot be read.
    """
    import pyarrow.fs  # takes a while, and few need it

    from amc_core.bucket import bucket_files

    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    name = PurePath(url).name
    stem = name.removesuffix(META).removesuffix(DATA)
    names = [stem + META, stem + DATA] if stem != name else [name]
    folder = url.removeprefix(BUCKET)[: -len(name)]
    try:
        files = bucket_files(folder.partition("/")[0], endpoint, attempts=3)
        infos = files.get_file_info([folder + each for each in names])
        lacking = next((info.path for info in infos if info.type != pyarrow.fs.FileType.File), None)
        if lacking:
            raise AmcError(f"{url!r} cannot be read: there is no file {BUCKET}{lacking}")
        state = [(info.path, info.size, info.mtime_ns) for info in infos]
        known = (recall("fetched", endpoint, *state) or b"").decode("ascii", "replace")
        if known and _copy(known, name).exists():
            return str(_copy(known, name))
        with _incoming() as incoming:
            for each in names:
                with files.open_input_stream(folder + each) as source, open(incoming / each, "xb") as target:
                    shutil.copyfileobj(source, target, _BLOCK)
            digest = content_digest(str(incoming / name))
            placed = _placed(incoming, digest)
        keep(digest.encode(), "fetched", endpoint, *state)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise AmcError(f"{url!r} cannot be read: {reason:.300}; allowed is s3://bucket/name of a file") from None
    return str(placed / name)


def received(path: DigestedPath, names: list[str], contents: Iterator[Iterator[bytes]]) -> None:
    """Keep a copy of files that another machine sends.

    names: of the files, relative to the path's folder. contents: the bytes of each, in parts. Raises AmcError if the
    copy cannot be written, or if its content is not the planned one.
    """
    try:
        with _incoming() as incoming:
            for name, parts in zip(names, contents, strict=True):
                (incoming / name).parent.mkdir(parents=True, exist_ok=True)
                with open(incoming / name, "xb") as target:
                    for part in parts:
                        target.write(part)
            if content_digest(str(incoming / PurePath(path).name)) != path.content:
                raise AmcError(
                    f"the copy of {str(path)!r} differs from the planned content: run the same command again"
                )
            _placed(incoming, path.content)
    except OSError as error:
        raise AmcError(f"a copy of {str(path)!r} cannot be written: {error.strerror or error}") from None


def _copy(content: str, name: str) -> Path:
    return _folder() / content / name


def _folder() -> Path:
    folder = known_folder()
    if folder is None:
        raise AmcError("no cache directory for copies of recordings is writable: set XDG_CACHE_HOME to one that is")
    return folder / "recordings"


@contextmanager
def _incoming() -> Iterator[Path]:
    """A folder for incoming files, which is removed at the end unless it was renamed."""
    folder = _folder() / f".{uuid.uuid4().hex}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _placed(incoming: Path, content: str) -> Path:
    """Rename a complete folder to its content's digest, unless another process was quicker."""
    target = _folder() / content
    try:
        os.replace(incoming, target)
    except OSError:
        if not target.is_dir():
            raise
    return target
