"""A dry run of the user's own code, on a few instances and in a process of its own, before anything is launched.

The process runs outside the study's folder, as a worker on another node does. It builds, trains, saves and loads each
network once, calls each front end, and reports the first thing that does not work.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from amc_core.distributions import Distribution
from amc_core.errors import AmcError
from amc_core.front_end import FrontEnd, OwnFunction, read_front_end
from amc_core.installed import InstalledModel, installed_models
from amc_core.own import OwnModel

if TYPE_CHECKING:
    import torch

_SECONDS, _SECONDS_EACH = 120, 60  # for starting the process, and for each network in it
_SAME, _CLOSE = 1e-5, 1e-4  # allowed differences of logits, relative to the largest: for one batch, for two batches


@dataclass(frozen=True)
class Attempt:
    """A network to be tried: its model with hyperparameters, its number of classes, and its instance lengths [samples].

    The network is built for the first of the lengths.
    """

    model: OwnModel | InstalledModel
    classes: int
    lengths: tuple[int, ...]
    hyperparameters: dict[str, Any]

    def __str__(self) -> str:
        values = {"classes": self.classes, "length": self.lengths[0], **self.hyperparameters}
        return f"{self.model}({', '.join(f'{name}={value!r}' for name, value in values.items())})"


@dataclass(frozen=True)
class FrontEndAttempt:
    """A front end to be tried, on instances of a length [samples] at a sample rate [Hz]."""

    front_end: FrontEnd
    length: int
    sample_rate: float

    @property
    def model(self) -> OwnFunction:
        """The function, whose name appears in messages."""
        return self.front_end.function


def require_working(attempts: Sequence[Attempt | FrontEndAttempt]) -> None:
    """Try code in a process of its own. Raises AmcError with what does not work, or if it takes too long."""
    if not attempts:
        return
    asked = json.dumps([_asked(attempt) for attempt in attempts])
    ours = str(Path(__file__).parents[1])
    paths = [ours, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "CUDA_VISIBLE_DEVICES": ""}
    limit, names = _SECONDS + _SECONDS_EACH * len(attempts), ", ".join(dict.fromkeys(a.model for a in attempts))
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "amc_core.dry_run"],
                input=asked, capture_output=True, text=True, errors="replace", timeout=limit, cwd=folder,
                env=environment, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise AmcError(f"the dry run of {names} on two instances took more than {limit} s") from None
    try:
        complaint = json.loads(done.stdout)["complaint"]
    except (ValueError, LookupError, TypeError):
        last = ([line.strip() for line in done.stderr.splitlines() if line.strip()] or ["it said nothing"])[-1]
        raise AmcError(f"the dry run of {names} ended with exit code {done.returncode}: {last[:300]}") from None
    if complaint:
        raise AmcError(complaint)


def main() -> None:
    """Read attempts from standard input, and write the first complaint, or null, to standard output."""
    asked = json.load(sys.stdin)
    answer = os.dup(1)
    os.dup2(2, 1)  # so that what the networks print does not mix with the answer
    complaint = None
    try:
        for entry in asked:
            if "front_end" in entry:
                front_end = read_front_end(entry["front_end"])
                function = OwnFunction(front_end.name, entry["sources"])
                front_end = replace(front_end, function=function)
                _try_front_end(FrontEndAttempt(front_end, entry["length"], entry["sample_rate"]))
                continue
            own = entry["sources"] is not None
            model = OwnModel(entry["model"], entry["sources"]) if own else installed_models()[entry["model"]]
            _try(Attempt(model, entry["classes"], tuple(entry["lengths"]), entry["hyperparameters"]))
    except AmcError as error:
        complaint = str(error)
    os.write(answer, json.dumps({"complaint": complaint}).encode())
    os._exit(0)  # without waiting for threads that the networks have started


def _asked(attempt: Attempt | FrontEndAttempt) -> dict[str, Any]:
    """An attempt as plain values, with the texts of its code."""
    if isinstance(attempt, FrontEndAttempt):
        own = {"front_end": attempt.front_end.as_dict(), "length": attempt.length, "sample_rate": attempt.sample_rate}
    else:
        own = asdict(attempt)
    return own | {"sources": getattr(attempt.model, "sources", None)}


def _try_front_end(attempt: FrontEndAttempt) -> None:
    """Raise AmcError with what does not work of a front end."""
    import torch

    from amc_core.own_receiver import BoundFrontEnd

    torch.set_num_threads(1)
    front_end, length, count = attempt.front_end, attempt.length, 4
    bound, draw = BoundFrontEnd(front_end, length, attempt.sample_rate), torch.Generator().manual_seed(1)
    iq = torch.randn(count, length, generator=draw, dtype=torch.complex64)
    iq[1] = 0.01  # an instance with nearly all of its power in one sample
    iq[1, length // 2] = length**0.5
    iq = iq / iq.abs().square().mean(1, keepdim=True).sqrt()
    draws = torch.rand(count, bound.draws, generator=draw)
    where = (np.arange(count) + 0.5) / count
    drawn = {name: v.at(where) if isinstance(v, Distribution) else where * 0 + v for name, v in bound.numbers.items()}
    values = {name: torch.tensor(v, dtype=torch.float32)[:, None] for name, v in drawn.items()}

    def answer(rows: list[int]) -> torch.Tensor:
        given = {name: value[rows] for name, value in values.items()}
        made = bound(iq[rows].clone(), draws[rows].clone(), given)
        if not torch.isfinite(torch.view_as_real(made)).all():
            raise AmcError(f"front_end {front_end} gives samples that are not finite")
        return made

    every = answer([*range(count)])
    if not _equal(every, answer([*range(count)]), _SAME):
        raise AmcError(
            f"front_end {front_end} gives different samples for the same instances: draw random numbers from `uniform` "
            "only"
        )
    for rows in ([0], [3, 2, 1, 0]):
        if not _equal(every[rows], answer(rows), _CLOSE):
            raise AmcError(
                f"front_end {front_end} gives different samples for an instance if the rest of its batch changes: "
                "process each instance independently"
            )


def _try(attempt: Attempt) -> None:
    """Raise AmcError with what does not work of a network."""
    import torch

    torch.set_num_threads(1)
    draw = torch.Generator().manual_seed(1)
    signals = {n: torch.randn(2, 2, n, generator=draw) / 2**0.5 for n in attempt.lengths}
    x = signals[attempt.lengths[0]]
    network, other = _built(attempt, seed=1), _built(attempt, seed=2)
    (_train if attempt.model.spec.epochs else _fit)(attempt, network, x)
    network.eval()
    answer = _logits(attempt, network, x, "classifies two instances in evaluation")
    if not _equal(answer, _logits(attempt, network, x, "classifies them again"), _SAME):
        raise AmcError(
            f"{attempt} gives different logits for the same instances: in evaluation it must not draw random numbers"
        )
    _require_single(attempt, network, x, answer)
    _load(attempt, other, _saved(attempt, network))
    lost = (
        "its logits depend on something outside its state_dict, such as a forest or a tensor in a plain attribute; "
        "parameters, buffers, submodules and an extra state that is a tensor are saved"
    )
    try:
        with torch.inference_mode():
            same = _equal(answer, other.eval()(x), _SAME)
    except Exception as error:
        message = attempt.model.message(error)
        raise AmcError(f"{attempt} fails after its weights are saved and loaded ({message}): {lost}") from None
    if not same:
        raise AmcError(f"{attempt} gives different logits after its weights are saved and loaded: {lost}")
    for length in attempt.lengths[1:]:
        _logits(attempt, network, signals[length], f"classifies instances of {length} samples, which any_length allows")


def _built(attempt: Attempt, seed: int) -> torch.nn.Module:
    import torch

    architecture = attempt.model.architecture()
    torch.manual_seed(seed)
    values = attempt.hyperparameters
    network = _done(attempt, "is built", lambda: architecture(attempt.classes, attempt.lengths[0], **values))
    if not isinstance(network, torch.nn.Module):
        raise AmcError(f"{attempt.model} is not a torch.nn.Module: derive the class from torch.nn.Module")
    if any(torch.nn.parameter.is_lazy(weight) for weight in network.parameters()):
        raise AmcError(f"{attempt.model} has lazy layers, whose sizes are unknown when it is built: give their sizes")
    spec = attempt.model.spec
    if spec.epochs and not any(weight.requires_grad for weight in network.parameters()):
        raise AmcError(f"{attempt} has no weights to train")
    for name in (*(part for part in spec.parts if part != "statistics"), *spec.feature_maps):
        try:
            modules = [network.get_submodule(part) for part in name.split("+")]
        except AttributeError:
            raise AmcError(f"{attempt.model} has no submodule {name!r}, which parts or feature_maps names") from None
        if name in spec.parts and not any(weight.requires_grad for part in modules for weight in part.parameters()):
            raise AmcError(f"{attempt} has no weights in {name!r}, which parts names for retraining")
    normalising = any(isinstance(part, torch.nn.modules.batchnorm._BatchNorm) for part in network.modules())
    if "statistics" in spec.parts and not normalising:
        raise AmcError(f"{attempt} has no batch normalisation, whose statistics parts names")
    return network


def _fit(attempt: Attempt, network: torch.nn.Module, x: torch.Tensor) -> None:
    """One fit, to eight instances of every class."""
    import torch

    from amc_core.cumulants import magnitudes

    draw = torch.Generator().manual_seed(2)
    labels = torch.arange(8 * attempt.classes) % attempt.classes
    many = torch.randn(len(labels), 2, x.shape[-1], generator=draw) / 2**0.5
    with torch.inference_mode():
        features = _done(attempt, "computes features", lambda: getattr(network, "features", magnitudes)(many))
    if not isinstance(features, torch.Tensor) or features.ndim != 2 or len(features) != len(labels):
        raise AmcError(
            f"{attempt} computes features that are not a tensor of shape ({len(labels)}, …), one row for each instance"
        )
    _done(attempt, "is fitted", lambda: network.fit(features.numpy(), labels.numpy(), 0))


def _train(attempt: Attempt, network: torch.nn.Module, x: torch.Tensor) -> None:
    """One step of training."""
    import torch

    from amc_core.models.objective import scores_and_losses

    labels = torch.tensor([0, attempt.classes - 1])
    network.train()
    step = torch.optim.SGD(network.parameters(), lr=1e-3)
    _require_shape(attempt, _done(attempt, "classifies two instances in training", lambda: network(x)))
    _, losses = _done(attempt, "computes its loss", lambda: scores_and_losses(network, x, labels))
    _done(attempt, "computes gradients", lambda: losses.mean().backward())
    step.step()


def _logits(attempt: Attempt, network: torch.nn.Module, x: torch.Tensor, doing: str) -> torch.Tensor:
    import torch

    with torch.inference_mode():
        answer = _done(attempt, doing, lambda: network(x))
    _require_shape(attempt, answer)
    if not torch.isfinite(answer).all():
        raise AmcError(f"{attempt} gives logits that are not finite when it {doing}")
    return answer


def _require_shape(attempt: Attempt, answer: Any) -> None:
    import torch

    wanted = f"it has to give logits of shape (2, {attempt.classes}), one for each class"
    if not isinstance(answer, torch.Tensor) or not answer.is_floating_point():
        kind = answer.dtype if isinstance(answer, torch.Tensor) else type(answer).__name__
        raise AmcError(f"{attempt} gives {kind} for two instances: {wanted}")
    if tuple(answer.shape) != (2, attempt.classes):
        raise AmcError(f"{attempt} gives shape {tuple(answer.shape)} for two instances: {wanted}")


def _require_single(attempt: Attempt, network: torch.nn.Module, x: torch.Tensor, answer: torch.Tensor) -> None:
    """Raise AmcError if the logits of an instance depend on the other instance in its batch."""
    import torch

    batch = torch.cat([x[:1], 30 * x[1:].flip(-1)])
    beside = _logits(attempt, network, batch, "classifies another batch")[:1]
    if not _equal(answer[:1], beside, _CLOSE):
        raise AmcError(
            f"{attempt} gives different logits for an instance if the rest of its batch changes: in evaluation, "
            "classify each instance independently"
        )


def _saved(attempt: Attempt, network: torch.nn.Module) -> bytes:
    import torch

    state = network.state_dict()
    odd = next((name for name, value in state.items() if not isinstance(value, torch.Tensor)), None)
    if odd is not None:
        raise AmcError(
            f"{attempt.model}: {odd} in its state_dict is a {type(state[odd]).__name__}: only tensors are kept"
        )
    buffer = io.BytesIO()
    _done(attempt, "is saved", lambda: torch.save(state, buffer))
    return buffer.getvalue()


def _load(attempt: Attempt, network: torch.nn.Module, content: bytes) -> None:
    import torch

    def load() -> None:
        network.load_state_dict(torch.load(io.BytesIO(content), weights_only=True))

    _done(attempt, "has its weights loaded", load)


def _equal(one: torch.Tensor, other: torch.Tensor, tolerance: float) -> bool:
    return one.shape == other.shape and bool((one - other).abs().max() <= tolerance * (1 + one.abs().max()))


def _done(attempt: Attempt, doing: str, work: Callable[[], Any]) -> Any:
    """The result of `work`. Raises AmcError that says what was done and where it failed."""
    try:
        return work()
    except Exception as error:
        raise AmcError(f"{attempt} fails when it {doing}: {attempt.model.message(error)}") from None


if __name__ == "__main__":
    main()
