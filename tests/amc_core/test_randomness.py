"""Philox against published vectors, the distributions drawn from it against theory, the C kernel against torch."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from scipy import stats

from amc_core import kernels, randomness
from amc_core.exactmath import cos_sin, minus_2_log, square_root
from amc_core.identity import address_key
from amc_core.randomness import NOISE, SYMBOLS, complex_normal, integers, philox, uniform, words

KEYS = torch.tensor([address_key("a"), address_key("b"), address_key("a")])
INDICES = torch.tensor([0, 0, 7])

needs_kernel = pytest.mark.skipif(kernels.library() is None, reason="_kernels.c is not built (no C compiler)")


def random_addresses(batch: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Keys (batch, 2) and indices (batch,) over their whole range."""
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(1 << 32, (batch, 2), generator=draw), torch.randint(1 << 62, (batch,), generator=draw)


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [  # Random123's known-answer vectors of philox4x32_10
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_published_vectors(counter, key, expected):
    words = philox(tuple(torch.tensor(c) for c in counter), tuple(torch.tensor(k) for k in key))
    assert tuple(int(word) for word in words) == expected


def test_normals_are_standard_normal_and_uncorrelated():
    keys, indices = KEYS[:1].expand(200, 2), torch.arange(200)
    normals = complex_normal(keys, indices, NOISE, 1000).numpy().astype(np.float64)
    assert stats.kstest(normals.ravel(), "norm").pvalue > 0.01
    i, q = normals[:, 0].ravel(), normals[:, 1].ravel()
    standard_error = 1 / np.sqrt(i.size)
    assert abs(np.corrcoef(i, q)[0, 1]) < 4 * standard_error
    assert abs(np.corrcoef(i[:-1], i[1:])[0, 1]) < 4 * standard_error
    assert abs(np.corrcoef(normals[:-1].ravel(), normals[1:].ravel())[0, 1]) < 4 * standard_error


def test_normals_reach_past_five_sigma_as_often_as_they_should():
    keys = KEYS[:1].expand(2000, 2)
    normals = complex_normal(keys, torch.arange(2000), NOISE, 5000)
    expected = normals.numel() * 2 * stats.norm.sf(5)
    assert stats.poisson.cdf((normals.abs() > 5).sum().item(), expected) == pytest.approx(0.5, abs=0.499)


def test_uniforms_and_integers_follow_their_laws():
    keys, indices = KEYS[:1].expand(100, 2), torch.arange(100)
    assert stats.kstest(uniform(keys, indices, SYMBOLS, 1000).ravel(), "uniform").pvalue > 0.01
    drawn = integers(keys, indices, SYMBOLS, 1000, torch.full((100,), 12))
    assert stats.chisquare(np.bincount(drawn.ravel().numpy(), minlength=12)).pvalue > 0.01


def test_streams_keys_and_indices_give_different_numbers():
    noise = complex_normal(KEYS, INDICES, NOISE, 64)
    other = complex_normal(KEYS, INDICES, SYMBOLS, 64)
    rows = torch.cat([noise, other]).flatten(1)
    assert len({tuple(row.tolist()) for row in rows}) == 6


def test_indices_beyond_32_bits_are_told_apart():
    index = torch.tensor([5, 5 + (1 << 32)])
    first, second = uniform(KEYS[:1].expand(2, 2), index, NOISE, 8)
    assert not torch.equal(first, second)


def test_elementary_functions_are_accurate():
    u = torch.rand(100_000) + 1e-10
    assert (minus_2_log(u).double() + 2 * u.double().log()).abs().max() < 5e-6
    turns = torch.linspace(-300, 300, 100_001)
    cos, sin = cos_sin(turns)
    assert (cos.double() - (2 * torch.pi * turns.double()).cos()).abs().max() < 5e-7
    assert (sin.double() - (2 * torch.pi * turns.double()).sin()).abs().max() < 5e-7
    assert (square_root(u).double() - u.double().sqrt()).abs().max() < 2e-7


def test_results_do_not_depend_on_the_position_in_a_tensor():
    turns = torch.linspace(-3, 3, 1003)
    whole = torch.stack(cos_sin(turns))
    alone = torch.stack([torch.stack(cos_sin(x)) for x in turns.split(1)], 1)[..., 0]
    assert torch.equal(whole, alone)


@needs_kernel
@pytest.mark.parametrize("stream", [SYMBOLS, NOISE, 1 << 31])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 63, 64, 65, 127, 128, 129, 255, 256, 257, 540, 1023, 1024, 1030])
def test_the_kernel_equals_torch_bit_for_bit(count, stream):
    keys, indices = random_addresses(8, seed=count)
    below = torch.tensor([1, 2, 3, 7, 256, 1000, 1 << 24, 1 << 31])
    normals = randomness._kernel_normals(keys, indices, stream, count)
    assert torch.equal(normals, randomness._torch_normals(keys, indices, stream, count))
    drawn = randomness._kernel_integers(keys, indices, stream, count, below)
    assert torch.equal(drawn, randomness._torch_integers(keys, indices, stream, count, below))


@needs_kernel
def test_the_kernel_equals_torch_over_many_addresses_and_into_the_tails():
    for seed in range(8):
        keys, indices = random_addresses(500, seed)
        normals = complex_normal(keys, indices, NOISE, 1024)  # 8 million in all, up to five sigma and more
        assert torch.equal(normals, randomness._torch_normals(keys, indices, NOISE, 1024))


@needs_kernel
def test_the_kernel_equals_torch_at_the_ends_of_the_words_range():
    keys = torch.tensor([[0, 0], [0xFFFFFFFF, 0xFFFFFFFF]])
    for index in (0, (1 << 32) - 1, 1 << 32, (1 << 63) - 1, -1):
        indices = torch.tensor([index, index])
        normals = complex_normal(keys, indices, NOISE, 300)
        assert torch.equal(normals, randomness._torch_normals(keys, indices, NOISE, 300))


@needs_kernel
def test_the_kernel_takes_views_and_refuses_vectors_of_another_length():
    keys, indices = random_addresses(6)
    views = keys.flip(1).T.contiguous().T.flip(1), indices.repeat_interleave(2)[::2]
    assert torch.equal(complex_normal(*views, NOISE, 9), complex_normal(keys, indices, NOISE, 9))
    assert torch.equal(
        complex_normal(keys[:1].expand(6, 2), indices, NOISE, 9)[0], complex_normal(keys, indices, NOISE, 9)[0]
    )
    assert complex_normal(keys[:0], indices[:0], NOISE, 9).shape == (0, 2, 9)
    with pytest.raises(RuntimeError):
        complex_normal(keys, indices[:5], NOISE, 9)


def test_threads_draw_the_same_numbers_as_one_after_the_other():
    addresses = [random_addresses(64, seed) for seed in range(8)]

    def draw(address):
        return complex_normal(*address, NOISE, 1030)

    with ThreadPoolExecutor(2) as threads:
        together = list(threads.map(draw, addresses * 4))
    assert all(torch.equal(a, b) for a, b in zip(together, map(draw, addresses * 4), strict=True))


def test_without_the_kernel_the_numbers_are_the_same(monkeypatch):
    keys, indices = random_addresses(5)
    below = torch.tensor([2, 3, 4, 5, 6])
    draws = [
        lambda: complex_normal(keys, indices, NOISE, 77),
        lambda: integers(keys, indices, SYMBOLS, 77, below),
        lambda: uniform(keys, indices, SYMBOLS, 77),
        lambda: words(keys, indices, SYMBOLS, 77),
    ]
    usual = [draw() for draw in draws]
    monkeypatch.setattr(kernels, "library", lambda: None)
    assert all(torch.equal(draw(), numbers) for draw, numbers in zip(draws, usual, strict=True))
