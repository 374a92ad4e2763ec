"""The counts of a run's cells as Parquet files.

The keys of a file's cells stand in its footer too, with the instances that were classified for them and the seconds
that took: a plan reads footers alone, a few per cent of the bytes.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from amc_core.run import Dataset, Run
from amc_core.scenario import Scenario

CELL_SCHEMA = pa.schema(
    [
        ("run", pa.string()),
        ("cell", pa.string()),
        ("test_scenario", pa.string()),  # JSON of its fields
        ("test_length", pa.int64()),
        ("snr_db", pa.float64()),
        ("n", pa.int64()),
        ("correct", pa.int64()),
        ("confusion", pa.list_(pa.int32())),  # classes × classes, row by row: sent, then recognised
        ("evaluated_at", pa.timestamp("us", "UTC")),
    ]
)

_FOOTER_BYTES = 32 << 10  # hold a footer with 1,000 keys


@dataclass(frozen=True)
class Footer:
    """What the end of a file of cells tells about it."""

    cells: set[str]
    instances: int
    seconds: float


def cell_table(run: Run, evaluated: Sequence[tuple[Dataset, np.ndarray]]) -> pa.Table:
    """Rows of CELL_SCHEMA from test datasets and their (SNRs, classes, classes) confusion counts."""
    tests = [test for test, _ in evaluated]
    rows = np.repeat(np.arange(len(tests)), [len(test.snrs_db) for test in tests])  # which test each row is of
    counts = np.concatenate([confusion for _, confusion in evaluated])
    flat = counts.reshape(len(counts), -1)
    columns = {
        "run": pa.array([run.key]).take(pa.array(np.zeros_like(rows))),
        "cell": pa.array([run.cell_key(test) for test in tests]).take(pa.array(rows)),
        "test_scenario": pa.array([_text(test.scenario) for test in tests]).take(pa.array(rows)),
        "test_length": np.array([test.length for test in tests])[rows],
        "snr_db": np.concatenate([test.snrs_db for test in tests]),
        "n": flat.sum(1),
        "correct": counts.trace(axis1=1, axis2=2),
        "confusion": pa.FixedSizeListArray.from_arrays(flat.ravel().astype(np.int32), flat.shape[1]),
        "evaluated_at": pa.array([datetime.now(UTC)]).take(pa.array(np.zeros_like(rows))),
    }
    return pa.table(columns).cast(CELL_SCHEMA)


@lru_cache(maxsize=4096)  # the runs of a study share their test scenarios
def _text(scenario: Scenario) -> str:
    return json.dumps(scenario.as_dict())


def merge(tables: Iterable[pa.Table]) -> pa.Table:
    """One table, in an order of its own; of a cell that is there twice the earlier is kept."""
    order = [(name, "ascending") for name in ("cell", "snr_db", "evaluated_at")]
    table = pa.concat_tables(tables, promote_options="default")
    table = table.take(pc.sort_indices(table, sort_keys=order))
    cell, snr_db = table["cell"].to_numpy(), table["snr_db"].to_numpy()
    first = np.append(True, (cell[1:] != cell[:-1]) | (snr_db[1:] != snr_db[:-1]))
    return table.filter(pa.array(first))


def cell_bytes(table: pa.Table, instances: int, seconds: float) -> bytes:
    """The content of a file of cells, for whose evaluation `instances` were classified in `seconds`."""
    cells = " ".join(table["cell"].unique().to_pylist())
    return parquet_bytes(table, {"cells": cells, "instances": str(instances), "seconds": f"{seconds:.3f}"})


def parquet_bytes(table: pa.Table, known: dict[str, str] | None = None) -> bytes:
    """The content of a Parquet file; known: keys and values for its footer."""
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, table.schema, compression="zstd", compression_level=5) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata(known or {})
    return buffer.getvalue()


def read_parquet(content: bytes, columns: list[str] | None = None) -> pa.Table:
    """The table in the content of a Parquet file. Raises pyarrow's exceptions.

    Without Arrow's threads: one that still holds Python's bytes when the interpreter ends aborts the process.
    """
    return pq.ParquetFile(pa.BufferReader(content)).read(columns, use_threads=False)


def read_footer(read_last: Callable[[int], bytes]) -> Footer:
    """The footer of a file of cells, of which read_last(count) gives the last bytes. Raises pyarrow's exceptions."""
    end = read_last(_FOOTER_BYTES)
    size = int.from_bytes(end[-8:-4], "little") + 8  # of the footer; the last four bytes mark a Parquet file
    known = pq.read_metadata(pa.BufferReader(end if size <= len(end) else read_last(size))).metadata
    return Footer(set(known[b"cells"].decode().split()), int(known[b"instances"]), float(known[b"seconds"]))
