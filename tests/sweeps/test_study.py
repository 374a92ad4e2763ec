"""Study files: what they expand to, and how they are refused."""

import copy
import os
import pickle
import random

import pytest
import yaml

from amc_core import AmcError, Scenario
from sweeps.study import SHIPPED, SearchStudy, load_studies, load_study

_HUNDRED = f"[{', '.join(str(n / 200) for n in range(100))}]"
_FIELDS = ("rolloff", "timing_offset", "phase_offset", "carrier_offset")
HUGE_GRID = "{" + ", ".join(f"{field}: {_HUNDRED}" for field in _FIELDS) + "}"


def test_a_study_expands_to_models_by_training_scenarios_by_seeds(study_file):
    study = load_study(study_file(seeds="[0, 1]"))
    runs = study.runs()
    assert len(runs) == len({run.key for run in runs}) == 2 * 2 * 2
    assert all(len(study.tests(run)) == 4 for run in runs)


def test_fields_that_the_test_grid_leaves_out_are_those_of_training(study_file):
    study = load_study(study_file(test="{upsampling: [2, 4]}"))
    for run in study.runs():
        for test in study.tests(run):
            assert test.scenario.channel == run.dataset.scenario.channel


def test_a_list_of_grids_is_their_union_without_repetition(study_file):
    study = load_study(study_file(test="[{upsampling: [2, 4]}, {upsampling: [4, 8], rolloff: 0.35}, {rolloff: 0.25}]"))
    assert len(study.tests(study.runs()[0])) == 4


def test_the_key_depends_on_what_defines_a_run_and_on_nothing_else(study_file):
    def keys(**changes):
        return {run.key for run in load_study(study_file(**changes)).runs()}

    base = keys()
    assert keys(description="something else", test="{upsampling: 2}", resources="{cpus_per_trial: 2}") == base
    assert keys(train="{channel: [rayleigh, awgn], upsampling: 8.0}") == base
    for change in (
        {"instances": "30"},
        {"length": "256"},
        {"dataset_seed": "1"},
        {"seeds": "[1]"},
        {"modulations": "[16QAM, BPSK, GFSK]"},
        {"snr_db": "[0, 16]"},
        {"train": "{channel: [awgn, rayleigh], rolloff: 0.25}"},
    ):
        assert not keys(**change) & base, change


def test_a_recipe_changes_the_keys_of_networks_but_not_of_a_model_fitted_in_closed_form(study_file):
    first = {run.key: run.model for run in load_study(study_file()).runs()}
    second = {run.key: run.model for run in load_study(study_file(recipe="{epochs: 4, batch_size: 16}")).runs()}
    shared = set(first) & set(second)
    assert {first[key] for key in shared} == {"hoc_svm"} and len(shared) == 2


def test_a_scale_sets_instances_and_epochs(study_file):
    path = study_file(scales="{smoke: {instances: 12}}")
    assert load_study(path, "smoke").instances == 12
    assert load_study(path, "smoke").runs()[-1].recipe.epochs == 1
    assert load_study(path, "paper").instances == 1000
    assert not {run.key for run in load_study(path, "smoke").runs()} & {run.key for run in load_study(path).runs()}


def test_a_scale_takes_some_of_the_snrs_the_last_among_them(study_file):
    path = study_file(snr_db="{from: -6, to: 18, step: 2}", scales="{dense: {snr_stride: 3}}")
    assert load_study(path, "smoke").snrs_db == (-6, 2, 10, 18)
    assert load_study(path, "dense").runs()[0].dataset.snrs_db == (-6, 0, 6, 12, 18)
    assert load_study(path, "small").snrs_db == load_study(path).snrs_db == tuple(range(-6, 19, 2))
    assert load_study(study_file(snr_db="[3]"), "smoke").snrs_db == (3,)


def test_a_scale_shortens_every_stage_alike(study_file):
    path = study_file(recipe="{epochs: 80}", models="[mod_lcnn]", transfer="{recipe: {epochs: [20, 2]}}")
    assert [run.recipe.epochs for run in load_study(path, "small").runs()] == [20, 20, 5, 1, 5, 1]


def test_a_scale_makes_batches_smaller_in_proportion(study_file):
    path = study_file(recipe="{batch_size: [64, 256]}", models="[mod_lcnn]", transfer="{recipe: {batch_size: 512}}")
    batches = [sorted({run.recipe.batch_size for run in load_study(path, scale).runs()}) for scale in (None, "small")]
    assert batches == [[64, 256, 512], [16, 64, 128]]


def test_the_medium_scale_takes_new_instances_every_epoch_where_it_can(study_file):
    stages = "[{recipe: {retrain: head, label_fraction: 0.1}}, {recipe: {retrain: head}, after: training}]"
    runs = load_study(study_file(models="[mod_lcnn]", train="{channel: awgn}", transfer=stages), "medium").runs()
    recipes = [run.recipe for run in runs]
    assert [(recipe.fresh, recipe.schedule, recipe.keep) for recipe in recipes] == [
        *[(True, "cosine", "last"), (False, "cosine", "last"), (True, "cosine", "last")]
    ]
    assert {(recipe.epochs, recipe.batch_size) for recipe in recipes} == {(20, 64)}
    own = study_file(models="[mod_lcnn]", recipe="{fresh: false, keep: best}")
    recipe = load_study(own, "medium").runs()[0].recipe
    assert (recipe.fresh, recipe.schedule, recipe.keep) == (False, "cosine", "best")


def test_several_studies_have_what_they_share_once(study_file):
    first = study_file("first", test="{upsampling: [4, 8]}", models="[hoc_svm, mod_lcnn]")
    second = study_file("second", test="{upsampling: [8, 16]}", models="[mod_lcnn, cnn1d]")
    both = load_studies([first, second, first])
    assert [part.name for part in both.parts] == ["first", "second"]
    runs = both.runs()
    assert len({run.key for run in runs}) == len(runs) == 2 * 3  # in two channels
    upsamplings = {run.model: [test.scenario.upsampling for test in both.tests(run)] for run in runs}
    assert upsamplings == {"hoc_svm": [4, 8], "mod_lcnn": [4, 8, 16], "cnn1d": [8, 16]}
    assert load_studies([first]).runs() == load_study(first).runs()


def test_several_studies_take_what_the_largest_of_them_needs(study_file):
    first = study_file("first", resources="{cpus_per_trial: 2}")
    second = study_file("second", resources="{gpus_per_trial: 0.25}")
    resources = load_studies([first, second, study_file("third")]).resources
    assert (resources.cpus_per_trial, resources.gpus_per_trial) == (2, 0.25)


def test_a_pattern_names_shipped_studies_and_a_search_stands_alone(study_file):
    assert [part.name for part in load_studies(["p1-fig1[23]"]).parts] == ["p1-fig12", "p1-fig13"]
    with pytest.raises(AmcError, match="no shipped study is named like 'p9-\\*'"):
        load_studies(["p9-*"])
    with pytest.raises(AmcError, match="architecture-search is a search"):
        load_studies(["quickstart", "architecture-search"])


def test_lists_in_models_recipes_and_lengths_are_axes(study_file):
    path = study_file(
        models="[{stn_resnext: {blocks: [2, 3], localizer_constant: [paper, identity]}}, hoc_svm]",
        recipe="[{epochs: 3, learning_rate: [1e-3, 1e-2]}, {epochs: 5, label_fraction: 0.5}]",
        length="[64, 128]",
    )
    runs = load_study(path).runs()
    assert sum(run.model == "stn_resnext" for run in runs) == 2 * 2 * 3 * 2 * 2  # × the two channels
    assert sum(run.model == "hoc_svm" for run in runs) == 2 * 2 * 2  # of a recipe it heeds the fraction of labels alone
    six_numbers = load_study(study_file(models="{stn_resnext: {localizer_constant: [1, 0, 0, 0, 1, 0]}}")).runs()
    assert len(six_numbers) == 2


def test_zipped_axes_go_together(study_file):
    path = study_file(train="{zip: {upsampling: [4, 8], sample_rate: [100e3, 200e3]}, channel: [awgn, rician]}")
    scenarios = {run.dataset.scenario for run in load_study(path).runs()}
    assert {(s.upsampling, s.sample_rate) for s in scenarios} == {(4, 100e3), (8, 200e3)} and len(scenarios) == 4


def test_a_test_grid_may_vary_what_training_varies_and_the_rest_stays_the_same(study_file):
    path = study_file(train="{channel: [awgn, rician], upsampling: [4, 8]}", test="{vary: upsampling}")
    study = load_study(path)
    for run in study.runs():
        tests = [test.scenario for test in study.tests(run)]
        assert {s.upsampling for s in tests} == {4, 8} and {s.channel for s in tests} == {run.dataset.scenario.channel}


def test_a_mixture_is_one_training_set_tested_in_each_of_its_settings(study_file):
    train = "{rolloff: [0.2, 0.3], mixture: [{channel: awgn, weight: 3}, {channel: rician}]}"
    study = load_study(study_file(train=train, test="{upsampling: [4, 8]}", models="[mod_lcnn]"))
    runs = study.runs()
    assert [run.dataset.scenario.components[0].rolloff for run in runs] == [0.2, 0.3]
    settings = {(test.scenario.channel, test.scenario.upsampling) for test in study.tests(runs[0])}
    assert settings == {(channel, upsampling) for channel in ("awgn", "rician") for upsampling in (4, 8)}


def test_a_transfer_from_a_mixture_trains_on_a_mixture(study_file):
    mixture = "{mixture: [{channel: awgn, weight: 3}, {channel: rician}]}"
    study = load_study(study_file(train=mixture, models="[mod_lcnn]", transfer="{train: {upsampling: [4, 2]}}"))
    moved = [run.dataset.scenario for run in study.runs() if run.parent]
    assert [[part.upsampling for part in scenario.components] for scenario in moved] == [[4, 4], [2, 2]]
    assert all(scenario.weights == (0.75, 0.25) for scenario in moved)


def test_weights_of_a_mixture_count_in_proportion(study_file):
    def keys(weights):
        train = f"{{mixture: [{{channel: awgn, weight: {weights[0]}}}, {{channel: rician, weight: {weights[1]}}}]}}"
        return {run.key for run in load_study(study_file(train=train)).runs()}

    assert keys((3, 1)) == keys((6, 2)) != keys((2, 1))


def test_a_transfer_stage_starts_from_every_network_and_comes_after_it(study_file):
    transfer = "{train: {channel: rician}, recipe: {retrain: [all, head], label_fraction: 0.1}, test: {}}"
    study = load_study(study_file(transfer=transfer, seeds="[0, 1]"))
    runs = study.runs()
    stage = [run for run in runs if run.parent]
    assert len(runs) == 2 * 2 * 2 + 2 * 2 * 2  # models × channels × seeds, networks × channels × seeds × parts
    for run in stage:
        assert runs.index(run.parent) < runs.index(run)
        assert (run.model, run.seed, run.recipe.epochs) == ("mod_lcnn", run.parent.seed, 3)
        assert [test.scenario.channel for test in study.tests(run)] == ["rician"]
    assert len({run.key for run in stage}) == len(stage)


def test_the_test_datasets_of_a_pickled_study_are_the_same(study_file):
    study = load_study(study_file(transfer="{train: {rolloff: 0.2}}", test="[{upsampling: [2, 4]}, {rolloff: 0.25}]"))
    expected = {run.key: study.tests(run) for run in study.runs()}
    copy = pickle.loads(pickle.dumps(study))
    assert {run.key: copy.tests(run) for run in copy.runs()} == expected


def test_the_default_of_a_field_and_the_same_value_written_out_are_one_run(tmp_path):
    short, long = tmp_path / "short.yaml", tmp_path / "long.yaml"
    short.write_text("models: hoc_svm")
    long.write_text(
        "{models: hoc_svm, snr_db: {from: -6, to: 18, step: 2}, train: {upsampling: 8, phase_offset: 0}, seeds: [0]}"
    )
    first, second = (load_study(str(path)).runs() for path in (short, long))
    assert [run.key for run in first] == [run.key for run in second]


@pytest.mark.parametrize("place", ["models", "train: {channel", "snr_db"])
def test_a_document_that_grows_by_aliases_is_refused_at_once(tmp_path, place):
    layers = [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]" for k in range(1, 9)]
    bomb = "\n".join(["a0: &a0 [x, x, x, x, x, x, x, x, x]", *layers])
    path = tmp_path / "bomb.yaml"
    path.write_text(f"{bomb}\n{place}: *a8{'}' if '{' in place else ''}\n")
    with pytest.raises(AmcError, match="too large") as refusal:
        load_study(str(path))
    assert len(str(refusal.value)) < 1000


@pytest.mark.parametrize("name", ["x" * 300, "nul\0", ""])
def test_a_name_that_no_file_can_have_is_refused(name):
    with pytest.raises(AmcError):
        load_study(name)


@pytest.mark.parametrize("name", sorted(path.stem for path in SHIPPED.glob("*.yaml")))
def test_every_shipped_study_is_valid_or_names_the_recording_it_needs(name):
    for scale in (None, "smoke", "small", "paper"):
        if "radioml" in name:
            with pytest.raises(AmcError, match=r"train: '.*(RML2016|GOLD_XYZ)\S+' cannot be read"):
                load_study(name, scale)
        else:
            study = load_study(name, scale)
            named = study.ends if isinstance(study, SearchStudy) else study.runs()
            assert named and study.file.description


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"modells": "[cnn1d]"}, ["modells", "did you mean 'models'"]),
        ({"recipe": "{epoch: 3}"}, ["recipe", "'epoch'", "did you mean 'epochs'"]),
        ({"recipe": "{epochs: 0}"}, ["recipe", "epochs 0", "from 1"]),
        ({"recipe": "{learning_rate: .nan}"}, ["recipe", "learning_rate nan", "above 0"]),
        ({"recipe": "7"}, ["recipe", "7"]),
        ({"recipe": "{optimiser: sgd}"}, ["recipe", "optimiser 'sgd'", "adam, adamw"]),
        ({"recipe": "{label_fraction: [0.1, 2]}"}, ["recipe", "label_fraction 2", "to 1"]),
        ({"recipe": "{retrain: head}"}, ["retrain 'head'", "a run to start from"]),
        ({"recipe": "{min_length: 16}", "models": "[cnn1d]"}, ["min_length", "cnn1d", "one length"]),
        ({"recipe": "{min_length: 256}"}, ["min_length 256", "128"]),
        ({"recipe": "{fresh: 1}"}, ["recipe", "fresh 1", "true or false"]),
        (
            {"test_length": "64", "models": "[cnn1d]"},
            ["test_length", "cnn1d", "of its training's length"],
        ),
        ({"test_length": "32", "models": "[stn_resnext]"}, ["test_length", "32", "at least 64"]),
        ({"transfer": "{recipe: {retrain: stn_block}}"}, ["transfer.0", "retrain 'stn_block'", "mod_lcnn", "head"]),
        ({"transfer": "[{models: hoc_svm}]"}, ["transfer.0.models", "'hoc_svm'", "mod_lcnn"]),
        ({"transfer": "[{trian: {}}]"}, ["transfer.0.trian", "did you mean 'train'"]),
        ({"train": "{zip: {upsampling: [4, 8], rolloff: [0.2]}}"}, ["train", "upsampling has 2", "rolloff has 1"]),
        ({"train": "{mixture: [{channel: awgn}]}"}, ["train", "at least two"]),
        ({"train": "{mixture: [{weight: 0}, {channel: rician}]}"}, ["train", "weight 0", "1e-6"]),
        ({"test": "{mixture: [{channel: awgn}, {channel: rician}]}"}, ["test", "'mixture'"]),
        ({"test": "{vary: [rolloff]}"}, ["test", "vary", "'rolloff'", "train"]),
        ({"test": "{vary: channel, channel: awgn}"}, ["test", "channel", "twice"]),
        ({"train": "{rolloff: 0.2, mixture: [{rolloff: 0.1}, {rolloff: 0.3}]}"}, ["train", "rolloff", "twice"]),
        ({"recipe": "{fresh: true, label_fraction: 0.5}"}, ["recipe", "fresh", "label_fraction"]),
        ({"transfer": "{models: cnn1d}"}, ["transfer.0", "no run can start this stage"]),
        (
            {
                "train": "{channel: {name: own, path_delays: [0], path_gains_db: [0]}}",
                "test": "{channel: {name: own, path_delays: [0], path_gains_db: [0], max_doppler: 3}}",
            },
            ["two channels", "'own'"],
        ),
        ({"models": "[cnn1]"}, ["models", "'cnn1'", "cnn1d"]),
        ({"models": "[{stn_resnext: {block: 3}}]"}, ["models", "'block'", "blocks"]),
        ({"models": "[{stn_resnext: {blocks: 0}}]"}, ["models", "blocks", "0", "from 1"]),
        ({"models": "[]"}, ["models", "at least one"]),
        ({"models": "[cnn1d, cnn1d]"}, ["models", "twice"]),
        ({"models": None}, ["models", "missing"]),
        ({"modulations": "[BPSK, 16QUAM]"}, ["modulations", "'16QUAM'", "did you mean '16QAM'"]),
        ({"modulations": "complicated"}, ["modulations", "'complicated'", "complex"]),
        ({"modulations": "[BPSK]"}, ["modulations", "BPSK", "at least two"]),
        ({"modulations": "7"}, ["modulations", "complex"]),
        ({"modulations": "[[BPSK], QPSK]"}, ["modulations", "['BPSK']"]),
        ({"train": "{channel: {name: [1]}}"}, ["train", "name", "[1]", "letters"]),
        (
            {"train": "{channel: {name: awgn, path_delays: [0], path_gains_db: [0]}}"},
            ["'awgn'", "another name"],
        ),
        ({"train": "{channel: {path_delays: [0, 1e-6], path_gains_db: [0]}}"}, ["train", "differ in length"]),
        ({"train": "{rolloff: {uniform: [0.5, 0.1]}}"}, ["train", "rolloff", "the lower first"]),
        ({"train": "{phase_offset: {log_uniform: [-1, 1]}}"}, ["train", "phase_offset", "positive"]),
        ({"train": "{channel: raleigh}"}, ["train", "'raleigh'", "did you mean 'rayleigh'"]),
        ({"train": "{chanel: awgn}"}, ["train", "'chanel'", "did you mean 'channel'"]),
        ({"train": "{upsampling: 0}"}, ["train", "upsampling", "0", "from 1"]),
        ({"train": "{upsampling: [8, -2]}"}, ["train", "upsampling", "-2", "from 1"]),
        ({"test": "{rolloff: [0.35, 1.5]}"}, ["test", "rolloff", "1.5", "from 0 to 1"]),
        ({"test": "{upsampling: []}"}, ["test", "upsampling", "empty"]),
        ({"test": "[]"}, ["test", "empty"]),
        ({"test": "7"}, ["test", "7"]),
        ({"snr_db": "{from: 0, to: -6, step: 2}"}, ["snr_db", "from"]),
        ({"snr_db": "[loud]"}, ["snr_db", "'loud'", "number"]),
        ({"snr_db": "[]"}, ["snr_db", "at least one"]),
        ({"snr_db": "[.nan]"}, ["snr_db", "nan"]),
        ({"snr_db": "{from: 0.5, to: 1" + 400 * "0" + ", step: 1}"}, ["snr_db", "three numbers"]),
        ({"snr_db": "{from: -1.0e+308, to: 1.0e+308, step: 1.0e+306}"}, ["snr_db", "three numbers"]),
        ({"snr_db": "{from: 0, to: .inf, step: .inf}"}, ["snr_db", "three numbers"]),
        ({"instances": 500 * "9"}, ["instances", "999"]),
        ({"train": HUGE_GRID}, ["train", "100,000,000 scenarios"]),
        ({"instances": "9"}, ["instances", "9", "10"]),
        ({"length": "64", "models": "[cnn1d]"}, ["length", "64", "128"]),
        ({"seeds": "[0, 0]"}, ["seeds", "twice"]),
        ({"seeds": "[4294967296]"}, ["seeds", "4294967296"]),
        ({"resources": "{gpus_per_trial: 1.5}"}, ["resources.gpus_per_trial", "1.5", "whole"]),
        ({"resources": "{gpus_per_trial: -1}"}, ["resources.gpus_per_trial", "-1"]),
        ({"train": "{sample_rate: 2e6, channel: rayleigh_2}", "length": "16", "models": "[hoc_svm]"}, ["9 µs", "16"]),
    ],
)
def test_a_bad_study_is_refused_in_one_sentence_with_file_field_value_and_what_is_allowed(study_file, changes, named):
    path = study_file(**changes)
    with pytest.raises(AmcError) as refusal:
        load_study(path)
    message = str(refusal.value)
    assert message.startswith(path) and "\n" not in message
    assert len(message) < 1000
    for part in named:
        assert part in message, message


@pytest.mark.parametrize(
    "text", ["", "- 1", "models: [", "a: &x [*x]", "models: cnn1d\nmodels: vgg", "\x00", "? [1]: 2"]
)
def test_a_file_that_is_no_study_is_refused(tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(AmcError, match=r"bad\.yaml"):
        load_study(str(path))


def test_a_missing_study_is_refused_with_the_shipped_ones():
    with pytest.raises(AmcError, match="quickstart"):
        load_study("quickstrt")


def test_garbage_never_raises_anything_but_a_refusal(study_file, tmp_path):
    random.seed(1)
    good = open(study_file()).read()
    for trial in range(300):
        text = list(good)
        for _ in range(random.randint(1, 8)):
            text[random.randrange(len(text))] = random.choice("[]{}:,-#'\"&*!%@\n\t 09aé\x01")
        path = tmp_path / f"garbage{trial}.yaml"
        path.write_text("".join(text))
        try:
            load_study(str(path))
        except AmcError as refusal:
            assert all(len(line) < 1000 for line in str(refusal).splitlines())


RICH = """
modulations: [BPSK, 16QAM]
snr_db: {from: 0, to: 4, step: 2}
instances: 20
length: [128, 256]
test_length: [64]
models: [hoc_svm, mod_lcnn, {stn_resnext: {blocks: {int: [2, 4]}, transform: {choice: [time, time_iq]}}}]
recipe: [{epochs: 3, learning_rate: {float: [1e-4, 1e-2], log: true}}, {patience: 2, schedule: [cosine, step]}]
seeds: [0, 1]
train:
- zip: {upsampling: [4, 8], rolloff: [0.2, {uniform: [0.1, 0.5]}]}
- mixture: [{channel: awgn, weight: 2}, {channel: {name: own, path_delays: [0, 1e-6], path_gains_db: [0, -3]}}]
test: [{vary: upsampling, channel: [awgn, rician]}, {phase_offset: 0.1}]
transfer: [{models: mod_lcnn, train: {channel: rician}, recipe: {retrain: [all, head], label_fraction: 0.1}}]
scales: {tiny: {instances: 10, epochs: 1}}
resources: {cpus_per_trial: 1, gpus_per_trial: 0.5}
search: {proposals: 3, sampler: tpe, objective: [unseen_accuracy, parameters]}
"""
JUNK = (None, True, -1, 0, 1.5, 1e300, float("nan"), 10**30, "", "awgn", "10.67", "é\x00", [], {}, [[]], [None])
JUNK += ({"a": 1}, {"int": [1, 2]}, {"choice": []}, {"float": ["x", 1]}, {"uniform": [2, 1]}, {"mixture": []})


def test_studies_with_parts_replaced_removed_and_moved_never_raise_anything_but_a_refusal(tmp_path):
    draw, path, refused = random.Random(2), tmp_path / "study.yaml", 0
    trials = int(os.environ.get("AMC_TEST_FUZZ", 300))  # 10,000 take a few minutes
    for _ in range(trials):
        content = yaml.safe_load(RICH)
        for key in draw.sample(sorted(content), draw.randrange(len(content) - 2)):
            content.pop(key)
        for _ in range(draw.randint(1, 4)):
            places = list(parts(content))
            holder, key = draw.choice(places)
            kind = draw.random()
            if kind < 0.6:
                holder[key] = copy.deepcopy(draw.choice(JUNK))
            elif kind < 0.8:
                other, place = draw.choice(places)
                holder[key] = copy.deepcopy(other[place])
            elif isinstance(holder, dict):
                holder[draw.choice(["upsampling", "epochs", "models", "when", "", 7, None])] = holder.pop(key)
        path.write_text(yaml.safe_dump(content, allow_unicode=True))
        try:
            load_study(str(path))
        except AmcError as refusal:
            refused += 1
            assert all(len(line) < 1000 for line in str(refusal).splitlines())
    assert 0.5 * trials < refused < trials


def parts(content):
    """(holder, key) of every value in a document."""
    entries = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in list(entries):
        yield content, key
        yield from parts(value)


def test_a_stage_of_transfer_starts_from_every_run_above_it(study_file):
    stages = "[{train: {channel: rician}}, {train: {upsampling: 4}}]"
    study = load_study(study_file(models="[mod_lcnn]", train="{channel: awgn}", transfer=stages))
    assert [bool(run.parent and run.parent.parent) for run in study.runs()] == [False, False, False, True]
    assert study.runs()[3].dataset.scenario == Scenario(channel="rician", upsampling=4)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"transfer": "x"},
            "transfer.0: 'x' is not allowed: it has to be a mapping of its keys to values (known: name, mod",
        ),
        (
            {"resources": "3"},
            "resources: 3 is not allowed: it has to be a mapping of its keys to values (known: cpus_per_",
        ),
        ({"scales": "[a]"}, "scales: ['a'] is not allowed: it has to be a mapping of names to values"),
        ({"scales": "{a/b: {instances: 10}}"}, "scales: 'a/b' is not allowed: the name of a scale may have letters"),
        ({"scales": "{3: {instances: 10}}"}, "scales.3: 3 is not allowed: it has to be a text"),
        (
            {"scales": "{big: {snr_stride: 0}}"},
            "scales.big.snr_stride: 0 is not allowed: it has to be a whole number from 1",
        ),
        ({"scales": "{big: {instances: x}}"}, "scales.big.instances: 'x' is not allowed: it has to be a whole number"),
        ({"instances": "12.5"}, "instances: 12.5 is not allowed: it has to be a whole number"),
        ({"instances": "3"}, "instances: 3 is not allowed: it has to be a whole number from 10 to"),
        (
            {"instances": "99999999"},
            "instances: 99999999 is not allowed: it has to be a whole number from 10 to 10,000,000",
        ),
        ({"snr_db": "[high]"}, "snr_db.0: 'high' is not allowed: it has to be a number"),
        ({"snr_db": "yes"}, "snr_db.0: 'yes' is not allowed: it has to be a number from -200 to 200"),
        ({"seeds": "true"}, "seeds: (True,) is not allowed: no key here takes true or false"),
        ({"description": "3"}, "description: 3 is not allowed: it has to be a text"),
    ],
)
def test_a_value_of_a_wrong_type_is_refused_in_plain_words(study_file, changes, said):
    with pytest.raises(AmcError) as refused:
        load_study(study_file(**changes))
    assert said in str(refused.value) and "input should" not in str(refused.value)


# -- stages, and recipes of models ---------------------------------------------------------------------


def test_stages_have_the_names_that_the_study_gives_them_or_count(study_file):
    transfer = "[{train: {channel: rician}, name: indoors}, {train: {channel: rayleigh}}]"
    study = load_study(study_file(models="mod_lcnn", train="{}", transfer=transfer))
    stages = [(study.stage_of(run), run.dataset.scenario.channel) for run in study.runs()]
    assert stages == [("training", "awgn"), ("indoors", "rician"), *[("transfer-2", "rayleigh")] * 2]
    other = load_study(study_file("other", models="mod_lcnn", train="{}", transfer="{train: {channel: rician}}"))
    both = load_studies([study, other])
    assert {both.stage_of(run) for run in other.runs()} == {"training", "indoors"}


@pytest.mark.parametrize(("after", "parents"), [("training", ["training"]), ("[indoors, training]", None)])
def test_a_stage_may_start_from_the_runs_of_some_stages_alone(study_file, after, parents):
    stages = f"[{{train: {{channel: rician}}, name: indoors}}, {{train: {{channel: rayleigh}}, after: {after}}}]"
    study = load_study(study_file(models="mod_lcnn", train="{}", transfer=stages))
    starts = [study.stage_of(run.parent) for run in study.runs() if study.stage_of(run) == "transfer-2"]
    assert starts == (parents or ["training", "indoors"])
    late = "{train: {channel: rician}, after: outdoors, name: indoors}"
    with pytest.raises(AmcError, match=r"transfer: stage 'outdoors' is not known.*known: training"):
        load_study(study_file("late", models="mod_lcnn", train="{}", transfer=late))


def test_the_name_of_a_stage_changes_no_key_and_a_run_that_two_stages_name_is_of_the_first(study_file):
    transfers = ("[{train: {channel: rician}}]", "[{train: {channel: rician}, name: a}, {train: {channel: rician}}]")
    plain, named = (load_study(study_file(models="mod_lcnn", train="{}", transfer=text)) for text in transfers)
    assert [run.key for run in named.runs()][:2] == [run.key for run in plain.runs()]
    assert [named.stage_of(run) for run in named.runs()] == ["training", "a", "transfer-2"]


@pytest.mark.parametrize(
    ("transfer", "said"),
    [
        ("[{name: a}, {name: a}]", "two stages are named 'a'"),
        ("[{}, {name: transfer-1}]", "two stages are named 'transfer-1'"),
        ("[{name: training}]", "two stages are named 'training'"),
        ("[{name: a/b}]", "name 'a/b' of a stage is not allowed: it may have"),
        ("[{name: 3}]", "transfer.0.name: 3 is not allowed: it has to be a text"),
    ],
)
def test_a_bad_name_of_a_stage_is_refused(study_file, transfer, said):
    with pytest.raises(AmcError) as refused:
        load_study(study_file(models="mod_lcnn", transfer=transfer))
    assert said in str(refused.value)


def test_a_model_may_have_a_recipe_of_its_own_merged_over_that_of_the_study(study_file):
    models = "[{mod_lcnn: {}, recipe: {learning_rate: [1e-4, 1e-3], epochs: 6}}, lstm]"
    study = load_study(study_file(models=models, train="{}", recipe="{epochs: 3, batch_size: [16, 32]}"))
    recipes = [(r.model, r.recipe.learning_rate, r.recipe.epochs, r.recipe.batch_size) for r in study.runs()]
    own = [("mod_lcnn", rate, 6, size) for rate in (1e-4, 1e-3) for size in (16, 32)]
    assert recipes == [*own, ("lstm", 1e-3, 3, 16), ("lstm", 1e-3, 3, 32)]
    plain = load_study(study_file("plain", models="lstm", train="{}", recipe="{epochs: 3, batch_size: 16}"))
    assert study.runs()[4].key == plain.runs()[0].key


def test_a_scale_keeps_the_ratio_of_epochs_of_models_with_recipes_of_their_own(study_file):
    models = "[{mod_lcnn: {}, recipe: {epochs: 80}}, lstm]"
    study = load_study(study_file(models=models, train="{}", recipe="{epochs: 20}"), "small")
    assert [run.recipe.epochs for run in study.runs()] == [20, 5]


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ("[{mod_lcnn: {}, recipe: {rate: 1}}]", "recipe field 'rate' is not known"),
        ("[{mod_lcnn: {recipe: {epochs: 1}}}]", "the recipe of mod_lcnn has to be beside it, not in it"),
        ("[{mod_lcnn: {}, lstm: {}}]", "is not a model: write a name"),
        ("[{recipe: {epochs: 1}}]", "is not a model: write a name"),
    ],
)
def test_a_bad_recipe_of_a_model_is_refused(study_file, models, said):
    with pytest.raises(AmcError) as refused:
        load_study(study_file(models=models))
    assert said in str(refused.value)


def test_fields_that_need_each_other_are_given_together(study_file):
    noise = "impulsive_index: [0.1, 1], impulsive_ratio: 0.1"
    study = load_study(study_file(train=f"{{{noise}, amplifier_backoff_db: 3, amplifier_smoothness: 2}}", test="{}"))
    assert {run.dataset.scenario.impulsive_index for run in study.runs()} == {0.1, 1}
    with pytest.raises(AmcError, match=r"impulsive_index 0\.1 needs impulsive_ratio beside it"):
        load_study(study_file("alone", train="{impulsive_index: 0.1}"))
