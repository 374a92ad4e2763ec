"""What training minimises: the cross-entropy, and what a network adds to it."""

import torch
from torch import nn
from torch.nn.functional import cross_entropy


def scores_and_losses(
    model: nn.Module, x: torch.Tensor, labels: torch.Tensor, label_smoothing: float = 0.0, arguments: tuple = ()
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits [batch, classes] of instances [batch, 2, length], and the loss of each, [batch].

    A network with a `classification_share` s and a method `with_penalty`, which gives its logits and a penalty for
    each instance, has the loss s · cross-entropy + (1 − s) · penalty; every other network has the cross-entropy. An
    instance of no class, label −1, has the loss 0. arguments: further arguments of the model.
    """
    options = {"reduction": "none", "ignore_index": -1, "label_smoothing": label_smoothing}
    if not hasattr(model, "with_penalty"):
        scores = model(x, *arguments)
        return scores, cross_entropy(scores, labels, **options)
    scores, penalty = model.with_penalty(x)
    losses = cross_entropy(scores, labels, **options)
    return scores, model.classification_share * losses + (1 - model.classification_share) * penalty * (labels >= 0)
