"""The parts of a recording as AMR-Benchmark draws them."""

import pickle

import numpy as np
import pytest
import torch

from amc_core import Scenario
from amc_core.errors import AmcError
from amc_core.instances import Instances
from amc_core.recordings import Recording
from amc_core.run import PARTS, Dataset
from amc_core.splits import amr_benchmark_parts
from tests.amc_core.recording_files import instances, unit_power

NAMES = ("8PSK", "AM-DSB", "AM-SSB", "BPSK", "CPFSK", "GFSK", "PAM4", "QAM16", "QAM64", "QPSK", "WBFM")
SNRS = range(-20, 20, 2)


def reference(cells: int, count: int) -> list[tuple[set, set, set]]:
    """Numbers of training, validation and test of each modulation and SNR, by definition."""
    np.random.seed(2016)  # noqa: NPY002
    parts = []
    for cell in range(cells):
        numbers = range(cell * count, (cell + 1) * count)
        training = set(np.random.choice(numbers, size=count * 6 // 10, replace=False).tolist())  # noqa: NPY002
        rest = list(set(numbers) - training)
        validation = set(np.random.choice(rest, size=count * 2 // 10, replace=False).tolist())  # noqa: NPY002
        parts.append((training, validation, set(numbers) - training - validation))
    return parts


def test_of_radioml_2016_10a_every_index_is_in_the_part_that_the_benchmark_has_it_in():
    ours = ("8PSK", "AM-DSB", "AM-SSB", "BPSK", "CPFSK", "GFSK", "PAM4", "16QAM", "64QAM", "QPSK", "WBFM")
    order = sorted(range(11), key=lambda place: ours[place])  # a recording sorts its modulations by our names
    recording = Recording(
        tuple(ours[place] for place in order),
        128,
        np.repeat(np.arange(11), 20_000),
        np.tile(np.repeat(np.array(SNRS, float), 1000), 11),
        np.full(220_000, np.nan),
        None,
        spelled=tuple(NAMES[place] for place in order),
    )
    expected = reference(220, 1000)
    found = list(amr_benchmark_parts(recording))
    assert len(found) == 220
    for cell, (place, snr_db, parts) in enumerate(found):
        mod, level = divmod(cell, 20)
        assert recording.spelled[place] == NAMES[mod] and snr_db == SNRS[level]
        start = (place * 20 + level) * 1000  # of the cell in the recording
        for positions, numbers in zip(parts, expected[cell], strict=True):
            assert {*(positions - start + cell * 1000).tolist()} == numbers
        assert [len(positions) for positions in parts] == [600, 200, 200]


@pytest.fixture
def signals(tmp_path):
    """{(name, SNR): instances} as RadioML 2016 has them, in a file, with its path."""
    found = {(name, snr_db): instances(20) for name in ("QPSK", "QAM16", "8PSK") for snr_db in (0, 18)}
    path = tmp_path / "RML2016.pkl"
    path.write_bytes(pickle.dumps({key: x for key, x in found.items()}))
    return found, path


def dataset(path, **changes) -> Dataset:
    usual = dict(modulations=("QPSK", "16QAM"), snrs_db=(18.0,), instances=20, length=128, split="amr_benchmark")
    return Dataset(Scenario(recording=str(path)), **usual | changes)


def read(described: Dataset, part: str, modulation: int) -> set[bytes]:
    made = Instances(described, part)
    x = made.make(*made.address(torch.arange(len(made))))[torch.arange(len(made)) // (len(made) // 2) == modulation]
    return {row.numpy().round(4).tobytes() for row in x}


def test_a_study_of_some_modulations_and_snrs_has_the_parts_of_the_whole_file(signals):
    found, path = signals
    cells = [(name, snr_db) for name in ("8PSK", "QAM16", "QPSK") for snr_db in (0, 18)]
    expected = reference(len(cells), 20)
    for modulation, key in enumerate([("QPSK", 18), ("QAM16", 18)]):
        cell = cells.index(key)
        x = unit_power(found[key]).astype(np.float32)
        for part, numbers in zip(PARTS, expected[cell], strict=True):
            wanted = {x[number - 20 * cell].round(4).tobytes() for number in numbers}
            assert read(dataset(path), part, modulation) == wanted


def test_fewer_instances_are_a_part_of_each_part(signals):
    _, path = signals
    for part, count in zip(PARTS, (6, 2, 2), strict=True):
        few = read(dataset(path, instances=10), part, 0)
        assert len(few) == count and few <= read(dataset(path), part, 0)


def test_the_split_is_part_of_the_key_and_of_simulated_instances_goes_by_index():
    usual = Dataset(Scenario("awgn"), ("BPSK", "QPSK"), (0.0,), 50, 128)
    split = Dataset(Scenario("awgn"), ("BPSK", "QPSK"), (0.0,), 50, 128, split="amr_benchmark")
    assert usual.key != split.key and "split" not in usual.definition()
    assert [split.indices(part) for part in PARTS] == [range(30), range(30, 40), range(40, 50)]
    with pytest.raises(AmcError, match="split 'halves' is not known"):
        Dataset(Scenario("awgn"), ("BPSK", "QPSK"), (0.0,), 50, 128, split="halves")
