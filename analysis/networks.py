"""Trained networks from a store, ready for use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from amc_core.errors import AmcError
from amc_core.models import build_model, model_spec
from amc_core.own import OwnModel
from analysis.choose import choose_one
from analysis.results import Results
from sweeps.store import RunRecord, Store
from sweeps.study.code import require_code

if TYPE_CHECKING:
    import numpy as np
    import torch

_BATCH = 256  # instances at a time


@dataclass(frozen=True)
class TrainedNetwork:
    """A finished run's network: key and record of the run, and the network in evaluation mode with its weights.

    model: a name in `MODELS`, or an `OwnModel`. network: (batch, 2, length) float32, rows I and Q, scaled by
    `normalisation` → (batch, classes) scores, whose softmax are probabilities.
    """

    key: str
    record: RunRecord
    model: str
    network: torch.nn.Module

    @property
    def classes(self) -> tuple[str, ...]:
        """Its modulations, in the order of its scores."""
        return self.record.dataset.modulations

    @property
    def length(self) -> int:
        """Samples of its training instances; the longest length if there were several."""
        return self.record.dataset.length

    @property
    def normalisation(self) -> str:
        """The scaling of its training instances, as in `Scenario`: usually "power", to unit mean power."""
        scalings = {scenario.normalisation for scenario in self.record.dataset.scenario.components}
        return scalings.pop() if len(scalings) == 1 else "power"

    def require_length(self, length: int) -> None:
        """Raise AmcError if the network does not take instances of `length` samples."""
        spec = model_spec(self.model)
        if length != self.length and not spec.any_length:
            raise AmcError(f"length {length} is not allowed: {self.model} takes {self.length} samples, as in training")
        if length < spec.min_length:
            raise AmcError(f"length {length} is too short: {self.model} needs at least {spec.min_length} samples")

    def probabilities(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, 2, length) float32 → (batch, classes) float32 that add up to 1."""
        import torch

        with torch.inference_mode():
            return torch.cat([self.network(part).float().softmax(1) for part in x.split(_BATCH)])

    def probabilities_of(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(batch, 2, length) float32 → the largest probability of each and the index of its class: (batch,) each."""
        import torch

        values, classes = self.probabilities(torch.from_numpy(x)).max(1)
        return values.numpy(), classes.numpy()


def load_run(
    key: str = "",
    store: str | Path | Store = "results",
    code: Sequence[str | Path] | str | Path | None = None,
    *,
    where: str | None = None,
) -> TrainedNetwork:
    """The network of a finished run, with its weights and the names of its classes.

    key: of the run, or its first digits; where: a condition over the table "runs", instead of the key or in addition.
    code: the files of the user's own network, which are imported only here and must have the content that trained it.
    Raises AmcError if no run or several runs match, for a classifier without weights, and for code with another
    content.
    """
    results, files = Results(None, store), [code] if isinstance(code, str | Path) else list(code or ())
    for file in files:
        if not Path(file).is_file():
            raise AmcError(f"code: {str(file)!r} is no file; name the files of the network that you trained")
    key = choose_one(results, key, where)
    folder = results.store.run(key)
    record = results.store.records([key])[key]
    model: str = record.model
    if record.code:
        texts = folder.code()
        model = OwnModel(record.model, texts)
        if not texts or model.digest != record.code:
            raise AmcError(f"run {key} has lost the code of {record.model}: 'amc run' of its study computes it again")
        require_code(model, files)
    if model_spec(model).knows_setting:
        raise AmcError(f"{model} has no weights to load: it computes from the known setting of every instance")
    network = build_model(model, len(record.dataset.modulations), record.dataset.length, **record.hyperparameters)
    network.load_state_dict(folder.weights())
    return TrainedNetwork(key, record, model, network.eval().requires_grad_(False))
