"""RML-CNN/VGG of O'Shea, Roy and Clancy 2018, as in P2 §III."""

import torch
from torch import nn

from amc_core.models.initialisers import glorot_uniform, he_normal_dense
from amc_core.models.layers import Conv1d, MaxPool1d


class VGG(nn.Module):
    """Seven wide convolutions with max-pooling, three dense layers (P2 §III).

    256,455 parameters at N = 1024, n = 7; 199,111 at N = 128, n = 7.

    Input: [batch, 2, length] float32. Output: [batch, classes] logits.
    """

    def __init__(self, classes: int, length: int):
        super().__init__()
        layers, channels = [], 2
        for _ in range(7):
            layers += [Conv1d(channels, 64, 7, padding="same"), nn.ReLU(), MaxPool1d(2)]
            channels = 64
        self.features = nn.Sequential(*layers, nn.Flatten())
        self.head = nn.Sequential(
            nn.Linear(64 * (length // 128), 128),
            nn.SELU(),
            nn.Dropout(0.5),
            nn.Linear(128, 128),
            nn.SELU(),
            nn.Dropout(0.5),
            nn.Linear(128, classes),
        )
        glorot_uniform(self.features)
        he_normal_dense(self.head)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x))
