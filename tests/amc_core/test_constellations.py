"""Constellations against closed forms, the literature's figures and the DVB-S2/S2X ring tables."""

import numpy as np
import pytest

from amc_core.constellations import CONSTELLATIONS

ORDERS = {
    "BPSK": 2, "QPSK": 4, "OQPSK": 4, "8PSK": 8, "16PSK": 16, "32PSK": 32,
    "OOK": 2, "4ASK": 4, "8ASK": 8, "PAM4": 4,
    "8QAM": 8, "16QAM": 16, "32QAM": 32, "64QAM": 64, "128QAM": 128, "256QAM": 256,
    "16APSK": 16, "32APSK": 32, "64APSK": 64, "128APSK": 128, "256APSK": 256,
}  # fmt: skip
UNIPOLAR = ("OOK", "4ASK", "8ASK")
GRAY_LABELLED = (
    "BPSK", "QPSK", "OQPSK", "8PSK", "16PSK", "32PSK", "OOK", "4ASK", "8ASK", "PAM4",
    "8QAM", "16QAM", "64QAM", "256QAM",
)  # fmt: skip

# Radius (inner ring = 1) and points of each ring: EN 302 307-1 at code rates 2/3 and 3/4, EN 302 307-2 at
# 128/180, 135/180 and 116/180.
APSK_RINGS = {
    "16APSK": [(1, 4), (3.15, 12)],
    "32APSK": [(1, 4), (2.84, 12), (5.27, 16)],
    "64APSK": [(1, 16), (1.88, 16), (2.72, 16), (3.95, 16)],
    "128APSK": [(1, 16), (1.715, 16), (2.118, 16), (2.681, 16), (2.75, 16), (3.819, 48)],
    "256APSK": [(r, 32) for r in (1, 1.791, 2.405, 2.98, 3.569, 4.235, 5.078, 6.536)],
}


def distances(points):
    """Distance from each point to every other, [M, M]; infinite from a point to itself."""
    distance = np.abs(points[:, None] - points)
    np.fill_diagonal(distance, np.inf)
    return distance


def bits_that_differ(order):
    """Hamming distance between labels, [M, M]."""
    labels = np.arange(order)
    return np.bitwise_count(labels[:, None] ^ labels)


def gray_penalty(points):
    """Bits that differ, averaged over the nearest neighbours of a point and then over the points."""
    distance = distances(points)
    nearest = distance <= distance.min() * (1 + 1e-9)
    return np.mean(np.sum(bits_that_differ(len(points)) * nearest, axis=1) / nearest.sum(axis=1))


def c40_c42(points):
    """Fourth-order cumulants of equiprobable points of unit power and zero mean."""
    c20 = np.mean(points**2)
    c40 = np.mean(points**4) - 3 * c20**2
    c42 = np.mean(np.abs(points) ** 4) - np.abs(c20) ** 2 - 2
    return c40, c42


def test_the_table_holds_every_linear_modulation_with_its_number_of_points():
    assert {name: points.shape for name, points in CONSTELLATIONS.items()} == {
        name: (order,) for name, order in ORDERS.items()
    }


@pytest.mark.parametrize("name", ORDERS)
def test_points_are_complex_and_cannot_be_overwritten(name):
    assert CONSTELLATIONS[name].dtype == np.complex128
    with pytest.raises(ValueError, match="read-only"):
        CONSTELLATIONS[name][0] = 0


@pytest.mark.parametrize("name", ORDERS)
def test_mean_power_is_one(name):
    assert np.mean(np.abs(CONSTELLATIONS[name]) ** 2) == pytest.approx(1, abs=1e-14)


@pytest.mark.parametrize("name", [name for name in ORDERS if name not in UNIPOLAR])
def test_mean_is_zero_unless_unipolar(name):
    assert abs(np.mean(CONSTELLATIONS[name])) < 1e-15


@pytest.mark.parametrize("name", UNIPOLAR)
def test_unipolar_levels_are_evenly_spaced_from_zero(name):
    points, order = CONSTELLATIONS[name], ORDERS[name]
    mean_square = (order - 1) * (2 * order - 1) / 6  # of 0, 1, …, M−1
    assert np.sort(points.real) == pytest.approx(np.arange(order) / np.sqrt(mean_square))
    assert not points.imag.any()


def test_pam4_and_bpsk_are_real_and_antipodal():
    assert np.sort_complex(CONSTELLATIONS["PAM4"]) == pytest.approx(np.array([-3, -1, 1, 3]) / np.sqrt(5))
    assert np.sort_complex(CONSTELLATIONS["BPSK"]) == pytest.approx([-1, 1])


def test_qpsk_and_oqpsk_sit_on_the_diagonals():
    assert np.abs(CONSTELLATIONS["QPSK"].real) == pytest.approx(np.full(4, np.sqrt(0.5)))
    assert np.abs(CONSTELLATIONS["QPSK"].imag) == pytest.approx(np.full(4, np.sqrt(0.5)))
    assert np.array_equal(CONSTELLATIONS["QPSK"], CONSTELLATIONS["OQPSK"])


def test_8qam_is_a_four_by_two_rectangle():
    points = CONSTELLATIONS["8QAM"] * np.sqrt(6)
    expected = {(i, q) for i in (-3, -1, 1, 3) for q in (-1, 1)}
    assert {(round(z.real, 12), round(z.imag, 12)) for z in points} == expected


@pytest.mark.parametrize("name, corner", [("32QAM", 1), ("128QAM", 2)])
def test_cross_qam_is_a_square_grid_without_its_corners(name, corner):
    order = ORDERS[name]
    side = 6 * corner
    power = 2 / 3 * (31 / 32 * order - 1)  # of the cross on odd integers
    grid = np.arange(1 - side, side, 2)
    inner = side - 2 * corner  # |I| and |Q| do not both exceed this
    expected = {(i, q) for i in grid for q in grid if min(abs(i), abs(q)) < inner}
    points = CONSTELLATIONS[name] * np.sqrt(power)
    assert {(round(z.real, 9), round(z.imag, 9)) for z in points} == expected


@pytest.mark.parametrize(
    "name, minimum",
    [(f"{m}PSK", 2 * np.sin(np.pi / m)) for m in (8, 16, 32)]
    + [("BPSK", 2), ("QPSK", np.sqrt(2)), ("PAM4", np.sqrt(12 / 15)), ("8QAM", np.sqrt(2 / 3))]
    + [(f"{m}QAM", np.sqrt(6 / (m - 1))) for m in (16, 64, 256)]
    + [(f"{m}QAM", np.sqrt(6 / (31 / 32 * m - 1))) for m in (32, 128)],
)
def test_minimum_distance_is_the_closed_form(name, minimum):
    assert distances(CONSTELLATIONS[name]).min() == pytest.approx(minimum)


@pytest.mark.parametrize("name", ORDERS)
def test_points_are_distinct(name):
    assert distances(CONSTELLATIONS[name]).min() > 0.05


@pytest.mark.parametrize("name", GRAY_LABELLED)
def test_nearest_neighbours_differ_in_one_bit(name):
    assert gray_penalty(CONSTELLATIONS[name]) == 1


@pytest.mark.parametrize("name, penalty", [("32QAM", 7 / 6), ("128QAM", 1 + 1 / 16 + 1 / 384)])
def test_cross_qam_has_the_gray_penalty_of_smith(name, penalty):
    assert gray_penalty(CONSTELLATIONS[name]) == pytest.approx(penalty, abs=1e-12)


@pytest.mark.parametrize("name", ["32QAM", "128QAM"])
def test_no_neighbours_in_cross_qam_differ_in_more_than_two_bits(name):
    distance = distances(CONSTELLATIONS[name])
    nearest = distance <= distance.min() * (1 + 1e-9)
    assert bits_that_differ(ORDERS[name])[nearest].max() == 2


@pytest.mark.parametrize("name", APSK_RINGS)
def test_closest_points_of_apsk_differ_in_one_bit(name):
    distance = distances(CONSTELLATIONS[name])
    closest = distance <= distance.min() * (1 + 1e-9)
    assert bits_that_differ(ORDERS[name])[closest].max() == 1


@pytest.mark.parametrize("name, rings", APSK_RINGS.items())
def test_apsk_rings_have_the_radii_and_counts_of_the_standard(name, rings):
    radii = np.abs(CONSTELLATIONS[name])
    radius, count = np.unique(np.round(radii / radii.min(), 9), return_counts=True)
    assert list(zip(radius, count, strict=True)) == rings


@pytest.mark.parametrize("name", APSK_RINGS)
def test_apsk_is_symmetric_under_a_quarter_turn(name):
    points = CONSTELLATIONS[name]
    missed = np.abs(1j * points[:, None] - points).min(axis=1) / np.abs(points)
    # The phases of 128APSK are rounded to multiples of π/5040.
    assert missed.max() < (2.01 * np.pi / 5040 if name == "128APSK" else 1e-12)


# The bit that mirrors a point at the Q axis, φ → π − φ, and the bit that mirrors it at the I axis, φ → −φ.
@pytest.mark.parametrize(
    "name, q_mirror, i_mirror", [("16APSK", 1, 0), ("64APSK", 2, 3), ("128APSK", 5, 6), ("256APSK", 3, 4)]
)
def test_two_bits_of_apsk_pick_the_quadrant(name, q_mirror, i_mirror):
    points = CONSTELLATIONS[name]
    labels = np.arange(len(points))
    assert points[labels ^ (1 << q_mirror)] == pytest.approx(-points.conj())
    assert points[labels ^ (1 << i_mirror)] == pytest.approx(points.conj())


@pytest.mark.parametrize(
    "name, label, radius, phase",
    [
        ("16APSK", 0b0000, 3.15, 1 / 4),
        ("16APSK", 0b0111, 3.15, -11 / 12),
        ("16APSK", 0b1110, 1, 3 / 4),
        ("32APSK", 0b10001, 1, 1 / 4),
        ("32APSK", 0b00001, 2.84, 5 / 12),
        ("32APSK", 0b11000, 5.27, 0),
        ("32APSK", 0b01000, 5.27, 1 / 8),
        ("32APSK", 0b11001, 5.27, 1 / 4),
        ("32APSK", 0b01101, 5.27, 1 / 2),
        ("32APSK", 0b11110, 5.27, 1),
        ("32APSK", 0b01011, 5.27, -1 / 2),
        ("32APSK", 0b11010, 5.27, -1 / 8),
        ("64APSK", 0b100010, 3.95, 7 / 16),
        ("64APSK", 0b111101, 2.72, -13 / 16),
        ("128APSK", 0b0000000, 1, 83 / 1260),
        ("128APSK", 0b0010010, 3.819, 43 / 90),
        ("128APSK", 0b0100111, 2.681, 1 - 61 / 720),
        ("256APSK", 0b10000000, 6.536, 1 / 32),
        ("256APSK", 0b01000010, 2.98, 7 / 32),
    ],
)
def test_apsk_labels_sit_where_the_standard_maps_them(name, label, radius, phase):
    points = CONSTELLATIONS[name]
    expected = radius * np.abs(points).min() * np.exp(1j * np.pi * phase)
    assert points[label] == pytest.approx(expected)


@pytest.mark.parametrize(
    "name, c40, c42",
    [
        # Amplitude: −6/5 (M² + 1)/(M² − 1); square QAM of M = L²: −3/5 (L² + 1)/(L² − 1); PSK: E[z⁴] and −1.
        ("BPSK", -2, -2),
        ("PAM4", -1.36, -1.36),
        ("QPSK", -1, -1),
        ("8PSK", 0, -1),
        ("16PSK", 0, -1),
        ("32PSK", 0, -1),
        ("16QAM", -0.68, -0.68),
        ("64QAM", -3 / 5 * 65 / 63, -3 / 5 * 65 / 63),
        ("256QAM", -3 / 5 * 257 / 255, -3 / 5 * 257 / 255),
        # On odd integers the cross has E|z|² = 20, E[z⁴] = −76 and E|z|⁴ = 524.
        ("32QAM", -76 / 400, 524 / 400 - 2),
    ],
)
def test_fourth_order_cumulants_are_the_closed_forms(name, c40, c42):
    assert c40_c42(CONSTELLATIONS[name]) == pytest.approx((c40, c42), abs=1e-12)
