"""The split of a recording that a public benchmark draws."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from amc_core.recordings import Recording

_SEED = 2016


def amr_benchmark_parts(recording: Recording) -> Iterator[tuple[int, float, tuple[np.ndarray, ...]]]:
    """Index of a modulation, SNR in dB, and the positions of training, validation and test in the order of drawing.

    AMR-Benchmark (Zhang et al. 2022, github.com/Richardzhangxx/AMR-Benchmark) numbers the instances of RadioML 2016 by
    name of the modulation, as the file spells it, then SNR, and draws from NumPy's legacy generator of seed 2016, one
    modulation and SNR after another: 60 % for training, then 20 % for validation from the rest, in the order of
    Python's set of these numbers. (It then shuffles its lists, which changes no part.) For other recordings, names are
    ours.
    """
    spelled, first = recording.spelled or recording.modulations, 0
    draw = np.random.RandomState(_SEED)
    for index in sorted(range(len(spelled)), key=lambda index: spelled[index]):
        of_name = recording.modulation == index
        for snr_db in np.unique(recording.snr_db[of_name]).tolist():
            level = np.isnan(recording.snr_db) if np.isnan(snr_db) else recording.snr_db == snr_db
            positions = np.flatnonzero(of_name & level)
            numbers = range(first, first + len(positions))
            training = draw.choice(numbers, size=len(numbers) * 6 // 10, replace=False)
            rest = list(set(numbers) - set(training.tolist()))
            validation = draw.choice(rest, size=len(numbers) * 2 // 10, replace=False)
            test = np.setdiff1d(rest, validation)
            yield index, snr_db, tuple(positions[part - first] for part in (training, validation, test))
            first += len(positions)
