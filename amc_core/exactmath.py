"""Elementary functions that give the same bits eagerly and compiled, in any batch and at any position in it.

The last bit of ``torch.log``, ``torch.cos`` and even ``torch.sqrt`` depends on the vector library that computes them.
The functions here consist of float32 additions, multiplications and divisions, which IEEE 754 rounds in one
way only, and so an instance's samples follow from its address alone. Absolute errors stay below 5·10⁻⁷
of the largest value. On a CPU, `kernels` compute the most used of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from amc_core import kernels
from amc_core.device import compiled

_SQRT_HALF_BITS = 0x3F3504F3  # √½ as a float32


def minus_2_log(u: torch.Tensor) -> torch.Tensor:
    """−2 ln u of positive float32: u = m·2ᵉ with m in [√½, √2), and ln m = 2 artanh((m − 1)/(m + 1))."""
    bits = u.view(torch.int32) - _SQRT_HALF_BITS
    exponent = (bits >> 23).to(torch.float32)
    mantissa = ((bits & 0x7FFFFF) + _SQRT_HALF_BITS).view(torch.float32)
    s = (mantissa - 1) / (mantissa + 1)  # |s| < 0.172
    return exponent * (-2 * math.log(2)) - s * polynomial(s * s, [1 / (2 * k + 1) for k in range(5)]) * 4


def exponential(x: torch.Tensor) -> torch.Tensor:
    """eˣ of float32 x, limited to ±87, as 2ⁿ times a series in x − n ln 2."""
    x = x.clamp(-87, 87)
    n = torch.round(x * (1 / math.log(2)))
    rest = (x - n * 0.693359375) + n * 2.12194440e-4  # ln 2 in two parts, the product with the first exact
    power_of_two = (n.to(torch.int32) + 127 << 23).view(torch.float32)
    return polynomial(rest, [1 / math.factorial(k) for k in range(9)]) * power_of_two


def square_root(x: torch.Tensor) -> torch.Tensor:
    """√x of float32 x ≥ 0. (``rsqrt`` is an exactly rounded root and a division; eager ``sqrt`` is neither.)"""
    x = x.clamp(min=1e-30)
    return x * torch.rsqrt(x)


def cos_sin(turns: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosine and sine of 2π·turns, for float32 turns of either sign (one turn is a full circle)."""
    return _kernel_cos_sin(turns) if kernels.usable(turns) else _torch_cos_sin(turns)


def halved_sum(x: torch.Tensor) -> torch.Tensor:
    """The sum over dimension 1 in a fixed order: the second half is added to the first until one row is left."""
    while (count := x.shape[1]) > 1:
        half = (count + 1) // 2
        sums = x[:, : count - half] + x[:, half:]
        x = sums if 2 * half == count else torch.cat([sums, x[:, half - 1 : half]], 1)
    return x[:, 0]


def _kernel_cos_sin(turns: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    turns = turns.contiguous()
    cos, sin = torch.empty_like(turns), torch.empty_like(turns)
    kernels.call("cos_sin", turns.numel(), turns, cos, sin)
    return cos, sin


@compiled
def _torch_cos_sin(turns: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    quarters = torch.round(turns * 4)
    cos, sin = _cos_sin_series((turns - quarters * 0.25) * (2 * math.pi))
    quadrant = quarters.to(torch.int32)
    odd = (quadrant & 1).bool()
    cos, sin = torch.where(odd, sin, cos), torch.where(odd, cos, sin)
    return cos * (1 - (quadrant + 1 & 2)).to(torch.float32), sin * (1 - (quadrant & 2)).to(torch.float32)


def random_cos_sin(word: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosine and sine of an angle uniform on the circle, from a random 32-bit word (int64).

    Two bits choose the signs and 22 the angle within the first quadrant.
    """
    angle = ((word >> 10).to(torch.float32) + 0.5) * (math.pi / 2 * 2.0**-22)
    cos, sin = _cos_sin_series(angle)
    return cos * (1 - 2 * (word & 1)).to(torch.float32), sin * (1 - (word & 2)).to(torch.float32)


def _cos_sin_series(angle: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Taylor series to x¹² and x¹¹, for |angle| ≤ π/2."""
    square = angle * angle
    cos = polynomial(square, [(-1) ** k / math.factorial(2 * k) for k in range(7)])
    return cos, angle * polynomial(square, [(-1) ** k / math.factorial(2 * k + 1) for k in range(6)])


def polynomial(x: torch.Tensor, coefficients: Sequence[float | torch.Tensor]) -> torch.Tensor:
    """Σ_k coefficients[k]·x^k by Horner's rule; at least two coefficients."""
    value = x * coefficients[-1] + coefficients[-2]
    for coefficient in reversed(coefficients[:-2]):
        value = value * x + coefficient
    return value


def group(device: torch.device | str) -> int:
    """Instances in a matrix product on a device: batches are filled up to a multiple of it.

    The rounding of a row may depend on the shape of the whole product, so all products have one shape. On a CPU, a
    group also fits in the cache.
    """
    return 64 if torch.device(device).type == "cpu" else 1024


def grouped_product(rows: torch.Tensor, matrix: torch.Tensor, per_instance: int, out: torch.Tensor) -> torch.Tensor:
    """rows @ matrix, group by group, into `out`; `per_instance` rows belong to each instance."""
    size = group(rows.device) * per_instance
    for some, products in zip(rows.split(size), out.split(size), strict=True):
        torch.mm(some, matrix, out=products)
    return out
