"""FEA-T, the frame-wise transformer of Chen et al. 2023."""

import torch
from torch import nn

from amc_core.models.attention import SelfAttention

_WIDTH = 64


class FEAT(nn.Module):
    """Overlapping frames as tokens, encoder layers with gated dense layers: 337,739 parameters at N = 128, n = 11.

    342,168 parameters at N = 1024, n = 24. The defaults are those of the authors' code: frames of 32 samples at every
    16th, 8 layers, 128 gated features. Its comments name 4 layers with 64 (`layers` 4, `inner` 64: 121,931 and
    126,360 parameters); it is not known which of the two the letter used. A learned position table binds the network to
    one length. A class token follows the frames.

    Input: [batch, 2, length] float32, from `frame` samples. Output: [batch, classes] logits.

    Source: Chen et al., "Abandon Locality: Frame-Wise Embedding Aided Transformer for Automatic Modulation
    Recognition", IEEE Communications Letters 27(1), 2023.
    """

    def __init__(self, classes: int, length: int, frame: int, step: int, layers: int, inner: int):
        super().__init__()
        self.frame, self.step = frame, step
        frames = (length - frame) // step + 1
        self.embedding = nn.Linear(2 * frame, _WIDTH)
        self.class_token = nn.Parameter(torch.empty(1, _WIDTH))
        self.position = nn.Parameter(torch.empty(frames + 1, _WIDTH))
        self.encoder = nn.Sequential(*(GatedEncoderLayer(inner) for _ in range(layers)))
        self.head = nn.Linear(_WIDTH, classes)
        for table in (self.class_token, self.position):
            nn.init.trunc_normal_(table, std=0.02)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        frames = x.unfold(2, self.frame, self.step).transpose(1, 2).flatten(2)  # I of the frame, then Q
        tokens = torch.cat([self.embedding(frames), self.class_token.expand(x.shape[0], -1, -1)], dim=1)
        return self.head(self.encoder(tokens + self.position)[:, -1])


class GatedEncoderLayer(nn.Module):
    """Attention of four heads, then dense layers that gate each other, each added to its input and normalised.

    Two halves a and b of a dense layer's output become a GELU(b) + b GELU(a), `inner` features.

    Input and output: [batch, tokens, 64].
    """

    def __init__(self, inner: int):
        super().__init__()
        self.attention = SelfAttention(_WIDTH, heads=4, bias=False)
        self.attention_norm = nn.LayerNorm(_WIDTH)
        self.expand = nn.Linear(_WIDTH, 2 * inner)
        self.contract = nn.Linear(inner, _WIDTH)
        self.gate = nn.GELU()
        self.feed_forward_norm = nn.LayerNorm(_WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.attention_norm(x + self.attention(x))
        a, b = self.expand(x).chunk(2, dim=-1)
        return self.feed_forward_norm(x + self.contract(a * self.gate(b) + b * self.gate(a)))
