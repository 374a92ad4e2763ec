"""One canonical form: what does not change a definition changes no key and no sample, and what does, does."""

import copy
import dataclasses
import math
from dataclasses import make_dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

from amc_core import Scenario, simulate
from amc_core.fields import Field, declared
from amc_core.identity import address_key, canonical, key, stream
from amc_core.run import Dataset, Recipe, Run
from amc_core.scenario import AUGMOD_OFFSETS, SCENARIO_FIELDS, Channel, Distribution, Mixture
from amc_core.stages import Draws

VARIED = Scenario(**AUGMOD_OFFSETS.as_dict() | {"channel": "rician"})
OWN = {"path_delays": [0, 1e-6], "path_gains_db": [0, -3], "max_doppler": 10}


@declared
class WiderScenario(Scenario):
    shadowing: float | Distribution = Field(0.0, 0, 40, varies=True, unit="dB")


@declared
class WiderDataset(Dataset):
    jitter: float = Field(0.0, 0, 1)


@declared
class WiderRecipe(Recipe):
    precision: str = Field("float32", choices=("float32", "bfloat16"))


def reordered(cls: type) -> type:
    """The same class with its fields in the reverse order (those without a default first, as they must be)."""
    of_class = {field.name for field in dataclasses.fields(cls)}
    body = {name: value for name, value in vars(cls).items() if name not in of_class and not name.startswith("__")}
    order = sorted(reversed(dataclasses.fields(cls)), key=lambda field: field.default is not dataclasses.MISSING)
    declarations = [(f.name, f.type, dataclasses.field(default=f.default, metadata=f.metadata)) for f in order]
    namespace = body | {"__post_init__": cls.__post_init__}
    other = make_dataclass(cls.__name__, declarations, namespace=namespace, frozen=True)
    assert [f.name for f in dataclasses.fields(other)] != [f.name for f in dataclasses.fields(cls)]
    return other


def values(instance) -> dict:
    return {field.name: getattr(instance, field.name) for field in dataclasses.fields(instance)}


def run(scenario=VARIED, dataset=Dataset, recipe=Recipe, **fields) -> Run:
    data = dataset(scenario=scenario, modulations=("BPSK", "GFSK"), snrs_db=(0.0, 18.0), instances=20, length=256)
    return Run("mod_lcnn", data, recipe(epochs=2), **fields)


def samples(scenario) -> torch.Tensor:
    return simulate(scenario, "16QAM", 10, range(4), length=128)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (8, 8.0),
        (0, -0.0),
        (1e15, 10**15),
        (0.1, np.float64(0.1)),
        (0.5, Fraction(1, 2)),
        (3, np.int64(3)),
        (2**60, 2.0**60),
        ((1, 2), [1, 2.0]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ],
)
def test_equal_values_have_one_canonical_form(one, other):
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [(8, "8"), (True, 1), (None, 0), (None, "null"), (0.1, 0.1 + 2e-17 + 1e-16), ([1, 2], [12]), (2**53, 2**53 + 1)],
)
def test_different_values_have_different_canonical_forms(one, other):
    assert canonical(one) != canonical(other)


@pytest.mark.parametrize("value", [math.nan, {1, 2}, object(), {1: 2}, Decimal("NaN")])
def test_what_has_no_canonical_form_is_refused(value):
    with pytest.raises(TypeError):
        canonical(value)


def test_infinity_the_snr_without_noise_has_one_form():
    assert canonical(math.inf) == canonical(np.float64("inf")) != canonical(-math.inf)


def test_a_new_field_with_a_default_changes_no_key_and_no_sample():
    wider = WiderScenario(**VARIED.as_dict())
    assert torch.equal(samples(wider), samples(VARIED))
    assert run(wider).key == run(dataset=WiderDataset).key == run(recipe=WiderRecipe).key == run().key


def test_a_new_field_that_is_set_changes_the_keys_and_the_samples():
    wider = WiderScenario(**VARIED.as_dict(), shadowing=3)
    assert not torch.equal(samples(wider), samples(VARIED))
    keys = {run().key, run(wider).key, run(recipe=lambda epochs: WiderRecipe(epochs=epochs, precision="bfloat16")).key}
    assert len(keys) == 3


@pytest.mark.parametrize("value", [VARIED, Scenario(OWN, "32/3"), Channel(**OWN), Recipe(epochs=3, fresh=True)])
def test_the_order_of_fields_changes_no_key(value):
    assert key(reordered(type(value))(**values(value))) == key(value)


def test_the_order_of_fields_changes_no_sample_and_no_key_of_a_dataset():
    other = reordered(Scenario)(**values(VARIED))
    assert torch.equal(samples(other), samples(VARIED))
    assert run(other).key == run(dataset=reordered(Dataset)).key == run().key


def test_defaults_that_are_spelled_out_change_no_key():
    written = Scenario(channel={"path_delays": [], "k_factor": 0}, upsampling="8", sample_rate="2e5", rolloff=0.35)
    assert key(written) == key(Scenario())
    spelled = Scenario(channel=OWN | {"k_factor": 0.0, "name": "mine"})
    assert key(spelled) == key(Scenario(channel=OWN))
    assert key(Dataset(Scenario(), ("BPSK",), (0,), 20, 1024, 0)) == key(Dataset(Scenario(), ["BPSK"], [-0.0], 20))
    assert run(hyperparameters={}, seed=0).key == run().key


def test_a_channel_is_what_its_fields_say_not_its_name():
    table = Scenario("rayleigh")
    own = Scenario(table.paths.as_dict() | {"name": "mine"})
    assert key(own) == key(table) and torch.equal(samples(own), samples(table))


def test_the_weights_of_a_mixture_count_in_proportion():
    scenarios = (Scenario(), Scenario("rayleigh"), Scenario("rician"))
    mixtures = [Mixture(scenarios, weights) for weights in ((1, 2, 3), (0.1, 0.2, 0.3), ("2", 4.0, 6))]
    assert len({key(mixture) for mixture in mixtures}) == 1
    again = Mixture(scenarios, mixtures[0].weights)
    assert key(again) == key(mixtures[0]) != key(Mixture(scenarios, (3, 2, 1)))


def test_every_field_draws_from_a_stream_of_its_own():
    streams = {stream(name) for name in SCENARIO_FIELDS}
    assert len(streams) == len(SCENARIO_FIELDS) and min(streams) >= 1 << 31


def test_what_one_field_draws_does_not_depend_on_what_others_do():
    keys, indices = torch.tensor([address_key("address")]).expand(5, 2), torch.arange(5)
    alone = Scenario(rolloff={"uniform": [0.1, 0.5]})
    beside = Scenario(**AUGMOD_OFFSETS.as_dict() | {"rolloff": {"uniform": [0.1, 0.5]}})
    one, other = (Draws(scenario, keys, indices)["rolloff"] for scenario in (alone, beside))
    assert np.array_equal(one, other) and len(set(one)) == 5


def test_a_copy_of_what_holds_a_run_holds_the_run():
    run = Run("mod_lcnn", Dataset(Scenario(channel="awgn"), ("BPSK", "QPSK"), (0,), 10))
    held = {"run": run, "values": [1]}
    again = copy.deepcopy(held)
    assert again["run"] is run and again["values"] is not held["values"]
