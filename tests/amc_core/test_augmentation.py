"""Augmentation: what each kind does to an instance, that its address decides it, and that it stops and goes on."""

import math

import pytest
import torch

from amc_core import AmcError, Scenario
from amc_core.augmentation import Augmentation, augments, donors
from amc_core.augmentation import _Draws as Draws
from amc_core.instances import Instances
from amc_core.run import Dataset, Recipe, Run
from amc_core.training import train

DATASET = Dataset(Scenario(), ("BPSK", "16QAM", "GFSK"), (18.0, 0.0), instances=50, length=64)
INSTANCES = Instances(DATASET, "train", keep=True)
ALL = torch.arange(len(INSTANCES))
X = INSTANCES.kept

KINDS = [
    {"augment_rotation": "any"},
    {"augment_rotation": "quarter_turns"},
    {"augment_flip": True},
    {"augment_conjugation": True},
    {"augment_shift": True},
    {"augment_noise": 0.2},
    {"augment_paste": 0.25},
]


def augmented(positions: torch.Tensor = ALL, epoch: int = 1, seed: int = 0, **fields) -> torch.Tensor:
    augment = Augmentation(Recipe(**fields), DATASET, seed)
    return augment(X[positions], *INSTANCES.address(positions), epoch=epoch)


def power(x: torch.Tensor) -> torch.Tensor:
    return x.square().sum(1).mean(1)


@pytest.mark.parametrize("fields", KINDS)
def test_epoch_seed_and_address_decide_the_change_and_its_power_stays(fields):
    changed = augmented(**fields)
    assert augments(Recipe(**fields)) and not torch.equal(changed, X)
    assert torch.equal(changed, augmented(**fields))
    assert not torch.equal(changed, augmented(epoch=2, **fields))
    assert not torch.equal(changed, augmented(seed=1, **fields))
    torch.testing.assert_close(power(changed), power(X), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("fields", KINDS[:-1])
def test_neither_the_batch_nor_its_order_changes_what_happens_to_an_instance(fields):
    positions = torch.tensor([200, 3, 77, 150])
    assert torch.equal(augmented(positions, **fields), augmented(**fields)[positions])


def test_one_more_kind_draws_nothing_from_the_others():
    turned = augmented(augment_rotation="quarter_turns")
    both = augmented(augment_rotation="quarter_turns", augment_flip=True)
    signs = (augmented(augment_flip=True) / X)[:, :, :1].sign()
    i, q = (signs * X).unbind(1)
    z, w = torch.complex(i, q), torch.complex(*X.unbind(1))
    turn = torch.complex(*turned.unbind(1)) / w
    torch.testing.assert_close(torch.complex(*both.unbind(1)), z * turn[:, :1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("kind", "turns"), [("quarter_turns", 4), ("any", 200)])
def test_a_rotation_multiplies_by_one_phase_an_instance(kind, turns):
    changed = augmented(augment_rotation=kind)
    phases = torch.complex(*changed.unbind(1)) / torch.complex(*X.unbind(1))
    torch.testing.assert_close(phases, phases[:, :1].expand_as(phases), rtol=1e-2, atol=1e-3)
    angles = (phases.mean(1).angle() / (2 * math.pi)) % 1
    if kind == "quarter_turns":
        counts = torch.bincount((angles * 4).round().long() % 4, minlength=4) / len(X)
        torch.testing.assert_close(angles * 4, (angles * 4).round(), atol=1e-4, rtol=0)
        assert counts.tolist() == pytest.approx([0.25] * 4, abs=0.1)
    else:
        assert len(angles.unique()) > turns
        assert torch.histc(angles, 4, 0, 1).div(len(X)).tolist() == pytest.approx([0.25] * 4, abs=0.1)


def test_flips_take_the_sign_of_i_and_q_and_conjugation_of_q_alone():
    flips = (augmented(augment_flip=True) / X)[:, :, 0]
    assert set(flips.round().flatten().tolist()) == {-1.0, 1.0}
    pairs = torch.unique((flips > 0).int(), dim=0, return_counts=True)[1] / len(X)
    assert pairs.tolist() == pytest.approx([0.25] * 4, abs=0.1)
    conjugated = augmented(augment_conjugation=True)
    assert torch.equal(conjugated[:, 0], X[:, 0]) and torch.equal(conjugated[:, 1].abs(), X[:, 1].abs())
    assert (conjugated[:, 1] == -X[:, 1]).all(1).float().mean().item() == pytest.approx(0.5, abs=0.1)


def test_a_shift_is_circular_and_uniform():
    changed = augmented(augment_shift=True)
    shifts = []
    for before, after in zip(X, changed, strict=True):
        [shift] = [s for s in range(64) if torch.equal(before.roll(s, dims=1), after)]
        shifts.append(shift)
    assert sum(shifts) / len(shifts) == pytest.approx(31.5, abs=4) and len(set(shifts)) > 40


def test_noise_has_the_share_of_the_rms_in_both_components():
    changed = augmented(augment_noise=0.5)
    scale = (changed * X).sum((1, 2)) / X.square().sum((1, 2))
    noise = changed / scale[:, None, None] - X
    assert power(noise).mean().item() == pytest.approx(0.25 * power(X).mean().item(), rel=0.06)
    ratio = noise[:, 0].square().mean() / noise[:, 1].square().mean()
    assert ratio.item() == pytest.approx(1, abs=0.08)


def test_a_pasted_segment_comes_from_a_mate_of_the_same_modulation_at_its_snr_or_lower():
    modulation, snr, index = INSTANCES.address(ALL)
    level = 1 - snr  # the SNRs are 18 and 0 dB in this order
    draw = Draws(torch.stack([modulation, snr], dim=1), index)
    donor = donors(modulation, level, draw)
    assert (donor != ALL).all()
    assert torch.equal(modulation[donor], modulation) and (level[donor] <= level).all()
    high = level == 1
    assert (level[donor][high] == 0).float().mean().item() == pytest.approx(0.5, abs=0.12)
    few = torch.tensor([0, 120, 1])  # the only one of its modulation keeps itself
    alone = donors(modulation[few], level[few], Draws(draw.keys[few], index[few]))
    assert alone.tolist() == [2, 1, 0]


def test_a_pasted_segment_is_one_run_of_the_donors_samples():
    changed = augmented(augment_paste=0.25)
    for before, after in zip(X[:40], changed[:40], strict=True):
        scale = (after / before)[0].median()
        kept = torch.isclose(after, scale * before, rtol=1e-3, atol=1e-5).all(0)
        assert 16 - 3 <= (~kept).sum() <= 16
        replaced = (~kept).nonzero()[:, 0]
        assert replaced[-1] - replaced[0] < 16


@pytest.mark.parametrize("modulation", ["SSB-AM", "AM-SSB-WC"])
def test_a_mirrored_spectrum_is_told_where_there_is_a_single_sideband(modulation):
    dataset = Dataset(Scenario(), ("BPSK", modulation), (0.0,), 20, 128)
    doubts = [
        Run("gru2", dataset, Recipe(**fields)).doubt
        for fields in ({"augment_flip": True}, {"augment_conjugation": True}, {"augment_rotation": "any"}, {})
    ]
    assert [modulation in doubt for doubt in doubts] == [True, True, False, False]
    assert "augment_flip" in doubts[0] and "sideband" in doubts[0]
    assert Run("gru2", DATASET, Recipe(augment_flip=True)).doubt == ""


@pytest.mark.parametrize("fields", KINDS)
def test_augmented_training_that_was_stopped_ends_in_the_same_weights(fields):
    run = Run("mod_lcnn", DATASET, Recipe(epochs=3, batch_size=64, **fields))
    whole = list(train(run))[-1]["weights"]
    rest = list(train(run, state=next(train(run))))[-1]["weights"]
    plain = list(train(Run("mod_lcnn", DATASET, Recipe(epochs=3, batch_size=64))))[-1]["weights"]
    assert all(torch.equal(whole[name], rest[name]) for name in whole)
    assert not torch.equal(whole["head.0.weight"], plain["head.0.weight"])
    assert run.key != Run("mod_lcnn", DATASET, Recipe(epochs=3, batch_size=64)).key


@pytest.mark.parametrize(
    "wrong", [{"augment_rotation": "half"}, {"augment_flip": 1}, {"augment_noise": -1}, {"augment_paste": 0.6}]
)
def test_nonsense_is_refused_with_what_is_allowed(wrong):
    [name] = wrong
    with pytest.raises(AmcError, match=name):
        Recipe(**wrong)
