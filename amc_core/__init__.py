"""The science: signals, classifiers, training and evaluation. A name is imported when it is first used."""

from importlib import import_module

from amc_core.errors import AmcError

_LAZY = {
    **dict.fromkeys(("CHANNELS", "Channel", "Scenario"), "amc_core.scenario"),
    **dict.fromkeys(("MODULATIONS", "MODULATION_SETS"), "amc_core.modulations"),
    "simulate": "amc_core.simulator",
    "Simulator": "amc_core.simulator",
    "MODELS": "amc_core.models",
    "build_model": "amc_core.models",
}

__all__ = ["CHANNELS", "MODELS", "MODULATIONS", "MODULATION_SETS", "AmcError", "Channel", "Scenario", "Simulator"]
__all__ += ["build_model", "simulate"]


def __getattr__(name: str):
    if name not in _LAZY:
        raise AttributeError(f"module 'amc_core' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
