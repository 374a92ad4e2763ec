"""ClassNet, the ResNeXt feature extractor of P1 §VI, and a classifier made of it alone."""

import torch
from torch import nn

from amc_core.models.initialisers import glorot_uniform
from amc_core.models.layers import Conv1d, MaxPool1d


class ResNeXtBlock(nn.Module):
    """Split, transform, merge over time (P1 Fig. 11): 3,680 parameters as in the paper.

    Each of `cardinality` paths is a 1×1 convolution to `width` channels, ReLU and a convolution of three
    samples; the concatenated paths go through ReLU, a 1×1 convolution and ReLU and are added to the input;
    ReLU. The paths are computed side by side, as one 1×1 and one grouped convolution.

    Input and output: [batch, channels, time].
    """

    def __init__(self, channels: int, cardinality: int, width: int):
        super().__init__()
        self.split = Conv1d(channels, cardinality * width, 1)
        self.transform = Conv1d(cardinality * width, cardinality * width, 3, padding="same", groups=cardinality)
        self.merge = Conv1d(cardinality * width, channels, 1)
        glorot_uniform(self)
        for path in self.split.weight.data.chunk(cardinality):  # with the fans of one path
            nn.init.xavier_uniform_(path)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        paths = self.transform(self.split(x).relu()).relu()
        return (x + self.merge(paths).relu()).relu()


class ClassNet(nn.Module):
    """A stem of two convolutions, ResNeXt blocks, and the average over time (P1 §VI-A): 28,704 parameters.

    Max-pooling halves the time axis in the stem and between blocks. The stem's first convolution has twice as
    many channels as the blocks (64 and 32 in the paper).

    Input: [batch, 2, length] float32, any length from 2**blocks. Output: [batch, channels].
    """

    def __init__(self, blocks: int, cardinality: int, width: int, channels: int):
        super().__init__()
        self.stem = nn.Sequential(
            Conv1d(2, 2 * channels, 3, padding="same"),
            MaxPool1d(2),
            Conv1d(2 * channels, channels, 3, padding="same"),
        )
        glorot_uniform(self.stem)
        self.blocks = nn.ModuleList(ResNeXtBlock(channels, cardinality, width) for _ in range(blocks))
        self.pool = MaxPool1d(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.blocks[0](self.stem(x))
        for block in self.blocks[1:]:
            x = block(self.pool(x))
        return x.mean(dim=-1)


def dense_head(features: int, classes: int) -> nn.Sequential:
    """The dense layers of P1's ResNeXt classifiers: 128 with ReLU, then `classes`."""
    head = nn.Sequential(nn.Linear(features, 128), nn.ReLU(), nn.Linear(128, classes))
    glorot_uniform(head)
    return head


class ClassNetClassifier(nn.Module):
    """STN-ResNeXt with only its ClassNet branch (P1 §VI-B): 35,508 parameters at n = 20.

    Input: [batch, 2, length] float32, any length from 2**blocks. Output: [batch, classes] logits.
    """

    def __init__(self, classes: int, blocks: int, cardinality: int, width: int, channels: int):
        super().__init__()
        self.classnet = ClassNet(blocks, cardinality, width, channels)
        self.head = dense_head(channels, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.classnet(x))
