"""The stage that calls the user's own front end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from amc_core.distributions import Distribution
from amc_core.errors import AmcError
from amc_core.exactmath import square_root
from amc_core.front_end import FrontEnd
from amc_core.identity import stream
from amc_core.noise import power
from amc_core.quantities import whole
from amc_core.randomness import uniform
from amc_core.stages import Batch, Setting, Stage

_DRAWS = stream("front end")
_MOST_DRAWS = 1 << 24


class BoundFrontEnd:
    """The imported function of a front end, with the arguments that are the same for all instances of a setting.

    length: samples of an instance; sample_rate: Hz. Raises AmcError if the code is missing or cannot be imported, or if
    its number of draws is not a whole number.
    """

    def __init__(self, front_end: FrontEnd, length: int, sample_rate: float):
        self.front_end, self.function = front_end, front_end.load()
        self.fixed = {name: _listed(value) for name, value in front_end.parameters if not _is_number(value)}
        self.numbers = {name: value for name, value in front_end.parameters if _is_number(value)}
        if front_end.function.takes_rate:
            self.fixed["sample_rate"] = sample_rate
        draws = getattr(self.function, "draws", 0)
        self.draws = whole(self._call(draws, length) if callable(draws) else draws)
        if self.draws is None or not 0 <= self.draws <= _MOST_DRAWS:
            raise AmcError(
                f"front_end {front_end.name}: draws {draws!r} is not allowed: it has to be a whole number from 0 to "
                f"{_MOST_DRAWS:,}, or a function from the length to such a number"
            )

    def __call__(self, iq: torch.Tensor, draws: torch.Tensor, values: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """iq (batch, length) complex64, draws (batch, draws) float32, values (batch, 1) float32 each → like iq.

        Raises AmcError if the function fails, or gives anything but a complex tensor of that shape.
        """
        answer = self._call(self.function, iq, draws, **self.fixed, **values)
        wanted = f"it has to give a complex tensor of shape {tuple(iq.shape)}, that of its input"
        if not isinstance(answer, torch.Tensor) or not answer.is_complex():
            kind = answer.dtype if isinstance(answer, torch.Tensor) else type(answer).__name__
            raise AmcError(f"front_end {self.front_end} gives {kind}: {wanted}")
        if answer.shape != iq.shape:
            raise AmcError(f"front_end {self.front_end} gives shape {tuple(answer.shape)}: {wanted}")
        return answer.to(iq.dtype)

    def _call(self, function: Callable, *arguments: Any, **named: Any) -> Any:
        """The result of the user's own function. Raises AmcError that says where it failed."""
        try:
            return function(*arguments, **named)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            raise AmcError(f"front_end {self.front_end} fails: {self.front_end.function.message(error)}") from None


class OwnReceiver(Stage):
    """The user's own front end, applied to the received signal in units of the rms of each instance."""

    fields = ("front_end",)

    def __init__(self, setting: Setting):
        super().__init__(setting)
        scenario = setting.scenario
        self.bound = BoundFrontEnd(scenario.front_end, setting.length, scenario.sample_rate)

    def __call__(self, signal: torch.Tensor, batch: Batch) -> torch.Tensor:
        """(batch, 2, length) → (batch, 2, length)."""
        rms = square_root(power(signal))[:, None, None]
        i, q = (signal / rms).unbind(1)
        values = {
            name: batch.column(batch.draws.of(f"front end {name}", value))[:, 0]
            for name, value in self.bound.numbers.items()
        }
        answer = self.bound(torch.complex(i, q), uniform(batch.keys, batch.indices, _DRAWS, self.bound.draws), values)
        return torch.stack([answer.real, answer.imag], dim=1) * rms


def _is_number(value: Any) -> bool:
    """Is it given as a tensor: a number with a fraction, or a distribution?"""
    return isinstance(value, float | Distribution)


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
