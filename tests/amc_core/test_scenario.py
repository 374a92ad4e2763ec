"""Scenarios: exact ratios, canonical values, and refusals."""

from fractions import Fraction

import pytest

from amc_core import AmcError, Scenario
from amc_core.scenario import Mixture


@pytest.mark.parametrize(
    ("written", "exact"),
    [
        (2, Fraction(2)),
        (3.2, Fraction(16, 5)),
        (6.4, Fraction(32, 5)),
        (10.67, Fraction(32, 3)),
        ("32/3", Fraction(32, 3)),
        (32 / 3, Fraction(32, 3)),
        (2.33, Fraction(7, 3)),
        (2.37, Fraction(237, 100)),
        (10.671, Fraction(10671, 1000)),
        ("200e-2", Fraction(2)),
    ],
)
def test_samples_per_symbol_is_the_exact_ratio_that_was_meant(written, exact):
    assert Scenario(upsampling=written).samples_per_symbol == exact


def test_different_spellings_are_one_scenario():
    assert Scenario(upsampling="32/3") == Scenario(upsampling=10.67) == Scenario(upsampling=32 / 3)
    assert Scenario(sample_rate="200e3", rolloff="0.35", upsampling=8) == Scenario(sample_rate=200_000)


@pytest.mark.parametrize(
    ("field", "value", "names"),
    [
        ("channel", "raleigh", "'rayleigh'"),
        ("upsampling", 0, "from 1"),
        ("upsampling", -8, "from 1"),
        ("upsampling", float("nan"), "from 1"),
        ("upsampling", "fast", "from 1"),
        ("upsampling", True, "from 1"),
        ("rolloff", 1.2, "from 0 to 1"),
        ("rolloff", None, "from 0 to 1"),
        ("rolloff", float("nan"), "from 0 to 1"),
        ("sample_rate", 0, "of Hz"),
        ("sample_rate", float("inf"), "of Hz"),
    ],
)
def test_a_bad_field_is_refused_with_its_value_and_what_is_allowed(field, value, names):
    with pytest.raises(AmcError) as refusal:
        Scenario(**{field: value})
    assert field in str(refusal.value) and repr(value) in str(refusal.value) and names in str(refusal.value)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"rolloff": {"uniform": [0, 10**400]}}, "bound"),
        ({"phase_offset": {"log_uniform": [1e-320, 1]}}, "positive"),
        ({"phase_offset": {"uniform": ["a", 1]}}, "bound"),
        ({"channel": {"name": "../../up", "path_delays": [0], "path_gains_db": [0]}}, "name"),
    ],
)
def test_odd_distributions_and_names_are_refused(fields, named):
    with pytest.raises(AmcError, match=named):
        Scenario(**fields)


def test_a_channel_that_fades_too_fast_to_be_simulated_is_refused():
    with pytest.raises(AmcError, match="too fast"):
        Scenario({"like": "rayleigh", "max_doppler": 100e3}).require_length(20_000)


def test_the_columns_of_a_mixture_tell_shares_and_which_values_go_together():
    awgn, rayleigh = Scenario(upsampling=4), Scenario("rayleigh", upsampling=8)
    assert Mixture((awgn, rayleigh), (1, 1)).columns()["channel"] == "awgn + rayleigh"
    columns = Mixture((awgn, rayleigh), (3, 1)).columns()
    assert (columns["channel"], columns["upsampling"]) == ("0.75 awgn + 0.25 rayleigh", "0.75 4 + 0.25 8")
    assert columns["rolloff"] == 0.35
    third = Mixture((awgn, rayleigh, Scenario(upsampling=8)), (1, 1, 1)).columns()
    assert (third["channel"], third["upsampling"]) == ("awgn + rayleigh + awgn", "4 + 8 + 8")


@pytest.mark.parametrize(
    "fields",
    [
        {"carrier_offset": 100_001.0},
        {"carrier_offset": {"uniform": [-120e3, 0]}},
        {"carrier_offset": 60e3, "relative_carrier_offset": 0.25},
        {"carrier_offset": 95e3, "sample_rate_offset": -1e5},  # the receiver samples at 180 kHz
        {"carrier_offset": 2e3, "sample_rate": 3e3},
        {"channel": {"like": "rician", "max_doppler": 101e3}},
        {"channel": {"like": "rician", "direct_doppler": -101e3}},
        {"channel": {"like": "rician", "direct_doppler": 60e3}, "carrier_offset": 50e3},
    ],
)
def test_a_carrier_beyond_half_the_sample_rate_would_appear_as_another_and_is_refused(fields):
    with pytest.raises(AmcError, match="Hz would alias: allowed are at most"):
        Scenario(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"like": "awgn", "max_doppler": 50}, "max_doppler 50.0 does nothing without path_delays"),
        ({"name": "own", "realisations": 3}, "realisations 3 does nothing without path_delays"),
        ({"like": "rayleigh", "direct_phase": 0.5}, "direct_phase 0.5 does nothing without a k_factor above 0"),
    ],
)
def test_a_field_of_a_channel_that_would_do_nothing_is_refused(fields, message):
    with pytest.raises(AmcError, match=message):
        Scenario(channel=fields)


def test_a_carrier_up_to_half_the_sample_rate_is_allowed():
    Scenario(carrier_offset=-50e3, channel={"like": "rician", "direct_doppler": -50e3, "max_doppler": 100e3})
    Scenario(carrier_offset=-100e3)
    Scenario(carrier_offset={"uniform": [-100e3, 100e3]})
    Scenario(carrier_offset=50e3, relative_carrier_offset={"signed_log_uniform": [1e-6, 0.25]})
    Scenario(relative_carrier_offset=0.5)
