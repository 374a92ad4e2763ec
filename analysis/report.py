"""The report of a study: one HTML file with its counts and the page that shows them, which needs nothing else.

`page/page.html` is the frame, `page/page.css` the looks and `page/*.js` the behaviour; all go into the file, together
with the data as JSON. Whole arrays of it are deflated, see `_packed`.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import zlib
from collections.abc import Hashable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from amc_core.errors import AmcError
from amc_core.identity import VERSION
from amc_core.models import MODELS, validate_hyperparameters
from amc_core.run import PARTS
from amc_core.scenario import SCENARIO_FIELDS, Scenario
from analysis.compare import compare, in_words
from analysis.pivots import wilson
from analysis.published import PUBLISHED
from analysis.tables import RECIPE, TEST, TRAIN, load
from sweeps.search import proposed
from sweeps.store import Store
from sweeps.study import SCALES, SHIPPED, SUFFIXES, Study, load_study, run_command, shipped

# Characters that the confusion counts of a page may take; those of a study that does not fit are left out.
LARGEST_CONFUSION = 10_000_000

_PAGE = Path(__file__).parent / "page"
_SCRIPTS = ("data.js", "map.js", "curves.js", "page.js")
_OF_RUN = ["model", "hyperparameters", "start", *TRAIN, "classes", "instances", "length", *RECIPE, "seed"]
_OF_TEST = [*TEST, "test_length"]
_LEARNING = ["train_loss", "validation_loss", "train_accuracy", "validation_accuracy"]

# What scenario fields are called on the page, where their name with blanks does not say it all.
_CALLED = {
    "upsampling": "samples per symbol L",
    "rolloff": "roll-off α",
    "timing_offset": "timing offset, symbols",
    "phase_offset": "phase offset, rad",
    "carrier_offset": "carrier offset, Hz",
    "relative_carrier_offset": "carrier offset, cycles per sample",
    "sample_rate_offset": "sample-rate offset, ppm",
    "start": "started from a run with",
}
_SYMBOLS = {"upsampling": "L", "rolloff": "α", "sample_rate": "f_s", "start": "start"}  # for narrow headings


def write(path: str | Path, store: str | Path, studies: Sequence[tuple[str, Study]]) -> Path:
    """Write the report of studies as one HTML file, and return its path.

    store: directory. studies: what each is called on the command line (a path or a shipped name), and the study.
    Raises AmcError for a study of which the store holds no cells.
    """
    room, told = LARGEST_CONFUSION, []
    for name, study in studies:
        told.append(study_data(name, study, store, room))
        room -= sum(len(pack["data"]) for pack in told[-1]["confusion"] or ())
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_page(told), encoding="utf-8")
    return path


def found(store: str | Path, scale: str | None = None) -> list[tuple[str, Study]]:
    """The shipped studies, and the study files of the working directory, of which a store holds cells.

    Each is taken at `scale`; without one, at every scale at which the store holds some. As in `write`, a study
    comes with what it is called on the command line.
    """
    place, taken = Store(store), {}
    listing = place.listing()
    present = listing.trained()
    for name in (*shipped(), *(str(path) for path in sorted(Path().iterdir()) if path.suffix in SUFFIXES)):
        try:
            written = load_study(name, scale)
        except AmcError:  # some other YAML file, or a study without such a scale
            continue
        scales = [] if scale else sorted({*SCALES, *written.file.scales})
        for study in (written, *(load_study(name, other) for other in scales)):
            study = proposed(study, place)
            cells = {run.key: {run.cell_key(test) for test in study.tests(run)} for run in study.runs()}
            runs = [key for key in cells if key in present]
            held = any(there & cells[key] for key, there in zip(runs, listing.cells(runs), strict=True))
            # Of two scales that set the same, the first is taken.
            identity = frozenset(cells), frozenset().union(*cells.values())
            if held and identity not in taken:
                taken[identity] = name, study
    if not taken:
        command = run_command(name, store, study.scale)
        raise AmcError(f"store {str(store)!r} holds no cells of {name}: '{command}' computes them")
    return list(taken.values())


def study_data(name: str, study: Study, store: str | Path, room: int = LARGEST_CONFUSION) -> dict:
    """What the page shows of one study, as plain values that JSON can hold.

    Cells are numbered run by run: "run", "trained" (in the setting of its test) and the codes of every field are
    arrays over cells, "n" and "correct" over cells × SNRs. "confusion" has, of every run, an array over its cells ×
    SNRs × sent × recognised; it is None where these would take more than `room` characters. Raises AmcError where
    the store holds no cells of the study.
    """
    study = proposed(study, Store(store))
    runs, cells = load("runs", store, study), load("cells", store, study)
    if cells.empty:
        command = run_command(name, store, study.scale)
        raise AmcError(f"store {str(store)!r} holds no cells of {name}: '{command}' computes them")
    runs = runs.sort_values("model", key=lambda models: models.map(list(MODELS).index), kind="stable")
    place = {key: i for i, key in enumerate(runs["run"])}
    each = cells.drop_duplicates("cell").sort_values("run", key=lambda keys: keys.map(place), kind="stable")
    each = each.reset_index(drop=True)
    snrs = np.unique(cells["snr_db"].to_numpy(float))
    where = cells["cell"].map(pd.Series(each.index, each["cell"])), np.searchsorted(snrs, cells["snr_db"])
    n, correct = np.zeros((2, len(each), len(snrs)), int)
    n[where], correct[where] = cells["n"], cells["correct"]
    trained, unseen = ((each["setting"] == name).to_numpy() for name in ("trained", "unseen"))
    each["hyperparameters"] = _telling_hyperparameters(each)
    fields = [_field(each, column) for column in (*_OF_RUN, *_OF_TEST) if _varies(each, column)]
    confusion, characters = _confusion(store, runs, each, snrs, room)
    file, dataset = study.file, study.runs()[0].dataset
    return {
        "name": study.name,
        "scale": study.scale,
        "description": file.description.strip(),
        "command": run_command(name, store, study.scale),
        "load": {"store": str(store), "study": name, "scale": study.scale},
        "source": _source(name),
        "modulations": list(file.modulations),
        "snrs": snrs.tolist(),
        "instances": study.instances,
        "parts": {part: len(dataset.indices(part)) for part in PARTS},
        "lengths": list(file.length),
        "seeds": list(file.seeds),
        "fixed": _fixed(each),
        "total": {"runs": len(study.runs()), "cells": sum(len(study.tests(run)) for run in study.runs())},
        "summary": _summary(each, fields, trained, unseen, n.sum(axis=1), correct.sum(axis=1), runs),
        "fields": [field | {"codes": _packed(field["codes"])} for field in fields],
        "runs": _runs(runs, fields, each, load("epochs", store, study)),
        "cells": each["cell"].tolist(),
        "run": _packed(each["run"].map(place).to_numpy()),
        "trained": _packed(trained),
        "n": _packed(n),
        "correct": _packed(correct),
        "confusion": confusion,
        "confusion_characters": characters,
        "comparison": _comparison(name, study, store),
    }


def _page(studies: list[dict]) -> str:
    frame, style, *scripts = (
        (_PAGE / name).read_text(encoding="utf-8") for name in ("page.html", "page.css", *_SCRIPTS)
    )
    script = "\n".join(scripts)
    content = {"version": _version(), "definitions": VERSION, "largest": LARGEST_CONFUSION, "studies": studies}
    # With "<" written as an escape, no text of a study can end the element that holds it.
    data = json.dumps(content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    title = "Report: " + ", ".join(dict.fromkeys(study["name"] for study in studies))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return Template(frame).substitute(
        title=html.escape(title if len(title) < 80 else title[:79] + "…"),
        policy=f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'",
        style=style,
        data=data,
        script=script,
    )


def _version() -> str:
    try:
        return version("amc-sweeps")
    except PackageNotFoundError:  # run from its files
        return "not installed"


def _source(name: str) -> str:
    path = Path(name)
    return (path if path.is_file() else SHIPPED / f"{name}.yaml").read_text(encoding="utf-8")


def _varies(each: pd.DataFrame, column: str) -> bool:
    """Does a column take several values, those that follow from the model alone left aside?"""
    by = each.groupby("model") if column != "model" else each
    return np.max(by[column].nunique(dropna=False)) > 1


def _fixed(each: pd.DataFrame) -> list[str]:
    """What of the scenarios is the same everywhere, but for offsets of zero and what has its default."""
    usual, told = Scenario().columns(), []
    for name in SCENARIO_FIELDS:
        sides = [f"{side}_{name}" for side in ("train", "test") if not _varies(each, f"{side}_{name}")]
        values = {column: each[column].iloc[0] for column in sides}
        values = {column: value for column, value in values.items() if value == value and value != ""}
        if name not in ("channel", "upsampling", "rolloff", "sample_rate"):  # told even at their default
            values = {column: value for column, value in values.items() if value != usual[name]}
        if len(values) == 2 and len(set(values.values())) == 1:
            told.append(f"{_CALLED.get(name, name.replace('_', ' '))} {_told(name, values[f'train_{name}'])}")
        else:
            told += [f"{_label(column)} {_told(column, value)}" for column, value in values.items()]
    return told


def _telling_hyperparameters(each: pd.DataFrame) -> pd.Series:
    """Hyperparameters as "blocks=4", those alone in which runs of the model differ."""
    told = {}
    for model, texts in each.groupby("model")["hyperparameters"]:
        given = {text: validate_hyperparameters(model, json.loads(text)) for text in texts.unique()}
        names = sorted({name for values in given.values() for name in values})
        differing = [name for name in names if len({str(values[name]) for values in given.values()}) > 1]
        for text, values in given.items():
            told[model, text] = ", ".join(f"{name}={values[name]}" for name in differing)
    return pd.Series([told[pair] for pair in zip(each["model"], each["hyperparameters"], strict=True)], each.index)


def _field(each: pd.DataFrame, column: str) -> dict:
    """An axis of the heat map: its values in words, in order, and which of them every cell has."""
    values = [None if value != value else value for value in each[column].tolist()]
    order = sorted(dict.fromkeys(values), key=lambda value: _rank(column, value))
    codes = {value: code for code, value in enumerate(order)}
    side = "test" if column in _OF_TEST else "train"
    told = [_told(column, value) for value in order]
    names = {"name": column, "label": _label(column), "short": _label(column, _SYMBOLS)}
    return names | {"side": side, "values": told, "codes": [codes[value] for value in values]}


def _rank(column: str, value: Hashable) -> tuple:
    """Numbers, then texts, then what is not known; models as in the registry."""
    if column == "model":
        return (list(MODELS).index(value),)
    return value is None, isinstance(value, str), value if value is not None else 0


def _label(column: str, called: Mapping[str, str] = _CALLED) -> str:
    side, _, field = column.partition("_")
    if column in (*TRAIN, *_OF_TEST):
        side = "training" if side == "train" and called is _CALLED else side
        return f"{side} {called.get(field, field.replace('_', ' '))}"
    return called.get(column, column.replace("_", " "))


def _told(column: str, value: Any) -> str:
    if value is None or value != value or value == "":
        return "–"
    if column == "model":
        return MODELS[value].title
    if column.endswith("sample_rate") and isinstance(value, float):
        return f"{value / 1e3:g} kHz"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _summary(
    each: pd.DataFrame,
    fields: list[dict],
    trained: np.ndarray,
    unseen: np.ndarray,
    n: np.ndarray,
    correct: np.ndarray,
    runs: pd.DataFrame,
) -> list[dict]:
    """Of every model: runs, time, and the pooled accuracy where trained, unseen, and best and worst unseen."""
    codes = pd.DataFrame({field["name"]: field["codes"] for field in fields if field["name"] != "seed"}, each.index)
    counts = codes.rename(columns={"model": "model_code"}).assign(model=each["model"], n=n, correct=correct)
    rows = []
    for model in runs["model"].unique():
        of_model = (each["model"] == model).to_numpy()
        own, unseen_counts = counts[of_model], counts[of_model & unseen]
        by = [name for name in codes if name != "model"]
        settings = unseen_counts.groupby(by)[["n", "correct"]].sum().reset_index() if by else unseen_counts
        accuracy = settings["correct"] / settings["n"]
        code = {"model": int(own["model_code"].iloc[0])} if "model" in codes else {}
        extremes = {"best": accuracy.idxmax(), "worst": accuracy.idxmin()} if len(settings) else {}
        own_runs = runs[runs["model"] == model]
        rows.append(
            {
                "model": MODELS[model].title,
                "runs": len(own_runs),
                "seconds": float(own_runs["seconds"].sum()),
                "parameters": sorted({int(value) for value in own_runs["parameters"].dropna()}),
                "trained": _proportion(counts[of_model & trained]),
                "unseen": _proportion(unseen_counts),
                **{
                    name: _proportion(settings.loc[[i]])
                    | {"where": {name: int(settings.at[i, name]) for name in by} | code}
                    for name, i in extremes.items()
                },
            }
        )
    return rows


def _proportion(counts: pd.DataFrame) -> dict | None:
    n, correct = int(counts["n"].sum()), int(counts["correct"].sum())
    if not n:
        return None
    low, high = wilson(np.array(float(correct)), np.array(float(n)))
    return {"n": n, "correct": correct, "accuracy": correct / n, "low": float(low), "high": float(high)}


def _runs(runs: pd.DataFrame, fields: list[dict], each: pd.DataFrame, epochs: pd.DataFrame) -> list[dict]:
    """A row of the table of runs each, with the learning curves."""
    first = each.drop_duplicates("run").set_index("run").index  # a cell of every run tells its settings
    cell_of = dict(zip(first, each.index[~each["run"].duplicated()], strict=True))
    curves = {key: rows for key, rows in epochs.groupby("run", sort=False)}
    told = []
    for run in runs.itertuples():
        curve, cell = curves.get(run.run, epochs[:0]), cell_of.get(run.run)
        told.append(
            {
                "key": run.run,
                "model": MODELS[run.model].title,
                "seed": run.seed,
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
                "device": run.device,
                "torch": run.torch,
                "finished": "" if pd.isna(run.finished_at) else run.finished_at.strftime("%Y-%m-%d %H:%M"),
                "parent": run.parent,
                "curves": {"epoch": curve["epoch"].tolist()} | {name: _short(curve[name]) for name in _LEARNING},
            }
        )
    return told


def _short(values: pd.Series) -> list[float | None]:
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in values.astype(float)]


def _confusion(
    store: str | Path, runs: pd.DataFrame, each: pd.DataFrame, snrs: np.ndarray, room: int
) -> tuple[list[dict] | None, int]:
    """Confusion counts of every run, (its cells, SNRs, sent, recognised), and the characters they take."""
    packs, characters = [], 0
    for key, side in zip(runs["run"], runs["classes"], strict=True):
        cells = {cell: i for i, cell in enumerate(each["cell"][each["run"] == key])}
        counts = None
        for table in Store(store).cell_tables([key], ["cell", "snr_db", "test_modulations", "confusion"]):
            table = table.filter(pc.is_null(table["test_modulations"]))  # others have rows of their own
            squares = table["confusion"].combine_chunks()
            if counts is None:
                counts = np.zeros((len(cells), len(snrs), side, side), int)
            own = np.array([cell in cells for cell in table["cell"].to_pylist()], bool)
            rows = [cells[cell] for cell in table["cell"].to_pylist() if cell in cells]
            levels = np.searchsorted(snrs, table["snr_db"].to_numpy()[own])
            counts[rows, levels] = squares.flatten().to_numpy().reshape(-1, side, side)[own]
        packs.append(_packed(np.zeros(0) if counts is None else counts))
        characters += len(packs[-1]["data"])
    return (packs if characters <= room else None), characters


def _packed(values: Sequence[int] | np.ndarray) -> dict:
    """Counts as the narrowest unsigned integers that hold them, little-endian, deflated, in base64."""
    values = np.asarray(values)
    largest = int(values.max(initial=0))
    kind = next(kind for kind in ("uint8", "uint16", "uint32") if largest <= np.iinfo(kind).max)
    raw = values.astype(np.dtype(kind).newbyteorder("<")).tobytes()
    return {"type": kind, "data": base64.b64encode(zlib.compress(raw, 9)).decode()}


def _comparison(name: str, study: Study, store: str | Path) -> list[dict] | None:
    """What the papers report of a study beside our numbers, as `amc compare` shows it; None for any other study."""
    if study.name not in {entry.study for entry in PUBLISHED}:
        return None
    rows = compare(name, store, study.scale).to_dict("records")
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
