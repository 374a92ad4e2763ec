"""XCiT1D-nano, the cross-covariance transformer that TorchSig trains."""

import torch
from torch import nn
from torch.nn import functional

from amc_core.models.layers import BatchNorm1d

_WIDTH, _HEADS, _FREQUENCIES, _TEMPERATURE = 128, 4, 16, 10_000


class XCiT1DNano(nn.Module):
    """Patches as tokens, 12 blocks of attention between channels, a class token: 2,836,539 parameters at n = 11.

    2,838,216 parameters at n = 24, at any length. There is a token for every `patch` samples, 16 in TorchSig's trainer.
    Local convolutions are 3 × 3, as in the published network for images, and only one column meets the signal.

    Input: [batch, 2, length] float32, from `patch` samples. Output: [batch, classes] logits.

    Source: Boegner et al., "Large Scale Radio Frequency Signal Classification", arXiv 2207.09918, 2022; El-Nouby et
    al., "XCiT: Cross-Covariance Image Transformers", NeurIPS 2021.
    """

    def __init__(self, classes: int, patch: int):
        super().__init__()
        self.patches = nn.Sequential(
            nn.Conv1d(2, _WIDTH, 2 * patch, patch, padding=(patch + 1) // 2), BatchNorm1d(_WIDTH), nn.GELU()
        )
        self.position = nn.Linear(4 * _FREQUENCIES, _WIDTH)
        self.blocks = nn.Sequential(*(ChannelAttentionBlock() for _ in range(12)))
        self.class_token = nn.Parameter(torch.empty(1, _WIDTH))
        self.class_blocks = nn.Sequential(*(ClassAttentionBlock() for _ in range(2)))
        self.norm = _norm()
        self.head = nn.Linear(_WIDTH, classes)
        nn.init.trunc_normal_(self.class_token, std=0.02)
        for layer in self.modules():
            if isinstance(layer, nn.Linear) and layer is not self.position:  # which is a convolution in the source
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(x).mT
        tokens = self.blocks(tokens + self.position(fourier_position(tokens.shape[1], x.device)))
        tokens = torch.cat([self.class_token.expand(x.shape[0], 1, -1), tokens], dim=1)
        return self.head(self.norm(self.class_blocks(tokens))[:, 0])


def fourier_position(tokens: int, device: torch.device | str) -> torch.Tensor:
    """Sines and cosines of each token's position in the instance, and of the only row's: [tokens, 64]."""
    along = torch.arange(1, tokens + 1, device=device) / tokens
    position = 2 * torch.pi * torch.stack([along, torch.ones_like(along)], dim=1)
    rate = _TEMPERATURE ** (torch.arange(_FREQUENCIES, device=device) / _FREQUENCIES)
    angle = position.unsqueeze(2) / rate
    return torch.stack([angle.sin(), angle.cos()], dim=3).flatten(1)


class ChannelAttentionBlock(nn.Module):
    """Attention between channels, a local convolution and two dense layers, each scaled and added to its input.

    Input and output: [batch, tokens, 128].
    """

    def __init__(self):
        super().__init__()
        self.attention = nn.Sequential(_norm(), ChannelAttention())
        self.local = nn.Sequential(_norm(), LocalInteraction())
        self.dense = nn.Sequential(_norm(), *_dense(dropout=0.0))
        self.attention_scale, self.local_scale, self.dense_scale = (_scale() for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention_scale * self.attention(x)
        x = x + self.local_scale * self.local(x)
        return x + self.dense_scale * self.dense(x)


class ChannelAttention(nn.Module):
    """Cross-covariance attention (El-Nouby et al., eq. 4): channels of a head weighted by how they vary together.

    Input and output: [batch, tokens, 128].
    """

    def __init__(self):
        super().__init__()
        self.projection = nn.Linear(_WIDTH, 3 * _WIDTH)
        self.temperature = nn.Parameter(torch.ones(_HEADS, 1, 1))
        self.output = nn.Linear(_WIDTH, _WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = self.projection(x).unflatten(-1, (3, _HEADS, -1)).permute(2, 0, 3, 4, 1)
        query, key = functional.normalize(query, dim=-1), functional.normalize(key, dim=-1)
        weights = (query @ key.mT * self.temperature).softmax(dim=-1)
        return self.output((weights @ value).flatten(1, 2).mT)


class LocalInteraction(nn.Module):
    """Two convolutions of three tokens, each channel by itself, around GELU and batch normalisation.

    Input and output: [batch, tokens, 128].
    """

    def __init__(self):
        super().__init__()
        self.first, self.second = ColumnConv2d(), ColumnConv2d()
        self.norm = BatchNorm1d(_WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.norm(functional.gelu(self.first(x.mT)))).mT


class ColumnConv2d(nn.Conv2d):
    """A 3 × 3 convolution, channel by channel, of images of one column: only the middle column meets no padding.

    Input and output: [batch, 128, rows].
    """

    def __init__(self):
        super().__init__(_WIDTH, _WIDTH, 3, padding=1, groups=_WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.conv1d(x, self.weight[..., 1], self.bias, padding=1, groups=_WIDTH)


class ClassAttentionBlock(nn.Module):
    """The class token attends to all tokens and passes two dense layers; as in TorchSig, the other tokens are doubled.

    Input and output: [batch, 1 + tokens, 128], the class token first.
    """

    def __init__(self):
        super().__init__()
        self.norm = _norm()
        self.query, self.key, self.value = (nn.Linear(_WIDTH, _WIDTH) for _ in range(3))
        self.output = nn.Sequential(nn.Linear(_WIDTH, _WIDTH), nn.Dropout(0.3))
        self.dense_norm = _norm()
        self.dense = nn.Sequential(*_dense(dropout=0.3))
        self.attention_scale, self.dense_scale = _scale(), _scale()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        normed = self.norm(x)
        gathered = torch.cat([self._attend(normed), normed[:, 1:]], dim=1)
        x = x + self.attention_scale * gathered
        token = self.dense_norm(x[:, :1])
        return torch.cat([token + self.dense_scale * self.dense(token), 2 * x[:, 1:]], dim=1)

    def _attend(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = (
            projection(tokens).unflatten(-1, (_HEADS, -1)).transpose(1, 2)
            for projection, tokens in ((self.query, x[:, :1]), (self.key, x), (self.value, x))
        )
        return self.output(functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


def _norm() -> nn.LayerNorm:
    return nn.LayerNorm(_WIDTH, eps=1e-6)


def _scale() -> nn.Parameter:
    return nn.Parameter(torch.ones(_WIDTH))


def _dense(dropout: float) -> list[nn.Module]:
    inner = 4 * _WIDTH
    return [
        nn.Linear(_WIDTH, inner),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(inner, _WIDTH),
        nn.Dropout(dropout),
    ]
