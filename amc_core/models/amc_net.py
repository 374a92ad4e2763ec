"""AMC-Net of Zhang, Wang, Feng and Yang 2023."""

import math

import torch
from torch import nn
from torch.nn import functional


class AMCNet(nn.Module):
    """The spectrum corrected, convolutions of three widths, attention between feature maps.

    466,144 parameters at N = 128, n = 11; 4,606,509 at N = 1024, n = 24: dense layers over time and frequency grow
    with the square of the length. At an odd length, which the authors' code does not take, the attention has
    one feature fewer than samples. Weights start as PyTorch's own do.

    Input: [batch, 2, length] float32. Output: [batch, classes] logits.

    Source: Zhang et al., "AMC-Net: An Effective Network for Automatic Modulation Classification", ICASSP 2023,
    arXiv 2304.00445.
    """

    def __init__(self, classes: int, length: int):
        super().__init__()
        self.correction = SpectrumCorrection(length)
        self.scales = nn.ModuleList(
            nn.Sequential(nn.Conv2d(1, 12, (2, width), padding=(0, width // 2)), nn.ReLU(), nn.BatchNorm2d(12))
            for width in (3, 5, 7)
        )
        layers, channels = [], 36
        for filters in (64, 128, 256):
            layers += [nn.Conv1d(channels, filters, 3, padding=1), nn.ReLU(), nn.BatchNorm1d(filters)]
            channels = filters
        self.features = nn.Sequential(*layers)
        self.attention = MapAttention(length)
        self.head = nn.Sequential(nn.Linear(512, 512), nn.Dropout(0.5), nn.PReLU(), nn.Linear(512, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.normalize(self.correction(x), dim=-1).unsqueeze(1)
        maps = torch.cat([scale(x) for scale in self.scales], dim=1).squeeze(2)
        return self.head(self.attention(self.features(maps)).mean(dim=-1))


class SpectrumCorrection(nn.Module):
    """Adds to I and to Q its own spectrum, weighted by two dense networks of that spectrum (the paper's ACM).

    Input and output: [batch, 2, length].
    """

    def __init__(self, length: int):
        super().__init__()
        self.real, self.imaginary = (
            nn.Sequential(nn.Linear(length, length // 4), nn.ReLU(), nn.Linear(length // 4, length), nn.Tanh())
            for _ in range(2)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spectrum = torch.fft.fft(x)
        real, imaginary = spectrum.real, spectrum.imag
        weighted = torch.complex(real * self.real(real), imaginary * self.imaginary(imaginary))
        return x + torch.fft.ifft(weighted).real


class MapAttention(nn.Module):
    """Attention of two heads between feature maps, whose features are the samples, without an output projection.

    Input: [batch, maps, length]. Output: [batch, 2 maps, length // 2], the heads one after the other.
    """

    def __init__(self, length: int):
        super().__init__()
        self.width = length // 2
        self.query, self.key, self.value = (nn.Linear(length, 2 * self.width) for _ in range(3))
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = (
            projection(x).unflatten(-1, (2, self.width)).transpose(1, 2)
            for projection in (self.query, self.key, self.value)
        )
        weights = (query @ key.mT / math.sqrt(self.width)).softmax(dim=-1)
        return (self.dropout(weights) @ value).flatten(1, 2)
