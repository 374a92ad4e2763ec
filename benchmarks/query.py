"""A train × test pivot over 100 million confusion rows: SQL straight from the store's files, beside plain pandas.

    python benchmarks/query.py [--runs 21]

With 20 modulations a (cell, SNR) row of a store holds 400 counts: 21 runs × 960 test scenarios × 13 SNRs are 262,080
such rows, 104,832,000 rows of the table confusion. Counts are random. Each contestant runs in a process of its own;
its time includes reading the files, its memory is the peak of the process. Both must give the same numbers.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from amc_core.modulations import modulation_names
from amc_core.run import Dataset, Recipe, Run
from amc_core.scenario import CHANNELS, Scenario
from sweeps.store import Process, Store

_SNRS = tuple(range(-6, 19, 2))
_UPSAMPLING = (2, 3.2, 4, 6.4, 8, 10.67, 16, 32)
_ROLLOFF = (0.15, 0.2, 0.25, 0.3, 0.35, 0.45)
_SAMPLE_RATE = (200e3, 600e3, 1e6, 1.5e6, 2e6)

_SQL = """SELECT train_channel, test_channel, sum(count) FILTER (sent = recognised) / sum(count) AS accuracy
          FROM confusion GROUP BY ALL ORDER BY ALL"""


def fill(store: Store, runs: int) -> None:
    """A store with random counts of `runs` runs, written as a sweep writes them."""
    modulations, random = modulation_names("complex"), np.random.default_rng(0)
    scenarios = [Scenario(*fields) for fields in product(CHANNELS, _UPSAMPLING, _ROLLOFF, _SAMPLE_RATE)]
    tests = [Dataset(scenario, modulations, _SNRS, 1000) for scenario in scenarios]
    for place in range(runs):
        train = Scenario(channel=list(CHANNELS)[place % 3])
        run = Run("cnn1d", Dataset(train, modulations, _SNRS, 1000), Recipe(), seed=place)
        counts = random.integers(0, 10, (len(tests), len(_SNRS), len(modulations), len(modulations)), np.int64)
        folder, (state, outcome) = store.run(run.key), _finished()
        folder.save(run, state, [Process("none", "cpu")], **outcome)
        folder.save_cells(
            run, [(test, _evaluation(count, random)) for test, count in zip(tests, counts, strict=True)], 1.0
        )


def _evaluation(counts: np.ndarray, random: np.random.Generator):
    """What an evaluation with these confusion counts leaves, its single outcomes and probabilities drawn."""
    import torch  # not in the processes that are measured

    from amc_core.evaluation import Evaluation

    n, correct = counts.sum((1, 2)), np.trace(counts, axis1=1, axis2=2)
    right = tuple(map(torch.as_tensor, random.random((len(n), n.max())) < (correct / n)[:, None]))
    confidence = np.stack([random.multinomial(total, np.full(20, 0.05)) for total in (correct, n - correct, 0 * n)], 1)
    sent = torch.arange(counts.shape[1])
    return Evaluation(torch.as_tensor(counts), sent, right, torch.as_tensor(confidence), 0.0)


def _finished() -> tuple[dict, dict]:
    """State and outcome of a training that did not take place."""
    epoch = {"epoch": 1, "train_loss": 1.0, "train_accuracy": 0.5, "validation_loss": 1.0, "validation_accuracy": 0.5}
    epoch |= {"learning_rate": 1e-3, "instances_per_second": 1.0, "micro_batch": 256}
    outcome = {"parameters": 142_932, "kept_epoch": 1, "validation_accuracy": 0.5, "seconds": 1.0}
    outcome |= {"started_at": datetime.now(UTC)}
    return {"kept": {}, "best": {}, "epochs": [epoch]}, outcome


def with_duckdb(store: str) -> list:
    from analysis.query import query

    return query(_SQL, store).to_numpy().tolist()


def with_pandas(store: str) -> list:
    from analysis import load

    columns = ["train_channel", "test_channel", "sent", "recognised", "count"]
    rows = load("confusion", store, columns=columns)
    by = ["train_channel", "test_channel"]
    hits = rows[rows["sent"] == rows["recognised"]].groupby(by)["count"].sum()
    return (hits / rows.groupby(by)["count"].sum()).reset_index(name="accuracy").to_numpy().tolist()


CONTESTANTS = {"duckdb": with_duckdb, "pandas": with_pandas}


def measured(name: str, store: str) -> dict:
    """Seconds, peak memory in GiB and the answer of a contestant, in a process of its own."""
    command = [sys.executable, __file__, "--contestant", name, "--store", store]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=21)
    parser.add_argument("--contestant", choices=CONTESTANTS, help=argparse.SUPPRESS)
    parser.add_argument("--store", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.contestant:
        start = time.perf_counter()
        answer = CONTESTANTS[chosen.contestant](chosen.store)
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF)
        cpu = peak.ru_utime + peak.ru_stime
        print(json.dumps({"seconds": seconds, "cpu": cpu, "gib": peak.ru_maxrss / 2**20, "answer": answer}))
        return
    with tempfile.TemporaryDirectory() as folder:
        fill(Store(folder), chosen.runs)
        size = sum(file.stat().st_size for file in Path(folder).rglob("cells*.parquet"))
        rows = chosen.runs * 960 * len(_SNRS)
        load = os.getloadavg()[0]
        print(f"{400 * rows:,} confusion rows ({rows:,} lists of 400 counts), {size / 2**20:.0f} MiB of Parquet")
        print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {load:.1f} before the first")
        results = {name: measured(name, folder) for name in CONTESTANTS}
    for name, result in results.items():
        print(
            f"{name:8}{result['seconds']:8.1f} s{result['cpu']:8.1f} s of CPU{result['gib']:8.2f} GiB at most, "
            f"{len(result['answer'])} rows"
        )
    for ours, theirs in zip(*(result["answer"] for result in results.values()), strict=True):
        assert ours[:2] == theirs[:2] and abs(ours[2] - theirs[2]) < 1e-12, (ours, theirs)
    ratio = results["pandas"]["seconds"] / results["duckdb"]["seconds"]
    print(f"the same answer; DuckDB takes 1/{ratio:.1f} of the time of pandas")


if __name__ == "__main__":
    main()
