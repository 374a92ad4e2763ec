"""The counts of a run's cells as Parquet files.

A file's footer repeats the keys of the test datasets of its cells, with the instances that were classified for them
and the seconds that this took. A plan reads only footers, a few per cent of the bytes.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from amc_core.errors import AmcError
from amc_core.run import Dataset, Run
from amc_core.scenario import Scenario, scenario_from
from sweeps.store.record import Process

if TYPE_CHECKING:
    from amc_core.evaluation import Evaluation  # imports torch, which reading tables does not need

CELL_SCHEMA = pa.schema(
    [
        ("run", pa.string()),
        ("cell", pa.string()),
        ("test", pa.string()),  # key of the test dataset: cells of equal keys were evaluated on the same instances
        ("test_scenario", pa.string()),  # JSON of its fields
        ("test_modulations", pa.list_(pa.string())),  # those sent at this SNR; null: those of the training
        ("test_instances", pa.int64()),  # of each of them; null where these are not as many
        ("test_length", pa.int64()),
        ("snr_db", pa.float64()),  # null if it is unknown
        ("n", pa.int64()),  # instances of modulations that were trained; no accuracy counts others
        ("correct", pa.int64()),
        ("confusion", pa.list_(pa.int32())),  # sent × classes, row by row: sent, then recognised
        ("right", pa.binary()),  # a bit an instance of those n, most significant first: by modulation sent, then index
        ("confidence", pa.list_(pa.int32())),  # 3 × 50: right, wrong, never trained × bins of the largest probability
        ("evaluated_at", pa.timestamp("us", "UTC")),
        ("process", pa.string()),  # that evaluated it, see `Process.text`; null in older files
    ]
)
OPTIONAL = ("process",)  # columns that an older file does not have

_FOOTER_BYTES = 32 << 10  # hold a footer with 1,000 keys


@dataclass(frozen=True)
class Footer:
    """The footer of a cells file."""

    tests: frozenset[str]  # keys of the test datasets
    instances: int
    seconds: float


def cell_table(run: Run, evaluated: Sequence[tuple[Dataset, Evaluation]], process: Process | None) -> pa.Table:
    """Rows of CELL_SCHEMA, one per SNR, from test datasets and their evaluations.

    process: that evaluated them. If a recording is tested as a whole, only SNRs and modulations that it has get rows.
    """
    levels = [result.snrs_db or test.snrs_db for test, result in evaluated]
    rows = list(map(len, levels))
    of_row = pa.array(np.repeat(np.arange(len(rows)), rows))  # which cell each row is of
    trained, now = run.dataset.modulations, datetime.now(UTC)

    def repeated(kind: pa.DataType, values: Sequence) -> pa.Array:
        return pa.array(values, kind).take(of_row)

    tests, results = zip(*evaluated, strict=True)
    right = [row.numpy() for result in results for row in result.right]
    sent = [part for test, result in evaluated for part in _sent(test, result, trained)]
    confusion = [row.counts.ravel() for row in sent]
    confidence = [row.ravel() for result in results for row in result.confidence.numpy().astype(np.int32)]
    columns = {
        "run": repeated(pa.string(), [run.key] * len(tests)),
        "cell": repeated(pa.string(), [run.cell_key(test) for test in tests]),
        "test": repeated(pa.string(), [test.key for test in tests]),
        "test_scenario": repeated(pa.string(), [_text(test.scenario) for test in tests]),
        "test_modulations": pa.array([row.modulations for row in sent], pa.list_(pa.string())),
        "test_instances": pa.array([row.instances for row in sent], pa.int64()),
        "test_length": repeated(pa.int64(), [test.length for test in tests]),
        "snr_db": pa.array([level for several in levels for level in several], pa.float64()),
        "n": np.array([len(row) for row in right]),
        "correct": np.array([row.sum() for row in right]),
        "confusion": _lists(confusion),
        "right": pa.array([np.packbits(row).tobytes() for row in right], pa.binary()),
        "confidence": _lists(confidence),
        "evaluated_at": repeated(pa.timestamp("us", "UTC"), [now] * len(tests)),
        "process": pa.array([process and process.text()] * len(of_row), pa.string()),
    }
    return pa.table(columns).cast(CELL_SCHEMA)


class _Sent(NamedTuple):
    """What was sent at an SNR. modulations, instances: as in CELL_SCHEMA. counts: (sent, classes) int32, confusion."""

    modulations: tuple[str, ...] | None
    instances: int | None
    counts: np.ndarray


def _sent(test: Dataset, result: Evaluation, trained: tuple[str, ...]) -> Iterator[_Sent]:
    """What was sent at each SNR of a test, without modulations that have no instance there."""
    names = result.modulations or test.modulations
    for counts in result.confusion.numpy().astype(np.int32):
        sizes = counts.sum(1, dtype=np.int64)
        there = sizes > 0
        sent = tuple(name for name, some in zip(names, there, strict=True) if some)
        alike = set(sizes[there].tolist())
        yield _Sent(None if sent == trained else sent, alike.pop() if len(alike) == 1 else None, counts[there])


def _lists(rows: list[np.ndarray]) -> pa.ListArray:
    offsets = np.cumsum([0, *map(len, rows)])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), np.concatenate(rows))


def unpacked(right: bytes, n: int) -> np.ndarray:
    """The single outcomes of a cell's column `right`: (n,) bool."""
    return np.unpackbits(np.frombuffer(right, np.uint8), count=n).astype(bool)


@lru_cache(maxsize=4096)  # the runs of a study share their test scenarios
def _text(scenario: Scenario) -> str:
    return json.dumps(scenario.as_dict())


# What reading content that is not a cells file may raise.
NOT_CELLS = (AmcError, OSError, pa.ArrowException, ValueError, TypeError, LookupError, AttributeError, RecursionError)


def read_cells(content: bytes, run: str, columns: list[str] | None = None) -> pa.Table:
    """The cells of a run in the content of a file, or some columns. Columns that an older file lacks are null.

    Raises one of NOT_CELLS if the content is anything else.
    """
    file = pq.ParquetFile(pa.BufferReader(content))
    if not _is_ours(file.metadata.metadata[b"ARROW:schema"]):
        raise ValueError("other columns")
    table = file.read(columns, use_threads=False)
    if "run" in table.column_names and {*table["run"].unique().to_pylist()} - {run}:
        raise ValueError("cells of another run")
    if "test_scenario" in table.column_names:
        for text in table["test_scenario"].unique().to_pylist():
            scenario_of(text)
    for name in (name for name in columns or CELL_SCHEMA.names if name in OPTIONAL and name not in table.column_names):
        table = table.append_column(CELL_SCHEMA.field(name), pa.nulls(len(table), CELL_SCHEMA.field(name).type))
    return table


def holds_cells(content: bytes, run: str) -> bool:
    """Is this the content of a cells file of that run?"""
    try:
        read_footer(lambda count: content[-count:])
        return len(read_cells(content, run, ["run", "test_scenario"])) > 0
    except NOT_CELLS:
        return False


@lru_cache(maxsize=4096)  # as those of `_text`
def scenario_of(text: str) -> Scenario:
    """The scenario in a value of the column `test_scenario`. Raises one of NOT_CELLS if it is none."""
    return scenario_from(json.loads(text))


@lru_cache(maxsize=64)  # files share their schema
def _is_ours(schema: bytes) -> bool:
    """Does a file with this schema, as Arrow serialises it, have the columns and types of CELL_SCHEMA?"""
    types = {field.name: field.type for field in pa.ipc.read_schema(pa.BufferReader(base64.b64decode(schema)))}
    needed = {field.name: field.type for field in CELL_SCHEMA if field.name not in OPTIONAL or field.name in types}
    return needed.items() <= types.items()


def merge(tables: Iterable[pa.Table]) -> pa.Table:
    """One table of a run, sorted by test and SNR, so that runs with the same tests have the same order.

    Of a cell that comes twice, the earlier one is kept.
    """
    order = [(name, "ascending") for name in ("test", "snr_db", "evaluated_at")]
    table = pa.concat_tables(tables, promote_options="default")
    table = table.take(pc.sort_indices(table, sort_keys=order))
    cell, snr_db = table["cell"].to_numpy(), table["snr_db"].to_numpy()
    unknown = np.isnan(snr_db)
    alike = (snr_db[1:] == snr_db[:-1]) | (unknown[1:] & unknown[:-1])
    first = np.append(True, (cell[1:] != cell[:-1]) | ~alike)
    return table.filter(pa.array(first))


def cell_bytes(table: pa.Table, instances: int, seconds: float) -> bytes:
    """The content of a cells file; its cells took `seconds` to classify `instances`."""
    tests = " ".join(table["test"].unique().to_pylist())
    return parquet_bytes(table, {"tests": tests, "instances": str(instances), "seconds": f"{seconds:.3f}"})


def parquet_bytes(table: pa.Table, known: dict[str, str] | None = None) -> bytes:
    """The content of a Parquet file. known: keys and values for its footer."""
    buffer = io.BytesIO()
    filtered = [name for name in ("run", "snr_db") if name in table.column_names]  # no query filters by others
    options = {"compression": "zstd", "compression_level": 5, "write_statistics": filtered}
    with pq.ParquetWriter(buffer, table.schema, **options) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata(known or {})
    return buffer.getvalue()


def read_parquet(content: bytes) -> pa.Table:
    """The table in the content of a Parquet file. Raises pyarrow's exceptions.

    Arrow's threads are off: one that still holds Python's bytes when the interpreter ends aborts the process.
    """
    return pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)


def read_footer(read_last: Callable[[int], bytes]) -> Footer:
    """The footer of a cells file; read_last(count) returns its last bytes. Raises pyarrow's exceptions."""
    end = read_last(_FOOTER_BYTES)
    size = int.from_bytes(end[-8:-4], "little") + 8  # of the footer; the last four bytes mark a Parquet file
    known = pq.ParquetFile(pa.BufferReader(end if size <= len(end) else read_last(size))).metadata.metadata
    if not _is_ours(known[b"ARROW:schema"]):
        raise ValueError("columns of other types")
    return Footer(_keys(known[b"tests"]), int(known[b"instances"]), float(known[b"seconds"]))


@lru_cache(maxsize=64)  # runs with the same tests have the same keys
def _keys(text: bytes) -> frozenset[str]:
    return frozenset(text.decode().split())
