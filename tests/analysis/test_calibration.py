"""Calibration and open set, from the histograms that cells keep."""

import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch

from amc_core.confidence import above, auc_interval, roc
from amc_core.evaluation import Evaluation
from analysis import Results
from analysis.calibration import Histograms, calibration
from analysis.figures.calibration import calibration_figure
from sweeps.engine.trial import compute
from sweeps.store import Store
from sweeps.study import load_study
from tests.evaluations import evaluation_of


def test_the_area_under_a_roc_is_the_probability_that_a_known_instance_is_the_surer():
    rng = np.random.default_rng(3)
    known, unknown = rng.integers(0, 50, (2, 20))
    above = sum(known[i] * (unknown[:i].sum() + unknown[i] / 2) for i in range(20))
    assert roc(known, unknown).area == pytest.approx(above / (known.sum() * unknown.sum()))


def test_a_roc_of_densities_2p_and_2_less_2p_has_the_area_five_sixths():
    edges = np.linspace(0, 1, 2001)  # of fine bins, so that ties count for nothing
    known, unknown = np.diff(edges**2), np.diff(2 * edges - edges**2)
    curve = roc(known, unknown)
    assert curve.area == pytest.approx(5 / 6, abs=1e-5)
    # A threshold t leaves 1 - t² of the known and (1 - t)² of the unknown.
    np.testing.assert_allclose(curve.true_positive_rate[::-1], 1 - edges**2, atol=1e-12)
    np.testing.assert_allclose(curve.false_positive_rate[::-1], (1 - edges) ** 2, atol=1e-12)


def test_what_cannot_be_told_apart_has_half_the_area_and_what_was_not_tested_none():
    counts = np.arange(20)
    assert roc(counts, 3 * counts).area == pytest.approx(0.5)
    assert roc(np.eye(20)[19], np.eye(20)[3]).area == 1
    assert math.isnan(roc(counts, 0 * counts).area)


def hanley_mcneil(theta: float, known: int, unknown: int) -> float:
    """Their variance of an area (1982, Eq. 1 and 2), with the numbers of instances as Newcombe 2006 takes them."""
    more, q1, q2 = (known + unknown) / 2 - 1, theta / (2 - theta), 2 * theta**2 / (1 + theta)
    return (theta * (1 - theta) + more * (q1 - theta**2) + more * (q2 - theta**2)) / (known * unknown)


def test_at_the_bounds_of_an_area_it_lies_1_96_standard_errors_away():
    low, high = auc_interval(0.8, 30, 50)
    assert 0 < low < 0.8 < high < 1
    for bound in (low, high):
        assert abs(0.8 - bound) / math.sqrt(hanley_mcneil(bound, 30, 50)) == pytest.approx(1.959964, abs=1e-5)


def test_the_interval_of_an_area_has_a_width_at_both_ends_and_mirrors():
    low, high = auc_interval(1, 20, 20)
    assert 0.7 < low < 0.95 and high == 1
    assert auc_interval(0, 20, 20) == pytest.approx((0, 1 - low))
    assert all(map(math.isnan, auc_interval(math.nan, 20, 0)))


def test_the_interval_of_an_area_covers_it_as_often_as_it_says():
    rng, area, hits = np.random.default_rng(5), 0.75, 0
    shift = math.sqrt(2) * 0.6744897501960817  # of two normal densities with this area between them
    edges = np.linspace(-3, 4, 21)
    for _ in range(600):
        known, unknown = (np.histogram(rng.normal(mean, 1, 60).clip(-3, 4), edges)[0] for mean in (shift, 0))
        curve = roc(known, unknown)
        hits += curve.low <= area <= curve.high
    assert 0.93 <= hits / 600 <= 0.985


def test_instances_that_several_runs_share_make_no_interval_narrower():
    known, unknown = np.arange(20), np.arange(20)[::-1]
    alone, twice = roc(known, unknown), roc(2 * known, 2 * unknown, (known.sum(), unknown.sum()))
    assert (alone.area, alone.low, alone.high) == (twice.area, twice.low, twice.high)


def test_accuracy_where_a_classifier_is_sure_counts_the_bins_from_there():
    right, wrong = np.zeros(20), np.zeros(20)
    right[[10, 18, 19]], wrong[[17, 18, 19]] = (50, 20, 60), (30, 15, 5)
    accuracy, share = above(right, wrong, 0.9)
    assert accuracy == 80 / 100 and share == 100 / 180


STUDY = """
modulations: [BPSK, QPSK]
snr_db: [0, 18]
instances: 100
length: 64
models: [hoc_svm, mod_lcnn]
recipe: {epochs: 1, batch_size: 32}
train: {channel: awgn}
test: [{channel: [awgn, rayleigh]}, {channel: awgn, modulations: [GFSK]}]
"""


def histogram(right: dict[int, int], wrong: dict[int, int], other: dict[int, int]) -> torch.Tensor:
    counts = torch.zeros(2, 3, 20, dtype=torch.int64)
    for row, bins in enumerate((right, wrong, other)):
        for place, count in bins.items():
            counts[:, row, place] = count
    return counts


@pytest.fixture
def made(tmp_path):
    """Results of one model with histograms made by hand: 10 known instances an SNR where trained, and unseen."""
    store, study = Store(tmp_path / "store"), load_study(STUDY)
    run = next(run for run in study.runs() if run.model == "hoc_svm")
    list(compute(run, [], store))
    cells = []
    for test in study.tests(run):
        usual = evaluation_of(torch.tensor([[[5, 0], [5, 0]]] * 2))
        if test.modulations == ("GFSK",):
            confidence = histogram({}, {}, {5: 6, 19: 4})
            nothing = torch.zeros(2, 0, dtype=torch.bool)
            cells.append(
                (test, Evaluation(torch.tensor([[[10, 0]]] * 2), torch.tensor([-1]), nothing, confidence, 0.0))
            )
        elif test.scenario.channel == "awgn":
            cells.append(
                (test, Evaluation(usual.confusion, usual.sent, usual.right, histogram({19: 5}, {10: 5}, {}), 0))
            )
        else:
            cells.append(
                (test, Evaluation(usual.confusion, usual.sent, usual.right, histogram({10: 5}, {10: 5}, {}), 0))
            )
    store.run(run.key).save_cells(run, cells, 1.0)
    return Results(study, store)


def test_the_table_of_a_model_follows_from_its_histograms(made):
    [row] = calibration(made).to_dict("records")
    assert row["n"] == 40 and row["accuracy"] == 0.5
    assert row["confidence"] == pytest.approx((10 * 0.975 + 30 * 0.525) / 40)
    # 10 at 97.5 % are all right; of 30 at 52.5 %, 10 are.
    assert row["calibration_error"] == pytest.approx((10 * 0.025 + 30 * (0.525 - 1 / 3)) / 40)
    assert row["sure_accuracy"] == 1 and row["sure"] == 0.25
    # Half of the known settings' instances are surer than all unseen ones, and half as sure.
    assert row["unseen_auc"] == pytest.approx(0.5 + 0.5 * 0.5)
    # Bins 19 (half), 10 (half) against 19 (0.4), 5 (0.6): ties with 0.4 of the unknown.
    assert row["open_set_auc"] == pytest.approx(0.5 * (0.6 + 0.4 / 2) + 0.5 * 0.6)
    bounds = row["unseen_auc_low"], row["unseen_auc_high"]
    assert bounds == pytest.approx(auc_interval(0.75, 20, 20))  # 10 instances at each of two SNRs, on both sides


@pytest.fixture
def sure(tmp_path):
    """Results of a network that is at least 95 % sure of all: surer where trained, and cells of some kinds of bins."""

    def results(bins: dict[str, int]) -> Results:
        store, study = Store(tmp_path / "store"), load_study(STUDY)
        run = next(run for run in study.runs() if run.model == "hoc_svm")
        list(compute(run, [], store))
        cells = []
        for test in study.tests(run):
            if test.modulations != ("GFSK",):
                kind = bins[test.scenario.channel]
                confidence = torch.zeros(2, 3, kind, dtype=torch.int64)
                confidence[:, 0, min(30 if test.scenario.channel == "awgn" else 24, kind - 1)] = 10
                usual = evaluation_of(torch.tensor([[[5, 0], [0, 5]]] * 2))
                cells.append((test, Evaluation(usual.confusion, usual.sent, usual.right, confidence, 0)))
        store.run(run.key).save_cells(run, cells, 1.0)
        return Results(study, store)

    return results


@pytest.mark.parametrize(
    ("awgn", "other", "area", "ties"), [(50, 50, 1, 0), (20, 20, 0.5, 1), (50, 20, 0.5, 1), (20, 50, 0.5, 1)]
)
def test_bins_near_one_tell_sure_from_surer_unless_a_cell_is_older_than_they(sure, awgn, other, area, ties):
    results = sure({"awgn": awgn, "rayleigh": other})
    [row] = calibration(results).to_dict("records")
    assert (row["unseen_auc"], row["unseen_auc_ties"]) == (area, ties)
    assert row["calibration_error"] == pytest.approx(0.025) and row["sure"] == 1


def test_amc_calibration_names_networks_whose_areas_ties_pull_to_a_half(sure, amc, tmp_path):
    results, study = sure({"awgn": 20, "rayleigh": 20}), tmp_path / "sure.yaml"
    study.write_text(STUDY)
    done = amc("calibration", str(study), "--store", str(results.store.path), "--to", str(tmp_path), "--format", "png")
    assert "Note: of hoc_svm, the probabilities of many instances share a bin" in " ".join(done.stdout.split())


def test_the_figure_has_a_panel_for_each_question_that_was_asked(made):
    titles = [axis.get_title() for axis in calibration_figure(Histograms(made)).axes]
    assert titles == ["reliability", "known against unseen settings", "trained against other modulations"]


def test_panels_of_a_narrow_figure_stand_below_each_other_and_no_label_meets_another(made):
    for width in (3.5, 5.0, None):
        figure = calibration_figure(Histograms(made), width)
        figure.draw_without_rendering()
        boxes = [axis.get_tightbbox() for axis in figure.axes]
        assert len(boxes) == 3
        assert not any(a.overlaps(b) for a, b in combinations(boxes, 2)), width
        assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes), width


def test_amc_calibration_prints_and_draws_what_a_second_look_at_no_network_gives(study_file, tmp_path, amc):
    path, store = study_file(train="{channel: awgn}", models="hoc_svm"), Store(tmp_path / "store")
    study = load_study(path)
    for run in study.runs():
        list(compute(run, list(study.tests(run)), store))
    done = amc("calibration", path, "--store", str(store.path), "--to", str(tmp_path), "--csv", str(tmp_path / "c.csv"))
    assert done.returncode == 0, done.stderr
    assert "hoc_svm" in done.stdout and (tmp_path / "small-calibration.png").is_file()
    [row] = pd.read_csv(tmp_path / "c.csv").to_dict("records")
    assert 0 <= row["unseen_auc_low"] <= row["unseen_auc"] <= row["unseen_auc_high"] <= 1
    assert row["open_set_auc"] != row["open_set_auc"]
    refused = amc("calibration", path, "--store", str(store.path), "--format", "gif")
    assert refused.returncode == 2 and "format 'gif' is not known" in refused.stderr
    assert amc("calibration", path, "--store", str(tmp_path / "none")).returncode == 2
