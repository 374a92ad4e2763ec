"""The definitions of a run and a cell, and their keys. Imports no torch.

A run is model + recipe + training dataset + seed, and perhaps a run to start from; a cell is a run evaluated on one
test dataset. Their keys are hashes of these definitions, so that any study, on any machine, finds what another has
computed.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import MISSING, dataclass, field, fields
from functools import cached_property

from amc_core.coverage import require_likelihood
from amc_core.errors import AmcError
from amc_core.fields import Field, declared, fields_of, read_fields
from amc_core.fields import plain as as_plain
from amc_core.front_end import OwnFunction
from amc_core.identity import VERSION, canonical, changes, joint_key, key
from amc_core.models import MODELS, PART, model_spec, shortest_length, validate_hyperparameters
from amc_core.modulations import is_analogue, modulation_name, require_audible
from amc_core.scenario import Mixture, Scenario

PARTS = ("train", "validation", "test")
SPLITS = {"tenths": (8, 9), "amr_benchmark": (6, 8)}  # → tenths of the instances at which validation and test begin


@declared
class Dataset:
    """A description of instances, not the instances themselves: they are simulated where they are consumed.

    scenario: one, or a `Mixture` to train on. modulations: names, or `OwnModulation`s, or mappings {name: content} of
    the user's own; snrs_db: dB. Instances are split 80:10:10 by index into train, validation and test (P1 §IV-C), or
    60:20:20 with the `split` "amr_benchmark", which draws the parts of a recording as AMR-Benchmark (Zhang et al. 2022)
    does. `test_instances` sets another size of the test part, whose indices follow those of the validation part, so
    that none of them is trained on. Raises AmcError for values that the fields do not allow, and if the delays of the
    channel exceed an instance.

    A recording that no run trains on may be tested `whole`: then the test part is all of it that has one of the
    `modulations` and `snrs_db` (all SNRs if none is given), at most `test_instances` of each. If the network's
    instances are shorter than the `split_length` at which a recording was split into parts, those of the split are cut
    in consecutive instances.
    """

    scenario: Scenario | Mixture
    modulations: tuple[str, ...]
    snrs_db: tuple[float, ...]
    instances: int = Field(MISSING, 10, 10**7, whole=True, help="Instances of every modulation and SNR.")
    length: int = Field(1024, 1, 1 << 20, unit="samples", help="Samples of an instance.")
    seed: int = Field(0, 0, (1 << 63) - 1, help="Seed of the simulated instances.")
    test_instances: int | None = Field(
        None, 1, 10**7, whole=True, optional=True, help="Instances of the test part, if not a tenth of `instances`."
    )
    split: str = Field(
        "tenths", choices=tuple(SPLITS),
        help="Split into training, validation and test: tenths is 80:10:10; amr_benchmark is 60:20:20, for a recording "
        "by the seeded draw of that benchmark.",
    )  # fmt: skip
    whole: bool = Field(False, help="The test part is all of a recording.")
    split_length: int | None = Field(
        None, 1, 1 << 20, whole=True, optional=True, unit="samples",
        help="Samples of the instances by which a recording was split into parts, if more than `length`.",
    )  # fmt: skip

    def __post_init__(self):
        # Every value gets its canonical type, which tables show.
        object.__setattr__(self, "modulations", tuple(map(modulation_name, self.modulations)))
        object.__setattr__(self, "snrs_db", tuple(float(snr) + 0.0 for snr in self.snrs_db))
        read_fields(self)
        if self.whole:
            object.__setattr__(self, "split", "tenths")  # a whole recording has no split
        elif self.test_instances == self.instances - self._bounds[1]:
            object.__setattr__(self, "test_instances", None)  # it is the default
        for scenario in self.scenario.components:
            scenario.require_length(self.length)
            require_audible(self.modulations, scenario.sample_rate)
        recorded = all(scenario.recording for scenario in self.scenario.components)
        if (self.whole or self.split_length) and not (recorded and len(self.scenario.components) == 1):
            raise AmcError("whole and split_length are allowed only for the test of one recording")
        if self.split_length and (self.whole or self.split_length <= self.length):
            raise AmcError(
                f"split_length {self.split_length} is not allowed: it has to exceed length {self.length}, without whole"
            )

    def as_dict(self) -> dict:
        """The fields as plain values that JSON can hold."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        return plain | {"scenario": self.scenario.as_dict(), "modulations": as_plain(self.modulations)}

    def definition(self) -> dict:
        """What identifies the dataset."""
        changed = changes(self)
        if self.whole:  # the seed matters only if it chooses among more than `test_instances`
            del changed["instances"]
            if self.test_instances is None:
                changed.pop("seed", None)
        return changed

    @cached_property
    def canonical(self) -> str:
        """Its canonical form, computed once for all runs that train on it."""
        return canonical(self.definition())

    @cached_property
    def key(self) -> str:
        """24 hex digits that identify the dataset."""
        return key(self)

    def indices(self, part: str) -> range:
        """The instance indices of a part: "train", "validation" or "test"; not of a `whole` recording."""
        validation, test = self._bounds
        tested = self.instances - test if self.test_instances is None else self.test_instances
        bounds = {"train": (0, validation), "validation": (validation, test), "test": (test, test + tested)}[part]
        return range(*(bound * self.pieces for bound in bounds))

    def stretch(self, part: str) -> tuple[int, int]:
        """The tenths of an audio file between which the instances of a part are taken."""
        validation, test = SPLITS[self.split]
        return {"train": (0, validation), "validation": (validation, test), "test": (test, 10)}[part]

    @cached_property
    def recorded(self) -> bool:
        """Are any of its instances cut from a recording?"""
        return any(scenario.recording for scenario in self.scenario.components)

    @property
    def functions(self) -> list[OwnFunction]:
        """The user's own code that receives instances: the front ends."""
        return [scenario.front_end.function for scenario in self.scenario.components if scenario.front_end]

    @property
    def _bounds(self) -> tuple[int, int]:
        """The first index of the validation part, and of the test part."""
        return tuple(self.instances * tenths // 10 for tenths in SPLITS[self.split])

    @property
    def pieces(self) -> int:
        """How many instances are cut from one instance of the split, see `split_length`."""
        return self.split_length // self.length if self.split_length else 1

    @property
    def count(self) -> int:
        """How many instances of every modulation and SNR all parts have together."""
        return max(self.indices("validation").stop, self.indices("test").stop)

    def size(self, part: str, fraction: float = 1.0) -> int:
        """How many instances a part, or a fraction of it, holds, over all modulations and SNRs."""
        if self.whole:
            from amc_core.recorded_labels import count_tested  # opens a file, which planning otherwise does not

            return count_tested(self)
        return len(self.modulations) * len(self.snrs_db) * share(len(self.indices(part)), fraction)

    @cached_property
    def test_size(self) -> int:
        """`size` of the test part."""
        return self.size("test")


def share(count: int, fraction: float) -> int:
    """The number that is a fraction of `count`, at least one."""
    return max(1, round(fraction * count))


_RETRAINED = ("all", *dict.fromkeys(part for spec in MODELS.values() for part in spec.parts))
_PART = {"anyOf": [{"enum": list(_RETRAINED)}, {"type": "string", "pattern": rf"^{PART}$"}]}


@declared
class Recipe:
    """How weights are trained, by gradients of the cross-entropy. Defaults are those of P1 §IV-C.

    A field that changes weights is part of a run's key. Raises AmcError for values that the fields do not allow.
    """

    epochs: int = Field(80, 1, 10**6, help="Passes over the training part.")
    batch_size: int = Field(256, 1, 10**6, unit="instances", help="Instances of a gradient step.")
    learning_rate: float = Field(
        1e-3, 0, 1e6, above=True, help="The optimiser's learning rate at the start of the schedule."
    )
    optimiser: str = Field("adam", choices=("adam", "adamw"), help="The optimiser.")
    weight_decay: float = Field(0.0, 0, 1e6, help="Weight decay of the optimiser.")
    schedule: str = Field(
        "constant", choices=("constant", "cosine", "step", "plateau"),
        help="Schedule of the learning rate: cosine falls to 0 over the epochs; step is a tenth after half the epochs "
        "and a hundredth after three quarters; plateau falls by a factor when the validation loss no longer falls.",
    )  # fmt: skip
    plateau_factor: float = Field(0.5, 0, 1, above=True, help="Factor by which a plateau multiplies the learning rate.")
    plateau_patience: int = Field(10, 0, 10**6, unit="epochs", help="Epochs without a lower validation loss.")
    plateau_minimum: float = Field(0.0, 0, 1e6, help="Smallest learning rate of the schedule plateau.")
    plateau_counting: str = Field(
        "keras", choices=("keras", "pytorch"),
        help="keras lowers the rate when the epochs without a loss lower by 1e-4 reach the patience; pytorch when they "
        "exceed it, and a loss has to be lower by 1e-4 of itself.",
    )  # fmt: skip
    keep: str = Field(
        "best", choices=("best", "lowest_loss", "last"),
        help="Weights that are kept: those of best validation accuracy, those of lowest validation loss, or the last.",
    )  # fmt: skip
    patience: int | None = Field(
        None, 1, 10**6, whole=True, optional=True, unit="epochs",
        help="Epochs without a better validation accuracy (or loss, see stop_on) after which training ends early; "
        "without it, training never ends early.",
    )  # fmt: skip
    stop_on: str = Field(
        "accuracy", choices=("accuracy", "loss"), help="The validation quantity to which patience applies."
    )
    precision: str = Field(
        "float32", choices=("float32", "tf32", "bf16"),
        help="Precision of products and convolutions in training: tf32 shortens their factors on a GPU, and is float32 "
        "on a CPU; bf16 computes them, and operations that follow, in 16 bits. Evaluation is in float32.",
    )  # fmt: skip
    label_smoothing: float = Field(0.0, 0, 0.9, help="Probability that training spreads over all classes.")
    clip_norm: float | None = Field(
        None,
        0,
        1e6,
        above=True,
        optional=True,
        help="Largest norm of the gradient of a step; without it, gradients are not clipped.",
    )
    retrain: str = Field(
        "all", schema_of=lambda: _PART,
        help="The part that a transfer trains: all, the dense layers (head), the last block of the spatial transformer "
        "(stn_block), a part that your own class names, or statistics, with which only batch normalisation takes its "
        "means and variances from the training instances, without their labels.",
    )  # fmt: skip
    label_fraction: float = Field(
        1.0,
        0,
        1,
        above=True,
        help="Share of the training instances that is used, the same for every modulation and SNR.",
    )
    min_length: int | None = Field(
        None, 8, 1 << 20, whole=True, optional=True, unit="samples",
        help="Each batch is cut to its first samples, a number drawn uniformly from min_length to all (P2 §V-A); "
        "without it, batches are not cut.",
    )  # fmt: skip
    fresh: bool = Field(False, help="New instances every epoch, instead of the same ones as in the papers.")
    augment_rotation: str = Field(
        "none", choices=("none", "quarter_turns", "any"), help="Rotation of training instances by a random angle."
    )
    augment_flip: bool = Field(False, help="I and Q of training instances each change sign half of the time.")
    augment_conjugation: bool = Field(False, help="Q of training instances changes sign half of the time.")
    augment_noise: float = Field(0.0, 0, 10, help="Gaussian noise on training instances, relative to their rms.")
    augment_shift: bool = Field(False, help="Training instances are shifted circularly, by any number of samples.")
    augment_paste: float = Field(
        0.0, 0, 0.5,
        help="Share of a training instance's samples that is replaced by a segment of another instance from the same "
        "batch, of the same modulation at its SNR or a lower one.",
    )  # fmt: skip

    def __post_init__(self):
        read_fields(self)
        # A field without effect gets its default, so that recipes with the same effect are the same.
        unused = [name for name in fields_of(self) if name.startswith("plateau_") and self.schedule != "plateau"]
        for name in unused + ["stop_on"] * (self.patience is None):
            object.__setattr__(self, name, fields_of(self)[name].default)
        if self.fresh and self.label_fraction < 1:
            raise AmcError("fresh is not allowed with label_fraction: every epoch would use other labels")


@dataclass(frozen=True)
class Run:
    """model + recipe + training dataset + seed → weights.

    model: a name in `MODELS`, or an `OwnModel`; hyperparameters: those of the model, defaults filled in. seed: of the
    initial weights and of the order of instances. parent: the run from whose weights this one starts: transfer learning
    (P1 §VI-C), or curriculum learning (P2 §V-B). Raises AmcError for what the model does not allow.
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
        spec, shortest = model_spec(self.model), shortest_length(self.model, self.hyperparameters)
        if spec.knows_setting:
            require_likelihood(self.dataset.scenario, self.dataset.modulations)
        if not spec.epochs:  # fitted in one step, to the recipe's share of labels
            object.__setattr__(self, "recipe", Recipe(epochs=1, label_fraction=self.recipe.label_fraction))
        if self.recipe.retrain == "statistics":  # one pass without a gradient
            taken = {name: getattr(self.recipe, name) for name in ("batch_size", "label_fraction", "retrain")}
            object.__setattr__(self, "recipe", Recipe(epochs=1, **taken))
        lengths = [self.dataset.length]
        if self.recipe.min_length is not None:
            if not spec.any_length:
                raise AmcError(f"min_length is not allowed for {self.model}: it takes instances of one length only")
            lengths.append(self.recipe.min_length)
            if self.recipe.min_length > self.dataset.length:
                raise AmcError(f"min_length {self.recipe.min_length} is above length {self.dataset.length}")
        if min(lengths) < shortest:
            raise AmcError(f"length {min(lengths)} is too short: {self.model} needs at least {shortest} samples")
        if self.recipe.fresh and self.dataset.recorded:
            raise AmcError("fresh is not allowed with a recording: new instances every epoch have to be simulated")
        self._require_start()

    def __deepcopy__(self, memo: dict) -> Run:
        """The run itself, which never changes; Ray Tune copies a trial's arguments five times."""
        return self

    def _require_start(self) -> None:
        """Raise AmcError unless recipe and parent fit each other."""
        spec, retrain = model_spec(self.model), self.recipe.retrain
        if self.parent is None:
            if retrain != "all":
                raise AmcError(f"retrain {retrain!r} needs a run to start from: only a transfer has one")
            return
        if not spec.epochs:
            raise AmcError(f"{self.model} is fitted in one step: it cannot start from another run")
        if (self.parent.model, self.parent.hyperparameters) != (self.model, self.hyperparameters):
            raise AmcError(f"{self.model} cannot start from weights of {self.parent.model} or of another architecture")
        if self.parent.dataset.modulations != self.dataset.modulations:
            raise AmcError("a run can start only from a run with the same modulations in the same order")
        if self.parent.dataset.length != self.dataset.length and not spec.any_length:
            raise AmcError(f"{self.model} takes one length: it cannot start from a run at {self.parent.dataset.length}")
        if retrain not in ("all", *spec.parts):
            parts = ", ".join(("all", *spec.parts))
            raise AmcError(f"retrain {retrain!r} is not allowed for {self.model}; allowed are {parts}")
        if retrain == "statistics" and self.hyperparameters.get("batch_norm") is False:
            raise AmcError(f"retrain 'statistics' needs {self.model} with batch_norm: true, which has such statistics")

    @property
    def code(self) -> str:
        """The digest of the user's own network, of its file and of what that imports; "" for any other network."""
        return getattr(self.model, "digest", "")

    @property
    def doubt(self) -> str:
        """A warning if augmentation changes instances so that their label no longer holds, else ""."""
        single = [name for name in self.dataset.modulations if any(part in name for part in ("SSB", "USB", "LSB"))]
        mirrored = [name for name in ("augment_flip", "augment_conjugation") if getattr(self.recipe, name)]
        if not (single and mirrored):
            return ""
        verb = "mirror" if len(mirrored) > 1 else "mirrors"
        return f"{' and '.join(mirrored)} {verb} the spectrum, which changes the sideband of {', '.join(single)}"

    def definition(self) -> dict:
        """What identifies the run; fields at their default are left out, so that a new field changes no old key."""
        recipe, defaults = changes(self.recipe), validate_hyperparameters(self.model, {})
        if not model_spec(self.model).epochs:
            recipe.pop("epochs", None)
        changed = {
            name: value
            for name, value in self.hyperparameters.items()
            if name not in defaults or value != defaults[name]
        }
        definition = changes(self) | {"version": VERSION, "recipe": recipe, "hyperparameters": changed}
        if self.code:
            definition["code"] = self.code
        if self.parent is not None:
            definition["parent"] = self.parent.key
        return {name: value for name, value in definition.items() if value != {}}

    @cached_property
    def key(self) -> str:
        """24 hex digits that identify the run."""
        return key(self)

    def cell_key(self, test: Dataset) -> str:
        """24 hex digits that identify the run's evaluation on the test part of a dataset."""
        return joint_key(self.key, test.key)

    def work(self) -> int:
        """Instances that training passes through the model, a measure of its duration."""
        if model_spec(self.model).knows_setting:
            return 0
        return self.dataset.size("train", self.recipe.label_fraction) * self.recipe.epochs


def require_unheard_tests(run: Run, tests: Collection[Dataset]) -> None:
    """Raise AmcError if, by another split, audio of a test trained the run or one that it descends from."""
    trained: Run | None = run
    while trained is not None:
        heard = {scenario.audio for scenario in trained.dataset.scenario.components if scenario.audio}
        for test in tests if heard else ():  # most studies have no audio, and some have a million tests
            shared = heard.intersection(scenario.audio for scenario in test.scenario.components)
            if (
                shared
                and any(map(is_analogue, test.modulations))
                and test.stretch("test")[0] < trained.dataset.stretch("test")[0]
            ):
                first, heard_to = (f"{10 * dataset.stretch('test')[0]} %" for dataset in (test, trained.dataset))
                raise AmcError(
                    f"audio {next(iter(shared))!r} trains up to {heard_to} of its duration (split "
                    f"{trained.dataset.split}) and tests from {first} (split {test.split}): use the same split for both"
                )
        trained = trained.parent
