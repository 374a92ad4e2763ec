"""How large a network is and how much it computes, counted from the network itself."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def parameters(model: nn.Module) -> int:
    """The number of trained values of a model; for one that is fitted at once (HOC-SVM), of values in its buffers."""
    return sum(tensor.numel() for tensor in model.parameters()) or sum(tensor.numel() for tensor in model.buffers())


def multiply_accumulates(model: nn.Module, length: int) -> int:
    """Multiply-accumulates of classifying one instance of `length` samples; one of them is two operations.

    Convolutions, dense and recurrent layers and attention are counted as they are computed on a CPU, where `model`
    must be; products with padding count. Biases, activations, pooling, resampling and other element-wise operations
    are left out, and so are all of HOC-SVM and the Fourier transforms of AMC-Net. The model is left in evaluation mode.
    """
    model.eval()
    # PyTorch counts the matrix products of LSTM layers and attention unless a CPU library computes them in one call.
    one_call = {
        torch.ops.aten.mkldnn_rnn_layer: _lstm_operations,
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_operations,
    }
    counter = FlopCounterMode(display=False, custom_mapping=one_call)
    with torch.inference_mode(False), torch.no_grad(), counter:
        model(torch.zeros(1, 2, length))
    return counter.get_total_flops() // 2


def _lstm_operations(x: list[int], weight: list[int], recurrent_weight: list[int], *rest, **options) -> int:
    """Operations of one LSTM layer, from the shapes [time, batch, features] and [4 hidden, …] of its weights."""
    return 2 * x[0] * x[1] * (weight[0] * weight[1] + recurrent_weight[0] * recurrent_weight[1])


def _attention_operations(query: list[int], key: list[int], value: list[int], *rest, **options) -> int:
    """Operations of attention, from the shapes [batch, heads, tokens, features]."""
    batch, heads, tokens, features = query
    return 2 * batch * heads * tokens * key[2] * (features + value[3])
