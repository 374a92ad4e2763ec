"""Our results beside the published ones: which numbers of the two papers do our runs reproduce, and at what scale?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from amc_core.errors import AmcError
from analysis.measures import NotRun, measure
from analysis.published import PUBLISHED, Published
from analysis.results import Results
from sweeps.study import SHIPPED, Study, load_study, study_name
from sweeps.study.file import read_content

_DIFFERENCES = ("drop", "gain", "relative_gain", "snr_gain", "largest_snr_gain")
_DECADES = 2  # an offset with a wider interval counts as unknown
_OF_THE_NETWORK = ("parameters", "parameter_ratio")  # independent of the scale


def compare(study: str | None = None, store: str | Path = "results", scale: str | None = None) -> pd.DataFrame:
    """A row per published number: what, paper, place, published, bound, quantity, ours, low, high, run_at, verdict, …

    study: the name or path of a study, to which the comparison is limited; None takes all. If our counterpart has not
    been run, ours, low and high are NaN and run_at is empty. Raises AmcError for a study without published numbers, and
    for one that cannot be loaded.
    """
    name = None if study is None else study_name(study)
    chosen = [entry for entry in PUBLISHED if name in (None, entry.study)]
    if not chosen:
        known = ", ".join(sorted({entry.study for entry in PUBLISHED if entry.study}))
        raise AmcError(f"study {study!r} has no published numbers; studies with published numbers: {known}")
    studies = dict.fromkeys(entry.study for entry in chosen)
    parts = [
        compared([entry for entry in chosen if entry.study == own], _results(study or own, store, scale, study is None))
        for own in studies
    ]
    return pd.concat(parts, ignore_index=True)


def compared_studies(study: str | None, store: str | Path, scale: str | None) -> list[Results]:
    """The results of the studies that `compare` compares."""
    names = [study] if study else dict.fromkeys(entry.study for entry in PUBLISHED)
    candidates = (_results(name, store, scale, study is None) for name in names)
    return [results for results in candidates if results is not None]


def compared(numbers: Sequence[Published], results: Results | None) -> pd.DataFrame:
    """As `compare`, for the numbers of one study; results: of that study, None if there can be none."""
    rows = []
    for entry in numbers:
        try:
            ours = measure(entry, results) if results is not None else None
        except NotRun:
            ours = None
        value, low, high, seeds, spread = ours or (math.nan, math.nan, math.nan, 0, math.nan)
        sizes = "any scale" if entry.quantity in _OF_THE_NETWORK else sizes_of(results) if ours else ""
        rows.append(
            {
                **{name: getattr(entry, name) for name in ("what", "paper", "place")},
                "published": entry.value,
                **{name: getattr(entry, name) for name in ("bound", "quantity")},
                **{"ours": value, "low": low, "high": high, "run_at": sizes if ours else ""},
                **{"seeds": seeds, "spread": spread, "verdict": verdict(entry, ours)},
                **{"study": entry.study or "", "quote": entry.quote, "note": entry.note},
            }
        )
    return pd.DataFrame(rows)


def by_chance(rows: pd.DataFrame) -> tuple[int, float]:
    """How many verdicts rest on an interval, and how many of these are expected to be wrong by chance, at 95 % each."""
    resting = int(((rows["low"] < rows["high"]) & ~rows["verdict"].isin(["not run", "no verdict"])).sum())
    return resting, 0.05 * resting


def sizes_of(results: Results) -> str:
    """The scale's name, instances (of a modulation and SNR) × epochs (of the longest recipe), and seeds."""
    study, runs = results.study, results.runs
    epochs = runs.loc[runs["ancestors"] == 0, "epochs"].max()
    whole = study.instances >= study.file.instances and study.factors.get("epochs", 1) >= 1
    if (SHIPPED / f"{study.name}.yaml").exists():  # the user's file of this name may differ
        shipped = _shipped(study.name)
        longest = max(run.recipe.epochs for run in shipped.runs() if not run.parent)
        whole = study.instances >= shipped.instances and epochs >= longest
    name = "paper" if whole else study.scale or "as written"
    seeds = len(study.file.seeds)
    return f"{name}: {study.instances} × {epochs}" + (f", {seeds} seeds" if seeds > 1 else "")


def _shipped(name: str) -> Study:
    """A shipped study; if its recording is missing, the study with simulated instances instead."""
    path = SHIPPED / f"{name}.yaml"
    try:
        return load_study(path)
    except AmcError:
        content = read_content(path)
        return load_study({key: value for key, value in content.items() if key not in ("train", "test")})


def _results(study: str | None, store: str | Path, scale: str | None, all_studies: bool) -> Results | None:
    """The results of a study; None for no study, and, among all studies, for one whose recording is missing."""
    if study is None:
        return None
    try:
        return Results(study, store, scale)
    except AmcError:
        if all_studies and "radioml" in study:
            return None
        raise


def verdict(entry: Published, ours: Sequence[float] | None) -> str:
    """The agreement of a published number, within its tolerance, with our interval.

    "agrees": the number lies in the interval; a published bound agrees if the interval lies on its correct side.
    "direction agrees": the sizes differ, but our interval has the published sign. "undecided": the interval is so wide
    that the opposite could be true too. "differs": none of these. "not run": we have no counterpart. "no verdict": the
    number is the largest of many gains, which is biased upwards.
    """
    if ours is None:
        return "not run"
    if entry.quantity == "largest_snr_gain":
        return "no verdict"
    published, (low, high) = entry.value, ours[1:3]
    if entry.quantity == "offset":
        published, low, high = (math.log10(value) for value in (published, low, high))
        if high - low > _DECADES:
            return "undecided"
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
        bound = side * published - (tolerance if published else 0)  # 0 stands for "more" or "less", and is not rounded
        if nearest >= bound or farthest >= bound:
            return agrees if nearest >= bound else "undecided"
    same_sign = sure_sign and published != 0 and (low > 0) == (published > 0)
    return "direction agrees" if entry.quantity in _DIFFERENCES and same_sign else "differs"


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
