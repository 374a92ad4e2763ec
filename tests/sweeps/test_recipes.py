"""Recipes and splits of the literature in studies."""

import json
import pickle

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from amc_core.errors import AmcError
from amc_core.recipes import RECIPES
from amc_core.recordings import write_radioml2018
from amc_core.recordings.hdf5 import RADIOML2018_CLASSES
from amc_core.run import Recipe
from analysis import load
from sweeps.engine.trial import compute
from sweeps.store import Store
from sweeps.study import SHIPPED, load_study
from sweeps.study.schema import study_schema
from sweeps.study.yaml12 import parse_yaml

STUDY = "models: [gru2, {mcldnn: {}, recipe: {like: mcldnn}}]\nrecipe: {like: amr_benchmark, batch_size: 200}\n"


def test_a_recipe_like_a_published_one_is_its_fields_but_for_those_given_and_has_the_key_of_these():
    gru2, mcldnn = load_study(STUDY).runs()
    assert (gru2.recipe.batch_size, gru2.recipe.patience, gru2.recipe.plateau_factor) == (200, 50, 0.5)
    assert (mcldnn.recipe.patience, mcldnn.recipe.plateau_factor, mcldnn.recipe.epochs) == (60, 0.8, 10_000)
    fields = RECIPES["amr_benchmark"] | {"batch_size": 200}
    [written] = load_study({"models": "gru2", "recipe": fields}).runs()
    assert written.key == gru2.key


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_of_the_literature_is_a_recipe(name):
    recipe = Recipe(**RECIPES[name])
    assert recipe.schedule == "plateau" and all(
        getattr(recipe, field) == value for field, value in RECIPES[name].items()
    )


def test_a_list_of_recipes_is_an_axis_and_an_unknown_one_is_refused():
    assert len(load_study("models: gru2\nrecipe: {like: [amr_benchmark, iqformer]}\n").runs()) == 2
    with pytest.raises(AmcError, match="recipe 'amr_bench' is not known; did you mean 'amr_benchmark'"):
        load_study("models: gru2\nrecipe: {like: amr_bench}\n")


def test_the_split_of_a_study_is_that_of_its_datasets_and_the_schema_knows_it():
    text = STUDY + "split: amr_benchmark\ntest: {}\n"
    study = load_study(text)
    [run, _] = study.runs()
    assert {run.dataset.split, *(test.split for test in study.tests(run))} == {"amr_benchmark"}
    assert not list(Draft202012Validator(study_schema()).iter_errors(parse_yaml(text)))


NAMES_10A = ("8PSK", "AM-DSB", "AM-SSB", "BPSK", "CPFSK", "GFSK", "PAM4", "QAM16", "QAM64", "QPSK", "WBFM")
PUBLIC = {
    "benchmark-radioml2016-10a": ("RML2016.10a_dict.pkl", 11, {"PET-CGDNN": "60.4 %", "IQFormer": "64.2 %"}),
    "benchmark-radioml2016-10b": ("RML2016.10b.dat", 10, {"PET-CGDNN": "63.8 %", "IQFormer": "65.7 %"}),
    "benchmark-radioml2018-01a": ("GOLD_XYZ_OSC.0001_1024.hdf5", 24, {"PET-CGDNN": "63.0 %"}),
}


@pytest.fixture(params=PUBLIC)
def public(request, tmp_path):
    """A public set's study, cut to two SNRs and a network, beside a small file in that set's layout; and its name."""
    name = request.param
    file, classes, _ = PUBLIC[name]
    content = parse_yaml((SHIPPED / f"{name}.yaml").read_text())
    x = np.random.default_rng(1).standard_normal((classes * 2 * 10, 2, content["length"])).astype(np.float32) / 100
    cells = [(place, snr_db) for place in range(classes) for snr_db in (0, 18)]
    parts = {cell: x[10 * n : 10 * n + 10] for n, cell in enumerate(cells)}
    if file.endswith(".hdf5"):
        write_radioml2018(tmp_path / file, [(part, *cell) for cell, part in parts.items()], RADIOML2018_CLASSES)
    else:
        names = [name for name in NAMES_10A if classes == 11 or name != "AM-SSB"]
        named = {(names[place], snr_db): part for (place, snr_db), part in parts.items()}
        (tmp_path / file).write_bytes(pickle.dumps(named))
    content |= {"snr_db": [0, 18], "instances": 10, "models": ["pet_cgdnn"]}
    content["recipe"] = {"like": "amr_benchmark", "epochs": 1}
    (tmp_path / f"{name}.yaml").write_text(json.dumps(content))
    return tmp_path / f"{name}.yaml", name


def test_the_studies_of_public_sets_run_on_files_in_their_layout_and_stand_beside_published_numbers(public, amc):
    path, name = public
    study, store = load_study(str(path)), Store(path.parent / "store")
    [run] = study.runs()
    assert run.dataset.scenario.normalisation == "none" and run.dataset.split == "amr_benchmark"
    list(compute(run, list(study.tests(run)), store))
    done = amc("compare", str(path), "--store", str(store.path))
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "PET-CGDNN on" in line or "PET-CGDNN" in line]
    assert any(PUBLIC[name][2]["PET-CGDNN"] in line for line in done.stdout.splitlines()) and lines
    cells = load("cells", store.path, str(path))
    assert cells["n"].sum() == PUBLIC[name][1] * 2 * 2 and set(cells["split"]) == {"amr_benchmark"}


@pytest.mark.parametrize("name", PUBLIC)
def test_the_studies_of_public_sets_have_the_recipes_of_their_networks_authors(name, tmp_path):
    content = parse_yaml((SHIPPED / f"{name}.yaml").read_text())
    content |= {"train": {}, "modulations": ["BPSK", "QPSK"]}
    recipes = {run.model: run.recipe for run in load_study(content).runs()}
    assert recipes["pet_cgdnn"] == Recipe(**RECIPES["amr_benchmark"])
    assert recipes["mcldnn"] == Recipe(**RECIPES["mcldnn"])
    assert recipes.get("iqformer") in (None, Recipe(**RECIPES["iqformer"]))
