"""Pictures of simulated signals: constellation, time and spectrum. The one part of analysis that simulates."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from amc_core import Scenario, simulate
from amc_core.scenario import Distribution
from analysis.figures import in_words

_INSTANCES = 32
_COLOURS = ("#00467f", "#d1495b")  # I and Q


def signal_figure(scenario: Scenario, modulations: Sequence[str], snr_db: float, length: int, seed: int = 0) -> Figure:
    """A row per modulation: I/Q plane, waveform of one instance, mean power spectrum of 32."""
    figure = Figure(figsize=(12, 0.8 + 2.9 * len(modulations)), layout="constrained")
    axes = figure.subplots(len(modulations), 3, squeeze=False, width_ratios=(1, 1.7, 1.7))
    for (plane, wave, spectrum), name in zip(axes, modulations, strict=True):
        instances = simulate(scenario, name, snr_db, range(_INSTANCES), length, seed).numpy()
        _draw_plane(plane, scenario, instances[:4])
        plane.set(title=name, xlabel="I", ylabel="Q")
        milliseconds = np.arange(min(length, 200)) / scenario.sample_rate * 1e3
        for part, colour, label in zip((instances[0].real, instances[0].imag), _COLOURS, "IQ", strict=True):
            wave.plot(milliseconds, part[: len(milliseconds)], color=colour, linewidth=1, label=label)
        wave.set(xlabel="time in ms", ylabel="amplitude")
        wave.legend(loc="upper right", fontsize=8)
        window = np.hanning(length)
        power = (np.abs(np.fft.fftshift(np.fft.fft(instances * window), axes=1)) ** 2).mean(0) / (window**2).sum()
        kilohertz = np.fft.fftshift(np.fft.fftfreq(length, 1e3 / scenario.sample_rate))
        spectrum.plot(kilohertz, 10 * np.log10(power + 1e-12), color=_COLOURS[0], linewidth=1)
        spectrum.set(xlabel="frequency in kHz", ylabel="power in dB per bin")
        for axis in (wave, spectrum):
            axis.grid(alpha=0.3)
    figure.suptitle(_title(scenario, snr_db))
    return figure


def constellation_grid(
    scenario: Scenario, modulations: Sequence[str], snr_db: float, length: int, seed: int = 0
) -> Figure:
    """The I/Q plane of many modulations, at the symbol instants where the scenario's sampling is fixed."""
    columns = min(6, len(modulations))
    rows = -(-len(modulations) // columns)
    figure = Figure(figsize=(2 * columns, 0.7 + 2.15 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    reach = 0.0
    for axis, name in zip(axes, modulations, strict=False):
        _draw_plane(axis, scenario, simulate(scenario, name, snr_db, range(_INSTANCES), length, seed).numpy())
        axis.set_title(name, fontsize=10)
        reach = min(2, max(reach, axis.get_xlim()[1]))
    axes[0].set(xlim=(-reach, reach), ylim=(-reach, reach))  # which all share
    for axis in axes[len(modulations) :]:
        axis.set_visible(False)
    figure.supxlabel("I")
    figure.supylabel("Q")
    figure.suptitle(_title(scenario, snr_db))
    return figure


def _draw_plane(axis, scenario: Scenario, instances: np.ndarray) -> None:
    samples = instances
    if not isinstance(scenario.upsampling, Distribution):  # where symbols are, to the nearest sample
        instants = np.arange(0, instances.shape[1] - 1, float(scenario.samples_per_symbol))
        samples = instances[:, np.round(instants).astype(int)]
    axis.plot(samples.real.ravel(), samples.imag.ravel(), ".", color=_COLOURS[0], markersize=2, alpha=0.5)
    reach = 1.1 * np.quantile(np.abs(samples), 0.999)
    axis.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axis.grid(alpha=0.3)


def _title(scenario: Scenario, snr_db: float) -> str:
    return in_words(scenario.columns()) + (", no noise" if math.isinf(snr_db) else f", SNR {snr_db:g} dB")
