"""Searches: what dimensions expand to and how they are refused, what is proposed, told, stopped and done again."""

import pickle
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import optuna
import pandas as pd
import pytest

from amc_core import AmcError
from analysis import load
from sweeps import search
from sweeps.engine.feed import Feed
from sweeps.engine.trial import compute
from sweeps.planning import Plan, make_plan
from sweeps.search import Search, best, objective, proposal_table, proposed, trials
from sweeps.search.liveness import driver_name
from sweeps.store import Store
from sweeps.study import load_study
from tests.sweeps.searching import BLOCKS, RATE, drive, states

# -- the space -----------------------------------------------------------------------------------------


def test_a_proposal_is_the_plain_study_of_its_values(search_file, study_file):
    searched = load_study(search_file(models=BLOCKS))
    values = {"models.classnet.blocks": 2, "models.classnet.cardinality": 1, "recipe.learning_rate": 0.005}
    plain = load_study(
        search_file(
            "plain",
            models="{classnet: {blocks: 2, width: 4, channels: 8, cardinality: 1}}",
            recipe="{epochs: 1, batch_size: 32, learning_rate: 5e-3}",
            search=None,
        )
    )
    proposal = searched.proposal(values)
    assert [run.key for run in proposal.runs()] == [run.key for run in plain.runs()]
    assert proposal.tests(proposal.runs()[0]) == plain.tests(plain.runs()[0])


def test_a_conditional_dimension_is_left_to_its_default_where_its_condition_does_not_hold(search_file):
    models = "{stn_resnext: {transform: {choice: [time, time_iq]}, localizer_constant: {choice: [identity, [0, 0, 0, 0, 1, 0]], when: {transform: time_iq}}}}"  # noqa: E501
    study = load_study(search_file(models=models, recipe="{epochs: 1}"))
    grid = study.space.grid()
    assert len(grid) == 3
    hyperparameters = [study.proposal(values).runs()[0].hyperparameters for values in grid]
    assert [entry["localizer_constant"][:2] for entry in hyperparameters] == [[0.7, -0.7], [1.0, 0.0], [0.0, 0.0]]


def test_of_several_models_one_is_chosen_and_brings_its_own_dimensions(search_file):
    study = load_study(search_file(models=f"[mod_lcnn, {BLOCKS}]", recipe="{epochs: 1}"))
    grid = study.space.grid()
    assert grid[0] == {"model": "mod_lcnn"} and len(grid) == 1 + 3 * 2
    assert {run.model for values in grid[1:] for run in study.proposal(values).runs()} == {"classnet"}


def test_a_scale_leaves_proposals_with_different_epochs_different(search_file):
    path = search_file(recipe="{epochs: {int: [10, 40]}}", scales="{smoke: {epochs: 4}}")
    study = load_study(path, "smoke")
    epochs = [study.proposal({"recipe.epochs": value}).runs()[0].recipe.epochs for value in (10, 40)]
    assert epochs == [1, 4]


def test_the_key_of_a_search_follows_from_what_is_searched_and_not_from_how_long(search_file):
    base = load_study(search_file()).key
    for same in ({"search": "{proposals: 9}"}, {"description": "words"}, {"resources": "{cpus_per_trial: 2}"}):
        assert load_study(search_file(**same)).key == base, same
    for other in (
        {"recipe": RATE.replace("1e-2", "1e-3")},
        {"recipe": RATE.replace("32", "16")},
        {"test": "{channel: [awgn, rician], upsampling: 4}"},
        {"search": "{proposals: 4, objective: accuracy}"},
        {"seeds": "[1]"},
    ):
        assert load_study(search_file(**other)).key != base, other
    assert load_study(search_file(), "paper").key != base


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"search": None}, ["recipe.learning_rate is a dimension", "search"]),
        ({"recipe": "{epochs: 1}"}, ["search", "nothing is searched"]),
        ({"models": "{classnet: {blocks: {int: [2, 11]}}}"}, ["models.classnet.blocks", "11", "from 1 to 10"]),
        ({"models": "{classnet: {block: {int: [2, 3]}}}"}, ["models.classnet.block", "no hyperparameter 'block'"]),
        (
            {"models": "{classnet: {blocks: {ints: [2, 3]}}}"},
            ["models.classnet.blocks", "'ints'", "did you mean 'int'"],
        ),
        (
            {"models": "{classnet: {blocks: {int: [3, 2]}}}"},
            ["models.classnet.blocks", "the lower value has to come first"],
        ),
        ({"models": "{classnet: {blocks: {int: [1, 2.5]}}}"}, ["models.classnet.blocks", "2.5", "whole number"]),
        ({"models": "{classnet: {blocks: {int: 3}}}"}, ["models.classnet.blocks", "int 3", "[2, 10]"]),
        ({"models": "{classnet: {blocks: {int: [2, 9], step: 2}}}"}, ["models.classnet.blocks", "step 2", "2 to 9"]),
        ({"models": "{classnet: {blocks: {choice: []}}}"}, ["models.classnet.blocks", "choice []"]),
        ({"models": "{classnet: {blocks: {choice: [2, 2]}}}"}, ["models.classnet.blocks", "twice"]),
        ({"models": "{classnet: {blocks: {choice: [2, six]}}}"}, ["models.classnet.blocks", "'six'"]),
        ({"models": "{classnet: {blocks: {}}}"}, ["models.classnet.blocks", "{choice: [value, …]}"]),
        ({"models": "{classnet: {blocks: {int: [1, 2], when: {width: 8}}}}"}, ["blocks", "the section has no width"]),
        (
            {"models": "{classnet: {width: 4, blocks: {int: [1, 2], when: {width: 8}}}}"},
            ["blocks", "width is 8", "never"],
        ),
        (
            {
                "models": "{classnet: {width: {int: [4, 8], when: {blocks: 2}}, "
                "blocks: {int: [2, 3], when: {width: 8}}}}"
            },
            ["models.classnet.width", "depends on itself"],
        ),
        ({"models": "[{classnet: {blocks: 1}}, {classnet: {blocks: 2}}]"}, ["models", "different names"]),
        ({"models": "{classnet: {blocks: {int: [1, 10]}}}"}, ["with models.classnet.blocks 10", "length 128", "1024"]),
        ({"recipe": "{learning_rate: {float: [0, 1], log: true}}"}, ["recipe.learning_rate", "0"]),
        ({"recipe": "{learning_rate: {float: [1e-3, 1e-2], log: 1}}"}, ["recipe.learning_rate", "log 1", "true"]),
        ({"recipe": "{learning_rate: {float: [1e-3, nan]}}"}, ["recipe.learning_rate", "'nan'", "a number"]),
        ({"recipe": "{label_fraction: {float: [0.1, 1.5]}}"}, ["recipe.label_fraction", "1.5", "to 1"]),
        (
            {"recipe": "[{learning_rat: {float: [0.1, 1.5]}}]"},
            ["recipe.0.learning_rat", "did you mean 'learning_rate'"],
        ),
        ({"transfer": "{recipe: {label_fraction: {float: [0, 1]}}}"}, ["transfer.0.recipe.label_fraction", "above 0"]),
        ({"transfer": "{recipe: {retrain: {choice: [head, stn_block]}}}"}, ["retrain", "stn_block", "mod_lcnn"]),
        ({"search": "{}"}, ["search.proposals", "missing"]),
        ({"search": "{proposals: 0}"}, ["search.proposals", "0"]),
        ({"search": "{proposal: 4}"}, ["search.proposal", "did you mean 'proposals'"]),
        ({"search": "{proposals: 4, sampler: bayes}"}, ["search.sampler", "'bayes'", "tpe"]),
        ({"search": "{proposals: 4, objective: loss}"}, ["search.objective", "'loss'", "unseen_accuracy"]),
        ({"search": "{proposals: 4, objective: [accuracy, accuracy]}"}, ["search.objective", "once"]),
        ({"search": "{proposals: 4, storage: results.db}"}, ["search.storage", "results.db"]),
        ({"search": "{sampler: grid}"}, ["recipe.learning_rate", "a step, or use choice"]),
        ({"search": "{proposals: 4, sampler: cmaes}"}, ["search.sampler", "cmaes", "at least two"]),
        ({"search": "{proposals: 4, pruner: asha}", "seeds": "[0, 1]"}, ["search.pruner", "asha", "2 runs"]),
        (
            {"search": "{proposals: 4, pruner: asha, objective: [accuracy, parameters]}"},
            ["search.pruner", "one objective"],
        ),
        ({"search": "{proposals: 4, pruner: median, objective: parameters}"}, ["search.pruner", "an accuracy"]),
        ({"test": "{channel: awgn}"}, ["search.objective", "unseen", "untrained"]),
        ({"train": "{rolloff: {float: [0.5, 2]}}"}, ["with train.rolloff 2", "rolloff 2"]),
        ({"train": "{rolloff: {uniform: [{float: [0.1, 0.4]}, 0.3]}}"}, ["with train.rolloff.low 0.4", "0.3"]),
        ({"train": "{rolloff: {uniform: [{int: [0, 1, 2]}, 1]}}"}, ["train.rolloff.low", "[0, 1, 2]"]),
        ({"length": "{choice: [128, 4]}"}, ["with length 4", "from 8 to"]),
        ({"models": "[{mod_lcnn: {}, recipe: {patience: {int: [0, 3]}}}]"}, ["models.mod_lcnn.recipe.patience", "0"]),
    ],
)
def test_a_bad_search_is_refused_in_one_sentence_before_any_work(search_file, changes, named):
    path = search_file(**changes)
    with pytest.raises(AmcError) as refusal:
        load_study(path)
    message = str(refusal.value)
    assert message.startswith(path) and "\n" not in message and len(message) < 1000
    for part in named:
        assert part in message, message


# -- the trials ----------------------------------------------------------------------------------------


def test_the_objective_is_what_the_tables_say(search_file, store):
    transfer = "{train: {channel: rician}, recipe: {label_fraction: {choice: [0.5, 1]}}, test: {channel: [awgn, rician, rayleigh], upsampling: [4, 8]}}"  # noqa: E501
    names = "[unseen_accuracy, accuracy, parameters]"
    study = load_study(search_file(transfer=transfer, search=f"{{proposals: 3, objective: {names}}}"))
    drive(study, store)
    table = proposal_table(study, store)
    assert list(table["state"]) == ["complete"] * 3
    everything = load("cells", store.path, proposed(study, store))
    runs = load("runs", store.path)
    for _, trial in table.iterrows():
        cells = everything[everything["run"] == trial["runs"]]
        assert len(cells) == 6 and set(cells["train_channel"]) == {"rician"} and (cells["parent"] != "").all()
        by_cell = cells.groupby("cell")[["correct", "n"]].sum().eval("correct / n")
        assert trial["accuracy"] == pytest.approx(by_cell.mean())
        # Trained on AWGN at L = 8, then on Rician at L = 8: rayleigh at both and L = 4 of the others are unseen.
        unseen = cells[(cells["test_channel"] == "rayleigh") | (cells["test_upsampling"] == 4)]
        by_cell = unseen.groupby("cell")[["correct", "n"]].sum().eval("correct / n")
        assert len(by_cell) == 4 and trial["unseen_accuracy"] == pytest.approx(by_cell.mean())
        assert trial["parameters"] == runs.set_index("run").loc[trial["runs"], "parameters"]


def test_extending_a_search_computes_the_additional_trials_and_nothing_else(search_file, store):
    first = drive(load_study(search_file()), store)
    more = load_study(search_file(search="{proposals: 6}"))
    second = drive(more, store)
    assert len(first) == 4 and len(second) == 2 and not set(first) & set(second)
    assert states(more, store) == ["complete"] * 6
    assert drive(more, store) == []


def test_relaunches_propose_what_a_search_without_interruption_does_not_repeat(search_file, tmp_path):
    values = []
    for trials_wanted in (2, 4, 6):
        study = load_study(search_file(search=f"{{proposals: {trials_wanted}, sampler: random}}"))
        drive(study, Store(tmp_path / "relaunched"))
    values = [trial.params["recipe.learning_rate"] for trial in trials(study, Store(tmp_path / "relaunched"))]
    assert len(set(values)) == 6
    drive(study, Store(tmp_path / "at once"))
    assert values == [trial.params["recipe.learning_rate"] for trial in trials(study, Store(tmp_path / "at once"))]


def test_what_the_store_holds_is_told_without_computing_anything(search_file, store):
    rates = [1e-4, 1e-3, 1e-2]
    plain = load_study(
        search_file("plain", recipe=f"{{epochs: 1, batch_size: 32, learning_rate: {rates}}}", search=None)
    )
    for plan in make_plan(plain, store).incomplete:
        list(compute(plan.run, plain.tests(plan.run), store))
    recipe = f"{{epochs: 1, batch_size: 32, learning_rate: {{choice: {rates}}}}}"
    study = load_study(search_file(recipe=recipe, search="{proposals: 20}"))
    feed = Feed(Plan(()), Search(study, store))
    assert not feed.has_work()  # duplicates cost nothing either
    assert states(study, store) == ["complete"] * 20
    assert {run.key for run in proposed(study, store).runs()} <= {run.key for run in plain.runs()}


@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes"])
def test_every_sampler_completes_its_trials(search_file, store, sampler):
    recipe = "{epochs: 1, batch_size: 32, learning_rate: {float: [1e-4, 1e-2], log: true}, label_fraction: {float: [0.5, 1], step: 0.25}}"  # noqa: E501
    study = load_study(search_file(recipe=recipe, models="hoc_svm", search=f"{{proposals: 5, sampler: {sampler}}}"))
    drive(study, store)
    assert states(study, store) == ["complete"] * 5
    assert {trial.params["recipe.label_fraction"] for trial in trials(study, store)} <= {0.5, 0.75, 1.0}


def test_the_grid_sampler_goes_through_exactly_the_grid(search_file, store):
    models = "[hoc_svm, {mod_lcnn: {}}]"
    recipe = "{epochs: 1, batch_size: 32, label_fraction: {float: [0.2, 1], step: 0.4}, keep: {choice: [best, last]}}"
    path = search_file(models=models, recipe=recipe, search="{sampler: grid}")
    study = load_study(path)
    drive(study, store, runs=3)
    drive(study, store)
    complete = [trial.params for trial in trials(study, store) if trial.state.name == "COMPLETE"]
    assert len(complete) == study.wanted == 2 * 3 * 2
    assert sorted(map(str, complete)) == sorted(map(str, study.space.grid()))


def test_a_run_that_fails_fails_its_proposal_and_the_search_goes_on(search_file, store):
    study = load_study(search_file(seeds="[0, 1]"))
    failing = []

    def fails(run) -> bool:
        failing[:] = failing or [run.key]
        return run.key in failing

    computed = drive(study, store, fails=fails)
    assert sorted(states(study, store)) == ["complete"] * 3 + ["failed"]
    assert computed.count(failing[0]) == 2  # attempts
    assert len(set(computed)) <= 2 + 3 * 2 and len(computed) - len(set(computed)) == 1
    failed = next(trial for trial in trials(study, store) if search.state(trial) == "failed")
    assert failing[0] in failed.user_attrs["failure"]
    drive(study, store)
    assert states(study, store).count("complete") == 4


def refusing(search_file, blocks: list[int], search: str) -> str:
    """A grid, of which one combination does not go together: seven blocks are too deep for the shortest length."""
    models = f"{{classnet: {{blocks: {{choice: {blocks}}}, width: 1, channels: 4}}}}"
    return search_file(models=models, recipe="{epochs: 1, min_length: {choice: [null, 64]}}", search=search)


def test_a_grid_is_complete_without_the_combinations_that_are_refused(amc, search_file, store):
    path = refusing(search_file, [1, 7], "{sampler: grid}")
    study = load_study(path)
    drive(study, store)
    for _ in range(2):
        assert sorted(states(study, store)) == ["complete"] * 3 + ["refused"]
        shown = amc("run", path, "--store", str(store.path))
        assert shown.returncode == 0 and "3 of 3 proposals complete, 1 refused." in shown.stdout, shown
    refused = next(trial for trial in trials(study, store) if search.state(trial) == "refused")
    assert "too short" in refused.user_attrs["failure"]
    assert "too short" in " ".join(amc("search", path, "--store", str(store.path)).stdout.split())


def test_a_part_of_a_grid_is_as_large_as_wanted_though_combinations_are_refused(search_file, store):
    study = load_study(refusing(search_file, [1, 7, 2], "{sampler: grid, proposals: 4}"))
    drive(study, store)
    assert states(study, store) == ["complete"] * 3 + ["refused", "complete"]


def test_a_combination_of_a_grid_that_two_drivers_have_tried_counts_once(search_file, store):
    study = load_study(search_file(models="[hoc_svm, mod_lcnn]", recipe="{epochs: 1}", search="{sampler: grid}"))
    first = Search(study, store)
    first.optuna.enqueue_trial({"model": "hoc_svm"})
    first.optuna.enqueue_trial({"model": "hoc_svm"})
    drive(study, store)
    assert states(study, store) == ["complete", "complete"] and Search(study, store).done == 1
    drive(study, store)
    assert [trial.params["model"] for trial in trials(study, store)] == ["hoc_svm", "hoc_svm", "mod_lcnn"]
    assert Search(study, store).done == 2 and not Search(study, store).wanted


def test_runs_that_proposals_share_are_computed_once(search_file, store):
    recipe = "{epochs: 1, batch_size: 32}"
    transfer = "{train: {channel: rayleigh}, recipe: {label_fraction: {choice: [0.25, 0.5, 1]}}}"
    study = load_study(search_file(recipe=recipe, transfer=transfer, search="{sampler: grid}"))
    computed = drive(study, store)
    assert len(computed) == len(set(computed)) == 1 + 3


@pytest.mark.parametrize("pruner", ["asha", "hyperband", "median"])
def test_pruning_stops_trials_that_do_badly_and_keeps_their_checkpoint(search_file, store, pruner, monkeypatch):
    monkeypatch.setattr("optuna.pruners.MedianPruner", lambda: optuna.pruners.PercentilePruner(50, n_startup_trials=1))
    recipe = "{epochs: 4, batch_size: 8, learning_rate: {choice: [3e-3, 1e-7, 1.1e-7, 1.2e-7, 1.3e-7]}}"
    study = load_study(search_file(recipe=recipe, instances="60", search=f"{{sampler: grid, pruner: {pruner}}}"))
    drive(study, store)
    found = states(study, store)
    assert found[0] == "complete" and set(found) == {"complete", "pruned"}
    assert found.count("pruned") >= (1 if pruner == "hyperband" else 3)  # hyperband spares a bracket
    pruned = {trial.user_attrs["runs"][0] for trial in trials(study, store) if search.state(trial) == "pruned"}
    assert store.training() == pruned
    assert not pruned & {run.key for run in proposed(study, store).runs()}
    assert drive(study, store) == []


def test_the_pareto_front_is_what_no_other_trial_dominates():
    def trial(*values, name="COMPLETE"):
        return SimpleNamespace(values=values, state=SimpleNamespace(name=name))

    study = SimpleNamespace(search=SimpleNamespace(objective=("unseen_accuracy", "parameters")))
    front = [trial(0.5, 100), trial(0.7, 200), trial(0.9, 900), trial(0.5, 100)]
    dominated = [trial(0.5, 101), trial(0.6, 200), trial(0.4, 100), trial(0.9, 901)]
    mixed = [dominated[0], front[0], front[1], dominated[1], dominated[2], front[2], dominated[3], front[3]]
    assert best(study, [*mixed, trial(1.0, 1, name="FAIL")]) == front
    single = SimpleNamespace(search=SimpleNamespace(objective=("parameters",)))
    assert best(single, [trial(300), trial(200), trial(250)])[0].values == (200,)


# -- the command ---------------------------------------------------------------------------------------


def test_a_driver_killed_in_mid_search_ends_with_exactly_the_trials_and_trains_nothing_twice(amc, search_file, store):
    path = search_file(
        recipe="{epochs: 12, batch_size: 16, learning_rate: {float: [1e-4, 1e-2], log: true}}", search="{proposals: 6}"
    )
    study = load_study(path)
    command = [sys.executable, "-m", "sweeps", "run", path, "--store", str(store.path)]
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while len(store.trained()) < 2 and driver.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    time.sleep(1)  # workers end with their driver
    before = {key: (store.path / "runs" / key / "run.json").stat().st_mtime_ns for key in store.trained()}
    assert 2 <= len(before) < 6 and "interrupted" in states(study, store)
    result = amc("run", path, "--store", str(store.path))
    assert result.returncode == 0, result.stderr
    assert "6 of 6 proposals complete" in result.stdout and "Best: proposal" in result.stdout
    assert states(study, store).count("complete") == 6 and "running" not in states(study, store)
    assert len(store.trained()) == 6
    for key, moment in before.items():
        assert (store.path / "runs" / key / "run.json").stat().st_mtime_ns == moment
    assert not store.training()  # what was begun was finished
    for trial in trials(study, store):
        if trial.state.name == "COMPLETE":
            assert trial.values == objective(study.proposal(trial.params), store, ("unseen_accuracy",))
    lost = next(iter(before))
    shutil.rmtree(store.path / "runs" / lost)  # of a trial that is complete, and stays so
    assert amc("run", path, "--store", str(store.path)).returncode == 0
    assert len(store.trained()) == 6
    assert states(study, store).count("complete") == 6


def test_run_sets_a_damaged_journal_aside_and_the_other_commands_say_so(amc, search_file, store):
    path = search_file(models="hoc_svm")
    drive(load_study(path), store)
    [journal] = (store.path / "searches").glob("*.journal")
    content = bytearray(journal.read_bytes())
    content[len(content) // 2] ^= 0x80
    journal.write_bytes(content)
    for command in ("search", "status", "plan", "results"):
        shown = amc(command, path, "--store", str(store.path))
        assert shown.returncode == 2 and "'amc run' sets it aside" in shown.stderr, shown
        assert shown.stderr.count("\n") == 1
    assert journal.read_bytes() == content
    again = amc("run", path, "--store", str(store.path))
    assert again.returncode == 0 and "4 of 4 proposals complete" in again.stdout
    assert again.stderr.count("\n") == 1 and f"set aside as {journal}.damaged-" in again.stderr
    assert amc("run", path, "--store", str(store.path)).stderr == ""


def test_run_ends_well_where_all_that_lacks_is_computed_by_another_driver(amc, search_file, store):
    path = search_file(models="hoc_svm")
    study = load_study(path)
    command = ("run", path, "--store", str(store.path))
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    try:
        Search(study, store).ask().trial.set_user_attr("driver", driver_name(other.pid))
        for _ in range(2):  # the second has nothing to do at all
            shown = amc(*command)
            assert shown.returncode == 0 and shown.stderr == "", shown
            assert "3 of 4 proposals complete, 1 running." in shown.stdout
            assert "1 proposal is being computed by another driver" in shown.stdout
        assert states(study, store) == ["running"] + ["complete"] * 3
    finally:
        other.kill()
        other.wait()


def test_looking_at_a_search_before_it_runs_writes_nothing(amc, search_file, store):
    for command in ("plan", "status", "search"):
        shown = amc(command, search_file(), "--store", str(store.path))
        assert shown.returncode == 0 and "0 of 4 proposals complete" in shown.stdout
    assert not store.path.exists()


def test_every_command_takes_the_runs_proposed_so_far(amc, search_file, store, tmp_path):
    path = search_file(models=BLOCKS, search="{proposals: 3, objective: [unseen_accuracy, parameters]}")
    drive(load_study(path), store)
    place, csv = ("--store", str(store.path)), tmp_path / "proposals.csv"
    shown = amc("search", path, *place, "--csv", str(csv))
    assert shown.returncode == 0 and "Pareto front: proposal" in shown.stdout and "optuna-dashboard" in shown.stdout
    front = [line for line in shown.stdout.splitlines() if line.startswith("Pareto front: ")]
    assert len({line.split(", ", 1)[1] for line in front}) == len(front)  # what is proposed twice is told once
    table = pd.read_csv(csv)
    assert list(table["proposal"]) == [0, 1, 2] and set(table["runs"]) == store.trained()
    assert table["models.classnet.blocks"].between(1, 3).all() and np.isfinite(table["unseen_accuracy"]).all()
    assert "3 runs trained" in amc("status", path, *place).stdout
    assert amc("results", path, *place).returncode == 0
    assert len(load("runs", store.path, path)) == 3 and len(load("cells", store.path, path)) == 3 * 4
    assert "12" in amc("query", "SELECT count(*) AS cells FROM cells", "--study", path, *place).stdout
    assert amc("figures", path, *place, "--to", str(tmp_path)).returncode == 0
    again = amc("run", path, *place)
    assert again.returncode == 0 and "3 of 3 proposals complete" in again.stdout
    refused = amc("search", search_file("plain", recipe="{epochs: 1}", search=None), *place)
    assert refused.returncode == 2 and "is not a search" in refused.stderr


def test_the_runs_of_a_search_that_are_named_last_are_those_after_transfer(search_file):
    study = load_study(search_file(transfer="{recipe: {retrain: head}}"))
    proposal = replace(study, proposals=study.ends)
    assert (
        len(proposal.runs()) == 4 and all(run.parent for run in proposal.last_runs()) and len(proposal.last_runs()) == 2
    )


def test_a_combination_of_a_grid_whose_objective_is_no_number_is_told_and_not_asked_for_again(
    search_file, store, monkeypatch, amc
):
    monkeypatch.setattr("sweeps.search.proposals.objective", lambda *arguments: [float("nan")])
    path = search_file(recipe="{learning_rate: {choice: [0.1, 0.01]}}", search="{sampler: grid, proposals: 2}")
    study = load_study(path)
    for left in (2, 1):
        search = Search(study, store)
        assert search.wanted and search.trials == left
        search.complete(search.ask())
    assert not Search(study, store).wanted and Search(study, store).trials == 0
    told = proposal_table(study, store)
    assert list(told["state"]) == ["refused"] * 2 and told["failure"].str.contains("objective is not a number").all()
    shown = amc("run", path, "--store", str(store.path))
    assert shown.returncode == 1 and "Refused, 2 proposals: its objective is not a number" in shown.stdout
    assert "Every combination of the grid was refused" in shown.stderr and "complete:" not in shown.stdout


def test_an_objective_of_tests_without_a_trained_modulation_is_refused(search_file, tmp_path):
    content = {(name, 10): np.ones((12, 2, 128), np.float32) for name in ("GMSK", "8QAM")}
    (tmp_path / "other.pkl").write_bytes(pickle.dumps(content, protocol=4))
    test = f"[{{recording: {tmp_path}/other.pkl, modulations: [GMSK, 8QAM]}}]"
    with pytest.raises(AmcError, match=r"search\.objective: .*has no test of a trained modulation"):
        load_study(search_file(test=test))
