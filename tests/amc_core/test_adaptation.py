"""Batch normalisation that takes its statistics from unlabelled instances of another setting."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from amc_core import AmcError, Scenario
from amc_core.instances import Instances
from amc_core.run import Dataset, Recipe, Run
from amc_core.training import new_model, train

HERE = Dataset(Scenario(upsampling=8), ("BPSK", "16QAM", "GFSK"), (0.0, 18.0), 40, length=128)
THERE = replace(HERE, scenario=Scenario(upsampling=2))
NORMALISED = {"batch_norm": True}


@pytest.fixture(scope="module")
def base() -> tuple[Run, dict]:
    """A run and its weights."""
    run = Run("cnn1d", HERE, Recipe(epochs=3, batch_size=16), hyperparameters=NORMALISED)
    *_, state = train(run)
    return run, state["kept"]


def adapted(base: tuple[Run, dict], dataset: Dataset = THERE, **fields) -> tuple[Run, dict]:
    """A run that adapts the base to a dataset, and its only state."""
    run = Run("cnn1d", dataset, Recipe(retrain="statistics", **fields), hyperparameters=NORMALISED, parent=base[0])
    [state] = train(run, start=base[1])
    return run, state


def test_statistics_become_those_of_the_target_and_no_weight_changes(base):
    _, state = adapted(base, batch_size=192)  # all 3 × 2 × 32 instances in one batch
    weights = state["kept"]
    statistics = [name for name in weights if "running" in name or "num_batches" in name]
    assert len(statistics) == 7 * 3
    assert all(torch.equal(weights[name], base[1][name]) for name in weights if name not in statistics)
    instances = Instances(THERE, "train")
    [(x, _, _)] = instances.batches(torch.arange(len(instances)), len(instances))
    model = new_model(base[0])
    model.load_state_dict(base[1])
    first = model.features[:3](x).transpose(0, 1).flatten(1)  # what the first normalisation is given
    torch.testing.assert_close(weights["features.3.running_mean"], first.mean(1))
    torch.testing.assert_close(weights["features.3.running_var"], first.var(1))


def test_layers_give_the_target_zero_mean_and_unit_variance(base):
    _, state = adapted(base, batch_size=192)
    model = new_model(base[0]).eval()
    model.load_state_dict(state["kept"])
    model.features[3] = nn.Sequential(nn.BatchNorm1d(64, affine=False), nn.Identity()).eval()
    for name in ("running_mean", "running_var"):
        setattr(model.features[3][0], name, state["kept"][f"features.3.{name}"])
    instances = Instances(THERE, "train")
    [(x, _, _)] = instances.batches(torch.arange(len(instances)), len(instances))
    normalised = model.features[:4](x).transpose(0, 1).flatten(1)
    assert normalised.mean(1).abs().max() < 1e-4
    assert (normalised.var(1)[first_varies(normalised)] - 1).abs().max() < 0.02


def first_varies(rows: torch.Tensor) -> torch.Tensor:
    """Channels that are not nearly dead, whose variance the small constant of the normalisation would hide."""
    return rows.var(1) > 0.5


def test_labels_are_not_used(base, monkeypatch):
    _, state = adapted(base)
    batches = Instances.batches

    def mislabelled(self, *arguments, **more):
        for x, labels, snrs in batches(self, *arguments, **more):
            yield x, torch.zeros_like(labels), snrs

    monkeypatch.setattr(Instances, "batches", mislabelled)
    _, other = adapted(base)
    assert all(torch.equal(other["kept"][name], value) for name, value in state["kept"].items())
    row = state["epochs"][0]
    assert math.isnan(row["train_loss"]) and 0 <= row["validation_accuracy"] <= 1


def test_adaptation_to_a_share_of_the_instances_is_another_run_and_what_has_no_effect_is_not(base):
    keys = [adapted(base, **fields)[0].key for fields in ({}, {"label_fraction": 0.5}, {"epochs": 3}, {"patience": 2})]
    assert keys[0] != keys[1] and keys[0] == keys[2] == keys[3]
    assert adapted(base)[0].work() == THERE.size("train")


def test_a_network_without_batch_normalisation_cannot_adapt():
    recipe = Recipe(retrain="statistics")
    for model, hyperparameters, said in (
        ("cnn1d", {}, "needs cnn1d with batch_norm: true"),
        ("mod_lcnn", {}, "is not allowed for mod_lcnn; allowed are all, head"),
    ):
        start = Run(model, HERE, Recipe(epochs=1), hyperparameters=hyperparameters)
        with pytest.raises(AmcError, match=f"retrain 'statistics' {said}"):
            Run(model, THERE, recipe, hyperparameters=hyperparameters, parent=start)
    with pytest.raises(AmcError, match="retrain 'statistics' needs a run to start from"):
        Run("cnn1d", THERE, recipe, hyperparameters=NORMALISED)
    with pytest.raises(AmcError, match="which is not trained"):
        next(train(Run("cnn1d", THERE, recipe, hyperparameters=NORMALISED, parent=Run(
            "cnn1d", HERE, Recipe(epochs=1), hyperparameters=NORMALISED))))  # fmt: skip


def test_batch_normalisation_is_another_architecture_and_leaves_the_keys_of_the_usual_one():
    usual, named, normalised = (
        Run("cnn1d", HERE, hyperparameters=hyperparameters)
        for hyperparameters in ({}, {"batch_norm": False}, NORMALISED)
    )
    assert usual.key == named.key != normalised.key
    count = sum(weight.numel() for weight in new_model(normalised).parameters())
    assert count == sum(weight.numel() for weight in new_model(usual).parameters()) + 7 * 2 * 64
