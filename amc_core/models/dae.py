"""DAE, the LSTM auto-encoder of Ke and Vikalo 2022."""

import torch
from torch import nn
from torch.nn import functional

from amc_core.models.initialisers import glorot_uniform
from amc_core.models.layers import BatchNorm1d


class DAE(nn.Module):
    """Two LSTM layers over amplitude and phase that classify and reconstruct: 14,989 parameters at n = 11.

    15,210 parameters at n = 24, at any length, 66 of which reconstruct the input and serve training only: the loss is
    a tenth of the cross-entropy and nine tenths of the reconstruction's squared error. The decoder is one dense layer
    shared by all steps; the published counts of 1.06 and 67.1 million belong to an older one, over all steps at once.
    The amplitude of an instance has an L2 norm of 1, and its phase is scaled to the range from −1 to 1.

    Input: [batch, 2, length] float32, any length. Output: [batch, classes] logits.

    Source: Ke and Vikalo, "Real-Time Radio Technology and Modulation Classification via an LSTM Auto-Encoder", IEEE
    Transactions on Wireless Communications 21(1), 2022.
    """

    classification_share = 0.1

    def __init__(self, classes: int):
        super().__init__()
        self.lstm = nn.LSTM(2, 32, num_layers=2, batch_first=True)
        self.decoder = nn.Linear(32, 2)
        self.head = nn.Sequential(
            nn.Linear(32, 32),
            nn.ReLU(),
            BatchNorm1d(32, eps=1e-3, momentum=0.01),
            nn.Linear(32, 16),
            nn.ReLU(),
            BatchNorm1d(16, eps=1e-3, momentum=0.01),
            nn.Linear(16, classes),
        )
        glorot_uniform(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps, _ = self.lstm(amplitude_and_phase(x))
        return self.head(steps[:, -1])

    def with_penalty(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits [batch, classes], and the mean squared error of the reconstruction, [batch]."""
        series = amplitude_and_phase(x)
        steps, _ = self.lstm(series)
        return self.head(steps[:, -1]), (self.decoder(steps) - series).square().mean(dim=(1, 2))


def amplitude_and_phase(x: torch.Tensor) -> torch.Tensor:
    """I and Q [batch, 2, length] → amplitude of L2 norm 1 and phase from −1 to 1, [batch, length, 2]."""
    amplitude = functional.normalize(torch.linalg.vector_norm(x, dim=1), dim=-1)
    phase = torch.atan2(x[:, 1], x[:, 0]) / torch.pi
    low, high = phase.amin(dim=-1, keepdim=True), phase.amax(dim=-1, keepdim=True)
    phase = 2 * (phase - low) / (high - low).clamp(min=1e-12) - 1
    return torch.stack([amplitude, phase], dim=-1)
