"""The store: durable results in a directory or a bucket, shared by all studies.

<store>/runs/<run key>/…                  the files of a run: see `run_folder`
<store>/damaged/<run key>/<time>-<name>   damaged or outdated files that were set aside
<store>/removed/<run key>.json            the record of a removed run, for runs that started from it
"""

from __future__ import annotations

import resource
import time
from collections import Counter, deque
from collections.abc import Callable, Container, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from sweeps.store import healing, timing
from sweeps.store.cells import CELL_SCHEMA
from sweeps.store.complaints import Damaged, warn_once
from sweeps.store.files import open_files
from sweeps.store.listing import Listing
from sweeps.store.record import RunRecord
from sweeps.store.run_folder import RunFolder

if TYPE_CHECKING:
    import pyarrow.dataset
    from pyarrow.fs import FileSystem


_TRIED, _PROMPT_SECONDS = 16, 1e-3  # items that show whether files are slow; the time that each may take


class Store:
    """Runs and cells in a directory or a bucket. A store that does not exist reads as an empty one."""

    def __init__(self, path: str | Path):
        self.files = open_files(path)
        self.path: Path | str = self.files.path  # what --store takes: an absolute path, or s3://bucket/prefix

    def run(self, key: str) -> RunFolder:
        """The folder of one run, which may be empty."""
        return RunFolder(self.files, key)

    # -- what is there ---------------------------------------------------------------------------------

    def listing(self, keys: Iterable[str] | None = None) -> Listing:
        """A listing of the store's files now, of all runs or of those with these keys."""
        folders = ["runs"] if keys is None else [f"runs/{key}" for key in keys]
        listings = self.map(self.files.list, folders, small=True)
        return Listing(self, {file: written for files in listings for file, written in files.items()})

    def records(self, keys: Iterable[str] | None = None) -> dict[str, RunRecord]:
        """Run key → record, of the runs that are finished and count; see `Listing.records`."""
        keys = None if keys is None else list(keys)
        return self.listing(keys).records(keys)

    def trained(self) -> set[str]:
        """Keys of the runs that are finished and count."""
        return self.listing().trained()

    def training(self) -> set[str]:
        """Keys of the runs that have a checkpoint and are not finished."""
        return self.listing().training()

    def failures(self) -> dict[str, dict[str, str]]:
        """Run key → when and why it last failed, for runs that have not been completed since."""
        return self.listing().failures()

    def speeds(self) -> dict[tuple[str, str], tuple[float, float]]:
        """As `timing.speeds`."""
        return timing.speeds(self)

    def gpu_shares(self) -> dict[str, list[tuple[tuple[int, int], float]]]:
        """As `timing.gpu_shares`."""
        return timing.gpu_shares(self)

    def sizes(self) -> dict[str, int]:
        """Run key → bytes of all files in its folder."""
        sizes = Counter()
        for file, (_, size) in self.files.stats("runs").items():
            sizes[file.split("/")[1]] += size
        return dict(sizes)

    # -- tables of many runs ---------------------------------------------------------------------------

    def epoch_tables(self, keys: Iterable[str]) -> Iterator[tuple[str, pa.Table]]:
        """(run key, table with a row per epoch) of finished runs; damaged files are reported and left out."""
        keys = list(keys)
        for key, tables in zip(keys, self.map(lambda key: _sound(self.run(key).epochs), keys), strict=True):
            yield from ((key, table) for table in tables)

    def cell_tables(self, keys: Iterable[str], columns: list[str] | None = None) -> Iterator[pa.Table]:
        """The cells of runs, a table per file; damaged files are reported and left out.

        A cell that two launches computed at once comes twice.
        """

        def read(key: str) -> list[list[pa.Table]]:
            folder = self.run(key)
            return folder.each_cell_file(lambda name: _sound(lambda: folder.cell_table(name, columns)))

        for files in self.map(read, keys):
            for tables in files:
                yield from tables

    def damaged_cells(self, keys: Iterable[str]) -> set[str]:
        """The names of damaged cells files, each reported; all cells files of the runs are read."""

        def damaged(key: str) -> list[str]:
            folder = self.run(key)
            return [
                f"runs/{key}/{name}" for name in folder.names("cells") if not _sound(partial(folder.cell_table, name))
            ]

        return {name for names in self.map(damaged, keys) for name in names}

    def cell_dataset(self, keys: Iterable[str], without: Container[str] = ()) -> pyarrow.dataset.Dataset:
        """The cells of runs as one dataset; a query reads only the parts that it needs and checks no digests.

        without: names of files that are left out.
        """
        import pyarrow.dataset  # a slow import

        def sound(key: str) -> list[str]:
            folder = self.run(key)
            return [f"runs/{key}/{name}" for name in folder.names("cells") if _sound(partial(folder.footer, name))]

        names = [name for names in self.map(sound, keys) for name in names if name not in without]
        filesystem, paths = self.files.for_arrow(names)
        return pyarrow.dataset.dataset(paths, schema=CELL_SCHEMA, format="parquet", filesystem=filesystem)

    # -- keeping it sound ------------------------------------------------------------------------------

    def verify(self, keys: Iterable[str]) -> list[str]:
        """As `healing.verify`."""
        return healing.verify(self, keys)

    def require_writable(self) -> None:
        """Raise AmcError if the store cannot be written. Leaves no files, and deletes those of killed processes."""
        self.files.require_writable()

    def scratch(self) -> AbstractContextManager[tuple[str, FileSystem | None]]:
        """A context with a temporary folder in the store: its path and file system.

        These are Tune's storage_path and storage_filesystem.
        """
        return self.files.scratch()

    def map(self, function: Callable, items: Iterable, small: bool = False) -> Iterator:
        """function(item) for each item, in order, in several threads.

        small: each call reads little and mostly computes, which Python does in one thread at a time. Then a loop is
        quicker, unless the files are on another machine.
        """
        items, waiting = iter(items), deque()
        if small and not self.files.far:
            yield from _while_prompt(function, items)
        with ThreadPoolExecutor(self.files.threads) as pool:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > 2 * self.files.threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()


def _while_prompt(function: Callable, items: Iterator) -> Iterator:
    """function(item) for each item, until files turn out to be slow, as those of another machine are.

    Calls may also be slow since the processor is busy; then the thread does not wait of its own accord.
    """
    seconds = sleeps = 0
    for count, item in enumerate(items, 1):
        began, slept = time.perf_counter(), _sleeps()
        value = function(item)
        seconds, sleeps = seconds + time.perf_counter() - began, sleeps + _sleeps() - slept
        yield value
        if count >= _TRIED and sleeps >= count and seconds > _PROMPT_SECONDS * count:
            return


def _sleeps() -> int:
    """How often this thread has waited so far (voluntary context switches); on macOS, how often this process has."""
    return resource.getrusage(getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)).ru_nvcsw


def _sound(read: Callable) -> list:
    """[read()]; if that is damaged, it is reported and the result is []."""
    try:
        return [read()]
    except Damaged as error:
        warn_once(str(error))
        return []
