"""Classification of recordings, segment by segment, with a trained network."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from amc_core.errors import AmcError
from amc_core.pieces import ARCHIVE, DATA, META
from amc_core.reading import Reading, ReadPath, read_recording, reading_of
from amc_core.recordings import Recording, open_recording
from analysis.networks import TrainedNetwork

UNKNOWN = "UNKNOWN"  # the label of samples that a file does not label
NONE = "none"  # the class of a segment that is silent, or has samples that are not finite
_BATCH = 256  # segments at a time
COLUMNS = ["file", "segment", "place", "label", "snr_db", "class", "probability"]


def classify(trained: TrainedNetwork, paths: Sequence[str | Path | Mapping], length: int | None = None) -> pd.DataFrame:
    """A row for each segment of recordings, with the class that a network recognises and its probability.

    paths: files that `open_recording` reads, or directories of SigMF recordings, which count as several files; or
    {"file": path, …} as in a scenario's recording. A file named twice counts once. length: samples of a segment,
    by default the length of the training instances; longer signals are cut in consecutive segments. Columns: file;
    segment, its number in the file; place, its position in the file, in words; label and snr_db, from the file; class,
    "none" for a silent segment; probability.

    Raises AmcError for a file that cannot be read and for a length that the network does not take.
    """
    length = trained.length if length is None else length
    trained.require_length(length)
    files = _each_once(file for path in paths for file in _files(path))
    tables = [_classified(trained, str(file), open_recording(file, length, cut=True)) for file in files]
    return pd.concat(tables, ignore_index=True)[COLUMNS]


def shares(rows: pd.DataFrame) -> pd.DataFrame:
    """For each file, the number and share of segments of each class, the largest first.

    Columns: file, class, segments, share, labelled (segments of the class that the file labels as such).
    """
    labelled = rows["label"] == rows["class"]
    table = rows.assign(labelled=labelled).groupby(["file", "class"], sort=False)
    table = table.agg(segments=("segment", "size"), labelled=("labelled", "sum")).reset_index()
    table["share"] = table["segments"] / table.groupby("file")["segments"].transform("sum")
    order = {file: rank for rank, file in enumerate(dict.fromkeys(rows["file"]))}
    table = table.assign(_order=table["file"].map(order))
    table = table.sort_values(["_order", "segments"], ascending=[True, False], kind="stable", ignore_index=True)
    return table[["file", "class", "segments", "share", "labelled"]]


def _files(path: str | Path | Mapping) -> list[str | Path]:
    """The files under a path, each with its reading; files whose format has no labels get the label UNKNOWN."""
    if isinstance(path, Mapping):
        read_recording(path)  # so that a message shows what was given
        return [read_recording({"label": UNKNOWN, **path})]
    path = Path(path)
    files = [path]
    if path.is_dir():
        named = sorted(file for file in path.iterdir() if file.name.endswith((META, ARCHIVE)))
        files = [file for file in named if not file.name.startswith(".")] or [
            path
        ]  # an empty directory is refused when it is read
    unlabelled = (META, DATA, ARCHIVE, ".cfile", ".npy")
    return [ReadPath(str(file), Reading(label=UNKNOWN)) if file.name.endswith(unlabelled) else file for file in files]


def _each_once(files: Iterable[str | Path]) -> list[str | Path]:
    return list({(os.path.realpath(file), repr(reading_of(file).entries)): file for file in files}.values())


def _classified(trained: TrainedNetwork, file: str, recording: Recording) -> pd.DataFrame:
    recognised, highest = [], []
    for positions in np.split(np.arange(len(recording)), range(_BATCH, len(recording), _BATCH)):
        usable, x = _read(recording, positions, trained.normalisation)
        names, probability = np.full(len(positions), NONE, dtype=object), np.full(len(positions), np.nan)
        if usable.any():
            values, classes = trained.probabilities_of(x)
            names[usable], probability[usable] = np.array(trained.classes, dtype=object)[classes], values
        recognised.append(names)
        highest.append(probability)
    return pd.DataFrame(
        {
            "file": file,
            "segment": np.arange(len(recording)),
            "place": [recording.source.describe(position).rpartition(": ")[2] for position in range(len(recording))],
            "label": pd.Series(recording.modulations, dtype="str").take(recording.modulation).array,
            "snr_db": recording.snr_db,
            "class": pd.Series(np.concatenate(recognised), dtype="str"),
            "probability": np.concatenate(highest),
        }
    )


def _read(recording: Recording, positions: np.ndarray, normalisation: str) -> tuple[np.ndarray, np.ndarray]:
    """A mask of the segments that can be classified, [segments], and their samples, [selected, 2, length] float32."""
    try:
        return np.ones(len(positions), bool), recording.read(positions, normalisation)
    except AmcError:  # some are silent or not finite
        samples = recording.source.fetch(positions, recording.length)
        usable = np.isfinite(samples).all((1, 2)) & samples.any((1, 2))
        return usable, recording.read(positions[usable], normalisation)
