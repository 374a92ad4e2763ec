"""The papers' figures, drawn from tables made by hand."""

from itertools import product

import pandas as pd
import pytest

from amc_core import Scenario
from amc_core.settings import descent_of, setting
from analysis.figures.confusion import confusion_matrices
from analysis.figures.learning import learning_curves
from analysis.figures.over_snr import accuracy_over_snr
from analysis.figures.papers import FIGURES
from analysis.figures.pareto import pareto_front
from analysis.figures.style import NothingToDraw
from sweeps.study import SHIPPED, load_study


def cells_of(name: str) -> pd.DataFrame:
    """Cells of a shipped study with made-up counts, in the columns that its figure looks at."""
    study, rows, columns = load_study(name, "smoke"), [], {}
    for run in study.runs():
        own = {f"train_{field}": value for field, value in run.dataset.scenario.columns().items()}
        start = run.parent.dataset.scenario.columns() if run.parent else {}
        told = [f"{field}={value}" for field, value in start.items() if value != own[f"train_{field}"]]
        identity = {"model": run.model, "seed": run.seed, "length": run.dataset.length, "classes": 7, **own}
        identity |= {"parent": run.parent.key if run.parent else "", "start": ", ".join(told)}
        identity |= {"stage": study.stage_of(run), "ancestors": len(descent_of(run)) - 1}
        identity |= {name: getattr(run.recipe, name) for name in ("retrain", "label_fraction", "min_length")}
        for test in study.tests(run):
            if test.scenario not in columns:
                columns[test.scenario] = {f"test_{f}": value for f, value in test.scenario.columns().items()}
            of_test = columns[test.scenario] | {"test_length": test.length, "n": 100}
            of_test["setting"] = setting(test.scenario, test.length, descent_of(run))
            rows += [
                identity | of_test | {"snr_db": snr, "correct": 40 + place} for place, snr in enumerate(test.snrs_db)
            ]
    return pd.DataFrame(rows).assign(min_length=lambda table: table["min_length"].astype(float))


PANELS_AND_LINES = {
    "p1-fig01": (1, 6),
    "p1-fig02": (3, 3),
    "p1-fig03": (3, 3),
    "p1-fig04": (3, 3),
    "p1-fig13": (3, 3),
    "p1-fig14": (2, 3),
    "p1-fig15": (2, 3),
    "p2-table3": (2, 5),
    "p2-fig03": (1, 3),
    "p2-fig04": (1, 4),
    "beyond-randomised": (3, 3),
    "beyond-upsampling": (1, 5),
    "open-question-realisations": (3, 3),
}


@pytest.mark.parametrize("name", PANELS_AND_LINES)
def test_a_line_figure_has_the_panels_and_lines_of_the_papers(name):
    figure = FIGURES[name](cells_of(name))
    panels, lines = PANELS_AND_LINES[name]
    assert len(figure.axes) == panels
    for axis in figure.axes:
        drawn = [line for line in axis.lines if not line.get_label().startswith("_")]
        assert len(drawn) == lines
        assert len({(line.get_marker(), line.get_linestyle()) for line in drawn}) == lines  # told apart in grey


@pytest.mark.parametrize(("name", "bars"), [("p1-fig05", 6 * 3), ("p1-fig06", 3 * 2), ("p1-fig12", 3 * 7)])
def test_a_bar_figure_has_the_bars_of_the_papers(name, bars):
    assert len(FIGURES[name](cells_of(name)).axes[0].patches) == bars


def test_lines_keep_their_look_and_their_legend_where_a_panel_lacks_some():
    cells = cells_of("p1-fig02")
    some = cells[(cells["test_channel"] != "awgn") | (cells["model"] == "resnet")]
    whole, partly = FIGURES["p1-fig02"](cells), FIGURES["p1-fig02"](some)
    assert sorted(text.get_text() for text in partly.legends[0].texts) == ["1D-CNN", "HOC-SVM", "ResNet"]
    assert partly.axes[0].lines[0].get_color() == whole.axes[0].lines[2].get_color()


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_of_a_study_that_is_half_done_is_drawn_or_says_that_there_is_nothing_to_draw(name):
    cells, drawn = cells_of(name), 0
    for some in (cells.iloc[:1], cells.iloc[-1:], *(own for _, own in cells.groupby("stage")), cells.iloc[:0]):
        try:
            drawn += len(FIGURES[name](some).axes) > 0
        except NothingToDraw as error:
            assert "the store has none of the cells" in str(error)
    assert drawn


def test_a_copy_of_a_study_may_have_other_channels():
    cells = cells_of("p1-fig05").replace({"test_channel": {"rician": "rayleigh_2"}})
    texts = [text.get_text() for text in FIGURES["p1-fig05"](cells).axes[0].get_xticklabels()]
    assert "AWGN\n→ rayleigh_2" in texts


def test_every_figure_belongs_to_a_shipped_study():
    assert all((SHIPPED / f"{name}.yaml").exists() for name in FIGURES)


def test_learning_curves_are_error_rates_beside_chance():
    rows = [
        {
            "model": model,
            "run": model + parent,
            "parent": parent,
            "epoch": epoch,
            "train_accuracy": 0.2 * epoch,
            "validation_accuracy": 0.1 * epoch,
            "classes": 4,
        }
        for model, parent, epoch in product(("hoc_svm", "cnn1d", "resnet"), ("", "one", "two"), (1, 2, 3))
        if model == "cnn1d" or not parent
    ]
    rows.append(rows[-1] | {"model": "my_fit.Nearest", "run": "fitted", "epoch": 1})  # in one step, so without a curve
    axis = learning_curves(pd.DataFrame(rows)).axes[0]
    assert list(axis.lines[0].get_ydata()) == pytest.approx([0.9, 0.8, 0.7])
    assert axis.lines[-1].get_ydata()[0] == 0.75
    labels = [line.get_label() for line in axis.lines if line.get_label()[0] != "_"]
    assert labels == ["1D-CNN", "1D-CNN, transfer (2 runs)", "ResNet", "random classifier"]


def test_the_pareto_front_leaves_out_models_that_a_smaller_one_beats():
    accuracies = {"hoc_svm": (10, 30), "mod_lcnn": (100, 20), "cnn1d": (1000, 80)}
    usual = {"n": 100, **{f"test_{name}": value for name, value in Scenario().columns().items()}}
    cells = [usual | {"model": model, "run": model, "correct": c} for model, (_, c) in accuracies.items()]
    runs = [{"run": model, "parameters": p} for model, (p, _) in accuracies.items()]
    front = pareto_front(pd.DataFrame(cells), pd.DataFrame(runs)).axes[0].lines[0]
    assert list(front.get_xdata()) == [10, 1000] and list(front.get_ydata()) == [0.3, 0.8]


def test_a_confusion_matrix_has_shares_of_what_was_sent():
    counts = [("BPSK", "BPSK", 3), ("BPSK", "QPSK", 1), ("QPSK", "BPSK", 0), ("QPSK", "QPSK", 5)]
    rows = pd.DataFrame(counts, columns=["sent", "recognised", "count"]).assign(model="cnn1d", snr_db=0.0)
    figure = confusion_matrices(rows.sample(frac=1, random_state=0), ["QPSK", "BPSK"])
    assert figure.axes[0].images[0].get_array().tolist() == [[1, 0], [0.25, 0.75]]


def test_accuracy_over_snr_tells_settings_apart_or_pools_those_of_a_kind():
    cells = cells_of("p1-fig06")
    figure = accuracy_over_snr(cells)
    assert [axis.get_title() for axis in figure.axes] == ["test rayleigh", "test rayleigh_2"]
    for axis in figure.axes:
        assert {line.get_label() for line in axis.lines} >= {"1D-CNN", "ResNet", "chance"}
        assert list(axis.lines[0].get_xdata()) == sorted(cells["snr_db"].unique())
    many = accuracy_over_snr(cells_of("p1-fig02"))
    assert [axis.get_title() for axis in many.axes] == ["in the setting of training", "in unseen settings"]
    assert len(many.legends) == 1
