"""Fields declared once: their check, their words, their schema, and the effect of a new one."""

import jsonschema
import pytest
import torch

from amc_core import AmcError, Scenario, impairments, simulate
from amc_core.errors import suggest
from amc_core.fields import Field, declared, fields_of, read_fields
from amc_core.models import MODELS
from amc_core.noise import Noise, NoiseAndUnitPower, Scaling
from amc_core.reference import axis, called, in_words, symbol, value_text
from amc_core.run import Recipe
from amc_core.scenario import Channel, Distribution
from amc_core.stages import Stage


@declared
class WithAmplitude(Scenario):
    amplitude_scale: float | Distribution = Field(
        1.0, 0, 10, above=True, varies=True, symbol="A", label="amplitude", help="Factor of the received signal."
    )


class Amplitude(Stage):
    fields = ("amplitude_scale",)

    def __call__(self, signal, batch):
        return signal * batch.column("amplitude_scale")


@declared
class Example:
    count: int = Field(3, 1, 9)
    rate: float = Field(1.0, 0, 10, above=True, unit="Hz")
    upsampling: float = Field(8.0, 1, 64, exact=True, varies=True)
    law: str = Field("one", choices=("one", "two"))
    patience: int | None = Field(None, 1, 5, whole=True, optional=True)
    fresh: bool = Field(False)
    gains: tuple[float, ...] = Field((), -5, 5, most=2)
    constant: tuple[float, ...] = Field((1.0, 0.0), -2, 2, presets={"swapped": (0.0, 1.0)})

    def __post_init__(self):
        read_fields(self)


@pytest.mark.parametrize(
    ("name", "value", "form"),
    [
        ("count", "4", 4), ("count", 5.0, 5), ("rate", "1e-3", 1e-3), ("upsampling", "32/3", 10.67),
        ("upsampling", {"uniform": [1, 2]}, Distribution("uniform", 1, 2)), ("law", "two", "two"),
        ("patience", None, None), ("fresh", True, True),
        ("gains", [1, "-2"], (1.0, -2.0)), ("constant", "swapped", (0.0, 1.0)),
    ],
)  # fmt: skip
def test_a_value_has_one_form(name, value, form):
    read = getattr(Example(**{name: value}), name)
    assert read == form and type(read) is type(form)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("count", 10, "count 10 is not allowed: it has to be a whole number from 1 to 9"),
        ("count", True, "count True is not allowed: it has to be a whole number from 1 to 9"),
        ("rate", 0, "rate 0 is not allowed: it has to be a number of Hz above 0 to 10"),
        ("rate", {"uniform": [1, 2]},
         "rate {'uniform': [1, 2]} is not allowed: it has to be a number of Hz above 0 to 10"),
        ("upsampling", {"uniform": [0, 2]},
         "upsampling uniform(0, 2) is not allowed: it has to be a number from 1 to 64"),
        ("law", "tow", "law 'tow' is not known; did you mean 'two'? (known: one, two)"),
        ("patience", 0, "patience 0 is not allowed: it has to be a whole number from 1 to 5, or null"),
        ("fresh", 1, "fresh 1 is not allowed: it has to be true or false"),
        ("gains", [1, 2, 3], "gains [1, 2, 3] is not allowed: it has to be a list of at most 2 numbers from -5 to 5"),
        ("constant", [9, 1], "constant [9, 1] is not allowed: it has to be 2 numbers from -2 to 2 or \"swapped\""),
    ],
)  # fmt: skip
def test_a_refusal_names_the_field_the_value_and_what_is_allowed(name, value, told):
    with pytest.raises(AmcError) as refusal:
        Example(**{name: value})
    assert str(refusal.value) == told


def test_the_schema_of_a_field_takes_what_the_field_takes():
    schemas = {name: field.schema() for name, field in fields_of(Example).items()}
    for name, good, bad in (
        ("count", 4, 10), ("rate", 0.5, 0), ("law", "two", "three"), ("patience", None, 0), ("gains", [1], [1, 2, 3]),
        ("upsampling", {"uniform": [1, 2]}, {"unifrom": [1, 2]}), ("constant", "swapped", [1]), ("fresh", True, "yes"),
    ):  # fmt: skip
        jsonschema.validate(good, schemas[name])
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, schemas[name])


def test_a_field_and_its_effect_are_all_that_an_impairment_takes(monkeypatch):
    usual = simulate(Scenario(), "QPSK", float("inf"), range(3), 64)
    # After the scaling to unit power, which would undo it.
    monkeypatch.setattr("amc_core.simulator.STAGES", (*impairments.STAGES, Amplitude))
    assert torch.equal(simulate(WithAmplitude(), "QPSK", float("inf"), range(3), 64), usual)
    fixed = WithAmplitude(amplitude_scale=2)
    assert fixed.definition() == {"amplitude_scale": 2.0}
    assert simulate(fixed, "QPSK", float("inf"), range(3), 64).abs().square().mean() == pytest.approx(4)
    varied = simulate(WithAmplitude(amplitude_scale={"uniform": [1, 3]}), "QPSK", float("inf"), range(200), 64)
    amplitudes = varied.abs().square().mean(1).sqrt()
    assert amplitudes.min() >= 1 and amplitudes.max() <= 3 and amplitudes.mean() == pytest.approx(2, abs=0.2)


def test_a_stage_without_effect_is_left_out():
    from amc_core.simulator import Simulator

    def kinds(scenario: Scenario) -> list[type]:
        simulator = Simulator(scenario, ["BPSK"], [0])
        return [type(stage) for stage in (*simulator.transmitter, *simulator.stages)]

    assert kinds(Scenario()) == [NoiseAndUnitPower]
    assert kinds(Scenario(phase_offset=1)) == [impairments.Rotation, NoiseAndUnitPower]
    assert kinds(Scenario(dc_offset_i=0.1)) == [Noise, impairments.DcOffset, Scaling]
    assert kinds(Scenario(amplifier_backoff_db=3, normalisation="none")) == [impairments.Amplifier, Noise]


@pytest.mark.parametrize(
    ("column", "name", "along_an_axis", "short", "value", "words"),
    [
        ("test_upsampling", "samples per symbol L", "samples per symbol L", "L", 8.0, "L = 8"),
        ("train_sample_rate", "sample rate", "sample rate in kHz", "f_s", 200e3, "sample rate 200 kHz"),
        ("test_timing_offset", "timing offset", "timing offset in symbols", "timing offset",
         0.5, "timing offset 0.5 symbols"),
        ("channel", "channel", "channel", "channel", "rician", "channel rician"),
        ("snr_db", "SNR", "SNR in dB", "SNR", 10.0, "SNR 10 dB"),
        ("model", "model", "model", "model", "cnn1d", "model cnn1d"),
    ],
)  # fmt: skip
def test_a_column_is_called_as_its_field_says(column, name, along_an_axis, short, value, words):
    assert (called(column), axis(column), symbol(column)) == (name, along_an_axis, short)
    assert in_words(column, value) == words


def test_values_of_a_mixture_are_shown_in_the_unit_of_the_axis():
    assert value_text("test_sample_rate", "0.75 200000 + 0.25 400000") == "0.75 200 + 0.25 400"
    assert value_text("test_sample_rate", float("nan"), unit=True) == ""


def test_every_field_has_help():
    for fields in (*map(fields_of, (Scenario, Channel, Recipe)), *(spec.hyperparameters for spec in MODELS.values())):
        for name, field in fields.items():
            assert field.help.endswith("."), name


@pytest.mark.parametrize(
    ("said", "meant"), [("4PSK", "QPSK"), ("2-psk", "BPSK"), ("QAM16", "16QAM"), ("1dcnn", "cnn1d"), ("cnn", "cnn1d")]
)
def test_names_of_other_usage_are_known_for_what_they_mean(said, meant):
    assert f"did you mean {meant!r}?" in suggest(said, ["OQPSK", "8PSK", "BPSK", "QPSK", "16QAM", "scrnn", "cnn1d"])
