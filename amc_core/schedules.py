"""The schedules of the learning rate that a recipe may have."""

from __future__ import annotations

import math
from collections.abc import Sequence

from amc_core.run import Recipe


def learning_rate(recipe: Recipe, progress: float) -> float:
    """The learning rate after a share of the epochs, `progress` in [0, 1), where the schedule depends on that alone."""
    if recipe.schedule == "cosine":
        return recipe.learning_rate * (1 + math.cos(math.pi * progress)) / 2
    if recipe.schedule == "step":
        return recipe.learning_rate * (0.1 if progress >= 0.5 else 1) * (0.1 if progress >= 0.75 else 1)
    return recipe.learning_rate


def plateau_rate(recipe: Recipe, losses: Sequence[float]) -> float:
    """The learning rate after epochs of these validation losses, with the schedule "plateau".

    As Keras's and PyTorch's ReduceLROnPlateau have it by default. They differ in what is lower (by 1e-4, or by 1e-4 of
    the lowest loss) and in when they act: once the epochs in a row without a lower loss reach the patience, or exceed
    it. PyTorch also leaves out a change of at most 1e-8.
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
