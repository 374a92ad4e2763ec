"""Convolution and max-pooling over time, faster on a CPU than PyTorch's own."""

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

# On a CPU, PyTorch's 1-D max-pooling takes half as long as the 64-channel convolution before it, and a small part of
# that where the channels of a sample lie next to each other in memory: there all layers keep that layout. Half of what
# then remains of a convolution is the gradient of its weights, which plain matrix products give in less time.
# benchmarks/train.py measures what it all gains; results agree with PyTorch's up to rounding.


class Conv1d(nn.Conv1d):
    """nn.Conv1d with a bias and "valid" padding, or "same" and an odd kernel.

    Input: [batch, in_channels, time]. Output: [batch, out_channels, time].
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.device.type != "cpu":
            return super().forward(x)
        image, padding = _image(x), self.kernel_size[0] // 2 if self.padding == "same" else 0
        if torch.is_grad_enabled() and not torch.is_autocast_enabled("cpu"):
            return _Convolution.apply(image, self.weight, self.bias, padding, self.groups).squeeze(2)
        return _convolve(image, self.weight, self.bias, padding, self.groups).squeeze(2)


class MaxPool1d(nn.MaxPool1d):
    """nn.MaxPool1d without overlap: [batch, channels, time] → [batch, channels, time // kernel_size]."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.device.type != "cpu":
            return super().forward(x)
        return functional.max_pool2d(x.unsqueeze(2), (1, self.kernel_size)).squeeze(2)


class _Convolution(torch.autograd.Function):
    """A convolution of an image of height 1 whose gradients take less time than PyTorch's."""

    @staticmethod
    def forward(ctx, image, weight, bias, padding: int, groups: int):
        ctx.save_for_backward(image, weight)
        ctx.padding, ctx.groups = padding, groups
        return _convolve(image, weight, bias, padding, groups)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        image, weight = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        by_image, by_weight, by_bias = ctx.needs_input_grad[:3]
        outputs, inputs, kernel = weight.shape
        product = None
        if ctx.groups == 1 and outputs >= 32:  # smaller products gain nothing
            product = _from_columns if inputs <= 2 else _from_taps if inputs >= 32 else None
        image_gradient, weight_gradient, _ = torch.ops.aten.convolution_backward(
            *(gradient, image, weight.unsqueeze(2), None, [1, 1], [0, ctx.padding], [1, 1], False, [0, 0], ctx.groups),
            (by_image, by_weight and product is None, False),
        )
        gradient = gradient.squeeze(2)
        if by_weight and product is not None:
            weight_gradient = product(gradient, image.squeeze(2), kernel, ctx.padding)
        elif by_weight:
            weight_gradient = weight_gradient.squeeze(2)
        return image_gradient, weight_gradient, gradient.sum((0, 2)) if by_bias else None, None, None


def _convolve(image: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, padding: int, groups: int) -> torch.Tensor:
    return functional.conv2d(image, weight.unsqueeze(2), bias, padding=(0, padding), groups=groups)


def _from_columns(gradient: torch.Tensor, x: torch.Tensor, kernel: int, padding: int) -> torch.Tensor:
    """The weights' gradient where x has one or two channels: all taps in one product."""
    padded, time = functional.pad(x.contiguous(), (padding, padding)), gradient.shape[2]
    columns = torch.stack([padded[:, :, tap : tap + time] for tap in range(kernel)], dim=2).flatten(1, 2)
    return torch.bmm(columns, gradient.mT).sum(0).view(x.shape[1], kernel, -1).permute(2, 0, 1)


def _from_taps(gradient: torch.Tensor, x: torch.Tensor, kernel: int, padding: int) -> torch.Tensor:
    """The weights' gradient where x has many channels: a product for each tap, and no copy of x."""
    taps = []
    for shift in range(-padding, kernel - padding):  # output t meets x[t + shift] there, or the padding
        start, stop = max(0, -shift), min(gradient.shape[2], x.shape[2] - shift)
        taps.append(torch.bmm(gradient[:, :, start:stop], x.mT[:, start + shift : stop + shift]).sum(0))
    return torch.stack(taps, dim=2)


def _image(x: torch.Tensor) -> torch.Tensor:
    """[batch, channels, time] → [batch, channels, 1, time], the channels of a sample next to each other in memory."""
    return x.unsqueeze(2).contiguous(memory_format=torch.channels_last)
