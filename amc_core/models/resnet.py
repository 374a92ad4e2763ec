"""ResNet of O'Shea, Roy and Clancy 2018 (P1 [13]); P2 calls it RML-ResNet."""

import torch
from torch import nn
from torch.nn import functional

from amc_core.models.initialisers import glorot_uniform, he_normal_dense


class ResNet(nn.Module):
    """Six residual stacks over an image of time against I/Q, three dense layers (P2 §III, RML-ResNet).

    236,647 parameters at N = 1024, n = 7; 179,303 at N = 128, n = 7; 238,324 at N = 1024, n = 20, where P1
    quotes the 236,344 of a 24-class network.

    Input: [batch, 2, length] float32. Output: [batch, classes] logits.
    """

    def __init__(self, classes: int, length: int):
        super().__init__()
        self.stacks = nn.Sequential(
            ResidualStack(1, pool=(2, 2)), *(ResidualStack(32, pool=(2, 1)) for _ in range(5)), nn.Flatten()
        )
        self.head = nn.Sequential(
            nn.Linear(32 * (length // 64), 128),
            nn.SELU(),
            nn.AlphaDropout(0.3),
            nn.Linear(128, 128),
            nn.SELU(),
            nn.AlphaDropout(0.3),
            nn.Linear(128, classes),
        )
        glorot_uniform(self.stacks)
        he_normal_dense(self.head)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.stacks(x.mT.unsqueeze(1)))


class ResidualStack(nn.Module):
    """A 1×1 convolution to 32 channels, two residual units, max-pooling.

    Input: [batch, in_channels, time, I/Q]. Output: [batch, 32, time // pool[0], I/Q // pool[1]].
    """

    def __init__(self, in_channels: int, pool: tuple[int, int]):
        super().__init__()
        self.expand = nn.Conv2d(in_channels, 32, 1)
        self.units = nn.ModuleList(nn.ModuleList([SameConv2d(), SameConv2d()]) for _ in range(2))
        self.pool = nn.MaxPool2d(pool)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.expand(x)
        for first, second in self.units:
            x = (x + second(first(x).relu())).relu()
        return self.pool(x)


class SameConv2d(nn.Conv2d):
    """A 3 × 2 convolution of 32 channels with Keras's "same" padding, which pads an even kernel on the right."""

    def __init__(self):
        super().__init__(32, 32, (3, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[-1] == 1:  # I and Q are pooled: the kernel's second column would meet nothing but padding
            return functional.conv2d(x, self.weight[..., :1], self.bias, padding=(1, 0))
        return super().forward(functional.pad(x, (0, 1, 1, 1)))
