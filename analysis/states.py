"""The state of every run that a study names or a store holds: its definition, progress and size."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from amc_core.errors import AmcError
from amc_core.run import Run
from analysis.columns import COLUMNS
from analysis.runs import described
from sweeps.planning import Plan, make_plan
from sweeps.store import RunRecord, Store
from sweeps.store.begun import Begun, record_of
from sweeps.store.labels import Label, read_label
from sweeps.store.listing import Listing
from sweeps.store.run_folder import kind_of, trained_by
from sweeps.study import Studies, Study

# States of a run. training, evaluating: a trial works on it now. begun: it has a checkpoint but no trial. outdated: its
# results are not valid, since its parent is missing or has changed, or since they are of another version.
STATES = ("waiting", "training", "evaluating", "begun", "trained", "failed", "outdated")
ADDED = ("state", "epoch", "evaluated", "named", "host_now", "silence", "failure", "bytes", "tags", "note")


def run_states(study: Study | Studies | None, store: Store) -> pd.DataFrame:
    """The columns of the table "runs" for every run in any state, and these.

    state: one of `STATES`. epoch: number of finished epochs. evaluated, named: numbers of evaluated cells and of all
    cells, of the study or else of the store. host_now: the host of its trial. silence: seconds since the trial's last
    sign of life. failure: the last reason why it failed. bytes: its size in the store. tags, with commas, and note: its
    label. Without a study, a run without a readable record has no model.
    """
    listing, plan = store.listing(), make_plan(study, store) if study else None
    keys = [entry.run.key for entry in plan.runs] if plan else list(listing.names)
    trained = listing.records(keys)
    begun = listing.begun(keys)
    planned: dict[str, Run] = {entry.run.key: entry.run for entry in plan.runs} if plan else {}
    records = {key: record_of(run) for key, run in planned.items()}
    records |= {key: each.record for key, each in begun.items()} | trained
    lineage = records | listing.lineage()
    records = listing.readable(keys) | records  # an outdated one is told, and nothing descends from it
    stages = {key: study.stage_of(run) for key, run in planned.items()} if study else None
    rows = described({key: records[key] for key in keys if key in records}, lineage, stages)
    unknown = [key for key in keys if key not in records]
    rows = pd.concat([rows, pd.DataFrame({"run": unknown})], ignore_index=True) if unknown else rows
    added = _added(list(rows["run"]), store, listing, plan, trained, begun)
    texts = {name: rows[name].fillna("").astype("str") for name in ("model", "stage", "host", "device")}
    return rows[COLUMNS["runs"]].assign(**texts, **added)


def _added(
    keys: list[str],
    store: Store,
    listing: Listing,
    plan: Plan | None,
    trained: dict[str, RunRecord],
    begun: dict[str, Begun],
) -> dict[str, list]:
    """Column → its values, of `ADDED`."""
    failures, sizes = listing.failures(), store.sizes()
    labelled = [key for key in keys if "label.json" in listing.names.get(key, ())]
    labels = dict(zip(labelled, store.map(lambda key: read_label(store.run(key)), labelled), strict=True))
    cells = {entry.run.key: (entry.cells - len(entry.missing), entry.cells) for entry in plan.runs} if plan else {}
    if plan is None:
        tested = zip(trained, map(len, listing.tested(trained)), strict=True)
        cells = {key: (count, count) for key, count in tested}
    columns: dict[str, list] = {name: [] for name in ADDED}
    for key in keys:
        at = begun.get(key)
        silence, label = at.age() if at else None, labels.get(key, Label())
        evaluated, named = cells.get(key, (0, 0))
        state = _state(key, listing, key in trained, evaluated < named, silence is not None, key in failures)
        if key in trained:
            epoch = trained[key].recipe.epochs
        else:
            epoch = max([len(at.rows) if at else 0, *_epochs_saved(listing, key)])
        values = (state, epoch, evaluated, named, at.host if at and silence is not None else "", silence)
        values += (failures[key]["reason"].strip().splitlines()[-1] if key in failures else "", sizes.get(key, 0))
        for column, value in zip(columns.values(), (*values, ", ".join(label.tags), label.note), strict=True):
            column.append(value)
    return columns | {"silence": pd.array(columns["silence"], "Float64")}


def _state(key: str, listing: Listing, trained: bool, lacking: bool, alive: bool, failed: bool) -> str:
    names = listing.names.get(key, ())
    if alive and not (trained and not lacking):
        return "evaluating" if trained else "training"
    if failed:
        return "failed"
    if trained:
        return "trained"
    if "run.json" in names:
        return "outdated"
    return "begun" if any(kind_of(name) in ("checkpoint", "progress") for name in names) else "waiting"


def _epochs_saved(listing: Listing, key: str) -> list[int]:
    return [trained_by(name)[0] for name in listing.names.get(key, ()) if kind_of(name) == "checkpoint"]


def choose_states(
    rows: pd.DataFrame, keys: Sequence[str] = (), where: str | None = None, failed: bool = False
) -> pd.DataFrame:
    """The rows of runs that match all of the arguments.

    keys: first digits of keys, each of exactly one run; none for all runs. where: a condition in SQL over the columns
    of `run_states`. failed: only failed runs. Raises AmcError if digits match no run or several, or if the condition is
    not valid.
    """
    chosen = {_one(rows, key) for key in keys}
    rows = rows[rows["run"].isin(chosen)] if keys else rows
    if failed:
        rows = rows[rows["state"] == "failed"]
    if where is not None:
        from analysis.query import keys_where  # DuckDB takes a while to import

        rows = rows[rows["run"].isin(keys_where(where, rows))]
    return rows.reset_index(drop=True)


def _one(rows: pd.DataFrame, key: str) -> str:
    if not re.fullmatch("[0-9a-f]{1,24}", key):
        raise AmcError(f"run {key!r} is not allowed: give the first digits of a key, up to 24 of 0-9 and a-f")
    matches = list(rows["run"][rows["run"].str.startswith(key)])
    if not matches:
        raise AmcError(f"no run has a key that begins with {key!r}: 'amc runs' lists all runs")
    if len(matches) > 1:
        examples = ", ".join(sorted(matches)[:4])
        raise AmcError(f"{len(matches)} runs have keys that begin with {key!r}: give more digits ({examples}, …)")
    return matches[0]
