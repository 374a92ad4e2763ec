"""Fading realisations that instances share."""

import pytest
import torch

from amc_core import AmcError, Scenario, simulate
from amc_core.channels import Fading
from amc_core.run import Dataset
from amc_core.scenario import CHANNELS

SHARED = {"like": "rayleigh", "realisations": 4}


def gains(channel, seed: int = 0, indices=range(12), keys=(1, 2), sample_rate: float = 200e3) -> torch.Tensor:
    fading = Fading(Scenario(channel=channel).paths, sample_rate, 256, seed=seed)
    return fading.gains(torch.tensor(keys).expand(len(indices), -1), torch.tensor(list(indices)))


def test_instance_i_takes_realisation_i_mod_r_whatever_its_address():
    drawn = gains(SHARED)
    assert torch.equal(drawn[:4], drawn[4:8]) and torch.equal(drawn[:4], drawn[8:])
    assert len(drawn[:4].flatten(1).unique(dim=0)) == 4
    assert torch.equal(gains(SHARED, keys=(7, 9)), drawn)


def test_the_seed_of_the_dataset_draws_other_realisations():
    assert not torch.equal(gains(SHARED, seed=1), gains(SHARED))


def test_more_realisations_begin_with_those_of_fewer():
    assert torch.equal(
        gains({"like": "rayleigh", "realisations": 2}, indices=range(2)), gains(SHARED, indices=range(2))
    )


@pytest.mark.parametrize(("snr_db", "upsampling"), [(200, 8), (150, 8), (200, 2)])
def test_what_is_received_fades_alike_at_every_snr_and_number_of_samples_per_symbol(snr_db, upsampling):
    """Of one path and without noise, BPSK is the gain times a real signal: its square has twice the gain's phase."""
    flat = {"path_delays": [0], "path_gains_db": [0], "max_doppler": 50, "realisations": 1, "name": "flat"}
    [received] = simulate(Scenario(channel=flat, upsampling=upsampling), "BPSK", snr_db, [5], 256)
    gain = torch.complex(*gains(flat, indices=[0])[0, 0])
    strong = received.abs() > 0.3
    assert strong.sum() > 100 and (received**2 / gain**2)[strong].angle().abs().max() < 1e-3


def test_realisations_are_part_of_the_key_and_of_the_name():
    plain, shared = Scenario(channel="rayleigh"), Scenario(channel=SHARED)
    keys = {Dataset(scenario, ("BPSK", "QPSK"), (0,), 10).key for scenario in (plain, shared)}
    assert len(keys) == 2
    assert shared.columns()["channel"] == "rayleigh realisations 4"
    assert plain.definition() == {"channel": CHANNELS["rayleigh"].definition()}


def test_a_channel_like_one_of_table_i_has_its_other_fields():
    own = Scenario(channel={"like": "rician", "max_doppler": 10, "name": "fast"}).paths
    assert (own.path_delays, own.k_factor, own.max_doppler) == (CHANNELS["rician"].path_delays, 4, 10)


@pytest.mark.parametrize(
    ("channel", "complaint"),
    [
        ({"like": "rayleight"}, "did you mean 'rayleigh'"),
        ({"like": "rayleigh", "realisations": 0}, "realisations 0 is not allowed"),
        ({"like": "rayleigh", "doppler": 4}, "max_doppler"),
    ],
)
def test_what_is_no_channel_is_refused(channel, complaint):
    with pytest.raises(AmcError, match=complaint):
        Scenario(channel=channel)
