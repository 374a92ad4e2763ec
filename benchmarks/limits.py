"""Do the limits come out as an independent computation has them?

    python benchmarks/limits.py [--error 0.004] [--instances 100] [--only bound|achieved]

Prints, beside what is expected at −6 … 18 dB in steps of 2 (roll-off 0.35, 1,024 samples): the upper bound of P1's
complex set and of its fourteen linear modulations, and the accuracy of zero forcing, in theory and on simulated
instances. Expected values are for everything known, in white noise unless said; errors are 95 % of Monte Carlo.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np
import torch

from amc_core import MODULATION_SETS, Scenario, Simulator
from amc_core.coverage import is_linear
from amc_core.limits import UpperBound, upper_bound
from amc_core.models.likelihood import LikelihoodClassifier, known
from amc_core.recognition import recognition
from amc_core.scenario import AUGMOD

SNRS = tuple(range(-6, 20, 2))
LINEAR = tuple(name for name in MODULATION_SETS["complex"] if is_linear(name))
# Setting, modulations, SNRs, samples, mean of the bound over the SNRs.
BOUNDS = (
    *((f"L = {ratio:g}", Scenario(upsampling=ratio), "complex", SNRS, 1024, mean)
      for ratio, mean in ((32, 0.9406), (16, 0.920), (10.67, 0.906), (8, 0.8968), (6.4, 0.887), (4, 0.8675),
                          (3.2, 0.858), (2, 0.8346))),
    *((f"simple set, L = {ratio}", Scenario(upsampling=ratio), "simple", SNRS, 1024, mean)
      for ratio, mean in ((8, 0.980), (4, 0.967), (2, 0.949))),
    ("root raised cosine", Scenario(pulse="root_raised_cosine"), "complex", SNRS, 1024, 0.890),
    *((channel, Scenario(channel=channel), "complex", SNRS, 1024, mean)
      for channel, mean in (("rayleigh", 0.910), ("rician", 0.911), ("rayleigh_2", 0.912))),
    ("rayleigh at 2 MHz", Scenario(channel="rayleigh", sample_rate=2e6), "complex", SNRS, 1024, 0.94),
    ("AugMod, 1,024 samples", AUGMOD, "augmod", (0, 10, 20, 30, 40), 1024, 0.973),
    ("AugMod, 128 samples", AUGMOD, "augmod", (0, 10, 20, 30, 40), 128, 0.937),
)  # fmt: skip
BY_SNR = {  # L → the fourteen's bound at −6 … 8 dB
    32: (0.573, 0.683, 0.800, 0.896, 0.957, 0.990, 0.999, 1),
    8: (0.442, 0.537, 0.632, 0.742, 0.844, 0.925, 0.967, 0.996),
    4: (0.341, 0.454, 0.557, 0.662, 0.765, 0.862, 0.935, 0.968),
    2: (0.253, 0.344, 0.467, 0.587, 0.691, 0.806, 0.882, 0.937),
}
ZERO_FORCING = {32: 0.8992, 8: 0.8364, 4: 0.7939, 2: 0.7446}  # L → mean over the SNRs, of the fourteen


def bounds(standard_error: float) -> None:
    print(f"{'upper bound':24} expected   ours     ±  hit rate   seconds")
    for name, scenario, modulations, snrs, length, expected in BOUNDS:
        start = time.perf_counter()
        bound = upper_bound(scenario, modulations, snrs, length, standard_error)
        error = 1.96 * math.hypot(*bound.standard_error) / len(snrs)
        ours, hits = bound.accuracy.mean(), bound.hit_rate.mean()
        seconds = time.perf_counter() - start
        print(f"{name:24}  {expected:.4f}  {ours:.4f} {error:.4f}  {hits:.4f}  {seconds:6.1f}", flush=True)
        if name.startswith("L = ") and scenario.upsampling in BY_SNR:
            show_by_snr(scenario.upsampling, bound)


def show_by_snr(ratio: float, bound: UpperBound) -> None:
    """The fourteen linear modulations' share of the complex set's bound: A14 = (20·A20 − 6) / 14."""
    ours = (20 * bound.accuracy[:8] - 6) / 14
    for label, row in (("expected", BY_SNR[ratio]), ("ours", ours)):
        print(f"    fourteen, {label:9} " + " ".join(f"{value:.3f}" for value in row))


def achieved(instances: int, standard_error: float) -> None:
    print(f"\n{'zero forcing, fourteen':24} expected  theory  simulated     ±   seconds")
    for ratio, expected in ZERO_FORCING.items():
        start = time.perf_counter()
        gain = 10 * math.log10(ratio / ((1 - 0.35 / 4) * (1 + 0.35 * (math.sqrt(2) - 1))))
        theory = [recognition(LINEAR, 1024 // ratio, snr + gain, standard_error).accuracy for snr in SNRS]
        rates = np.array([accuracy(Scenario(upsampling=ratio), snr, instances) for snr in SNRS])
        error = 1.96 * math.sqrt((rates * (1 - rates)).sum() / (instances * len(LINEAR))) / len(SNRS)
        seconds = time.perf_counter() - start
        row = f"{expected:.4f}  {np.mean(theory):.4f}     {rates.mean():.4f} {error:.4f}  {seconds:6.1f}"
        print(f"L = {ratio:<20}  {row}", flush=True)


def accuracy(scenario: Scenario, snr_db: float, instances: int) -> float:
    """Of the likelihood classifier, on so many simulated instances of each modulation."""
    simulator, model = Simulator(scenario, LINEAR, [snr_db], 1024), LikelihoodClassifier(len(LINEAR))
    sent = torch.arange(len(LINEAR)).repeat_interleave(instances)
    address = sent, torch.zeros_like(sent), torch.arange(instances).repeat(len(LINEAR))
    scores = model(simulator(*address), known(simulator, *address), LINEAR)
    return (scores.argmax(1) == sent).double().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--error", type=float, default=0.004, help="standard error of each SNR's accuracy")
    parser.add_argument("--instances", type=int, default=100, help="simulated, of each modulation and SNR")
    parser.add_argument("--only", choices=["bound", "achieved"], default=None)
    arguments = parser.parse_args()
    if arguments.only != "achieved":
        bounds(arguments.error)
    if arguments.only != "bound":
        achieved(arguments.instances, arguments.error)


if __name__ == "__main__":
    main()
