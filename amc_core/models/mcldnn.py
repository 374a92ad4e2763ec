"""MCLDNN, the multi-channel network of Xu, Luo, Parr and Luo 2020."""

import torch
from torch import nn
from torch.nn import functional

from amc_core.models.initialisers import glorot_uniform
from amc_core.models.layers import SameConv2d


class MCLDNN(nn.Module):
    """I/Q together and I and Q apart through convolutions, then two LSTM layers: 406,199 parameters at n = 11.

    407,876 parameters at n = 24, at any length. This is the authors' network, without the batch normalisation that
    some ports add. The LSTM layers have two biases a gate, as in the authors' count. Glorot-uniform initial weights
    matter: from PyTorch's own it learns later.

    Input: [batch, 2, length] float32, any length. Output: [batch, classes] logits.

    Source: Xu et al., "A Spatiotemporal Multi-Channel Learning Framework for Automatic Modulation Recognition",
    IEEE Wireless Communications Letters 9(10), 2020.
    """

    def __init__(self, classes: int):
        super().__init__()
        self.together = SameConv2d(1, 50, (2, 8))
        self.in_phase = nn.Conv1d(1, 50, 8)
        self.quadrature = nn.Conv1d(1, 50, 8)
        self.apart = SameConv2d(50, 50, (1, 8))
        self.fusion = nn.Conv2d(100, 100, (2, 5))
        self.lstm = nn.LSTM(100, 128, num_layers=2, batch_first=True)
        self.head = nn.Sequential(
            nn.Linear(128, 128),
            nn.SELU(),
            nn.Dropout(0.5),
            nn.Linear(128, 128),
            nn.SELU(),
            nn.Dropout(0.5),
            nn.Linear(128, classes),
        )
        glorot_uniform(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        together = self.together(x.unsqueeze(1)).relu()
        i, q = functional.pad(x, (7, 0)).split(1, dim=1)  # causal: seven zeros before the first sample
        rows = torch.stack([self.in_phase(i), self.quadrature(q)], dim=2).relu()
        maps = self.fusion(torch.cat([together, self.apart(rows).relu()], dim=1)).relu()
        steps, _ = self.lstm(maps.squeeze(2).mT)
        return self.head(steps[:, -1])
