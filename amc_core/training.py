"""Training: a run's definition → weights, one epoch at a time; it can be stopped and continued after any step.

`train` yields its state after every epoch, and within an epoch on request: a dictionary of plain values and tensors
that ``torch.load(weights_only=True)`` reads. From this state, a later `train` continues and ends in the same weights as
a training that was never interrupted: initial weights, order of instances, lengths of batches and dropout follow from
(seed, epoch), and the learning rate from the number of steps and the losses so far.
"""

from __future__ import annotations

import copy
import hashlib
import logging
import math
import time
from collections.abc import Callable, Generator, Iterator

import numpy as np
import torch

from amc_core.augmentation import Augmentation
from amc_core.cumulants import magnitudes
from amc_core.device import Acceleration, Replayed, products
from amc_core.errors import AmcError
from amc_core.evaluation import Evaluation, evaluate
from amc_core.instances import Instances
from amc_core.models import MODELS, build_model, model_spec, trained_part
from amc_core.models.objective import scores_and_losses
from amc_core.run import Recipe, Run
from amc_core.schedules import learning_rate, plateau_rate

_FEATURE_BATCH = 256
_log = logging.getLogger(__name__)


def new_model(run: Run, device: torch.device | str = "cpu") -> torch.nn.Module:
    """The run's classifier with its initial weights."""
    torch.manual_seed(_seed(run.seed, "weights"))
    return build_model(run.model, len(run.dataset.modulations), run.dataset.length, **run.hyperparameters).to(device)


def train(
    run: Run,
    device: torch.device | str = "cpu",
    state: dict | None = None,
    start: dict | None = None,
    pause: Callable[[], bool] | None = None,
) -> Iterator[dict]:
    """Train a run, yielding the state after every epoch.

    state: one yielded earlier by the same run, to continue from. start: the weights of the run's parent, if it has one.
    pause: called between the steps of an epoch; if it is true, the state is yielded there too. Such a state holds
    "step", the number of steps done in the epoch, and its "kept" is None in the first epoch.

    A state holds "epochs" (a row per epoch: loss and accuracy on both parts, learning rate, instances a second, and the
    number of instances that passed through the device at once), "kept" (the weights that the recipe keeps of the epochs
    so far) and "kept_epoch" (their epoch), besides what is needed to continue. The last state is that of the finished
    run.

    Raises AmcError if the loss is no longer finite, or if not even one instance fits into the device's memory.
    """
    if model_spec(run.model).knows_setting:
        yield _untrained(run, device)
        return
    if not model_spec(run.model).epochs:
        yield from _fit_features(run, device)
        return
    if run.recipe.retrain == "statistics":
        yield _adapted(run, device, start)
        return
    if state is not None and finished(run.recipe, state["epochs"]):
        yield state
        return
    session = _Session(run, device)
    session.begin(state, start)
    while not finished(run.recipe, session.rows):
        yield from session.epoch(pause)


def finished(recipe: Recipe, rows: list[dict]) -> bool:
    """Is training finished after the epochs of these rows?"""
    if len(rows) >= recipe.epochs:
        return True
    since = len(rows) - _best_epoch(rows, recipe.stop_on)
    return recipe.patience is not None and since >= recipe.patience


def _best_epoch(rows: list[dict], by: str) -> int:
    """The first epoch of the best validation "accuracy", or of the lowest "loss"; 0 before the first epoch."""
    if not rows:
        return 0
    if by == "loss":
        return min(rows, key=lambda row: row["validation_loss"])["epoch"]
    return max(rows, key=lambda row: row["validation_accuracy"])["epoch"]


class _Session:
    """A network, its optimiser and its instances, from epoch to epoch."""

    def __init__(self, run: Run, device: torch.device | str):
        recipe = run.recipe
        self.run, self.recipe, self.device = run, recipe, device
        self.model = new_model(run, device)
        self.model.requires_grad_(False)
        for module in trained_part(self.model, recipe.retrain):
            module.requires_grad_(True)
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimiser]
        self.settings = {}  # of the optimiser, for this device
        if Acceleration.of(device).fused:
            self.settings = {"lr": torch.tensor(recipe.learning_rate, device=device), "fused": True}
            self.settings["capturable"] = torch.device(device).type == "cuda"
        usual = {"lr": recipe.learning_rate, "weight_decay": recipe.weight_decay}
        self.optimiser = kind(trained, **usual | self.settings)
        # A recording would not repeat what Python code does in the user's own network.
        self.step = Replayed(self._step, device, able=run.model in MODELS)
        self.loss_sum = torch.zeros((), device=device)
        self.correct = torch.zeros((), dtype=torch.int64, device=device)
        chosen = {"fraction": recipe.label_fraction, "seed": _seed(run.seed, "labels")}
        self.training = Instances(run.dataset, "train", device, keep=not recipe.fresh, **chosen)
        self.validation = Instances(run.dataset, "validation", device, keep=True)
        self.augment = Augmentation(recipe, run.dataset, run.seed)
        if run.doubt:
            _log.warning("%s", run.doubt)
        self.micro_batch = recipe.batch_size
        self.rows, self.kept, self.kept_epoch = [], None, 0
        self.within = None  # the position within an epoch of the state to continue from

    def begin(self, state: dict | None, start: dict | None) -> None:
        """Load the weights to start from: those of a state, of the parent, or the initial ones."""
        if state is not None:
            self.model.load_state_dict(state["weights"])
            self.optimiser.load_state_dict(_with_settings(state["optimiser"], self.settings))
            for group in self.optimiser.param_groups:
                group.update(self.settings)  # the tensor of the rate, which the optimiser has copied
            self.rows, self.kept, self.kept_epoch = state["epochs"], state["kept"], state["kept_epoch"]
            self.within = state.get("within")
            self.micro_batch = (self.within or self.rows[-1])["micro_batch"]
        elif self.run.parent is not None:
            _take_start(self.model, self.run, start)

    def epoch(self, pause: Callable[[], bool] | None) -> Iterator[dict]:
        """Train and validate for one epoch; yields the states within it that `pause` requests, and the one after it."""
        number = len(self.rows) + 1
        loss, accuracy, rate, seconds = yield from self._pass(number, pause)
        self._require_number(loss, number)
        result = evaluate(self.model, self.validation, self.device)
        self._require_number(result.loss, number)
        row = {
            "epoch": number,
            "train_loss": loss,
            "train_accuracy": accuracy,
            "validation_loss": result.loss,
            "validation_accuracy": result.accuracy,
            "learning_rate": rate,
            "instances_per_second": len(self.training) / seconds,
            "micro_batch": self.micro_batch,
        }
        self.rows = [*self.rows, row]
        weights = _weights(self.model)
        best = _best_epoch(self.rows, "loss" if self.recipe.keep == "lowest_loss" else "accuracy")
        if self.recipe.keep == "last" or best == number:
            self.kept, self.kept_epoch = weights, number
        yield self._state(weights, rate)

    def _state(self, weights: dict[str, torch.Tensor], rate: float) -> dict:
        return {
            "weights": weights,
            "optimiser": self._optimiser_state(rate),
            "epochs": self.rows,
            "kept": self.kept,
            "kept_epoch": self.kept_epoch,
        }

    def _state_within(self, step: int, rate: float, seconds: float) -> dict:
        """The state after some steps of an epoch, with everything on which the remaining steps depend."""
        within = {
            "loss_sum": self.loss_sum.cpu().clone(),
            "correct": self.correct.cpu().clone(),
            "random": _random_state(self.device),
            "step": step,
            "micro_batch": self.micro_batch,
            "seconds": seconds,
        }
        return self._state(_weights(self.model), rate) | {"step": step, "within": within}

    def _require_number(self, loss: float, epoch: int) -> None:
        if not math.isfinite(loss):
            rate = f"learning_rate {self.recipe.learning_rate:g}"
            raise AmcError(f"training diverged: the loss is {loss} in epoch {epoch} at {rate}; a lower one may help")

    def _optimiser_state(self, rate: float) -> dict:
        """A copy of the optimiser's state, which the next step would change, in the form that it has on a CPU."""
        state = copy.deepcopy(self.optimiser.state_dict())
        return _with_settings(state, {"lr": rate, "fused": None, "capturable": False} if self.settings else {})

    def _pass(self, number: int, pause: Callable[[], bool] | None) -> Generator[dict, None, tuple[float, ...]]:
        """One pass over the training instances in the epoch's order, or the rest of one that was interrupted.

        Returns mean loss, accuracy, last rate and seconds, without the time that the consumer of a state takes.
        """
        began = time.perf_counter()
        _training_mode(self.model)
        torch.manual_seed(_seed(self.run.seed, "dropout", number))
        draw = np.random.default_rng(_seed(self.run.seed, "order", number))
        order = torch.as_tensor(draw.permutation(len(self.training)))
        steps = -(-len(order) // self.recipe.batch_size)
        self.loss_sum.zero_()
        self.correct.zero_()
        first, within, self.within = 0, self.within, None
        if within is not None:
            first, began = within["step"], began - within["seconds"]
            self.loss_sum.copy_(within["loss_sum"])
            self.correct.copy_(within["correct"])
            if self.recipe.min_length is not None:  # the lengths of the steps that are done
                draw.integers(self.recipe.min_length, self.run.dataset.length, size=first, endpoint=True)
            _set_random_state(within["random"], self.device)
        rest = order[first * self.recipe.batch_size :]
        batches = self.training.batches(rest, self.recipe.batch_size, epoch=number if self.recipe.fresh else 0)
        plateau = plateau_rate(self.recipe, [row["validation_loss"] for row in self.rows])
        for step, (positions, (x, labels, _)) in enumerate(
            zip(rest.split(self.recipe.batch_size), batches, strict=True), start=first
        ):
            x = self.augment(x, *self.training.address(positions), epoch=number)
            if self.recipe.min_length is not None:
                x = cut(x, draw.integers(self.recipe.min_length, x.shape[-1], endpoint=True))
            progress = (number - 1 + step / steps) / self.recipe.epochs
            rate = plateau if self.recipe.schedule == "plateau" else learning_rate(self.recipe, progress)
            self._set_rate(rate)
            self.step(x, labels)
            if pause is not None and step + 1 < steps and pause():
                stopped = time.perf_counter()
                yield self._state_within(step + 1, rate, stopped - began)
                began += time.perf_counter() - stopped
        loss, accuracy = self.loss_sum.item() / len(order), self.correct.item() / len(order)
        return loss, accuracy, rate, time.perf_counter() - began

    def _set_rate(self, rate: float) -> None:
        if self.settings:
            self.settings["lr"].fill_(rate)
            return
        for group in self.optimiser.param_groups:
            group["lr"] = rate

    def _step(self, x: torch.Tensor, labels: torch.Tensor) -> None:
        """One step of the optimiser; its loss and number of right answers are added up on the device."""
        loss, scores = self._gradients(x, labels)
        if self.recipe.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
        self.optimiser.step()
        self.loss_sum += loss * len(labels)
        self.correct += (scores.argmax(1) == labels).sum()

    def _gradients(self, x: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute gradients of a batch's mean loss, in pieces that fit the device's memory; return loss and scores."""
        while True:
            try:
                self.optimiser.zero_grad()
                pieces = zip(x.split(self.micro_batch), labels.split(self.micro_batch), strict=True)
                done = [self._piece(*piece, share=len(piece[0]) / len(x)) for piece in pieces]
                losses, scores = zip(*done, strict=True)
                return torch.stack(losses).sum(), torch.cat(scores)
            except torch.OutOfMemoryError:
                if self.micro_batch == 1:
                    raise AmcError(f"the memory of {self.device} is too small for one instance") from None
            # Outside the handler, which would keep the tensors that did not fit.
            self.step.forget()
            self.micro_batch = -(-min(self.micro_batch, len(x)) // 2)
            _log.warning(
                "out of memory: batches are split in micro-batches of %d, with equal results", self.micro_batch
            )
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def _piece(self, x: torch.Tensor, labels: torch.Tensor, share: float) -> tuple[torch.Tensor, torch.Tensor]:
        with products(self.recipe.precision, self.device):
            scores, losses = scores_and_losses(self.model, x, labels, self.recipe.label_smoothing)
            loss = losses.mean() * share
            loss.backward()
        return loss.detach(), scores.detach()


def _with_settings(optimiser: dict, settings: dict) -> dict:
    """The state of an optimiser with some settings replaced."""
    groups = [group | settings for group in optimiser["param_groups"]]
    return optimiser | {"param_groups": groups}


def _training_mode(model: torch.nn.Module) -> None:
    """Training mode, except for batch normalisation with frozen weights, whose statistics are frozen too."""
    model.train()
    for module in model.modules():
        if hasattr(module, "running_mean") and not any(weight.requires_grad for weight in module.parameters()):
            module.eval()


def cut(x: torch.Tensor, length: int) -> torch.Tensor:
    """The first `length` samples of instances (batch, 2, samples), scaled to unit mean power again."""
    x = x[..., :length]
    return x * (x.square().sum(1, keepdim=True).mean(2, keepdim=True) + 1e-12).rsqrt()


def _fit_features(run: Run, device) -> Iterator[dict]:
    """Train a model that is fitted to features in one step, by its `fit`."""
    model = new_model(run, device)
    training = Instances(
        run.dataset, "train", device, fraction=run.recipe.label_fraction, seed=_seed(run.seed, "labels")
    )
    validation = Instances(run.dataset, "validation", device)
    start = time.perf_counter()
    with torch.inference_mode():
        batches = training.batches(torch.arange(len(training)), _FEATURE_BATCH)
        of = getattr(model, "features", magnitudes)  # the user's own classifier may have none
        features, labels = zip(*((of(x).cpu(), labels.cpu()) for x, labels, _ in batches), strict=True)
    model.fit(torch.cat(features).numpy(), torch.cat(labels).numpy(), seed=run.seed)
    seconds = time.perf_counter() - start
    fitted, result = evaluate(model, training, device), evaluate(model, validation, device)
    more = {"instances_per_second": len(training) / seconds, "micro_batch": _FEATURE_BATCH}
    yield _one_row(model, fitted.loss, fitted.accuracy, result, **more)


def _take_start(model: torch.nn.Module, run: Run, start: dict | None) -> None:
    """Load the weights of its run's parent into a network."""
    if start is None:
        raise AmcError(f"run {run.key} starts from run {run.parent.key}, which is not trained")
    model.load_state_dict(start)


def _adapted(run: Run, device, start: dict | None) -> dict:
    """The state of a network whose batch normalisation takes its statistics from the training part, without labels.

    Each layer gets the averages over batches of their means and variances, in one pass in which batches normalise
    themselves (Y. Li et al., Pattern Recognition 80, 2018). A smaller last batch is left out.
    """
    model = new_model(run, device)
    _take_start(model, run, start)
    model.eval()
    layers = [module for module in model.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
    if not layers:
        raise AmcError(f"retrain 'statistics' needs a network with batch normalisation, and {run.model} has none")
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the mean over all batches
        layer.train()
    chosen = {"fraction": run.recipe.label_fraction, "seed": _seed(run.seed, "labels")}
    training, began = Instances(run.dataset, "train", device, **chosen), time.perf_counter()
    order = np.random.default_rng(_seed(run.seed, "order", 1)).permutation(len(training))
    size = min(run.recipe.batch_size, len(training))
    order = torch.as_tensor(order[: len(order) // size * size])
    with torch.inference_mode(), products("float32", device):
        for x, _, _ in training.batches(order, size):
            model(x)
    seconds = time.perf_counter() - began
    result = evaluate(model, Instances(run.dataset, "validation", device), device)
    rate = len(order) / seconds
    return _one_row(model, math.nan, math.nan, result, instances_per_second=rate, micro_batch=size)


def _one_row(model: torch.nn.Module, loss: float, accuracy: float, result: Evaluation, **more: float) -> dict:
    """The state after a single epoch; loss, accuracy: on the training part; result: on the validation part."""
    row = {
        "epoch": 1,
        "train_loss": loss,
        "train_accuracy": accuracy,
        "validation_loss": result.loss,
        "validation_accuracy": result.accuracy,
        "learning_rate": 0.0,
    }
    weights = _weights(model)
    return {"weights": weights, "epochs": [row | more], "kept": weights, "kept_epoch": 1}


def _untrained(run: Run, device) -> dict:
    """The state of a run whose model needs no training, and uses no instance of the training part."""
    model = new_model(run, device)
    result = evaluate(model, Instances(run.dataset, "validation", device), device)
    return _one_row(model, math.nan, math.nan, result, instances_per_second=0.0, micro_batch=0)


def _random_state(device: torch.device | str) -> dict[str, torch.Tensor]:
    """The state of the random generators of dropout."""
    state = {"cpu": torch.get_rng_state()}
    return state | ({"cuda": torch.cuda.get_rng_state(device)} if torch.device(device).type == "cuda" else {})


def _set_random_state(state: dict[str, torch.Tensor], device: torch.device | str) -> None:
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.device(device).type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)


def _weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}


def _seed(*parts: object) -> int:
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=7).digest(), "little")
