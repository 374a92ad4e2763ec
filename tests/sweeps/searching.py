"""What tests of searches share: a driver without Ray."""

from ray.tune.search import Searcher

from sweeps import search
from sweeps.engine.feed import Feed
from sweeps.engine.trial import compute
from sweeps.planning import Plan
from sweeps.search import Search, trials

BLOCKS = "{classnet: {blocks: {int: [1, 3]}, width: 4, channels: 8, cardinality: {choice: [1, 2]}}}"
RATE = "{epochs: 1, batch_size: 32, learning_rate: {float: [1e-4, 1e-2], log: true}}"


def drive(study, store, runs: float = float("inf"), fails=lambda run: False) -> list[str]:
    """A launch without Ray, one run at a time, given up after so many `runs`; returns the keys of those computed."""
    feed, computed = Feed(Plan(()), Search(study, store)), []
    while (config := feed.suggest(str(len(computed)))) != Searcher.FINISHED:
        trial, run = str(len(computed)), config["run"]
        computed.append(run.key)
        if len(computed) > runs:
            return computed[:-1]
        if fails(run):
            feed.on_trial_complete(trial, error=True)
            continue
        for step in compute(run, study.proposal(dict(config["values"])).tests(run), store):
            if feed.prunes(trial, step):
                break
            feed.on_trial_result(trial, step)
        feed.on_trial_complete(trial, {})
    return computed


def states(study, store) -> list[str]:
    return [search.state(trial) for trial in trials(study, store)]
