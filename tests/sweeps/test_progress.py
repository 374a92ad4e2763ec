"""What a launch tells while it works: counts of runs and cells. No Ray is needed."""

import io
import re
import time
from collections import Counter

import numpy as np
from rich.console import Console

from amc_core.run import Dataset, Run
from amc_core.scenario import Mixture, Scenario
from sweeps.engine.progress import Progress, describe
from sweeps.planning import Plan, RunPlan, make_plan
from sweeps.store import Store
from sweeps.study import load_study

STUDY = """
modulations: [BPSK, QPSK]
snr_db: [0, 10]
instances: 20
length: 128
models: cnn1d
recipe: {{epochs: 4}}
seeds: [{seeds}]
train: {{channel: awgn}}
test: {{channel: [awgn, rayleigh, rician]}}
"""


def plan_of(folder, seeds, more=""):
    (folder / "study.yaml").write_text(STUDY.format(seeds=", ".join(map(str, range(seeds)))) + more)
    return make_plan(load_study(str(folder / "study.yaml")), Store(folder / "store"))


def told(progress):
    """What the last line says of runs and cells."""
    return progress.console.file.getvalue().splitlines()[-1].partition(" · ")[2].removesuffix(" · started")


def test_counts_follow_what_trials_report(tmp_path):
    first, second, third, fourth = plan_of(tmp_path, 4).runs
    complete = RunPlan(fourth.run, True, fourth.cells, fourth.missing.without(fourth.missing.keys))
    with Progress(Plan((first, second, complete)), Console(file=io.StringIO())) as progress:
        progress.advance(first.run.key, 2, 0, 0.5)
        assert progress.sums["done"] == 3 * (4 * 64) / 2  # half of training, of which an instance counts as three
        progress.advance(first.run.key, 4, 1, 0.5)
        assert progress.sums["done"] == 3 * (4 * 64) + 8
        progress.finish(first.run.key)
        assert told(progress) == "runs 2/3 · cells 6/9 · best on validation: cnn1d 50.0%"
        progress.add((third,))
        progress.advance(third.run.key, 1, 0, 0.5)
        progress.prune(third.run.key)
        progress.finish(third.run.key)
        assert told(progress) == "runs 2/4 · cells 6/12 · 1 pruned · best on validation: cnn1d 50.0%"
        progress.best = None
        progress.fail(second.run.key, "Traceback\nValueError: no")
        assert told(progress) == "runs 2/4 · cells 6/12 · 1 pruned · 1 failed"
        assert progress.failures == {second.run.key: "ValueError: no"}
        assert progress.sums["done"] == progress.sums["work"]
        more = first.missing.without({first.missing[2].key})
        progress.add((RunPlan(complete.run, True, 5, more),))  # more cells of a known run
        progress.advance(complete.run.key, 4, 1, 0.75)
        assert progress.sums["trained"] == 2  # as before: only cells of it were missing
        progress.finish(complete.run.key)
        assert told(progress) == "runs 2/4 · cells 8/14 · 1 pruned · 1 failed · best on validation: cnn1d 75.0%"


def test_what_was_to_start_from_a_failed_run_is_no_work_to_come(tmp_path):
    plan = plan_of(tmp_path, 2, "\ntransfer: [{train: {channel: rician}}, {train: {channel: rayleigh}}]")
    first, second = (entry for entry in plan.runs if entry.run.parent is None)
    with Progress(plan, Console(file=io.StringIO())) as progress:
        progress.finish(first.run.key)
        progress.fail(second.run.key, "no")
        states = Counter(trial.state for trial in progress.trials.values())
        assert states == {"failed": 1, "finished": 1, "orphaned": 3, "waiting": 3}
        half = progress._fraction()
        assert 0.5 < half < 0.9  # of the first, three are to come
        progress.advance(next(k for k, t in progress.trials.items() if t.state == "waiting"), 4, 0, 0.5)
        assert progress._fraction() > half


def test_when_nothing_is_left_no_line_says_that_a_launch_has_started(tmp_path):
    plan = plan_of(tmp_path, 2)
    with Progress(plan, Console(file=io.StringIO())) as progress:
        progress.finish(plan.runs[0].run.key)
        assert progress._summary().endswith(" · starting")
        progress.advance(plan.runs[1].run.key, 4, 2, 0.5)
        assert progress._summary().endswith(" · started")
        progress.finish(plan.runs[1].run.key)
        assert progress._summary() == "runs 2/2 · cells 6/6 · best on validation: cnn1d 50.0%"


def test_a_terminal_of_80_columns_shows_the_bar_and_all_that_is_told(tmp_path):
    plan = plan_of(tmp_path, 3)
    console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system="truecolor")
    with Progress(plan, console) as progress:
        progress.live.stop()
        progress.advance(plan.runs[0].run.key, 2, 0, 0.5)
        with console.capture() as shown:
            console.print(progress._render())
    lines = [re.sub("\x1b\\[[0-9;]*m", "", line).rstrip() for line in shown.get().splitlines()]
    assert set(lines[0]) <= set("━╸╺ ") and lines[1] == "runs 0/3 · cells 0/9 · started"
    assert lines[2].startswith("  epoch 2/4, cells 0/3, accuracy 50.0%: cnn1d (") and len(lines) == 3


def test_a_report_costs_the_same_in_a_study_of_any_size(tmp_path):
    def seconds(runs):
        plan = plan_of(tmp_path, runs)
        with Progress(plan, Console(file=io.StringIO())) as progress:
            taken = []
            for entry in plan.runs[:50]:
                start = time.perf_counter()
                progress.finish(entry.run.key)
                taken.append(time.perf_counter() - start)
        return np.median(taken)

    assert seconds(2000) < 5 * seconds(50)


def test_a_run_is_described_by_what_its_fields_are_called_and_by_those_that_it_changes():
    scenario = Scenario("rician", "32/3", sample_rate=1e5, timing_offset={"uniform": [0, 1]}, quantiser_bits=4)
    run = Run("cnn1d", Dataset(scenario, ("BPSK", "QPSK"), (0,), 10), seed=2)
    words = "rician, L = 10.67, α = 0.35, sample rate 100 kHz, timing offset uniform(0, 1) symbols, quantiser bits 4"
    assert describe(run) == f"cnn1d ({words}), seed 2, run {run.key}"
    parts = (Scenario("rician"), Scenario("rician", sample_rate=6e5), Scenario("rayleigh", sample_rate=6e5))
    mixed = Run("cnn1d", Dataset(Mixture(parts, (1, 1, 1)), ("BPSK", "QPSK"), (0,), 10))
    words = "rician + rayleigh, L = 8, α = 0.35, sample rate 200 + 600 kHz"
    assert describe(mixed) == f"cnn1d ({words}), seed 0, run {mixed.key}"
