"""Classifiers of scikit-learn on cumulants: what they take, what they reach, and that they are kept as data."""

import io
import pickle
import zipfile

import numpy as np
import pytest
import skops.io
import torch

from amc_core import AmcError, Scenario, build_model
from amc_core.instances import Instances
from amc_core.models import scikit, validate_hyperparameters
from amc_core.run import Dataset, Run
from amc_core.training import new_model, train

DATASET = Dataset(Scenario(), ("BPSK", "QPSK", "16QAM"), (15.0,), 100, 256)
CLASSIFIERS = {
    "sklearn.tree.DecisionTreeClassifier": {"max_depth": 5},
    "sklearn.neighbors.KNeighborsClassifier": {"n_neighbors": 3},
    "sklearn.ensemble.RandomForestClassifier": {"n_estimators": 20},
    "sklearn.ensemble.GradientBoostingClassifier": {"n_estimators": 10},
    "sklearn.ensemble.HistGradientBoostingClassifier": {"max_iter": 10},
    "sklearn.svm.LinearSVC": {"C": 2},
    "sklearn.neural_network.MLPClassifier": {"hidden_layer_sizes": [8], "solver": "lbfgs"},
}


def run(classifier: str = scikit.USUAL, seed: int = 0, **values) -> Run:
    return Run("hoc", DATASET, seed=seed, hyperparameters={"classifier": classifier, **values})


@pytest.mark.parametrize("path", CLASSIFIERS)
def test_it_is_well_above_chance_and_answers_the_same_after_saving_and_loading(path):
    trained = run(path, **CLASSIFIERS[path])
    [state] = train(trained)
    assert state["epochs"][-1]["validation_accuracy"] > 0.7  # chance is a third
    buffer = io.BytesIO()
    torch.save(state["kept"], buffer)
    kept = torch.load(io.BytesIO(buffer.getvalue()), weights_only=True)
    x = Instances(DATASET, "test").make(torch.arange(3), torch.zeros(3, dtype=torch.int64), torch.tensor([90, 91, 92]))
    first, second = new_model(trained), new_model(trained)
    assert not first(x).any()
    for network in (first, second):
        network.load_state_dict(kept)
    assert torch.equal(first(x), second(x)) and first(x).any() and first(x).dtype == torch.float32
    if hasattr(first.fitted, "predict_proba"):
        assert torch.allclose(first(x).exp().sum(1), torch.ones(3), atol=1e-4)


def test_the_same_training_has_the_same_bytes_and_another_seed_another_forest():
    kept = [next(train(run(n_estimators=5, seed=seed)))["kept"]["_extra_state"] for seed in (0, 0, 1)]
    assert torch.equal(kept[0], kept[1]) and not torch.equal(kept[0], kept[2])


def test_a_key_has_the_class_and_the_arguments_that_are_not_at_their_default():
    assert run().key == run(n_estimators=100).key == run(n_estimators="1e2").key
    others = [run(n_estimators=99), run("sklearn.tree.DecisionTreeClassifier"), run(max_features=1), run(max_depth=3)]
    assert len({run().key, *(other.key for other in others)}) == 5
    assert run(max_depth=3, criterion="gini").hyperparameters == {"classifier": scikit.USUAL, "max_depth": 3}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"n_estimator": 3}, "has no argument 'n_estimator' that a study can set; did you mean 'n_estimators'"),
        ({"n_estimators": 0}, "'n_estimators' parameter of RandomForestClassifier must be an int in the range"),
        ({"criterion": "guess"}, "'criterion' parameter"),
        ({"n_estimators": [3]}, "it must not be a list"),
        ({"random_state": 3}, "'random_state' that a study can set: it follows from the study's seeds"),
        ({"n_jobs": 3}, "changes no result"),
        ({"classifier": "os.system"}, "allowed is the path of a scikit-learn"),
        ({"classifier": "sklearn.ensemble._forest.RandomForestClassifier"}, "allowed is the path of a scikit-learn"),
        ({"classifier": "sklearn.ensemble.RandomForrestClassifier"}, "did you mean 'RandomForestClassifier'"),
        ({"classifier": "sklearn.linear_model.LinearRegression"}, "is not known"),
        ({"classifier": "sklearn.nothing.Classifier"}, "scikit-learn has no sklearn.nothing"),
        ({"classifier": "sklearn.ensemble.VotingClassifier"}, r"needs other estimators \(estimators\)"),
    ],
)
def test_what_scikit_learn_does_not_take_is_refused_when_it_is_planned(values, told):
    with pytest.raises(AmcError, match=told) as refused:
        validate_hyperparameters("hoc", values)
    assert "\n" not in str(refused.value)


def test_it_needs_instances_of_every_class():
    network = build_model("hoc", 3, 64)
    with pytest.raises(AmcError, match=r"labels without instances: 1"):
        network.fit(np.random.default_rng(0).normal(size=(6, 11)), np.array([0, 2] * 3), seed=0)


class Unknown:
    """What no store of ours would hold."""


def test_bytes_with_a_type_that_is_not_trusted_or_that_are_a_pickle_are_never_made_an_object():
    with pytest.raises(AmcError, match=r"types that are not trusted: .*test_hoc.Unknown"):
        scikit.loaded(scikit.USUAL, skops.io.dumps(Unknown()))
    for content in (pickle.dumps({}), b"PK", zipped({"schema.json": b"{}"})):
        with pytest.raises(AmcError, match="cannot be read"):
            scikit.loaded(scikit.USUAL, content)
    fitted = scikit.made("sklearn.tree.DecisionTreeClassifier", {}, 0).fit(np.eye(3), [0, 1, 2])
    with pytest.raises(AmcError, match="is a DecisionTreeClassifier, not a sklearn"):
        scikit.loaded(scikit.USUAL, scikit.dumped(fitted))


def zipped(files: dict[str, bytes]) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return whole.getvalue()
