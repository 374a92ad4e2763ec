import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from amc_core.cumulants import CUMULANTS, cumulants


def partitions(items: list) -> Iterator[list[list]]:
    """All partitions of `items` into non-empty blocks."""
    if not items:
        yield []
        return
    first, rest = items[0], items[1:]
    for size in range(len(rest) + 1):
        for others in itertools.combinations(range(len(rest)), size):
            block = [first, *(rest[i] for i in others)]
            for remainder in partitions([item for i, item in enumerate(rest) if i not in others]):
                yield [block, *remainder]


def cumulant_by_partitions(points: np.ndarray, order: int, conjugates: int) -> complex:
    """The joint cumulant of `order` variables, `conjugates` of them z*, over equally likely points.

    Σ over set partitions π of (−1)^(|π|−1) (|π|−1)! Π over blocks B of E[Π over B].
    """
    moment = {(p, q): np.mean(points ** (p - q) * points.conj() ** q) for p in range(order + 1) for q in range(p + 1)}
    total = 0
    for partition in partitions([False] * (order - conjugates) + [True] * conjugates):
        blocks = len(partition)
        product = math.prod(moment[len(block), sum(block)] for block in partition)
        total += (-1) ** (blocks - 1) * math.factorial(blocks - 1) * product
    return total


def symmetric_points(seed: int, count: int = 9) -> np.ndarray:
    """Random points and their negatives, so that odd moments vanish; neither circular nor of unit power."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=count) * 0.6 + 1j * rng.normal(size=count) + rng.normal() * 0.3
    return np.concatenate([points, -points])


def of(points: np.ndarray, normalised: bool = False) -> np.ndarray:
    return cumulants(torch.as_tensor(points), normalised=normalised).numpy()


PSK = {m: np.exp(2j * np.pi * np.arange(m) / m) for m in (2, 4, 8)}
QAM16 = np.array([i + 1j * q for i in (-3, -1, 1, 3) for q in (-3, -1, 1, 3)])
PAM4 = np.array([-3, -1, 1, 3]) + 0j


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", CUMULANTS)
def test_a_cumulant_is_the_sum_over_set_partitions(name, seed):
    points = symmetric_points(seed)
    expected = cumulant_by_partitions(points, int(name[1]), int(name[2]))
    assert of(points)[CUMULANTS.index(name)] == pytest.approx(expected, rel=1e-10, abs=1e-10)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        (PSK[2], dict(C20=1, C21=1, C40=-2, C41=-2, C42=-2, C60=16, C62=16, C63=16, C80=-272, C84=-272)),
        (PSK[4], dict(C20=0, C21=1, C40=1, C41=0, C42=-1, C60=0, C61=-4, C62=0, C63=4, C80=-34, C84=-34)),
        (PSK[8], dict(C20=0, C21=1, C40=0, C41=0, C42=-1, C60=0, C61=0, C62=0, C63=4, C80=1, C84=-33)),
        (PAM4, dict(C20=1, C21=1, C40=-1.36, C41=-1.36, C42=-1.36, C60=8.32, C63=8.32)),
        (QAM16, dict(C20=0, C21=1, C40=-0.68, C41=0, C42=-0.68, C60=0, C61=2.08, C62=0, C63=2.08)),
    ],
    ids=["BPSK", "QPSK", "8PSK", "PAM4", "16QAM"],
)
def test_constellations_have_their_published_cumulants(points, expected):
    actual = dict(zip(CUMULANTS, of(points, normalised=True), strict=True))
    for name, value in expected.items():
        assert actual[name] == pytest.approx(value, abs=1e-9), name


def test_cumulants_of_a_sum_of_independent_signals_add():
    first, second = symmetric_points(0), symmetric_points(1, count=7)
    every_sum = (first[:, None] + second).ravel()  # each pair once: the exact distribution of the sum
    np.testing.assert_allclose(of(every_sum), of(first) + of(second), rtol=1e-9, atol=1e-9)


def test_normalised_cumulants_do_not_depend_on_scale():
    points = symmetric_points(2)
    np.testing.assert_allclose(of(1e-4 * points, normalised=True), of(points, normalised=True), rtol=1e-9)
    large = torch.as_tensor(3e4 * points, dtype=torch.complex64)  # |z|⁸ would be beyond float32
    np.testing.assert_allclose(cumulants(large).numpy(), of(points, normalised=True), rtol=1e-3, atol=1e-3)


def test_normalised_cumulants_are_cumulants_over_power():
    points = symmetric_points(3)
    power = np.mean(np.abs(points) ** 2)
    orders = np.array([int(name[1]) for name in CUMULANTS])
    np.testing.assert_allclose(of(points, normalised=True), of(points) / power ** (orders / 2), rtol=1e-10)


def test_cumulants_above_order_two_vanish_for_circular_gaussian_noise():
    samples, batches = 100_000, 40
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(batches, samples, dtype=torch.complex128, generator=generator)
    values = cumulants(noise)
    mean = values.mean(0).abs()
    standard_error = (values - values.mean(0)).abs().square().mean(0).sqrt() / math.sqrt(batches)
    higher = [i for i, name in enumerate(CUMULANTS) if name != "C21"]
    assert torch.all(mean[higher] < 5 * standard_error[higher])
    assert torch.all(mean[higher] < 0.2)


def test_cumulants_rotate_with_their_unconjugated_surplus():
    points, angle = symmetric_points(4), 0.7
    surplus = np.array([int(name[1]) - 2 * int(name[2]) for name in CUMULANTS])
    turned = of(points * np.exp(1j * angle))
    np.testing.assert_allclose(turned, of(points) * np.exp(1j * angle * surplus), atol=1e-8)


def test_float32_features_are_as_good_as_float64():
    generator = torch.Generator().manual_seed(1)
    symbols = torch.as_tensor(QAM16)[torch.randint(16, (64, 1024), generator=generator)]
    noisy = symbols / math.sqrt(10) + 0.3 * torch.randn(64, 1024, dtype=torch.complex128, generator=generator)
    exact, single = cumulants(noisy), cumulants(noisy.to(torch.complex64))
    spread = (exact - exact.mean(0)).abs().square().mean(0).sqrt()
    higher = [i for i, name in enumerate(CUMULANTS) if name != "C21"]
    assert torch.all((single - exact).abs()[:, higher] < 1e-3 * spread[higher])


def test_leading_axes_are_kept():
    assert cumulants(torch.randn(3, 5, 64, dtype=torch.complex64)).shape == (3, 5, 11)
