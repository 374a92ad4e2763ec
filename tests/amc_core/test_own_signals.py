"""Modulations of the user's own: constellations by their points and CPM by its pulse, against closed forms."""

import math
import pickle

import numpy as np
import pytest
import torch

from amc_core import MODULATIONS, AmcError, Scenario, Simulator, simulate
from amc_core.identity import key
from amc_core.modulations import modulation, modulation_names
from amc_core.own_signals import OwnModulation
from amc_core.randomness import SYMBOLS, integers
from amc_core.recognition import Likelihood, recognition
from amc_core.run import Dataset
from tests.amc_core.theory import around, error_db, run

MSK = OwnModulation("MSK", {"cpm": {"levels": 2, "index": 0.5, "pulse": "rectangular", "span": 1}})
FSK4 = OwnModulation("4FSK", {"cpm": {"levels": 4, "index": 1}})
PULSES = {
    "1REC": FSK4,
    "3RC": OwnModulation("3RC", {"cpm": {"levels": 4, "index": 0.7, "pulse": "raised_cosine", "span": 3}}),
    "2RC": OwnModulation("2RC", {"cpm": {"levels": 8, "index": 0.25, "pulse": "raised_cosine", "span": 2}}),
    "GMSK": OwnModulation("MYGMSK", {"cpm": {"pulse": "gaussian", "bandwidth_time": 0.3, "span": 5}}),
    "wide": OwnModulation("WIDE", {"cpm": {"pulse": "gaussian", "bandwidth_time": 0.5, "span": 4, "index": 1.3}}),
}
POINTS = [[1, 0], [0.7, 0.7], [0, 2], [-1, -1], [0.5, -1.5]]
MY5 = OwnModulation("MY5", {"points": POINTS})


def frequency_pulse(own: OwnModulation, t: np.ndarray) -> np.ndarray:
    """g(t) by its textbook form, of area ½ over the span: LREC, LRC, or two error functions (Anderson et al., 1986)."""
    cpm = {"span": 1, "pulse": "rectangular"} | own.content["cpm"]
    span = cpm["span"]
    if cpm["pulse"] == "rectangular":
        shape = np.ones_like(t)
    elif cpm["pulse"] == "raised_cosine":
        shape = 1 - np.cos(2 * np.pi * t / span)
    else:
        width = math.sqrt(math.log(2)) / (2 * np.pi * cpm["bandwidth_time"]) * math.sqrt(2)
        tails = [np.vectorize(math.erf)((t - span / 2 + side) / width) for side in (0.5, -0.5)]
        shape = tails[0] - tails[1]
    return np.where((t >= 0) & (t <= span), shape, 0)


@pytest.mark.parametrize("own", PULSES.values(), ids=PULSES)
def test_a_phase_response_is_the_integral_of_the_pulse_of_its_name_and_ends_at_a_half(own):
    known = modulation(own)
    first, last = known.support
    middles = (np.arange(200_000) + 0.5) / 200_000 * (last - first)
    pulse = frequency_pulse(own, middles)
    integral = np.cumsum(pulse) / pulse.sum() / 2
    edges = first + (np.arange(200_000) + 1) / 200_000 * (last - first)
    assert np.abs(known.phase_response(edges) - integral).max() < 2e-5
    assert known.phase_response(np.array([first - 3.0, first, last, last + 7])).tolist() == [0, 0, 0.5, 0.5]


def test_a_gaussian_pulse_of_five_symbols_is_that_of_gmsk():
    t = np.linspace(-3, 4, 1001)
    ours, builtin = modulation(PULSES["GMSK"]), MODULATIONS["GMSK"]
    assert ours.support == builtin.support and ours.index == builtin.index
    assert np.abs(ours.phase_response(t) - builtin.phase_response(t)).max() < 1e-5


@pytest.mark.parametrize("upsampling", [8, "32/3", around(6.4)], ids=["8", "32/3", "drawn"])
@pytest.mark.parametrize("own", PULSES.values(), ids=PULSES)
def test_cpm_has_the_phase_of_its_symbols(own, upsampling):
    simulator, index = Simulator(Scenario(upsampling=upsampling), [own], [math.inf], 400), torch.arange(3)
    known, train = modulation(own), simulator.families[0].train
    keys = simulator.keys[0, :1].expand(3, 2)
    labels = integers(keys, index, SYMBOLS, train.count, torch.full((3,), known.levels)).numpy()
    assert labels.min() == 0 and labels.max() == known.levels - 1
    ratio = 6.4 if not isinstance(upsampling, int | str) else float(Scenario(upsampling=upsampling).samples_per_symbol)
    t = (np.arange(400) / ratio)[:, None] - (train.first + np.arange(train.count))
    phase = known.phase_response(t) @ (known.levels - 1 - 2 * labels).T
    assert error_db(run(simulator, index), np.exp(2j * np.pi * known.index * phase).T) < -80


def test_msk_turns_by_a_quarter_of_a_circle_every_symbol_and_in_a_straight_line():
    turns = np.diff(np.unwrap(np.angle(simulate(Scenario(upsampling=8), MSK, math.inf, range(16), 512).numpy())))
    assert np.allclose(np.abs(turns), np.pi / 2 / 8, atol=1e-5)
    assert 0.4 < (turns > 0).mean() < 0.6


def test_four_tones_are_where_4fsk_has_them_equally_often():
    samples = simulate(Scenario(upsampling=16), FSK4, math.inf, range(64), 512).numpy()
    assert np.allclose(np.abs(samples), 1, atol=1e-5)
    frequencies = np.diff(np.unwrap(np.angle(samples)))[:, 8::16] / (2 * np.pi) * 16  # cycles a symbol
    tones, counts = np.unique(frequencies.round(3), return_counts=True)
    assert tones.tolist() == [-1.5, -0.5, 0.5, 1.5]
    expected = counts.sum() / 4
    assert ((counts - expected) ** 2 / expected).sum() < 16.3  # 99.9 % of χ² with three degrees of freedom


def test_the_spectrum_of_msk_is_that_of_its_closed_form():
    samples = simulate(Scenario(upsampling=8), MSK, math.inf, range(800), 1024).numpy().astype(complex)
    window = np.blackman(1024)
    power = (np.abs(np.fft.fft(samples * window)) ** 2).mean(0) / (window**2).sum()
    f = np.fft.fftfreq(1024) * 8  # cycles a symbol
    near = (np.abs(f) < 0.6) & (np.abs(16 * f**2 - 1) > 1e-9)
    power, f = power[near], f[near]
    expected = 8 * 16 / np.pi**2 * (np.cos(2 * np.pi * f) / (1 - 16 * f**2)) ** 2  # a symbol has 8 samples
    assert np.abs(10 * np.log10(power / expected)).max() < 0.8  # four standard errors


def test_a_long_instance_of_an_odd_index_keeps_its_phase():
    own = OwnModulation("LONG", {"cpm": {"levels": 8, "index": 0.3}})
    phase = np.unwrap(np.angle(simulate(Scenario(upsampling=4), own, math.inf, range(1), 1 << 16).numpy()[0]))
    steps = np.diff(phase) * 4 / (np.pi * 0.3)  # odd numbers from −7 to 7
    assert np.abs(steps - (2 * np.round((steps - 1) / 2) + 1)).max() < 1e-3


def test_points_are_scaled_to_unit_mean_power_and_are_sent_equally_often():
    scenario = Scenario(upsampling=1, normalisation="none")
    samples = simulate(scenario, MY5, math.inf, range(40), 256).numpy().ravel()
    points = np.array(POINTS) @ [1, 1j]
    points = points / np.sqrt((np.abs(points) ** 2).mean())
    nearest = np.abs(samples[:, None] - points).argmin(1)
    assert np.abs(samples - points[nearest]).max() < 1e-5
    counts = np.bincount(nearest)
    assert ((counts - len(samples) / 5) ** 2 / (len(samples) / 5)).sum() < 18.5  # 99.9 % of χ², four degrees of freedom
    assert np.array_equal(
        modulation(OwnModulation("TWICE", {"points": (2 * np.array(POINTS)).tolist()})).points, points
    )


def test_content_and_name_are_in_addresses_and_keys():
    def dataset(entry) -> Dataset:
        return Dataset(Scenario(), ("BPSK", entry), (10.0,), 20, 64)

    first, changed = {"MY2": {"points": [[1, 0], [0, 1]]}}, {"MY2": {"points": [[1, 0], [0, 1.5]]}}
    renamed, spelled = {"MY3": first["MY2"]}, {"MY2": {"points": [["1", 0.0], [0, "1e0"]]}}
    assert len({dataset(entry).key for entry in (first, changed, renamed)}) == 3
    assert dataset(first).key == dataset(spelled).key
    one, another, same = (simulate(Scenario(), entry, 10, range(2), 64) for entry in (first, changed, spelled))
    assert torch.equal(one, same) and not torch.equal(one, another)


def test_a_dataset_is_the_same_from_its_plain_values_and_after_pickling():
    dataset = Dataset(Scenario(), ("BPSK", MY5, FSK4), (10.0,), 20, 64)
    plain = dataset.as_dict()
    assert plain["modulations"][0] == "BPSK" and plain["modulations"][2] == {"4FSK": {"cpm": {"levels": 4, "index": 1}}}
    again = Dataset(**plain | {"scenario": Scenario()})
    assert again == dataset == pickle.loads(pickle.dumps(dataset)) and again.key == dataset.key
    assert key(pickle.loads(pickle.dumps(MY5))) == key(MY5)
    other = OwnModulation("MY5", {"points": POINTS[:4]})
    assert MY5 == "MY5" and MY5 != other and hash(MY5) == hash(other)


def test_likelihoods_know_points_of_ones_own():
    qpsk = OwnModulation("MYQPSK", {"points": [[1, 1], [-1, 1], [-1, -1], [1, -1]]})
    theirs, ours = recognition(["BPSK", "QPSK"], 20, 3), recognition(["BPSK", qpsk], 20, 3)
    assert abs(theirs.accuracy - ours.accuracy) < 5 * math.hypot(theirs.standard_error, ours.standard_error)
    assert Likelihood([MY5]).means.item() == pytest.approx(abs(modulation(MY5).points.mean()))
    with pytest.raises(AmcError, match="likelihood classifies linear modulations only, not 4FSK"):
        recognition(["BPSK", FSK4], 20, 3)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"bpsk": {"points": POINTS}}, "'BPSK' is the name of another modulation"),
        ({"4psk": {"points": POINTS}}, "'QPSK' is the name of another modulation, which is '4psk' in some files"),
        ({"16-QAM": {"points": POINTS}}, "'16QAM' is the name of another modulation, which is '16-QAM' in some files"),
        ({"simple": {"points": POINTS}}, "'simple' is the name of another"),
        ({"M": {"points": [[1, 0]]}}, "points is a list of 1: it has to be a list of 2 to 4,096"),
        ({"M": {"points": "ring"}}, "points is 'ring'"),
        ({"M": {"points": [[1, 0], [1.0, 0]]}}, "is listed twice"),
        ({"M": {"points": [[1, 0], [math.inf, 0]]}}, "inf, 0. is not allowed"),
        ({"M": {"points": [[1, 0], [1, 0, 0]]}}, r"it has to be \[I, Q\]"),
        ({"M": {"cpm": {"levels": 3}}}, "levels 3 is not allowed: it has to be a power of two from 2 to 32"),
        ({"M": {"cpm": {"pulse": "square"}}}, "pulse 'square' is not known"),
        ({"M": {"cpm": {"index": 0}}}, "above 0 to 4"),
        ({"M": {"cpm": {"span": 1.5}}}, "a whole number of symbols from 1 to 16"),
        ({"M": {"cpm": {"pulse": "gaussian"}}}, "needs bandwidth_time"),
        ({"M": {"cpm": {"bandwidth_time": 0.3}}}, "does nothing without pulse gaussian"),
        ({"M": {"cpm": {"idx": 1}}}, "did you mean 'index'"),
        ({"M": {"cpm": 4}}, "map its fields"),
        ({"M": {"point": POINTS}}, "write {points"),
        ({"M": None}, "write {points"),
        ({8: {"points": POINTS}}, "name 8 of a modulation"),
        ({"A": {"points": POINTS}, "B": {"points": POINTS}}, "is not a modulation"),
    ],
)
def test_nonsense_is_refused_in_a_sentence(entry, told):
    with pytest.raises(AmcError, match=told) as refused:
        modulation_names(["QPSK", entry])
    assert "\n" not in str(refused.value)
