"""The Keras initialisers with which the papers' networks started."""

import math

from torch import nn


def glorot_uniform(network: nn.Module) -> None:
    """Glorot-uniform weights and zero biases in every convolution and dense layer: Keras's defaults.

    A grouped convolution stands for as many separate ones, so each group is drawn with its own fans.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv1d | nn.Conv2d):
            for group in layer.weight.data.chunk(layer.groups):
                nn.init.xavier_uniform_(group)
            nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)


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
