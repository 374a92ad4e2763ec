"""Pictures of simulated signals: constellation, time and spectrum. The one part of analysis that simulates."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from amc_core import Scenario, simulate
from amc_core.scenario import Distribution
from analysis.figures.labels import in_words

_INSTANCES = 32
_COLOURS = ("#00467f", "#d1495b")  # I and Q
_DOTS = {"color": _COLOURS[0], "markeredgewidth": 0}  # rasterized, since vectors would take 30 MB a figure


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
    """The I/Q plane of many modulations, at the symbol instants if the samples per symbol are fixed."""
    columns = min(6, len(modulations))
    rows = -(-len(modulations) // columns)
    figure = Figure(figsize=(2 * columns, 0.7 + 2.15 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    reach = 0.0
    for axis, name in zip(axes, modulations, strict=False):
        _draw_plane(axis, scenario, simulate(scenario, name, snr_db, range(_INSTANCES), length, seed).numpy())
        axis.set_title(name, fontsize=10)
        reach = min(2, max(reach, axis.get_xlim()[1]))
    axes[0].set(xlim=(-reach, reach), ylim=(-reach, reach))  # shared by all panels
    for axis in axes[len(modulations) :]:
        axis.set_visible(False)
    figure.supxlabel("I")
    figure.supylabel("Q")
    figure.suptitle(_title(scenario, snr_db))
    return figure


def _draw_plane(axis, scenario: Scenario, instances: np.ndarray) -> None:
    samples = instances
    if not isinstance(scenario.upsampling, Distribution):  # the samples nearest to the symbol instants
        instants = np.arange(0, instances.shape[1] - 1, float(scenario.samples_per_symbol))
        samples = instances[:, np.round(instants).astype(int)]
    axis.plot(samples.real.ravel(), samples.imag.ravel(), ".", rasterized=True, **_DOTS, markersize=2, alpha=0.5)
    reach = 1.1 * np.quantile(np.abs(samples), 0.999)
    axis.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axis.grid(alpha=0.3)


def _title(scenario: Scenario, snr_db: float) -> str:
    return in_words(scenario.columns()) + (", no noise" if math.isinf(snr_db) else f", SNR {snr_db:g} dB")


# -- P1 Figs. 7 to 9, which need no trained run -------------------------------------------------------------------

_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_PAIR = ("16QAM", "16APSK")


def constellations_by_setting(scenarios: dict[str, Scenario], snr_db: float, samples: int = 4096) -> Figure:
    """All samples of 16QAM and 16APSK (rows) in the I/Q plane, in each of the named settings (columns)."""
    figure = Figure(figsize=(2.3 * len(scenarios), 5.2), layout="constrained")
    axes = figure.subplots(2, len(scenarios), squeeze=False, sharex=True, sharey=True)
    for row, name in zip(axes, _PAIR, strict=True):
        for axis, (label, scenario) in zip(row, scenarios.items(), strict=True):
            points = simulate(scenario, name, snr_db, range(4), samples // 4).numpy().ravel()
            axis.plot(points.real, points.imag, ".", rasterized=True, **_DOTS, markersize=1.5, alpha=0.4)
            axis.set(aspect="equal", xlim=(-2.2, 2.2), ylim=(-2.2, 2.2))
            axis.set_title(label if axis in axes[0] else "", fontsize=10)
        row[0].set_ylabel(f"{name}\nQ")
    figure.supxlabel("I")
    figure.suptitle(f"Constellations, SNR {snr_db:g} dB")
    return figure


def cumulants_by_setting(settings: dict[str, dict[str, Scenario]]) -> Figure:
    """Mean and standard deviation of C63 and C84 (columns) of 16QAM and 16APSK along each of the axes (rows).

    settings: name of an axis → its settings. There are 100 instances at each SNR from 0 to 18 dB (P1 Fig. 9).
    """
    import torch

    from amc_core.cumulants import CUMULANTS, cumulants

    figure = Figure(figsize=(10, 3.2 * len(settings)), layout="constrained")
    axes = figure.subplots(len(settings), 2, squeeze=False)
    for row, (along, scenarios) in zip(axes, settings.items(), strict=True):
        for axis, kind in zip(row, ("C63", "C84"), strict=True):
            for index, (name, colour, hatch) in enumerate(zip(_PAIR, _COLOURS, ("", "//"), strict=True)):
                blocks = [
                    torch.cat([cumulants(simulate(scenario, name, snr, range(100))) for snr in range(0, 19, 2)])
                    for scenario in scenarios.values()
                ]
                values = [each[:, CUMULANTS.index(kind)].real.double() for each in blocks]
                means, spreads = [v.mean().item() for v in values], [v.std().item() for v in values]
                positions = np.arange(len(values)) + 0.4 * index - 0.2
                style = dict(color=colour, hatch=hatch, edgecolor="white", capsize=3, ecolor="0.3", label=name)
                axis.bar(positions, means, 0.38, yerr=spreads, **style)
            axis.set_xticks(range(len(scenarios)), list(scenarios))
            axis.set(xlabel=along, ylabel=f"normalised {kind[0]}{kind[1:].translate(_SUBSCRIPTS)}")
            axis.axhline(0, color="0.3", linewidth=0.8)
            axis.grid(axis="y", alpha=0.3)
    axes[0, 0].legend()
    figure.suptitle("Mean and standard deviation of two cumulants, SNR 0 … 18 dB")
    return figure


_UPSAMPLINGS, _RATES = (2, 4, 8, 16, 32), (200e3, 600e3, 1e6, 1.5e6, 2e6)

SIGNAL_FIGURES = {
    "p1-fig07": lambda: constellations_by_setting({f"L = {n}": Scenario(upsampling=n) for n in (1, 2, 4, 8)}, 18),
    "p1-fig08": lambda: constellations_by_setting(
        {
            "AWGN": Scenario(upsampling=1),
            "Rician, 200 kHz (flat)": Scenario("rician", 1),
            "Rician, 2 MHz": Scenario("rician", 1, 0.35, 2e6),
        },
        18,
    ),
    "p1-fig09": lambda: cumulants_by_setting(
        {
            "samples per symbol L, AWGN": {f"{n}": Scenario(upsampling=n) for n in _UPSAMPLINGS},
            "sample rate in kHz, Rician, L = 8": {f"{f / 1e3:g}": Scenario("rician", 8, 0.35, f) for f in _RATES},
        }
    ),
}
