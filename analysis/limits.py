"""The upper bounds on accuracy in the test settings of a study, computed once and kept on this machine."""

from __future__ import annotations

import json
import logging
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from amc_core.coverage import why_unknown
from analysis.columns import TEST
from analysis.pivots import pivoted, spread
from analysis.results import Results

STANDARD_ERROR = 0.005  # of the limit at one SNR
_SECONDS = 10  # between two lines of progress, and between two writes of the file
_LOG = logging.getLogger(__name__)


def limits_of(results: Results, cells: pd.DataFrame, standard_error: float = STANDARD_ERROR) -> pd.DataFrame:
    """The upper bound on the accuracy of any classifier on the test data of cells: columns cell, snr_db, limit.

    See `amc_core.limits.upper_bound`; rows without a known bound are left out. Bounds are kept in the user's cache
    directory, XDG_CACHE_HOME, and are not computed again.
    """
    wanted = {cell: set(rows["snr_db"]) for cell, rows in cells.groupby("cell", sort=False)}
    tests = {}  # equal tests once
    for run in results.study.runs():
        for test in results.study.tests(run):
            key = run.cell_key(test)
            if key in wanted and why_unknown(test.scenario, test.modulations, test.length) is None:
                tests.setdefault((test.scenario, test.modulations, test.length), (test, []))[1].append(key)
    rows, start, reported_at = [], time.monotonic(), 0.0
    with _kept() as known:
        for count, (test, keys) in enumerate(tests.values(), 1):
            from amc_core.limits import upper_bound  # needs torch

            snrs = sorted(set().union(*(wanted[key] for key in keys)))
            bound = upper_bound(test.scenario, test.modulations, snrs, test.length, standard_error, known=known)
            by_snr = dict(zip(snrs, bound.accuracy.tolist(), strict=True))
            rows += [(key, snr, by_snr[snr]) for key in keys for snr in wanted[key]]
            seconds = time.monotonic() - start
            if count < len(tests) and seconds - reported_at > _SECONDS:
                reported_at = seconds
                _LOG.info("Upper bound: computed and kept for %d of %d test settings.", count, len(tests))
    return pd.DataFrame(rows, columns=["cell", "snr_db", "limit"])


def limit_rows(cells: pd.DataFrame, limits: pd.DataFrame, rows: Sequence[str], column: str) -> pd.DataFrame:
    """Rows below those of `train_test`: the limit in each test setting, pooled over SNRs like the accuracies.

    limits: of `limits_of`. Columns that are not fields of the tests are blank in these rows, except the first, which
    says "upper bound". A limit is NaN if it is unknown at some SNR. Columns are in the order of `train_test`.
    """
    cells, _ = spread(cells)
    settings = [*TEST, "test_modulation_set", "test_length", "snr_db"]
    fields = [name for name in rows if name in (*TEST, "test_length")]
    known = cells.drop_duplicates(list(dict.fromkeys([*settings, column])))
    known = known.merge(limits, on=["cell", "snr_db"], how="left").assign(
        right=lambda table: table["limit"] * table["n"]
    )
    sums = known.groupby([*fields, column], dropna=False)[["right", "n"]].agg(lambda values: values.sum(skipna=False))
    flat = (sums["right"] / sums["n"]).rename("limit").reset_index()
    first = next((name for name in rows if name not in fields), rows[0])
    for name in rows:
        if name not in fields:
            flat[name] = ""
    flat[first] = flat[first].map(lambda value: f"upper bound {value}".strip())
    return pivoted(flat, rows, column, "limit")


class _Kept(dict):
    """Bounds that were computed before, by key; new ones are written to the file at intervals, and by `write`."""

    def __init__(self, path: Path):
        super().__init__(_read(path))
        self.path, self.written, self.at = path, len(self), time.monotonic()

    def __setitem__(self, key: str, value) -> None:
        super().__setitem__(key, value)
        if time.monotonic() - self.at > _SECONDS:
            self.write()

    def write(self) -> None:
        """Write all known bounds, together with those that another process has written meanwhile."""
        self.at = time.monotonic()
        if len(self) == self.written:
            return
        with suppress(OSError):  # then they are computed again
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=self.path.parent, delete=False) as file:
                json.dump({key: asdict(value) for key, value in (_read(self.path) | self).items()}, file)
            os.replace(file.name, self.path)
            self.written = len(self)


@contextmanager
def _kept() -> Iterator[_Kept]:
    """Bounds that were computed before; new ones are kept even if the process ends early."""
    known = _Kept(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "amc-sweeps" / "limits.json")
    try:
        yield known
    finally:
        known.write()


def _read(path: Path) -> dict:
    from amc_core.recognition import Recognition

    with suppress(
        OSError, ValueError, TypeError, AttributeError, RecursionError
    ):  # no file yet, or one of another version
        return {key: Recognition(**value) for key, value in json.loads(path.read_text()).items()}
    return {}
