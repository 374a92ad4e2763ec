"""Fading: path gains that vary in time with the Jakes spectrum (P1 §III, Table I)."""

from __future__ import annotations

import math

import numpy as np
import torch

from amc_core import kernels
from amc_core.exactmath import grouped_product, polynomial
from amc_core.identity import address_key
from amc_core.randomness import FADING, complex_normal
from amc_core.scenario import Channel
from amc_core.stages import Batch, Setting, Stage


def paths(setting: Setting) -> Stage:
    """The stage that adds up the paths of a setting's channel."""
    scenario = setting.scenario
    if not scenario.paths.path_delays:
        return SinglePath(setting)
    return Fading(scenario.paths, scenario.sample_rate, setting.length, setting.device, setting.seed)


class SinglePath(Stage):
    """A channel that only adds noise: the signal passes as it was sent."""

    def __call__(self, signal: tuple[torch.Tensor, torch.Tensor], batch: Batch) -> torch.Tensor:
        """I and Q, each (batch, 1, length) → (batch, 2, length)."""
        return torch.cat(signal, dim=1)


class Fading(Stage):
    """Draws the path gains of a channel over an instance: r(t) = Σ_i h_i(t) s(t − τ_i) of P1 eq. 2.

    Each path's scattered part is Σ_m c_m exp(j2π f_D cos θ_m t) with independent complex normal c_m and the
    midpoint angles θ_m = π(m + ½)/M: a Gaussian process whose autocorrelation is the M-point quadrature of
    J0(2π f_D τ) = (1/π) ∫ cos(2π f_D τ cos θ) dθ; its error is at most the Bessel function of order 2M.
    In blocks of samples the gains are cubics, whose coefficients follow from the c_m by one matrix.
    The direct component of a Rician first path has the phase and the Doppler shift of the channel, both 0 by default,
    so that K → ∞ is no fading. (P1's public code has 0.5 rad and 5 Hz.)
    """

    def __init__(
        self, channel: Channel, sample_rate: float, length: int, device: torch.device | str = "cpu", seed: int = 0
    ):
        shared = {name: value for name, value in channel.definition().items() if name != "realisations"}
        self.realisations = channel.realisations
        self.shared_key = torch.tensor(address_key(shared, seed), device=device)
        powers = 10 ** (np.asarray(channel.path_gains_db, dtype=np.float64) / 10)
        powers /= powers.sum()
        scattered = powers.copy()
        scattered[0] /= channel.k_factor + 1
        direct = math.sqrt(powers[0] - scattered[0])
        self.paths, self.length = len(powers), length
        argument = 2 * math.pi * channel.max_doppler * length / sample_rate
        self.sinusoids = math.ceil((argument + 8 * argument ** (1 / 3)) / 2) + 4
        angle = math.pi * (np.arange(self.sinusoids) + 0.5) / self.sinusoids
        self.positions, fit = _longest_block(
            max(channel.max_doppler, abs(channel.direct_doppler)) / sample_rate, length
        )
        blocks = -(-length // len(self.positions))
        times = np.arange(blocks * len(self.positions)) / sample_rate
        turns = np.outer(channel.max_doppler * np.cos(angle), times)
        wave = np.exp(2j * math.pi * turns) / math.sqrt(2 * self.sinusoids)  # c_m has E|c_m|² = 2 before this
        wave = (wave.reshape(self.sinusoids, blocks, -1) @ fit.T).reshape(self.sinusoids, -1)
        turned = direct * np.exp(1j * (2 * math.pi * channel.direct_doppler * times + channel.direct_phase))
        turned = turned.reshape(blocks, -1) @ fit.T  # (blocks, 4)
        turned = np.stack([turned.real, turned.imag])
        if not channel.direct_doppler and not channel.direct_phase:
            turned = np.zeros_like(turned)
            turned[0, :, 0] = direct  # exactly
        self.direct = torch.as_tensor(turned, dtype=torch.float32, device=device)  # (2, blocks, 4)
        rotation = np.block([[wave.real, wave.imag], [-wave.imag, wave.real]])
        self.matrix = torch.as_tensor(rotation, dtype=torch.float32, device=device)  # (2M, 2·blocks·4)
        self.scale = torch.as_tensor(np.sqrt(scattered), dtype=torch.float32, device=device)[:, None]
        self.positions = torch.as_tensor(self.positions, dtype=torch.float32, device=device)

    def __call__(self, signal: tuple[torch.Tensor, torch.Tensor], batch: Batch) -> torch.Tensor:
        """I and Q of the delayed signals, each (batch, paths, length) → (batch, 2, length)."""
        through_paths = self._kernel_through_paths if kernels.usable(signal[0]) else self._torch_through_paths
        return through_paths(self._coefficients(batch.keys, batch.indices), *signal)

    def gains(self, keys: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        """(batch, paths, 2, length) float32: real and imaginary part of every path's gain; powers sum to 1."""
        return self._gains(self._coefficients(keys, indices))

    def _coefficients(self, keys: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        """(batch, paths, 2, blocks, 4): coefficients of the cubics that give the gains in each block of samples."""
        if self.realisations is not None:
            keys, indices = self.shared_key.expand(len(keys), -1), indices % self.realisations
        normals = complex_normal(keys, indices, FADING, self.paths * self.sinusoids)
        normals = normals.view(-1, 2, self.paths, self.sinusoids).transpose(1, 2)
        amplitudes = normals.reshape(-1, self.paths, 2 * self.sinusoids) * self.scale
        rows = amplitudes.flatten(0, 1)
        coefficients = torch.empty(len(rows), self.matrix.shape[1], device=rows.device)
        grouped_product(rows, self.matrix, self.paths, out=coefficients)
        coefficients = coefficients.view(len(keys), self.paths, 2, -1, 4)
        coefficients[:, 0] += self.direct
        return coefficients

    def _gains(self, coefficients: torch.Tensor) -> torch.Tensor:
        gains = polynomial(self.positions, coefficients[..., None].unbind(-2))
        return gains.flatten(3)[..., : self.length]

    def _torch_through_paths(self, coefficients: torch.Tensor, i: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
        a, b = self._gains(coefficients).unbind(2)
        return torch.stack([_sum_paths(i * a - q * b), _sum_paths(i * b + q * a)], 1)

    def _kernel_through_paths(self, coefficients: torch.Tensor, i: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
        i, q = (x if x.stride(2) == 1 else x.contiguous() for x in (i, q))
        received = torch.empty(len(i), 2, self.length)
        sizes = len(i), self.paths, self.length, len(self.positions), *i.stride()[:2], *q.stride()[:2]
        kernels.call("through_paths", *sizes, i, q, self.positions, coefficients, received)
        return received


def _longest_block(cycles: float, length: int) -> tuple[np.ndarray, np.ndarray]:
    """The longest block of 4, 8, 16 … samples in which a cubic fits a wave of `cycles` a sample to 10⁻⁶; 4 are exact.

    Returns the samples' positions in the block, from −1 to 1, and the matrix (4, block) from samples to coefficients.
    """
    block, longest = 4, None
    while longest is None or len(longest[0]) < length:
        positions = (2 * np.arange(block) + 1) / block - 1
        powers = np.vander(positions, 4, increasing=True)
        fit = np.linalg.pinv(powers)
        wave = np.exp(1j * math.pi * cycles * block * positions)
        # A wave of a whole turn a sample aliases to a constant, which any block fits, but slower waves exist too.
        if longest and (cycles * block > 0.25 or np.abs(powers @ (fit @ wave) - wave).max() > 1e-6):
            break
        longest, block = (positions, fit), 2 * block
    return longest


def _sum_paths(terms: torch.Tensor) -> torch.Tensor:
    total = terms[:, 0]
    for path in range(1, terms.shape[1]):
        total = total + terms[:, path]
    return total
