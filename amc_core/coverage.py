"""What a likelihood accounts for: of which modulations and scenarios it is known. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from amc_core.distributions import extremes
from amc_core.errors import AmcError
from amc_core.modulations import MODULATIONS, Linear
from amc_core.scenario import Mixture, Scenario

_COVERED = {"channel", "upsampling", "rolloff", "sample_rate", "pulse", "timing_offset", "phase_offset", "audio"}
_COVERED |= {"carrier_offset", "relative_carrier_offset", "sample_rate_offset"}  # all known, and so undone
_SLOW = 0.25  # cycles of fading in an instance, up to which the channel's spectrum at some instants stands for it


def is_linear(name: str) -> bool:
    """Is it a modulation whose symbols can be seen by themselves? OQPSK's cannot."""
    modulation = MODULATIONS.get(name)
    return isinstance(modulation, Linear) and not modulation.quadrature_delay


def not_covered(scenario: Scenario) -> str | None:
    """What of a scenario a likelihood does not account for, as the end of a sentence; None where it knows all."""
    if scenario.recording:
        return f"of recording {scenario.recording!r}, whose setting is not told"
    for field in fields(scenario):
        if field.name not in _COVERED and getattr(scenario, field.name) != field.default:
            return f"with {field.name} {getattr(scenario, field.name)!r}"
    return None


def why_unknown(scenario: Scenario | Mixture, modulations: Sequence[str], length: int) -> str | None:
    """Why no upper bound is known on a test dataset, as a sentence; None where `limits.upper_bound` knows one."""
    if sum(is_linear(name) for name in modulations) < 2:
        return "no upper bound is known without two linear modulations: all others count as always recognised"
    reasons = (not_covered(component) or _not_bounded(component, length) for component in scenario.components)
    return next((f"no upper bound is known {reason}" for reason in reasons if reason), None)


def require_likelihood(scenario: Scenario | Mixture, modulations: Sequence[str] = ()) -> None:
    """Raise AmcError unless the likelihood classifier can run on a scenario and tell these modulations apart."""
    others = [name for name in modulations if not is_linear(name)]
    if others:
        raise AmcError(f"likelihood tells linear modulations apart only, not {', '.join(others)}")
    for component in scenario.components:
        if reason := not_covered(component):
            raise AmcError(f"likelihood needs to know the setting, so it classifies nothing {reason}")


def _not_bounded(scenario: Scenario, length: int) -> str | None:
    slowest, widest = extremes(scenario.upsampling)[0], extremes(scenario.rolloff)[1]
    if slowest < 1 + widest - 1e-9:
        return f"for {slowest:g} samples per symbol: roll-off {widest:g} needs {1 + widest:g}, or the signal aliases"
    cycles = scenario.paths.max_doppler * length / scenario.sample_rate
    if cycles > _SLOW:
        return f"for fading that turns {cycles:.2g} times in an instance: at most {_SLOW:g} times are covered"
    return None
