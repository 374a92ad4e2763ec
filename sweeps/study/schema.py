"""The JSON schema of study files, for editors that complete and check YAML."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from amc_core.models import MODELS, Hyperparameter
from amc_core.modulations import MODULATION_SETS, MODULATIONS
from amc_core.run import KEPT, OPTIMISERS, RETRAINED, SCHEDULES, Recipe
from amc_core.scenario import CHANNELS, DISTRIBUTIONS, FILE_FIELDS, PULSES, SCENARIO_FIELDS, Channel
from sweeps.study.file import OBJECTIVES, StudyFile

_NUMBER = {"type": ["number", "string"]}  # YAML reads 1e-3 and 32/3 as texts
_COUNT = {"type": "integer", "minimum": 1}
_CHOICES = {"optimiser": OPTIMISERS, "schedule": SCHEDULES, "keep": KEPT, "retrain": RETRAINED}


def study_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a study file. What it lets pass may still be refused with a better sentence."""
    known = StudyFile.model_json_schema()
    sections = {"$defs": known["$defs"], "properties": known["properties"]}
    sections["$defs"]["Dimension"] = _dimension()
    sections["$defs"]["SearchSection"]["properties"]["objective"] = _one_or_list({"enum": list(OBJECTIVES)})
    for section in ("TransferSection", None):
        place = sections["$defs"][section] if section else sections
        place["properties"] |= {name: _GRIDS[name] for name in _GRIDS if name in place["properties"]}
    sections["properties"] |= {
        "modulations": _either({"enum": list(MODULATION_SETS)}, _list({"enum": list(MODULATIONS)})),
        "snr_db": _one_or_list(_NUMBER, _object({name: _NUMBER for name in ("from", "to", "step")})),
        "length": _one_or_list(_COUNT),
        "test_length": _one_or_list(_COUNT),
        "seeds": _one_or_list({"type": "integer", "minimum": 0}),
        "models": _one_or_list(_model()),
        "transfer": _one_or_list({"$ref": "#/$defs/TransferSection"}),
        "scales": {"type": "object", "additionalProperties": {"$ref": "#/$defs/ScaleSection"}},
    }
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A study of amc-sweeps"}
    return head | {"type": "object", "additionalProperties": False, "required": ["models"]} | sections


def _either(*schemas: dict) -> dict:
    return {"anyOf": list(schemas)}


def _list(entry: dict) -> dict:
    return {"type": "array", "items": entry, "minItems": 1}


def _one_or_list(*entries: dict) -> dict:
    return _either(*entries, _list(_either(*entries)))


def _object(properties: dict[str, dict]) -> dict:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _scenario_fields() -> dict[str, dict]:
    """Scenario field → the schema of one value."""
    bounds = {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2}
    value = _either(_NUMBER, _object({kind: bounds for kind in DISTRIBUTIONS}))
    own_channel = _object({f.name: {} for f in fields(Channel)})
    texts = {name: {"type": "string"} for name in FILE_FIELDS}
    named = {"channel": _either({"enum": list(CHANNELS)}, own_channel), "pulse": {"enum": list(PULSES)}}
    return {name: value for name in SCENARIO_FIELDS} | texts | named | {"sample_rate": _NUMBER}


def _recipe() -> dict:
    """A recipe, each field one value, several, or searched."""
    values = {
        f.name: {"type": "boolean"} if isinstance(f.default, bool) else _NUMBER if f.default is not None else {}
        for f in fields(Recipe)
    }
    values |= {name: {"enum": list(allowed)} for name, allowed in _CHOICES.items()}
    return _object({name: _searched(_one_or_list(value)) for name, value in values.items()})


def _dimension() -> dict:
    """What a search decides, in the place of a value."""
    ends = {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2}
    kinds = {"int": ends, "float": ends, "choice": {"type": "array", "minItems": 1}}
    more = {"step": _NUMBER, "log": {"type": "boolean"}, "when": {"type": "object", "minProperties": 1}}
    return _object(kinds | more) | {"oneOf": [{"required": [kind]} for kind in kinds]}


def _searched(value: dict) -> dict:
    return _either(value, {"$ref": "#/$defs/Dimension"})


def _model() -> dict:
    """A model's name, or its name with hyperparameters."""
    models = {
        name: _object({key: _searched(_hyperparameter(entry)) for key, entry in spec.hyperparameters.items()})
        for name, spec in MODELS.items()
    }
    return _either({"enum": list(MODELS)}, _object(models) | {"minProperties": 1, "maxProperties": 1})


def _hyperparameter(entry: Hyperparameter) -> dict:
    if isinstance(entry.default, int):
        return _one_or_list({"type": "integer", "minimum": entry.low, "maximum": entry.high})
    if isinstance(entry.default, str):
        return _one_or_list({"enum": list(entry.choices)})
    numbers = {"type": "array", "items": _NUMBER, "minItems": len(entry.default), "maxItems": len(entry.default)}
    return _one_or_list(numbers, {"enum": list(entry.presets)})


_FIELDS = _scenario_fields()
_AXES = {name: _one_or_list(value) for name, value in _FIELDS.items()}
_ZIP = {"zip": _object({name: _list(value) for name, value in _FIELDS.items()})}
_MIXTURE = {"mixture": _list(_object(_FIELDS | {"weight": _NUMBER}))}
_VARY = {"vary": _one_or_list({"enum": list(SCENARIO_FIELDS)})}
_GRIDS = {
    "train": _one_or_list(_object(_AXES | _ZIP | _MIXTURE)),
    "test": _one_or_list(_object(_AXES | _ZIP | _VARY)),
    "recipe": _one_or_list(_recipe()),
}
