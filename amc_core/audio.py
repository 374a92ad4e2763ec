"""Audio for the analogue modulations: a speech-like source drawn from the address, or a WAV file.

Both give the message at the knots of an interpolation, its Hilbert transform, and its integral after pre-emphasis
by (1 + j2πfT). `RMS` is the message's root mean square, relative to full scale, to which a deviation refers.
"""

from __future__ import annotations

import math
import struct
import warnings
from fractions import Fraction
from functools import lru_cache

import numpy as np
import torch
from scipy.io import wavfile
from scipy.signal import hilbert, resample_poly

from amc_core import kernels
from amc_core.copies import located
from amc_core.errors import AmcError
from amc_core.exactmath import cos_sin, halved_sum, minus_2_log, square_root
from amc_core.fingerprint import DigestedPath
from amc_core.randomness import SOURCE, uniform

RMS = 0.3
_KNOT_RATE = 32_000  # Hz
_FILE_RATES = (1_000, 10_000_000)  # Hz, of WAV files
_HIGHEST = 0.34  # highest frequency that the interpolation keeps, in knot rates
_LINES = 32
_FORMANTS = ((300, 500, 90), (900, 1400, 120), (2300, 900, 170))  # lowest, range and bandwidth in Hz
_VOICED = 0.7  # of all instances
_ONSETS = 2.0  # a second: from silence to speech
_RISE = 2e-3  # s, that an onset takes


def knot_rate(sample_rate: float) -> float:
    """Knots a second for a signal sampled at `sample_rate` Hz."""
    return min(_KNOT_RATE, sample_rate)


class SpeechLike:
    """A sum of spectral lines, shaped by the resonances of three formants.

    The lines are harmonics of a pitch (voiced) or lie anywhere (unvoiced); their transforms are exact. Pauses end at
    random, twice a second on average, at any sample rate. With probability 1 − exp(−2T), a pause ends within an
    instance of duration T, which rises from silence there. All other instances are speech throughout.

    times: (knots,) s. sample_rate: Hz. duration: s, of an instance.
    """

    def __init__(self, times: np.ndarray, sample_rate: float, duration: float, device: torch.device | str = "cpu"):
        self.times = torch.as_tensor(times, dtype=torch.float32, device=device)
        self.highest, self.duration = _HIGHEST * knot_rate(sample_rate), duration
        self.harmonics = torch.arange(1, _LINES + 1, device=device)

    def analytic(self, keys: torch.Tensor, indices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The message m(t) and its Hilbert transform, each (batch, knots) float32."""
        frequency, phase, amplitude, envelope = self._lines(keys, indices)
        weight = amplitude * (RMS / _rms(amplitude))
        cosines, sines = wave_sums(self.times, frequency, phase, weight, weight)
        return envelope * cosines, envelope * sines

    def integral(self, keys: torch.Tensor, indices: torch.Tensor, emphasis: float) -> torch.Tensor:
        """∫ m(t) dt, (batch, knots), after pre-emphasis with the time constant T in s."""
        frequency, phase, amplitude, envelope = self._lines(keys, indices)
        boost = 2 * math.pi * emphasis * frequency
        scale = RMS / _rms(amplitude * square_root(1 + boost * boost))
        weight = amplitude * scale / (2 * math.pi * frequency)
        cosines, integral = wave_sums(self.times, frequency, phase, weight * boost, weight)
        # ∫ e·m dt = e·M − ∫ e'·M dt, with M the integral of m; e' is zero but in the rise.
        step = torch.diff(envelope, dim=1) * (integral[:, 1:] + integral[:, :-1]) * 0.5
        return envelope * (integral + cosines) - torch.nn.functional.pad(step.cumsum(1), (1, 0))

    def _lines(self, keys: torch.Tensor, indices: torch.Tensor):
        """Frequency (Hz), phase (turns) and amplitude, each (batch, lines), and the envelope (batch, knots)."""
        draws = uniform(keys, indices, SOURCE, 3 * _LINES + 6)
        positions, phase, level = draws[:, 6:].view(-1, 3, _LINES).unbind(1)
        pitch, voiced = 80 + 180 * draws[:, :1], draws[:, 4:5] < _VOICED
        frequency = torch.where(voiced, pitch * self.harmonics, 100 + 7900 * positions)
        amplitude = torch.where(voiced, 1.0, square_root(minus_2_log(level)))
        for formant, (lowest, width, bandwidth) in enumerate(_FORMANTS):
            centre = lowest + width * draws[:, formant + 1 : formant + 2]
            x = frequency / centre
            detuning, damping = 1 - x * x, x * bandwidth / centre
            amplitude = amplitude / square_root(detuning * detuning + damping * damping)
        amplitude = torch.where(frequency < self.highest, amplitude, 0.0)
        onset = minus_2_log(draws[:, 5:6]) * (0.5 / _ONSETS)  # s: exponential, of mean 1 / _ONSETS
        onset = torch.where(onset < self.duration, onset, -1.0)
        progress = ((self.times - onset) / _RISE).clamp(0, 1)
        return frequency, phase, amplitude, progress * progress * (3 - 2 * progress)


def wave_sums(
    times: torch.Tensor,
    frequency: torch.Tensor,
    phase: torch.Tensor,
    cos_weight: torch.Tensor,
    sin_weight: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Σ_l w_l cos(2π(f_l t + φ_l)) and the like of sines, with weights of their own.

    times: (knots,); the others (batch, lines), phase in turns. Returns two (batch, knots).
    """
    compute = _kernel_wave_sums if kernels.usable(times) else _torch_wave_sums
    return compute(times, frequency, phase, cos_weight, sin_weight)


def _torch_wave_sums(times, frequency, phase, cos_weight, sin_weight):
    cos, sin = cos_sin(frequency[:, :, None] * times + phase[:, :, None])  # (batch, lines, knots)
    return halved_sum(cos_weight[:, :, None] * cos), halved_sum(sin_weight[:, :, None] * sin)


def _kernel_wave_sums(times, *lines):
    lines = [x.contiguous() for x in lines]
    batch, count = lines[0].shape
    sums, scratch = torch.empty(2, batch, len(times)), torch.empty(2, count, 32)  # 32: LANES of `_kernels.c`
    kernels.call("wave_sums", batch, count, len(times), times, *lines, scratch, sums)
    return sums.unbind()


class Recorded:
    """Segments of a WAV file that are not silent, each at a position drawn from the address.

    path: of the file; its channels are averaged. times, sample_rate: as `SpeechLike`. stretch: the tenths of the file
    between which it is used; nothing outside is heard, not through a filter either. Raises AmcError if the file cannot
    be read or is shorter than an instance.
    """

    def __init__(
        self,
        path: str,
        times: np.ndarray,
        sample_rate: float,
        device: torch.device | str = "cpu",
        stretch: tuple[int, int] = (0, 10),
    ):
        self.knots = np.round((times - times[0]) * knot_rate(sample_rate)).astype(np.int64)
        self.rate, self.device = knot_rate(sample_rate), device
        self.message, self.quadrature = _read_wav(located(DigestedPath(path)), self.rate, stretch)
        self.integrals: dict[float, np.ndarray] = {}
        span = self.knots[-1] + 1
        if len(self.message) < span:
            raise AmcError(
                f"audio {path!r} lasts {len(self.message) / self.rate:.3g} s{_named(stretch)}, "
                f"and an instance needs {span / self.rate:.3g} s"
            )
        energy = np.concatenate([np.zeros(1), np.cumsum(self.message**2)])
        self.starts = np.flatnonzero(energy[span:] - energy[:-span] > 0.01 * RMS**2 * span)  # within 20 dB of the mean

    def analytic(self, keys: torch.Tensor, indices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """As `SpeechLike.analytic`."""
        positions = self._positions(keys, indices)
        return self._tensor(self.message[positions]), self._tensor(self.quadrature[positions])

    def integral(self, keys: torch.Tensor, indices: torch.Tensor, emphasis: float) -> torch.Tensor:
        """As `SpeechLike.integral`: pre-emphasis adds T·m to the integral of m."""
        if emphasis not in self.integrals:
            self.integrals[emphasis] = _integral(self.message, self.rate, emphasis)
        return self._tensor(self.integrals[emphasis][self._positions(keys, indices)])

    def _positions(self, keys: torch.Tensor, indices: torch.Tensor) -> np.ndarray:
        u = uniform(keys, indices, SOURCE, 1)[:, 0].cpu().numpy().astype(np.float64)
        return self.starts[(u * len(self.starts)).astype(np.int64)][:, None] + self.knots

    def _tensor(self, x: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(x, dtype=torch.float32, device=self.device)


def _named(stretch: tuple[int, int]) -> str:
    """A stretch of a file in words for the end of a clause; "" for the whole file."""
    first, last = (10 * tenth for tenth in stretch)
    return "" if (first, last) == (0, 100) else f" from {first} % to {last} %, the stretch of one split"


@lru_cache(maxsize=12)
def _read_wav(path: DigestedPath, rate: float, stretch: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The message of a stretch of a WAV file at `rate` Hz, scaled to `RMS`, and its Hilbert transform.

    path: of a file that has to hold the planned content before and after it is read.
    """
    path.require_planned()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # chunks that hold no samples
            file_rate, samples = wavfile.read(str(path))
    except OSError as error:
        raise AmcError(f"audio {path!r} cannot be read: {error.strerror}") from None
    except (ValueError, EOFError, MemoryError, struct.error) as error:
        raise AmcError(f"audio {path!r} is not a WAV file that can be read: {error}") from None
    path.require_planned()
    low, high = _FILE_RATES
    if not low <= file_rate <= high:  # else the resampled file would be thousands of times as long
        raise AmcError(f"audio {path!r} has {file_rate:,} samples a second: {low:,} to {high:,} are allowed")
    samples = np.asarray(samples, dtype=np.float64)
    message = samples.mean(axis=1) if samples.ndim == 2 else samples
    first, last = (len(message) * tenth // 10 for tenth in stretch)
    message = message[first:last]
    message = message - message.mean() if len(message) else message
    where = _named(stretch)
    if len(message) < 2 or not np.isfinite(message).all() or not message.any():
        raise AmcError(f"audio {path!r} holds no sound{where}: samples have to be finite and not all equal")
    ratio = (Fraction(rate) / Fraction(file_rate)).limit_denominator(1_000_000)
    message = resample_poly(message, ratio.numerator, ratio.denominator)
    spectrum = np.fft.rfft(message)
    spectrum[np.fft.rfftfreq(len(message)) > _HIGHEST] = 0
    message = np.fft.irfft(spectrum, len(message))
    power = np.mean(message**2)
    if not power > 0:
        raise AmcError(f"audio {path!r} holds no sound below {_HIGHEST * rate / 1e3:g} kHz{where}")
    message *= RMS / np.sqrt(power)
    return message, np.imag(hilbert(message))


def _integral(message: np.ndarray, rate: float, emphasis: float) -> np.ndarray:
    """∫ m dt of a whole file after pre-emphasis, which leaves the message at `RMS`; exact, line by line."""
    spectrum = np.fft.rfft(message)
    turn = 2j * np.pi * np.fft.rfftfreq(len(message), 1 / rate)
    swing = np.fft.irfft((1 / np.where(turn == 0, np.inf, turn) + emphasis) * spectrum, len(message))
    return swing * RMS / np.sqrt(np.mean(np.fft.irfft((1 + emphasis * turn) * spectrum, len(message)) ** 2))


def _rms(amplitude: torch.Tensor) -> torch.Tensor:
    """Root mean square of a sum of lines, (batch, 1)."""
    return square_root((amplitude * amplitude).sum(1, keepdim=True) / 2)
