"""Counts of cells pooled into groups, as arrays for `amc_core.statistics`: seeds × strata.

A stratum is the test instances of one setting at one SNR. All runs of a group that were tested on it share these
instances, so they count once, for any number of seeds, models, training settings and sets of modulations. If sets of
modulations only overlap, those of the largest count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from amc_core import statistics
from amc_core.errors import AmcError, require_known
from amc_core.modulations import MODULATION_SETS
from amc_core.statistics import Estimate
from analysis.columns import TEST

_SEEDS = ("seed", "dataset_seed")
STRATA = (*TEST, "test_modulation_set", "test_instances", "test_length", "snr_db")  # columns that identify a stratum
COUNTS = ("n", "correct", "accuracy", "weights")


@dataclass(frozen=True)
class Block:
    """Groups with equal numbers of seeds and of strata.

    groups: [groups], their rows in the table. shares: [groups, seeds, strata], shares of right answers. n: [groups,
    strata], instances, each once. weights: [groups, strata], weights of the strata in the accuracy.
    """

    groups: np.ndarray
    shares: np.ndarray
    n: np.ndarray
    weights: np.ndarray

    @property
    def correct(self) -> np.ndarray:
        """[groups, seeds, strata]: right answers, as if every instance had been classified once by each seed."""
        return self.shares * self.n[:, None]

    @property
    def seeds(self) -> int:
        return self.shares.shape[1]

    def rows(self, at: np.ndarray) -> Block:
        """Some of the groups."""
        return Block(*(getattr(self, field.name)[at] for field in fields(self)))


@dataclass(frozen=True)
class Pooled:
    """Groups of cells: a table of their values, n, correct, accuracy and seeds, and their arrays in blocks."""

    table: pd.DataFrame
    blocks: tuple[Block, ...]

    def estimates(self, estimate: Callable[[Block], Estimate]) -> Estimate:
        """An estimate of every group, in the order of the table."""
        bounds = np.full((3, len(self.table)), np.nan)
        for block in self.blocks:
            bounds[:, block.groups] = estimate(block)
        return Estimate(*bounds)

    def row(self, group: int) -> Block:
        """The arrays of one group that has seeds."""
        return next(block.rows(at) for block in self.blocks if len(at := np.flatnonzero(block.groups == group)))


def pool(cells: pd.DataFrame, by: Sequence[str]) -> Pooled:
    """Groups of cells by the values of columns, pooled over everything else; `by` may be empty.

    If the runs of a seed have the same weights as those of another seed of the group, the seed is left out: it is the
    same training. If a seed lacks some tests, it gets the mean of the other seeds there. Tests of modulations that were
    all never trained have no instance that counts; a group of nothing else has the accuracy NaN and no seed.

    Raises AmcError for columns that the table does not have, or that hold counts.
    """
    by = list(by)
    require_known("column", by, [name for name in cells if name not in COUNTS])
    if len(set(by)) < len(by):
        raise AmcError(f"by {by} is not allowed: name each column once")
    rows = pd.DataFrame(
        {
            "group": _numbered(cells, by),
            "seed": _numbered(cells, [name for name in _SEEDS if name in cells and name not in by]),
            "stratum": strata(cells, by),
            "n": cells["n"].to_numpy(),
            "correct": cells["correct"].to_numpy(),
        }
    )
    counted = (rows["n"] > 0).to_numpy()
    rows = rows[counted]
    if "weights" in cells:
        rows = rows[_of_first_trainings(rows, cells["weights"][counted])]
    table = cells[by].assign(_group=_numbered(cells, by)).drop_duplicates("_group")
    table = table.sort_values("_group", ignore_index=True)[by]
    totals = rows.groupby("group").agg(n=("n", "sum"), correct=("correct", "sum"), seeds=("seed", "nunique"))
    totals = totals.reindex(table.index, fill_value=0)
    table = table.assign(n=totals["n"], correct=totals["correct"], accuracy=totals["correct"] / totals["n"])
    return Pooled(table.assign(seeds=totals["seeds"]), tuple(_blocks(rows)))


def accuracy_of(block: Block, level: float = 0.95) -> Estimate:
    """Accuracies: of another training if there are several seeds, else of the network."""
    return statistics.accuracy(block.correct, block.n, block.weights, level)


def accuracy_of_networks(block: Block, level: float = 0.95) -> Estimate:
    """Mean accuracies of the networks themselves, on all instances of their settings."""
    return statistics.of_network(block.shares.mean(1) * block.n, block.n, block.weights, level)


def difference_of(own: Block, other: Block, level: float = 0.95) -> Estimate:
    """Accuracies of groups minus those of others, in pairs of seeds if both have equally many; see `statistics`."""
    sides = own.correct, own.n, other.correct, other.n, own.weights, other.weights
    return statistics.difference(*sides, level=level, paired=own.seeds == other.seeds)


def _numbered(cells: pd.DataFrame, by: list[str]) -> np.ndarray:
    """The index of each row's combination of values, in sorted order."""
    return cells.groupby(by, sort=True, dropna=False).ngroup().to_numpy() if by else np.zeros(len(cells), np.int64)


def shared_modulations(sets: pd.Series) -> pd.Series:
    """Names of sets in the column `test_modulation_set` → one name for all sets that share a modulation.

    The test instances of a modulation are the same in all of these sets.
    """
    names, groups = {name: {*modulations_of(name)} for name in sets.unique()}, []
    for known in names.values():
        others = [group for group in groups if group & known]
        groups = [group for group in groups if not group & known] + [known.union(*others)]
    return sets.map({name: min(next(group for group in groups if group & known)) for name, known in names.items()})


def modulations_of(name: str) -> tuple[str, ...]:
    """The modulations of a set in the columns `test_modulation_set` and `modulation_set`, in their order."""
    return tuple(MODULATION_SETS.get(name, name.split(", ")))


def strata(cells: pd.DataFrame, by: Sequence[str] = ()) -> np.ndarray:
    """The index of each row's stratum; rows do not differ in the columns `by`."""
    names = [name for name in STRATA if name in cells and name not in by]
    if "test_modulation_set" in names and cells["test_modulation_set"].nunique() > 1:
        cells = cells.assign(test_modulation_set=shared_modulations(cells["test_modulation_set"]))
    if "cell" not in cells:
        return _numbered(cells, names)
    # A cell is one setting, so its many columns need not be compared again for every SNR.
    cell = pd.factorize(cells["cell"])[0]
    first = np.flatnonzero(~pd.Series(cell).duplicated())
    settings = _numbered(cells.iloc[first], [name for name in names if name != "snr_db"])[cell]
    snr = _numbered(cells, ["snr_db"] if "snr_db" in names else [])
    return settings * (snr.max(initial=0) + 1) + snr


def _of_first_trainings(rows: pd.DataFrame, weights: pd.Series) -> np.ndarray:
    """A mask of the rows whose seed does not repeat the weights of all runs of an earlier seed."""
    codes = pd.factorize(weights)[0]
    each = rows[["group", "seed"]].assign(weights=codes).drop_duplicates()
    signs = np.random.default_rng(0).integers(1 << 62, size=len(each) and codes.max() + 1)
    each["sign"] = signs[each["weights"]]
    trainings = each.groupby(["group", "seed"])["sign"].sum().reset_index()
    again = trainings[trainings.duplicated(["group", "sign"])]
    if again.empty:
        return np.ones(len(rows), bool)
    dropped = pd.MultiIndex.from_frame(again[["group", "seed"]])
    return ~pd.MultiIndex.from_frame(rows[["group", "seed"]]).isin(dropped)


def _blocks(rows: pd.DataFrame) -> Iterator[Block]:
    summed = (
        rows.groupby(["group", "seed", "stratum"], sort=True)
        .agg(n=("n", "sum"), correct=("correct", "sum"), once=("n", "max"))
        .reset_index()
    )
    group, starts = np.unique(summed["group"].to_numpy(), return_index=True)
    sizes = np.diff(starts, append=len(summed))
    each = summed.groupby("group")
    seeds, strata = each["seed"].nunique().to_numpy(), each["stratum"].nunique().to_numpy()
    columns = {name: summed[name].to_numpy(float) for name in ("n", "correct", "once")}
    for shape in sorted(set(zip(seeds.tolist(), strata.tolist(), strict=True))):
        alike = (seeds == shape[0]) & (strata == shape[1])
        whole = np.flatnonzero(alike & (sizes == shape[0] * shape[1]))
        if len(whole):
            at = (starts[whole][:, None] + np.arange(shape[0] * shape[1])).reshape(-1, *shape)
            yield _block(group[whole], *(values[at] for values in columns.values()))
        for number in np.flatnonzero(alike & (sizes != shape[0] * shape[1])):
            part = summed.iloc[starts[number] : starts[number] + sizes[number]]
            index = [pd.factorize(part[name], sort=True)[0] for name in ("seed", "stratum")]
            arrays = np.zeros((3, 1, *shape))
            for array, name in zip(arrays, columns, strict=True):
                array[0, index[0], index[1]] = part[name]
            yield _block(group[[number]], *arrays)


def _block(groups: np.ndarray, n: np.ndarray, correct: np.ndarray, once: np.ndarray) -> Block:
    """n, correct: [groups, seeds, strata] sums over runs; once: the instances of one run."""
    mean = correct.sum(1, keepdims=True) / n.sum(1, keepdims=True)
    with np.errstate(invalid="ignore"):
        shares = np.where(n > 0, correct / n, mean)
    return Block(groups, shares, once.max(1), n.sum(1))
