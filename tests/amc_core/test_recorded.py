"""Recordings in the place of simulated instances, in datasets and in studies."""

import numpy as np
import pytest
import torch

from amc_core import AmcError, Scenario
from amc_core.fingerprint import content_digest
from amc_core.instances import Instances
from amc_core.recordings import open_recording
from amc_core.recordings.export import export_instances
from amc_core.run import PARTS, Dataset, Run
from analysis import load
from sweeps.engine.trial import compute
from sweeps.planning import make_plan, require_recordings
from sweeps.store import Store
from sweeps.study import load_study

NAMES = ("BPSK", "16QAM", "GFSK")


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "recorded.h5"
    export_instances(path, Scenario("rician"), NAMES, 18.0, 30, 128)
    return path


def dataset(path, **changes) -> Dataset:
    fields = dict(modulations=NAMES, snrs_db=(18.0,), instances=20, length=128)
    return Dataset(Scenario(recording=str(path)), **fields | changes)


def test_a_recording_gives_its_own_instances_by_address_each_once(recording):
    described = dataset(recording)
    whole = open_recording(recording)
    rows = {row.tobytes(): position for position, row in enumerate(whole.read(np.arange(len(whole))))}
    seen = []
    for part in PARTS:
        instances = Instances(described, part)
        positions = torch.arange(len(instances))
        labels = instances.address(positions)[0].tolist()
        for row, label in zip(next(instances.batches(positions, len(positions)))[0].numpy(), labels, strict=True):
            seen.append(rows[row.tobytes()])
            assert whole.modulations[whole.modulation[seen[-1]]] == NAMES[label]
    assert len(seen) == len(set(seen)) == 60


def test_the_same_recording_elsewhere_is_the_same_run_and_another_is_not(recording, tmp_path):
    copy = tmp_path / "elsewhere" / "copy.h5"
    copy.parent.mkdir()
    copy.write_bytes(recording.read_bytes())
    first, second = (Run("hoc_svm", dataset(path)) for path in (recording, copy))
    assert first.key == second.key
    content = bytearray(recording.read_bytes())
    content[-1] ^= 1
    copy.write_bytes(content)
    assert content_digest(copy) != content_digest(recording)
    assert Run("hoc_svm", dataset(copy)).key != first.key


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"modulations": ("BPSK", "8PSK")}, "8PSK"),
        ({"snrs_db": (10.0,)}, "10 dB"),
        ({"instances": 31}, "30 instances of BPSK"),
        ({"length": 256}, "256"),
    ],
)
def test_what_a_recording_does_not_hold_is_refused(recording, changes, named):
    with pytest.raises(AmcError, match=named) as refusal:
        Instances(dataset(recording, **changes), "train")
    assert str(recording) in str(refusal.value)


def test_a_recording_goes_with_nothing_that_is_simulated(recording):
    with pytest.raises(AmcError, match="rolloff"):
        Scenario(recording=str(recording), rolloff=0.2)


def test_a_study_trains_on_simulated_and_tests_on_recorded_instances(recording, study_file, tmp_path):
    path = study_file(
        models="[hoc_svm]",
        snr_db="18",
        train="{channel: [awgn, rician]}",
        test="[{channel: rician}, {recording: recorded.h5}]",  # beside the study
    )
    study, store = load_study(path), Store(tmp_path / "store")
    plan = make_plan(study, store)
    require_recordings(plan)
    for entry in plan.incomplete:
        list(compute(entry.run, study.tests(entry.run), store))
    cells = load("cells", store.path, path)
    assert sorted(set(cells["test_recording"])) == ["", f"recorded.h5 {content_digest(recording)[:6]}"]
    counts = cells.groupby("test_recording")["n"].agg(list).tolist()
    assert counts == [[6, 6], [90, 90]]  # a tenth of what is simulated, all of what is recorded
    assert not make_plan(study, store).incomplete


def test_a_study_with_a_missing_recording_is_refused(study_file):
    with pytest.raises(AmcError, match=r"nowhere\.h5.*No such file"):
        load_study(study_file(test="{recording: nowhere.h5}"))
