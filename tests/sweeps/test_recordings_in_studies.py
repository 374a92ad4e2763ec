"""Studies of recordings: what counts as the same file, in plans, tables and settings."""

import pickle
import shutil

import numpy as np
import pytest
from scipy.io import wavfile

from amc_core import AmcError, fingerprint
from amc_core.recordings import write_sigmf
from analysis import load
from sweeps.engine.trial import compute
from sweeps.planning import make_plan, require_recordings
from sweeps.store import Store
from sweeps.study import load_study
from tests.sweeps.searching import RATE

NAMES = ("BPSK", "QPSK")


def record(path, seed: int, name: str = "rec"):
    """A recording of noise under two labels; those of one length have the same metadata but for the description."""
    path.mkdir(exist_ok=True)
    x = np.random.default_rng(seed).standard_normal((40, 2, 128))
    return write_sigmf(path / name, x, 1e6, np.repeat(NAMES, 20), 10)


@pytest.fixture
def study(study_file):
    """Writes a study of recordings: a run of HOC-SVM for each that trains, and a cell for each that tests."""

    def write(train: str, test: str | None = None, **changes):
        fixed = {"modulations": "[BPSK, QPSK]", "snr_db": "[10]", "models": "[hoc_svm]", "recipe": None}
        return study_file(**fixed | {"train": train, "test": test} | changes)

    return write


def computed(path: str, store: Store) -> None:
    plan = make_plan(load_study(path), store)
    require_recordings(plan)
    for entry in plan.incomplete:
        list(compute(entry.run, entry.missing, store))


def test_files_of_one_name_are_rows_and_columns_of_their_own(study, tmp_path):
    for seed, site in enumerate(("site1", "site2")):
        record(tmp_path / site, seed)
    both = "{recording: [site1/rec.sigmf-meta, site2/rec.sigmf-data]}"
    path, store = study(both, both), Store(tmp_path / "store")
    plan = make_plan(load_study(path), store)
    assert len(plan.runs) == 2 and plan.cells == 4
    computed(path, store)
    cells = load("cells", store.path, path)
    assert cells.groupby(["train_recording", "test_recording"]).ngroups == 4
    assert cells["test_recording"].str.fullmatch(r"rec\.sigmf [0-9a-f]{6}").all()
    assert cells.groupby("train_recording")["setting"].agg(sorted).tolist() == [["trained", "unseen"]] * 2


def test_other_samples_and_other_labels_are_missing_again(study, tmp_path):
    meta = record(tmp_path, 0)
    for named in ("rec.sigmf-meta", "rec.sigmf-data"):
        path, store = study(f"{{recording: {named}}}"), Store(tmp_path / f"store of {named}")
        computed(path, store)
        assert not make_plan(load_study(path), store).incomplete
        data = meta.with_suffix(".sigmf-data")
        data.write_bytes(data.read_bytes()[::-1])
        assert make_plan(load_study(path), store).missing_cells == 1
        data.write_bytes(data.read_bytes()[::-1])
        text = meta.read_text()
        meta.write_text(text.replace("BPSK", "8PSK").replace('"order": 2', '"order": 8'))
        assert len(make_plan(load_study(study(f"{{recording: {named}}}")), store).incomplete) == 1
        meta.write_text(text)
        assert not make_plan(load_study(path), store).incomplete


def test_the_medium_scale_repeats_the_instances_of_a_recording(study, tmp_path):
    record(tmp_path / "site", 1)
    path = study("[{channel: awgn}, {recording: site/rec.sigmf-meta}]", models="[mod_lcnn]", length="128")
    assert [run.recipe.fresh for run in load_study(path, "medium").runs()] == [True, False]


def test_a_training_recording_stays_seen_wherever_it_is_moved(study, tmp_path):
    record(tmp_path / "old", 0)
    record(tmp_path / "other", 1)
    store = Store(tmp_path / "store")
    computed(study("{recording: old/rec.sigmf-meta}"), store)
    shutil.move(tmp_path / "old", tmp_path / "new")
    tests = "{recording: [new/rec.sigmf-meta, other/rec.sigmf-meta]}"
    path = study("{recording: new/rec.sigmf-data}", tests)
    plan = make_plan(load_study(path), store)
    assert plan.untrained == 0 and plan.missing_cells == 1
    computed(path, store)
    cells = load("cells", store.path, path)
    assert sorted(cells["setting"]) == ["trained", "unseen"]
    loaded = load_study(path)
    (run,) = loaded.runs()
    assert [test.scenario.recording.split("/")[-2] for test in loaded.unseen_tests(run)] == ["other"]


def test_a_recording_that_holds_what_trained_is_refused_before_any_work(study, tmp_path):
    record(tmp_path / "site", 0)
    record(tmp_path / "site", 1, "more")
    path = study("{recording: site/rec.sigmf-meta}", "{recording: site}")
    with pytest.raises(
        AmcError, match=r"36 of its 80 test instances have samples that are in the train or validation part"
    ):
        require_recordings(make_plan(load_study(path), Store(tmp_path / "store")))


@pytest.mark.parametrize("whole", [False, True], ids=["that trains", "that is tested"])
@pytest.mark.parametrize(
    ("value", "told"),
    [(np.nan, "has samples that are nan or infinite"), (np.inf, "has samples that are nan or infinite"),
     (0, "is all zero"), (1e25, r"has samples of up to 1e\+25")],
)  # fmt: skip
def test_samples_without_a_scale_are_refused_when_the_study_is_planned(study, tmp_path, value, told, whole):
    data = record(tmp_path, 0).with_suffix(".sigmf-data")
    samples = np.fromfile(data, "<f4").reshape(40, -1)
    samples[[33, 7, 21]] = value
    samples.tofile(data)
    train, test = ("{channel: awgn}", "{recording: rec.sigmf-meta}") if whole else ("{recording: rec.sigmf-meta}", None)
    store = Store(tmp_path / "store")
    sentence = rf"instance 7 \(samples 896 to 1023\) {told} \(the first of 3 instances that cannot be used\); allowed"
    with pytest.raises(AmcError, match=sentence) as refusal:
        require_recordings(make_plan(load_study(study(train, test)), store))
    assert str(data) in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_directory_of_raw_files_is_refused_with_what_to_do(study, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "bpsk.cfile").write_bytes(bytes(8000))
    with pytest.raises(
        AmcError, match=r"site' is a directory without .sigmf-meta or .sigmf files; .*: join other files"
    ):
        load_study(study("{recording: {file: site, label: BPSK}}"))


def test_audio_that_cannot_be_sent_is_refused_before_any_work(study_file, tmp_path):
    (tmp_path / "text.wav").write_text("hi")
    wavfile.write(tmp_path / "short.wav", 16_000, np.arange(40, dtype=np.int16))
    wavfile.write(tmp_path / "brief.wav", 16_000, np.arange(400, dtype=np.int16))  # for an instance, and not for parts
    parts = r"brief\.wav' lasts 0.0025 s from .*0 %, the stretch of one split, and an instance needs"
    for name, told in (("text", "is not a WAV file"), ("short", "an instance needs"), ("brief", parts)):
        path = study_file(modulations="[FM, QPSK]", train=f"{{audio: {tmp_path / name}.wav}}", length="1024")
        with pytest.raises(AmcError, match=told):
            require_recordings(make_plan(load_study(path), Store(tmp_path / "store")))
    path = study_file(modulations="[BPSK, QPSK]", train=f"{{audio: {tmp_path}/short.wav}}", length="1024")  # not sent
    require_recordings(make_plan(load_study(path), Store(tmp_path / "store")))


@pytest.mark.parametrize("name", ["recording", "audio"])
def test_an_empty_path_is_not_the_directory_of_the_study(study_file, name):
    with pytest.raises(AmcError, match=f"{name} '' is not allowed: it has to be the path of a file"):
        load_study(study_file(train=f"{{{name}: ''}}"))


def test_a_plan_reads_a_large_file_once(study, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    record(tmp_path, 99)  # which no other test has, whose content would be known
    monkeypatch.setattr(fingerprint, "_KEPT_BYTES", 1)
    monkeypatch.setattr(fingerprint, "_TICK", 0)
    monkeypatch.setattr(fingerprint, "_known", {})
    names, read = [], fingerprint.read_digest
    monkeypatch.setattr(fingerprint, "read_digest", lambda file, piece: names.append(piece.name) or read(file, piece))
    path, store = study("{recording: rec.sigmf-meta}"), Store(tmp_path / "store")
    computed(path, store)
    fingerprint._known.clear()  # as another command
    assert not make_plan(load_study(path), store).incomplete
    assert len(names) == len(set(names)) == 2  # metadata and samples


def test_a_recording_without_snr_tests_a_run_of_many_levels_at_the_one_that_the_test_names(study, tmp_path):
    meta = record(tmp_path, 0)
    meta.write_text(meta.read_text().replace("amc:snr_db", "own:snr_db"))
    levels = {"snr_db": "[0, 10, 18]"}
    store = Store(tmp_path / "store")
    with pytest.raises(AmcError, match=r"no SNR is recorded: give snr_db one value, which then applies to it"):
        computed(study("{channel: awgn}", "{recording: rec.sigmf-meta, snr_db: [0, 10]}", **levels), store)
    path = study("{channel: awgn}", "{recording: rec.sigmf-meta, snr_db: [10]}", **levels)
    computed(path, store)
    cells = load("cells", store.path, path)
    assert cells["snr_db"].tolist() == [10] and cells["n"].tolist() == [40]


@pytest.mark.parametrize("searched", [False, True])
def test_what_a_worker_makes_of_a_study_is_of_the_files_that_were_planned(study, tmp_path, searched):
    train, test = record(tmp_path / "train", 0), record(tmp_path / "test", 1)
    changes = {"models": "mod_lcnn", "recipe": RATE, "search": "{proposals: 2}"} if searched else {}
    path = study("{recording: train/rec.sigmf-meta}", "{recording: test/rec.sigmf-meta}", **changes)
    planned = load_study(path)
    sent = pickle.dumps(planned)
    record(tmp_path / "train", 2)
    record(tmp_path / "test", 3)

    def expanded(there):
        """The keys of runs and cells; of a search those of a proposal, which a worker makes anew."""
        plain = there.proposal(next(values for _, values in there.space.ends())) if searched else there
        return [(run.key, [run.cell_key(test) for test in plain.tests(run)]) for run in plain.runs()]

    assert expanded(pickle.loads(sent)) == expanded(planned) != expanded(load_study(path))
    for meta in (train, test):
        meta.unlink()
    assert expanded(pickle.loads(sent)) == expanded(planned)
