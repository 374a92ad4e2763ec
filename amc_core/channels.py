"""Fading: path gains that vary in time with the Jakes spectrum (P1 §III, Table I)."""

from __future__ import annotations

import math

import numpy as np
import torch

from amc_core.randomness import FADING, complex_normal
from amc_core.scenario import Channel


class Fading:
    """Draws the path gains of a channel over an instance.

    Each path's scattered part is Σ_m c_m exp(j2π f_D cos θ_m t) with independent complex normal c_m and the
    midpoint angles θ_m = π(m + ½)/M: a Gaussian process whose autocorrelation is the M-point quadrature of
    J0(2π f_D τ) = (1/π) ∫ cos(2π f_D τ cos θ) dθ, off by no more than the Bessel function of order 2M.
    The direct component of a Rician first path has phase 0 and no Doppler shift, so that K → ∞ is no fading.
    """

    def __init__(self, channel: Channel, sample_rate: float, length: int, device: torch.device | str = "cpu"):
        powers = 10 ** (np.asarray(channel.path_gains_db, dtype=np.float64) / 10)
        powers /= powers.sum()
        scattered = powers.copy()
        scattered[0] /= channel.k_factor + 1
        self.direct = math.sqrt(powers[0] - scattered[0])
        self.paths, self.length = len(powers), length
        argument = 2 * math.pi * channel.max_doppler * length / sample_rate
        self.sinusoids = math.ceil((argument + 8 * argument ** (1 / 3)) / 2) + 4
        angle = math.pi * (np.arange(self.sinusoids) + 0.5) / self.sinusoids
        turns = np.outer(channel.max_doppler * np.cos(angle), np.arange(length) / sample_rate)
        wave = np.exp(2j * math.pi * turns) / math.sqrt(2 * self.sinusoids)  # c_m has E|c_m|² = 2 before this
        rotation = np.block([[wave.real, wave.imag], [-wave.imag, wave.real]])
        self.matrix = torch.as_tensor(rotation, dtype=torch.float32, device=device)  # (2M, 2·length)
        self.scale = torch.as_tensor(np.sqrt(scattered), dtype=torch.float32, device=device)[:, None]

    def __call__(self, keys: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        """(batch, paths, 2, length) float32: real and imaginary part of every path's gain; powers sum to 1."""
        normals = complex_normal(keys, indices, FADING, self.paths * self.sinusoids)
        normals = normals.view(-1, 2, self.paths, self.sinusoids).transpose(1, 2)
        amplitudes = normals.reshape(-1, self.paths, 2 * self.sinusoids) * self.scale
        gains = (amplitudes.flatten(0, 1) @ self.matrix).view(-1, self.paths, 2, self.length)
        gains[:, 0, 0] += self.direct
        return gains


def through_paths(signals: torch.Tensor, gains: torch.Tensor) -> torch.Tensor:
    """Σ_i h_i(t) s(t − τ_i): (batch, paths, 2, length) delayed signals and gains → (batch, 2, length)."""
    i, q = signals[:, :, 0], signals[:, :, 1]
    a, b = gains[:, :, 0], gains[:, :, 1]
    received = torch.empty_like(signals[:, 0])
    received[:, 0] = _sum_paths(i * a - q * b)
    received[:, 1] = _sum_paths(i * b + q * a)
    return received


def _sum_paths(terms: torch.Tensor) -> torch.Tensor:
    total = terms[:, 0]
    for path in range(1, terms.shape[1]):
        total = total + terms[:, path]
    return total
