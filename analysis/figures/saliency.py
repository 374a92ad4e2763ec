"""The samples that decide the output of a study's trained networks, as in P1 Table II."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from amc_core import reference
from amc_core.errors import AmcError, suggest
from amc_core.instances import Instances
from amc_core.models import model_spec
from amc_core.own import OwnCode
from amc_core.run import Dataset, Recipe, Run
from amc_core.saliency import IMPORTANT, require_convolutions, saliency, transitions
from amc_core.settings import descent_of, setting
from amc_core.training import new_model
from analysis.figures.labels import in_words
from sweeps.store import Store
from sweeps.study import Study
from sweeps.study.code import require_code

_ROWS, _COLUMNS = 12, 6  # of legible panels, at most
_RIGHT, _WRONG = "#e3f3e1", "#fae1df"
_IMPORTANCE = LinearSegmentedColormap.from_list("importance", ["#c4c8ce", "#4e93c8", "#130a3c"])


@dataclass(frozen=True)
class Reading:
    """A run's result for one instance: samples [length] complex64, and the importance of each, [length] float32.

    The importance is that for the recognised modulation.
    """

    run: Run
    test: Dataset
    modulation: str
    recognised: str
    samples: np.ndarray
    importance: np.ndarray


@dataclass(frozen=True)
class Selection:
    """The runs (rows, one per modulation) and test datasets (columns) of a figure, and what it omits, in words."""

    runs: list[Run]
    tests: list[Dataset]
    left_out: str


def select(
    study: Study, store: Store, modulations: Sequence[str], model: str | None = None, code: Sequence[str | Path] = ()
) -> Selection:
    """The trained convolutional networks of a study, or those of one model, and their test datasets.

    code: the files of the user's own networks, which are imported only if they are given and have the content that
    trained them. One seed of each network is taken. If there are more than fit on a figure, an even choice is taken,
    training settings first. Raises AmcError if a model or modulation is not in the study, and if no suitable network is
    trained.
    """
    for name in modulations:
        if name not in study.file.modulations:
            known = suggest(name, study.file.modulations)
            raise AmcError(f"modulation {name!r} is not in the study {study.name}{known}")
    most = _ROWS // 2
    if not 1 <= len(set(modulations)) == len(modulations) <= most:
        raise AmcError(f"modulations {', '.join(modulations)} are not allowed: name 1 to {most} different ones")
    models = list(dict.fromkeys(run.model for run in study.runs()))
    if model is not None:
        if model not in models:
            raise AmcError(f"model {model!r} is not in the study {study.name}{suggest(model, models)}")
        require_convolutions(models[models.index(model)])
    elif not any(model_spec(name).feature_maps for name in models):
        require_convolutions(" or ".join(models))
    suitable = [run for run in study.runs() if model_spec(run.model).feature_maps and model in (None, run.model)]
    trained = store.trained()
    first_runs = {}
    for run in suitable:
        if run.key in trained:
            first_runs.setdefault(_but_seed(run), run)
    if not first_runs:
        what = f"trained {model}" if model else "trained convolutional network"
        raise AmcError(f"store {str(store.path)!r} holds no {what} of {study.name}; 'amc run' trains it")
    runs = _spread(list(first_runs.values()), _ROWS // len(modulations))
    for run in runs:
        if isinstance(run.model, OwnCode):
            require_code(run.model, code)
    tests = list(dict.fromkeys(test for run in runs for test in study.tests(run)))
    own = [test for test in tests if any(_trained_in(run, test) for run in runs)][:_COLUMNS]
    others = _spread([test for test in tests if test not in own], _COLUMNS - len(own))
    shown = [test for test in tests if test in own or test in others]
    parts = (("trained networks", runs, first_runs), ("test settings", shown, tests))
    for scenario in dict.fromkeys(test.scenario for test in shown):
        if scenario.front_end:
            require_code(scenario.front_end.function, code)
    left_out = " and ".join(f"{len(some)} of {len(all_)} {of}" for of, some, all_ in parts if len(some) < len(all_))
    return Selection(runs, shown, left_out)


def read(
    study: Study,
    store: Store,
    selection: Selection,
    modulations: Sequence[str],
    snr_db: float,
    instance: int = 0,
    layer: int = -1,
) -> list[Reading]:
    """Classify one test instance of every modulation and test dataset by every run that the study tests there.

    snr_db: one of the study's. instance: the index of the instance in the test part, from 0. layer: as in
    `saliency`. Raises AmcError for other values.
    """
    levels = study.file.snr_db
    if snr_db not in levels:
        raise AmcError(f"SNR {snr_db:g} dB is not in the study {study.name}: it has {_numbers(levels)} dB")
    networks = {run.key: new_model(run).eval() for run in selection.runs}
    for key, network in networks.items():
        network.load_state_dict(store.run(key).weights())
    readings = []
    for test in selection.tests:
        x = Instances(test, "test").of(modulations, snr_db, instance)
        for run in selection.runs:
            if test in study.tests(run):
                network = networks[run.key]
                with torch.no_grad():
                    recognised = network(x).argmax(1)
                importance = saliency(network, x, recognised, layer).numpy()
                for row, (name, seen) in enumerate(zip(modulations, recognised.tolist(), strict=True)):
                    samples = torch.complex(x[row, 0], x[row, 1]).numpy()
                    readings.append(Reading(run, test, name, run.dataset.modulations[seen], samples, importance[row]))
    return readings


def saliency_figure(readings: Sequence[Reading], title: str, layer: int = -1) -> Figure:
    """The I/Q samples of an instance, coloured by importance, as in P1 Table II (§V-D).

    There is a row for each modulation and run, and a column for each test dataset. A line joins two consecutive samples
    if both are more important than 0.8. The background is green if the modulation is recognised, else red. A frame
    marks the training setting. layer: that of the readings.
    """
    rows = list(dict.fromkeys((reading.modulation, reading.run.key) for reading in readings))
    rows.sort(key=lambda row: [reading.modulation for reading in readings].index(row[0]))
    columns = list(dict.fromkeys(reading.test for reading in readings))
    runs = {reading.run.key: reading.run for reading in readings}
    trained_on = [start.dataset for run in runs.values() for start in (run, run.parent) if start is not None]
    names = _varied([*columns, *trained_on])
    figure = Figure(figsize=(2.9 + 1.9 * len(columns), 1.6 + 1.8 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), len(columns), squeeze=False, sharex=True, sharey=True)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[], aspect="equal")
        axis.spines[:].set_visible(False)  # unless a panel is drawn
    reach = 1.05 * max(np.abs(reading.samples).max() for reading in readings)
    axes[0, 0].set(xlim=(-reach, reach), ylim=(-reach, reach))  # shared by all panels
    for reading in readings:
        axis = axes[rows.index((reading.modulation, reading.run.key)), columns.index(reading.test)]
        points = _draw(axis, reading)
    for axis, test in zip(axes[0], columns, strict=True):
        axis.set_title(f"test: {_setting(test, names)}\n\n{axis.get_title()}", fontsize=9, pad=3)
    for axis, (modulation, key) in zip(axes[:, 0], rows, strict=True):
        label = f"{modulation}\n{_training(runs[key], list(runs.values()), names)}"
        axis.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
    figure.colorbar(points, ax=axes, label="importance of the sample", shrink=min(1, 3 / len(rows)), pad=0.01)
    figure.suptitle(title, fontsize=12)
    where = "the last convolutional layer" if layer == -1 else f"convolutional layer {layer}"
    note = f"Grad-CAM of {where}; lines join samples both above {IMPORTANT}; a frame marks the training setting."
    figure.supxlabel(textwrap.fill(note, int(figure.get_figwidth() / 0.075)), fontsize=9)
    return figure


def _draw(axis, reading: Reading):
    samples, importance = reading.samples, reading.importance
    right = reading.recognised == reading.modulation
    axis.spines[:].set_visible(True)
    axis.set_facecolor(_RIGHT if right else _WRONG)
    verdict = "recognised" if right else f"taken for {reading.recognised}"
    axis.set_title(verdict, fontsize=9, pad=3)
    if _trained_in(reading.run, reading.test):
        axis.spines[:].set(linewidth=2.2, edgecolor="#00467f")
    both = transitions(torch.from_numpy(importance)).numpy()
    plane = np.stack([samples.real, samples.imag], axis=-1)
    segments = np.stack([plane[:-1], plane[1:]], axis=1)[both]
    axis.add_collection(LineCollection(segments, colors="#3d0c52", linewidths=0.6, alpha=0.6, zorder=1))
    order = np.argsort(importance, kind="stable")  # the most important on top
    colours = {"c": importance[order], "vmin": 0, "vmax": 1, "cmap": _IMPORTANCE}
    return axis.scatter(*plane[order].T, s=7, linewidths=0, zorder=2, rasterized=True, **colours)


def _varied(datasets: Sequence[Dataset]) -> list[str]:
    """The scenario fields that differ between datasets, and "length" if that does."""
    columns = [dataset.scenario.columns() | {"length": dataset.length} for dataset in datasets]
    return [name for name in columns[0] if len({str(entry[name]) for entry in columns}) > 1]


def _setting(dataset: Dataset, names: Sequence[str]) -> str:
    """The named fields in words, the channel first, a few to a line."""
    values = {name: value for name, value in dataset.scenario.columns().items() if name in names}
    words = in_words(values) + (f", N = {dataset.length}" if "length" in names else "")
    words = words.strip(", ") or in_words(dataset.scenario.columns())
    return textwrap.fill(words.replace(" = ", "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}"), 24)


def _training(run: Run, runs: Sequence[Run], names: Sequence[str]) -> str:
    """The model of a run and its training, as far as runs differ in them."""
    usual = model_spec(run.model).hyperparameters
    own = [f"{name} {value}" for name, value in run.hyperparameters.items() if value != usual[name].default]
    for name in (field.name for field in fields(Recipe)):
        if len({getattr(other.recipe, name) for other in runs}) > 1:
            own.append(reference.in_words(name, getattr(run.recipe, name)))
    lines = [f"{model_spec(run.model).title}, trained:", _setting(run.dataset, names)]
    if run.parent is not None:
        lines.append(f"after: {_setting(run.parent.dataset, names)}")
    return "\n".join(lines + [textwrap.fill(words.replace("_", " "), 24) for words in own])


def _trained_in(run: Run, test: Dataset) -> bool:
    return setting(test.scenario, test.length, descent_of(run)) == "trained"


def _but_seed(run: Run) -> tuple:
    """What identifies a run apart from its seed."""
    start = None if run.parent is None else _but_seed(run.parent)
    return run.model, str(run.hyperparameters), run.dataset, run.recipe, start


def _spread(entries: list, count: int) -> list:
    """At most `count` entries, evenly chosen, including the first and the last."""
    if len(entries) <= count:
        return entries
    return [entries[round(index)] for index in np.linspace(0, len(entries) - 1, count)] if count > 0 else []


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
