"""Draw the pictures of docs/ from the tables committed there: python docs/pictures.py [--to DIRECTORY]

`tables/quickstart.parquet` is what `amc run quickstart` and `amc results quickstart --parquet` gave;
`findings/small-cells.parquet` has the studies of P1 at the small scale, `findings/beyond-…-medium.parquet` the studies
of these names at medium, `findings/realisations.parquet` that of open-question-realisations.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from amc_core import Scenario
from analysis.figures import accuracy_over_snr, save, train_test_heat_map
from analysis.figures.papers import FIGURES
from analysis.figures.style import titled

DOCS = Path(__file__).parent


def _read(name: str) -> pd.DataFrame:
    """A table of cells; fields that scenarios have got since have their defaults."""
    table = pd.read_parquet(DOCS / name)
    usual = {f"{side}_{field}": value for side in ("train", "test") for field, value in Scenario().columns().items()}
    return table.assign(**{column: value for column, value in usual.items() if column not in table})


def _quickstart() -> pd.DataFrame:
    return _read("tables/quickstart.parquet")


def _over_snr() -> Figure:
    return titled(accuracy_over_snr(_quickstart()), "quickstart: 20 modulations; 95 % intervals of these networks")


def _small() -> pd.DataFrame:
    return _read("findings/small-cells.parquet")


def _upsampling() -> Figure:
    """P1 Fig. 2: without transfer, in the channel of training, all but the samples per symbol as there."""
    cells = _small()
    same = (f"train_{name} == test_{name}" for name in ("channel", "rolloff", "sample_rate"))
    cells = cells.query("model in ('hoc_svm', 'cnn1d', 'resnet') and parent == '' and train_upsampling == 8")
    cells = cells.query(" and ".join(same)).query("train_rolloff == 0.35 and train_sample_rate == 200e3")
    cells = cells.query("length == test_length")
    return titled(
        FIGURES["p1-fig02"](cells),
        "p1-fig02: 40 instances × 12 epochs, 20 modulations; 95 % intervals of these networks",
    )


def _transfer() -> Figure:
    """P1 Fig. 14: trained on a mixture of channels, and retrained from there; no other study had as many instances."""
    cells = _small().query("model == 'stn_resnext' and instances == 120")
    moved = cells["parent"] != ""
    cells = cells.assign(stage=np.where(moved, "transfer-1", "training"), ancestors=moved.astype(int))
    return titled(
        FIGURES["p1-fig14"](cells),
        "p1-fig14: 120 instances × 8 epochs, 20 modulations; 95 % intervals of these networks",
    )


def _remedies() -> Figure:
    limits = pd.read_parquet(DOCS / "findings/beyond-upsampling-limits.parquet")
    return titled(
        FIGURES["beyond-upsampling"](_read("findings/beyond-upsampling-medium.parquet"), limits=limits),
        "beyond-upsampling: 200 instances × 20 epochs, 20 modulations; 95 % intervals of these networks",
    )


def _randomised() -> Figure:
    return titled(
        FIGURES["beyond-randomised"](_read("findings/beyond-randomised-medium.parquet")),
        "beyond-randomised: 200 instances × 20 epochs, 20 modulations; 95 % intervals of these networks",
    )


def _realisations() -> Figure:
    return titled(
        FIGURES["open-question-realisations"](_read("findings/realisations.parquet")),
        "open-question-realisations: 40 instances × 12 epochs, 20 modulations; 95 % intervals of these networks",
    )


PICTURES: dict[str, Callable[[], Figure]] = {
    "quickstart": lambda: train_test_heat_map(_quickstart()),
    "quickstart-snr": _over_snr,
    "p1-fig02": _upsampling,
    "p1-fig14": _transfer,
    "beyond-upsampling": _remedies,
    "beyond-randomised": _randomised,
    "realisations": _realisations,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--to", type=Path, default=DOCS, help="directory for the pictures")
    to = parser.parse_args().to
    for name, draw in PICTURES.items():
        print(*save(draw(), to / name, ["png"]))


if __name__ == "__main__":
    main()
