"""CLDNN of West and O'Shea 2017."""

import torch
from torch import nn

from amc_core.models.initialisers import glorot_uniform, he_normal_dense


class CLDNN(nn.Module):
    """Three convolutions with a skip, an LSTM over their 50 maps, two dense layers.

    164,433 parameters at N = 128, n = 11; 884,574 at N = 1024, n = 24. Keras's LSTM has one bias a gate and so 200
    fewer, the published 884,374. The paper gives few widths: this is the version with 50 filters that
    AMR-Benchmark compares with. The LSTM's steps are the filters, not time.

    Input: [batch, 2, length] float32. Output: [batch, classes] logits.

    Source: West and O'Shea, "Deep Architectures for Modulation Recognition", DySPAN 2017, arXiv 1703.09197.
    """

    def __init__(self, classes: int, length: int):
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, 50, (1, 8), padding=(0, 2)), nn.ReLU(), nn.Dropout(0.5))
            for channels in (1, 50, 50)
        )
        self.lstm = nn.LSTM(4 * length - 24, 50, batch_first=True)
        self.head = nn.Sequential(nn.Linear(50, 256), nn.ReLU(), nn.Dropout(0.5), nn.Linear(256, classes))
        glorot_uniform(self)
        he_normal_dense(self.head)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second, third = self.blocks
        early = first(x.unsqueeze(1))
        maps = torch.cat([early, third(second(early))], dim=-1)
        steps, _ = self.lstm(maps.flatten(2))
        return self.head(steps[:, -1])
