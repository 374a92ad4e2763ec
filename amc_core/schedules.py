"""The schedules of a recipe's learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence

from amc_core.run import Recipe


def learning_rate(recipe: Recipe, progress: float) -> float:
    """The learning rate after a share of the epochs, `progress` in [0, 1), for every schedule but "plateau"."""
    if recipe.schedule == "cosine":
        return recipe.learning_rate * (1 + math.cos(math.pi * progress)) / 2
    if recipe.schedule == "step":
        return recipe.learning_rate * (0.1 if progress >= 0.5 else 1) * (0.1 if progress >= 0.75 else 1)
    return recipe.learning_rate


def plateau_rate(recipe: Recipe, losses: Sequence[float]) -> float:
    """The learning rate after epochs of these validation losses, with the schedule "plateau".

    It follows the defaults of Keras's and PyTorch's ReduceLROnPlateau. In Keras, a loss has to be lower by 1e-4, and
    the rate falls when the consecutive epochs without a lower loss reach the patience. In PyTorch, a loss has to be
    lower by 1e-4 of the lowest loss, and the rate falls when those epochs exceed the patience, unless by at most 1e-8.
    """
    keras = recipe.plateau_counting == "keras"
    rate, lowest, waited = recipe.learning_rate, math.inf, 0
    for loss in losses:
        margin = 1e-4 if keras else 1e-4 * lowest
        if lowest == math.inf or loss < lowest - margin:
            lowest, waited = loss, 0
            continue
        waited += 1
        if waited >= recipe.plateau_patience + (not keras):
            lower = max(rate * recipe.plateau_factor, recipe.plateau_minimum)
            if lower < rate - (0 if keras else 1e-8):
                rate = lower
            waited = 0
    return rate
