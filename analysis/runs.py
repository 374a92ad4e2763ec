"""The table of runs, read from their records."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

import pandas as pd

from amc_core.modulations import MODULATION_SETS
from amc_core.run import Dataset, Recipe
from amc_core.settings import trained_in
from analysis.columns import COLUMNS, IDENTITY, OUTCOME, PROCESS, RECIPE, scenario_columns, sorted_rows
from sweeps.store import RunRecord, Store
from sweeps.study import Study


def read_runs(store: Store, study: Study | None) -> pd.DataFrame:
    """The table "runs" of a study or of the whole store; the column `descent` is for `settings`."""
    named = {run.key: study.stage_of(run) for run in study.runs()} if study else None
    listing = store.listing()
    records = listing.records(named)
    if named is not None:
        records = {key: record for key, record in records.items() if key in named}
    return described(records, listing.lineage(named), named)


def read_begun_runs(store: Store, study: Study | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """As `read_runs`, for runs that are begun and not finished, with a table with a row per epoch that they trained."""
    named = {run.key: study.stage_of(run) for run in study.runs()} if study else None
    listing = store.listing()
    begun = {key: run for key, run in listing.begun(named).items() if run.rows and "run.json" not in listing.names[key]}
    lineage = listing.lineage() if any(run.record.parent for run in begun.values()) else {}
    rows = [row | {"run": key} for key, run in begun.items() for row in run.rows]
    return described({key: run.record for key, run in begun.items()}, lineage, named), pd.DataFrame(rows)


def described(
    records: Mapping[str, RunRecord], lineage: Mapping[str, RunRecord], stages: Mapping[str, str] | None
) -> pd.DataFrame:
    """The table "runs" of some records; the column `descent` is for `settings`.

    lineage: run key → record, of the runs from which these descend. stages: run key → its stage; None counts ancestors.
    """
    rows, chains = [], []
    for key in sorted(records):
        record = records[key]
        chain = [(record.dataset, record.recipe), *_chain(lineage, record.parent)]
        chains.append(chain[1:])
        dataset, recipe = record.dataset, record.recipe
        rows.append(
            {
                "run": key,
                "model": record.model,
                "code": record.code or "",
                "hyperparameters": json.dumps(record.hyperparameters, sort_keys=True),
                "seed": record.seed,
                **scenario_columns("train", dataset.scenario),
                "classes": len(dataset.modulations),
                "modulation_set": modulation_set(dataset.modulations),
                **{name: getattr(dataset, name) for name in ("instances", "length")},
                "dataset_seed": dataset.seed,
                "split": dataset.split,
                **{name: getattr(recipe, name) for name in RECIPE},
                "start": _start(record, lineage[record.parent]) if record.parent in lineage else "",
                "parent": record.parent or "",
                "stage": str(len(chain) - 1) if stages is None else stages[key],
                "ancestors": len(chain) - 1,
                "weights": record.weights.partition("-")[2][:12],
                **{name: getattr(record, name) for name in OUTCOME},
                **{name: record.of_processes(name) for name in PROCESS},
                **{name: pd.to_datetime(getattr(record, name), utc=True) for name in ("started_at", "finished_at")},
                "modulations": [str(name) for name in dataset.modulations],
                "descent": [trained_in(start.scenario, start.length, how.min_length) for start, how in chain],
            }
        )
    _tell_apart(rows, chains)
    return sorted_rows(pd.DataFrame(rows, columns=[*COLUMNS["runs"], "descent"]), [*IDENTITY, "run"])


def modulation_set(names: Sequence[str]) -> str:
    """ "simple", "complex", …, or the names themselves; the user's own have the start of their digest."""
    text = ", ".join(getattr(name, "label", name) for name in names)
    return next((name for name, known in MODULATION_SETS.items() if tuple(known) == tuple(names)), text)


def _start(record: RunRecord, parent: RunRecord) -> str:
    """The fields in which the training scenario of a run's parent differs from its own, as "channel=awgn"."""
    own, start = (each.dataset.scenario.columns() for each in (record, parent))
    return ", ".join(f"{name}={start[name]}" for name in own if start[name] != own[name]) or "the same setting"


def _chain(records: Mapping[str, RunRecord], key: str | None) -> Iterator[tuple[Dataset, Recipe]]:
    """Training dataset and recipe of a run and of those that it descends from, the nearest first."""
    while key in records:
        record = records[key]
        yield record.dataset, record.recipe
        key = record.parent


def _descent_text(chain: list[tuple[Dataset, Recipe]]) -> str:
    return json.dumps([(dataset.as_dict(), asdict(recipe)) for dataset, recipe in chain], sort_keys=True)


def _tell_apart(rows: list[dict], chains: list[list[tuple[Dataset, Recipe]]]) -> None:
    """If runs have the same `start` but their parents differ in more than the seed, append the difference to it."""
    alike = defaultdict(list)
    for row, chain in zip(rows, chains, strict=True):
        if chain:
            alike[row["start"]].append((row, chain[0][1], _descent_text(chain)))
    for group in alike.values():
        varying = [name for name in RECIPE if len({str(getattr(recipe, name)) for _, recipe, _ in group}) > 1]
        meant = defaultdict(set)  # text → descents with this text
        for row, recipe, descent in group:
            row["start"] += "".join(f", {name}={getattr(recipe, name)}" for name in varying)
            meant[row["start"]].add(descent)
        for row, _, descent in group:
            if len(meant[row["start"]]) > 1:
                row["start"] += f" ({hashlib.blake2b(descent.encode(), digest_size=2).hexdigest()})"
