"""GRU2, the recurrent network of Hong, Zhang and Xu 2017."""

import torch
from torch import nn

from amc_core.models.initialisers import glorot_uniform


class GRU2(nn.Module):
    """Two GRU layers over I/Q samples, the last step classified: 151,179 parameters at n = 11.

    152,856 parameters at n = 24, at any length, with two biases a gate as in the published count.

    Input: [batch, 2, length] float32, any length. Output: [batch, classes] logits.

    Source: Hong, Zhang and Xu, "Automatic Modulation Classification Using Recurrent Neural Networks", ICCC 2017.
    """

    def __init__(self, classes: int):
        super().__init__()
        self.gru = nn.GRU(2, 128, num_layers=2, batch_first=True)
        self.head = nn.Linear(128, classes)
        glorot_uniform(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps, _ = self.gru(x.mT)
        return self.head(steps[:, -1])
