"""How long does it take to plan the whole of P1's Table I crossed with itself, for eight classifiers?

    python benchmarks/plan.py [--folder DIR]

5,120 runs × 640 cells = 3,276,800 cells are planned over an empty store and over one that holds nine tenths of them,
which is made first (a minute or two): records and files of cells as trials leave them, but for the counts, which
planning does not read. Prints seconds and peak memory of each, taken in processes of their own.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STUDY = """
models: [hoc_svm, cnn1d, stn_resnext, classnet, lstm, pf_cnn, cnn2d, resnet]
train:
  channel: [awgn, rayleigh, rician, rayleigh_2]
  upsampling: [2, 3.2, 4, 6.4, 8, 10.67, 16, 32]
  rolloff: [0.15, 0.25, 0.35, 0.45]
  sample_rate: [200e3, 600e3, 1e6, 1.5e6, 2e6]
test: {vary: [channel, upsampling, rolloff, sample_rate]}
"""


def fill(study: Path, store: Path) -> None:
    """Let the store hold nine runs of ten, with all their cells."""
    import pyarrow as pa

    from sweeps.store import RunRecord, Store
    from sweeps.store.cells import CELL_SCHEMA, cell_bytes
    from sweeps.study import load_study

    chosen, files = load_study(str(study)), Store(store).files
    for place, run in enumerate(chosen.runs()):
        if place % 10:
            rows = [
                {"run": run.key, "cell": run.cell_key(test), "test": test.key, "snr_db": 0.0}
                for test in chosen.tests(run)
            ]
            content = cell_bytes(pa.Table.from_pylist(rows, CELL_SCHEMA), 1, 1.0)
            files.write(f"runs/{run.key}/cells-{'0' * 32}.parquet", content)
            names = {"weights": f"weights-{0:032x}.pt", "epochs": f"epochs-{0:032x}.parquet"}
            record = RunRecord(run.model, run.dataset, run.seed, recipe=run.recipe, **names)
            for name, content in ((names["weights"], b""), (names["epochs"], b""), ("run.json", record.content())):
                files.write(f"runs/{run.key}/{name}", content, durable=False)


def plan(study: Path, store: Path) -> None:
    start = time.perf_counter()
    from sweeps.planning import make_plan
    from sweeps.store import Store
    from sweeps.study import load_study

    found = make_plan(load_study(str(study)), Store(store))
    seconds, mebibytes = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    share = 1 - found.missing_cells / found.cells
    size = f"{len(found.runs):,} runs, {found.cells:,} cells, {share:.0%} in the store"
    print(f"{size}: {seconds:.1f} s, {mebibytes:.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--do", choices=["fill", "plan"], default=None, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="plan-"))
    study, store = folder / "study.yaml", folder / "store"
    if arguments.do:
        {"fill": fill, "plan": plan}[arguments.do](study, store)
        return
    folder.mkdir(parents=True, exist_ok=True)
    study.write_text(STUDY)
    for step in ("plan", "fill", "plan"):
        subprocess.run([sys.executable, __file__, "--folder", str(folder), "--do", step], check=True)


if __name__ == "__main__":
    main()
