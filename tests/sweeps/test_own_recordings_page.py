"""docs/own-recordings.md: its files are written, its examples read, and its study run, as the page says."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from amc_core.recordings import open_recording
from amc_core.scenario import Scenario
from analysis import Results
from sweeps.engine.trial import compute
from sweeps.planning import make_plan, require_recordings
from sweeps.store import Store
from sweeps.study import load_study

PAGE = (Path(__file__).parents[2] / "docs" / "own-recordings.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^\|.*\| `(\{recording: .*\})` \|$", PAGE, re.MULTILINE)


def block(kind: str, holding: str) -> str:
    [found] = [text for text in re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL) if holding in text]
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the files that the page writes."""
    folder = tmp_path_factory.mktemp("page")
    subprocess.run([sys.executable, "-c", block("python", "write_sigmf")], cwd=folder, check=True)
    return folder


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


def test_there_is_an_example_of_every_format():
    named = [Scenario(recording=yaml.safe_load(each)["recording"]).recording for each in EXAMPLES]
    endings = {Path(name).suffix for name in named}
    assert endings == {".sigmf-meta", ".h5", ".npz", ".npy", ".mat", ".csv", ".cfile", ".bin"} and len(EXAMPLES) == 11


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_of_the_page_reads_what_was_written(here, example):
    recording = open_recording(Scenario(recording=yaml.safe_load(example)["recording"]).recording, 256)
    one = "label: QPSK" in example or "label: 8PSK" in example
    expected = 1 if one else 2 if "{BPSK:" in example else 3
    assert len(recording) == 20 * expected == 20 * len(recording.modulations)
    whole = open_recording("radioml.h5")
    positions = [
        whole.modulations.index(name) * 20 for name in ("BPSK", "QPSK", "8PSK") if name in recording.modulations
    ]
    own = [int(np.argmax(recording.modulation == recording.modulations.index(whole.modulations[position // 20])))
           for position in positions]  # fmt: skip
    np.testing.assert_allclose(recording.read(own), whole.read(positions), atol=2e-3 if ".bin" in example else 1e-5)


def test_the_study_of_the_page_tests_all_that_the_recordings_hold(here, tmp_path):
    (here / "recorded.yaml").write_text(block("yaml", "models:"))
    described, store = load_study("recorded.yaml"), Store(tmp_path / "store")
    plan = make_plan(described, store)
    require_recordings(plan)
    for entry in plan.incomplete:
        list(compute(entry.run, entry.missing, store))
    sql = re.search(r'amc query "(.*)"', PAGE)[1]
    counts = Results(described, store).query(sql)
    counts["test_recording"] = counts["test_recording"].str.split(" ").str[0]
    n = counts.groupby(["test_recording", "sent"], dropna=False)["n"].sum()
    assert n["radioml.h5"].to_dict() == dict.fromkeys(("BPSK", "QPSK", "8PSK"), 2 * 40)  # of two runs, cut in two
    assert n["capture.cfile"].to_dict() == dict.fromkeys(("BPSK", "QPSK"), 2 * 15)
    assert counts["snr_db"].isna().tolist() == [name == "capture.cfile" for name in counts["test_recording"]]


def test_the_short_examples_of_the_page_are_studies(here):
    for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL):
        if "models:" not in text:
            study = {"modulations": ["BPSK", "QPSK", "8PSK"], "models": "hoc_svm", "snr_db": 10, "instances": 20}
            require_recordings(make_plan(load_study(study | {"length": 128} | yaml.safe_load(text)), Store("none")))


def test_captures_are_joined_as_the_page_joins_them(here):
    subprocess.run(["bash", "-e", "-c", block("sh", "cat ")], check=True)
    [study] = re.findall(r"`(\{recording: \{file: joined.*\})`", PAGE)
    recording = open_recording(Scenario(recording=yaml.safe_load(study)["recording"]).recording, 256)
    named = [recording.modulations[number] for number in recording.modulation]
    assert named == ["BPSK"] * 20 + ["QPSK"] * 20 + ["BPSK"] * 10
