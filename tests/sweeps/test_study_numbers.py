"""Numbers in study files: what YAML's version 1.2 reads, decimals as they are written, one number however it is."""

import pytest

from amc_core import AmcError
from sweeps.study import load_study, parse_scenario
from sweeps.study.yaml12 import parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1:5", "1:5"),
        ("190:20:30", "190:20:30"),
        ("010", 10),
        ("08", 8),
        ("0x10", 16),
        ("0o17", 15),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("on", "on"),
        ("yes", "yes"),
        ("n", "n"),
        ("True", True),
        ("false", False),
        ("~", None),
        ("", None),
        ("2026-01-02", "2026-01-02"),
        ("1e-3", 1e-3),
        ("1e2", 100.0),
        ("-.5", -0.5),
        ("7.", 7.0),
        ("+3", 3),
        ("-.inf", -float("inf")),
        ("'8'", "8"),
    ],
)
def test_scalars_are_read_by_the_core_schema_of_yaml_1_2(text, value):
    read = parse_yaml(f"key: {text}")["key"]
    assert read == value and type(read) is type(value)


def test_anchors_may_be_merged_and_a_key_given_twice_is_refused():
    assert parse_yaml("a: &x {b: 1}\nc: {<<: *x, d: 2}")["c"] == {"b": 1, "d": 2}
    with pytest.raises(AmcError, match=r"'a' is given twice \(lines 1 and 2\)"):
        parse_yaml("a: 1\na: 2")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"seeds": "1:5"}, "seeds.0: '1:5' is not allowed: it has to be a whole number from 0"),
        ({"snr_db": "1:18"}, "; a range is written {from: -6, to: 18, step: 2}"),
        (
            {"length": "1:30"},
            "has to be a whole number from 8 to 1,048,576; several are written as a list, [1, 2, 3]",
        ),
        ({"train": "{upsampling: 2:32}"}, "train: upsampling '2:32' is not allowed"),
        ({"recipe": "{epochs: 1_000}"}, "epochs '1_000' is not allowed"),
        ({"instances": "1_000"}, "instances: '1_000' is not allowed"),
        ({"recipe": "{fresh: yes}"}, "fresh 'yes' is not allowed: it has to be true or false"),
    ],
)
def test_what_version_1_1_of_yaml_makes_numbers_and_truths_of_is_refused(study_file, changes, told):
    with pytest.raises(AmcError) as refused:
        load_study(study_file(**changes))
    assert told in str(refused.value)


def test_equal_numbers_are_equal_however_they_are_written(study_file):
    plain = {
        "snr_db": "[5, 10]",
        "instances": "100",
        "length": "256",
        "seeds": "[8]",
        "models": "mod_lcnn",
        "recipe": "{epochs: 100, learning_rate: 0.001, batch_size: 32}",
        "train": "{sample_rate: 200000, upsampling: 8}",
        "test": "{}",
    }
    other = {
        "snr_db": "[05, 010]",
        "instances": "1e2",
        "length": '"256"',
        "seeds": "[8.0]",
        "recipe": "{epochs: 1e2, learning_rate: 1e-3, batch_size: '32'}",
        "train": "{sample_rate: 2e5, upsampling: 8.0}",
    }
    first, second = (load_study(study_file(**(plain | changes))).runs() for changes in ({}, other))
    assert [run.key for run in first] == [run.key for run in second]
    assert parse_scenario("{upsampling: 0.8e1, sample_rate: 2e5}") == parse_scenario("{upsampling: 8}")


def test_a_range_in_tenths_has_the_decimals_that_are_written(study_file):
    study = load_study(study_file(snr_db="{from: 0, to: 1, step: 0.1}"))
    assert study.snrs_db == (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    ranged = load_study(study_file(test="{snr_db: {from: -0.3, to: 0, step: 0.1}}"))
    assert ranged.tests(ranged.runs()[0])[0].snrs_db == (-0.3, -0.2, -0.1, 0.0)


def test_a_search_in_steps_proposes_the_decimals_that_are_written(study_file):
    rate = "{label_fraction: {float: [0.1, 0.9], step: 0.1}}"
    study = load_study(study_file(models="mod_lcnn", train="{}", recipe=rate, search="{proposals: 2}"))
    [dimension] = study.space.dimensions
    assert dimension.grid()[2] == 0.3
    assert dimension.value(0.1 + 2 * 0.1) == dimension.value(0.30000000000000004) == 0.3


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"modulations": "[bpsk, QAM16]"}, ["modulation 'bpsk' is not known; did you mean 'BPSK'", "mean '16QAM'"]),
        ({"train": "{channel: AWGN}"}, ["did you mean 'awgn'"]),
        ({"models": "CNN1D"}, ["did you mean 'cnn1d'"]),
        ({"models": "[cnn1d, cnn1d]"}, ["models: cnn1d is listed twice"]),
        ({"modulations": "qpsk"}, ["modulation set 'qpsk' is not known; did you mean 'QPSK'"]),
        ({"modulations": "QPSK"}, ["'QPSK' is one modulation: list several, or name a set (simple,"]),
        ({"recipe": "{lr: 1e-3}"}, ["recipe field 'lr' is not known; did you mean 'learning_rate'"]),
        ({"seeds": "3"}, ["list the seeds, [3] for that one, or [0, 1, 2] for 3 seeds"]),
        ({"seeds": "0"}, ["list the seeds, [0] for that one"]),
        ({"models": ""}, ["models has no value: give one, or leave the key out"]),
        ({"train": "{channel: , upsampling: 4}"}, ["train: channel has no value"]),
        ({"recipe": "{epochs: }"}, ["recipe: epochs has no value"]),
    ],
)
def test_a_refusal_says_what_may_have_been_meant(study_file, changes, told):
    with pytest.raises(AmcError) as refused:
        load_study(study_file(**changes))
    assert all(part in str(refused.value) for part in told), refused.value


def test_all_mistakes_of_a_study_are_told_each_on_a_line_and_none_that_only_follows_from_another(study_file):
    path = study_file(
        modells="[cnn1d]",
        models=None,
        seeds="3",
        recipe="{lr: 1e-3, epochs: 0}",
        train="{chanel: awgn, upsampling: -1}",
        test="{vary: upsampling}",
    )
    with pytest.raises(AmcError) as refused:
        load_study(path)
    head, *lines = str(refused.value).splitlines()
    assert head == f"{path}: 6 mistakes:"
    begun = ("key 'modells'", "seeds: 3", "recipe: recipe field 'lr'", "recipe: epochs 0", "train: scenario field 'ch")
    assert {told for told in begun for line in lines if line.strip().startswith(told)} == set(begun)
    assert any("train: upsampling -1" in line for line in lines) and len(lines) == 6
