"""The store: durable results in a directory or a bucket, shared by all studies.

<store>/runs/<run key>/…                  what it holds of a run: see `run_folder`
<store>/damaged/<run key>/<time>-<name>   what was found torn, altered or outdated, set aside
<store>/removed/<run key>.json            the record of a run that was removed, for those that started from it
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
from sweeps.store.complaints import Damaged, tell
from sweeps.store.files import open_files
from sweeps.store.listing import Listing
from sweeps.store.record import RunRecord
from sweeps.store.run_folder import RunFolder

if TYPE_CHECKING:
    import pyarrow.dataset
    from pyarrow.fs import FileSystem


_TRIED, _PROMPT_SECONDS = 16, 1e-3  # items that tell whether files are waited for; what each may take


class Store:
    """Runs and cells in a directory or a bucket. Reading a store that does not exist finds nothing in it."""

    def __init__(self, path: str | Path):
        self.files = open_files(path)
        self.path: Path | str = self.files.path  # what --store takes: an absolute path, or s3://bucket/prefix

    def run(self, key: str) -> RunFolder:
        """What the store holds of one run, which may be nothing."""
        return RunFolder(self.files, key)

    # -- what is there ---------------------------------------------------------------------------------

    def listing(self, keys: Iterable[str] | None = None) -> Listing:
        """What the store holds now, or what it holds of some runs, by one listing of its files."""
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
        """Run key → when and why it last failed, of the runs that have not been completed since."""
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
        """Run key and row per epoch of finished runs; what is damaged is reported and left out."""
        keys = list(keys)
        for key, tables in zip(keys, self.map(lambda key: _sound(self.run(key).epochs), keys), strict=True):
            yield from ((key, table) for table in tables)

    def cell_tables(self, keys: Iterable[str], columns: list[str] | None = None) -> Iterator[pa.Table]:
        """The cells of runs, a table per file; what is damaged is reported and left out.

        A cell that two launches computed at once comes twice.
        """

        def read(key: str) -> list[list[pa.Table]]:
            folder = self.run(key)
            return folder.each_cell_file(lambda name: _sound(lambda: folder.cell_table(name, columns)))

        for files in self.map(read, keys):
            for tables in files:
                yield from tables

    def damaged_cells(self, keys: Iterable[str]) -> set[str]:
        """The files of cells that are not what was written, each reported; all files of the runs are read."""

        def damaged(key: str) -> list[str]:
            folder = self.run(key)
            return [
                f"runs/{key}/{name}" for name in folder.names("cells") if not _sound(partial(folder.cell_table, name))
            ]

        return {name for names in self.map(damaged, keys) for name in names}

    def cell_dataset(self, keys: Iterable[str], without: Container[str] = ()) -> pyarrow.dataset.Dataset:
        """The cells of runs as one dataset, of which a query reads what it asks for, digests unseen.

        without: files that are passed over.
        """
        import pyarrow.dataset  # takes as long as much of what needs no dataset

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
        """Raise AmcError if results could not be written. Leaves no trace, and removes those of killed processes."""
        self.files.require_writable()

    def scratch(self) -> AbstractContextManager[tuple[str, FileSystem | None]]:
        """A folder that all who see the store see, gone after the context: its path, and the file system that is in.

        These are what Tune calls storage_path and storage_filesystem.
        """
        return self.files.scratch()

    def map(self, function: Callable, items: Iterable, small: bool = False) -> Iterator:
        """function of each item, in order; as many at once as the files gain from.

        small: each reads little and then computes, which Python has one thread do at a time. Then one after another is
        quicker, unless the files are far away.
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
    """function of each item, until files turn out to be waited for, as those of another machine are.

    A busy processor makes one wait as well; that the thread gives it up by itself tells the two apart.
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
    """How often this thread has waited for something so far; on macOS, how often this process has."""
    return resource.getrusage(getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)).ru_nvcsw


def _sound(read: Callable) -> list:
    """[read()], or nothing if that is damaged, which is reported."""
    try:
        return [read()]
    except Damaged as error:
        tell(str(error))
        return []
