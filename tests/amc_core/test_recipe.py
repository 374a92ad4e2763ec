"""What each field of a recipe does, and what it leaves alone."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from amc_core import AmcError, Scenario, training
from amc_core.instances import Instances
from amc_core.models import trained_part
from amc_core.models.objective import scores_and_losses
from amc_core.run import Dataset, Recipe, Run
from amc_core.scenario import Mixture
from amc_core.schedules import learning_rate, plateau_rate
from amc_core.training import cut, new_model, train

DATASET = Dataset(Scenario(), ("BPSK", "16QAM", "GFSK"), (0.0, 18.0), instances=20, length=128)
AWGN, RICIAN = Scenario(), Scenario("rician")


def run(model="mod_lcnn", dataset=DATASET, parent=None, **recipe) -> Run:
    return Run(model, dataset, Recipe(**{"epochs": 2, "batch_size": 16} | recipe), parent=parent)


def everything(instances: Instances, **epoch) -> torch.Tensor:
    return torch.cat([x for x, _, _ in instances.batches(torch.arange(len(instances)), 64, **epoch)])


# -- which instances ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fraction", "each"), [(0.05, 4), (0.08, 6), (0.1, 8), (0.001, 1), (1.0, 80)])
def test_a_fraction_of_labels_is_as_many_of_every_modulation_and_snr_and_each_once(fraction, each):
    dataset = Dataset(Scenario(), ("BPSK", "QPSK", "GFSK"), (0.0, 18.0), instances=100, length=128)
    instances = Instances(dataset, "train", fraction=fraction, seed=3)
    modulation, snr, index = instances.address(torch.arange(len(instances)))
    assert len(instances) == 6 * each == dataset.size("train", fraction)
    assert len(set(zip(modulation.tolist(), snr.tolist(), index.tolist(), strict=True))) == len(instances)
    for pair in itertools.product(range(3), range(2)):
        assert sum((modulation == pair[0]) & (snr == pair[1])) == each
    assert index.max() < 80


def test_the_labels_that_are_used_depend_on_the_seed_and_not_on_the_epoch():
    dataset = Dataset(Scenario(), ("BPSK", "QPSK"), (0.0,), instances=100, length=128)
    first, again, other = (Instances(dataset, "train", fraction=0.1, seed=seed).indices for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_a_mixture_takes_each_instance_from_one_scenario_in_the_shares_of_the_weights():
    mixed = Dataset(Mixture((AWGN, RICIAN), (3, 1)), ("BPSK", "GFSK"), (0.0, 18.0), instances=100, length=128)
    whole = everything(Instances(mixed, "train"))
    pure = [
        everything(Instances(Dataset(s, mixed.modulations, mixed.snrs_db, 100, 128), "train")) for s in (AWGN, RICIAN)
    ]
    from_rician = (whole == pure[1]).flatten(1).all(1)
    assert torch.equal(whole, torch.where(from_rician[:, None, None], pure[1], pure[0]))
    assert from_rician.reshape(4, 80).float().mean(1).tolist() == pytest.approx([0.25] * 4, abs=0.02)


@pytest.mark.parametrize("weights", [(1, 1), (1, 9), (2, 3, 5)])
def test_every_stretch_of_indices_has_the_shares_of_a_mixture(weights):
    scenarios = (Scenario(), Scenario("rician"), Scenario("rayleigh"))[: len(weights)]
    component = Mixture(scenarios, weights).component(np.arange(10_000))
    for start in (0, 137, 8000):
        shares = np.bincount(component[start : start + 500], minlength=len(weights)) / 500
        assert shares == pytest.approx(np.array(weights) / sum(weights), abs=0.012)


def test_fresh_instances_differ_in_every_epoch_and_from_all_that_a_dataset_has():
    training = Instances(DATASET, "train")
    test = {
        x.numpy().tobytes() for part in ("train", "validation", "test") for x in everything(Instances(DATASET, part))
    }
    epochs = [{x.numpy().tobytes() for x in everything(training, epoch=epoch)} for epoch in (1, 2)]
    assert len(epochs[0] | epochs[1] | test) == 2 * len(training) + len(test)


def test_fresh_training_that_was_stopped_ends_in_the_same_weights():
    described = run(epochs=3, fresh=True, min_length=16, schedule="cosine", optimiser="adamw", weight_decay=0.01)
    whole = list(train(described))[-1]["weights"]
    rest = list(train(described, state=next(train(described))))[-1]["weights"]
    assert all(torch.equal(whole[name], rest[name]) for name in whole)
    fixed = list(train(run(epochs=3, min_length=16, schedule="cosine", optimiser="adamw", weight_decay=0.01)))[-1]
    assert not torch.equal(fixed["weights"]["head.0.weight"], whole["head.0.weight"])


@pytest.mark.parametrize("fields", [{}, {"fresh": True}, {"min_length": 32}, {"augment_paste": 0.3}])
@pytest.mark.parametrize("steps", [1, 8, 23])
def test_training_that_was_cut_within_an_epoch_ends_in_the_same_weights_and_rows(fields, steps, tmp_path):
    described = run(epochs=3, batch_size=8, schedule="cosine", **fields)
    whole = list(train(described))[-1]
    asked = itertools.count(1)
    states = train(described, pause=lambda: next(asked) == steps)
    state = next(state for state in states if "step" in state)
    torch.save(state, tmp_path / "state.pt")
    torch.manual_seed(5)
    rest = list(train(described, state=torch.load(tmp_path / "state.pt", weights_only=True)))[-1]
    assert "step" not in rest
    assert all(torch.equal(whole["weights"][name], rest["weights"][name]) for name in whole["weights"])
    timeless = [
        [{name: value for name, value in row.items() if name != "instances_per_second"} for row in each["epochs"]]
        for each in (whole, rest)
    ]
    assert timeless[0] == timeless[1]


# -- lengths --------------------------------------------------------------------------------------------


def test_a_cut_instance_is_the_first_samples_at_unit_power():
    x = everything(Instances(DATASET, "test"))
    short = cut(x, 48)
    assert short.shape[-1] == 48
    assert short.square().sum(1).mean(1) == pytest.approx(1, abs=1e-5)
    scale = short[:, :, :1] / x[:, :, :1]
    torch.testing.assert_close(short, x[:, :, :48] * scale, rtol=1e-4, atol=1e-5)


def test_random_lengths_are_uniform_from_the_shortest_to_all(monkeypatch):
    seen = []
    monkeypatch.setattr(training, "cut", lambda x, length: seen.append(int(length)) or cut(x, length))
    list(train(run(epochs=20, min_length=16, batch_size=8)))
    assert min(seen) >= 16 and max(seen) <= 128
    expected, spread = (16 + 128) / 2, (128 - 16) / math.sqrt(12 * len(seen))
    assert np.mean(seen) == pytest.approx(expected, abs=4 * spread)
    assert min(seen) < 26 and max(seen) > 118


# -- rates and weights ----------------------------------------------------------------------------------


def test_schedules_follow_their_closed_forms():
    progress = np.linspace(0, 1, 41)[:-1]
    cosine = [learning_rate(Recipe(schedule="cosine", learning_rate=2.0), p) for p in progress]
    assert cosine == pytest.approx(1 + np.cos(np.pi * progress))
    step = [learning_rate(Recipe(schedule="step", learning_rate=1.0), p) for p in (0, 0.49, 0.5, 0.74, 0.75, 0.99)]
    assert step == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    rows = list(train(run(epochs=4, schedule="step", learning_rate=1e-2)))[-1]["epochs"]
    assert [row["learning_rate"] for row in rows] == pytest.approx([1e-2, 1e-2, 1e-3, 1e-4])


def test_the_last_weights_are_kept_where_the_recipe_says_so():
    best, last = (list(train(run(epochs=8, learning_rate=0.02, keep=keep)))[-1] for keep in ("best", "last"))
    accuracies = [row["validation_accuracy"] for row in best["epochs"]]
    assert best["kept_epoch"] == 1 + accuracies.index(max(accuracies)) and last["kept_epoch"] == 8
    assert all(torch.equal(last["kept"][name], best["weights"][name]) for name in last["kept"])


def test_training_ends_early_after_so_many_epochs_without_a_better_one():
    rows = list(train(run(epochs=60, learning_rate=0.01, patience=3)))[-1]["epochs"]
    accuracies = [row["validation_accuracy"] for row in rows]
    assert len(rows) < 60 and accuracies.index(max(accuracies)) == len(rows) - 4


def test_early_stopping_that_was_interrupted_stops_at_the_same_epoch():
    described = run(epochs=60, learning_rate=0.01, patience=3)
    states = list(train(described))
    assert len(list(train(described, state=states[-1]))) == 1
    assert list(train(described, state=states[2]))[-1]["epochs"][-1]["epoch"] == len(states)


# -- starting from another run --------------------------------------------------------------------------


def test_a_run_without_epochs_to_speak_of_starts_at_its_parents_weights():
    parent = run()
    start = list(train(parent))[-1]["kept"]
    child = run(parent=parent, dataset=Dataset(RICIAN, DATASET.modulations, DATASET.snrs_db, 20, 128), epochs=1,
                learning_rate=1e-12)  # fmt: skip
    weights = next(train(child, start=start))["weights"]
    assert all(torch.allclose(weights[name], start[name], atol=1e-9) for name in start)


@pytest.mark.parametrize(
    ("model", "part", "trained"),
    [
        ("stn_resnext", "head", 10_900 - 17 * 129),
        ("stn_resnext", "stn_block", 3_680 + (32 * 6 + 6) + (6 * 6 + 6) + 3 * 129),
        ("mod_lcnn", "head", 64 * 256 + 256 + 3 * 257),
    ],
)
def test_a_transfer_changes_the_weights_of_its_part_and_no_other(model, part, trained):
    parent = run(model)
    start = list(train(parent))[-1]["kept"]
    child = run(model, parent=parent, retrain=part, label_fraction=0.5)
    weights = list(train(child, start=start))[-1]["weights"]
    network = new_model(child)
    names = {id(p): name for name, p in network.named_parameters()}
    free = {names[id(p)] for module in trained_part(network, part) for p in module.parameters()}
    assert sum(weights[name].numel() for name in free) == trained  # 10,900 of 20 classes, P1 §VI-C; three here
    for name, tensor in weights.items():
        assert torch.equal(tensor, start[name]) == (name not in free), name


def test_what_does_not_go_together_is_refused():
    parent = run()
    with pytest.raises(AmcError, match="same modulations"):
        run(parent=parent, dataset=Dataset(Scenario(), ("BPSK", "GFSK"), (0.0,), 20, 128))
    with pytest.raises(AmcError, match="architecture"):
        run("mod_lrcnn", parent=parent)
    with pytest.raises(AmcError, match="fitted in one step"):
        run("hoc_svm", parent=parent)
    with pytest.raises(AmcError, match=parent.key):
        next(train(run(parent=parent)))


def test_the_key_knows_the_parent():
    keys = {run(parent=parent).key for parent in (None, run(), run(epochs=3))}
    assert len(keys) == 3


def test_a_few_labels_of_an_unseen_channel_improve_a_network_there():
    """P1 Figs. 12 to 15 at a small scale: fading turns the constellation, which training without it never saw."""
    names = ("BPSK", "QPSK", "GFSK", "DSB-AM")
    known, unseen = (Dataset(Scenario(c, upsampling=4), names, (18.0,), 400, 128) for c in ("awgn", "rayleigh"))
    parent = run(dataset=known, epochs=8)
    start = list(train(parent))[-1]["kept"]
    before = accuracy(parent, start, unseen)
    child = run(dataset=unseen, parent=parent, epochs=20, label_fraction=0.1)
    assert len(Instances(unseen, "train", fraction=0.1)) == 4 * 32
    assert accuracy(child, list(train(child, start=start))[-1]["kept"], unseen) > before + 0.05


def accuracy(described: Run, weights: dict, dataset: Dataset) -> float:
    model = new_model(described)
    model.load_state_dict(weights)
    return training.evaluate(model, Instances(dataset, "test")).accuracy


# -- what goes wrong ------------------------------------------------------------------------------------


def test_a_loss_that_is_no_number_ends_training_with_what_to_do():
    with pytest.raises(AmcError, match=r"diverged: the loss is nan in epoch 1 at learning_rate 100000; a lower one"):
        list(train(run(learning_rate=1e5)))


class SmallMemory(nn.Module):
    """A network on a device that holds so many instances at once."""

    def __init__(self, network: nn.Module, fits: int):
        super().__init__()
        self.network, self.fits, self.largest = network, fits, 0

    def forward(self, x):
        if self.training and len(x) > self.fits:
            raise torch.OutOfMemoryError("out of memory")
        self.largest = max(self.largest, len(x)) if self.training else self.largest
        return self.network(x)


def test_a_batch_that_does_not_fit_is_cut_and_the_step_stays_the_same(monkeypatch):
    described = run("cnn1d")  # which has no dropout
    whole = list(train(described))[-1]
    networks = []

    def small(described, device):
        networks.append(SmallMemory(new_model(described, device), fits=5))
        return networks[-1]

    monkeypatch.setattr(training, "new_model", small)
    monkeypatch.setattr(training, "trained_part", lambda network, part: [network])
    cut_up = list(train(described))[-1]
    assert networks[0].largest == 4 and [row["micro_batch"] for row in cut_up["epochs"]] == [4, 4]
    for name, tensor in whole["weights"].items():
        torch.testing.assert_close(cut_up["weights"][f"network.{name}"], tensor, rtol=0, atol=2e-4)


def test_a_device_too_small_for_one_instance_is_said(monkeypatch):
    monkeypatch.setattr(training, "new_model", lambda described, device: SmallMemory(new_model(described), fits=0))
    monkeypatch.setattr(training, "trained_part", lambda network, part: [network])
    with pytest.raises(AmcError, match="too small for one instance"):
        list(train(run("cnn1d")))


# -- plateaus, stopping, smoothing, clipping ------------------------------------------------------------

LOSSES = [1.0, 0.9, 0.91, 0.9, 0.899_95, 0.95, 0.9, 0.92, 0.93, 0.9, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6]


def rates(**fields) -> list[float]:
    recipe = Recipe(schedule="plateau", **fields)
    return [plateau_rate(recipe, LOSSES[:epochs]) for epochs in range(len(LOSSES) + 1)]


@pytest.mark.parametrize("patience", [0, 1, 3])
@pytest.mark.parametrize("minimum", [0.0, 2e-4])
def test_a_plateau_counted_as_pytorch_does_is_pytorchs(patience, minimum):
    weight = nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([weight], lr=1e-3)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.3, patience=patience, min_lr=minimum)
    expected = [1e-3]
    for loss in LOSSES:
        schedule.step(loss)
        expected.append(optimiser.param_groups[0]["lr"])
    counting = dict(plateau_patience=patience, plateau_minimum=minimum, plateau_counting="pytorch")
    assert rates(plateau_factor=0.3, **counting) == pytest.approx(expected, rel=1e-12)


def test_keras_acts_when_the_patience_is_reached_and_pytorch_when_it_is_exceeded():
    recipe = {"schedule": "plateau", "plateau_factor": 0.5, "learning_rate": 1.0}
    flat = [0.5] * 12
    keras, pytorch = (
        [plateau_rate(Recipe(plateau_patience=3, plateau_counting=counting, **recipe), flat[:n]) for n in range(10)]
        for counting in ("keras", "pytorch")
    )
    assert keras == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]  # the first epoch is the lowest, three more are not
    assert pytorch == [1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25]
    floor = Recipe(plateau_patience=1, plateau_minimum=0.3, **recipe)
    assert plateau_rate(floor, flat) == 0.3


def test_a_loss_is_lower_by_1e_4_for_keras_and_by_1e_4_of_itself_for_pytorch():
    falling = [10.0 - 5e-4 * epoch for epoch in range(6)]  # a twentieth of a thousandth each
    keras, pytorch = (
        plateau_rate(Recipe(schedule="plateau", plateau_patience=1, plateau_counting=counting), falling)
        for counting in ("keras", "pytorch")
    )
    assert keras == 1e-3 and pytorch < 1e-3


def test_training_on_a_plateau_follows_its_own_losses_and_goes_on_where_it_was_stopped():
    described = run(epochs=12, learning_rate=0.03, schedule="plateau", plateau_patience=1, plateau_factor=0.2)
    states = list(train(described))
    rows = states[-1]["epochs"]
    losses = [row["validation_loss"] for row in rows]
    assert [row["learning_rate"] for row in rows] == [plateau_rate(described.recipe, losses[:n]) for n in range(12)]
    assert rows[-1]["learning_rate"] < 0.03
    rest = list(train(described, state=states[6]))[-1]
    assert all(torch.equal(rest["weights"][name], tensor) for name, tensor in states[-1]["weights"].items())


def test_stopping_and_keeping_may_go_by_the_loss():
    by_loss = dict(epochs=40, learning_rate=0.01, patience=3, stop_on="loss", keep="lowest_loss")
    states = list(train(run(**by_loss)))
    losses = [row["validation_loss"] for row in states[-1]["epochs"]]
    lowest = losses.index(min(losses))
    assert len(losses) < 40 and lowest == len(losses) - 4 and states[-1]["kept_epoch"] == lowest + 1
    assert list(train(run(**by_loss), state=states[2]))[-1]["kept_epoch"] == lowest + 1
    kept = states[-1]["kept"]
    assert all(torch.equal(kept[name], tensor) for name, tensor in states[lowest]["weights"].items())


def test_label_smoothing_is_in_the_training_loss_alone():
    network, x, labels = new_model(run()).eval(), everything(Instances(DATASET, "test")), torch.arange(12) % 3
    scores, losses = scores_and_losses(network, x, labels, label_smoothing=0.2)
    log = scores.log_softmax(1)
    expected = -(0.8 * log.gather(1, labels[:, None])[:, 0] + 0.2 * log.mean(1))
    torch.testing.assert_close(losses, expected)
    rows = next(train(run(epochs=1, learning_rate=1e-12, label_smoothing=0.5)))["epochs"]
    plain = next(train(run(epochs=1, learning_rate=1e-12)))["epochs"]
    assert rows[0]["validation_loss"] == pytest.approx(plain[0]["validation_loss"], rel=1e-6)
    assert rows[0]["train_loss"] != pytest.approx(plain[0]["train_loss"], rel=1e-6)


def test_a_clipped_gradient_has_at_most_the_norm_of_the_recipe(monkeypatch):
    norms = []

    class Watched(torch.optim.Adam):
        def step(self):
            norms.append(sum(p.grad.square().sum() for group in self.param_groups for p in group["params"]).sqrt())
            super().step()

    monkeypatch.setattr(torch.optim, "Adam", Watched)
    next(train(run(epochs=1)))
    free, norms[:] = list(norms), []
    next(train(run(epochs=1, clip_norm=0.01)))
    assert max(free) > 0.02
    assert all(norm <= 0.01 * 1.001 for norm in norms) and max(norms) == pytest.approx(0.01, rel=1e-3)


def test_a_field_without_effect_changes_neither_recipe_nor_key():
    assert Recipe(plateau_factor=0.1, plateau_counting="pytorch", stop_on="loss") == Recipe()
    assert run(plateau_patience=3).key == run().key
    assert run(schedule="plateau", plateau_patience=3).key != run(schedule="plateau").key
    assert run(patience=3, stop_on="loss").key != run(patience=3).key
