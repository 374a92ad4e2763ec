"""Mod-LCNN, the light network of P2 §III."""

import torch
from torch import nn

from amc_core.models.initialisers import glorot_uniform, he_normal_dense
from amc_core.models.layers import Conv1d


class ModLCNN(nn.Module):
    """Four convolutions, the average over time, two dense layers (P2 Fig. 1): 37,487 parameters at n = 7.

    Input: [batch, 2, length] float32, any length. Output: [batch, classes] logits.
    """

    def __init__(self, classes: int):
        super().__init__()
        layers, channels = [], 2
        for filters in (8, 16, 32, 64):
            layers += [Conv1d(channels, filters, 7, padding="same"), nn.ReLU()]
            channels = filters
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Dropout(0.5), nn.Linear(256, classes))
        glorot_uniform(self.features)
        he_normal_dense(self.head)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x).mean(dim=-1))
