"""Training: a run's definition → weights, one epoch at a time, stoppable and continuable after any of them.

`train` yields its state after every epoch: a dictionary of plain values and tensors that
``torch.load(weights_only=True)`` reads. Given back, it goes on from there and ends in the same weights as a
training that was never interrupted: initial weights, order of instances and dropout follow from (seed, epoch).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from amc_core.evaluation import evaluate
from amc_core.instances import Instances
from amc_core.models import MODELS, build_model
from amc_core.run import Run

_FEATURE_BATCH = 256


def new_model(run: Run, device: torch.device | str = "cpu") -> torch.nn.Module:
    """The run's classifier with its initial weights."""
    torch.manual_seed(_seed(run.seed, "weights"))
    return build_model(run.model, len(run.dataset.modulations), run.dataset.length, **run.hyperparameters).to(device)


def train(run: Run, device: torch.device | str = "cpu", state: dict | None = None) -> Iterator[dict]:
    """Train a run, yielding the state after every epoch.

    state: one yielded earlier by the same run, to go on from. A state holds "epochs" (a row per epoch: loss and
    accuracy on both parts, learning rate, instances a second) and "best" (the weights of the best validation
    accuracy so far, P1 §IV-C), besides what is needed to go on. The last state is that of the finished run.
    """
    if not MODELS[run.model].epochs:
        yield from _fit_features(run, device)
        return
    model = new_model(run, device)
    optimiser = torch.optim.Adam(model.parameters(), lr=run.recipe.learning_rate)
    rows, best = [], None
    if state is not None:
        model.load_state_dict(state["weights"])
        optimiser.load_state_dict(state["optimiser"])
        rows, best = state["epochs"], state["best"]
        if len(rows) == run.recipe.epochs:
            yield state
            return
    training, validation = (Instances(run.dataset, part, device, keep=True) for part in ("train", "validation"))
    for epoch in range(len(rows) + 1, run.recipe.epochs + 1):
        start = time.perf_counter()
        loss, accuracy = _epoch(model, optimiser, training, run, epoch, device)
        seconds = time.perf_counter() - start
        result = evaluate(model, validation, device)
        row = {
            "epoch": epoch,
            "train_loss": loss,
            "train_accuracy": accuracy,
            "validation_loss": result.loss,
            "validation_accuracy": result.accuracy,
            "learning_rate": run.recipe.learning_rate,
            "instances_per_second": len(training) / seconds,
        }
        if best is None or result.accuracy > max(row["validation_accuracy"] for row in rows):
            best = _weights(model)
        rows = [*rows, row]
        yield {"weights": _weights(model), "optimiser": optimiser.state_dict(), "epochs": rows, "best": best}


def _epoch(model, optimiser, training: Instances, run: Run, epoch: int, device) -> tuple[float, float]:
    """One pass over the training instances in an order of its own; returns mean loss and accuracy."""
    model.train()
    torch.manual_seed(_seed(run.seed, "dropout", epoch))
    order = np.random.default_rng(_seed(run.seed, "order", epoch)).permutation(len(training))
    loss_sum, correct = torch.zeros((), device=device), torch.zeros((), dtype=torch.int64, device=device)
    for x, labels, _ in training.batches(torch.as_tensor(order), run.recipe.batch_size):
        scores = model(x)
        loss = cross_entropy(scores, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        loss_sum += loss.detach() * len(labels)
        correct += (scores.argmax(1) == labels).sum()
    return loss_sum.item() / len(training), correct.item() / len(training)


def _fit_features(run: Run, device) -> Iterator[dict]:
    """Train a model that is fitted to features in closed form, in one step (HOC-SVM)."""
    model = new_model(run, device)
    training, validation = (Instances(run.dataset, part, device) for part in ("train", "validation"))
    start = time.perf_counter()
    with torch.inference_mode():
        batches = training.batches(torch.arange(len(training)), _FEATURE_BATCH)
        features, labels = zip(*((model.features(x).cpu(), labels.cpu()) for x, labels, _ in batches), strict=True)
    model.fit_features(torch.cat(features).numpy(), torch.cat(labels).numpy(), seed=run.seed)
    seconds = time.perf_counter() - start
    fitted, result = evaluate(model, training, device), evaluate(model, validation, device)
    row = {
        "epoch": 1,
        "train_loss": fitted.loss,
        "train_accuracy": fitted.accuracy,
        "validation_loss": result.loss,
        "validation_accuracy": result.accuracy,
        "learning_rate": 0.0,
        "instances_per_second": len(training) / seconds,
    }
    yield {"weights": _weights(model), "epochs": [row], "best": _weights(model)}


def _weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}


def _seed(*parts: object) -> int:
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=7).digest(), "little")
