"""Networks without complex numbers and Fourier transforms, for exported files, which have neither."""

from __future__ import annotations

import copy
import math

import torch
from torch import nn

from amc_core.cumulants import cumulants_of, moments
from amc_core.models.amc_net import SpectrumCorrection
from amc_core.models.hoc_svm import HOCSVM


def in_real_arithmetic(network: nn.Module) -> nn.Module:
    """A copy of a network whose outputs are the same up to rounding and whose operations are all of real numbers."""
    network = copy.deepcopy(network)
    if isinstance(network, HOCSVM):
        return RealHOCSVM(network)
    for name, module in list(network.named_modules()):
        if isinstance(module, SpectrumCorrection):
            parent, _, own = name.rpartition(".")
            setattr(network.get_submodule(parent), own, RealSpectrumCorrection(module))
    return network


class Pair:
    """Complex numbers as two tensors, real and imag, with the operations that `amc_core.cumulants` needs."""

    def __init__(self, real: torch.Tensor, imag: torch.Tensor):
        self.real, self.imag = real, imag

    def __add__(self, other: Pair | torch.Tensor) -> Pair:
        if isinstance(other, Pair):
            return Pair(self.real + other.real, self.imag + other.imag)
        return Pair(self.real + other, self.imag)

    def __sub__(self, other: Pair | torch.Tensor) -> Pair:
        return self + -1 * other

    def __rsub__(self, other: torch.Tensor) -> Pair:
        return -1 * self + other

    def __mul__(self, other: Pair | torch.Tensor | float) -> Pair:
        if isinstance(other, Pair):
            real = self.real * other.real - self.imag * other.imag
            return Pair(real, self.real * other.imag + self.imag * other.real)
        return Pair(self.real * other, self.imag * other)

    __rmul__ = __mul__

    def __pow__(self, exponent: int) -> Pair:
        return self if exponent == 1 else self * self ** (exponent - 1)

    def conj(self) -> Pair:
        return Pair(self.real, -self.imag)

    def abs(self) -> torch.Tensor:
        return (self.real.square() + self.imag.square()).sqrt()

    def mean(self, axis: int) -> Pair:
        return Pair(self.real.mean(axis), self.imag.mean(axis))


class RealHOCSVM(nn.Module):
    """`HOCSVM` after its fit: (batch, 2, length) float32 → (batch, classes) scores."""

    def __init__(self, fitted: HOCSVM):
        super().__init__()
        for name, values in fitted.named_buffers():
            self.register_buffer(name, values.clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scale = x.square().sum(1, keepdim=True).mean(2, keepdim=True).sqrt()
        x = x / scale
        features = torch.stack([value.abs() for value in cumulants_of(moments(Pair(x[:, 0], x[:, 1])))], dim=-1)
        standardised = (features - self.mean) / self.scale
        return (standardised.unsqueeze(1) * self.weight).sum(dim=-1) + self.bias


class RealSpectrumCorrection(nn.Module):
    """`SpectrumCorrection` with the transforms as products by matrices of cosines and sines: [batch, 2, length]."""

    def __init__(self, correction: SpectrumCorrection):
        super().__init__()
        self.real, self.imaginary = correction.real, correction.imaginary
        length = self.real[0].in_features
        indices = torch.arange(length)
        angle = 2 * math.pi / length * (torch.outer(indices, indices) % length).double()
        self.register_buffer("cosines", angle.cos().float())
        self.register_buffer("sines", angle.sin().float())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        real, imaginary = x @ self.cosines, -(x @ self.sines)
        real, imaginary = real * self.real(real), imaginary * self.imaginary(imaginary)
        return x + (real @ self.cosines - imaginary @ self.sines) / len(self.cosines)
