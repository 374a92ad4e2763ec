"""From addresses to I/Q: r(t) = Σ_i h_i(t) s(t − τ_i) + v(t), scaled to unit power (P1 eq. 2).

An instance's address is (scenario, modulation, SNR, seed, index). It decides every bit of the instance, for any batch,
order or worker; on another kind of device the instance is the same up to float rounding.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch

from amc_core.baseband import AnalogueBaseband, ContinuousPhaseBaseband, LinearBaseband
from amc_core.channels import paths
from amc_core.device import carried, products
from amc_core.errors import AmcError
from amc_core.exactmath import group
from amc_core.families import Analogue, ContinuousPhase, Linear
from amc_core.identity import address_key, key
from amc_core.impairments import STAGES, TRANSMITTER
from amc_core.modulations import modulation as modulation_of
from amc_core.modulations import modulation_names, require_audible
from amc_core.noise import joined, power
from amc_core.scenario import Scenario
from amc_core.stages import Batch, Draws, Setting

_GROUPS = 4  # groups of a matrix product (`exactmath.group`) simulated at a time, enough to hide Python's overhead


class Simulator:
    """Simulates instances of one scenario.

    modulations: names, or `OwnModulation`s; snrs_db: dB over the sampled band, relative to the received signal's power
    (inf: no noise); length: samples; seed: of the dataset; stretch: the tenths of an audio file between which
    instances are taken, see `Dataset.stretch`. Raises AmcError if a modulation is unknown or the scenario cannot be
    simulated with these arguments.
    """

    def __init__(
        self,
        scenario: Scenario,
        modulations: Sequence[str],
        snrs_db: Sequence[float],
        length: int = 1024,
        seed: int = 0,
        device: torch.device | str = "cpu",
        stretch: tuple[int, int] = (0, 10),
    ):
        self.length, self.device = length, torch.device(device)
        self.group = group(self.device)
        if scenario.recording:
            raise AmcError(f"recording {scenario.recording!r} is read, not simulated")
        scenario.require_length(length)
        require_audible(modulations, scenario.sample_rate)
        self.scenario = scenario
        delays = np.asarray(scenario.paths.path_delays or (0.0,))
        setting = Setting(scenario, delays, length, self.device, int(seed), stretch)
        self.families, self.family_of, self.kind_of = self._families(modulations, setting)
        self.paths = paths(setting)
        self.transmitter = [stage for kind in TRANSMITTER if (stage := kind.of(setting)) is not None]
        self.stages = joined([stage for kind in STAGES if (stage := kind.of(setting)) is not None])
        described, snrs_db = key(scenario), [float(snr) for snr in snrs_db]
        keys = [[address_key(described, name, snr, int(seed)) for snr in snrs_db] for name in modulations]
        self.keys = torch.tensor(keys)  # (modulations, SNRs, 2)
        self.noise_power = 10 ** (-torch.tensor(snrs_db, dtype=torch.float64) / 10)

    @cached_property
    def tables(self) -> list[torch.Tensor]:
        """Kinds, keys and noise powers on the device."""
        return [x.to(self.device) for x in (self.kind_of, self.keys, self.noise_power.to(torch.float32))]

    def _families(self, names: Sequence[str], setting: Setting):
        """The basebands and, for each modulation, the index of its baseband and its index within that baseband."""
        groups: dict[object, list[str]] = {}
        for name in names:
            known = modulation_of(name)
            groups.setdefault(known.quadrature_delay if isinstance(known, Linear) else name, []).append(name)
        basebands, family, kind = [], {}, {}
        for position, members in enumerate(groups.values()):
            chosen = [modulation_of(name) for name in members]
            if isinstance(chosen[0], Linear):
                basebands.append(LinearBaseband(chosen, setting))
            elif isinstance(chosen[0], ContinuousPhase):
                basebands.append(ContinuousPhaseBaseband(chosen[0], setting))
            elif isinstance(chosen[0], Analogue):
                basebands.append(AnalogueBaseband(chosen[0], setting))
            family |= dict.fromkeys(members, position)
            kind |= {name: number for number, name in enumerate(members)}
        families, kinds = ([numbers[name] for name in names] for numbers in (family, kind))
        return basebands, torch.tensor(families), torch.tensor(kinds)

    def __call__(self, modulation: torch.Tensor, snr: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """The instances of a batch of addresses.

        modulation, snr: (batch,) int64, positions in the lists given; index: (batch,) int64; all on the CPU.
        Returns (batch, 2, length) float32, I and Q, each instance of mean power 1 unless the scenario says otherwise.
        """
        out = torch.empty(len(index), 2, self.length, device=self.device)
        chunks = list(self._chunks(modulation))
        if not chunks:
            return out
        rows = torch.cat([filled for _, _, filled in chunks])
        addresses = torch.stack([rows, modulation[rows], snr[rows], index[rows]])
        sizes = [len(filled) for _, _, filled in chunks]
        pieces = zip(chunks, addresses.split(sizes, 1), carried(addresses, self.device).split(sizes, 1), strict=True)
        with products("float32", self.device):
            for (family, count, _), here, there in pieces:
                self._chunk(family, count, here, there, out)
        return out

    def _chunks(self, modulation: torch.Tensor) -> Iterator[tuple[int, int, torch.Tensor]]:
        """Family, number of instances, and their rows in the batch, padded to a multiple of a group."""
        families = self.family_of[modulation]
        for family in families.unique().tolist():
            for part in (families == family).nonzero()[:, 0].split(_GROUPS * self.group):
                yield family, len(part), part[torch.arange(-(-len(part) // self.group) * self.group) % len(part)]

    def _chunk(self, family: int, count: int, here: torch.Tensor, there: torch.Tensor, out: torch.Tensor) -> None:
        """Writes the first `count` instances of a chunk of addresses into their rows of `out`.

        here, there: (4, chunk) int64: row, modulation, SNR and index, on the CPU and on the device.
        """
        _, modulation, snr, index = here
        draws = Draws(self.scenario, self.keys[modulation, snr], index)
        rows, modulation, snr, index = there
        kind_of, keys, noise_power = self.tables
        batch = Batch(kind_of[modulation], keys[modulation, snr], index, draws, noise_power[snr])
        sent = self.families[family](None, batch)
        for stage in self.transmitter:
            sent = stage(sent, batch)
        if self.scenario.snr_reference == "average":
            batch = replace(batch, sent_power=power(torch.stack([part[:, 0] for part in sent], dim=1)))
        signal = self.paths(sent, batch)
        batch, signal = batch.first(count), signal[:count]  # without the padding
        for stage in self.stages[:-1]:
            signal = stage(signal, batch)
        self.stages[-1].into(out, rows[:count], signal, batch)


def simulate(
    scenario: Scenario,
    modulation: str | Mapping,
    snr_db: float,
    indices: Iterable[int],
    length: int = 1024,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Instances of one scenario, modulation and SNR.

    Audio is drawn from a whole file, not from the stretch of one part of a dataset.

    Parameters:
        scenario: The transmission setting.
        modulation: A name, or your own modulation, {"MY8": {"points": […]}} or {"4FSK": {"cpm": {…}}}.
        snr_db: dB over the sampled band, relative to the received signal's power; inf for no noise. At least −200.
        indices: Indices of the instances, whole numbers from 0 to 2⁶³ − 1.
        length: Samples of an instance, at least 1.
        seed: The seed of the dataset.
        device: The torch device that computes, and on which the result lies.

    Returns:
        (len(indices), length) complex64, each instance of mean power 1, or as the scenario's normalisation says.

    Raises:
        AmcError: The modulation is not known, or another value is not allowed.

    Source: P1 eq. 2.
    """
    [modulation] = modulation_names([modulation])
    if not isinstance(snr_db, int | float | np.number) or not -200 <= snr_db:
        raise AmcError(f"snr_db {snr_db!r} is not allowed: it has to be a number of dB, from -200, or inf for no noise")
    try:
        numbers = [operator.index(number) for number in indices]
        length, seed = operator.index(length), operator.index(seed)
    except TypeError:
        raise AmcError("indices, length and seed have to be whole numbers") from None
    if length < 1 or not all(0 <= number < 1 << 63 for number in numbers):
        raise AmcError("length has to be at least 1, and indices from 0 to 2**63 - 1")
    index = torch.tensor(numbers, dtype=torch.int64)
    simulator = Simulator(scenario, [modulation], [snr_db], length, seed, device)
    zeros = torch.zeros_like(index)
    instances = simulator(zeros, zeros, index)
    return torch.complex(instances[:, 0], instances[:, 1])
