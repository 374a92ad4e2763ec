"""How large a network is and how much it computes, counted from the network itself."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def parameters(model: nn.Module) -> int:
    """Trained values of a model; of one that is fitted in closed form (HOC-SVM), the buffers that hold its fit."""
    return sum(tensor.numel() for tensor in model.parameters()) or sum(tensor.numel() for tensor in model.buffers())


def multiply_accumulates(model: nn.Module, length: int) -> int:
    """Multiply-accumulates of classifying one instance of `length` samples; one of them is two operations.

    Those of convolutions, dense and LSTM layers are counted as they are computed on a CPU, where `model` must
    be: products with padding count, since they are made. Biases, activations, pooling, resampling and whatever
    else is element-wise are left out, and so nothing of HOC-SVM is counted. The model is left in evaluation mode.
    """
    model.eval()
    # PyTorch counts the matrix products of an LSTM unless a CPU library computes it in one call.
    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.aten.mkldnn_rnn_layer: _lstm_operations})
    with torch.inference_mode(False), torch.no_grad(), counter:
        model(torch.zeros(1, 2, length))
    return counter.get_total_flops() // 2


def _lstm_operations(x: list[int], weight: list[int], recurrent_weight: list[int], *rest, **options) -> int:
    """Operations of one LSTM layer, from the shapes [time, batch, features] and [4 hidden, …] of its weights."""
    return 2 * x[0] * x[1] * (weight[0] * weight[1] + recurrent_weight[0] * recurrent_weight[1])
