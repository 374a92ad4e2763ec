"""PET-CGDNN, the phase-estimating network of Zhang, Luo, Xu and Luo 2021."""

import torch
from torch import nn

from amc_core.models.initialisers import glorot_uniform
from amc_core.models.layers import Conv1d


class PETCGDNN(nn.Module):
    """The instance turned by an estimated phase, then two convolutions and a GRU: 71,871 parameters at N = 128, n = 11.

    75,340 parameters at N = 1024, n = 24: the estimator is a dense layer over all samples. The rotation is I′ =
    I cos θ + Q sin θ, Q′ = Q cos θ − I sin θ, as in the authors' code; the letter's eq. 2 differs.

    Input: [batch, 2, length] float32. Output: [batch, classes] logits.

    Source: Zhang et al., "An Efficient Deep Learning Model for Automatic Modulation Recognition Based on
    Parameter Estimation and Transformation", IEEE Communications Letters 25(10), 2021, arXiv 2110.04980.
    """

    def __init__(self, classes: int, length: int):
        super().__init__()
        self.estimator = nn.Sequential(nn.Flatten(), nn.Linear(2 * length, 1))
        self.features = nn.Sequential(Conv1d(2, 75, 8), nn.ReLU(), Conv1d(75, 25, 5), nn.ReLU())
        self.gru = nn.GRU(25, 128, batch_first=True)
        self.head = nn.Linear(128, classes)
        glorot_uniform(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        phase = self.estimator(x)
        cos, sin = phase.cos(), phase.sin()
        i, q = x.unbind(dim=1)
        turned = torch.stack([i * cos + q * sin, q * cos - i * sin], dim=1)
        steps, _ = self.gru(self.features(turned).mT)
        return self.head(steps[:, -1])
