"""Which runs are meant: by the first digits of a key, or by a condition."""

import pytest

from amc_core.errors import AmcError
from analysis import Results
from analysis.choose import choose, choose_one
from sweeps.engine.trial import compute
from sweeps.store import Store
from sweeps.study import load_study

STUDY = """
modulations: [BPSK, QPSK]
snr_db: [10]
instances: 10
length: 64
models: [hoc_svm, mod_lcnn]
recipe: {epochs: 1, batch_size: 16}
train: {channel: [awgn, rayleigh]}
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Four runs: two models, each trained in two channels."""
    store = Store(tmp_path_factory.mktemp("chosen") / "store")
    for run in load_study(STUDY).runs():
        list(compute(run, [], store))
    return store


def test_a_run_is_known_by_the_first_digits_of_its_key(store):
    keys = [run.key for run in load_study(STUDY).runs()]
    assert [choose_one(Results(None, store), key[:10]) for key in keys] == keys
    assert len(choose(Results(None, store))) == 4


def test_a_condition_over_the_table_of_runs_names_a_run_whatever_comment_or_quote_it_has(store):
    [run] = [r for r in load_study(STUDY).runs() if (r.model, r.dataset.scenario.channel) == ("mod_lcnn", "rayleigh")]
    where = "model = 'mod_lcnn' AND train_channel = 'rayleigh' -- the harder one"
    assert choose_one(Results(None, store), where=where) == run.key
    assert choose_one(Results(None, store), run.key[:6], where) == run.key


def test_of_several_runs_a_refusal_says_which_and_in_what_they_differ(store):
    with pytest.raises(AmcError) as refusal:
        choose_one(Results(None, store), where="model = 'mod_lcnn'")
    first, *lines = str(refusal.value).split("\n")
    assert first.startswith("2 runs match where model = 'mod_lcnn'")
    assert sorted(line.split(" mod_lcnn, ")[1] for line in lines) == ["train_channel awgn", "train_channel rayleigh"]
    assert all(len(choose(Results(None, store), line.split()[0])) == 1 for line in lines)


@pytest.mark.parametrize(
    ("key", "where", "told"),
    [
        ("", None, "no run is named"),
        ("resnet", None, "'resnet' is not allowed"),
        ("0123456789abcdef01234567", None, "holds no run '0123456789abcdef01234567'"),
        ("", "model = 'vgg'", "holds no run where model = 'vgg'"),
        ("", " ", "the condition is empty"),
        ("", "modle = 'vgg'", "the condition \"modle = 'vgg'\" cannot be answered"),
        ("", "true); DROP TABLE runs; SELECT (1", "has to be a single SELECT"),
        ("", "run IN (SELECT run FROM read_csv('x.csv'))", "cannot be answered"),
    ],
)
def test_no_run_and_what_is_no_condition_are_refused(store, key, where, told):
    with pytest.raises(AmcError) as refusal:
        choose_one(Results(None, store), key, where)
    assert told in str(refusal.value)
