"""Architecture and hyperparameter search: Optuna proposes values, and the store holds the runs of each proposal.

A search is an Optuna study in a storage of its own: a journal file in the store, unless the study names a database. A
proposal is a plain study; its objective is computed from the store once its runs are complete. If a driver died, its
unfinished proposals are made again, so the same command goes on from there.
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

_NAMED = ("COMPLETE", "RUNNING", "WAITING")  # states of the trials whose runs belong to a search study


def _stored(method):
    """`explained` around a method."""

    @wraps(method)
    def call(self, *arguments, **more):
        with explained(self.study, self.store):
            return method(self, *arguments, **more)

    return call


@dataclass(eq=False)
class Proposal:
    """Values for all dimensions, and the plain study that they result in."""

    trial: Any  # Optuna's
    values: Values
    study: Study
    missing: set[str] = field(default_factory=set)  # keys of its runs that are not complete yet


class Search:
    """A search opened to make more proposals: at most as many as were missing at the start.

    Raises AmcError if the storage cannot be used.
    """

    def __init__(self, study: SearchStudy, store: Store):
        self.study, self.store = study, store
        mend(study, store)
        self.optuna = open_trials(study, store)
        self.signed = -float("inf")  # when this driver last gave a sign of life
        self.looked = time.monotonic()  # when it last looked for dead drivers
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
        """The number of complete proposals, including those that a pruner stopped."""
        return self._count("COMPLETE", "PRUNED")

    @property
    @_stored
    def elsewhere(self) -> int:
        """The number of proposals that other drivers are computing."""
        seen, entries = self.optuna.user_attrs, self.optuna.get_trials(deepcopy=False)
        going = [t for t in entries if t.state.name != "RUNNING" or is_alive(t.user_attrs.get("driver"), seen)]
        return counted(self.study, going, "COMPLETE", "PRUNED", "RUNNING") - self.done

    @property
    def heading(self) -> str:
        """Progress and the best value so far; "" while the storage cannot be read, which `ask` will report."""
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
        """The next proposal; None if there is none, or if its values do not go together, which is then recorded."""
        from optuna.exceptions import UpdateFinishedTrialError

        self.show_life()
        self.left -= 1
        if self._grid and not self._count("WAITING") and not self._enqueue_from_grid():
            self.left = 0
            return None
        try:
            trial = self.optuna.ask()
            self.optuna.sampler = make_sampler(self.study, trial.number)  # it draws when values are asked for
            trial.set_user_attr("driver", driver_name(os.getpid()))
            values = self.study.space.choose(lambda dimension: _suggest(trial, dimension))
            try:
                study = self.study.proposal(values)
            except AmcError as error:
                self._refuse(trial, str(error))
                self.left += bool(self._grid)
                return None
            trial.set_user_attr("runs", [run.key for run in study.last_runs()])
        except UpdateFinishedTrialError:  # another driver took the trial before this one's name was on it
            self.left += 1
            return None
        return Proposal(trial, values, study)

    def show_life(self) -> None:
        """Now and then, give a sign of life and take over the proposals of dead drivers. To be called all the time."""
        if time.monotonic() - self.signed > SIGN_SECONDS:
            self.signed = time.monotonic()
            with suppress(AmcError):  # if the search cannot go on, `ask` will report it
                self._sign()
        if time.monotonic() - self.looked > LOOK_SECONDS:
            self.looked = time.monotonic()
            with suppress(AmcError):
                self.left += self._propose_again(own=driver_name(os.getpid()))

    @_stored
    def _sign(self) -> None:
        self.optuna.set_user_attr(driver_name(os.getpid()), time.time())

    def complete(self, proposal: Proposal) -> None:
        """Tell Optuna the objective of a proposal whose runs are all complete.

        If it is not a number, since no cell has a modulation that was trained, the values count as refused.
        """
        values = objective(proposal.study, self.store, self.study.search.objective)
        if all(map(math.isfinite, values)):
            self._tell(proposal.trial, "COMPLETE", values)
        else:
            self._refuse(proposal.trial, "its objective is not a number: no test has a modulation that was trained")

    @_stored
    def put_back(self, proposal: Proposal) -> None:
        """Let an incomplete proposal wait, with its number, for the next launch to go on with it."""
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        with suppress(UpdateFinishedTrialError):  # another driver has it
            self.optuna._storage.set_trial_state_values(proposal.trial._trial_id, TrialState.WAITING)

    def fail(self, proposal: Proposal, reason: str) -> None:
        """Tell Optuna that a run of the proposal failed."""
        self._tell(proposal.trial, "FAIL", reason=reason)

    @_stored
    def prune(self, proposal: Proposal, epoch: int, accuracy: float) -> bool:
        """Report a validation accuracy to the pruner, if there is one; return whether it stopped the proposal."""
        from optuna.exceptions import UpdateFinishedTrialError

        if self.study.search.pruner == "none":
            return False
        try:
            proposal.trial.report(accuracy, epoch)
            if not proposal.trial.should_prune():
                return False
        except UpdateFinishedTrialError:  # another driver has it; the runs that this one has begun help it
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
        """Record that a trial's values were refused; a grid then has one combination less to try."""
        trial.set_user_attr("refused", True)
        self._tell(trial, "FAIL", reason=reason)
        if self._grid:
            self.trials = wanted(self.study, self.optuna.get_trials(deepcopy=False))

    @_stored
    def _count(self, *states: str) -> int:
        return counted(self.study, self.optuna.get_trials(deepcopy=False), *states)

    def _enqueue_from_grid(self) -> bool:
        """Enqueue the first combination that no trial has. The next launch tries failed ones again."""
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
        """Fail the trials whose driver is dead, and enqueue their values, which are proposed next.

        own: the name of this driver if its search is under way. Returns the number of such trials. Values are enqueued
        before their trial fails, so a crash in between loses none, and values that are there again are not enqueued.
        """
        seen, taken = self.optuna.user_attrs, 0
        for trial in self.optuna.get_trials(deepcopy=False):
            driver = trial.user_attrs.get("driver")
            left_alone = own is not None and driver in (own, None)  # None: a living driver has just begun it
            if trial.state.name == "RUNNING" and not left_alone and not is_alive(driver, seen):
                taken += 1
                values = trial_values(trial)
                later = self.optuna.get_trials(deepcopy=False)[trial.number + 1 :]  # another driver may do this as well
                if values and all(trial_values(other) != values for other in later):
                    self.optuna.enqueue_trial(values)
                self._tell(trial.number, "FAIL")
        return taken


def proposed(study: Study | Studies, store: Store) -> Study | Studies:
    """The study with the runs that its search, if it has one, has proposed so far, without those that were stopped.

    Reads the search's storage and writes nothing.
    """
    if not isinstance(study, SearchStudy):
        return study
    return replace(study, proposals=tuple(_studies(study, trials(study, store), _NAMED)))


def completed(study: Study | Studies, store: Store) -> Study | Studies:
    """As `proposed`, but only with the proposals whose objective is known."""
    if not isinstance(study, SearchStudy):
        return study
    return replace(study, proposals=tuple(_studies(study, trials(study, store), ("COMPLETE",))))


def trials(study: SearchStudy, store: Store) -> list:
    """Optuna's frozen trials of a search so far; [] if it has not begun."""
    opened = open_trials(study, store, begin=False)
    with explained(study, store):
        return with_ended(opened.get_trials(deepcopy=False), opened.user_attrs) if opened else []


def counted(study: SearchStudy, trials: list, *states: str) -> int:
    """How many trials are in these states. In a grid, where two trials may be alike, combinations are counted."""
    texts = [values_text(trial_values(trial)) for trial in trials if trial.state.name in states]
    return len(set(texts) if study.search.sampler == "grid" else texts)


def wanted(study: SearchStudy, trials: list) -> int:
    """How many trials a complete search has, without a grid's combinations that were refused."""
    if study.search.sampler != "grid":
        return study.wanted
    refused = {values_text(trial_values(trial)) for trial in trials if "refused" in trial.user_attrs}
    return min(study.wanted, len(study.space.grid()) - len(refused))


def state(trial: Any) -> str:
    """The state of a proposal in a word.

    If its driver died, it is "interrupted"; if its values do not go together, "refused".
    """
    if "refused" in trial.user_attrs:
        return "refused"
    if trial.state.name == "FAIL" or ENDED in trial.user_attrs:
        return "failed" if "failure" in trial.user_attrs else "interrupted"
    return trial.state.name.lower()


def proposal_table(study: SearchStudy, store: Store):
    """A data frame of a search's proposals: number, state, "best", objectives, dimensions, last runs, failure.

    A dimension that does not apply to a proposal is None there.
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
            with suppress(AmcError, KeyError, StopIteration):  # a driver died before all values were drawn
                if set(values) == set(study.space.choose(lambda dimension, values=values: values[dimension.name])):
                    studies[values_text(values)] = study.proposal(values)
    return list(studies.values())


def trial_values(trial: Any) -> Values:
    """The values of a trial, including those that it was enqueued with and has not taken yet."""
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
