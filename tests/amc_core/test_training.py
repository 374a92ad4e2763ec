"""Training: stopping and going on changes nothing, the split is clean, and a small task is learnt."""

import io
import itertools

import pytest
import torch

from amc_core import AmcError, Scenario
from amc_core.evaluation import evaluate
from amc_core.instances import Instances
from amc_core.run import PARTS, Dataset, Recipe, Run
from amc_core.training import new_model, train

DATASET = Dataset(Scenario(), ("BPSK", "16QAM", "GFSK", "DSB-AM"), (0.0, 18.0), instances=20, length=128)


def through_a_file(state: dict) -> dict:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


@pytest.mark.parametrize("model", ["stn_resnext", "cnn1d", "mod_lcnn", "dae"])
def test_training_that_was_stopped_ends_in_the_same_weights_bit_for_bit(model):
    run = Run(model, DATASET, Recipe(epochs=3, batch_size=32))
    whole = list(train(run))
    stopped = through_a_file(next(train(run)))
    rest = list(train(run, state=stopped))
    assert len(whole) == 3 and len(rest) == 2
    for part in ("weights", "kept"):
        for name, tensor in whole[-1][part].items():
            assert torch.equal(tensor, rest[-1][part][name]), name
    timeless = [
        [{k: v for k, v in row.items() if k != "instances_per_second"} for row in s["epochs"]]
        for s in (whole[-1], rest[-1])
    ]
    assert timeless[0] == timeless[1]


def test_the_seed_changes_the_weights_and_the_order_but_not_the_instances():
    first, second = (next(train(Run("mod_lcnn", DATASET, Recipe(epochs=1), seed=seed))) for seed in (0, 1))
    assert not torch.equal(first["weights"]["head.0.weight"], second["weights"]["head.0.weight"])


@pytest.mark.parametrize("instances", [10, 25, 1000])
def test_the_parts_are_80_to_10_to_10_and_share_no_instance(instances):
    dataset = Dataset(Scenario(), ("BPSK", "QPSK"), (0.0,), instances)
    parts = [set(dataset.indices(part)) for part in PARTS]
    assert set.union(*parts) == set(range(instances))
    assert not any(a & b for a, b in itertools.combinations(parts, 2))
    assert [len(part) for part in parts] == pytest.approx([0.8 * instances, 0.1 * instances, 0.1 * instances], abs=1)


def test_kept_instances_are_the_simulated_ones_and_positions_name_their_addresses():
    kept, simulated = Instances(DATASET, "train", keep=True), Instances(DATASET, "train")
    positions = torch.tensor([0, 17, 31, 100, 127])
    assert torch.equal(*(next(part.batches(positions, 5))[0] for part in (kept, simulated)))
    modulation, snr, index = simulated.address(positions)
    assert torch.equal((modulation * 2 + snr) * 16 + index, positions)


def test_the_best_validation_accuracy_decides_which_weights_are_kept():
    state = list(train(Run("mod_lcnn", DATASET, Recipe(epochs=6, batch_size=16, learning_rate=0.01))))[-1]
    accuracies = [row["validation_accuracy"] for row in state["epochs"]]
    model = new_model(Run("mod_lcnn", DATASET))
    model.load_state_dict(state["kept"])
    assert evaluate(model, Instances(DATASET, "validation")).accuracy == pytest.approx(max(accuracies))


@pytest.mark.parametrize(("model", "epochs"), [("hoc_svm", 1), ("mod_lcnn", 15)])
def test_a_small_task_is_learnt_and_counted(model, epochs):
    run = Run(model, DATASET, Recipe(epochs=epochs, batch_size=16))
    state = list(train(run))[-1]
    classifier = new_model(run)
    classifier.load_state_dict(state["kept"])
    result = evaluate(classifier, Instances(DATASET, "test"))
    assert result.confusion.shape == (2, 4, 4)
    assert (result.confusion.sum(2) == 2).all()  # two test instances of every modulation and SNR
    assert result.accuracy > 0.6  # chance is 0.25


def test_the_chance_level_is_what_an_untrained_network_reaches():
    dataset = Dataset(Scenario(), DATASET.modulations, (0.0, 18.0), instances=200, length=128)
    result = evaluate(new_model(Run("mod_lcnn", dataset)), Instances(dataset, "test"))
    assert 0.1 < result.accuracy < 0.45


def test_an_instance_too_short_for_the_model_is_refused():
    with pytest.raises(AmcError, match="128"):
        Run("cnn1d", Dataset(Scenario(), ("BPSK", "QPSK"), (0.0,), 10, length=64))


def test_an_instance_alone_in_the_last_batch_trains_a_network_with_batch_normalisation():
    recipe = Recipe(epochs=1, batch_size=127)  # of 128 instances
    assert len(Instances(DATASET, "train")) == 128
    assert next(train(Run("dae", DATASET, recipe)))["epochs"][0]["train_loss"] > 0


def test_frozen_batch_normalisation_keeps_its_statistics_and_trained_changes_them():
    parent = Run("xcit1d_nano", DATASET, Recipe(epochs=1, batch_size=64))
    start = next(train(parent))["weights"]
    transfer = Run("xcit1d_nano", DATASET, Recipe(epochs=1, batch_size=64, retrain="head"), parent=parent)
    after = next(train(transfer, start=start))["weights"]
    changed = {name for name in start if not torch.equal(start[name], after[name])}
    assert changed == {"head.weight", "head.bias"}
    initial = new_model(parent).state_dict()
    assert not torch.equal(initial["patches.1.running_mean"], start["patches.1.running_mean"])
