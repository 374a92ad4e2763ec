"""Searches among training settings and among recipes of single models, and for objectives of one's own."""

import numpy as np
import pytest

from amc_core import AmcError
from sweeps.search import best, trials
from sweeps.search.objectives import OBJECTIVES, Objective
from sweeps.study import load_study
from tests.sweeps.searching import drive

SEARCHED = """{
  mixture: [
    {channel: awgn, rolloff: {uniform: [{float: [0.1, 0.2]}, 0.5]}},
    {channel: rayleigh, weight: {float: [0.5, 2], log: true}}
  ],
  upsampling: {choice: [4, 8]}
}"""
NAMES = ["length", "train.mixture.0.rolloff.low", "train.mixture.1.weight", "train.upsampling"]


def test_bounds_weights_fields_and_lengths_of_the_training_are_dimensions(search_file):
    study = load_study(search_file(train=SEARCHED, length="{choice: [128, 256]}", recipe="{epochs: 1}"))
    assert [dimension.name for dimension in study.space.dimensions] == NAMES
    proposal = study.proposal(dict(zip(NAMES, (256, 0.15, 0.5, 4), strict=True)))
    plain = load_study(
        search_file(
            "plain",
            train="{mixture: [{channel: awgn, rolloff: {uniform: [0.15, 0.5]}}, {channel: rayleigh, weight: 0.5}], "
            "upsampling: 4}",
            length="256",
            recipe="{epochs: 1}",
            search=None,
        )
    )
    assert [run.key for run in proposal.runs()] == [run.key for run in plain.runs()]
    [run] = proposal.runs()
    assert run.dataset.scenario.weights == pytest.approx((2 / 3, 1 / 3))
    assert {test.key for test in proposal.tests(run)} == {test.key for test in plain.tests(run)}


def test_a_list_of_grids_and_a_transfer_have_dimensions_too(search_file):
    path = search_file(
        train="[{channel: awgn, rolloff: {float: [0.2, 0.4]}}, {channel: rician}]",
        transfer="{train: {relative_carrier_offset: {uniform: [{float: [-0.2, -0.1]}, {float: [0.1, 0.2]}]}}}",
        recipe="{epochs: 1}",
    )
    names = ["train.0.rolloff", *(f"transfer.0.train.relative_carrier_offset.{end}" for end in ("low", "high"))]
    study = load_study(path)
    assert [dimension.name for dimension in study.space.dimensions] == names
    runs = study.proposal(dict(zip(names, (0.25, -0.15, 0.15), strict=True))).runs()
    offsets = {str(run.dataset.scenario.relative_carrier_offset) for run in runs if run.parent}
    assert len(runs) == 4 and offsets == {"uniform(-0.15, 0.15)"}
    assert {run.dataset.scenario.rolloff for run in runs if not run.parent} == {0.25, 0.35}


def test_a_training_field_applies_where_one_beside_it_has_a_value(search_file):
    train = "{channel: {choice: [awgn, rician]}, rolloff: {choice: [0.1, 0.2], when: {channel: rician}}}"
    study = load_study(search_file(train=train, recipe="{epochs: 1}", test="{channel: rayleigh}"))
    scenarios = [study.proposal(values).runs()[0].dataset.scenario for values in study.space.grid()]
    assert [(s.channel, s.rolloff) for s in scenarios] == [("awgn", 0.35), ("rician", 0.1), ("rician", 0.2)]


def test_the_recipe_of_a_model_is_searched_where_that_model_is_chosen(search_file):
    models = "[hoc_svm, {mod_lcnn: {}, recipe: {learning_rate: {float: [1e-4, 1e-2], log: true}}}]"
    study = load_study(search_file(models=models, recipe="{epochs: 1}"))
    model, rate = study.space.dimensions
    assert (model.name, rate.name) == ("model", "models.mod_lcnn.recipe.learning_rate")
    assert rate.when == (("model", "mod_lcnn"),)
    [run] = study.proposal({"model": "mod_lcnn", rate.name: 0.005}).runs()
    assert (run.recipe.learning_rate, run.recipe.epochs) == (0.005, 1)
    assert [run.model for run in study.proposal({"model": "hoc_svm"}).runs()] == ["hoc_svm"]


def test_an_objective_is_added_in_one_place(search_file, store, monkeypatch):
    def shortest(study, store):
        return float(np.mean([run.dataset.length for run in study.runs()]))

    with pytest.raises(AmcError, match="mean_length"):
        load_study(search_file(search="{proposals: 4, objective: mean_length}"))
    monkeypatch.setitem(OBJECTIVES, "mean_length", Objective("minimize", shortest))
    path = search_file(
        models="hoc_svm",
        recipe="{label_fraction: 1}",
        length="{choice: [256, 128]}",
        search="{sampler: grid, objective: mean_length}",
    )
    study = load_study(path)
    assert len(drive(study, store)) == 2
    [first] = best(study, trials(study, store))
    assert first.values == [128] and first.params == {"length": 128}


def test_a_pruner_needs_an_objective_that_is_an_accuracy(search_file, monkeypatch):
    monkeypatch.setitem(OBJECTIVES, "inaccuracy", Objective("minimize", lambda study, store: 0.0))
    with pytest.raises(AmcError, match=r"search.pruner: .* an accuracy"):
        load_study(search_file(search="{proposals: 4, pruner: median, objective: inaccuracy}"))
