"""SigMF: what is read is what was written, and what its fields mean."""

import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from amc_core.errors import AmcError
from amc_core.modulations import MODULATIONS
from amc_core.recordings import json_stream, open_recording, write_sigmf
from tests.amc_core.recording_files import RNG, edit, instances, refusal, unit_power
from tests.needs import needs_package


def test_sigmf_reads_back_bit_for_bit_what_was_written_at_unit_power(tmp_path):
    x = unit_power(instances(5, 300)).astype(np.float32)
    names, snrs_db = ["OQPSK", "OQPSK", "16APSK", "GFSK", "B-FM"], [1.5, 3, 3, 3, -6]
    recording = open_recording(write_sigmf(tmp_path / "snr.5", x, 1e6, names, snrs_db))
    assert (recording.read(range(5)) == x).all() and recording.length == 300
    assert [recording.modulations[index] for index in recording.modulation] == names
    assert recording.snr_db.tolist() == snrs_db and recording.sample_rate.tolist() == [1e6] * 5


def test_what_we_write_is_valid_sigmf(tmp_path):
    sigmf = needs_package("sigmf")
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
        ({"core:label": None, "signal:detail": {"mod_class": "PSK", "order": "4"}}, "QPSK"),
        ({"core:label": "Wi-Fi OFDM", "signal:detail": {"mod_class": "qam", "order": 16}}, "16QAM-OFDM"),
        ({"core:label": "DSSS", "signal:detail": {"mod_class": "psk", "order": 2}}, "BPSK-DSSS"),
        ({"core:label": "QPSK", "signal:detail": {"order": 4, "symbol_variant": "differential"}}, "QPSK-DIFFERENTIAL"),
        (
            {
                "core:label": "QPSK",
                "signal:detail": {"mod_class": "psk", "order": 4, "symbol_variant": "offset"},
            },
            "OQPSK",
        ),
        ({"core:label": "QPSK", "signal:detail": {"multiplexing": "none"}}, "QPSK"),
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
    ("detail", "name"),
    [
        ({"mod_class": "qam", "order": 16, "carrier_variant": "multi_carrier", "multiplexing": "ofdm"}, "16QAM-OFDM"),
        ({"mod_class": "qam", "order": 16, "multiple_access": "ofdma"}, "16QAM-OFDMA"),
        ({"mod_class": "psk", "order": 2, "spreading": "dsss"}, "BPSK-DSSS"),
        ({"mod_class": "psk", "order": 4, "carrier_variant": "multi_carrier"}, "QPSK-MULTI_CARRIER"),
        ({"mod_class": "ssb", "carrier_variant": "reduced_carrier"}, "AM-SSB-WC-REDUCED_CARRIER"),
        ({"multiplexing": "ofdm"}, "OFDM"),
        ({"mod_class": "qam", "order": 16, "multiplexing": ["ofdm"]}, "16QAM-OFDM"),
        ({"mod_class": "qam", "order": 16, "carrier_variant": "single_carrier"}, "16QAM"),
        ({"mod_class": "dsb", "carrier_variant": "with_carrier"}, "AM-DSB-WC"),
    ],
)
def test_several_carriers_or_spreading_are_a_class_of_their_own(sigmf, detail, name):
    for label in ("", "LTE 12"):
        fields = {"core:sample_start": 0, "core:sample_count": 512, "core:label": label, "signal:detail": detail}
        edit(sigmf, lambda content, fields=fields: content.update(annotations=[fields]))
        named = name if not label or "mod_class" in detail else "LTE 12-OFDM"
        assert open_recording(sigmf).modulations == (named,)


def test_a_label_and_a_detail_of_two_families_are_refused(sigmf):
    detail = {"mod_class": "fm", "order": None}
    fields = {"core:sample_start": 0, "core:sample_count": 512, "core:label": "QPSK", "signal:detail": detail}
    edit(sigmf, lambda content: content.update(annotations=[fields]))
    with pytest.raises(AmcError, match="the label is 'QPSK' and the detail's class is 'fm'"):
        open_recording(sigmf)


def test_a_known_label_does_not_hide_that_there_are_several_carriers(sigmf):
    edit(sigmf, lambda content: content["annotations"][0]["signal:detail"].update(multiplexing="ofdm"))
    assert open_recording(sigmf).modulations == ("16QAM-OFDM", "8PSK")


@pytest.mark.parametrize(
    ("datatype", "kind", "zero"),
    [
        ("cf32_le", "<f4", 0),
        ("cf32_be", ">f4", 0),
        ("cf64_le", "<f8", 0),
        ("cf64_be", ">f8", 0),
        ("ci32_le", "<i4", 0),
        ("ci32_be", ">i4", 0),
        ("ci16_le", "<i2", 0),
        ("ci16_be", ">i2", 0),
        ("cu32_le", "<u4", 1 << 31),
        ("cu32_be", ">u4", 1 << 31),
        ("cu16_le", "<u2", 1 << 15),
        ("cu16_be", ">u2", 1 << 15),
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


@pytest.mark.parametrize("seed", range(4))
def test_annotations_that_overlap_name_each_sample_once_in_whatever_order(sigmf, seed):
    draw = np.random.default_rng(seed)
    marks = [(0, 512, "16QAM"), (100, 300, "16QAM"), (0, 512, "qam16"), (512, 300, "8PSK"), (700, 580, "8PSK")]
    said = [
        {"core:sample_start": start, "core:sample_count": count, "core:label": label, "core:freq_lower_edge": edge}
        for edge, (start, count, label) in enumerate(marks)
    ]
    edit(sigmf, lambda content: content.update(annotations=[said[place] for place in draw.permutation(len(said))]))
    recording = open_recording(sigmf, length=64)
    assert recording.source.start.tolist() == [*range(0, 512, 64), *range(512, 1280, 64)]
    assert [recording.modulations[index] for index in recording.modulation] == ["16QAM"] * 8 + ["8PSK"] * 12


def test_annotations_that_touch_are_cut_each_by_itself(sigmf):
    said = [{"core:sample_start": start, "core:sample_count": 150, "core:label": "BPSK"} for start in (150, 0)]
    edit(sigmf, lambda content: content.update(annotations=said))
    assert open_recording(sigmf, length=100).source.start.tolist() == [0, 150]


@pytest.mark.parametrize(
    ("other", "second"),
    [
        ({"core:label": "QPSK", "amc:snr_db": 10}, r"annotation 2 \(QPSK, 10 dB\)"),
        ({"core:label": "16QAM", "amc:snr_db": 11}, r"annotation 2 \(16QAM, 11 dB\)"),
        ({"core:label": "16QAM"}, r"annotation 2 \(16QAM, no SNR\)"),
    ],
)
def test_samples_with_two_labels_are_refused_with_both_annotations(sigmf, other, second):
    said = {"core:sample_start": 300, "core:sample_count": 200} | other
    edit(sigmf, lambda content: content["annotations"].append(said))
    with pytest.raises(
        AmcError, match=rf"annotation 0 \(16QAM, 10 dB\) and {second} name the same samples, 300 to 499"
    ):
        open_recording(sigmf)


def test_an_annotation_without_snr_gives_way_to_one_with_it(sigmf):
    def add(content):
        first = {key: value for key, value in content["annotations"][0].items() if key != "amc:snr_db"}
        content["annotations"].insert(0, first)

    edit(sigmf, add)
    assert open_recording(sigmf).snr_db.tolist() == [10, 10, 12.5, 12.5, 12.5]


def test_the_same_samples_in_two_files_are_there_once(tmp_path):
    first = write_sigmf(tmp_path / "first", instances(4), 1e6, "QPSK", 0)
    second = tmp_path / "second.sigmf-meta"
    shutil.copy(first.with_suffix(".sigmf-data"), second.with_suffix(".sigmf-data"))
    shutil.copy(first, second)
    assert len(open_recording(tmp_path)) == len(open_recording([second, first])) == 4
    relabelled = {"core:label": "BPSK", "signal:detail": {}}
    edit(second, lambda content: content["annotations"][0].update(relabelled))
    with pytest.raises(AmcError, match=r"annotation 0 .* and annotation 0 .* the same samples, 0 to 511") as refusal:
        open_recording(tmp_path)
    for said in ("first", "(QPSK, 0 dB)", "second", "(BPSK, 0 dB)"):
        assert said in str(refusal.value)


def test_annotations_beyond_the_samples_are_passed_over_and_counted(sigmf):
    before = open_recording(sigmf).read(range(5))
    beyond = {"core:sample_start": 1000, "core:sample_count": 9000, "core:label": "BPSK"}
    comment = {"core:sample_start": 512, "core:sample_count": 9000, "core:comment": "strong"}
    edit(sigmf, lambda content: content["annotations"].extend([comment, beyond, beyond]))
    recording = open_recording(sigmf)
    assert recording.modulations == ("16QAM", "8PSK") and (recording.read(range(5)) == before).all()
    nameless, note = recording.notes
    assert nameless == "ignored 1 of 5 annotations, for lack of a modulation"
    assert (
        note.startswith("ignored 2 of 5 annotations beyond the 1280 samples") and "annotation 3 (BPSK, no SNR)" in note
    )


@pytest.mark.parametrize("chunk", [1, 7, 64, 1 << 18])
def test_metadata_reads_the_same_in_chunks_of_any_size_and_fields_of_any_order(sigmf, monkeypatch, chunk):
    before = open_recording(sigmf)
    content = json.loads(sigmf.read_text())
    turned = {name: content[name] for name in reversed(content)} | {"x:own": [1, 2.5e3, None, "é{,]"], "x:end": -12}
    sigmf.write_text(json.dumps(turned, indent=3, ensure_ascii=False), encoding="utf-8-sig")
    monkeypatch.setattr(json_stream, "_CHUNK", chunk)
    after = open_recording(sigmf)
    assert after.modulations == before.modulations and (after.read(range(5)) == before.read(range(5))).all()
    with open(sigmf, "rb") as file:
        stream = json_stream.JsonStream(file, sigmf.stat().st_size)
        assert {name: stream.value() for name in stream.members()} == turned


@pytest.mark.parametrize(
    "text", ['{"a": 1', '{"a": 1} x', '{"a": 1, "a": 2}', '{"a" 1}', '{"a": 1 "b": 2}', "{1: 2}", "", "[]"]
)
def test_what_is_not_one_whole_json_object_is_told(text):
    with pytest.raises(ValueError):
        stream = json_stream.JsonStream(io.BytesIO(text.encode()), len(text))
        for _ in stream.members():
            stream.value()


def archive_of(path, *metas) -> Path:
    with tarfile.open(path, "w") as tar:
        for meta in metas:
            for file in (meta.with_suffix(".sigmf-data"), meta):
                tar.add(file, f"{meta.stem}/{file.name}")
    return path


def test_an_archive_reads_as_what_it_holds_and_is_not_unpacked(tmp_path):
    metas = [write_sigmf(tmp_path / name, instances(3), 1e6, name, 0) for name in ("BPSK", "QPSK")]
    archive = archive_of(tmp_path / "both.sigmf", *metas)
    expected = {x.tobytes() for x in open_recording(metas).read(range(6))}
    for meta in metas:
        meta.unlink()
        meta.with_suffix(".sigmf-data").unlink()
    for path in (archive, tmp_path):
        recording = open_recording(path)
        assert recording.modulations == ("BPSK", "QPSK")
        assert {x.tobytes() for x in recording.read(range(6))} == expected
    assert list(tmp_path.iterdir()) == [archive]


def test_archives_that_are_not_whole_are_refused(tmp_path, sigmf):
    archive = archive_of(tmp_path / "one.sigmf", sigmf)
    content = archive.read_bytes()
    archive.write_bytes(content[:4096])
    refusal(archive, "cut short")
    with tarfile.open(archive, "w") as tar:
        tar.add(sigmf, "field/field.sigmf-meta")
    refusal(archive, "field/field.sigmf-data is missing")
    with tarfile.open(archive, "w") as tar:
        tar.add(sigmf, "field/readme.txt")
    refusal(archive, "no .sigmf-meta file")
    archive.write_bytes(b"no archive")
    refusal(archive, "no known format")


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
    for path in ([a, b], [str(a), str(b)]):
        recording = open_recording(path)
        assert recording.modulations == ("BPSK", "QPSK") and recording.modulation.tolist() == [1, 1, 0, 0, 0]
        assert recording.snrs_db == (0, 6) and recording.sample_rate.tolist() == [1e6] * 2 + [2e6] * 3
        both = np.concatenate([open_recording(a).read([1]), open_recording(b.with_suffix(".sigmf-data")).read([2])])
        assert (recording.read([1, 4]) == both).all()
    folder = open_recording(tmp_path)
    assert {x.tobytes() for x in folder.read(range(5))} == {x.tobytes() for x in recording.read(range(5))}
    refusal(tmp_path / "b.sigmf-meta", "length", length=0)
    with pytest.raises(AmcError, match="empty; allowed"):
        open_recording([])


def test_a_length_beyond_the_annotations_is_told_with_the_longest(sigmf):
    assert "has 4096 samples, the longest has 768; allowed is a length of 768 or less" in refusal(sigmf, length=4096)
