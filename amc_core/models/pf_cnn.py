"""PF-CNN, the parallel-fusion CNN of Perenda et al. 2019 (P1 [14])."""

import torch
from torch import nn

from amc_core.models.initialisers import glorot_uniform
from amc_core.models.layers import Conv1d, MaxPool1d


class PFCNN(nn.Module):
    """A branch each for amplitude and phase, then fusion: 405,460 parameters at N = 1024, n = 20.

    This is a reconstruction, since no source gives the weights' shapes. Phase is in units of π; the amplitude is not
    scaled, so an instance of unit power has an amplitude near 1.

    Input: [batch, 2, length] float32. Output: [batch, classes] logits.
    """

    def __init__(self, classes: int, length: int):
        super().__init__()
        self.amplitude = self.branch()
        self.phase = self.branch()
        layers, channels = [], 128
        length -= 4 * 2
        for _ in range(5):
            layers += [Conv1d(channels, 64, 3), nn.ReLU(), nn.Dropout(0.2), MaxPool1d(2)]
            channels, length = 64, (length - 2) // 2
        self.fusion = nn.Sequential(*layers, nn.Flatten())
        self.head = nn.Sequential(
            nn.Linear(64 * length, 128),
            nn.SELU(),
            nn.Dropout(0.5),
            nn.Linear(128, 128),
            nn.SELU(),
            nn.Dropout(0.5),
            nn.Linear(128, classes),
        )
        glorot_uniform(self)

    @staticmethod
    def branch() -> nn.Sequential:
        """Four convolutions of one input channel: [batch, 1, length] → [batch, 64, length − 8]."""
        layers, channels = [], 1
        for _ in range(4):
            layers += [Conv1d(channels, 64, 3), nn.ReLU(), nn.Dropout(0.2)]
            channels = 64
        return nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        amplitude = torch.linalg.vector_norm(x, dim=1, keepdim=True)
        phase = torch.atan2(x[:, 1:], x[:, :1]) / torch.pi
        return self.head(self.fusion(torch.cat([self.amplitude(amplitude), self.phase(phase)], dim=1)))
