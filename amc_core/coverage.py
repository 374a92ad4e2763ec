"""Which modulations and scenarios the likelihood classifier and its upper bound cover. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

from amc_core.distributions import extremes
from amc_core.errors import AmcError
from amc_core.families import Linear
from amc_core.fields import fields_of
from amc_core.modulations import MODULATIONS, modulation
from amc_core.own_signals import OwnModulation
from amc_core.scenario import Mixture, Scenario

_COVERED = {"channel", "upsampling", "rolloff", "sample_rate", "pulse", "timing_offset", "phase_offset", "audio"}
_COVERED |= {"carrier_offset", "relative_carrier_offset", "sample_rate_offset"}  # known, and so undone
# What a receiver does to signal and noise together adds no information, so a bound without it stays a bound.
_AFTER_NOISE = ("iq_gain_imbalance_db", "iq_phase_imbalance", "dc_offset_i", "dc_offset_q")
_AFTER_NOISE += ("clipping_level", "quantiser_bits", "front_end", "resample_to", "normalisation")
# A known phase is undone, however it turns, and the noise stays white.
_EASED = (*_AFTER_NOISE, "phase_noise_linewidth")
_SLOW = 0.25  # cycles of fading in an instance, up to which the channel's spectrum at a few times describes it


def is_linear(name: str) -> bool:
    """Is it a modulation whose symbols can be seen by themselves? OQPSK's cannot."""
    known = modulation(name) if isinstance(name, OwnModulation) or name in MODULATIONS else None
    return isinstance(known, Linear) and not known.quadrature_delay


def not_covered(scenario: Scenario) -> str | None:
    """What of a scenario the likelihood does not cover, as the end of a sentence; None if it covers all."""
    if scenario.recording:
        return f"for recording {scenario.recording!r}, whose setting is unknown"
    for field in fields(scenario):
        if field.name not in _COVERED and getattr(scenario, field.name) != field.default:
            return f"with {field.name} {getattr(scenario, field.name)!r}"
    return None


def why_unknown(scenario: Scenario | Mixture, modulations: Sequence[str], length: int) -> str | None:
    """Why no upper bound is known on a test dataset, as a sentence; None if `limits.upper_bound` knows one."""
    if sum(is_linear(name) for name in modulations) < 2:
        return "no upper bound is known without two linear modulations: all others count as always recognised"
    reasons = (
        not_covered(replace(eased(component), snr_reference="instance"))
        or _not_bounded(component, length)
        or _reason_of_power(component, modulations)
        for component in scenario.components
    )
    return next((f"no upper bound is known {reason}" for reason in reasons if reason), None)


def eased(scenario: Scenario) -> Scenario:
    """A scenario without what only makes recognition harder; its upper bound holds for the original scenario too."""
    if scenario.recording:
        return scenario
    declared = fields_of(scenario)
    return replace(scenario, **{name: declared[name].default for name in _EASED})


def require_likelihood(scenario: Scenario | Mixture, modulations: Sequence[str] = ()) -> None:
    """Raise AmcError unless the likelihood classifier can run on a scenario and tell these modulations apart."""
    others = [name for name in modulations if not is_linear(name)]
    if others:
        raise AmcError(f"likelihood classifies linear modulations only, not {', '.join(others)}")
    for component in scenario.components:
        if reason := not_covered(component):
            raise AmcError(f"likelihood needs to know the setting, so it cannot be used {reason}")


def _reason_of_power(scenario: Scenario, modulations: Sequence[str]) -> str | None:
    """Why power gives away modulations whose points have a mean other than 0; None if it does not."""
    own = {"snr_reference": scenario.snr_reference, "normalisation": scenario.normalisation}
    means = [name for name in modulations if is_linear(name) and abs(modulation(name).points.mean()) > 1e-9]
    if means and own != {"snr_reference": "instance", "normalisation": "power"}:
        settings = ", ".join(f"{name} {value!r}" for name, value in own.items() if value not in ("instance", "power"))
        return f"with {settings} for {', '.join(means)}: the power of an instance gives its modulation away"
    return None


def _not_bounded(scenario: Scenario, length: int) -> str | None:
    slowest, widest = extremes(scenario.upsampling)[0], extremes(scenario.rolloff)[1]
    if slowest < 1 + widest - 1e-9:
        return f"for {slowest:g} samples per symbol: roll-off {widest:g} needs {1 + widest:g}, or the signal aliases"
    channel = scenario.paths
    if channel.realisations is not None:
        return f"for {channel.realisations} realisations of fading, which depend on the seed"
    cycles = max(channel.max_doppler, abs(channel.direct_doppler)) * length / scenario.sample_rate
    if cycles > _SLOW:
        return f"for fading that turns {cycles:.2g} times in an instance: at most {_SLOW:g} times are covered"
    return None
