"""IQFormer of Shao, Li, Hong, Qi and Sun 2025."""

import torch
from scipy.signal import get_window
from torch import nn
from torch.nn import functional

_WINDOW, _TRANSFORM, _BINS = 31, 128, 32
_WIDTH = 64


class IQFormer(nn.Module):
    """I/Q and a spectrogram fused, then an LSTM and blocks of convolution and attention: 355,049 parameters at n = 11.

    355,894 parameters at n = 24, at any length. `stages` gives the blocks of the three stages: "2-3-2"; "3-3-3",
    which the authors use at 1,024 samples, with parts dropped at random (422,966 at n = 24); or "1-2-1", a lighter
    network (255,286). The spectrogram is the real part of that of I alone, as in the authors' code; the paper may
    mean the magnitude, `spectrogram` "magnitude".

    Input: [batch, 2, length] float32, any length from 31. Output: [batch, classes] logits.

    Source: Shao et al., "IQFormer: A Novel Transformer-Based Model with Multi-Modality Fusion for Automatic
    Modulation Recognition", IEEE Transactions on Cognitive Communications and Networking 11(3), 2025.
    """

    def __init__(self, classes: int, stages: str, spectrogram: str):
        super().__init__()
        self.spectrogram = Spectrogram(spectrogram)
        self.iq_stem = nn.Sequential(nn.BatchNorm1d(2), nn.Conv1d(2, 8, 5, padding=2, groups=2), nn.BatchNorm1d(8))
        self.spectrogram_stem = nn.Sequential(
            nn.BatchNorm2d(1), nn.Conv2d(1, 8, (_BINS, 1)), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(2)
        )
        self.fusion = nn.Sequential(
            nn.Conv1d(16, 32, 1), nn.BatchNorm1d(32), nn.GELU(), nn.Conv1d(32, 32, 1), nn.Dropout(0.2)
        )
        self.lstm = nn.LSTM(32, 32, num_layers=2, batch_first=True, dropout=0.2, bidirectional=True)
        self.stages = nn.Sequential(*_blocks(stages))
        self.norm = nn.BatchNorm1d(_WIDTH)
        self.head = nn.Linear(_WIDTH, classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv1d):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spectrogram = self.spectrogram_stem(self.spectrogram(x[:, 0]).unsqueeze(1))
        steps, _ = self.lstm(self.fusion(torch.cat([self.iq_stem(x), spectrogram], dim=1)).mT)
        return self.head(self.norm(self.stages(steps.mT)).mean(dim=-1))


def _blocks(stages: str) -> list[nn.Module]:
    """The blocks of all stages: the last of each has attention, and a chance to be dropped in "3-3-3"."""
    counts = [int(count) for count in stages.split("-")]
    layers: list[nn.Module] = []
    for count in counts:
        layers += [LocalBlock() for _ in range(count - 1)]
        drop = 0.2 * (len(layers) / (sum(counts) - 1)) if stages == "3-3-3" else 0.0
        layers.append(AttentionBlock(drop))
    return layers


class Spectrogram(nn.Module):
    """The 32 lowest of 65 bins of a short-time Fourier transform at every sample, as SciPy's `stft` scales it.

    A periodic Blackman window of 31 samples centred on the sample, zeros beyond the ends, 128 points. `kind` is
    "real", the real part with its phase counted from the window's first sample, or "magnitude".

    Input: [batch, length]. Output: [batch, 32, length].
    """

    def __init__(self, kind: str):
        super().__init__()
        window = torch.as_tensor(get_window("blackman", _WINDOW))
        phase = 2 * torch.pi / _TRANSFORM * torch.arange(_BINS)[:, None] * torch.arange(_WINDOW)
        waves = [phase.cos()] if kind == "real" else [phase.cos(), phase.sin()]
        kernels = torch.cat(waves) * (window / window.sum())
        self.register_buffer("kernels", kernels.float().unsqueeze(1), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bins = functional.conv1d(x.unsqueeze(1), self.kernels, padding=_WINDOW // 2)
        if len(self.kernels) == _BINS:
            return bins
        return torch.linalg.vector_norm(bins.unflatten(1, (2, _BINS)), dim=1)


class Mixing(nn.Module):
    """A depthwise convolution of three samples (`local`), then two 1×1 ones around GELU.

    Input and output: [batch, 64, time].
    """

    def __init__(self, inner: int, local: bool = True):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(_WIDTH, _WIDTH, 3, padding=1, groups=_WIDTH) if local else nn.Identity(),
            nn.BatchNorm1d(_WIDTH),
            nn.Conv1d(_WIDTH, inner, 1),
            nn.GELU(),
            nn.Conv1d(inner, _WIDTH, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class LocalBlock(nn.Module):
    """A convolution's output, scaled by channel, added to the input: [batch, 64, time] → the same."""

    def __init__(self, inner: int = 4 * _WIDTH):
        super().__init__()
        self.mixing = Mixing(inner)
        self.scale = nn.Parameter(torch.ones(_WIDTH, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.scale * self.mixing(x)


class AttentionBlock(nn.Module):
    """A local block, additive attention and two 1×1 convolutions, each added to its input.

    In training the second and the third of them are left out with probability `drop`, for each instance.

    Input and output: [batch, 64, time].
    """

    def __init__(self, drop: float):
        super().__init__()
        self.local = LocalBlock(inner=_WIDTH)
        self.attention = AdditiveAttention()
        self.mixing = Mixing(4 * _WIDTH, local=False)
        self.drop = drop

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.local(x)
        x = x + self._perhaps(self.attention(x.mT).mT)
        return x + self._perhaps(self.mixing(x))

    def _perhaps(self, x: torch.Tensor) -> torch.Tensor:
        """Stochastic depth (Huang et al. 2016), scaled so that the mean stays."""
        if not self.training or self.drop == 0:
            return x
        return x * (torch.rand(len(x), 1, 1, device=x.device) >= self.drop) / (1 - self.drop)


class AdditiveAttention(nn.Module):
    """One global query, a weighted sum over time, multiplied into every key; its cost is linear in time.

    Input and output: [batch, time, 64].
    """

    def __init__(self):
        super().__init__()
        self.query, self.key = nn.Linear(_WIDTH, _WIDTH), nn.Linear(_WIDTH, _WIDTH)
        self.score = nn.Parameter(torch.randn(_WIDTH, 1))
        self.merge, self.output = nn.Linear(_WIDTH, _WIDTH), nn.Linear(_WIDTH, _WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key = functional.normalize(self.query(x), dim=-1), functional.normalize(self.key(x), dim=-1)
        scores = functional.normalize(query @ self.score / _WIDTH**0.5, dim=1)
        summary = (scores * query).sum(dim=1, keepdim=True)
        return self.output(self.merge(summary * key) + query)
