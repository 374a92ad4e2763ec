"""What defines a run and a cell, and the keys that follow from it alone. Imports no torch.

A run is model + recipe + training dataset + seed, and perhaps a run to start from; a cell is a run evaluated on one
test dataset. Their keys are hashes of these definitions, so that any study, on any machine, finds what another has
computed.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from amc_core.errors import AmcError, suggest
from amc_core.models import MODELS, shortest_length, validate_hyperparameters
from amc_core.modulations import require_audible
from amc_core.scenario import Mixture, Scenario

# Of the meaning of a definition: raised when the same definition would give other samples, weights or counts,
# so that results of an older version are never mixed with new ones.
VERSION = 1

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Dataset:
    """A description of instances, never the instances themselves: they are simulated where they are consumed.

    scenario: one, or a `Mixture` to train on. instances: per modulation and SNR, at least 10; split 80:10:10 by
    index into train, validation and test (P1 §IV-C). length: samples. seed: of the simulated instances.
    test_instances: of the test part, per modulation and SNR, instead of a tenth of `instances`; they follow the
    validation part's indices, so that none of them is trained on. Raises AmcError for an instance shorter than the
    channel.
    """

    scenario: Scenario | Mixture
    modulations: tuple[str, ...]
    snrs_db: tuple[float, ...]
    instances: int
    length: int = 1024
    seed: int = 0
    test_instances: int | None = None

    def __post_init__(self):
        # One form for each value, whatever type it came as: keys and addresses are made of them.
        object.__setattr__(self, "modulations", tuple(str(name) for name in self.modulations))
        object.__setattr__(self, "snrs_db", tuple(float(snr) + 0.0 for snr in self.snrs_db))
        for name in ("instances", "length", "seed"):
            object.__setattr__(self, name, int(getattr(self, name)))
        if self.test_instances == self.instances - self.instances * 9 // 10:
            object.__setattr__(self, "test_instances", None)  # as without
        for scenario in self.scenario.components:
            scenario.require_length(self.length)
            require_audible(self.modulations, scenario.sample_rate)

    def as_dict(self) -> dict:
        """The fields as plain values that JSON can hold."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        return plain | {"scenario": self.scenario.as_dict()}

    def definition(self) -> dict:
        """What makes the dataset another."""
        plain = self.as_dict() | {"scenario": self.scenario.definition()}
        return {name: value for name, value in plain.items() if (name, value) != ("test_instances", None)}

    @cached_property
    def key(self) -> str:
        """24 hex digits that identify the dataset."""
        return _hash(_json(self.definition()))

    def indices(self, part: str) -> range:
        """The instance indices of a part: "train", "validation" or "test"."""
        validation, test = self.instances * 8 // 10, self.instances * 9 // 10
        tested = self.instances - test if self.test_instances is None else self.test_instances
        return {"train": range(validation), "validation": range(validation, test), "test": range(test, test + tested)}[
            part
        ]

    @property
    def count(self) -> int:
        """How many instances of every modulation and SNR the parts take together."""
        return max(self.indices("validation").stop, self.indices("test").stop)

    def size(self, part: str, fraction: float = 1.0) -> int:
        """How many instances a part, or a fraction of it, holds, over all modulations and SNRs."""
        return len(self.modulations) * len(self.snrs_db) * share(len(self.indices(part)), fraction)

    @cached_property
    def test_size(self) -> int:
        """`size` of the test part."""
        return self.size("test")


def share(count: int, fraction: float) -> int:
    """How many of `count` a fraction is, at least one."""
    return max(1, round(fraction * count))


OPTIMISERS = ("adam", "adamw")
SCHEDULES = ("constant", "cosine", "step")
KEPT = ("best", "last")
RETRAINED = ("all", *dict.fromkeys(part for spec in MODELS.values() for part in spec.parts))


@dataclass(frozen=True)
class Recipe:
    """How weights come about, by gradients of the cross-entropy. Defaults are those of P1 §IV-C.

    epochs, batch_size, learning_rate: at most 1e6 each.
    optimiser: "adam" or "adamw", with its weight_decay.
    schedule: of the learning rate: "constant"; "cosine", which falls to 0 over the epochs; "step", a tenth after half
        of the epochs and a hundredth after three quarters.
    keep: weights of the "best" validation accuracy, or the "last".
    patience: epochs without a better validation accuracy after which training ends early, None for never.
    retrain: what a run that starts from another trains: "all", "head" or "stn_block" (`models.trained_part`).
    label_fraction: of the training instances that is used, in (0, 1], the same of every modulation and SNR.
    min_length: each batch is cut to its first samples, from min_length to all, uniformly (P2 §V-A); None never cuts.
    fresh: new instances every epoch, instead of the same as in the papers.

    Raises AmcError for anything else.
    """

    epochs: int = 80
    batch_size: int = 256
    learning_rate: float = 1e-3
    optimiser: str = "adam"
    weight_decay: float = 0.0
    schedule: str = "constant"
    keep: str = "best"
    patience: int | None = None
    retrain: str = "all"
    label_fraction: float = 1.0
    min_length: int | None = None
    fresh: bool = False

    def __post_init__(self):
        for name, low, high in (("epochs", 1, 10**6), ("batch_size", 1, 10**6), ("patience", 1, 10**6)):
            self._set(name, _whole(name, getattr(self, name), low, high, optional=name == "patience"))
        self._set("min_length", _whole("min_length", self.min_length, 8, 1 << 20, optional=True))
        self._set("learning_rate", _positive("learning_rate", self.learning_rate, 1e6))
        self._set("label_fraction", _positive("label_fraction", self.label_fraction, 1))
        self._set("weight_decay", _positive("weight_decay", self.weight_decay, 1e6, or_zero=True))
        choices = {"optimiser": OPTIMISERS, "schedule": SCHEDULES, "keep": KEPT, "retrain": RETRAINED}
        for name, allowed in choices.items():
            value = getattr(self, name)
            if not isinstance(value, str) or value not in allowed:
                raise AmcError(f"{name} {value!r} is not known{suggest(value, allowed)}")
        if not isinstance(self.fresh, bool):
            raise AmcError(f"fresh {self.fresh!r} is not allowed: it is true or false")
        if self.fresh and self.label_fraction < 1:
            raise AmcError("fresh does not go with label_fraction: every epoch would bring other labels")

    def _set(self, name: str, value: float | None) -> None:
        object.__setattr__(self, name, value)


@dataclass(frozen=True)
class Run:
    """model + recipe + training dataset + seed → weights.

    model: a name in `MODELS`; hyperparameters: those of the model, defaults filled in. seed: of the initial
    weights and of the order of instances. parent: the run whose weights this one starts from: transfer learning
    (P1 §VI-C), or curriculum learning (P2 §V-B). Raises AmcError for what the model does not take.
    """

    model: str
    dataset: Dataset
    recipe: Recipe = field(default_factory=Recipe)
    seed: int = 0
    hyperparameters: dict = field(default_factory=dict)
    parent: Run | None = None

    def __post_init__(self):
        object.__setattr__(self, "seed", int(self.seed))
        object.__setattr__(self, "hyperparameters", validate_hyperparameters(self.model, self.hyperparameters))
        spec, shortest = MODELS[self.model], shortest_length(self.model, self.hyperparameters)
        if not spec.epochs:  # fitted in one step, to as many labels as the recipe says
            object.__setattr__(self, "recipe", Recipe(epochs=1, label_fraction=self.recipe.label_fraction))
        lengths = [self.dataset.length]
        if self.recipe.min_length is not None:
            if not spec.any_length:
                raise AmcError(f"min_length is not for {self.model}: it takes instances of one length only")
            lengths.append(self.recipe.min_length)
            if self.recipe.min_length > self.dataset.length:
                raise AmcError(f"min_length {self.recipe.min_length} is above the length, {self.dataset.length}")
        if min(lengths) < shortest:
            raise AmcError(f"length {min(lengths)} is too short: {self.model} needs at least {shortest} samples")
        if self.recipe.fresh and any(scenario.recording for scenario in self.dataset.scenario.components):
            raise AmcError("fresh instances every epoch can be simulated, not read from a recording")
        self._require_start()

    def _require_start(self) -> None:
        """Raise AmcError unless the recipe and the parent go together."""
        spec, retrain = MODELS[self.model], self.recipe.retrain
        if self.parent is None:
            if retrain != "all":
                raise AmcError(f"retrain {retrain!r} needs a run to start from: only a transfer has one")
            return
        if not spec.epochs:
            raise AmcError(f"{self.model} is fitted in one step: it cannot start from another run")
        if (self.parent.model, self.parent.hyperparameters) != (self.model, self.hyperparameters):
            raise AmcError(f"{self.model} cannot start from weights of {self.parent.model} or of another architecture")
        if self.parent.dataset.modulations != self.dataset.modulations:
            raise AmcError("a run starts from one with the same modulations in the same order")
        if self.parent.dataset.length != self.dataset.length and not spec.any_length:
            raise AmcError(f"{self.model} takes one length: it cannot start from a run at {self.parent.dataset.length}")
        if retrain not in ("all", *spec.parts):
            raise AmcError(f"retrain {retrain!r} is not for {self.model}: it has {', '.join(('all', *spec.parts))}")

    @cached_property
    def key(self) -> str:
        """24 hex digits that identify the run.

        Fields that have their default value are left out, so that a field added later changes no old key.
        """
        recipe = _changes(self.recipe)
        if not MODELS[self.model].epochs:
            del recipe["epochs"]
        defaults = validate_hyperparameters(self.model, {})
        model = {name: value for name, value in self.hyperparameters.items() if value != defaults[name]}
        parts = [VERSION, self.model, model, recipe, self.dataset.definition(), self.seed]
        return _hash(_json(parts if self.parent is None else [*parts, self.parent.key]))

    def cell_key(self, test: Dataset) -> str:
        """24 hex digits that identify the run's evaluation on the test part of a dataset."""
        return _hash(self.key + test.key)

    def work(self) -> int:
        """Instances that training passes through the model, a measure of its duration."""
        return self.dataset.size("train", self.recipe.label_fraction) * self.recipe.epochs


def _changes(instance) -> dict:
    """The fields of a dataclass that differ from their defaults."""
    return {f.name: getattr(instance, f.name) for f in fields(instance) if getattr(instance, f.name) != f.default}


def _whole(name: str, value: Any, low: int, high: int, optional: bool = False) -> int | None:
    if value is None and optional:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        allowed = f"a whole number from {low:,} to {high:,}" + (", or null" if optional else "")
        raise AmcError(f"{name} {value!r} is not allowed: it is {allowed}")
    return value


def _positive(name: str, value: Any, high: float, or_zero: bool = False) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # YAML reads 1e-3 as a text
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not (0 < number <= high or (or_zero and number == 0)):
        lowest = "from" if or_zero else "above"
        raise AmcError(f"{name} {value!r} is not allowed: it is a number {lowest} 0, to {high:g}")
    return number


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
