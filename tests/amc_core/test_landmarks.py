"""Landmarks: pieces of the same samples are known wherever they begin, and repeating signals are not taken for them."""

import math

import numpy as np
import pytest

from amc_core import AmcError, Scenario, simulate
from amc_core.landmarks import Landmarks, landmarks, same_samples
from amc_core.recorded import Recorded, require_unseen_tests
from amc_core.recordings import write_radioml2018, write_sigmf
from amc_core.run import Dataset, Run
from tests.amc_core.recording_files import RNG

NAMES = ("BPSK", "QPSK")
TIME = np.arange(1024)
PHASE = 2 * np.pi * np.random.default_rng(11).random((500, 1))


def marks_of(x: np.ndarray) -> Landmarks:
    positions = np.arange(len(x))
    return landmarks([(positions, x)], x.shape[2], np.zeros(len(x), dtype=np.int64))


def pieces(x: np.ndarray, length: int, offset: int, step: int | None = None) -> np.ndarray:
    """(n, 2, length) cut from (2, samples)."""
    return np.stack([x[:, s : s + length] for s in range(offset, x.shape[1] - length, step or length)])


def i_and_q(x: np.ndarray) -> np.ndarray:
    return np.stack([x.real, x.imag], axis=1)


def dataset(path, **changes) -> Dataset:
    fields = dict(modulations=NAMES, snrs_db=(10.0,), instances=20, length=128)
    return Dataset(Scenario(recording=str(path)), **fields | changes)


# -- pieces of the same samples ------------------------------------------------------------------------


@pytest.mark.parametrize(("length", "other"), [(128, 128), (1024, 1024), (1024, 128)])
@pytest.mark.parametrize("offset", [1, 37, 64])
def test_pieces_cut_at_another_offset_and_gain_share_landmarks(length, other, offset):
    x = RNG.standard_normal((2, 60_000))
    there, here = marks_of(pieces(x, length, 0)), pieces(0.3 * x, other, offset).astype(np.float32)
    found = marks_of(here.astype(np.float64)).shared(there)
    assert len(np.unique(found[:, 0])) > 0.97 * len(here)
    begin, end = offset + other * found[:, 0], length * (found[:, 1] + 1)
    assert (np.minimum(begin + other, end) - np.maximum(begin, end - length) >= 48).all()  # each pair overlaps
    assert not len(marks_of(RNG.standard_normal(here.shape)).shared(there))


@pytest.mark.parametrize(
    "signal",
    [
        np.exp(1j * (2 * np.pi * 0.0371 * TIME + PHASE)),
        100 * np.exp(1j * (2 * np.pi * 0.0371 * TIME + PHASE)).round(2),
        np.exp(1j * PHASE) * np.ones(1024),
        np.zeros((500, 1024), dtype=complex),
        np.where(TIME < 900, 0, RNG.standard_normal((500, 1024)) + 0j),
        np.tile(RNG.standard_normal(200) + 0j, 6)[:1024] * np.ones((500, 1)),
        np.repeat(1j ** RNG.integers(0, 4, (500, 256)), 4, axis=1),
        RNG.standard_normal((500, 1024)).round() + 1j * RNG.standard_normal((500, 1024)).round(),
    ],
    ids=["tone", "tone of 8 bits", "constant", "silence", "padding", "period", "held levels", "few levels"],
)
def test_signals_that_repeat_are_not_the_same_samples(signal):
    assert not len(marks_of(i_and_q(signal)).repeats())


@pytest.mark.parametrize(("name", "upsampling"), [("GMSK", 8), ("QPSK", 8), ("BPSK", 16), ("4ASK", 32)])
def test_the_same_symbols_by_chance_and_without_noise_are_not_the_same_samples(name, upsampling):
    x = simulate(Scenario(upsampling=upsampling, rolloff=0.35), name, math.inf, range(300)).numpy()
    assert not len(marks_of(i_and_q(x)).repeats())


def verified(x: np.ndarray) -> list:
    return [pair for pair in marks_of(x).repeats() if same_samples(x[pair[0]], x[pair[1]], pair[2])]


@pytest.mark.parametrize("frequency", [0.01234, 0.0371, 1 / 64])
def test_one_message_tone_is_no_evidence_of_the_same_samples(frequency):
    message = 2 * np.pi * frequency * TIME + PHASE
    assert not verified(i_and_q(1 + 0.5 * np.cos(message) + 0j))
    assert not verified(i_and_q(np.exp(5j * np.sin(message))))


@pytest.mark.parametrize("timing", [0, 0.3])
def test_a_few_symbols_of_bpsk_without_noise_are_no_evidence_of_the_same_samples(timing):
    x = simulate(Scenario(upsampling=8, rolloff=0.35, timing_offset=timing), "BPSK", math.inf, range(1000)).numpy()
    assert not verified(i_and_q(x))


def test_candidates_that_share_noise_are_verified_on_the_samples():
    x = pieces(RNG.standard_normal((2, 8000)), 128, 0, step=64)
    assert len(verified(x)) >= len(x) - 3
    assert not same_samples(x[0], x[2], 64)


# -- in recordings -------------------------------------------------------------------------------------


def capture(path, x, start=0):
    """A SigMF recording of a BPSK half and a QPSK half of samples (2, n), from `start` on."""
    half = x.shape[1] // 2
    parts = [pieces(part, 128, start) for part in (x[:, :half], x[:, half:])]
    return write_sigmf(path, np.concatenate(parts), 1e6, np.repeat(NAMES, [len(part) for part in parts]), 10)


def test_a_recording_that_begins_elsewhere_in_the_same_samples_does_not_test(tmp_path):
    x = RNG.standard_normal((2, 8192))
    run = Run("hoc_svm", dataset(capture(tmp_path / "one", x)))
    with pytest.raises(AmcError, match=r"other.*: [1-4] of its 4 test instances ha(?:s|ve) samples .*one"):
        require_unseen_tests(run, [dataset(capture(tmp_path / "other", 0.3 * x, start=50), seed=1)])
    require_unseen_tests(run, [dataset(capture(tmp_path / "new", RNG.standard_normal((2, 8192))))])


def test_instances_that_overlap_in_a_file_count_once(tmp_path):
    path, x = tmp_path / "sliding.h5", RNG.standard_normal((2, 2, 4096 + 128))
    sliding = [pieces(one, 128, 0, step=64) for one in x]
    write_radioml2018(path, [(one, label, 10.0) for label, one in enumerate(sliding)], NAMES)
    recorded = Recorded(dataset(path, instances=30), str(path))
    for name, cell in zip(NAMES, recorded.content.selection.cells, strict=True):
        assert 31 <= len(cell) <= 34, name  # every other one of 64, but where rounding hides a landmark
    assert any("share samples with others" in note for note in recorded.content.notes)


def test_overlapping_instances_of_two_labels_are_refused_with_both(tmp_path):
    path, x = tmp_path / "two.h5", RNG.standard_normal((2, 4096))
    batches = [(pieces(x, 128, 0), 0, 10.0), (pieces(x[:, 1000:], 128, 40)[:1], 1, 10.0)]
    write_radioml2018(path, batches, NAMES)
    with pytest.raises(AmcError, match=r"\(BPSK at 10 dB\) and .*\(QPSK at 10 dB\) have the same samples"):
        Recorded(dataset(path), str(path))
