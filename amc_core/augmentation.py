"""Augmentation of training instances: each change follows from the instance's address, the epoch and the run's seed.

Every kind of change draws from a stream of its own, so that adding one leaves the others as they are. The numbers do
not depend on the batch, the device or the number of interruptions. A pasted segment comes from another instance of the
batch; seed and epoch decide which instances form a batch.
"""

from __future__ import annotations

import math

import torch

from amc_core.device import carried
from amc_core.identity import address_key, stream
from amc_core.randomness import complex_normal, integers, uniform
from amc_core.run import Dataset, Recipe


class Augmentation:
    """The changes that a recipe makes to the training instances of a dataset.

    All changes keep an instance's power. They are made in this order: a segment of another instance pasted in, signs
    of I and Q, rotation, circular shift, noise.
    """

    def __init__(self, recipe: Recipe, dataset: Dataset, seed: int):
        self.recipe, self.dataset, self.seed = recipe, dataset, seed
        self.keys: dict[int, torch.Tensor] = {}  # of the epoch under way
        self.level = torch.tensor(dataset.snrs_db).argsort().argsort()  # of each SNR, from the lowest

    def __call__(
        self, x: torch.Tensor, modulation: torch.Tensor, snr: torch.Tensor, index: torch.Tensor, epoch: int
    ) -> torch.Tensor:
        """Change a batch of instances.

        x: (batch, 2, length) float32 on the device. modulation, snr, index: (batch,) int64 on the CPU, the address of
        each in the dataset (`Instances.address`). Returns (batch, 2, length).
        """
        if not augments(self.recipe):
            return x
        if epoch not in self.keys:
            self.keys = {epoch: self._keys(epoch)}
        recipe, keys = self.recipe, self.keys[epoch][modulation, snr]
        draw = _Draws(carried(keys, x.device), carried(index, x.device))
        if recipe.augment_paste:
            donor = donors(modulation, self.level[snr], _Draws(keys, index))
            x = _paste(x, recipe.augment_paste, carried(donor, x.device), draw)
        if recipe.augment_flip:
            x = x * draw.signs("augment_flip", 2).unsqueeze(2)
        if recipe.augment_conjugation:
            sign = draw.signs("augment_conjugation", 1)
            x = x * torch.cat([torch.ones_like(sign), sign], dim=1).unsqueeze(2)
        if recipe.augment_rotation != "none":
            x = _rotate(x, recipe.augment_rotation, draw)
        if recipe.augment_shift:
            shift = draw.integers("augment_shift", 1, torch.full_like(draw.index, x.shape[2]))
            position = (torch.arange(x.shape[2], device=x.device) - shift) % x.shape[2]
            x = x.gather(2, position.unsqueeze(1).expand_as(x))
        if recipe.augment_noise:
            x = _with_noise(x, recipe.augment_noise, draw)
        return x

    def _keys(self, epoch: int) -> torch.Tensor:
        """Philox keys of every modulation and SNR, (modulations, SNRs, 2) int64."""
        keys = [
            [address_key("augmentation", self.seed, epoch, name, snr_db) for snr_db in self.dataset.snrs_db]
            for name in self.dataset.modulations
        ]
        return torch.tensor(keys)


def augments(recipe: Recipe) -> bool:
    """Does the recipe change training instances?"""
    changes = (recipe.augment_paste, recipe.augment_flip, recipe.augment_conjugation, recipe.augment_shift)
    return any(changes) or recipe.augment_rotation != "none" or recipe.augment_noise > 0


class _Draws:
    """Random numbers of a batch of addresses, by the name of what they are for."""

    def __init__(self, keys: torch.Tensor, index: torch.Tensor):
        self.keys, self.index = keys, index

    def integers(self, name: str, count: int, below: torch.Tensor) -> torch.Tensor:
        """(batch, count) int64 in [0, below)."""
        return integers(self.keys, self.index, stream(name), count, below)

    def uniform(self, name: str, count: int) -> torch.Tensor:
        """(batch, count) float32 in (0, 1)."""
        return uniform(self.keys, self.index, stream(name), count)

    def signs(self, name: str, count: int) -> torch.Tensor:
        """(batch, count) float32, −1 or 1."""
        return 2.0 * self.integers(name, count, torch.full_like(self.index, 2)) - 1

    def noise(self, name: str, count: int) -> torch.Tensor:
        """(batch, 2, count) float32, standard normal."""
        return complex_normal(self.keys, self.index, stream(name), count)


def donors(modulation: torch.Tensor, level: torch.Tensor, draw: _Draws) -> torch.Tensor:
    """The index of a donor for each instance: another of the same modulation at its SNR or a lower one, else itself.

    modulation, level: (batch,) int64, SNRs counted from the lowest. Returns (batch,) int64. All tensors are on the
    CPU, and so are the draws, so that nothing waits for the device.
    """
    rank_of = modulation * (level.max() + 1) + level
    order = rank_of.argsort(stable=True)
    ranked = rank_of[order].contiguous()
    own = torch.empty_like(order)
    own[order] = torch.arange(len(order))
    first = torch.searchsorted(ranked, (rank_of - level).contiguous())
    others = torch.searchsorted(ranked, rank_of.contiguous(), right=True) - first - 1
    drawn = draw.integers("augment_paste donor", 1, others.clamp(min=1))[:, 0] + first
    chosen = drawn + (drawn >= own).long()
    return torch.where(others > 0, order[chosen.clamp(max=len(order) - 1)], torch.arange(len(order)))


def _paste(x: torch.Tensor, share: float, donor: torch.Tensor, draw: _Draws) -> torch.Tensor:
    """Replace a segment, a share of the samples, by one of the donor's."""
    length = x.shape[2]
    size = max(1, round(share * length))
    starts = draw.integers("augment_paste", 2, torch.full_like(draw.index, length - size + 1))
    step = torch.arange(size, device=x.device)
    into, out = ((start.unsqueeze(1) + step).unsqueeze(1).expand(-1, 2, -1) for start in starts.unbind(1))
    return _at_power_of(x, x.scatter(2, into, x[donor].gather(2, out)))


def _rotate(x: torch.Tensor, kind: str, draw: _Draws) -> torch.Tensor:
    if kind == "quarter_turns":
        turns = draw.integers("augment_rotation", 1, torch.full_like(draw.index, 4))
        odd = turns % 2
        cos, sin = ((1 - odd) * (1 - turns)).float(), (odd * (2 - turns)).float()
    else:
        angle = 2 * math.pi * draw.uniform("augment_rotation", 1)
        cos, sin = angle.cos(), angle.sin()
    i, q = x.unbind(1)
    return torch.stack([i * cos - q * sin, i * sin + q * cos], dim=1)


def _with_noise(x: torch.Tensor, deviation: float, draw: _Draws) -> torch.Tensor:
    noise = draw.noise("augment_noise", x.shape[2]) * (_power(x) / 2).sqrt()
    return _at_power_of(x, x + deviation * noise)


def _at_power_of(x: torch.Tensor, changed: torch.Tensor) -> torch.Tensor:
    return changed * (_power(x) / _power(changed).clamp(min=1e-30)).sqrt()


def _power(x: torch.Tensor) -> torch.Tensor:
    """Mean power of instances (batch, 2, length), (batch, 1, 1)."""
    return x.square().sum(1, keepdim=True).mean(2, keepdim=True)
