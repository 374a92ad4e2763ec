"""Networks beside what no classifier can reach."""

from dataclasses import replace

import pytest
import torch

from amc_core.limits import upper_bound
from amc_core.scenario import Scenario
from analysis import Results
from analysis.beyond import Check, above_limit, check
from sweeps.engine import trial
from sweeps.engine.trial import compute
from sweeps.store import Store
from sweeps.study import load_study

STUDY = """
modulations: [16QAM, 64QAM]
snr_db: [-6, 18]
instances: 10
length: 128
models: [hoc_svm]
test: [{upsampling: 2, instances: 300}, {channel: {like: rayleigh, realisations: 2}}]
"""


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Results of a study, computed with a simulator whose test instances are made easier on demand."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def computed(name: str = "honest") -> Results:
        study, store = load_study(STUDY), Store(tmp_path / name)
        [run] = study.runs()
        list(compute(run, study.tests(run), store))
        return Results(study, store)

    return computed


def test_an_honest_network_is_not_above_the_bound_and_unknown_bounds_are_told(results):
    found = results()
    rows = above_limit(found)
    assert len(found.cells) == 4 and len(rows) == 2 and not rows["above"].any()
    bound = upper_bound(Scenario(upsampling=2), ("16QAM", "64QAM"), (-6, 18), 128, 0.002)
    assert rows["limit"].tolist() == pytest.approx(bound.accuracy.tolist(), abs=0.02)
    assert ((rows["low"] < rows["accuracy"]) | (rows["accuracy"] == 0)).all()
    told = str(check([found]))
    assert told.startswith(
        "Upper bound: it is known for 2 of 4 accuracies at one SNR (no upper bound is known for 2 rea"
    )
    assert told.endswith("and no interval lies above it.")


def test_a_network_that_was_shown_the_answers_is_found_out(results, monkeypatch):
    evaluate = trial.evaluate

    def with_answers(model, instances, device, classes):
        honest = evaluate(model, instances, device, classes)
        counts = torch.diag_embed(honest.confusion.sum(2))
        return replace(honest, confusion=counts, right=tuple(map(torch.ones_like, honest.right)))

    monkeypatch.setattr(trial, "evaluate", with_answers)
    found = results("told")
    rows = above_limit(found)
    assert rows.set_index("snr_db")["above"].to_dict() == {-6.0: True, 18.0: False}  # at 18 dB all can be right
    told = str(check([found]))
    assert "and 1 interval lies above it, so something is wrong" in told and "at -6 dB: 100.0%" in told


def test_the_command_tells_the_bound_and_fails_where_it_is_passed(results, amc, monkeypatch, tmp_path):
    found = results()
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    shown = amc("results", str(path), "--store", str(found.store.path), "--limit")
    assert shown.returncode == 0 and "no interval lies above it" in shown.stdout
    for command, to in (("figures", tmp_path), ("report", tmp_path / "report.html")):
        drawn = amc(command, str(path), "--store", str(found.store.path), "--to", str(to), "--limit")
        assert drawn.returncode == 0, drawn.stderr
        assert "it is known for 2 of 4 accuracies at one SNR (no upper bound is known for 2 " in drawn.stdout
    monkeypatch.setattr("analysis.beyond.limits_of", lambda results, cells: cells[["cell", "snr_db"]].assign(limit=0.1))
    failed = amc("results", str(path), "--store", str(found.store.path), "--limit")
    assert failed.returncode == 1 and "so something is wrong" in failed.stdout


def test_a_study_without_a_known_bound_says_why_in_a_sentence():
    reason = "no upper bound is known with impulsive_index 0.1"
    assert str(Check(8, 0, [], (reason,))) == f"Upper bound: it is known for 0 of 8 accuracies at one SNR ({reason})."
