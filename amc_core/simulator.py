"""From addresses to I/Q: r(t) = Σ_i h_i(t) s(t − τ_i) + v(t), scaled to unit power (P1 eq. 2).

An instance's address is (scenario, modulation, SNR, seed, index), and the address decides every bit of it,
whatever the batch, the order, or the worker; on another kind of device it is the same up to float rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from amc_core.baseband import AnalogueBaseband, ContinuousPhaseBaseband, LinearBaseband, Setting
from amc_core.channels import Fading, through_paths
from amc_core.errors import AmcError
from amc_core.exactmath import square_root
from amc_core.impairments import Rotation, draw
from amc_core.modulations import MODULATIONS, Analogue, ContinuousPhase, Linear, modulation_names
from amc_core.randomness import NOISE, address_key, complex_normal
from amc_core.scenario import Scenario

# Matrix products may round a row by the shape of the whole, so every product has one shape: batches are cut into
# chunks of this many instances, the last one filled up. On a CPU a chunk also has to stay in its cache.
_CPU_CHUNK, _GPU_CHUNK = 64, 1024


class Simulator:
    """Simulates instances of one scenario.

    modulations: names; snrs_db: dB over the sampled band, relative to the received signal's power (inf: no
    noise); length: samples; seed: of the dataset.
    """

    def __init__(
        self,
        scenario: Scenario,
        modulations: Sequence[str],
        snrs_db: Sequence[float],
        length: int = 1024,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ):
        self.length, self.device = length, torch.device(device)
        self.chunk = _CPU_CHUNK if self.device.type == "cpu" else _GPU_CHUNK
        scenario.require_length(length)
        self.scenario, channel = scenario, scenario.paths
        self.rotation = Rotation(scenario, length, self.device)
        self.fading = Fading(channel, scenario.sample_rate, length, self.device) if channel.path_delays else None
        delays = np.asarray(channel.path_delays or (0.0,))
        setting = Setting(scenario, delays, length, self.device)
        self.families, self.family_of, self.kind_of = self._families(modulations, setting)
        keys = [[address_key(scenario.definition(), name, float(snr), seed) for snr in snrs_db] for name in modulations]
        self.keys = torch.tensor(keys)  # (modulations, SNRs, 2)
        self.noise_power = 10 ** (-torch.tensor([float(snr) for snr in snrs_db], dtype=torch.float64) / 10)

    def _families(self, names: Sequence[str], setting: Setting):
        """The basebands needed, and for each modulation which of them it uses and which kind of it it is."""
        groups: dict[object, list[str]] = {}
        for name in names:
            modulation = MODULATIONS[name]
            groups.setdefault(modulation.quadrature_delay if isinstance(modulation, Linear) else name, []).append(name)
        basebands, family, kind = [], {}, {}
        for position, members in enumerate(groups.values()):
            chosen = [MODULATIONS[name] for name in members]
            if isinstance(chosen[0], Linear):
                basebands.append(LinearBaseband(chosen, setting))
            elif isinstance(chosen[0], ContinuousPhase):
                basebands.append(ContinuousPhaseBaseband(chosen[0], setting))
            elif isinstance(chosen[0], Analogue):
                basebands.append(AnalogueBaseband(chosen[0], setting))
            family |= dict.fromkeys(members, position)
            kind |= {name: place for place, name in enumerate(members)}
        families, kinds = ([place[name] for name in names] for place in (family, kind))
        return basebands, torch.tensor(families), torch.tensor(kinds)

    def __call__(self, modulation: torch.Tensor, snr: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """The instances of a batch of addresses.

        modulation, snr: (batch,) int64, positions in the lists given; index: (batch,) int64; all on the CPU.
        Returns (batch, 2, length) float32, I and Q, each instance of mean power 1.
        """
        out = torch.empty(len(index), 2, self.length, device=self.device)
        families = self.family_of[modulation]
        for family in families.unique().tolist():
            for part in (families == family).nonzero()[:, 0].split(self.chunk):
                filled = part[torch.arange(self.chunk) % len(part)]
                instances = self._chunk(family, modulation[filled], snr[filled], index[filled])
                out[part.to(self.device)] = instances[: len(part)]
        return out

    def _chunk(self, family: int, modulation: torch.Tensor, snr: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        keys, kind = self.keys[modulation, snr], self.kind_of[modulation]
        draws = draw(self.scenario, keys, index)
        keys, kind, index = (x.to(self.device) for x in (keys, kind, index))
        i, q = self.families[family](kind, keys, index, draws)
        signals = torch.stack([i, q], dim=2)  # (batch, paths, 2, length)
        received = signals[:, 0] if self.fading is None else through_paths(signals, self.fading(keys, index))
        received = self.rotation(received, draws)
        noise = complex_normal(keys, index, NOISE, self.length)
        noise_power = self.noise_power[snr].to(self.device, torch.float32) / 2
        received = received + noise * square_root(_power(received) * noise_power)[:, None, None]
        return received / square_root(_power(received))[:, None, None]


def simulate(
    scenario: Scenario,
    modulation: str,
    snr_db: float,
    indices: Iterable[int],
    length: int = 1024,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Instances of one scenario, modulation and SNR.

    snr_db: dB over the sampled band, relative to the received signal's power; inf for no noise.
    indices: which instances, each ≥ 0. length: samples. seed: of the dataset.
    Returns (len(indices), length) complex64, each instance of mean power 1 (P1 eq. 2).
    Raises AmcError for an unknown modulation, a negative index, or a length below 1.
    """
    if modulation not in MODULATIONS:
        modulation_names([modulation])
    index = torch.as_tensor(list(indices), dtype=torch.int64)
    if not -200 <= snr_db:
        raise AmcError(f"snr_db {snr_db!r} is not allowed: it is a number of dB, from -200, or inf for no noise")
    if length < 1 or (index < 0).any():
        raise AmcError("length must be at least 1 and indices at least 0")
    simulator = Simulator(scenario, [modulation], [snr_db], length, seed, device)
    zeros = torch.zeros_like(index)
    instances = simulator(zeros, zeros, index)
    return torch.complex(instances[:, 0], instances[:, 1])


def _power(signal: torch.Tensor) -> torch.Tensor:
    """Mean power of (batch, 2, length), (batch,)."""
    return (signal * signal).sum(dim=(1, 2)) / signal.shape[2]
