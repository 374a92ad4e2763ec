"""The JSON schema of study files, for editors that complete and check YAML."""

from __future__ import annotations

import ast
import inspect
from itertools import pairwise
from typing import Any

from amc_core.fields import fields_of
from amc_core.installed import installed_models
from amc_core.models import MODELS
from amc_core.modulations import MODULATION_SETS, MODULATIONS
from amc_core.own_signals import Cpm
from amc_core.recipes import RECIPES
from amc_core.run import Recipe
from amc_core.scenario import SCENARIO_FIELDS, Scenario
from sweeps.search.objectives import OBJECTIVES
from sweeps.study import file

_NUMBER = {"type": ["number", "string"]}  # YAML reads 1e-3 and 32/3 as texts
_COUNT = {"type": "integer", "minimum": 1}
_RANGE = {"from": "The first, in dB.", "to": "The last, in dB.", "step": "From one to the next, in dB."}
_OWN = r"^\w+(\.\w+)+$"  # a class of the study's own code
_DIMENSION = {
    "int": "A whole number between the two.",
    "float": "A number between the two.",
    "choice": "One of these values.",
    "step": "Distance between two values; they are counted from the lowest.",
    "log": "Search on a logarithmic scale?",
    "when": "Fields beside it and the values that they must have; otherwise the field is left to its default.",
}


def study_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a study file. A file that is valid by it may still be refused by `load_study`."""
    known = file.StudyFile.model_json_schema()
    for name, descriptions in _field_texts().items():
        properties = (known if name == "StudyFile" else known["$defs"].get(name, {})).get("properties", {})
        for field in descriptions.keys() & properties.keys():
            properties[field]["description"] = descriptions[field]
    sections = {"$defs": known["$defs"], "properties": known["properties"]}
    sections["$defs"]["Dimension"] = _dimension()
    _replace(sections["$defs"]["SearchSection"], {"objective": _one_or_list({"enum": list(OBJECTIVES)})})
    _replace(sections["$defs"]["TransferSection"], {"after": _one_or_list({"type": "string"})})
    for section in (sections["$defs"]["TransferSection"], sections):
        _replace(section, {name: _GRIDS[name] for name in _GRIDS if name in section["properties"]})
    exact = {
        "modulations": _MODULATIONS,
        "snr_db": _SNRS,
        "length": _searched(_one_or_list(_COUNT)),
        "test_length": _one_or_list(_COUNT),
        "seeds": _one_or_list({"type": "integer", "minimum": 0}),
        "code": _one_or_list({"type": "string", "pattern": r"\.py$"}),
        "models": _one_or_list(_model()),
        "transfer": _one_or_list({"$ref": "#/$defs/TransferSection"}),
        "scales": {"type": "object", "additionalProperties": {"$ref": "#/$defs/ScaleSection"}},
    }
    _replace(sections, exact)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A study of amc-sweeps"}
    return head | {"type": "object", "additionalProperties": False, "required": ["models"]} | sections


def _field_texts() -> dict[str, dict[str, str]]:
    """Class of a section → its fields → the docstring below each in the source."""
    classes = (node for node in ast.parse(inspect.getsource(file)).body if isinstance(node, ast.ClassDef))
    return {
        section.name: {
            field.target.id: inspect.cleandoc(text.value.value)
            for field, text in pairwise(section.body)
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
        }
        for section in classes
    }


def _replace(section: dict, schemas: dict[str, dict]) -> None:
    """Replace the schemas of Pydantic's fields, and keep their descriptions."""
    known = section["properties"]
    known |= {name: schema | {"description": known[name]["description"]} for name, schema in schemas.items()}


def _either(*schemas: dict) -> dict:
    return {"anyOf": list(schemas)}


def _list(entry: dict) -> dict:
    return {"type": "array", "items": entry, "minItems": 1}


def _one_or_list(*entries: dict) -> dict:
    return _either(*entries, _list(_either(*entries)))


def _object(properties: dict[str, dict]) -> dict:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _recipe() -> dict:
    """A recipe; each field has one value, several values or a dimension."""
    fields = {name: _described(_searched(_one_or_list(value))) for name, value in _schemas(Recipe).items()}
    description = "A recipe of the literature, whose fields hold where they are not given."
    return _object(fields | {"like": _one_or_list({"enum": list(RECIPES)}) | {"description": description}})


def _schemas(cls: type) -> dict[str, dict]:
    """Field → the schema of one value."""
    return {name: field.schema() for name, field in fields_of(cls).items()}


def _described(schema: dict) -> dict:
    """The schema with the first description inside it."""
    return schema | {"description": _first(schema)}


def _first(schema: Any) -> str | None:
    if isinstance(schema, dict) and "description" in schema:
        return schema["description"]
    parts = schema.get("anyOf", ()) if isinstance(schema, dict) else ()
    return next((text for part in parts if (text := _first(part))), None)


def _dimension() -> dict:
    """A dimension of a search, which replaces a value."""
    ends = {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2}
    kinds = {"int": ends, "float": ends, "choice": {"type": "array", "minItems": 1}}
    more = {"step": _NUMBER, "log": {"type": "boolean"}, "when": {"type": "object", "minProperties": 1}}
    properties = {name: schema | {"description": _DIMENSION[name]} for name, schema in (kinds | more).items()}
    return _object(properties) | {"oneOf": [{"required": [kind]} for kind in kinds]}


def _searched(value: dict) -> dict:
    return _either(value, {"$ref": "#/$defs/Dimension"})


def _model() -> dict:
    """A model's name, or its name with hyperparameters and perhaps a recipe beside it."""
    models = {
        name: _object(
            {key: _described(_searched(_one_or_list(entry.schema()))) for key, entry in spec.hyperparameters.items()}
        )
        | {"description": f"{spec.title}: {spec.source}"}
        | ({"additionalProperties": True} if spec.of_classifier else {})
        for name, spec in MODELS.items()
    }
    description = "Fields of the recipe in which this model differs from the others."
    recipe = {"recipe": _one_or_list(_recipe()) | {"description": description}}
    known = _either({"enum": [*MODELS, *installed_models()]}, {"pattern": _OWN})
    one_name = {"propertyNames": known, "minProperties": 1, "maxProperties": 1}
    beside = {"required": ["recipe"], "minProperties": 2, "maxProperties": 2}
    own = {"patternProperties": {_OWN: {"type": "object", "description": "A class of a file in code."}}}
    models |= {name: {"type": "object", "description": model.digest} for name, model in installed_models().items()}
    return _either({"type": "string"} | known, _object(models | recipe) | own | {"anyOf": [one_name, beside]})


def _open(schema: Any) -> Any:
    """The schema with every number in it replaced by a number or a dimension."""
    if isinstance(schema, list):
        return [_open(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if isinstance(schema.get("type"), list):  # only numbers have several types
        return _searched(schema) | {key: schema[key] for key in ("description",) if key in schema}
    return {key: _open(part) for key, part in schema.items()}


_FIELDS = _schemas(Scenario)
_AXES = {name: _described(_one_or_list(value)) for name, value in _FIELDS.items()}
_TRAINED = {name: _described(_open(_searched(_one_or_list(value)))) for name, value in _FIELDS.items()}
_LISTS = {name: _list(value) | {"description": value["description"]} for name, value in _FIELDS.items()}
_ZIP = {"zip": _object(_LISTS) | {"description": "Fields that go through lists of the same length together."}}
_WEIGHT = _searched(_NUMBER) | {"description": "Share of the instances, in proportion to those of the others."}
_PARTS = {name: _described(_open(_searched(value))) for name, value in _FIELDS.items()}
_MIXTURE = {
    "mixture": _list(_object(_PARTS | {"weight": _WEIGHT}))
    | {"description": "Scenarios to train on side by side, each a mapping of fields to one value."}
}
_VARY = {
    "vary": _one_or_list({"enum": list(SCENARIO_FIELDS)})
    | {"description": "Fields that go through all values that they have in train."}
}
_SNRS = _one_or_list(_NUMBER, _object({name: _NUMBER | {"description": text} for name, text in _RANGE.items()}))
_POINT = {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2}
_POINTS = {"type": "array", "items": _POINT, "minItems": 2, "description": "Points [I, Q], scaled to unit mean power."}
_CPM = _object(_schemas(Cpm)) | {"description": "Continuous phase modulation: M-FSK, MSK, GMSK and others."}
_SIGNAL = _object({"points": _POINTS, "cpm": _CPM}) | {"minProperties": 1, "maxProperties": 1}
_SIGNALS = {"type": "object", "additionalProperties": _SIGNAL, "minProperties": 1, "maxProperties": 1}
_KNOWN = {"enum": list(MODULATIONS)}
_MODULATIONS = _either({"enum": list(MODULATION_SETS)}, _list(_either(_KNOWN, _SIGNALS)))
_TESTED = _either({"enum": list(MODULATION_SETS)}, _list(_either({"type": "string"}, _SIGNALS)))
_OF_TESTS = {
    "instances": _COUNT | {"description": "Tested, of every modulation and SNR; by default a tenth of the study's."},
    "snr_db": _SNRS | {"description": "SNRs tested, in dB; by default those of the training."},
    "modulations": _TESTED | {"description": "Modulations tested, also untrained ones; by default the training's."},
}
_GRIDS = {
    "train": _one_or_list(_object(_TRAINED | _ZIP | _MIXTURE)),
    "test": _one_or_list(_object(_AXES | _ZIP | _VARY | _OF_TESTS)),
    "recipe": _one_or_list(_recipe()),
}
