"""The simulator's building blocks against independent packages, scikit-commpy and Sionna, which tests alone use."""

import math

import numpy as np
import pytest

from amc_core import Scenario, simulate
from amc_core.constellations import CONSTELLATIONS
from amc_core.pulses import gaussian_phase, raised_cosine, root_raised_cosine
from tests.needs import needs_package


def apart(points: np.ndarray, others: np.ndarray) -> float:
    """The largest distance from a point of either constellation to the nearest of the other, at unit power."""
    others = others / np.sqrt(np.mean(np.abs(others) ** 2))
    distance = np.abs(points[:, None] - others)
    assert len(points) == len(others)
    return max(distance.min(0).max(), distance.min(1).max())


# α = 0.25 and 0.5 put singular points on the grid of 8 samples a symbol.
@pytest.mark.parametrize("rolloff", [0.15, 0.25, 0.35, 0.5, 1.0])
def test_pulses_are_those_of_commpy(rolloff):
    filters = needs_package("commpy.filters")
    for name, shape in (("rcosfilter", raised_cosine), ("rrcosfilter", root_raised_cosine)):
        t, taps = getattr(filters, name)(161, rolloff, 1, 8)
        assert shape(t, rolloff) == pytest.approx(taps, abs=1e-9)


@pytest.mark.parametrize("bandwidth_time", [0.3, 0.35, 0.5])
def test_the_gaussian_phase_response_is_that_of_commpy_s_filter(bandwidth_time):
    """A rectangle of one symbol through the Gaussian filter, summed, is twice the phase response."""
    filters = needs_package("commpy.filters")
    per_symbol = 200
    t, taps = filters.gaussianfilter(8 * per_symbol, math.sqrt(math.log(2) / 2) / bandwidth_time, 1, per_symbol)
    phase = np.cumsum(np.convolve(taps, np.ones(per_symbol))) / per_symbol**2 / 2
    instants = t[0] + (np.arange(len(phase)) + 1) / per_symbol
    assert gaussian_phase(instants, bandwidth_time) == pytest.approx(phase, abs=2e-3)


@pytest.mark.parametrize("name", ["BPSK", "QPSK", "8PSK", "16PSK", "32PSK", "16QAM", "64QAM", "256QAM"])
def test_constellations_are_those_of_commpy(name):
    modulation = needs_package("commpy.modulation")
    points = CONSTELLATIONS[name]
    modem = (modulation.QAMModem if "QAM" in name else modulation.PSKModem)(len(points))
    turn = np.exp(-1j * np.pi / 4) if name == "QPSK" else 1
    assert apart(points * turn, modem.constellation) < 1e-12


@pytest.mark.parametrize("name", ["QPSK", "16QAM", "64QAM"])
def test_commpy_s_receiver_finds_every_symbol_of_a_clean_instance(name):
    modulation = needs_package("commpy.modulation")
    order = len(CONSTELLATIONS[name])
    modem = modulation.QAMModem(order)
    scale = np.sqrt(modem.Es)
    seen = simulate(Scenario(upsampling=1), name, math.inf, [0], length=4096)[0].numpy() * scale
    sent = modem.modulate(modem.demodulate(seen, "hard"))
    assert np.abs(seen - sent).max() < 0.3  # the instance's power is not quite the constellation's
    assert len(set(sent.round(6))) == order


@pytest.mark.parametrize("rolloff", [0.15, 0.25, 0.35, 1.0])
def test_pulses_are_those_of_sionna(rolloff):
    signal = needs_package("sionna.phy.signal")
    t = np.arange(-128, 129) / 8
    for name, shape in (("RaisedCosineFilter", raised_cosine), ("RootRaisedCosineFilter", root_raised_cosine)):
        taps = getattr(signal, name)(32, 8, rolloff, normalize=False).coefficients.numpy()
        assert shape(t, rolloff) == pytest.approx(taps, abs=1e-5)  # float32


@pytest.mark.parametrize("name", ["QPSK", "16QAM", "64QAM", "256QAM", "BPSK", "PAM4"])
def test_constellations_are_those_of_sionna(name):
    mapping = needs_package("sionna.phy.mapping")
    points = CONSTELLATIONS[name]
    kind = "pam" if name in ("BPSK", "PAM4") else "qam"
    others = mapping.Constellation(kind, int(math.log2(len(points)))).points.numpy()
    assert apart(points, others) < 1e-6
