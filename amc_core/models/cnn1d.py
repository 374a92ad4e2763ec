"""1D-CNN, the convolutional baseline of P1 §IV-B."""

import torch
from torch import nn

from amc_core.models.initialisers import glorot_uniform
from amc_core.models.layers import BatchNorm1d, Conv1d, MaxPool1d


class CNN1D(nn.Module):
    """Seven convolutions with max-pooling, then three dense layers: 142,932 parameters at N = 1024, n = 20.

    Input: [batch, 2, length] float32. Output: [batch, classes] logits. The convolutions are "valid" from 512
    samples; below, where seven of them soon leave nothing, they are "same" (101,972 parameters at N = 128, n
    = 20). batch_norm: normalise after every pooling, which the paper's network does not.
    """

    def __init__(self, classes: int, length: int, batch_norm: bool = False):
        super().__init__()
        padding = "valid" if length >= 512 else "same"
        layers, channels = [], 2
        for _ in range(7):
            layers += [
                Conv1d(channels, 64, 3, padding=padding),
                nn.ReLU(),
                MaxPool1d(2),
                *([BatchNorm1d(64)] if batch_norm else []),
            ]
            channels = 64
            length = (length - 2) // 2 if padding == "valid" else length // 2
        self.features = nn.Sequential(*layers, nn.Flatten())
        self.head = nn.Sequential(
            nn.Linear(64 * length, 128), nn.SELU(), nn.Linear(128, 128), nn.SELU(), nn.Linear(128, classes)
        )
        glorot_uniform(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x))
