"""What defines a run and a cell, and the keys that follow from it alone. Imports no torch.

A run is model + recipe + training dataset + seed; a cell is a run evaluated on one test dataset. Their keys
are hashes of these definitions, so that any study, on any machine, finds what another has computed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields
from functools import cached_property

from amc_core.errors import AmcError
from amc_core.models import MODELS, shortest_length, validate_hyperparameters
from amc_core.modulations import require_audible
from amc_core.scenario import Scenario

# Of the meaning of a definition: raised when the same definition would give other samples, weights or counts,
# so that results of an older version are never mixed with new ones.
VERSION = 1

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Dataset:
    """A description of instances, never the instances themselves: they are simulated where they are consumed.

    instances: per modulation and SNR, at least 10; split 80:10:10 by index into train, validation and test
    (P1 §IV-C). length: samples. seed: of the simulated instances. Raises AmcError for an instance shorter than
    the channel.
    """

    scenario: Scenario
    modulations: tuple[str, ...]
    snrs_db: tuple[float, ...]
    instances: int
    length: int = 1024
    seed: int = 0

    def __post_init__(self):
        # One form for each value, whatever type it came as: keys and addresses are made of them.
        object.__setattr__(self, "modulations", tuple(str(name) for name in self.modulations))
        object.__setattr__(self, "snrs_db", tuple(float(snr) + 0.0 for snr in self.snrs_db))
        for name in ("instances", "length", "seed"):
            object.__setattr__(self, name, int(getattr(self, name)))
        self.scenario.require_length(self.length)
        require_audible(self.modulations, self.scenario.sample_rate)

    def as_dict(self) -> dict:
        """The fields as plain values that JSON can hold."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        return plain | {"scenario": self.scenario.as_dict()}

    def indices(self, part: str) -> range:
        """The instance indices of a part: "train", "validation" or "test"."""
        bounds = (0, self.instances * 8 // 10, self.instances * 9 // 10, self.instances)
        place = PARTS.index(part)
        return range(bounds[place], bounds[place + 1])

    def size(self, part: str) -> int:
        """How many instances a part holds, over all modulations and SNRs."""
        return len(self.modulations) * len(self.snrs_db) * len(self.indices(part))


@dataclass(frozen=True)
class Recipe:
    """How weights come about: Adam on the cross-entropy; the weights of the best validation accuracy are kept.

    Defaults are those of P1 §IV-C.
    """

    epochs: int = 80
    batch_size: int = 256
    learning_rate: float = 1e-3


@dataclass(frozen=True)
class Run:
    """model + recipe + training dataset + seed → weights.

    model: a name in `MODELS`; hyperparameters: those of the model, defaults filled in. seed: of the initial
    weights and of the order of instances. Raises AmcError for what the model does not take.
    """

    model: str
    dataset: Dataset
    recipe: Recipe = field(default_factory=Recipe)
    seed: int = 0
    hyperparameters: dict = field(default_factory=dict)

    def __post_init__(self):
        object.__setattr__(self, "seed", int(self.seed))
        object.__setattr__(self, "hyperparameters", validate_hyperparameters(self.model, self.hyperparameters))
        shortest = shortest_length(self.model, self.hyperparameters)
        if self.dataset.length < shortest:
            raise AmcError(f"length {self.dataset.length} is too short: {self.model} needs at least {shortest} samples")

    @cached_property
    def key(self) -> str:
        """24 hex digits that identify the run.

        Fields that have their default value are left out, so that a field added later changes no old key; a
        model that is not trained in epochs has no use for the recipe.
        """
        recipe = _changes(self.recipe) if MODELS[self.model].epochs else {}
        defaults = validate_hyperparameters(self.model, {})
        model = {name: value for name, value in self.hyperparameters.items() if value != defaults[name]}
        return _hash(VERSION, self.model, model, recipe, _described(self.dataset), self.seed)

    def cell_key(self, test: Dataset) -> str:
        """24 hex digits that identify the run's evaluation on the test part of a dataset."""
        return _hash(self.key, _described(test))

    def work(self) -> int:
        """Instances that training passes through the model, a measure of its duration."""
        return self.dataset.size("train") * (self.recipe.epochs if MODELS[self.model].epochs else 1)


def _described(dataset: Dataset) -> dict:
    return dataset.as_dict() | {"scenario": dataset.scenario.definition()}


def _changes(instance) -> dict:
    """The fields of a dataclass that differ from their defaults."""
    return {f.name: getattr(instance, f.name) for f in fields(instance) if getattr(instance, f.name) != f.default}


def _hash(*parts) -> str:
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
