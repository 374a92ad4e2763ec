"""The Keras initialisers with which the papers' networks started."""

import math

import torch
from torch import nn


def glorot_uniform(network: nn.Module) -> None:
    """Keras's defaults in every convolution, dense, LSTM and GRU layer: Glorot-uniform weights and zero biases.

    A grouped convolution stands for separate convolutions, so each group is drawn with its own fans. Recurrent
    weights are orthogonal, and the forget gate of an LSTM starts with a bias of 1.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv1d | nn.Conv2d):
            for group in layer.weight.data.chunk(layer.groups):
                nn.init.xavier_uniform_(group)
            nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.LSTM | nn.GRU):
            for name, tensor in layer.named_parameters():
                _recurrent(name, tensor, layer)


def _recurrent(name: str, tensor: torch.Tensor, layer: nn.LSTM | nn.GRU) -> None:
    if name.startswith("weight_ih"):
        nn.init.xavier_uniform_(tensor)
    elif name.startswith("weight_hh"):
        nn.init.orthogonal_(tensor)
    else:
        nn.init.zeros_(tensor)
        if isinstance(layer, nn.LSTM) and name.startswith("bias_ih"):
            nn.init.ones_(tensor.data[layer.hidden_size : 2 * layer.hidden_size])


def he_normal_dense(network: nn.Module) -> None:
    """He-normal weights and zero biases in every dense layer, as Keras draws them.

    Keras truncates the normal at two standard deviations and widens it so that the variance stays 2 / fan_in.
    """
    truncated_deviation = 0.87962566103423978  # of a unit normal cut at ±2
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            deviation = math.sqrt(2 / layer.in_features) / truncated_deviation
            nn.init.trunc_normal_(layer.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
            nn.init.zeros_(layer.bias)
