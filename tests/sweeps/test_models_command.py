"""The command `amc models`."""

import pytest

from amc_core.models import MODELS


def test_every_classifier_is_listed_with_what_the_built_network_has_within_120_columns(amc):
    shown = amc("models", "--length", "100", "--classes", "7")
    assert shown.returncode == 0
    assert max(map(len, shown.stdout.splitlines())) <= 120
    for spec in MODELS.values():
        assert f" {spec.name} " in shown.stdout and spec.title in shown.stdout
    assert "37,487" in shown.stdout and "97,663" in shown.stdout  # P2's figures, at any length
    listed = [line.split()[0] for line in shown.stdout.splitlines() if line.split()[:1] and line.split()[0] in MODELS]
    assert listed.index("dae") < listed.index("gru2") < listed.index("resnet_liu") < listed.index("cnn1d")
    [mcldnn] = [line for line in shown.stdout.splitlines() if line.startswith(" mcldnn")]
    assert " 2020 " in mcldnn and "Xu et al." in mcldnn
    [cnn1d] = [line for line in shown.stdout.splitlines() if line.startswith(" cnn1d")]
    assert "too short" in cnn1d and "from 128" in shown.stdout


def test_one_classifier_is_shown_with_its_hyperparameters_and_what_they_allow(amc):
    shown = amc("models", "stn_resnext")
    assert shown.returncode == 0
    for words in (
        "86,212",
        "21.1 M",
        "any from 64",
        "a whole number from 1 to 10",
        "one of time, time_iq",
        "Figs. 10 and 11",
    ):
        assert words in shown.stdout
    assert "262" in amc("models", "hoc_svm").stdout


@pytest.mark.parametrize(
    "arguments", [["resnext"], ["cnn1d", "--length", "1"], ["--classes", "1"], ["--length", "many"]]
)
def test_nonsense_is_refused(amc, arguments):
    refused = amc("models", *arguments)
    assert refused.returncode == 2 and "Traceback" not in refused.stderr


def test_an_unknown_classifier_is_refused_in_one_sentence_with_the_nearest(amc):
    refused = amc("models", "stn_resnet")
    assert refused.stderr.count("\n") == 1 and "did you mean 'stn_resnext'" in refused.stderr
