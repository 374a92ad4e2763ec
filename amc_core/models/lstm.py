"""LSTM, the recurrent baseline of Rajendran et al. 2018 (P1 [12])."""

import torch
from torch import nn
from torch.nn import functional

from amc_core.models.initialisers import glorot_uniform


class LSTM(nn.Module):
    """Two LSTM layers over amplitude and phase, the last step classified: 201,236 parameters at n = 20.

    The amplitude of an instance is scaled to an L2 norm of 1, and its phase is in units of π. Initial weights are
    Keras's: recurrent weights orthogonal, biases 0, that of the forget gate 1.

    Input: [batch, 2, length] float32, any length. Output: [batch, classes] logits.
    """

    def __init__(self, classes: int):
        super().__init__()
        self.lstm = nn.LSTM(2, 128, num_layers=2, batch_first=True, dropout=0.2)
        self.head = nn.Linear(128, classes)
        glorot_uniform(self.head)
        glorot_uniform(self.lstm)
        for layer in range(2):
            # PyTorch has a second bias in each gate; the published network has not, so it is a constant zero.
            second_bias = f"bias_hh_l{layer}"
            delattr(self.lstm, second_bias)
            self.lstm.register_buffer(second_bias, None, persistent=False)
            setattr(self.lstm, second_bias, torch.zeros(4 * 128))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        amplitude = functional.normalize(torch.linalg.vector_norm(x, dim=1), dim=-1)
        phase = torch.atan2(x[:, 1], x[:, 0]) / torch.pi
        steps, _ = self.lstm(torch.stack([amplitude, phase], dim=-1))
        return self.head(steps[:, -1])
