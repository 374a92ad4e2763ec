"""SigMF: what is read is what was written, and what its fields mean."""

import numpy as np
import pytest

from amc_core.errors import AmcError
from amc_core.modulations import MODULATIONS
from amc_core.recordings import open_recording, write_sigmf
from tests.amc_core.recording_files import RNG, edit, instances, refusal, unit_power


def test_sigmf_reads_back_bit_for_bit_what_was_written_at_unit_power(tmp_path):
    x = unit_power(instances(5, 300)).astype(np.float32)
    names, snrs_db = ["OQPSK", "OQPSK", "16APSK", "GFSK", "B-FM"], [1.5, 3, 3, 3, -6]
    recording = open_recording(write_sigmf(tmp_path / "snr.5", x, 1e6, names, snrs_db))
    assert (recording.read(range(5)) == x).all() and recording.length == 300
    assert [recording.modulations[index] for index in recording.modulation] == names
    assert recording.snr_db.tolist() == snrs_db and recording.sample_rate.tolist() == [1e6] * 5


def test_what_we_write_is_valid_sigmf(tmp_path):
    sigmf = pytest.importorskip("sigmf")
    x = unit_power(instances(len(MODULATIONS), 64)).astype(np.float32)
    meta = write_sigmf(tmp_path / "all", x, 200e3, list(MODULATIONS), 10, description="one of each")
    file = sigmf.fromfile(str(meta))  # checks the SHA-512 too
    file.validate()
    assert file.sample_rate == 200e3 and file.sample_count == 64 * len(x)
    annotations = file.get_annotations()
    assert [annotation["core:label"] for annotation in annotations] == list(MODULATIONS)
    assert (file.read_samples(64, 64) == x[1, 0] + 1j * x[1, 1]).all()


@pytest.mark.parametrize("name", MODULATIONS)
def test_signal_detail_alone_names_a_modulation(tmp_path, name):
    meta = write_sigmf(tmp_path / "one", instances(1), 1e6, name, 0)
    edit(meta, lambda content: content["annotations"][0].pop("core:label"))
    assert open_recording(meta).modulations == (name,)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"core:label": "qam64"}, "64QAM"),
        ({"core:label": "LTE 12", "signal:detail": {"mod_class": "qam", "order": 16, "type": "digital"}}, "16QAM"),
        ({"core:label": "Wi-Fi", "signal:detail": {"standard": "802.11ac"}}, "WI-FI"),
        ({"signal:detail": {"mod_class": "fsk", "order": 4}}, "4-FSK"),
    ],
)
def test_a_label_we_know_comes_first_then_the_detail_then_the_label_as_it_is(sigmf, fields, name):
    def relabel(content):
        content["annotations"] = [{"core:sample_start": 0, "core:sample_count": 512, **fields}]

    edit(sigmf, relabel)
    recording = open_recording(sigmf)
    assert recording.modulations == (name,) and len(recording) == 2
    assert np.isnan(recording.snr_db).all() and np.isnan(recording.snrs_db).tolist() == [True]


@pytest.mark.parametrize(
    ("datatype", "kind", "zero"),
    [
        ("cf32_le", "<f4", 0),
        ("cf32_be", ">f4", 0),
        ("ci16_le", "<i2", 0),
        ("ci16_be", ">i2", 0),
        ("ci8", "i1", 0),
        ("cu8", "u1", 128),
    ],
)
def test_each_datatype_gives_the_same_samples(sigmf, datatype, kind, zero):
    values = RNG.integers(-100, 100, (5, 256, 2))
    (values + zero).astype(kind).tofile(sigmf.with_name("field.sigmf-data"))
    edit(sigmf, lambda content: content["global"].update({"core:datatype": datatype}))
    expected = unit_power(values.transpose(0, 2, 1).astype(np.float64))
    np.testing.assert_allclose(open_recording(sigmf).read(range(5)), expected, rtol=1e-6)


def test_annotations_are_cut_in_consecutive_instances_and_the_rest_is_dropped(sigmf):
    recording = open_recording(sigmf, length=100)  # 512 samples of 16QAM, then 768 of 8PSK
    assert recording.modulations == ("16QAM", "8PSK") and recording.modulation.tolist() == [0] * 5 + [1] * 7
    whole = np.fromfile(sigmf.with_name("field.sigmf-data"), "<f4").reshape(-1, 2).T
    np.testing.assert_allclose(recording.read([6])[0], unit_power(whole[None, :, 612:712])[0], rtol=1e-6)


def test_an_annotation_without_a_count_reaches_to_the_end_of_its_capture(sigmf):
    def shorten(content):
        content["captures"] = [{"core:sample_start": 0}, {"core:sample_start": 300}]
        content["annotations"] = [{"core:sample_start": start, "core:label": "BPSK"} for start in (0, 400)]

    edit(sigmf, shorten)
    assert open_recording(sigmf, length=100).source.start.tolist() == [0, 100, 200, *range(400, 1200, 100)]


def test_sample_indices_count_from_the_offset_of_the_recording(sigmf):
    def move(content):
        content["global"]["core:offset"] = 1000
        for annotation in content["annotations"]:
            annotation["core:sample_start"] += 1000

    before = open_recording(sigmf).read(range(5))
    edit(sigmf, move)
    assert (open_recording(sigmf).read(range(5)) == before).all()


def test_a_file_without_annotations_is_what_its_global_label_says(sigmf):
    def relabel(content):
        content["annotations"] = []
        content["global"] |= {"core:label": "16QAM", "amc:snr_db": 7}

    edit(sigmf, relabel)
    recording = open_recording(sigmf)
    assert recording.modulations == ("16QAM",) and recording.snrs_db == (7,) and len(recording) == 5


def test_a_directory_and_a_list_of_recordings_are_one_dataset(tmp_path):
    a = write_sigmf(tmp_path / "a.sigmf-meta", instances(2), 1e6, "QPSK", 0)
    b = write_sigmf(tmp_path / "b.sigmf-data", instances(3), 2e6, "BPSK", 6)
    for path in (tmp_path, [a, b], [str(a), str(b)]):
        recording = open_recording(path)
        assert recording.modulations == ("BPSK", "QPSK") and recording.modulation.tolist() == [1, 1, 0, 0, 0]
        assert recording.snrs_db == (0, 6) and recording.sample_rate.tolist() == [1e6] * 2 + [2e6] * 3
        both = np.concatenate([open_recording(a).read([1]), open_recording(b.with_suffix(".sigmf-data")).read([2])])
        assert (recording.read([1, 4]) == both).all()
    refusal(tmp_path / "b.sigmf-meta", "length", length=0)
    with pytest.raises(AmcError, match="empty; allowed"):
        open_recording([])
