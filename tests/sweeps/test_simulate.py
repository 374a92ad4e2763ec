"""`amc simulate`: pictures, exported files that read back, and refusals."""

import numpy as np
import pytest

from amc_core import Scenario, simulate
from amc_core.recordings import open_recording


@pytest.mark.parametrize("kind", ["out.h5", "sigmf"])
def test_exported_instances_read_back_bit_for_bit(amc, kind, tmp_path):
    shown = amc("simulate", "rayleigh", "--modulations", "QPSK,16APSK", "--snr", "12", "--length", "256",
                "--to", str(tmp_path), "--export", str(tmp_path / kind), "--instances", "7", "--seed", "3")  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert (tmp_path / "signals-rayleigh.png").read_bytes().startswith(b"\x89PNG")
    recording = open_recording(tmp_path / kind, 256)
    assert set(recording.modulations) == {"QPSK", "16APSK"} and recording.snrs_db == (12.0,) and len(recording) == 14
    for place, name in enumerate(recording.modulations):
        expected = simulate(Scenario("rayleigh"), name, 12.0, range(7), length=256, seed=3).numpy()
        got = recording.read(np.flatnonzero(recording.modulation == place))
        assert np.array_equal(got[:, 0] + 1j * got[:, 1], expected)


@pytest.mark.parametrize(
    "scenario", ["awgn", "augmod_offsets", "{channel: {path_delays: [0, 1e-5], path_gains_db: [0, -3]}}"]
)
def test_any_scenario_can_be_drawn(amc, scenario, tmp_path):
    shown = amc("simulate", scenario, "--modulations", "augmod", "--to", str(tmp_path))
    assert shown.returncode == 0, shown.stderr
    assert len(list(tmp_path.glob("*.svg"))) == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["raleigh"], "did you mean 'rayleigh'"),
        (["{upsampling: 0}"], "from 1"),
        (["{uprate: 4}"], "'uprate'"),
        (["{sample_rate: -1}"], "from 1e-6"),
        (["{rolloff: {uniform: [0.1, 1.5]}}"], "from 0 to 1"),
        (["{rolloff: {unifrom: [0.1, 0.5]}}"], "did you mean 'uniform'"),
        (["{channel: {path_delays: [0, 1e-3], path_gains_db: [0, 0]}}", "--length", "128"], "too short"),
        (["{channel: {path_delays: [-1e-6], path_gains_db: [0]}}"], "path_delays"),
        (["{channel: {path_delays: [0], path_gains_db: []}}"], "differ in length"),
        (["{pulse: gaussian}"], "raised_cosine"),
        (["awgn", "--modulations", "QPSK,8PKS"], "did you mean '8PSK'"),
        (["awgn", "--snr", "nan"], "snr"),
        (["[", "--snr", "3"], "YAML"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(amc, arguments, named, tmp_path):
    refused = amc("simulate", *arguments, "--to", str(tmp_path / "figures"))
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1 and named in refused.stderr, refused.stderr
    assert not (tmp_path / "figures").exists()


def test_pictures_are_named_by_the_scenario_and_their_vectors_are_small(amc, tmp_path):
    shown = amc("simulate", "augmod", "--modulations", "complex", "--to", str(tmp_path))
    assert shown.returncode == 0 and (tmp_path / "signals-augmod.png").exists()
    assert (tmp_path / "signals-augmod.svg").stat().st_size < 3e6


def test_an_unknown_format_is_refused_before_anything_is_drawn(amc, tmp_path):
    refused = amc("simulate", "awgn", "--to", str(tmp_path / "figures"), "--export", str(tmp_path / "x.mat"))
    assert refused.returncode == 2 and "x.mat" in refused.stderr and "FILE.h5" in refused.stderr
    assert not list(tmp_path.iterdir())
