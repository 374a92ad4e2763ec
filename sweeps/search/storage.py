"""The storage of a search's proposals, a journal file in the store or a database, and the sampler and pruner."""

from __future__ import annotations

import warnings
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from amc_core.errors import AmcError
from sweeps.search.journal import mend_journal, open_journal
from sweeps.search.objectives import directions
from sweeps.store import Store
from sweeps.study import SearchStudy


@contextmanager
def explained(study: SearchStudy, store: Store):
    """Turn whatever a storage raises into an AmcError."""
    try:
        yield
    except AmcError:
        raise
    except Exception as error:  # databases, their drivers and the replay of a journal raise anything
        raise _unusable(location(study, store), error) from None


def location(study: SearchStudy, store: Store) -> str:
    """Where the proposals of a search are kept: a database's URL, or the path of a journal file."""
    if study.search.storage:
        return study.search.storage
    if "://" in str(store.path):
        raise AmcError(f"search.storage is missing: a search in store {str(store.path)!r} needs the URL of a database")
    return str(Path(store.path) / "searches" / f"{storage_name(study)}.journal")


def mend(study: SearchStudy, store: Store) -> str:
    """Set a damaged journal aside and go on with its readable lines. Returns what was done in words, or ""."""
    address = location(study, store)
    with explained(study, store):
        damage = None if "://" in address else mend_journal(Path(address), storage_name(study), directions(study))
    sentence = "it was damaged and is set aside as {}; lines that cannot be read: {}; all others stay in use"
    return sentence.format(*damage) if damage else ""


def storage_name(study: SearchStudy) -> str:
    return f"{study.name}-{study.key}"


def open_trials(study: SearchStudy, store: Store, begin: bool = True):
    """Optuna's study of a search. If there is none: with `begin` a new one, else None."""
    address = location(study, store)
    name = storage_name(study)
    file = None if "://" in address else address
    if address.startswith("sqlite:///"):
        file = address.removeprefix("sqlite:///")
    if not begin and file is not None and not Path(file).exists():
        return None
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings(), explained(study, store):
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        storage = optuna.storages.RDBStorage(address) if "://" in address else open_journal(Path(address))
        if not begin:
            with suppress(KeyError):  # not begun
                return optuna.load_study(study_name=name, storage=storage)
            return None
        opened = optuna.create_study(
            storage=storage,
            study_name=name,
            load_if_exists=True,
            directions=directions(study),
            pruner=make_pruner(study),
        )
        opened.set_metric_names(list(study.search.objective))
        return opened


def make_sampler(study: SearchStudy, number: int):
    """A sampler for only the trial of this number.

    Its seed depends on the number. Otherwise a second launch would draw what the first one drew, and drivers that ask
    at the same time would draw the same.
    """
    import optuna

    seed = int(np.random.SeedSequence([study.search.seed, number]).generate_state(1)[0])
    samplers = optuna.samplers
    if study.search.sampler == "tpe":
        return samplers.TPESampler(
            seed=seed, constant_liar=True
        )  # running trials count as bad, so that no two are alike
    if study.search.sampler == "cmaes":
        return samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
    return samplers.RandomSampler(seed=seed)


def make_pruner(study: SearchStudy):
    import optuna

    epochs = max(run.recipe.epochs for proposal in study.ends for run in proposal.runs())
    return {
        "none": optuna.pruners.NopPruner,
        "asha": lambda: optuna.pruners.SuccessiveHalvingPruner(min_resource=1),  # decides after epochs 1, 4, 16, …
        "median": optuna.pruners.MedianPruner,
        "hyperband": lambda: optuna.pruners.HyperbandPruner(max_resource=epochs),
    }[study.search.pruner]()


def _unusable(address: str, error: Exception) -> AmcError:
    """The error for a storage that raised `error`; a password in its URL is left out."""
    scheme, separator, rest = address.partition("://")
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    if not separator and not isinstance(error, (OSError, RuntimeError)):
        return AmcError(f"{address} is damaged ({reason}): 'amc run' sets it aside and goes on with its readable lines")
    address = f"{scheme}://{rest.rpartition('@')[2]}" if separator else address
    return AmcError(f"search storage {address!r} cannot be used: {reason}")
