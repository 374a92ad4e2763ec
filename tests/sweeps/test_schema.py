"""The JSON schema lets good studies pass and stops the mistakes that an editor can see."""

import json

import jsonschema
import pytest
import yaml

from sweeps.study import SHIPPED
from sweeps.study.file import StudyFile
from sweeps.study.schema import study_schema

SCHEMA = jsonschema.Draft202012Validator(study_schema())


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_studies_pass(path):
    SCHEMA.validate(yaml.safe_load(path.read_text()))


def test_the_schema_itself_is_valid_and_knows_every_key():
    jsonschema.Draft202012Validator.check_schema(study_schema())
    assert set(study_schema()["properties"]) == set(StudyFile.model_fields)


@pytest.mark.parametrize(
    "text",
    [
        "models: [cnn1d, {stn_resnext: {blocks: [2, 4], localizer_constant: [paper, [1, 0, 0, 0, 1, 0]]}}]",
        "{models: hoc_svm, train: {upsampling: 32/3, rolloff: {uniform: [0, 1]}}, snr_db: {from: 0, to: 4, step: 2}}",
        "{models: lstm, train: {recording: {file: a.npz, iq: [I, Q], label: Y, classes: {x: BPSK}}}}",
        "{models: lstm, test: {recording: a.h5, normalisation: max}}",
        "{models: lstm, train: {zip: {upsampling: [4, 8], rolloff: [0.1, 0.2]}}, test: [{vary: upsampling}, {}]}",
        "{models: lstm, train: {mixture: [{channel: awgn, weight: 3}, {channel: {name: own, max_doppler: 5}}]}}",
        "{models: {classnet: {blocks: {int: [1, 4]}}}, search: {proposals: 9, objective: [accuracy, parameters]}}",
        "{models: lstm, recipe: {learning_rate: {float: [1e-4, 1e-2], log: true}}, search: {sampler: random}}",
        "{models: lstm, recipe: [{learning_rate: [1e-3, 1e-2]}], transfer: {recipe: {retrain: head}, models: [lstm]}}",
        "{models: [{lstm: {}, recipe: {epochs: 9}}, cnn1d], transfer: [{name: indoors, train: {channel: rician}}]}",
        "{models: lstm, length: {choice: [64, 128]}, train: {mixture: [{weight: {float: [1, 2]}}, {upsampling: 4}]}, "
        "search: {proposals: 9}}",
        "{models: lstm, train: {rolloff: {uniform: [{float: [0.1, 0.2]}, 0.5]}, channel: {choice: [awgn, rician]}}, "
        "search: {sampler: grid}}",
    ],
)
def test_every_way_of_writing_a_study_passes(text):
    SCHEMA.validate(yaml.safe_load(text))


@pytest.mark.parametrize(
    "text",
    [
        "modulations: simple",
        "{models: [cnn2]}",
        "{models: [{stn_resnext: {block: 3}}]}",
        "{models: cnn1d, train: {chanel: awgn}}",
        "{models: cnn1d, test: {channel: raleigh}}",
        "{models: cnn1d, recipe: {optimiser: sgd}}",
        "{models: cnn1d, seed: 1}",
        "{models: cnn1d, test: {recording: {file: a.npz, iqq: X}}}",
        "{models: {lstm: {}, cnn1d: {}}}",
        "{models: {recipe: {epochs: 1}}}",
        "{models: cnn1d, test: {upsampling: {int: [2, 4]}}, search: {proposals: 9}}",
        "{models: {classnet: {blocks: {ints: [1, 4]}}}, search: {proposals: 9}}",
        "{models: {classnet: {blocks: {int: [1, 4], choice: [1]}}}, search: {proposals: 9}}",
        "{models: cnn1d, search: {proposal: 9}}",
        "{models: cnn1d, transfer: {retrain: head}}",
    ],
)
def test_a_mistake_that_an_editor_can_see_is_marked(text):
    with pytest.raises(jsonschema.ValidationError):
        SCHEMA.validate(yaml.safe_load(text))


def test_the_command_prints_it(amc):
    assert json.loads(amc("schema").stdout) == study_schema()


def properties(schema, path="study"):
    """Every property of a schema with its path."""
    parts = list(schema.items()) if isinstance(schema, dict) else list(enumerate(schema))
    for name, part in parts:
        if name == "properties":
            yield from ((f"{path}.{key}", value) for key, value in part.items())
        if isinstance(part, dict | list):
            yield from properties(part, f"{path}.{name}")


def test_every_key_has_a_description():
    known = list(properties(study_schema()))
    assert len(known) > 1000
    assert not [path for path, schema in known if not schema.get("description")]


def test_a_description_tells_what_is_allowed_and_the_default():
    schema = study_schema()["properties"]["train"]["anyOf"][0]["properties"]["rolloff"]
    assert schema["description"] == (
        "Roll-off factor of the pulse; below 0.01 it is shaped as at 0.01. "
        "Allowed: a number from 0 to 1, or a distribution. Default: 0.35."
    )
