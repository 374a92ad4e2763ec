"""Front ends of the user's own: what a function is given, what its parameters are, and what the dry run refuses."""

import numpy as np
import pytest
import torch

from amc_core import AmcError, Scenario, Simulator, simulate
from amc_core.coverage import not_covered, why_unknown
from amc_core.dry_run import FrontEndAttempt, _try_front_end
from amc_core.front_end import FrontEnd, OwnFunction, front_end
from amc_core.identity import key
from amc_core.scenario import scenario_from
from amc_core.settings import covers

CLIP = "return torch.complex(iq.real.clamp(-level, level), iq.imag.clamp(-level, level))"


def own(body: str = CLIP, arguments: str = "level: float = 1.0", after: str = "", **given) -> FrontEnd:
    text = f"import torch\n\ndef rx(iq, uniform, {arguments}):\n    {body}\n{after}\n"
    return front_end(OwnFunction("my_rx.rx", {"my_rx.py": text}), given)


def received(scenario: Scenario, count: int = 8, snr_db: float = 10) -> np.ndarray:
    return simulate(scenario, "QPSK", snr_db, range(count), 256).numpy()


def test_a_clipper_of_ones_own_clips_as_ours_does():
    raw = {"normalisation": "none", "channel": "rician"}
    ours, theirs = Scenario(clipping_level=0.8, **raw), Scenario(front_end=own(level=0.8), **raw)
    first, second = (Simulator(scenario, ["QPSK"], [10], 256) for scenario in (ours, theirs))
    second.keys = first.keys  # the same symbols, fading and noise
    zeros, index = torch.zeros(8, dtype=torch.int64), torch.arange(8)
    assert torch.allclose(first(zeros, zeros, index), second(zeros, zeros, index), atol=1e-6)


def test_it_is_given_instances_of_unit_power_and_gives_back_their_scale():
    noted = "assert torch.allclose(iq.abs().square().mean(1), torch.ones(len(iq)), atol=1e-5); return 2 * iq"
    scenario = Scenario("rayleigh", normalisation="none", front_end=own(noted, arguments=""))
    zeros, index = torch.zeros(8, dtype=torch.int64), torch.arange(8)
    doubled = Simulator(scenario, ["QPSK"], [10], 256)
    plain = Simulator(Scenario("rayleigh", normalisation="none"), ["QPSK"], [10], 256)
    plain.keys = doubled.keys
    assert torch.allclose(doubled(zeros, zeros, index), 2 * plain(zeros, zeros, index), rtol=1e-5)


def test_draws_are_uniform_and_of_the_address_whatever_the_batch():
    body = "return torch.complex(uniform[:, :256], uniform[:, 256:])"
    after = "rx.draws = lambda length: 2 * length"
    scenario = Scenario(front_end=own(body, "", after), normalisation="none")
    whole, alone = received(scenario, 64), simulate(scenario, "QPSK", 10, [5], 256).numpy()
    assert np.array_equal(whole[5:6], alone)
    ratio = (whole.real / whole.imag.mean(1, keepdims=True)).ravel() / 2  # the mean of the draws is a half
    counts = np.histogram(ratio, 4, (0, 1))[0]
    assert abs(counts / counts.sum() - 0.25).max() < 0.03


def test_a_parameter_is_fixed_or_drawn_for_every_instance():
    body = "return iq.new_ones(iq.shape) * level.to(iq.dtype)"
    drawn = Scenario(front_end=own(body, level={"uniform": [1, 3]}), normalisation="none")
    fixed = Scenario(front_end=own(body, level=2), normalisation="none")
    levels = np.abs(received(drawn, 4000)[:, 0]) / np.abs(received(fixed, 1)[0, 0]) * 2
    assert len(np.unique(levels.round(4))) > 1000
    assert covers(drawn, fixed) and not covers(fixed, drawn)


def test_whole_numbers_texts_lists_and_the_sample_rate_are_as_python_has_them():
    body = "assert (bits, mode, taps, sample_rate) == (3, 'hard', [1, 2], 1e6); return iq"
    arguments = "bits: int = 2, mode='soft', taps=(1, 2), sample_rate=0"
    scenario = Scenario(front_end=own(body, arguments, bits=3, mode="hard"), sample_rate=1e6)
    assert received(scenario).shape == (8, 256)
    assert dict(scenario.front_end.parameters) == {"bits": 3, "mode": "hard", "taps": (1, 2)}


def test_code_and_parameters_are_in_the_key_and_a_record_brings_the_same_scenario_without_the_code():
    keys = {key(Scenario(front_end=each)) for each in (own(), own(level=0.5), own(CLIP + "  # another"))}
    assert len(keys) == 3 and key(Scenario()) not in keys
    drawn = Scenario(front_end=own(level={"uniform": [1, 2]}))
    again = scenario_from(drawn.as_dict())
    assert again == drawn and hash(again) == hash(drawn) and key(again) == key(drawn)
    assert again.columns()["front_end"].startswith("my_rx.rx level uniform(1, 2) (")
    with pytest.raises(AmcError, match="only commands that are given its study"):
        received(again)


def test_the_likelihood_classifier_refuses_what_a_bound_may_leave_out():
    scenario = Scenario(front_end=own())
    assert "front_end" in not_covered(scenario)
    assert why_unknown(scenario, ("BPSK", "QPSK"), 256) is None


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda: own(gain=1), "has no parameter 'gain'.*known: level"),
        (lambda: own(level="loud"), "level 'loud' is not allowed: it has to be a number"),
        (lambda: own(arguments="level"), "level has no default: give it a number"),
        (lambda: own(arguments="*levels"), "has [*]levels: write rx"),
        (lambda: own(arguments="level=torch.pi"), "whose value is unknown before the file runs"),
        (
            lambda: front_end(OwnFunction("my_rx.rx", {"my_rx.py": "def ry(iq, uniform): ..."}), {}),
            "no function 'rx'.*ry",
        ),
        (
            lambda: front_end(OwnFunction("my_rx.rx", {"my_rx.py": "def rx(x): ..."}), {}),
            "does not have iq and uniform as its first",
        ),
        (lambda: Scenario(front_end="my_rx.clip"), "allowed is a function of a file in code"),
        (lambda: Scenario(front_end=own(), recording="a.h5"), "front_end is not allowed with recording"),
    ],
)
def test_nonsense_is_refused_when_it_is_planned(made, told):
    with pytest.raises(AmcError, match=told):
        made()


@pytest.mark.parametrize(
    ("body", "after", "told"),
    [
        ("return iq[:, :-1]", "", r"gives shape \(4, 63\): it has to give a complex tensor of shape \(4, 64\)"),
        ("return iq.real", "", "gives torch.float32: it has to give a complex"),
        ("return None", "", "gives NoneType"),
        ("return iq / 0", "", "gives samples that are not finite"),
        ("return iq / iq.abs().max()", "", "gives different samples for an instance if the rest of its batch changes"),
        ("return iq * torch.rand(len(iq), 1)", "", "gives different samples for the same instances: draw "),
        ("return iq @ iq", "", r"fails: RuntimeError: .*\(my_rx.py, line 4\)"),
        ("return iq", "rx.draws = -1", "draws -1 is not allowed: it has to be a whole number"),
        ("return iq", "rx.draws = lambda n: 1 / 0", "fails: ZeroDivisionError"),
        ("return iq", "1 / 0", "my_rx.py cannot be imported on"),
        ("return iq", "rx = 3", "has no function 'rx' once it is imported"),
    ],
)
def test_the_dry_run_says_in_a_sentence_what_does_not_work(body, after, told):
    with pytest.raises(AmcError, match=told) as refused:
        _try_front_end(FrontEndAttempt(own(body, after=after), 64, 1e6))
    assert "\n" not in str(refused.value)


def test_a_sound_front_end_passes_the_dry_run():
    for level in (0.5, {"uniform": [0.5, 1]}):
        _try_front_end(FrontEndAttempt(own(level=level, after="rx.draws = 2"), 64, 1e6))
