"""The classifiers: their registry, the checks of their hyperparameters, and how they are built.

Every network maps (batch, 2, length) float32, the I and Q rows of an instance, to (batch, classes) logits.
Its dense layers, the part that transfer learning retrains first, are its submodule `head`.
"""

import importlib
import math
from typing import Any

from amc_core.errors import AmcError, suggest
from amc_core.models import scikit
from amc_core.models.registry import MODELS, PART, ModelSpec
from amc_core.quantities import require_number

__all__ = [
    "MODELS",
    "PART",
    "ModelSpec",
    "build_model",
    "model_spec",
    "shortest_length",
    "trained_part",
    "validate_hyperparameters",
]


def model_spec(name: str) -> ModelSpec:
    """The specification of a model: that of an `OwnModel` or `InstalledModel` itself, else its entry in `MODELS`.

    Raises AmcError if there is none.
    """
    if hasattr(name, "spec"):
        return name.spec
    if not isinstance(name, str) or name not in MODELS:
        raise AmcError(f"model {name!r} is not known{suggest(name, MODELS)}")
    return MODELS[name]


def validate_hyperparameters(name: str, hyperparameters: dict[str, Any]) -> dict[str, Any]:
    """The hyperparameters of model `name`, defaults filled in, each in its canonical form.

    Raises AmcError for an unknown model or hyperparameter, and for a value that is not allowed.
    """
    spec = model_spec(name)
    if spec.of_classifier:
        return _of_classifier(spec, hyperparameters)
    allowed = spec.hyperparameters
    for key in hyperparameters:
        if key not in allowed:
            choice = suggest(key, allowed) if allowed else "; it has none"
            raise AmcError(f"model {name!r} has no hyperparameter {key!r}{choice}")
    return {
        key: entry.read(f"model {name!r}: {key}", hyperparameters.get(key, entry.default))
        for key, entry in allowed.items()
    }


def _of_classifier(spec: ModelSpec, given: dict[str, Any]) -> dict[str, Any]:
    """The path of a scikit-learn classifier, and those of its arguments that differ from scikit-learn's defaults."""
    path = scikit.read_path(given.get("classifier", spec.hyperparameters["classifier"].default))
    allowed = scikit.parameters_of(path)
    values = {}
    for name, value in given.items():
        if name == "classifier":
            continue
        if name not in allowed:
            why = scikit.reason(name)
            hint = f": {why}" if why else suggest(name, allowed)
            raise AmcError(f"model {spec.name!r}: {path} has no argument {name!r} that a study can set{hint}")
        values[name] = allowed[name].read(name, value)
    scikit.require_arguments(path, values)
    changed = {
        name: value
        for name, value in sorted(values.items())
        if value != allowed[name].read(name, allowed[name].default)
    }
    return {"classifier": path} | changed


def model_title(name: str) -> str:
    """A model's title in tables and figures; a model that is not in `MODELS` has its name."""
    return MODELS[name].title if name in MODELS else str(name)


def model_order(name: str) -> tuple[int, str]:
    """A key that sorts names of models: those of `MODELS` in its order, then others by name."""
    return ([*MODELS].index(name), "") if name in MODELS else (len(MODELS), str(name))


def is_trained_in_epochs(name: str) -> bool:
    """Is a model of this name trained in epochs? Models that are not in `MODELS` are."""
    return name not in MODELS or MODELS[name].epochs


def shortest_length(name: str, hyperparameters: dict[str, Any] | None = None) -> int:
    """The shortest instance, in samples, that model `name` takes with these hyperparameters."""
    if name not in MODELS:
        return model_spec(name).min_length
    values = validate_hyperparameters(name, hyperparameters or {})
    # ClassNet and the localizer halve the length once in the stem and once between any two blocks.
    halvings = max(values.get("blocks", 0), values.get("localizer_blocks", 0))
    token = values.get("frame", values.get("patch", 0))  # samples of a token; a transformer needs one token
    return max(token, 8 if token else model_spec(name).min_length, 2**halvings)


def build_model(name: str, classes: int, length: int, **hyperparameters: Any):
    """A new network: an nn.Module from (batch, 2, length) float32, rows I and Q, to (batch, classes) logits.

    The weights are drawn from torch's global generator.

    Parameters:
        name: A name in `MODELS`.
        classes: The number of classes, at least two.
        length: Samples of an instance. If the model takes any length, it is only checked.
        hyperparameters: Those of the model; others have their defaults.

    Returns:
        The network, on the CPU and in training mode.

    Raises:
        AmcError: The model or a hyperparameter is not known, a value is not allowed, or the instance is too short.
    """
    spec = model_spec(name)
    values = validate_hyperparameters(name, hyperparameters)
    require_number(f"model {name!r}: classes", classes, 2, math.inf, integer=True)
    shortest = shortest_length(name, values)
    require_number(f"model {name!r}: length", length, shortest, math.inf, unit="samples", integer=True)
    if hasattr(name, "architecture"):
        return name.architecture()(classes, length, **values)
    module, _, network = spec.target.partition(":")
    architecture = getattr(importlib.import_module(module), network)
    return architecture(classes, **values) if spec.any_length else architecture(classes, length, **values)


def trained_part(network, part: str) -> list:
    """The modules that a transfer retrains (P1 §VI-C); all others keep the weights they start from.

    part: "all"; "head", the dense layers (the "last dense layer" of P1, 10,900 weights of STN-ResNeXt); "stn_block",
    the last block and dense layers of STN-ResNeXt's localizer and the last layer of its classifier; or the name of a
    submodule, or names of several, joined with +.
    """
    if part == "all":
        return [network]
    if part == "stn_block" and not hasattr(network, part):
        return [network.localizer.trunk.blocks[-1], network.localizer.dense, network.head[-1]]
    return [network.get_submodule(name) for name in part.split("+")]
