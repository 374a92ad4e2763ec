"""What is done on a GPU, as far as a CPU can go the same ways: other launches, the same results."""

import logging

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from amc_core import AmcError, Scenario, kernels
from amc_core.device import Acceleration, Replayed, compiled, kept_bytes, products
from amc_core.evaluation import evaluate
from amc_core.instances import Instances
from amc_core.models import MODELS
from amc_core.own import OwnModel
from amc_core.randomness import SYMBOLS, words
from amc_core.run import Dataset, Recipe, Run
from amc_core.training import _Session, new_model, train
from tests.amc_core.test_training import through_a_file

DATASET = Dataset(Scenario(), ("BPSK", "16QAM", "GFSK", "DSB-AM"), (0.0, 18.0), instances=20, length=128)
RUN = Run("mod_lcnn", DATASET, Recipe(epochs=2, batch_size=20))  # seven steps an epoch, the last of another shape


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    monkeypatch.setenv("AMC_ACCELERATION", "on")


def test_nothing_is_done_on_a_cpu_and_all_of_it_on_a_gpu(monkeypatch):
    assert Acceleration.of("cpu") == Acceleration()
    assert Acceleration.of("cuda") == Acceleration("inductor", replays=True, fused=True, evaluation_batch=1024)
    monkeypatch.setenv("AMC_ACCELERATION", "off")
    assert Acceleration.of("cuda") == Acceleration()
    monkeypatch.setenv("AMC_ACCELERATION", "yes")
    with pytest.raises(AmcError, match=r"AMC_ACCELERATION is 'yes'.*on and off"):
        Acceleration.of("cpu")


def test_a_gpu_keeps_instances_in_an_eighth_of_its_free_memory(monkeypatch):
    assert kept_bytes("cpu") == 1 << 30
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (64 << 30, 80 << 30))
    assert kept_bytes("cuda") == 8 << 30


def test_a_dataset_above_the_bound_is_simulated_again_and_is_the_same(monkeypatch):
    kept = Instances(DATASET, "train", keep=True)
    size = len(kept) * DATASET.length * 8
    monkeypatch.setattr("amc_core.instances.kept_bytes", lambda device: size)
    assert Instances(DATASET, "train", keep=True).kept is not None
    monkeypatch.setattr("amc_core.instances.kept_bytes", lambda device: size - 1)
    simulated = Instances(DATASET, "train", keep=True)
    assert simulated.kept is None
    for ours, again in zip(*(part.batches(torch.arange(128), 50) for part in (kept, simulated)), strict=True):
        assert all(map(torch.equal, ours, again))


def test_labels_and_snrs_of_a_batch_are_those_of_its_addresses():
    instances = Instances(DATASET, "train")
    positions = torch.randperm(len(instances))
    modulation, snr, _ = instances.address(positions)
    _, labels, snrs = (torch.cat(part) for part in zip(*instances.batches(positions, 30), strict=True))
    assert torch.equal(labels, modulation) and torch.equal(snrs, snr)


def warnings_of(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_random_words_are_the_same_where_they_are_compiled(monkeypatch, caplog):
    keys, indices = torch.tensor([[1, 2**32 - 1], [77, 0], [2**31, 5]]), torch.tensor([0, 1 << 40, 3])
    usual = words(keys, indices, SYMBOLS, 9)
    monkeypatch.setattr(kernels, "library", lambda: None)
    monkeypatch.setenv("AMC_ACCELERATION", "on")
    assert torch.equal(words(keys, indices, SYMBOLS, 9), usual) and not warnings_of(caplog)


def test_instances_are_the_same_to_the_last_bit_where_they_are_compiled(monkeypatch, caplog):
    dataset = Dataset(Scenario("rayleigh", 8), ("16QAM", "GFSK", "FM"), (10.0,), instances=10, length=64)
    monkeypatch.setattr(kernels, "library", lambda: None)
    [(usual, _, _)] = Instances(dataset, "test").batches(torch.arange(3), 3)
    monkeypatch.setenv("AMC_ACCELERATION", "on")
    [(compiled_ones, _, _)] = Instances(dataset, "test").batches(torch.arange(3), 3)
    assert torch.equal(usual, compiled_ones) and not warnings_of(caplog)


def test_a_function_whose_compiled_bits_differ_or_that_does_not_compile_serves_itself(as_on_a_gpu, monkeypatch, caplog):
    def compile_wrongly(function, **options):
        return lambda *inputs: function(*inputs) + 1

    def refuse(function, **options):
        raise RuntimeError("no compiler")

    for compiler, reason in ((compile_wrongly, "other bits"), (refuse, "no compiler")):
        monkeypatch.setattr(torch, "compile", compiler)
        twice = compiled(lambda x: 2 * x)
        assert [twice(torch.tensor(value)).item() for value in (1, 2, 3)] == [2, 4, 6]
        assert caplog.text.count(reason) == 1


def test_steps_are_recorded_after_three_calls_of_a_shape_and_replayed_with_other_inputs(as_on_a_gpu):
    total = torch.zeros(())

    def add(x: torch.Tensor) -> None:
        total.add_(x.sum())

    step = Replayed(add, "cpu")
    for call in range(1, 6):
        step(torch.full((2,), float(call)))
        step(torch.ones(call + 2))
        assert len(step.recordings) == (call > 3)
    assert total == 2 * (1 + 2 + 3 + 4 + 5) + 3 + 4 + 5 + 6 + 7


def test_what_cannot_be_recorded_is_called_as_usual(as_on_a_gpu, monkeypatch, caplog):
    def refuse(graph, **options):
        raise RuntimeError("operation not permitted when stream is capturing")

    seen = []
    step = Replayed(lambda x: seen.append(x.item()), "cpu")
    step.stream, step._warm_up = "a stream", lambda inputs: step.function(*inputs)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    monkeypatch.setattr(torch.cuda, "graph", refuse)
    for value in range(6):
        step(torch.tensor(value))
    assert seen == list(range(6)) and not step.able and caplog.text.count("not permitted") == 1


def test_steps_of_a_network_of_ones_own_are_not_recorded(as_on_a_gpu):
    text = """
import torch

class Net(torch.nn.Sequential):
    any_length = False

    def __init__(self, classes, length):
        super().__init__(torch.nn.Flatten(), torch.nn.Linear(2 * length, classes))
"""
    assert _Session(RUN, "cpu").step.able
    assert not _Session(Run(OwnModel("net.Net", {"net.py": text}), DATASET), "cpu").step.able


def test_training_as_on_a_gpu_ends_in_the_same_weights_up_to_rounding(monkeypatch):
    usual = list(train(RUN))[-1]
    monkeypatch.setenv("AMC_ACCELERATION", "on")
    ours = list(train(RUN))[-1]
    for name, weight in usual["weights"].items():
        torch.testing.assert_close(ours["weights"][name], weight, rtol=1e-3, atol=1e-5)
    for row, own in zip(usual["epochs"], ours["epochs"], strict=True):
        assert own["train_loss"] == pytest.approx(row["train_loss"], rel=1e-5)
        assert own["learning_rate"] == row["learning_rate"]


@pytest.mark.parametrize("optimiser", ["adam", "adamw"])
def test_training_as_on_a_gpu_that_was_stopped_ends_in_the_same_weights_bit_for_bit(as_on_a_gpu, optimiser):
    run = Run("mod_lcnn", DATASET, Recipe(epochs=2, batch_size=20, optimiser=optimiser, schedule="cosine", clip_norm=1))
    first, last = train(run)
    [rest] = train(run, state=through_a_file(first))
    for name, weight in last["weights"].items():
        assert torch.equal(weight, rest["weights"][name]), name


def test_training_begun_as_on_a_gpu_goes_on_on_a_cpu(monkeypatch):
    first, last = train(RUN)
    monkeypatch.setenv("AMC_ACCELERATION", "on")
    begun = through_a_file(next(train(RUN)))
    assert begun["optimiser"]["param_groups"] == first["optimiser"]["param_groups"]
    monkeypatch.setenv("AMC_ACCELERATION", "off")
    [rest] = train(RUN, state=begun)
    for name, weight in last["weights"].items():
        torch.testing.assert_close(rest["weights"][name], weight, rtol=1e-3, atol=1e-5)


def test_counts_do_not_depend_on_how_many_instances_are_classified_at_a_time(monkeypatch):
    model, instances = new_model(RUN), Instances(DATASET, "train")
    usual = evaluate(model, instances)
    monkeypatch.setattr(Acceleration, "of", classmethod(lambda cls, device: cls(evaluation_batch=50)))
    ours = evaluate(model, instances)
    assert torch.equal(usual.confusion, ours.confusion) and torch.equal(usual.confidence, ours.confidence)
    assert usual.confusion.sum() == len(instances) and all(map(torch.equal, usual.right, ours.right))


def test_products_are_as_the_precision_says_inside_and_as_before_after_it():
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    for precision in ("tf32", "float32"):
        with products(precision, "cuda"):
            assert (matmul.allow_tf32, cudnn.allow_tf32) == (precision == "tf32",) * 2
        assert (matmul.allow_tf32, cudnn.allow_tf32) == before
    x = torch.full((1, 1), 1 + 2.0**-10)  # bf16 has 8 bits
    with products("bf16", "cpu"):
        assert (x @ x).dtype == torch.bfloat16 and (x @ x).item() == 1
    for precision in ("float32", "tf32"):
        with products(precision, "cpu"):
            assert (x @ x).item() == (1 + 2.0**-10) ** 2


@pytest.mark.parametrize("model", [name for name, spec in MODELS.items() if spec.epochs])
def test_every_network_trains_in_bf16_with_weights_of_float32(model):
    dataset = Dataset(Scenario(), ("BPSK", "16QAM"), (10.0,), instances=10, length=128)
    state = next(train(Run(model, dataset, Recipe(epochs=1, batch_size=8, precision="bf16"))))
    assert state["epochs"][0]["train_loss"] > 0
    assert not any(weight.dtype == torch.bfloat16 for weight in state["weights"].values())


class Waits(TorchDispatchMode):
    """Notes operations that a CUDA graph cannot hold: those that ask the device for a value, or bring it one."""

    NAMES = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "bincount", "unique", "lift_fresh")

    def __init__(self):
        super().__init__()
        self.noted = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        if name in self.NAMES or (name == "index" and any(x is not None and x.dtype == torch.bool for x in args[1])):
            self.noted.append(str(function))
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("model", [name for name, spec in MODELS.items() if spec.epochs])
def test_no_step_of_a_network_waits_for_the_device(as_on_a_gpu, model):
    dataset = Dataset(Scenario(), ("BPSK", "16QAM"), (10.0,), instances=10, length=128)
    session = _Session(Run(model, dataset, Recipe(epochs=1, batch_size=8, clip_norm=1, label_smoothing=0.1)), "cpu")
    [(x, labels, _)] = session.training.batches(torch.arange(8), 8)
    session._step(x, labels)  # the first creates the optimiser's state
    with Waits() as waits:
        session._step(x, labels)
    assert not waits.noted


@pytest.mark.parametrize("rotation", ["quarter_turns", "any"])
def test_no_augmentation_waits_for_the_device(monkeypatch, rotation):
    changes = {"augment_paste": 0.3, "augment_flip": True, "augment_conjugation": True, "augment_shift": True}
    recipe = Recipe(augment_rotation=rotation, augment_noise=0.1, **changes)
    session, positions = _Session(Run("mod_lcnn", DATASET, recipe), "cpu"), torch.arange(20)
    [(x, _, _)] = session.training.batches(positions, 20)
    address = session.training.address(positions)
    usual = session.augment(x, *address, epoch=1)  # the first of an epoch makes its keys
    for name in ("cpu", "to"):  # of a GPU, only `carried` goes on without waiting
        original = getattr(torch.Tensor, name)
        monkeypatch.setattr(
            torch.Tensor, name, lambda x, *to, original=original, **more: _not_moved(original, x, to, more)
        )
    monkeypatch.setattr("amc_core.augmentation.carried", lambda tensor, device: tensor)
    with Waits() as waits:
        changed = session.augment(x, *address, epoch=1)
    assert torch.equal(changed, usual) and not waits.noted


def _not_moved(original, x, to, more):
    if not to or not isinstance(to[0], torch.dtype):
        raise AssertionError("moved to another device")
    return original(x, *to, **more)


def test_no_block_of_evaluation_waits_for_the_device(monkeypatch):
    monkeypatch.setattr(Acceleration, "of", classmethod(lambda cls, device: cls(evaluation_batch=8)))
    model, instances = new_model(RUN), Instances(DATASET, "train", keep=True)
    with Waits() as waits:
        evaluate(model, instances)
    assert waits.noted == ["aten.lift_fresh.default"] * 3  # at the start, and at the end of sixteen blocks for each SNR


def test_the_precision_is_part_of_a_key_unless_it_is_float32():
    keys = {Run("cnn1d", DATASET, Recipe(precision=name)).key for name in ("float32", "tf32", "bf16")}
    assert len(keys) == 3 and Run("cnn1d", DATASET).key in keys
    with pytest.raises(AmcError, match="precision"):
        Recipe(precision="float16")
