"""Our results beside the published ones: what of the two papers do our runs reproduce, and at what scale?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from amc_core.errors import AmcError
from analysis.pivots import accuracy_by, difference, first_at, wilson
from analysis.published import PUBLISHED, Filters, Published
from analysis.tables import load
from sweeps.study import SHIPPED, Study, load_study, study_name

_DIFFERENCES = ("drop", "gain", "relative_gain", "snr_gain", "largest_snr_gain")
_OF_THE_NETWORK = ("parameters", "parameter_ratio")  # whatever the scale

Interval = tuple[float, float, float]  # a value and its 95 % interval, which is the value where there is none


class NotRun(Exception):
    """The store lacks rows that a number is made of."""


@dataclass(frozen=True)
class Tables:
    """What a store holds of a study at a scale."""

    study: Study
    store: str | Path

    @cached_property
    def cells(self) -> pd.DataFrame:
        return load("cells", self.store, self.study)

    @cached_property
    def runs(self) -> pd.DataFrame:
        return load("runs", self.store, self.study)

    @cached_property
    def epochs(self) -> pd.DataFrame:
        return load("epochs", self.store, self.study)

    @property
    def scale(self) -> str:
        """The scale's name, and instances (of a modulation and SNR) × epochs (of the longest recipe)."""
        epochs = self.runs.loc[self.runs["parent"] == "", "epochs"].max()
        whole = self.study.instances >= self.study.file.instances and self.study.factors.get("epochs", 1) >= 1
        if (SHIPPED / f"{self.study.name}.yaml").exists():  # a file of its name may be another
            shipped = load_study(str(SHIPPED / f"{self.study.name}.yaml"))
            longest = max(run.recipe.epochs for run in shipped.runs() if not run.parent)
            whole = self.study.instances >= shipped.instances and epochs >= longest
        name = "paper" if whole else self.study.scale or "as written"
        seeds = len(self.study.file.seeds)
        return f"{name}: {self.study.instances} × {epochs}" + (f", {seeds} seeds" if seeds > 1 else "")


def compare(study: str | None = None, store: str | Path = "results", scale: str | None = None) -> pd.DataFrame:
    """A row per published number: what, paper, place, published, bound, quantity, ours, low, high, run_at, verdict, …

    study: the name or path of a study, whose numbers alone are taken; None takes all. ours, low and high are NaN
    and run_at is empty where our counterpart has not been run. Raises AmcError for a study without published
    numbers, and for one that cannot be loaded.
    """
    name = None if study is None else study_name(study)
    chosen = [entry for entry in PUBLISHED if name in (None, entry.study)]
    if not chosen:
        known = ", ".join(sorted({entry.study for entry in PUBLISHED if entry.study}))
        raise AmcError(f"study {study!r} has no published numbers: these have ({known})")
    tables: dict[str | None, Tables | None] = {None: None}
    rows = []
    for entry in chosen:
        if entry.study not in tables:
            tables[entry.study] = _tables(entry.study if study is None else study, store, scale, study is None)
        held = tables[entry.study]
        try:
            ours = measure(entry, held) if held is not None else None
        except NotRun:
            ours = None
        value, low, high = ours or (math.nan,) * 3
        sizes = "any scale" if entry.quantity in _OF_THE_NETWORK else held.scale if ours else ""
        rows.append(
            {
                **{name: getattr(entry, name) for name in ("what", "paper", "place")},
                "published": entry.value,
                **{name: getattr(entry, name) for name in ("bound", "quantity")},
                **{"ours": value, "low": low, "high": high, "run_at": sizes if ours else ""},
                "verdict": verdict(entry, ours),
                **{"study": entry.study or "", "quote": entry.quote, "note": entry.note},
            }
        )
    return pd.DataFrame(rows)


def _tables(study: str, store: str | Path, scale: str | None, all_studies: bool) -> Tables | None:
    """None for one of all studies whose recording is not there."""
    try:
        return Tables(load_study(study, scale), store)
    except AmcError:
        if all_studies and "radioml" in study:
            return None
        raise


def verdict(entry: Published, ours: Interval | None) -> str:
    """How the published number, give or take its tolerance, and our interval go together.

    "agrees": it lies within the interval or, of a bound, the interval lies on its right side. "direction agrees": the
    sizes differ, and a difference has the published sign beyond doubt. "undecided": the interval is so wide that
    the opposite could be true as well. "differs". "not run".
    """
    if ours is None:
        return "not run"
    published, (_, low, high) = entry.value, ours
    if entry.quantity == "offset":
        published, low, high = (math.log10(value) for value in (published, low, high))
    tolerance = 0 if entry.quantity == "parameters" else entry.tolerance
    sure_sign = low > 0 or high < 0
    signed = entry.quantity in _DIFFERENCES and abs(published) > tolerance
    agrees = "undecided" if signed and not sure_sign else "agrees"
    if entry.bound == "about":
        if low - tolerance <= published <= high + tolerance:
            return agrees
    else:
        side = 1 if entry.bound == "at least" else -1
        nearest, farthest = sorted((side * low, side * high))
        bound = side * published - (tolerance if published else 0)  # 0 says "more" or "less", and has no rounding
        if nearest >= bound or farthest >= bound:
            return agrees if nearest >= bound else "undecided"
    same_sign = sure_sign and published != 0 and (low > 0) == (published > 0)
    return "direction agrees" if entry.quantity in _DIFFERENCES and same_sign else "differs"


def measure(entry: Published, tables: Tables) -> Interval:
    """Our counterpart of a published number; raises NotRun where rows that it is made of are missing."""
    return _MEASURES[entry.quantity](entry, tables)


def selected(table: pd.DataFrame, filters: Filters) -> pd.DataFrame:
    """The rows with these values; raises NotRun unless every one of the values is there."""
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


def _pooled(cells: pd.DataFrame) -> tuple[float, float]:
    return float(cells["correct"].sum()), float(cells["n"].sum())


def _accuracy(entry: Published, tables: Tables) -> Interval:
    correct, n = _pooled(selected(tables.cells, entry.rows))
    low, high = wilson(correct, n)
    return correct / n, float(low), float(high)


def _difference(entry: Published, tables: Tables) -> Interval:
    """Drop or gain; of those along `over`, the largest."""
    sign = -1 if entry.quantity == "gain" else 1
    found = []
    for rows, against in _pairs(entry):
        own, other = _pooled(selected(tables.cells, rows)), _pooled(selected(tables.cells, against))
        drop, (low, high) = other[0] / other[1] - own[0] / own[1], difference(*own, *other)
        found.append((drop, float(low), float(high)) if sign > 0 else (-drop, -float(high), -float(low)))
    return max(found)


def _pairs(entry: Published) -> Iterator[tuple[Filters, Filters]]:
    """Rows and what they are compared with, for every value along `over`; where both have a list there, in step."""
    if entry.over is None:
        yield entry.rows, entry.against
        return
    for value in entry.rows[entry.over]:
        in_step = isinstance(entry.against.get(entry.over), list)
        yield entry.rows | {entry.over: value}, entry.against | ({entry.over: value} if in_step else {})


def _relative_gain(entry: Published, tables: Tables) -> Interval:
    """Ratio of two accuracies less 1; its interval by the logarithm (Katz et al. 1978)."""
    (a, n), (b, m) = (_pooled(selected(tables.cells, filters)) for filters in (entry.rows, entry.against))
    if not a or not b:
        return math.nan, math.nan, math.nan
    ratio, error = (a / n) / (b / m), math.sqrt(1 / a - 1 / n + 1 / b - 1 / m)
    return tuple(ratio * math.exp(z * error) - 1 for z in (0, -1.96, 1.96))


def _snr_gain(entry: Published, tables: Tables) -> Interval:
    """Horizontal distance of two accuracy curves in dB, over accuracies that both reach; its interval by bootstrap."""
    sides = [accuracy_by(selected(tables.cells, rows), ["snr_db"]) for rows in (entry.rows, entry.against)]
    summary = max if entry.quantity == "largest_snr_gain" else np.mean
    value = _distance([(side["snr_db"], side["accuracy"]) for side in sides], summary)
    draws, rng = [], np.random.default_rng(0)
    for _ in range(1000):
        drawn = [(side["snr_db"], rng.binomial(side["n"], side["accuracy"]) / side["n"]) for side in sides]
        draws.append(_distance(drawn, summary))
    if np.isnan(value) or np.isnan(draws).all():
        return math.nan, math.nan, math.nan
    low, high = np.nanquantile(draws, [0.025, 0.975])
    return value, float(low), float(high)


def _distance(curves: list[tuple[pd.Series, pd.Series]], summary: Callable) -> float:
    """How many dB the first curve (SNRs, accuracies) lies before the second; NaN where they share no accuracy."""
    low, high = max(y.min() for _, y in curves), min(y.max() for _, y in curves)
    if not low < high:
        return math.nan
    own, other = ((x.to_numpy(float), y.to_numpy(float)) for x, y in curves)
    targets = np.linspace(low, high, 22)[1:-1]
    return float(summary([first_at(*other, target) - first_at(*own, target) for target in targets]))


def _only(values: pd.Series) -> float:
    if values.nunique() != 1:
        raise NotRun
    return float(values.iloc[0])


def _parameters(entry: Published, tables: Tables) -> Interval:
    return (_only(selected(tables.runs, entry.rows)["parameters"]),) * 3


def _parameter_ratio(entry: Published, tables: Tables) -> Interval:
    own, other = (_only(selected(tables.runs, filters)["parameters"]) for filters in (entry.rows, entry.against))
    return (other / own,) * 3


def _on_gpu(tables: Tables, filters: Filters) -> pd.DataFrame:
    """Epochs with these values, of runs on a GPU: the papers' times are of one."""
    on_gpu = tables.runs.loc[tables.runs["device"] != "cpu", "run"]
    epochs = tables.epochs
    return selected(epochs[epochs["run"].isin(on_gpu)], filters)


def _speed_ratio(entry: Published, tables: Tables) -> Interval:
    own, other = (_on_gpu(tables, filters)["instances_per_second"] for filters in (entry.rows, entry.against))
    return (own.median() / other.median(),) * 3


def _epoch_seconds(entry: Published, tables: Tables) -> Interval:
    return (float((entry.instances / _on_gpu(tables, entry.rows)["instances_per_second"]).median()),) * 3


def _offset(entry: Published, tables: Tables) -> Interval:
    """The smallest |Δf| at which `share` of the accuracy above chance is lost, infinite where it never is."""
    cells = selected(tables.cells, entry.rows)
    cells = cells.assign(offset=cells["test_relative_carrier_offset"].astype(float).abs())
    curve, chance = accuracy_by(cells, ["offset"]), 1 / cells["classes"].max()
    lost = (curve["accuracy"].iloc[0] - curve["accuracy"]) / (curve["accuracy"].iloc[0] - chance)
    at = curve["offset"][lost >= entry.share]
    value = math.nan if curve["accuracy_low"].iloc[0] <= chance else float(at.min()) if len(at) else math.inf
    return value, value, value


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

_FORMATS = {
    **dict.fromkeys(("accuracy", "drop", "gain", "relative_gain"), (100, ".1f", " %")),
    **dict.fromkeys(("snr_gain", "largest_snr_gain"), (1, ".1f", " dB")),
    **dict.fromkeys(("parameter_ratio", "speed_ratio"), (1, ".3g", " ×")),
    "parameters": (1, ",.0f", ""),
    "epoch_seconds": (1, ".3g", " s"),
    "offset": (1, ".0e", ""),
}


def in_words(row: dict) -> tuple[str, str]:
    """A published number and ours with its interval, as a table shows them."""
    factor, form, unit = _FORMATS[row["quantity"]]
    value, ours, low, high = (format(factor * row[name], form) for name in ("published", "ours", "low", "high"))
    signs = {"at most": "<" if row["published"] == 0 else "≤", "at least": ">" if row["published"] == 0 else "≥"}
    sign = f"{signs[row['bound']]} " if row["bound"] in signs else ""
    if row["verdict"] == "not run":
        return f"{sign}{value}{unit}", ""
    return f"{sign}{value}{unit}", f"{ours}{unit}" + (f" [{low}, {high}]" if row["low"] < row["high"] else "")
