"""Tests of recordings: the test part of a recording that trained the run, the whole of any other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from amc_core.fingerprint import BUCKET, DigestedPath
from amc_core.paths import expanded
from amc_core.run import Dataset, Run


def trained_recordings(run: Run) -> dict[str, int]:
    """Recording → samples of an instance in training, for all that a run, or one that it descends from, trained on."""
    known = trained_recordings(run.parent) if run.parent else {}
    components = run.dataset.scenario.components
    return known | {part.recording: run.dataset.length for part in components if part.recording}


def recorded_test(test: Dataset, known: dict[str, int], levels: bool, most: int | None) -> Dataset:
    """The test dataset of a recording.

    test: as for a simulated scenario. known: see `trained_recordings`. levels: whether the test names its SNRs.
    most: instances of each modulation and SNR that are tested if the whole recording is; None for all.
    """
    [scenario] = test.scenario.components
    split = known.get(scenario.recording)
    if split is None:
        return replace(test, whole=True, test_instances=most, snrs_db=test.snrs_db if levels else ())
    return replace(test, split_length=split) if test.length < split else test


def from_folder(value: Any, folder: Path) -> Any:
    """A path, or a mapping with the path of a file, resolved from a folder."""
    if isinstance(value, str):
        return DigestedPath(value if value.startswith(BUCKET) else str(folder / expanded(value)))
    if isinstance(value, dict) and isinstance(value.get("file"), str) and value["file"]:
        return value | {"file": str(from_folder(value["file"], folder))}
    return value
