"""Instances trained and evaluated a second: this library beside the loop that everybody writes, and Lightning.

    python benchmarks/train.py [--models stn_resnext,cnn1d] [--seconds 6] [--device cpu]

Instances of 1024 samples, 20 classes, batches of 240, Adam, float32 but for bf16. Every contestant is a process of its
own, with its own allocator settings; they take turns in every round, and medians are kept, so that a busy machine
favours nobody.
"""

from __future__ import annotations

import argparse
import copy
import importlib.metadata
import itertools
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from amc_core import MODELS, Scenario
from amc_core.evaluation import evaluate
from amc_core.instances import Instances
from amc_core.memory import keep_freed_memory
from amc_core.models.layers import Conv1d, MaxPool1d
from amc_core.modulations import MODULATION_SETS
from amc_core.run import Dataset, Recipe, Run
from amc_core.training import new_model, train

BATCH, ROUNDS = 240, 3
DATASET = Dataset(Scenario("rayleigh", 8), MODULATION_SETS["complex"], (10.0,), instances=15)  # a batch
NETWORKS = tuple(name for name, spec in MODELS.items() if spec.epochs)

NOTES = """\
plain: nn.Conv1d and nn.MaxPool1d, a DataLoader over stored instances, torch's own threads and allocator. ours:
amc_core.training.train and amc_core.evaluation.evaluate, torch's own threads. per core: as many of our trainings side
by side as there are cores, one thread each, as a sweep runs them; all of them together. "×" is how many times as fast
as plain. "bf16 ×" is how many times as fast such trainings are with precision: bf16. The contestants took turns in
every round. The shares are of one of our steps, one thread, with instances simulated afresh in every epoch."""


def run_of(model: str, precision: str = "float32") -> Run:
    return Run(model, DATASET, Recipe(epochs=1_000_000, batch_size=BATCH, precision=precision))


def plain_twin(network: nn.Module) -> nn.Module:
    """The same network and weights of PyTorch's own layers."""
    twin = copy.deepcopy(network)
    for module in twin.modules():
        if isinstance(module, Conv1d | MaxPool1d):
            module.__class__ = nn.Conv1d if isinstance(module, Conv1d) else nn.MaxPool1d
    return twin


def require_twins(model: str) -> None:
    """Raise AssertionError unless the plain twin gives the same logits and gradients."""
    network, x = new_model(run_of(model)).double().eval(), torch.randn(4, 2, DATASET.length, dtype=torch.float64)
    results = []
    for one in (network, plain_twin(network)):
        logits = one(x)
        results.append((logits, *torch.autograd.grad(logits.square().sum(), list(one.parameters()))))
    for ours, plain in zip(*results, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-6, atol=1e-9)


def stored(device: str) -> TensorDataset:
    instances = Instances(DATASET, "train", device)
    x, labels, _ = (
        torch.cat(part) for part in zip(*instances.batches(torch.arange(len(instances)), BATCH), strict=True)
    )
    return TensorDataset(x, labels)


def synchronised(device: str) -> float:
    """Seconds on a clock that waits for the device."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def plain_training(model: str, device: str) -> Iterator[float]:
    network = plain_twin(new_model(run_of(model))).to(device)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    data = stored(device)
    loader = DataLoader(data, BATCH, shuffle=True)
    while True:
        start = synchronised(device)
        for x, labels in loader:
            optimiser.zero_grad()
            cross_entropy(network(x), labels).backward()
            optimiser.step()
        yield len(data) / (synchronised(device) - start)


def plain_evaluation(model: str, device: str) -> Iterator[float]:
    network, data = plain_twin(new_model(run_of(model))).to(device).eval(), stored(device)
    loader = DataLoader(data, BATCH)
    while True:
        start, correct = synchronised(device), 0
        with torch.no_grad():
            for x, labels in loader:
                correct += (network(x).argmax(1) == labels).sum().item()
        yield len(data) / (synchronised(device) - start)


def lightning_training(model: str, device: str) -> Iterator[float]:
    import logging
    import warnings

    import lightning

    warnings.filterwarnings("ignore")  # of workers and missing loggers
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.network = plain_twin(new_model(run_of(model)))

        def training_step(self, batch):
            x, labels = batch
            return cross_entropy(self.network(x), labels)

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=1e-3)

        def on_train_epoch_start(self):
            self.start = synchronised(device)

        def on_train_epoch_end(self):
            self.seconds = synchronised(device) - self.start

    module, data = Module(), stored("cpu")
    quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    while True:
        trainer = lightning.Trainer(max_epochs=1, accelerator="cpu" if device == "cpu" else "gpu", devices=1, **quiet)
        trainer.fit(module, DataLoader(data, BATCH, shuffle=True))
        yield len(data) / module.seconds


def our_training(model: str, device: str, precision: str = "float32") -> Iterator[float]:
    for state in train(run_of(model, precision), device):
        yield state["epochs"][-1]["instances_per_second"]


def our_training_bf16(model: str, device: str) -> Iterator[float]:
    yield from our_training(model, device, "bf16")


def our_evaluation(model: str, device: str) -> Iterator[float]:
    network, instances = new_model(run_of(model), device), Instances(DATASET, "train", device, keep=True)
    while True:
        start = synchronised(device)
        evaluate(network, instances, device)
        yield len(instances) / (synchronised(device) - start)


def our_step(model: str, device: str) -> Iterator[list[float]]:
    """Seconds of an epoch in simulation, forward pass, backward pass, optimiser, and what else `train` does."""
    network, instances = new_model(run_of(model), device), Instances(DATASET, "train", device)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    while True:
        seconds, start = [0.0] * 5, synchronised(device)
        loss_sum, correct = torch.zeros((), device=device), torch.zeros((), dtype=torch.int64, device=device)

        def lap(part: int, seconds=seconds) -> None:
            nonlocal start
            now = synchronised(device)
            seconds[part] += now - start
            start = now

        for x, labels, _ in instances.batches(torch.randperm(len(instances)), BATCH):
            lap(0)
            scores = network(x)
            loss = cross_entropy(scores, labels)
            lap(1)
            loss.backward()
            lap(2)
            optimiser.step()
            lap(3)
            optimiser.zero_grad()
            loss_sum += loss.detach() * len(labels)
            correct += (scores.argmax(1) == labels).sum()
            lap(4)
        yield seconds


MEASUREMENTS = (
    *(plain_training, plain_evaluation, lightning_training),
    *(our_training, our_training_bf16, our_evaluation, our_step),
)


class Contestant:
    """A process of its own that measures when it is asked to."""

    def __init__(self, model: str, device: str, threads: int | None, ours: bool):
        processes = multiprocessing.get_context("spawn")
        self.pipe, theirs = processes.Pipe()
        self.process = processes.Process(target=_answer, args=(theirs, model, device, threads, ours), daemon=True)
        self.process.start()

    def ask(self, measurement) -> None:
        self.pipe.send(measurement.__name__)

    def answer(self):
        return self.pipe.recv()


def _answer(pipe, model: str, device: str, threads: int | None, ours: bool) -> None:
    if ours:
        keep_freed_memory()
    if threads:
        torch.set_num_threads(threads)
    begun = {}
    by_name = {measurement.__name__: measurement for measurement in MEASUREMENTS}
    while name := pipe.recv():
        if name not in begun:
            begun[name] = by_name[name](model, device)
        pipe.send(next(begun[name]))


def measure(entrants: dict[str, tuple[list[Contestant], object]], seconds: float) -> dict[str, list]:
    """What each entrant's contestants, side by side, measure in each of the rounds; a first round is not counted."""
    measured = {name: [] for name in entrants}
    start = time.perf_counter()
    for turn in itertools.count():
        if turn == 1:
            start = time.perf_counter()
        if turn > ROUNDS and time.perf_counter() - start > seconds:
            return measured
        for name, (contestants, measurement) in entrants.items():
            for contestant in contestants:
                contestant.ask(measurement)
            answers = [contestant.answer() for contestant in contestants]
            if turn:
                measured[name].append(sum(answers) if len(answers) > 1 else answers[0])


def cells_of(model: str, device: str, seconds: float, lightning: bool) -> list[str]:
    """A row of the table: medians of the rates, and of their ratios in each round."""
    require_twins(model)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    plain, ours = Contestant(model, device, None, ours=False), Contestant(model, device, None, ours=True)
    alone = [Contestant(model, device, 1, ours=True) for _ in range(cores if device == "cpu" else 1)]
    entrants = {"plain": ([plain], plain_training), "ours": ([ours], our_training)}
    if lightning:
        entrants["lightning"] = ([plain], lightning_training)
    if device == "cpu":
        entrants["per core"] = (alone, our_training)
    base = "per core" if device == "cpu" else "ours"
    entrants["bf16"] = (entrants[base][0], our_training_bf16)
    trained = measure(entrants, seconds)
    evaluated = measure({"plain": ([plain], plain_evaluation), "ours": ([ours], our_evaluation)}, seconds / 4)
    split = measure({"step": (alone[:1], our_step)}, seconds / 4)["step"]
    for contestant in (plain, ours, *alone):
        contestant.pipe.send(None)
        contestant.process.join()

    def rate(rates: dict[str, list], name: str) -> str:
        return f"{statistics.median(rates[name]):,.0f}" if name in rates else ""

    def ratio(rates: dict[str, list], name: str, over: str = "plain") -> str:
        if name not in rates:
            return ""
        return f"{statistics.median(b / a for a, b in zip(rates[over], rates[name], strict=True)):.2f}"

    shares = [statistics.median(epoch[part] / sum(epoch) for epoch in split) for part in range(5)]
    parameters = sum(parameter.numel() for parameter in new_model(run_of(model)).parameters())
    return [
        *(model, f"{parameters:,}", rate(trained, "plain"), rate(trained, "lightning"), rate(trained, "ours")),
        *(ratio(trained, "ours"), rate(trained, "per core"), ratio(trained, "per core"), ratio(trained, "bf16", base)),
        *(rate(evaluated, "plain"), rate(evaluated, "ours"), ratio(evaluated, "ours")),
        *(f"{100 * share:.1f}" for share in shares),
    ]


COLUMNS = {
    **{"": 12, "parameters": 12, "plain": 8, "Lightning": 11, "ours": 8, "×": 6, "per core": 10, "× ": 6, "bf16 ×": 8},
    **{"  plain": 9, "ours ": 8, "×  ": 6, "simulate": 10, "forward": 9, "backward": 10, "optimiser": 11, "other": 7},
}


def _line(cells: list[str]) -> str:
    name, *numbers = (cell.strip() for cell in cells)
    widths = list(COLUMNS.values())
    return f"{name:<{widths[0]}}" + "".join(f"{cell:>{width}}" for cell, width in zip(numbers, widths[1:], strict=True))


def _processor() -> str:
    described = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [line.partition(":")[2].strip() for line in described.splitlines() if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {torch.backends.cpu.get_cpu_capability()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=",".join(NETWORKS), help="names with commas between; all by default")
    parser.add_argument("--seconds", type=float, default=6.0, help=f"of training at least, besides {ROUNDS} rounds")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    arguments = parser.parse_args()
    models = arguments.models.split(",")
    for model in models:
        if model not in NETWORKS:
            parser.error(f"model {model!r} is not a network; they are {', '.join(NETWORKS)}")
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch finds no CUDA device")

    try:
        lightning = importlib.metadata.version("lightning")
    except importlib.metadata.PackageNotFoundError:
        lightning = None
    device = _processor() if arguments.device == "cpu" else torch.cuda.get_device_name()
    print(f"Instances of {DATASET.length} samples a second, {len(DATASET.modulations)} classes, batches of {BATCH}")
    print(f"{device}; {torch.get_num_threads()} threads by torch's own choice; torch {torch.__version__}, ", end="")
    print(f"lightning {lightning or 'not installed'}")
    print(f"{'':<24}{'training':>27}{'':>30}{'evaluation':>23}{'share of a step, %':>47}")
    print(_line(list(COLUMNS)), flush=True)
    for model in models:
        print(_line(cells_of(model, arguments.device, arguments.seconds, bool(lightning))), flush=True)
    print(NOTES)


if __name__ == "__main__":
    main()
