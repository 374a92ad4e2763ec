"""The samples of an instance that decide a convolutional classifier's output: Grad-CAM, as in P1 §V-D and Table II.

Selvaraju et al., "Grad-CAM: Visual explanations from deep networks via gradient-based localization", ICCV 2017.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from amc_core.errors import AmcError
from amc_core.models import MODELS

IMPORTANT = 0.8  # P1 §V-D calls a sample above it important

_CONVOLUTIONS = nn.Conv1d | nn.Conv2d
_POOLINGS = nn.MaxPool1d | nn.MaxPool2d
_TRANSFORMED = "classnet_transformed.blocks"  # STN-ResNeXt's feature map on the localizer's time axis


def saliency(
    model: nn.Module, x: torch.Tensor, classes: Sequence[int] | torch.Tensor | None = None, layer: int = -1
) -> torch.Tensor:
    """Importance of every I/Q sample of an instance for a class, by Grad-CAM.

    With A[k, p] channel k of a convolutional layer's rectified output at position p, and y the class's logit, α[k]
    is the mean over p of ∂y/∂A[k, p], and Σ_k α[k] A[k, p] is the evidence at p. It is interpolated linearly to the
    samples, between the centres of the positions' receptive fields. Negative evidence is set to zero, and each
    instance is scaled by its maximum. Over an image of I and Q, evidence is summed over both.

    Selvaraju et al. take the last layer; P1 does not name the layer. Pooling leaves the last layer of 1D-CNN 12
    positions of 1024, a stride of 64 samples: single transitions between symbols show only in its first layers.

    The two ClassNets of STN-ResNeXt share one dense layer, so their evidence is added. Evidence of the transformed
    instance belongs to the samples from which the transform read it.

    Parameters:
        model: A convolutional network of `MODELS`, or one whose class has `feature_maps`. It is left as it was.
        x: [batch, 2, length] float32, I and Q.
        classes: [batch] integers; None for the class that the model recognises.
        layer: The index of the convolutional layer (or block, or stage), as in Python; -1 is the last.

    Returns:
        [batch, length] float32 in [0, 1]; all zeros if there is no evidence for the class.

    Raises:
        AmcError: Saliency is not defined for the model, it does not have the layer, or a shape is not allowed.

    Source: P1 §V-D, Table II; Selvaraju et al. 2017, eq. 1 and 2.
    """
    trunks = _feature_maps(model)
    if x.ndim != 3 or x.shape[1] != 2:
        raise AmcError(f"x of shape {list(x.shape)} is not allowed: it has to be [batch, 2, length]")
    with torch.inference_mode(False), torch.enable_grad(), _evaluating(model), _Watch(model, trunks, layer) as watch:
        watch.grids[x.shape[2]] = (0.0, 1.0)
        # The feature maps have to be part of a graph even if all weights are frozen.
        logits = model(x.detach().clone().requires_grad_())
        chosen = logits.argmax(1) if classes is None else _class_indices(classes, logits)
        score = logits.gather(1, chosen[:, None]).sum()
        evidence = sum(watch.on_samples(trunk, grad_cam(score, watch.maps[trunk]), x.shape[2]) for trunk in trunks)
    evidence = evidence.relu()
    peak = evidence.amax(1, keepdim=True)
    return torch.where(peak > 0, evidence / peak, 0)


def grad_cam(score: torch.Tensor, feature_map: torch.Tensor) -> torch.Tensor:
    """Grad-CAM before rectification: feature map [batch, channels, positions…] → evidence [batch, positions…].

    score: scalar, the sum over instances of a class's logit, computed from the feature map.
    """
    [gradient] = torch.autograd.grad(score, feature_map, retain_graph=True)
    return torch.einsum("bk,bk...->b...", gradient.flatten(2).mean(-1), feature_map.detach())


def transitions(importance: torch.Tensor, threshold: float = IMPORTANT) -> torch.Tensor:
    """Are a sample and the next both more important than `threshold`, 0.8 in P1 §V-D?

    importance: [..., length]. Returns [..., length − 1] bool.
    """
    important = importance > threshold
    return important[..., :-1] & important[..., 1:]


def require_convolutions(name: str) -> None:
    """Raise AmcError unless saliency is defined for model `name`."""
    if hasattr(name, "spec") and not name.spec.feature_maps:
        raise AmcError(f"saliency is not defined for {name}: its class names no feature_maps")
    if not hasattr(name, "spec") and not (name in MODELS and MODELS[name].feature_maps):
        allowed = ", ".join(spec.name for spec in MODELS.values() if spec.feature_maps)
        raise AmcError(
            f"saliency is not defined for {name}: it needs a network of convolutions only, on a regular grid of "
            f"samples; allowed are {allowed}"
        )


def convolutional_layers(trunk: nn.Module) -> list[nn.Module]:
    """The activations, or the blocks with convolutions of their own, of a sequence of layers."""
    return [
        layer
        for layer in trunk.children()
        if isinstance(layer, nn.ReLU)
        or (not isinstance(layer, _CONVOLUTIONS) and any(isinstance(part, _CONVOLUTIONS) for part in layer.modules()))
    ]


def _feature_maps(model: nn.Module) -> tuple[str, ...]:
    own = getattr(type(model), "feature_maps", ())
    if own:
        _require_regular(model)
        return tuple(own)
    target = f"{type(model).__module__}:{type(model).__qualname__}"
    name = next((spec.name for spec in MODELS.values() if spec.target == target), type(model).__name__)
    require_convolutions(name)
    return MODELS[name].feature_maps


def _require_regular(model: nn.Module) -> None:
    """Raise AmcError unless the samples of a feature map's value follow from its index."""

    def values(value: int | tuple[int, ...] | str) -> set:
        return {value} if isinstance(value, int | str) else set(value)

    for name, layer in model.named_modules():
        strided = isinstance(layer, _CONVOLUTIONS) and values(layer.stride) != {1}
        overlapping = isinstance(layer, _POOLINGS) and (
            values(layer.stride) != values(layer.kernel_size) or values(getattr(layer, "padding", 0)) != {0}
        )
        if strided or overlapping:
            raise AmcError(
                f"saliency is not defined for {type(model).__name__}: the samples that belong to an output of {name} "
                "are unknown; allowed are convolutions of stride 1, and poolings without overlap or padding"
            )


def _class_indices(classes: Sequence[int] | torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    batch, count = logits.shape
    chosen = torch.as_tensor(classes, device=logits.device)
    if chosen.shape != (batch,) or chosen.is_floating_point() or not ((chosen >= 0) & (chosen < count)).all():
        raise AmcError(f"classes have to be {batch} integers from 0 to {count - 1}, one for each instance")
    return chosen.long()


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode; afterwards, each module returns to its previous mode."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


class _Watch:
    """Records, while a model runs, a layer's feature maps and the samples at which their positions lie.

    maps: trunk → [batch, channels, positions], or an image. grids: number of positions → (first, step) in samples,
    with the centre of position p at first + step·p. In each of our networks, equally long feature maps lie at the
    same samples, so the grid follows from the number of positions.
    """

    def __init__(self, model: nn.Module, trunks: Sequence[str], layer: int):
        self.maps: dict[str, torch.Tensor] = {}
        self.grids: dict[int, tuple[float, float]] = {}
        self.theta: torch.Tensor | None = None
        self.model, self.trunks, self.layer, self.hooks = model, trunks, layer, []

    def __enter__(self) -> _Watch:
        tapped = {trunk: self._chosen(trunk) for trunk in self.trunks}
        for layer in self.model.modules():
            if isinstance(layer, _CONVOLUTIONS | _POOLINGS):
                self.hooks.append(layer.register_forward_hook(self._follow))
        for trunk, layer in tapped.items():
            self.hooks.append(self._tap(trunk, layer))
        if _TRANSFORMED in self.trunks:
            self.hooks.append(self.model.localizer.register_forward_hook(self._take_theta))
        return self

    def __exit__(self, *exception) -> None:
        for hook in self.hooks:
            hook.remove()

    def _chosen(self, trunk: str) -> nn.Module:
        layers = convolutional_layers(self.model.get_submodule(trunk))
        if not -len(layers) <= self.layer < len(layers):
            raise AmcError(
                f"layer {self.layer} is not allowed: {type(self.model).__name__} has convolutional layers 0 to "
                f"{len(layers) - 1}, and -1 is the last"
            )
        return layers[self.layer]

    def _tap(self, trunk: str, layer: nn.Module):
        """Records the output of a layer, or, if it ends with a pooling, the input of that pooling."""
        pooling = [part for part in layer.modules() if isinstance(part, _POOLINGS)]
        if pooling:
            return pooling[-1].register_forward_pre_hook(lambda part, inputs: self.maps.update({trunk: inputs[0]}))
        return layer.register_forward_hook(lambda part, inputs, output: self.maps.update({trunk: output}))

    def _follow(self, layer: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        # Time is the longer axis of an image; the other is I/Q.
        before, after = max(inputs[0].shape[2:]), max(output.shape[2:])
        if before not in self.grids:
            raise AmcError(f"saliency is not defined for {type(self.model).__name__}: it resamples in its forward pass")
        first, step = self.grids[before]
        if isinstance(layer, _POOLINGS):
            size = layer.kernel_size if isinstance(layer.kernel_size, int) else max(layer.kernel_size)
            self.grids[after] = (first + step * (size - 1) / 2, step * size)
        else:  # padded alike on both sides
            self.grids[after] = (first + step * (before - after) / 2, step)

    def _take_theta(self, layer: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        self.theta = output.detach()

    def on_samples(self, trunk: str, evidence: torch.Tensor, length: int) -> torch.Tensor:
        """Evidence at positions [batch, positions], or of an image → at samples [batch, length]."""
        if evidence.ndim == 3:
            evidence = evidence.sum(1 if evidence.shape[1] < evidence.shape[2] else 2)
        first, step = self.grids[evidence.shape[1]]
        sample = torch.arange(length, dtype=evidence.dtype, device=evidence.device)
        if trunk != _TRANSFORMED:
            return _interpolated(evidence, ((sample - first) / step).expand(len(evidence), -1))
        # Its sample n was read at scale·n + shift (see `resample_time`).
        scale, shift = self.theta[:, :1], 1 - self.theta[:, :1] - self.theta[:, 1:2] + self.theta[:, 2:3]
        shift = shift * ((length - 1) / 2)
        ends = torch.cat([shift, shift + scale * (length - 1)], dim=1)
        read = (sample > ends.amin(1, keepdim=True) - 1) & (sample < ends.amax(1, keepdim=True) + 1)
        scale = torch.where(scale.abs() < 1e-6, 1e-6, scale)
        return torch.where(read, _interpolated(evidence, ((sample - shift) / scale - first) / step), 0)


def _interpolated(values: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Values [batch, positions] interpolated at fractional positions [batch, length], constant beyond the ends."""
    last = values.shape[1] - 1
    positions = positions.nan_to_num().clamp(0, last)
    left = positions.floor().long()
    right = (left + 1).clamp(max=last)
    return torch.lerp(values.gather(1, left), values.gather(1, right), positions - left)
