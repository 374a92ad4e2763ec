"""A test setting is trained, seen, covered or unseen by what distributions of the training could have drawn."""

import pytest

from amc_core import Scenario
from amc_core.run import Dataset, Run
from amc_core.scenario import AUGMOD, AUGMOD_OFFSETS, Mixture
from amc_core.settings import covers, descent_of, is_unseen, setting


def run_on(scenario, parent: Run | None = None) -> Run:
    return Run("mod_lcnn", Dataset(scenario, ("BPSK", "QPSK"), (0.0,), 10, 128), parent=parent)


@pytest.mark.parametrize(
    ("training", "test", "expected"),
    [
        ({"rolloff": {"uniform": [0.1, 0.5]}}, {"rolloff": 0.35}, True),
        ({"rolloff": {"uniform": [0.1, 0.5]}}, {"rolloff": 0.6}, False),
        ({"rolloff": {"uniform": [0.1, 0.5]}}, {"rolloff": {"uniform": [0.2, 0.3]}}, True),
        ({"rolloff": {"uniform": [0.1, 0.5]}}, {"rolloff": {"uniform": [0.2, 0.6]}}, False),
        ({"rolloff": {"uniform": [0.1, 0.5]}}, {"rolloff": 0.35, "channel": "rician"}, False),
        ({"rolloff": 0.35}, {"rolloff": {"uniform": [0.1, 0.5]}}, False),
        ({"upsampling": {"reciprocal_uniform": [2, 4]}}, {"upsampling": 3.2}, True),
        ({"relative_carrier_offset": {"signed_log_uniform": [1e-4, 0.1]}}, {"relative_carrier_offset": -0.01}, True),
        ({"relative_carrier_offset": {"signed_log_uniform": [1e-4, 0.1]}}, {"relative_carrier_offset": 0.0}, False),
        (
            {"relative_carrier_offset": {"signed_log_uniform": [1e-4, 0.1]}},
            {"relative_carrier_offset": {"uniform": [-0.01, 0.01]}},
            False,
        ),
        (
            {"relative_carrier_offset": {"signed_log_uniform": [1e-4, 0.1]}},
            {"relative_carrier_offset": {"signed_log_uniform": [1e-3, 0.1]}},
            True,
        ),
    ],
)
def test_a_distribution_covers_what_it_could_have_drawn(training, test, expected):
    assert covers(Scenario(**training), Scenario(**test)) is expected


def test_a_setting_is_covered_by_any_component_of_any_training_of_the_descent():
    mixed = run_on(Mixture((AUGMOD, Scenario(channel="rician")), (1, 1)))
    retrained = run_on(Scenario(channel="rayleigh"), parent=mixed)
    fixed = {"upsampling": 2.5, "rolloff": 0.2, "timing_offset": 0.5, "phase_offset": 1.0}
    tests = {
        "trained": Scenario(channel="rayleigh"),
        "seen": Scenario(channel="rician"),
        "covered": Scenario(**fixed),
        "unseen": Scenario(**fixed, channel="rician"),
    }
    for expected, scenario in tests.items():
        assert setting(scenario, 128, descent_of(retrained)) == expected
        test = Dataset(scenario, ("BPSK", "QPSK"), (0.0,), 10, 128)
        assert is_unseen(test, retrained) == (expected == "unseen")


def test_training_on_all_offsets_leaves_no_offset_unseen():
    run = run_on(AUGMOD_OFFSETS, parent=run_on(AUGMOD))
    fields = {"upsampling": 3.0, "rolloff": 0.3, "timing_offset": 0.1, "phase_offset": 0.0}
    told = [
        setting(Scenario(**fields, relative_carrier_offset=offset), 128, descent_of(run))
        for offset in (-0.5, -1e-3, 0.0, 1e-6, 0.2)
    ]
    assert told == ["covered"] * 5  # without an offset by the training that it started from
