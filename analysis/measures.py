"""Our counterparts of published numbers, each from the tables of a study's results, with its 95 % interval.

Intervals are of another training if there are several seeds, else of the networks that were trained; see
`amc_core.statistics`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd

from amc_core import statistics
from amc_core.statistics import Estimate
from analysis.pivots import curves
from analysis.pooling import Block, accuracy_of, difference_of, pool
from analysis.published import Filters, Published

_ACCURACIES = 20  # at which two curves are compared
_DRAWS = 1000


class NotRun(Exception):
    """The store lacks rows from which a number is computed."""


class Tables(Protocol):
    """The tables from which numbers are computed: those of `Results`, or others with the same columns."""

    cells: pd.DataFrame
    runs: pd.DataFrame
    epochs: pd.DataFrame


class Measured(NamedTuple):
    """A value with its interval, which is the value itself if it is exact, and NaN if there is none.

    seeds: the number of trainings that are averaged; spread: their standard deviation, NaN for one.
    """

    value: float
    low: float
    high: float
    seeds: int = 1
    spread: float = math.nan


def measure(entry: Published, tables: Tables) -> Measured:
    """Our counterpart of a published number; raises NotRun if rows from which it is computed are missing."""
    return _MEASURES[entry.quantity](entry, tables)


def selected(table: pd.DataFrame, filters: Filters) -> pd.DataFrame:
    """The rows with these values; raises NotRun unless every value occurs."""
    keep = np.ones(len(table), bool)
    for name, values in filters.items():
        column, values = table[name], values if isinstance(values, list) else [values]
        keep &= (column.isin(values) | (column.isna() & (None in values))).to_numpy()
    rows = table[keep]
    for name, values in filters.items():
        several = values if isinstance(values, list) else [values]
        if rows.empty or not all(value is None or (rows[name] == value).any() for value in several):
            raise NotRun
    return rows


def _pooled(tables: Tables, filters: Filters) -> Block:
    cells = selected(tables.cells, filters)
    if not cells["n"].any():  # of modulations that were all never trained there is no accuracy
        raise NotRun
    return pool(cells, []).row(0)


def _of_seeds(block: Block) -> np.ndarray:
    """[seeds]: the accuracy of each."""
    return (block.shares[0] * block.weights).sum(-1) / block.weights.sum()


def _measured(estimate: Estimate, of_seeds: np.ndarray) -> Measured:
    seeds = len(of_seeds)
    return Measured(*(float(part) for part in estimate), seeds, float(of_seeds.std(ddof=1)) if seeds > 1 else math.nan)


def _accuracy(entry: Published, tables: Tables) -> Measured:
    block = _pooled(tables, entry.rows)
    return _measured(Estimate(*(part[0] for part in accuracy_of(block))), _of_seeds(block))


def _difference(entry: Published, tables: Tables) -> Measured:
    """The drop or gain; along `over` it is the largest, with an interval that allows for the choice (Bonferroni)."""
    pairs = list(_pairs(entry))
    level, differences = statistics.bonferroni(0.95, len(pairs)), []
    for rows, against in pairs:
        own, other = _pooled(tables, rows), _pooled(tables, against)
        if entry.quantity == "drop":
            own, other = other, own
        sides = _of_seeds(own), _of_seeds(other)
        paired = sides[0] - sides[1] if len(sides[0]) == len(sides[1]) else min(sides, key=len)[:1]
        differences.append((Estimate(*(part[0] for part in difference_of(own, other, level))), paired))
    together = Estimate(*np.array([estimate for estimate, _ in differences]).T)
    largest = max(range(len(differences)), key=lambda index: differences[index][0].value)
    return _measured(statistics.largest(together), differences[largest][1])


def _pairs(entry: Published) -> Iterator[tuple[Filters, Filters]]:
    """Filters of rows and of the rows to compare with, for every value along `over`, of both if both list values."""
    if entry.over is None:
        yield entry.rows, entry.against
        return
    for value in entry.rows[entry.over]:
        in_step = isinstance(entry.against.get(entry.over), list)
        yield entry.rows | {entry.over: value}, entry.against | ({entry.over: value} if in_step else {})


def _relative_gain(entry: Published, tables: Tables) -> Measured:
    """Ratio of two accuracies minus 1."""
    own, other = (_pooled(tables, filters) for filters in (entry.rows, entry.against))
    sides = _of_seeds(own), _of_seeds(other)
    if not sides[0].mean() or not sides[1].mean():
        return Measured(math.nan, math.nan, math.nan)
    ratio = statistics.ratio(accuracy_of(own), accuracy_of(other))
    of_seeds = sides[0] / sides[1] if len(sides[0]) == len(sides[1]) else sides[0][:1]
    return _measured(Estimate(*(part[0] - 1 for part in ratio)), of_seeds)


def _snr_gain(entry: Published, tables: Tables) -> Measured:
    """Horizontal distance of two accuracy curves in dB: its mean over accuracies that both reach.

    The mean curves decide these accuracies. For their part of the interval, instances are drawn again.
    """
    sides = [curves(selected(tables.cells, rows)) for rows in (entry.rows, entry.against)]
    means = [(snrs, correct.mean(0) / n) for snrs, correct, n in sides]
    targets = _common_accuracies(*(accuracy for _, accuracy in means))
    distances = _distances(*means, targets)
    if not len(targets) or entry.quantity == "largest_snr_gain":
        return Measured(float(distances.max(initial=-math.inf)) if len(targets) else math.nan, math.nan, math.nan)
    seeds = min(len(correct) for _, correct, _ in sides)
    apart = [_distances(*((snrs, correct[i] / n) for snrs, correct, n in sides), targets) for i in range(seeds)]
    rng = np.random.default_rng(0)
    drawn = [_distances(*_redrawn(rng, means, sides), targets) for _ in range(_DRAWS)]
    of_draws = [np.nanmean(each) for each in drawn if not np.isnan(each).all()]
    value, of_seeds = float(distances.mean()), np.array([np.nanmean(each) for each in apart])
    spread = statistics.student(seeds - 1, 0.95) ** 2 * of_seeds.var(ddof=1) / seeds if seeds > 1 else 0.0
    half = math.sqrt(spread + (statistics.normal(0.95) * np.std(of_draws)) ** 2)
    return _measured(Estimate(value, value - half, value + half), of_seeds)


def _redrawn(rng: np.random.Generator, means: list[tuple], sides: list[tuple]) -> list[tuple]:
    """The curves (SNRs, accuracies) as other instances would have given them."""
    return [
        (snrs, rng.binomial(n.astype(int), accuracy) / n)
        for (snrs, accuracy), (_, _, n) in zip(means, sides, strict=True)
    ]


def _common_accuracies(own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Accuracies that both curves reach, evenly between the lowest and the highest; empty if there are none."""
    low, high = max(own.min(), other.min()), min(own.max(), other.max())
    return np.linspace(low, high, _ACCURACIES + 2)[1:-1] if low < high else np.zeros(0)


def _distances(own: tuple, other: tuple, targets: np.ndarray) -> np.ndarray:
    """How many dB the first curve (SNRs, accuracies) is ahead of the second at each accuracy, NaN if not reached."""
    return np.array(
        [statistics.first_reached(*other, target) - statistics.first_reached(*own, target) for target in targets]
    )


def _exact(value: float) -> Measured:
    return Measured(value, value, value)


def _only(values: pd.Series) -> float:
    if values.nunique() != 1:
        raise NotRun
    return float(values.iloc[0])


def _parameters(entry: Published, tables: Tables) -> Measured:
    return _exact(_only(selected(tables.runs, entry.rows)["parameters"]))


def _parameter_ratio(entry: Published, tables: Tables) -> Measured:
    own, other = (_only(selected(tables.runs, filters)["parameters"]) for filters in (entry.rows, entry.against))
    return _exact(other / own)


def _on_gpu(tables: Tables, filters: Filters) -> pd.DataFrame:
    """Epochs with these values, of runs on a GPU, since the papers' times are from a GPU."""
    on_gpu = tables.runs.loc[tables.runs["device"] != "cpu", "run"]
    epochs = tables.epochs
    return selected(epochs[epochs["run"].isin(on_gpu)], filters)


def _speed_ratio(entry: Published, tables: Tables) -> Measured:
    own, other = (_on_gpu(tables, filters)["instances_per_second"] for filters in (entry.rows, entry.against))
    return _exact(own.median() / other.median())


def _epoch_seconds(entry: Published, tables: Tables) -> Measured:
    return _exact(float((entry.instances / _on_gpu(tables, entry.rows)["instances_per_second"]).median()))


def _offset(entry: Published, tables: Tables) -> Measured:
    """The smallest tested |Δf| at which `share` of the accuracy above chance is lost, infinite if it never is.

    Its interval reaches from the offset at which so much may be lost to the one at which it is certainly lost.
    """
    cells = selected(tables.cells, entry.rows)
    cells = cells.assign(offset=cells["test_relative_carrier_offset"].astype(float).abs())
    chance, pooled = 1 / cells["classes"].max(), pool(cells, ["offset"])
    offsets, accuracies = pooled.table["offset"].to_numpy(), pooled.estimates(accuracy_of)
    start = Estimate(*(part[0] for part in accuracies))
    if start.low <= chance:
        return Measured(math.nan, math.nan, math.nan)
    kept = Estimate(*((1 - entry.share) * part + entry.share * chance for part in start))  # the accuracy after the loss
    below = statistics.subtracted(kept, Estimate(*(part[1:] for part in accuracies)))
    value, low, high = (
        float(offsets[1:][bound >= 0].min(initial=math.inf)) for bound in (below.value, below.high, below.low)
    )
    return Measured(value, low, high, int(pooled.table["seeds"].min()))


_MEASURES = {
    "accuracy": _accuracy,
    "drop": _difference,
    "gain": _difference,
    "relative_gain": _relative_gain,
    "snr_gain": _snr_gain,
    "largest_snr_gain": _snr_gain,
    "parameters": _parameters,
    "parameter_ratio": _parameter_ratio,
    "speed_ratio": _speed_ratio,
    "epoch_seconds": _epoch_seconds,
    "offset": _offset,
}
