"""2D-CNN, the VT-CNN2 of O'Shea et al. 2016 (P1 [11]); P2 calls it RML-ConvNet."""

import torch
from torch import nn

from amc_core.models.initialisers import glorot_uniform, he_normal_dense


class CNN2D(nn.Module):
    """Two convolutions over an image of I and Q against time, two dense layers (P2 §III, RML-ConvNet).

    2,829,399 parameters at N = 128, n = 7; 21,179,479 at N = 1024, nearly all in the first dense layer.

    Input: [batch, 2, length] float32. Output: [batch, classes] logits.
    """

    def __init__(self, classes: int, length: int):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 256, (1, 3), padding=(0, 2)),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Conv2d(256, 80, (2, 3), padding=(0, 2)),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Flatten(),
        )
        self.head = nn.Sequential(
            nn.Linear(80 * (length + 4), 256), nn.ReLU(), nn.Dropout(0.5), nn.Linear(256, classes)
        )
        glorot_uniform(self.features)
        he_normal_dense(self.head)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x.unsqueeze(1)))
