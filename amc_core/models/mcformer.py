"""MCformer, the transformer of Hamidi-Rad and Jain 2021."""

import torch
from torch import nn

from amc_core.models.attention import SelfAttention
from amc_core.models.layers import Conv1d

_WIDTHS = {"large": (32, 128), "small": (8, 32)}  # of a token, and of the feed-forward layer


class MCformer(nn.Module):
    """A convolution of 65 samples, four encoder layers, the first four tokens classified: 72,939 parameters at n = 11.

    74,616 parameters at n = 24, at any length; 10,179 and 11,856 with `size` "small". It follows the authors' printed
    table of layers: a token for every sample, no position table, normalisation after each sum, no dropout. The
    ports with 66 tokens, or with another inner width and dropout, are other networks.

    Input: [batch, 2, length] float32, any length. Output: [batch, classes] logits.

    Source: Hamidi-Rad and Jain, "MCformer: A Transformer Based Deep Neural Network for Automatic Modulation
    Classification", GLOBECOM 2021.
    """

    def __init__(self, classes: int, size: str):
        super().__init__()
        width, inner = _WIDTHS[size]
        self.embedding = nn.Sequential(Conv1d(2, width, 65, padding="same"), nn.SELU())
        self.encoder = nn.Sequential(*(EncoderLayer(width, inner) for _ in range(4)))
        self.head = nn.Sequential(nn.Linear(4 * width, 128), nn.SELU(), nn.Linear(128, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(self.embedding(x).mT)[:, :4].flatten(1))


class EncoderLayer(nn.Module):
    """Attention of four heads and two dense layers, each added to its input and then normalised.

    Input and output: [batch, tokens, width].
    """

    def __init__(self, width: int, inner: int):
        super().__init__()
        self.attention = SelfAttention(width, heads=4)
        self.attention_norm = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))
        self.feed_forward_norm = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.attention_norm(x + self.attention(x))
        return self.feed_forward_norm(x + self.feed_forward(x))
