"""The table of runs, read from their records."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import cache

import pandas as pd

from amc_core.modulations import MODULATION_SETS
from amc_core.run import Recipe
from amc_core.scenario import scenario_from
from amc_core.settings import trained_in
from analysis.columns import COLUMNS, IDENTITY, OUTCOME, RECIPE, scenario_columns, sorted_rows
from sweeps.store import Store
from sweeps.study import Study


def read_runs(store: Store, study: Study | None) -> pd.DataFrame:
    """The table "runs" of a study, or of all that is there, with what `settings` needs of a run as column `descent`."""
    named = {run.key: study.stage_of(run) for run in study.runs()} if study else {}
    keys = sorted(named.keys() & store.trained() if study else store.trained())
    rows, chains, record_of = [], [], cache(store.run_record)  # runs share the records of what they start from
    for key in keys:
        record = record_of(key)
        chain = list(_chain(record_of, key))
        chains.append(chain[1:])
        # A run of before a field was added has its default.
        dataset, recipe = record["dataset"], asdict(Recipe()) | record["recipe"]
        rows.append(
            {
                "run": key,
                "model": record["model"],
                "hyperparameters": json.dumps(record["hyperparameters"], sort_keys=True),
                "seed": record["seed"],
                **scenario_columns("train", scenario_from(dataset["scenario"])),
                "classes": len(dataset["modulations"]),
                "modulation_set": modulation_set(dataset["modulations"]),
                **{name: dataset[name] for name in ("instances", "length")},
                "dataset_seed": dataset["seed"],
                **{name: recipe[name] for name in RECIPE},
                "start": _start(record, record_of(record["parent"])) if record["parent"] else "",
                "parent": record["parent"] or "",
                "stage": named.get(key, str(len(chain) - 1)),
                "ancestors": len(chain) - 1,
                "weights": _digest(record),
                **{name: record[name] for name in OUTCOME},
                "started_at": pd.Timestamp(record["started_at"]),
                "finished_at": pd.Timestamp(record["finished_at"]),
                "modulations": dataset["modulations"],
                "descent": [
                    trained_in(scenario_from(start["scenario"]), start["length"], how["min_length"])
                    for start, how in chain
                ],
            }
        )
    _tell_apart(rows, chains)
    return sorted_rows(pd.DataFrame(rows, columns=[*COLUMNS["runs"], "descent"]), [*IDENTITY, "run"])


def modulation_set(names: list[str]) -> str:
    """ "simple", "complex", …, or the names themselves."""
    return next((name for name, known in MODULATION_SETS.items() if list(known) == names), ", ".join(names))


def _start(record: dict, parent: dict) -> str:
    """In what the training scenario of a run's parent differed from its own, as "channel=awgn"."""
    own, start = (scenario_from(each["dataset"]["scenario"]).columns() for each in (record, parent))
    return ", ".join(f"{name}={start[name]}" for name in own if start[name] != own[name]) or "the same setting"


def _digest(record: dict) -> str:
    """What tells weights from any others: the first digits of their file's digest."""
    return record["files"]["weights"].partition("-")[2][:12]


def _chain(record_of: Callable[[str], dict], key: str | None) -> Iterator[tuple[dict, dict]]:
    """What a run and those that it descends from were trained on and how, without seeds: the nearest first."""
    while key:
        record = record_of(key)
        yield record["dataset"], asdict(Recipe()) | record["recipe"]
        key = record["parent"]


def _tell_apart(rows: list[dict], chains: list[list[tuple[dict, dict]]]) -> None:
    """Where runs have the same `start` and their parents differ otherwise than in the seed, say in what."""
    alike = defaultdict(list)
    for row, chain in zip(rows, chains, strict=True):
        if chain:
            alike[row["start"]].append((row, chain[0][1], json.dumps(chain, sort_keys=True)))
    for group in alike.values():
        varying = [name for name in RECIPE if len({str(recipe[name]) for _, recipe, _ in group}) > 1]
        meant = defaultdict(set)  # text → descents that it stands for
        for row, recipe, descent in group:
            row["start"] += "".join(f", {name}={recipe[name]}" for name in varying)
            meant[row["start"]].add(descent)
        for row, _, descent in group:
            if len(meant[row["start"]]) > 1:
                row["start"] += f" ({hashlib.blake2b(descent.encode(), digest_size=2).hexdigest()})"
