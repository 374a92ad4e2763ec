"""SCRNN, the sequential convolutional recurrent network of Liao et al. 2021."""

import torch
from torch import nn

from amc_core.models.initialisers import glorot_uniform
from amc_core.models.layers import Conv1d, MaxPool1d


class SCRNN(nn.Module):
    """Two convolutions, two LSTM layers, all steps classified: 399,755 parameters at N = 128, n = 11.

    1,379,864 parameters at N = 1024, n = 24. A Keras LSTM has one bias a gate and 1,024 parameters fewer. The paper
    does not state its dropout rates and claims a rectified LSTM. As in re-implementations, the LSTM keeps its tanh, and
    dropout is 0.5 between its layers and before the dense layer. The weights' norms are not limited.

    Input: [batch, 2, length] float32. Output: [batch, classes] logits.

    Source: Liao et al., "Sequential Convolutional Recurrent Neural Networks for Fast Automatic Modulation
    Classification", IEEE Access 9, 2021, arXiv 1909.03050.
    """

    def __init__(self, classes: int, length: int):
        super().__init__()
        self.features = nn.Sequential(Conv1d(2, 128, 5), nn.ReLU(), MaxPool1d(3), Conv1d(128, 128, 5), nn.ReLU())
        self.lstm = nn.LSTM(128, 128, num_layers=2, batch_first=True, dropout=0.5)
        steps = (length - 4) // 3 - 4
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(128 * steps, classes))
        glorot_uniform(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps, _ = self.lstm(self.features(x).mT)
        return self.head(steps)
