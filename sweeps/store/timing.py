"""Speeds and shares of a GPU's memory of the runs finished last."""

from __future__ import annotations

from collections import defaultdict
from statistics import median
from typing import TYPE_CHECKING

from sweeps.store.cells import Footer
from sweeps.store.complaints import Damaged
from sweeps.store.record import RunRecord

if TYPE_CHECKING:
    from amc_core.run import Dataset, Recipe
    from sweeps.store.store import Store

_TIMED_RUNS = 200


def speeds(store: Store) -> dict[tuple[str, str], tuple[float, float]]:
    """(device, model) → median samples trained on, and samples classified, per second.

    device: "cpu" or a GPU's name. Cells are assumed to have been evaluated on the device that their run was trained on,
    at its length.
    """
    trained, classified = defaultdict(list), defaultdict(list)
    for record, footers in store.map(lambda key: _timing(store, key), _newest(store)):
        if record and record.seconds and record.instances_trained is not None:
            index, length = (record.of_processes("device"), record.model), record.dataset.length
            trained[index].append(record.instances_trained * length / record.seconds)
            classified[index] += [f.instances * length / f.seconds for f in footers if f.seconds]
    return {index: (median(trained[index]), median(classified[index])) for index in trained if classified[index]}


def demand(recipe: Recipe, dataset: Dataset) -> tuple[int, int]:
    """Samples that training holds in memory: of a batch, and of the training part if its instances are kept."""
    kept = 0 if recipe.fresh else dataset.size("train", recipe.label_fraction)
    return recipe.batch_size * dataset.length, kept * dataset.length


def gpu_shares(store: Store) -> dict[str, list[tuple[tuple[int, int], float]]]:
    """Model → (`demand`, share of a GPU's memory from 0 to 1) of each of its trainings."""
    shares = defaultdict(list)
    for record, _ in store.map(lambda key: _timing(store, key), _newest(store)):
        if record and record.gpu_share:
            shares[record.model].append((demand(record.recipe, record.dataset), record.gpu_share))
    return dict(shares)


def _newest(store: Store) -> list[str]:
    """Keys of the runs finished last."""
    names = store.listing().names
    finished = [key for key in names if "run.json" in names[key]]
    return sorted(finished, key=lambda key: -names[key]["run.json"])[:_TIMED_RUNS]


def _timing(store: Store, key: str) -> tuple[RunRecord | None, list[Footer]]:
    """A run's record and the footers of its cells files; (None, []) if they are damaged."""
    folder = store.run(key)
    try:
        return folder.record(), folder.each_cell_file(folder.footer)
    except Damaged:
        return None, []
