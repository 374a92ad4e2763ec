"""Higher-order cumulants of I/Q instances, the features of P1's HOC-SVM (P1 §IV-B)."""

import torch

CUMULANTS = ("C20", "C21", "C40", "C41", "C42", "C60", "C61", "C62", "C63", "C80", "C84")
"""Names of the cumulants in the order of `cumulants`: Cpq has order p and q conjugates."""


def moments(z: torch.Tensor) -> dict[str, torch.Tensor]:
    """The moments M_pq = E[z^(p−q) z*^q] that the eleven cumulants are made of.

    Input: z [..., samples], complex. Output: {"M20": [...], ...}; M21, M42, M63 and M84 are real, the rest
    complex.
    """
    power = z.real.square() + z.imag.square()  # |z|², where z·z* would be complex
    power2 = power * power
    z2 = z * z
    z4 = z2 * z2
    return {
        "M20": z2.mean(-1),
        "M21": power.mean(-1),
        "M40": z4.mean(-1),
        "M41": (z2 * power).mean(-1),
        "M42": power2.mean(-1),
        "M60": (z4 * z2).mean(-1),
        "M61": (z4 * power).mean(-1),
        "M62": (z2 * power2).mean(-1),
        "M63": (power2 * power).mean(-1),
        "M80": (z4 * z4).mean(-1),
        "M84": (power2 * power2).mean(-1),
    }


def magnitudes(x: torch.Tensor) -> torch.Tensor:
    """Magnitudes of the normalised cumulants in `CUMULANTS`: I and Q [batch, 2, length] → [batch, 11] float32."""
    return cumulants(torch.complex(x[:, 0], x[:, 1])).abs()


def cumulants(z: torch.Tensor, normalised: bool = True) -> torch.Tensor:
    """The eleven joint cumulants of z and z* named in `CUMULANTS`, for signals whose odd moments vanish.

    A normalised cumulant of order p is divided by C21^(p/2), the power to the p/2, so it does not depend on
    the scale of z and normalised C21 is 1. Sums over set partitions; see Swami & Sadler, IEEE Trans. Commun.
    48 (2000).

    Input: z [..., samples], complex. Output: [..., 11] complex.
    """
    if normalised:  # scaled first, so that eighth powers stay in range whatever the units of z
        z = z / (z.real.square() + z.imag.square()).mean(-1, keepdim=True).sqrt()
    return torch.stack([value.to(z.dtype) for value in cumulants_of(moments(z))], dim=-1)


def cumulants_of(m: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """The eleven cumulants, from what `moments` gives."""
    m20, m21, m40, m41, m42, m63 = m["M20"], m["M21"], m["M40"], m["M41"], m["M42"], m["M63"]
    m22, m43 = m20.conj(), m41.conj()
    abs2_m20 = m20.abs().square()
    return (
        m20,
        m21,
        m40 - 3 * m20**2,
        m41 - 3 * m20 * m21,
        m42 - abs2_m20 - 2 * m21**2,
        m["M60"] - 15 * m20 * m40 + 30 * m20**3,
        m["M61"] - 5 * m21 * m40 - 10 * m20 * m41 + 30 * m20**2 * m21,
        m["M62"] - 6 * m20 * m42 - 8 * m21 * m41 - m22 * m40 + 6 * m20**2 * m22 + 24 * m21**2 * m20,
        m63 - 9 * m21 * m42 + 12 * m21**3 - 3 * m20 * m43 - 3 * m22 * m41 + 18 * abs2_m20 * m21,
        m["M80"] - 28 * m20 * m["M60"] - 35 * m40**2 + 420 * m40 * m20**2 - 630 * m20**4,
        m["M84"] - 16 * m63 * m21 - m40.abs().square() - 18 * m42**2 - 16 * m41.abs().square()
        + 144 * m42 * m21**2 - 144 * m21**4
        - 12 * (m["M62"] * m22).real + 12 * (m40 * m22**2).real + 192 * (m41 * m22).real * m21
        + 72 * m42 * abs2_m20 - 432 * abs2_m20 * m21**2 - 54 * abs2_m20**2,
    )  # fmt: skip
