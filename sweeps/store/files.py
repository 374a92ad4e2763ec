"""The backends of a store: a directory, or a bucket with the S3 interface. Both have the same operations.

stats(folder)        file name → (time of writing in seconds since 1970, size in bytes), for all files below a folder
list(folder)         file name → time of writing
read(name, last)     the bytes of a file, or only its last ones; raises FileNotFoundError if there is none
for_arrow(names)     Arrow's file system, and the paths of these files there
write(name, bytes)   writes a file as a whole: no reader ever sees a part; durable=False: a power cut may undo it
write_last(files)    writes several of one folder, name → bytes; the last never exists without the others
delete(name)         deletes a file if it exists
move(name, to)       renames a file
remove(folder)       deletes a folder and its files in one step; in a bucket, its file `first` goes first
require_writable()   raises AmcError if writing fails; deletes what killed processes have left
scratch()            a context with a temporary folder: its path and Arrow file system, None for the local one

Names are relative and have "/" between their parts. Any other failure raises AmcError.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path

import psutil
import pyarrow.fs

from amc_core.bucket import bucket_files
from amc_core.errors import AmcError
from amc_core.paths import expanded
from sweeps.store.complaints import warn_once
from sweeps.store.durable import make, sync, write_through

_SCRATCH = ".scratch-"  # prefix of temporary folders; a unique name follows
_TRASH = ".trash-"  # prefix of folders that are being deleted, likewise
_RUN = re.compile(r"[0-9a-f]{24}")  # the name of a run's folder
_DAY = 86400  # seconds; a temporary file or folder unchanged for longer counts as abandoned
_FULL = {errno.ENOSPC, errno.EDQUOT}
_HOST = re.sub(r"[^\w-]", "_", socket.gethostname())
_BUCKET_ERRORS = {  # pattern in the text of Arrow's exceptions → the reason and the remedy
    "NO_SUCH_BUCKET|Bucket .* not found": "there is no such bucket: create it, or name another with --store",
    "ACCESS_DENIED|INVALID_ACCESS_KEY_ID|SIGNATURE_DOES_NOT_MATCH|INVALID_CLIENT_TOKEN|HTTP status 403": (
        "access is denied: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of a user who may read and write there"
    ),
    "NETWORK_CONNECTION|REQUEST_TIMEOUT|curlCode": (
        "{endpoint} cannot be reached: check AWS_ENDPOINT_URL and the network"
    ),
    "StorageFull|QuotaExceeded|HTTP status 507": "it is full: free some space and run the same command again",
}


def open_files(location: str | Path) -> Directory | Bucket:
    """The backend for a directory's path, or for "s3://bucket/prefix"; nothing is created or read yet."""
    address = re.match(r"([a-z][a-z0-9+.]*):/+", str(location))  # a Path turns two slashes into one
    if not str(location):
        raise AmcError("store '' is not allowed: name a directory, or s3://bucket/prefix")
    if address is None:
        return Directory(expanded(location))
    bucket, _, prefix = str(location)[address.end() :].strip("/").partition("/")
    if address[1] != "s3" or not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket):
        raise AmcError(f"store {str(location)!r} is not allowed: name a directory, or s3://bucket/prefix")
    return Bucket(bucket, prefix)


class Directory:
    """Files below a directory, which is created on the first write."""

    threads = 4  # for reading many files; they help above all over a network
    far = False  # most directories are on this machine

    def __init__(self, path: Path):
        self.path = path.absolute()  # trials have working directories of their own
        self._lasting: set[Path] = set()  # folders whose names this process has made durable
        with self._explained("read"):
            mode = _mode(self.path)
            if mode and not stat.S_ISDIR(mode):
                raise AmcError(f"store {str(path)!r} is a file: name a directory with --store")
            if mode is None and self.path.is_symlink():
                target = os.readlink(self.path)
                raise AmcError(
                    f"store {str(path)!r} is a link to {target!r}, which does not exist: make that directory, or name "
                    "another with --store"
                )

    def list(self, folder: str) -> dict[str, float]:
        return {name: written for name, (written, _) in self.stats(folder).items()}

    def stats(self, folder: str) -> dict[str, tuple[float, int]]:
        files: dict[str, tuple[float, int]] = {}
        with self._explained("read"):
            self._list(f"{self.path}/{folder}", folder, files)
        return files

    def _list(self, directory: str, prefix: str, files: dict[str, tuple[float, int]]) -> None:
        with suppress(FileNotFoundError), os.scandir(directory) as entries:
            for entry in entries:
                of_run, kind = prefix.startswith("runs/"), _kind(entry, follow="/" not in prefix)
                foreign = prefix == "runs" and not _RUN.fullmatch(entry.name)  # or a link that leads in a circle
                if kind == "directory" and not of_run and not foreign:
                    self._list(entry.path, f"{prefix}/{entry.name}", files)
                elif kind == "file" and not entry.name.startswith("."):
                    with suppress(FileNotFoundError):  # another process has deleted it
                        status = entry.stat()
                        files[f"{prefix}/{entry.name}"] = status.st_mtime, status.st_size
                elif prefix.startswith("runs") and not entry.name.startswith(".") and os.path.lexists(entry.path):
                    warn_once(f"{entry.path} is not a readable file: it is ignored")

    def read(self, name: str, last: int | None = None) -> bytes:
        with self._explained("read"), open(f"{self.path}/{name}", "rb", buffering=0, opener=_open_file) as file:
            size = os.fstat(file.fileno()).st_size
            if last is not None and last < size:
                file.seek(size - last)
            return file.readall()

    def write(self, name: str, content: bytes, durable: bool = True) -> None:
        self._write({name: content}, durable)

    def write_last(self, contents: dict[str, bytes]) -> None:
        self._write(contents, durable=True)

    def _write(self, contents: dict[str, bytes], durable: bool) -> None:
        paths = [self.path / name for name in contents]
        folder = paths[-1].parent
        temporaries = [folder / f".{_HOST}.{os.getpid()}.{uuid.uuid4().hex}" for _ in paths]
        with self._explained("written", absent_is_error=True):
            self._make(folder)
            lasts = not durable or folder in self._lasting  # then those around it last as well
            new = [] if lasts else [each for each in self._inside(folder) if each not in self._lasting]
            try:
                written = dict(zip(temporaries, contents.values(), strict=True))
                write_through(written, durable, [each.parent for each in new])
                self._lasting.update(new)
                for temporary, path in zip(temporaries[:-1], paths[:-1], strict=True):
                    self._replace(temporary, path)
                if len(paths) > 1:
                    sync(folder)
                self._replace(temporaries[-1], paths[-1])
            except BaseException:
                for temporary in temporaries:
                    temporary.unlink(missing_ok=True)
                raise
            if durable:
                sync(folder)

    def _inside(self, folder: Path) -> Iterator[Path]:
        """A folder and those around it in the store, without the store itself."""
        return takewhile(lambda each: each != self.path, (folder, *folder.parents))

    def _make(self, folder: Path) -> Path:
        """Make a folder; its name survives a power cut once something durable has been written in it."""
        if os.path.isdir(folder):
            return folder
        if not self.path.is_dir():
            make(self.path)
        for each in reversed([each for each in self._inside(folder) if not each.is_dir()]):
            each.mkdir(exist_ok=True)
            self._lasting.discard(each)
        return folder

    def _replace(self, temporary: Path, path: Path) -> None:
        try:
            os.replace(temporary, path)
        except IsADirectoryError:  # a user has put one there
            os.replace(path, self._make(self.path / "damaged") / f"{uuid.uuid4().hex}-{path.name}")
            os.replace(temporary, path)

    def for_arrow(self, names: list[str]) -> tuple[pyarrow.fs.FileSystem, list[str]]:
        return pyarrow.fs.LocalFileSystem(), [f"{self.path}/{name}" for name in names]

    def delete(self, name: str) -> None:
        with self._explained("written"):
            (self.path / name).unlink(missing_ok=True)

    def move(self, name: str, to: str) -> None:
        with self._explained("written"):
            self._make((self.path / to).parent)
            os.replace(self.path / name, self.path / to)

    def remove(self, folder: str, first: str = "") -> None:
        trash = self.path / f"{_TRASH}{uuid.uuid4().hex}"
        with self._explained("written"), suppress(FileNotFoundError):
            os.rename(self.path / folder, trash)
            sync((self.path / folder).parent)
        self.empty_trash()

    def empty_trash(self) -> None:
        """Delete removed folders, including those of processes that were killed while they deleted them."""
        for trash in self.path.glob(f"{_TRASH}*"):
            if trash.is_symlink():  # the folder of a run may be a link, whose target is not ours to delete
                trash.unlink(missing_ok=True)
            else:
                shutil.rmtree(trash, ignore_errors=True)

    def require_writable(self) -> None:
        folder = next(path for path in (self.path, *self.path.parents) if path.exists())
        probe = folder / f".{_HOST}.{os.getpid()}.{uuid.uuid4().hex}"
        with self._explained("written", absent_is_error=True):
            try:
                write_through({probe: bytes(4096)})
            finally:
                with suppress(OSError):
                    probe.unlink(missing_ok=True)
            for left in (*self.path.glob(".*.*.*"), *(self.path / "runs").rglob(".*.*.*")):
                if _abandoned(left):
                    left.unlink(missing_ok=True)
            self.empty_trash()
            for left in self.path.glob(f"{_SCRATCH}*"):
                with suppress(FileNotFoundError):  # its driver has just ended
                    if _is_old(self.list(left.name), left.stat().st_mtime):
                        shutil.rmtree(left, ignore_errors=True)

    @contextmanager
    def scratch(self) -> Iterator[tuple[str, None]]:
        folder = self.path / f"{_SCRATCH}{uuid.uuid4().hex}"
        with self._explained("written", absent_is_error=True):
            self._make(folder)
        try:
            yield str(folder), None
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _explained(self, what: str, absent_is_error: bool = False):
        """Turn an OSError into an AmcError; a FileNotFoundError is passed on unless `absent_is_error`."""
        try:
            yield
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not absent_is_error:
                raise
            store = f"store {str(self.path)!r}"
            if error.errno in _FULL:
                reason = f"{store} is full: {error.strerror}; free some space and run the same command again"
            else:
                reason = f"{store} cannot be {what}: {error.strerror}; name another directory with --store"
            raise AmcError(reason) from None


class Bucket:
    """Objects below a prefix of a bucket; a put is atomic.

    Endpoint (AWS_ENDPOINT_URL, for vendors other than Amazon), region and credentials come from the usual AWS
    environment variables and files. A pickle holds the endpoint but no credentials.
    """

    threads = 16  # requests at the same time
    far = True

    def __init__(self, bucket: str, prefix: str):
        self.bucket = bucket
        self.root = f"{bucket}/{prefix}".rstrip("/")  # as Arrow names it
        self.path = f"s3://{self.root}"
        self.endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None

    def list(self, folder: str) -> dict[str, float]:
        return {name: written for name, (written, _) in self.stats(folder).items()}

    def stats(self, folder: str) -> dict[str, tuple[float, int]]:
        below = pyarrow.fs.FileSelector(f"{self.root}/{folder}", recursive=True, allow_not_found=True)
        with self._explained():
            files = self._filesystem(patient=False)
            infos = files.get_file_info(below)
            if not infos and files.get_file_info(self.bucket).type == pyarrow.fs.FileType.NotFound:
                raise OSError("NO_SUCH_BUCKET")
        start = len(self.root) + 1
        files = [info for info in infos if info.type == pyarrow.fs.FileType.File]
        return {info.path[start:]: (info.mtime_ns / 1e9, info.size) for info in files}

    def read(self, name: str, last: int | None = None) -> bytes:
        with self._explained(), self._filesystem().open_input_file(f"{self.root}/{name}") as file:
            if last is not None and last < file.size():
                file.seek(file.size() - last)
            return file.read()

    def write(self, name: str, content: bytes, durable: bool = True) -> None:
        with self._explained(), self._filesystem().open_output_stream(f"{self.root}/{name}") as file:
            file.write(content)

    def write_last(self, contents: dict[str, bytes]) -> None:
        for name, content in contents.items():
            self.write(name, content)

    def for_arrow(self, names: list[str]) -> tuple[pyarrow.fs.FileSystem, list[str]]:
        return self._filesystem(), [f"{self.root}/{name}" for name in names]

    def delete(self, name: str) -> None:
        with self._explained(), suppress(FileNotFoundError):
            self._filesystem().delete_file(f"{self.root}/{name}")

    def move(self, name: str, to: str) -> None:
        with self._explained():
            self._filesystem().move(f"{self.root}/{name}", f"{self.root}/{to}")

    def remove(self, folder: str, first: str = "") -> None:
        for name in sorted(self.list(folder), key=lambda name: name != f"{folder}/{first}"):
            self.delete(name)

    def require_writable(self) -> None:
        probe = f"{self.root}/.{uuid.uuid4().hex}"
        with self._explained():
            files = self._filesystem(patient=False)
            with files.open_output_stream(probe) as file:
                file.write(b"probe")  # an empty object would count as a folder
            files.delete_file(probe)
            for left in files.get_file_info(pyarrow.fs.FileSelector(self.root, allow_not_found=True)):
                if left.base_name.startswith(_SCRATCH) and _is_old(self.list(left.base_name)):
                    with suppress(FileNotFoundError):
                        files.delete_dir(left.path)

    @contextmanager
    def scratch(self) -> Iterator[tuple[str, pyarrow.fs.FileSystem]]:
        path = f"{self.root}/{_SCRATCH}{uuid.uuid4().hex}"
        try:
            yield path, self._filesystem()
        finally:
            with suppress(OSError):
                self._filesystem().delete_dir(path)

    def _filesystem(self, patient: bool = True) -> pyarrow.fs.S3FileSystem:
        return bucket_files(self.bucket, self.endpoint, attempts=8 if patient else 3)

    @contextmanager
    def _explained(self):
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            text = str(error)
            if re.search("NO_SUCH_KEY|RESOURCE_NOT_FOUND", text):  # deleted between two requests
                raise FileNotFoundError(text) from None
            reasons = (reason for pattern, reason in _BUCKET_ERRORS.items() if re.search(pattern, text))
            reason = next(reasons, " ".join(text.split())).replace("{endpoint}", self.endpoint or "Amazon S3")
            raise AmcError(f"store {self.path!r}: {reason}") from None


def _mode(path: Path) -> int | None:
    """A path's file type and permissions, of one moment; None if nothing is there, or a link that leads nowhere."""
    try:
        return path.stat().st_mode
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return None
        raise


def _kind(entry: os.DirEntry, follow: bool) -> str:
    """ "file", "directory" or "other": a pipe or socket, which could block a reader, or a broken link.

    follow: may a directory be a link? Below the folder of a run, links might form a circle.
    """
    try:
        return "directory" if entry.is_dir(follow_symlinks=follow) else "file" if entry.is_file() else "other"
    except OSError:
        return "other"


def _open_file(path: str, flags: int) -> int:
    """Open a regular file. Anything else, for example a pipe, raises FileNotFoundError and never blocks."""
    try:
        descriptor = os.open(path, flags | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link that leads to itself, a socket
            raise FileNotFoundError(errno.ENOENT, "No such file", path) from None
        raise
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise FileNotFoundError(errno.ENOENT, "No such file", path)


def _abandoned(temporary: Path) -> bool:
    """Has the process that was writing this file ended? A file of another machine counts as such after a day."""
    owner = re.fullmatch(r"\.(?P<host>[\w-]+)\.(?P<process>\d+)\.[0-9a-f]{32}", temporary.name)
    try:
        age = time.time() - temporary.stat().st_mtime
    except FileNotFoundError:
        return False
    if owner is None or age < 60:  # containers may share a name and not their processes
        return False
    ended = owner["host"] == _HOST and not psutil.pid_exists(int(owner["process"]))
    return ended or age > _DAY


def _is_old(files: dict[str, float], made: float = 0.0) -> bool:
    """Has nothing been written in a folder for a day? files: its listing. made: when the folder was created."""
    return time.time() - max([made, *files.values()]) > _DAY
