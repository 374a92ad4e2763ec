"""Architecture and hyperparameter search: Optuna proposes, the store remembers what a proposal costs.

A search is an Optuna study of our own in a storage of its own, a journal file in the store unless the study names a
database. A proposal is a plain study; its objective is worked out from the store when its runs are complete. What a
driver that died left unfinished is proposed again, so the same command goes on from there.
"""

from __future__ import annotations

import json
import math
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any

from amc_core.errors import AmcError
from sweeps.search.liveness import ENDED, LOOK_SECONDS, SIGN_SECONDS, driver_name, is_alive, with_ended
from sweeps.search.objectives import best, objective
from sweeps.search.storage import explained, make_sampler, mend, open_trials
from sweeps.store import Store
from sweeps.study import SearchStudy, Studies, Study
from sweeps.study.space import Dimension, Values

_NAMED = ("COMPLETE", "RUNNING", "WAITING")  # states of the trials whose runs a search study names


def _stored(method):
    """`explained` around a method."""

    @wraps(method)
    def call(self, *arguments, **more):
        with explained(self.study, self.store):
            return method(self, *arguments, **more)

    return call


@dataclass(eq=False)
class Proposal:
    """Values for all dimensions, as the plain study that they make."""

    trial: Any  # Optuna's
    values: Values
    study: Study
    missing: set[str] = field(default_factory=set)  # keys of its runs that are still to be computed


class Search:
    """The proposals of a search, opened to make more of them; at most as many more as were missing at the start.

    Raises AmcError if the storage cannot be used.
    """

    def __init__(self, study: SearchStudy, store: Store):
        self.study, self.store = study, store
        mend(study, store)
        self.optuna = open_trials(study, store)
        self.signed = -float("inf")  # when this driver last gave a sign of life
        self.looked = time.monotonic()  # and looked for those of others
        self._propose_again()
        grid = study.space.grid() if study.search.sampler == "grid" else []
        self._grid = {values_text(values): values for values in grid}
        self.trials = wanted(study, self.optuna.get_trials(deepcopy=False))
        self.left = self.trials - self._count("COMPLETE", "PRUNED", "RUNNING")

    @property
    def wanted(self) -> bool:
        """Is another proposal to be made?"""
        return self.left > 0 and self._count("COMPLETE", "PRUNED", "RUNNING") < self.trials

    @property
    def done(self) -> int:
        """Proposals that are complete, those that a pruner stopped among them."""
        return self._count("COMPLETE", "PRUNED")

    @property
    @_stored
    def elsewhere(self) -> int:
        """Proposals that other drivers are computing."""
        seen, entries = self.optuna.user_attrs, self.optuna.get_trials(deepcopy=False)
        going = [t for t in entries if t.state.name != "RUNNING" or is_alive(t.user_attrs.get("driver"), seen)]
        return counted(self.study, going, "COMPLETE", "PRUNED", "RUNNING") - self.done

    @property
    def heading(self) -> str:
        """How far it is and what is best so far; empty while the storage cannot be read, which `ask` will report."""
        with suppress(AmcError):
            text = f"proposals {self.done}/{self.trials}"
            leaders = best(self.study, self.optuna.get_trials(deepcopy=False))
            if not leaders:
                return text
            if len(self.study.search.objective) > 1:
                return f"{text}, {len(leaders)} on the Pareto front"
            return f"{text}, best {leaders[0].values[0]:.4g}"
        return ""

    @_stored
    def ask(self) -> Proposal | None:
        """The next proposal; None where its values do not go together, which is recorded, or where there is none."""
        from optuna.exceptions import UpdateFinishedTrialError

        self.show_life()
        self.left -= 1
        if self._grid and not self._count("WAITING") and not self._enqueue_from_grid():
            self.left = 0
            return None
        try:
            trial = self.optuna.ask()
            self.optuna.sampler = make_sampler(self.study, trial.number)  # which draws when values are asked for
            trial.set_user_attr("driver", driver_name(os.getpid()))
            values = self.study.space.choose(lambda dimension: _suggest(trial, dimension))
            try:
                study = self.study.proposal(values)
            except AmcError as error:
                self._refuse(trial, str(error))
                self.left += bool(self._grid)
                return None
            trial.set_user_attr("runs", [run.key for run in study.last_runs()])
        except UpdateFinishedTrialError:  # a driver that began before the trial had its name on it has taken it
            self.left += 1
            return None
        return Proposal(trial, values, study)

    def show_life(self) -> None:
        """Tell others now and then that this driver lives, and take over from those that do not any more.

        To be called all the time.
        """
        if time.monotonic() - self.signed > SIGN_SECONDS:
            self.signed = time.monotonic()
            with suppress(AmcError):  # should the search not be able to go on, `ask` will say so
                self._sign()
        if time.monotonic() - self.looked > LOOK_SECONDS:
            self.looked = time.monotonic()
            with suppress(AmcError):
                self.left += self._propose_again(own=driver_name(os.getpid()))

    @_stored
    def _sign(self) -> None:
        self.optuna.set_user_attr(driver_name(os.getpid()), time.time())

    def complete(self, proposal: Proposal) -> None:
        """Tell Optuna the objective of a proposal, all of whose runs are complete.

        One that is no number, since no cell has a modulation that was trained, counts as a refusal of the values.
        """
        values = objective(proposal.study, self.store, self.study.search.objective)
        if all(map(math.isfinite, values)):
            self._tell(proposal.trial, "COMPLETE", values)
        else:
            self._refuse(proposal.trial, "its objective is no number: no cell has a modulation that was trained")

    @_stored
    def put_back(self, proposal: Proposal) -> None:
        """Let a proposal that is not complete wait, with its number, for the next launch, which goes on with it."""
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        with suppress(UpdateFinishedTrialError):  # another driver has it
            self.optuna._storage.set_trial_state_values(proposal.trial._trial_id, TrialState.WAITING)

    def fail(self, proposal: Proposal, reason: str) -> None:
        """Tell Optuna that a run of the proposal failed."""
        self._tell(proposal.trial, "FAIL", reason=reason)

    @_stored
    def prune(self, proposal: Proposal, epoch: int, accuracy: float) -> bool:
        """Report a validation accuracy to the pruner, if there is one; return whether it gave the proposal up."""
        from optuna.exceptions import UpdateFinishedTrialError

        if self.study.search.pruner == "none":
            return False
        try:
            proposal.trial.report(accuracy, epoch)
            if not proposal.trial.should_prune():
                return False
        except UpdateFinishedTrialError:  # another driver has it, which is spared what this one has begun
            return False
        self._tell(proposal.trial, "PRUNED")
        return True

    @_stored
    def _tell(self, trial: Any, state: str, values: list[float] | None = None, reason: str | None = None) -> None:
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        with suppress(UpdateFinishedTrialError):  # a driver on another machine took this one for dead
            if reason is not None:
                trial.set_user_attr("failure", reason.strip().splitlines()[-1][:500])
            self.optuna.tell(trial, values, TrialState[state], skip_if_finished=True)

    @_stored
    def _refuse(self, trial: Any, reason: str) -> None:
        """Record that a trial's values come to nothing; a grid, which tries each but once, has a combination less."""
        trial.set_user_attr("refused", True)
        self._tell(trial, "FAIL", reason=reason)
        if self._grid:
            self.trials = wanted(self.study, self.optuna.get_trials(deepcopy=False))

    @_stored
    def _count(self, *states: str) -> int:
        return counted(self.study, self.optuna.get_trials(deepcopy=False), *states)

    def _enqueue_from_grid(self) -> bool:
        """Enqueue the first combination that no trial has; one whose run failed is tried again by the next launch."""
        trials = self.optuna.get_trials(deepcopy=False)
        ours = driver_name(os.getpid())
        taken = {
            values_text(trial_values(trial))
            for trial in trials
            if trial.state.name != "FAIL" or "refused" in trial.user_attrs or trial.user_attrs.get("driver") == ours
        }
        untried = next((values for text, values in self._grid.items() if text not in taken), None)
        if untried is not None:
            self.optuna.enqueue_trial(untried)
        return untried is not None

    @_stored
    def _propose_again(self, own: str | None = None) -> int:
        """Fail the trials whose driver is dead, and enqueue their values, which the next driver is then given first.

        own: of a driver that is in the midst of its search. Returns how many there were. In this order a crash in
        between loses no values; and where they are there again, they are not enqueued twice.
        """
        seen, taken = self.optuna.user_attrs, 0
        for trial in self.optuna.get_trials(deepcopy=False):
            driver = trial.user_attrs.get("driver")
            left_alone = own is not None and driver in (own, None)  # which a living driver has just begun
            if trial.state.name == "RUNNING" and not left_alone and not is_alive(driver, seen):
                taken += 1
                values = trial_values(trial)
                later = self.optuna.get_trials(deepcopy=False)[trial.number + 1 :]  # another driver may do this as well
                if values and all(trial_values(other) != values for other in later):
                    self.optuna.enqueue_trial(values)
                self._tell(trial.number, "FAIL")
        return taken


def proposed(study: Study | Studies, store: Store) -> Study | Studies:
    """The study with the runs that its search, if it has one, has proposed so far; those given up are not among them.

    Reads the search's storage and writes nothing.
    """
    if not isinstance(study, SearchStudy):
        return study
    return replace(study, proposals=tuple(_studies(study, trials(study, store), _NAMED)))


def completed(study: Study | Studies, store: Store) -> Study | Studies:
    """As `proposed`, with the proposals whose objective is known alone."""
    if not isinstance(study, SearchStudy):
        return study
    return replace(study, proposals=tuple(_studies(study, trials(study, store), ("COMPLETE",))))


def trials(study: SearchStudy, store: Store) -> list:
    """Optuna's frozen trials of a search so far; none where it has not begun."""
    opened = open_trials(study, store, begin=False)
    with explained(study, store):
        return with_ended(opened.get_trials(deepcopy=False), opened.user_attrs) if opened else []


def counted(study: SearchStudy, trials: list, *states: str) -> int:
    """How many trials are in these states. In a grid two may be alike; then combinations are counted."""
    texts = [values_text(trial_values(trial)) for trial in trials if trial.state.name in states]
    return len(set(texts) if study.search.sampler == "grid" else texts)


def wanted(study: SearchStudy, trials: list) -> int:
    """How many trials complete a search; combinations of a grid that were refused are not among them."""
    if study.search.sampler != "grid":
        return study.wanted
    refused = {values_text(trial_values(trial)) for trial in trials if "refused" in trial.user_attrs}
    return min(study.wanted, len(study.space.grid()) - len(refused))


def state(trial: Any) -> str:
    """The state of a proposal in a word.

    One whose driver died before its end is "interrupted", one whose values do not go together "refused".
    """
    if "refused" in trial.user_attrs:
        return "refused"
    if trial.state.name == "FAIL" or ENDED in trial.user_attrs:
        return "failed" if "failure" in trial.user_attrs else "interrupted"
    return trial.state.name.lower()


def proposal_table(study: SearchStudy, store: Store):
    """A data frame of a search's proposals: number, state, "best", objectives, dimensions, last runs, why it failed.

    A dimension that does not apply to a proposal is missing there.
    """
    import pandas as pd

    proposals = trials(study, store)
    chosen = {trial.number for trial in best(study, proposals)}
    names = [dimension.name for dimension in study.space.dimensions]
    rows = []
    for trial in proposals:
        rows.append(
            [trial.number, state(trial), "best" if trial.number in chosen else ""]
            + (list(trial.values) if trial.state.name == "COMPLETE" else [None] * len(study.search.objective))
            + [trial_values(trial).get(name) for name in names]
            + [" ".join(trial.user_attrs.get("runs", ())), trial.user_attrs.get("failure", "")]
        )
    columns = ["proposal", "state", "best", *study.search.objective, *names, "runs", "failure"]
    return pd.DataFrame(rows, columns=columns, dtype=object)


def _studies(study: SearchStudy, trials: list, states: tuple[str, ...]) -> list[Study]:
    studies = {}
    for trial in trials:
        values = trial_values(trial)
        if trial.state.name in states and values_text(values) not in studies:
            with suppress(AmcError, KeyError, StopIteration):  # a driver died between its values
                if set(values) == set(study.space.choose(lambda dimension, values=values: values[dimension.name])):
                    studies[values_text(values)] = study.proposal(values)
    return list(studies.values())


def trial_values(trial: Any) -> Values:
    """The values of a trial, those included that it was enqueued with and has not taken yet."""
    return trial.system_attrs.get("fixed_params", {}) | trial.params


def values_text(values: Values) -> str:
    return json.dumps(values, sort_keys=True)


def _suggest(trial: Any, dimension: Dimension) -> Any:
    if dimension.kind == "choice":
        return trial.suggest_categorical(dimension.name, dimension.ends)
    if dimension.kind == "int":
        step = dimension.step or 1
        return trial.suggest_int(dimension.name, dimension.low, dimension.high, step=step, log=dimension.log)
    return trial.suggest_float(dimension.name, dimension.low, dimension.high, step=dimension.step, log=dimension.log)
