"""STN-ResNeXt, the spatial-transformer classifier of P1 §VI."""

import torch
from torch import nn
from torch.nn import functional

from amc_core.models.classnet import ClassNet, dense_head
from amc_core.models.initialisers import glorot_uniform


class STNResNeXt(nn.Module):
    """Features of the instance and of its learned transform, classified together (P1 §VI-A, Figs. 10 and 11).

    86,212 parameters at n = 20 and 85,051 at n = 11. `transform="time"` scales and shifts the time axis,
    which is all that the paper's affine transformer can do to an instance of height 1; `"time_iq"` also
    rotates the I/Q plane (see `rotate_iq`). `localizer_constant` is the θ around which the localizer
    predicts.

    P1 §VI-C transfers by retraining `head` ("the last dense layer", 10,900 weights at n = 20), or by
    retraining `localizer.trunk.blocks.2`, `localizer.dense` and `head.2` ("the last ResNeXt block in STN").

    Input: [batch, 2, length] float32, any length from 2**max(blocks, localizer_blocks). Output: [batch,
    classes] logits.
    """

    def __init__(
        self,
        classes: int,
        blocks: int,
        cardinality: int,
        width: int,
        channels: int,
        localizer_blocks: int,
        localizer_constant: list[float],
        transform: str,
    ):
        super().__init__()
        self.localizer = Localizer(localizer_blocks, cardinality, width, channels, localizer_constant)
        self.transform = transform
        self.classnet = ClassNet(blocks, cardinality, width, channels)
        self.classnet_transformed = ClassNet(blocks, cardinality, width, channels)
        self.head = dense_head(2 * channels, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        theta = self.localizer(x)
        transformed = resample_time(x, theta)
        if self.transform == "time_iq":
            transformed = rotate_iq(transformed, theta)
        return self.head(torch.cat([self.classnet(x), self.classnet_transformed(transformed)], dim=-1))


class Localizer(nn.Module):
    """Predicts the six parameters of the affine transform (P1 §VI-A): 17,904 parameters.

    θ = constant + W tanh(V features + v) + w. W starts at a hundredth of its Glorot range, so that training
    starts within a few samples of the constant. That factor is our choice; P1 gives only the constant.

    Input: [batch, 2, length] float32. Output: θ, [batch, 6] float32.
    """

    def __init__(self, blocks: int, cardinality: int, width: int, channels: int, constant: list[float]):
        super().__init__()
        self.trunk = ClassNet(blocks, cardinality, width, channels)
        self.dense = nn.Sequential(nn.Linear(channels, 6), nn.Tanh(), nn.Linear(6, 6))
        glorot_uniform(self.dense)
        self.dense[-1].weight.data.mul_(0.01)
        # The constant is a hyperparameter, not a weight: weights loaded from another run do not change it.
        self.register_buffer("constant", torch.tensor(constant), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = self.trunk(x)
        with torch.autocast(x.device.type, enabled=False):  # eight bits of θ would misplace samples
            return self.constant + self.dense(features.to(self.constant.dtype))


def resample_time(x: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
    """Read each instance on a scaled and shifted time axis (the affine sampler of Jaderberg et al., P1 [37]).

    On time t ∈ [−1, 1] from first to last sample, output(t) = x(θ1·t − θ2 + θ3), linear between samples and
    falling to zero within one sample outside. An instance is an image of height 1 whose only row lies at −1,
    which gives the −θ2 and is why θ4…θ6, for the other axis, have no effect.

    Input: x [batch, rows, length] and θ [batch, 6]. Output: [batch, rows, length].
    """
    rows, length = x.shape[1:]
    time = torch.linspace(-1, 1, length, device=x.device, dtype=theta.dtype)
    source = theta[:, 0:1] * time - theta[:, 1:2] + theta[:, 2:3]
    position = ((source + 1) * ((length - 1) / 2) + 1).clamp(0, length + 1)  # in the padded instance
    # A diverged network has to give NaN, not an index out of range, which would abort the device.
    left = position.detach().nan_to_num().floor().clamp(max=length)
    index = left.long()[:, None].expand(-1, rows, -1)
    padded = functional.pad(x, (1, 1))
    before, after = padded.gather(-1, index), padded.gather(-1, index + 1)
    return before + (after - before) * (position - left)[:, None]


def rotate_iq(x: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
    """Turn and scale the I/Q plane: z(t) → (θ5 + jθ4)·exp(jπθ6 t)·z(t).

    Time t runs from −1 at the first sample to 1 at the last. θ5 + jθ4 is a complex gain, θ6 a frequency in
    cycles per instance; (θ4, θ5, θ6) = (0, 1, 0) is the identity, as it is in the affine matrix. The
    transform is ours, not P1's.

    Input: x [batch, 2, length] and θ [batch, 6]. Output: [batch, 2, length].
    """
    time = torch.linspace(-1, 1, x.shape[-1], device=x.device, dtype=theta.dtype)
    phase = torch.pi * theta[:, 5:6] * time
    cos, sin = phase.cos(), phase.sin()
    gain_i = theta[:, 4:5] * cos - theta[:, 3:4] * sin
    gain_q = theta[:, 4:5] * sin + theta[:, 3:4] * cos
    i, q = x.unbind(dim=1)
    return torch.stack([gain_i * i - gain_q * q, gain_i * q + gain_q * i], dim=1)
