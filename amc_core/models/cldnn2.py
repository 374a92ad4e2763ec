"""CLDNN2, the CLDNN of Liu, Yang and El Gamal 2017."""

import torch
from torch import nn

from amc_core.models.initialisers import glorot_uniform


class CLDNN2(nn.Module):
    """Four convolutions and an LSTM of 80 steps: 517,643 parameters at N = 128, n = 11; 698,520 at N = 1024, n = 24.

    Keras's LSTM has one bias a gate and so 200 fewer at N = 1024, the published 698,320. The layers are those of
    AMR-Benchmark, since the paper gives no complete list. As there, the LSTM reads the feature map's buffer (time by
    80 maps) as 80 rows: a step is length − 8 consecutive values of it, all maps of a few samples.
    Glorot-uniform weights are part of the network: from PyTorch's own weights it stays at chance for long.

    Input: [batch, 2, length] float32. Output: [batch, classes] logits.

    Source: Liu, Yang and El Gamal, "Deep Neural Network Architectures for Modulation Classification", Asilomar
    2017, arXiv 1712.00443.
    """

    def __init__(self, classes: int, length: int):
        super().__init__()
        layers, channels = [], 1
        for filters, kernel in ((256, (1, 3)), (256, (2, 3)), (80, (1, 3)), (80, (1, 3))):
            layers += [nn.Conv2d(channels, filters, kernel), nn.ReLU(), nn.Dropout(0.5)]
            channels = filters
        self.features = nn.Sequential(*layers)
        self.lstm = nn.LSTM(length - 8, 50, batch_first=True)
        self.head = nn.Sequential(nn.Linear(50, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, classes))
        glorot_uniform(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = self.features(x.unsqueeze(1)).squeeze(2)
        steps, _ = self.lstm(maps.mT.reshape(maps.shape))
        return self.head(steps[:, -1])
