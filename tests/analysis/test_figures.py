"""Figures for a printed page: sizes, letters, contrasts, and what they never pool."""

import json
import pickle
import re
from itertools import pairwise

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from amc_core import Scenario
from amc_core.limits import upper_bound
from amc_core.models import MODELS
from analysis import Results, accuracy_by, train_test
from analysis.columns import scenario_columns
from analysis.figures import COLUMN, PAGE, Wishes, accuracy_over_snr, save, study_figures, train_test_heat_map
from analysis.figures.confusion import confusion_matrices, snr_ranges
from analysis.figures.lines import line_panels
from analysis.figures.pareto import pareto_front
from analysis.figures.style import _PRINT, SHADES, ink_on, look, luminance
from analysis.limits import limit_rows, limits_of
from sweeps.engine.trial import compute
from sweeps.planning import make_plan
from sweeps.store import Store
from sweeps.study import load_study


@pytest.fixture
def results(study_file, tmp_path):
    path = study_file(models="[hoc_svm]", snr_db="[0, 4, 8, 18]", modulations="[BPSK, QPSK, 16QAM]")
    study, store = load_study(path), Store(tmp_path / "store")
    for plan in make_plan(study, store).incomplete:
        list(compute(plan.run, study.tests(plan.run), store))
    return Results(study, store)


def contrast(one, other) -> float:
    """Of two colours, as the Web Content Accessibility Guidelines 2.1 define it."""
    low, high = sorted((float(luminance(one)), float(luminance(other))))
    return (high + 0.05) / (low + 0.05)


def test_the_contrast_is_that_of_the_accessibility_guidelines():
    assert contrast(to_rgb("white"), to_rgb("black")) == pytest.approx(21)
    assert contrast(to_rgb("#777777"), to_rgb("white")) == pytest.approx(4.48, abs=0.01)


def test_numbers_stand_out_from_every_shade_and_shades_from_grey():
    shades = matplotlib.colormaps[SHADES](np.linspace(0, 1, 256))[:, :3]
    assert min(contrast(shade, to_rgb(ink_on(shade))) for shade in shades) >= 4.5
    assert (np.diff(luminance(shades)) < 0).all()  # in grey print, too, the darker the more
    middle = shades[64:192]
    assert (middle.max(1) - middle.min(1)).min() > 0.15


def test_no_two_of_all_classifiers_look_alike_in_a_figure():
    looks = [look(index) for index in range(len(MODELS))]
    for kind in ("marker", "linestyle"):
        assert len({(each["color"], each[kind]) for each in looks}) == len(MODELS)


@pytest.mark.parametrize("count", [3, len(MODELS)])
def test_a_legend_of_many_rows_takes_no_room_from_the_panel_and_crosses_nothing(count):
    runs = pd.DataFrame({"run": [*MODELS][:count], "parameters": np.arange(1, count + 1) * 1000})
    cells = pd.DataFrame({"run": runs["run"], "model": runs["run"], "n": 10, "correct": 5, "classes": 4})
    figure = pareto_front(cells, runs)
    figure.draw_without_rendering()
    legend, panel = figure.legends[0].get_window_extent(), figure.axes[0].get_tightbbox()
    assert panel.y0 >= legend.y1 - 1 and legend.y0 >= -1
    assert figure.axes[0].get_window_extent().height > figure.dpi  # an inch


def test_titles_of_panels_stay_within_the_figure_and_apart(results):
    cells = results.cells
    places = [f"test phase noise linewidth log_uniform(10, 2000) Hz, {channel}" for channel in ("awgn", "b", "c", "d")]
    cells = pd.concat([cells.assign(where=place, model="a_network_of_ones_own") for place in places])
    counts = pd.concat([results.table("confusion").assign(model=place) for place in places])
    for figure in (
        line_panels(cells, "snr_db", "model", "where"),
        confusion_matrices(counts, ("BPSK", "QPSK", "16QAM")),
    ):
        with matplotlib.rc_context(_PRINT):
            figure.set_dpi(300)  # as `save` does
            figure.canvas.draw()
            titles = [axis.title.get_window_extent() for axis in figure.axes if axis.get_title()]
        assert len(titles) >= 4
        assert all(0 <= title.x0 and title.x1 <= figure.bbox.x1 for title in titles)
        rows = [(title.x1, after.x0) for title, after in pairwise(titles) if title.y1 == after.y1]
        assert rows and all(end < begin for end, begin in rows)


def test_the_numbers_of_a_heat_map_and_of_confusion_matrices_stand_out(results):
    figures = dict(study_figures(results))
    assert set(figures) == {"", "snr", "confusion-trained", "confusion-unseen"}
    seen = 0
    for kind in ("", "confusion-trained", "confusion-unseen"):
        for axis in figures[kind].axes:
            for image in axis.images:
                shares = np.ma.filled(image.get_array(), np.nan)
                numbers = (text for text in axis.texts if re.fullmatch(r"\d+", text.get_text()))
                for text in (text for text in numbers if not isinstance(text, matplotlib.text.Annotation)):
                    column, row = map(round, text.get_position())
                    shade = image.cmap(image.norm(shares[row, column]))
                    assert contrast(shade, to_rgb(text.get_color())) >= 4.5
                    assert int(text.get_text()) == round(100 * shares[row, column])
                    seen += 1
    assert seen > 8


def test_figures_have_the_widths_of_columns_and_their_letters_fit_print(results, tmp_path):
    for kind, figure in study_figures(results):
        assert figure.get_figwidth() in (COLUMN, PAGE), kind
        sizes = [text.get_fontsize() for text in figure.findobj(matplotlib.text.Text) if text.get_text()]
        assert min(sizes) >= 5 and max(sizes) <= 8
    narrow = dict(study_figures(results, Wishes(width=2.5, title="", snrs=(0, 8))))
    assert {figure.get_figwidth() for figure in narrow.values()} == {2.5}
    assert all(figure.get_suptitle() == "" for figure in narrow.values())
    assert narrow["snr"].axes[0].lines[0].get_xdata().tolist() == [0, 4, 8]
    titled = next(study_figures(results, Wishes(title="Ours, $5 a_b")))[1]
    assert titled.get_suptitle() == "Ours, $5 a_b"


def test_a_pdf_embeds_truetype_letters_and_equal_figures_are_equal_files(results, tmp_path):
    paths = []
    for name in ("one", "other"):
        figure = dict(study_figures(results))["snr"]
        paths += save(figure, tmp_path / name, ["pdf", "svg"])
    text = paths[0].read_bytes()
    assert text.startswith(b"%PDF") and b"/FontFile2" in text and b"STIXGeneral" in text and b"/Type3" not in text
    assert paths[0].read_bytes() == paths[2].read_bytes() and paths[1].read_bytes() == paths[3].read_bytes()


def test_the_heat_map_has_chance_on_its_scale_and_intervals_when_asked_for(results):
    cells = results.cells
    figure = train_test_heat_map(cells, intervals=True)
    scale = figure.axes[-1]
    assert scale.lines[-1].get_ydata()[0] == 1 / 3
    bounds = {text.get_text() for text in figure.axes[0].texts if "–" in text.get_text()}
    table = accuracy_by(cells, ["train_channel", "test_channel", "test_upsampling"])
    expected = {f"{100 * row.accuracy_low:.0f}–{100 * row.accuracy_high:.0f}" for row in table.itertuples()}
    assert bounds == expected


def test_confusion_matrices_pool_no_setting_of_training_with_unseen_ones(results):
    figures = dict(study_figures(results))
    cells = results.cells
    for kind in ("trained", "unseen"):
        own = cells[cells["setting"] == kind]
        figure = figures[f"confusion-{kind}"]
        panels = [axis for axis in figure.axes if axis.images]
        assert len(panels) == 3  # ranges of SNRs
        for axis, (low, high) in zip(panels, snr_ranges([0, 4, 8, 18]), strict=True):
            part = own[own["snr_db"].between(low, high)]
            mean = np.diag(np.ma.filled(axis.images[0].get_array(), 0)).mean()  # as many of each modulation were sent
            assert mean == pytest.approx(part["correct"].sum() / part["n"].sum())


def test_a_recording_beside_simulated_tests_is_drawn_whatever_it_is_called(study_file, tmp_path):
    content = {
        (name, 10): np.random.default_rng(k).normal(size=(20, 2, 128)) for k, name in enumerate(("BPSK", "QPSK"))
    }
    path = tmp_path / r"a $\frac{$ b^_.pkl"
    path.write_bytes(pickle.dumps({key: x.astype(np.float32) for key, x in content.items()}, protocol=4))
    recording = f"{{recording: '{path}'}}"
    more = {"train": recording, "test": f"[{recording}, {{upsampling: [2, 4]}}]", "snr_db": "[10]", "instances": "20"}
    text = study_file(models="[hoc_svm]", modulations="[BPSK, QPSK]", length="128", **more)
    study, store = load_study(text), Store(tmp_path / "store")
    for plan in make_plan(study, store).incomplete:
        list(compute(plan.run, study.tests(plan.run), store))
    figures = dict(study_figures(Results(study, store), Wishes(title=r"$\frac{$")))
    save(figures[""], tmp_path / "drawn.png")
    panel = figures[""].axes[0]
    assert [tick.get_text() for tick in panel.get_xticklabels()] == ["recorded", "2", "4"]
    assert any(r"a $\frac{$ b^_.pkl" in text.get_text().replace("\n", " ") for text in panel.texts)


def test_snrs_are_split_into_ranges_of_equally_many():
    assert snr_ranges([0, 2, 4, 6, 8, 10]) == [(0, 2), (4, 6), (8, 10)]
    assert snr_ranges([5]) == [(5, 5)]
    known, unknown = snr_ranges([np.nan, 5, np.nan])  # of recordings whose SNR nobody told
    assert known == (5, 5) and np.isnan(unknown).all()


def test_rows_of_a_confusion_matrix_are_of_its_own_range_of_snrs():
    counts = [("BPSK", "BPSK", -5.0, 3), ("BPSK", "QPSK", -5.0, 1), ("BPSK", "BPSK", 5.0, 4), ("QPSK", "QPSK", 5.0, 2)]
    rows = pd.DataFrame(counts, columns=["sent", "recognised", "snr_db", "count"]).assign(model="cnn1d")
    low, high = confusion_matrices(rows, ["BPSK", "QPSK"]).axes[:2]
    assert [axis.get_title() for axis in (low, high)] == ["1D-CNN, −5 dB", "1D-CNN, 5 dB"]
    assert np.ma.filled(low.images[0].get_array(), np.nan)[0].tolist() == [0.75, 0.25]
    assert np.isnan(np.ma.filled(low.images[0].get_array(), np.nan)[1]).all()  # nothing of it was sent


def test_limits_are_kept_while_others_are_worked_out_and_lines_say_how_many(results, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("analysis.limits._SECONDS", 0)
    cells = results.cells[results.cells["test_channel"] == "awgn"]
    worked_out, kept = upper_bound, []

    def until_the_second(*arguments, **more):
        if (tmp_path / "amc-sweeps" / "limits.json").exists():
            kept.append(len(json.loads((tmp_path / "amc-sweeps" / "limits.json").read_text())))
            raise KeyboardInterrupt
        return worked_out(*arguments, **more)

    monkeypatch.setattr("amc_core.limits.upper_bound", until_the_second)
    with caplog.at_level("INFO"), pytest.raises(KeyboardInterrupt):
        limits_of(results, cells, standard_error=0.05)
    assert kept == [4]  # SNRs
    assert caplog.messages == ["Upper bound: computed and kept for 1 of 2 test settings."]


def test_the_limit_is_a_line_above_the_curves_and_rows_below_the_table(results, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cells = results.cells[results.cells["test_channel"] == "awgn"]
    limits = limits_of(results, cells, standard_error=0.02)
    assert len(limits) == len(cells)
    again = limits_of(results, cells, standard_error=0.02)
    assert again.equals(limits) and (tmp_path / "cache" / "amc-sweeps" / "limits.json").exists()
    figure = accuracy_over_snr(cells, limits)
    lines = {line.get_label(): line for axis in figure.axes for line in axis.lines}
    bound = lines["upper bound of any classifier"]
    assert list(bound.get_xdata()) == [0, 4, 8, 18] and bound.get_ydata()[-1] == pytest.approx(1, abs=1e-3)
    assert (np.diff(bound.get_ydata()) >= -0.05).all() and "chance" in lines
    rows = limit_rows(cells, limits, ["model", "train_channel", "test_channel"], "test_upsampling")
    assert rows.index.tolist() == [("upper bound", "", "awgn")] and list(rows.columns) == [4.0, 8.0]
    of_eight = cells.merge(limits, on=["cell", "snr_db"]).query("test_upsampling == 8 and train_channel == 'awgn'")
    assert rows[8.0].iloc[0] == pytest.approx(of_eight["limit"].mean())


def test_limits_are_below_their_own_columns_whatever_the_order_of_these():
    rows = [
        {"cell": f"{most} {snr}", "test_upsampling": f"log_uniform(2, {most})", "snr_db": snr, "limit": most / 100}
        for most in (32, 4)
        for snr in (0.0, np.nan)
    ]
    cells = pd.DataFrame(rows).assign(model="cnn1d", seed=0, test_length=128, test_modulation_set="simple", n=10)
    cells = pd.concat([cells.assign(hyperparameters=json.dumps({"width": width}), correct=width) for width in (4, 8)])
    usual = scenario_columns("test", Scenario())
    cells = cells.assign(**{name: value for name, value in usual.items() if name not in cells})
    limits, cells = cells[["cell", "snr_db", "limit"]].drop_duplicates(), cells.drop(columns="limit")
    for column in ("test_upsampling", "snr_db", "width"):
        bounds = limit_rows(cells, limits, ["model"], column)
        assert bounds.columns.equals(train_test(cells, ["model"], column).columns)
    bounds = limit_rows(cells, limits, ["model"], "test_upsampling")
    assert bounds.iloc[0].to_dict() == {"log_uniform(2, 4)": 0.04, "log_uniform(2, 32)": 0.32}
