"""The data of a study for the page, as plain values."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from amc_core.models import model_order, model_title
from amc_core.run import PARTS
from amc_core.statistics import bonferroni
from analysis.columns import PROCESS
from analysis.compare import compared, in_words
from analysis.limits import limits_of
from analysis.pooling import accuracy_of, pool
from analysis.published import PUBLISHED
from analysis.report.fields import OF_RUN, OF_TEST, field_of, fixed_in_words, telling_hyperparameters, varies
from analysis.report.search import search_data
from analysis.results import Results
from sweeps.study import SHIPPED, run_command

_MOST_BITS = 1_000_000  # characters that the outcomes of single instances may take
_LEARNING = ["train_loss", "validation_loss", "train_accuracy", "validation_accuracy"]


def study_data(name: str, results: Results, room: int, limit: bool = False) -> dict:
    """The data of one study for the page, as plain values that JSON can hold.

    Cells are numbered run by run: "run", "trained" (in the setting of its test), "test" (equal for equal instances)
    and the codes of every field are arrays over cells, "n" and "correct" over cells × SNRs. "confusion" has, for every
    run, an array over its cells × SNRs × sent × recognised; it is None if these would take more than `room` characters.
    "limit" has the upper bound of any classifier over cells × SNRs, if `limit` is true. Raises AmcError if the store
    holds no cells of the study.
    """
    study, runs, cells = results.study, results.runs, results.require_cells(name)
    runs = runs.sort_values("model", key=lambda models: models.map(model_order), kind="stable")
    order = {key: i for i, key in enumerate(runs["run"])}
    each = cells.drop_duplicates("cell").sort_values("run", key=lambda keys: keys.map(order), kind="stable")
    each = each.reset_index(drop=True)
    snrs = np.unique(cells["snr_db"].to_numpy(float))
    where = cells["cell"].map(pd.Series(each.index, each["cell"])), np.searchsorted(snrs, cells["snr_db"])
    n, correct = np.zeros((2, len(each), len(snrs)), int)
    n[where], correct[where] = cells["n"], cells["correct"]
    trained = (each["setting"] == "trained").to_numpy()
    each["hyperparameters"] = telling_hyperparameters(each)
    fields = [field_of(each, column) for column in (*OF_RUN, *OF_TEST) if varies(each, column)]
    confusion, characters = _confusion(results, runs["run"], each, snrs, room)
    store = str(results.store.path)
    file, dataset = study.file, study.runs()[0].dataset
    return {
        "name": study.name,
        "scale": study.scale,
        "description": file.description.strip(),
        "command": run_command(name, store, study.scale),
        "load": {"store": store, "study": name, "scale": study.scale},
        "source": _source(name),
        "modulations": list(file.modulations),
        "snrs": [None if level != level else level for level in snrs.tolist()],  # None: unknown
        "instances": study.instances,
        "parts": {part: len(dataset.indices(part)) for part in PARTS},
        "lengths": list(file.length),
        "seeds": list(file.seeds),
        "fixed": fixed_in_words(each),
        "total": {"runs": len(study.runs()), "cells": sum(len(study.tests(run)) for run in study.runs())},
        "summary": _summary(cells, each, fields, runs),
        "fields": [field | {"codes": packed(field["codes"])} for field in fields],
        "runs": _runs(runs, fields, each, results.epochs),
        "cells": each["cell"].tolist(),
        "run": packed(each["run"].map(order).to_numpy()),
        "trained": packed(trained),
        "test": packed(each.groupby([*OF_TEST, "test_modulation_set", "test_instances"], dropna=False).ngroup()),
        "n": packed(n),
        "correct": packed(correct),
        "confusion": confusion,
        "confusion_characters": characters,
        "limit": _limits(results, cells, where, n.shape) if limit else None,
        "right": _right(results, each, n, room - characters),
        "comparison": _comparison(results),
        "search": search_data(results),
    }


def _source(name: str) -> str:
    path = Path(name)
    return (path if path.is_file() else SHIPPED / f"{name}.yaml").read_text(encoding="utf-8")


def _summary(cells: pd.DataFrame, each: pd.DataFrame, fields: list[dict], runs: pd.DataFrame) -> list[dict]:
    """For every model: runs, time, and accuracy in trained, in unseen, and in the best and worst unseen settings."""
    index = pd.Series(each.index, each["cell"])[cells["cell"]].to_numpy()
    codes = {
        field["name"]: np.array(field["codes"])[index] for field in fields if field["name"] not in ("model", "seed")
    }
    models = next((field for field in fields if field["name"] == "model"), None)
    coded = cells.assign(**{f"code {name}": values for name, values in codes.items()})
    rows = []
    for model in runs["model"].unique():
        own, own_runs = coded[(coded["model"] == model) & (coded["n"] > 0)], runs[runs["model"] == model]
        code = {"model": models["values"].index(model_title(model))} if models else {}
        trained, unseen = (own[own["setting"] == name] for name in ("trained", "unseen"))
        rows.append(
            {
                "model": model_title(model),
                "runs": len(own_runs),
                "seconds": float(own_runs["seconds"].sum()),
                "parameters": sorted({int(value) for value in own_runs["parameters"]}),
                "trained": _accuracy(trained),
                "unseen": _accuracy(unseen),
                **_extremes(unseen, list(codes), code),
            }
        )
    return rows


def _extremes(unseen: pd.DataFrame, names: list[str], code: dict[str, int]) -> dict[str, dict]:
    """The settings of highest and lowest accuracy; their intervals allow for the choice among all (Bonferroni)."""
    if unseen.empty:
        return {}
    settings = pool(unseen, [f"code {name}" for name in names]).table
    ends = {"best": settings["accuracy"].idxmax(), "worst": settings["accuracy"].idxmin()}
    extremes = {}
    for word, index in ends.items():
        where = {name: int(settings.at[index, f"code {name}"]) for name in names}
        rows = np.logical_and.reduce([unseen[f"code {name}"] == value for name, value in where.items()] or [True])
        chosen = unseen[rows] if names else unseen
        extremes[word] = _accuracy(chosen, bonferroni(0.95, len(settings))) | {"where": where | code}
    return extremes


def _accuracy(cells: pd.DataFrame, level: float = 0.95) -> dict | None:
    if cells.empty:
        return None
    pooled = pool(cells, [])
    low, high = (float(bound[0]) for bound in pooled.estimates(lambda block: accuracy_of(block, level))[1:])
    [row] = pooled.table.to_dict("records")
    counts = {name: int(row[name]) for name in ("n", "correct", "seeds")}
    return counts | {"accuracy": row["accuracy"], "low": low, "high": high}


def _runs(runs: pd.DataFrame, fields: list[dict], each: pd.DataFrame, epochs: pd.DataFrame) -> list[dict]:
    """An entry per row of the table of runs, with its learning curves."""
    first = each.drop_duplicates("run").set_index("run").index  # a cell of every run, which has the run's settings
    cell_of = dict(zip(first, each.index[~each["run"].duplicated()], strict=True))
    curves = {key: rows for key, rows in epochs.groupby("run", sort=False)}
    entries = []
    for run in runs.itertuples():
        curve, cell = curves.get(run.run, epochs[:0]), cell_of.get(run.run)
        entries.append(
            {
                "key": run.run,
                "model": model_title(run.model),
                "seed": run.seed,
                "weights": run.weights,
                "settings": [
                    None if cell is None else field["values"][field["codes"][cell]]
                    for field in fields
                    if field["side"] == "train" and field["name"] not in ("model", "seed")
                ],
                "parameters": _plain(run.parameters),
                "kept_epoch": _plain(run.kept_epoch),
                "epochs": len(curve),
                "validation_accuracy": _plain(run.validation_accuracy),
                "seconds": _plain(run.seconds),
                **{name: _plain(getattr(run, name)) for name in PROCESS},
                "started": _minute(run.started_at),
                "finished": _minute(run.finished_at),
                "parent": run.parent,
                "curves": {"epoch": curve["epoch"].tolist()} | {name: _short(curve[name]) for name in _LEARNING},
            }
        )
    return entries


def _limits(results: Results, cells: pd.DataFrame, where: tuple, shape: tuple[int, int]) -> list[list[float | None]]:
    """The limits over cells × SNRs, None if unknown. where: the indices of each row of the cells."""
    bounds = cells[["cell", "snr_db"]].merge(limits_of(results, cells), on=["cell", "snr_db"], how="left")["limit"]
    whole = np.full(shape, np.nan)
    whole[where] = bounds
    return [[None if bound != bound else round(bound, 4) for bound in row] for row in whole.tolist()]


def _minute(time: pd.Timestamp) -> str:
    return "" if pd.isna(time) else time.strftime("%Y-%m-%d %H:%M")


def _right(results: Results, each: pd.DataFrame, n: np.ndarray, room: int) -> dict | None:
    """Bits that say which instances were classified correctly, of all tested cells × SNRs one after another.

    None if that would take more than `room` characters, or if the store does not have them.
    """
    if 4 / 3 * n.sum() / 8 > min(room, _MOST_BITS):
        return None
    bits = results.table("cells", ["cell", "snr_db", "right"]).sort_values("snr_db", kind="stable")
    bits = bits.sort_values("cell", key=lambda cells: cells.map(pd.Series(each.index, each["cell"])), kind="stable")
    if bits["right"].isna().any():
        return None
    return packed(np.frombuffer(b"".join(bits["right"]), np.uint8))


def _short(values: pd.Series) -> list[float | None]:
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in values.astype(float)]


def _confusion(
    results: Results, keys: Sequence[str], each: pd.DataFrame, snrs: np.ndarray, room: int
) -> tuple[list[dict] | None, int]:
    """Confusion counts of every run, (its cells, SNRs, sent, recognised), and the characters that they take."""
    packs = {}
    for key, cells, levels, counts in results.matrices():
        own = each["cell"][each["run"] == key]
        whole = np.zeros((len(own), len(snrs), *counts.shape[1:]), int)
        whole[pd.Index(own).get_indexer(cells), np.searchsorted(snrs, levels)] = counts
        packs[key] = packed(whole)
    characters = sum(len(pack["data"]) for pack in packs.values())
    return ([packs[key] for key in keys] if characters <= room else None), characters


def packed(values: Sequence[int] | np.ndarray) -> dict:
    """Counts as the narrowest unsigned integers that hold them, little-endian, deflated, in base64."""
    values = np.asarray(values)
    largest = int(values.max(initial=0))
    kind = next(kind for kind in ("uint8", "uint16", "uint32") if largest <= np.iinfo(kind).max)
    raw = values.astype(np.dtype(kind).newbyteorder("<")).tobytes()
    return {"type": kind, "data": base64.b64encode(zlib.compress(raw, 9)).decode()}


def _comparison(results: Results) -> list[dict] | None:
    """The papers' numbers of a study beside ours, as `amc compare` shows them; None for a study without numbers."""
    numbers = [entry for entry in PUBLISHED if entry.study == results.study.name]
    if not numbers:
        return None
    rows = compared(numbers, results).to_dict("records")
    return [
        {"what": row["what"], "where": f"{row['paper']} {row['place']}"}
        | dict(zip(("published", "ours"), in_words(row), strict=True))
        | {"run at": row["run_at"], "verdict": row["verdict"], "in the paper's words": row["quote"]}
        for row in rows
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NaT or value != value:
        return None
    return value if isinstance(value, bool | int | float | str) else str(value)
