"""Counter-based random numbers: an instance's numbers follow from its address alone.

Philox-4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11) turns a 64-bit key and
a 128-bit counter into four 32-bit words. The key is a hash of (scenario, modulation, SNR, seed); the
counter holds the instance index, the stream, and the position in the stream. There is no state, so
batch size, order, worker and device cannot matter.

Everything is integer arithmetic or `exactmath`, so eager and compiled code agree bit for bit. On a CPU, the
numbers come from `kernels` if they were built: the same bits, twenty times as fast.
"""

from __future__ import annotations

import torch

from amc_core import kernels
from amc_core.device import compiled
from amc_core.exactmath import minus_2_log, random_cos_sin, square_root

# Every concern draws from a stream of its own, so that a new option consumes no old numbers. The stream of a field
# follows from its name (`identity.stream`).
SYMBOLS, NOISE, FADING, SOURCE = range(4)

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_MASK = 0xFFFFFFFF


def philox(counter: tuple, key: tuple) -> tuple:
    """Philox-4x32-10: four counter words and two key words (int64 tensors below 2³²) → four random words."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]  # the product wraps, but its 64 bits stay right
        c0, c1, c2, c3 = (p1 >> 32) & _MASK ^ c1 ^ k0, p1 & _MASK, (p0 >> 32) & _MASK ^ c3 ^ k1, p0 & _MASK
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return c0, c1, c2, c3


def words(keys: torch.Tensor, indices: torch.Tensor, stream: int, count: int) -> torch.Tensor:
    """Random 32-bit words of a batch of addresses.

    keys: (batch, 2) int64, from `identity.address_key`; indices: (batch,) int64 instance indices.
    Returns (4, batch, ceil(count / 4)) int64 in [0, 2³²).
    """
    if kernels.usable(keys):
        drawn = _kernel_integers(keys, indices, stream, -(-count // 4) * 4, torch.full_like(indices, 1 << 32))
        return drawn.view(len(keys), -1, 4).permute(2, 0, 1)
    return _torch_words(keys, indices, stream, count)


def uniform(keys: torch.Tensor, indices: torch.Tensor, stream: int, count: int) -> torch.Tensor:
    """(batch, count) float32 uniform in (0, 1), on a grid of 2⁻²⁴."""
    steps = integers(keys, indices, stream, count, torch.full_like(indices, 1 << 24))
    return (steps.to(torch.float32) + 0.5) * 2.0**-24


def integers(keys: torch.Tensor, indices: torch.Tensor, stream: int, count: int, below: torch.Tensor) -> torch.Tensor:
    """(batch, count) int64 uniform in [0, below), `below` (batch,) int64 up to 2³¹; the bias is under below·2⁻³²."""
    draw = _kernel_integers if kernels.usable(keys) else _torch_integers
    return draw(keys, indices, stream, count, below)


def complex_normal(keys: torch.Tensor, indices: torch.Tensor, stream: int, count: int) -> torch.Tensor:
    """(batch, 2, count) float32, independent standard normals: I and Q of noise with E|v|² = 2 (Box–Muller)."""
    draw = _kernel_normals if kernels.usable(keys) else _torch_normals
    return draw(keys, indices, stream, count)


def _torch_words(keys, indices, stream, count) -> torch.Tensor:
    return _words(*_counter(keys, indices, stream, count))


def _torch_integers(keys, indices, stream, count, below) -> torch.Tensor:
    return _integers(*_counter(keys, indices, stream, count), below[:, None])[:, :count]


def _torch_normals(keys, indices, stream, count) -> torch.Tensor:
    return _normals(*_counter(keys, indices, stream, 2 * count))[:, :, :count]


def _counter(keys, indices, stream, count) -> tuple[torch.Tensor, ...]:
    """Four counter words and two key words. All are tensors: a compiler would compute with constants in 32 bits."""
    position = torch.arange((count + 3) // 4, device=keys.device).expand(len(keys), -1)
    low, high = (indices & _MASK)[:, None], (indices >> 32 & _MASK)[:, None]
    return position, torch.full_like(low, stream), low, high, keys[:, :1], keys[:, 1:]


@compiled
def _words(c0, c1, c2, c3, k0, k1) -> torch.Tensor:
    return torch.stack(philox((c0, c1, c2, c3), (k0, k1)))


@compiled
def _integers(c0, c1, c2, c3, k0, k1, below) -> torch.Tensor:
    return torch.stack(philox((c0, c1, c2, c3), (k0, k1)), 2).flatten(1) * below >> 32


@compiled
def _normals(c0, c1, c2, c3, k0, k1) -> torch.Tensor:
    a, b, c, d = philox((c0, c1, c2, c3), (k0, k1))
    first, second = _box_muller(a, b), _box_muller(c, d)
    return torch.cat([torch.stack(first, 1), torch.stack(second, 1)], dim=2)


def _box_muller(radius_word: torch.Tensor, angle_word: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    u = (radius_word.to(torch.float32) + 0.5) * 2.0**-32
    radius = square_root(minus_2_log(u))
    cos, sin = random_cos_sin(angle_word)
    return radius * cos, radius * sin


def _kernel_integers(keys, indices, stream, count, below) -> torch.Tensor:
    out = torch.empty(len(keys), count, dtype=torch.int64, device="cpu")
    kernels.call("integers", stream, len(keys), count, *int64_rows(keys, indices, below), out)
    return out


def _kernel_normals(keys, indices, stream, count) -> torch.Tensor:
    out = torch.empty(len(keys), 2, count, dtype=torch.float32, device="cpu")
    kernels.call("complex_normal", stream, len(keys), count, *int64_rows(keys, indices), out)
    return out


def int64_rows(keys: torch.Tensor, *vectors: torch.Tensor) -> list[torch.Tensor]:
    """keys (batch, 2) and `vectors` (batch,) as contiguous int64, for a kernel."""
    batch = len(keys)
    tensors = [keys.expand(batch, 2), *(vector.expand(batch) for vector in vectors)]
    return [tensor.to(torch.int64).contiguous() for tensor in tensors]
