"""Landmarks of samples, by which two instances that share a stretch are recognised, wherever each of them begins.

A landmark is a hash of a short window. Content chooses the windows: among every few neighbouring windows, the one with
the largest hash of two of its samples (winnowing: Schleimer, Wilkerson and Aiken, SIGMOD 2003). Two instances with
`SHARED` samples in common have a landmark in common, at any gain and any offset.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import maximum_filter1d, minimum_filter1d

_WINDOW = 48  # samples of a landmark
_CHOICE = 17  # neighbouring windows, one of which is a landmark
SHARED = _WINDOW + _CHOICE - 1  # a shared stretch of this many samples is always detected, but for rounding
_STEPS = 1 << 13  # of a window's largest component: coarser than single precision, finer than a receiver's noise
_UNPREDICTED = 2.0**-14  # of a window's energy: below it the window is a tone, even one rounded to 8 bits
_ROUNDING = 1e-6  # by which a correlation of the same samples may fall short of 1
_OCCUPIED = 1e-5  # least power of a line, relative to the largest: below a receiver's noise, above a filter's leakage
_COMPONENTS = 32  # spectral lines that an overlap needs: signals with fewer repeat by chance
_APART, _PERIODIC = 0.9, 0.99  # correlations of an instance with itself
_MOST = 1 << 24  # landmarks of a recording that are kept
_SAMPLES = 1 << 16  # looked at at a time, so that they stay in a processor's cache
_FACTORS = np.random.default_rng(0).integers(0, 1 << 63, 2 * _WINDOW, dtype=np.uint64) * 2 + 1


@dataclass(frozen=True, eq=False)
class Landmarks:
    """The landmarks of instances, by instance and position.

    length: samples of an instance. one_of: one of so many landmarks is kept, by its hash, so that memory is bounded.
    instance, first: (n,) int64, which instance each is in, and the first sample of its window. hash: (n,) uint64.
    """

    length: int
    one_of: int
    instance: np.ndarray
    first: np.ndarray
    hash: np.ndarray

    def __getitem__(self, chosen: np.ndarray) -> Landmarks:
        return replace(self, instance=self.instance[chosen], first=self.first[chosen], hash=self.hash[chosen])

    def of(self, instances: np.ndarray) -> Landmarks:
        """The landmarks of some instances."""
        return self[np.isin(self.instance, instances)]

    def repeats(self) -> np.ndarray:
        """(k, 3) pairs of instances, the earlier first, that agree where they overlap, and their shift, as candidates.

        `same_samples` decides whether they are the same.

        Sample n + shift of the first is sample n of the second. Three that share a stretch are returned as two pairs.
        """
        order = np.lexsort((self.instance, self.hash))
        equal = np.flatnonzero(self.hash[order][1:] == self.hash[order][:-1])
        return self._agreeing(self, order[equal], order[equal + 1])

    def shared(self, other: Landmarks) -> np.ndarray:
        """(k, 3) as `repeats`, of an instance of this and one of `other`; an instance may be in several pairs."""
        one_of = max(self.one_of, other.one_of)
        here, there = (marks[marks.hash % np.uint64(one_of) == 0] for marks in (self, other))
        order = np.argsort(there.hash, kind="stable")
        pairs = []
        for side in ("left", "right"):  # the first and the last of those that are equal
            matches = np.searchsorted(there.hash[order], here.hash, side) - (side == "right")
            matches = order[matches.clip(0, max(0, len(order) - 1))] if len(order) else matches[:0]
            rows = np.flatnonzero(there.hash[matches] == here.hash[: len(matches)])
            pairs.append(here._agreeing(there, rows, matches[rows]))
        return np.unique(np.concatenate(pairs), axis=0)

    def _agreeing(self, other: Landmarks, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        """The pairs of instances that agree wherever they overlap, with their shift, from pairs of equal landmarks.

        Signals without noise repeat short windows by chance; pieces of one recording agree until one of them ends.
        Instances that agree at several shifts are periodic, so that agreement says nothing about their origin.
        """
        shift = self.first[rows] - other.first[others]
        matches = np.stack([self.instance[rows], other.instance[others], shift], axis=1)
        matches, votes = np.unique(matches, axis=0, return_counts=True)
        begin, end = matches[:, 2].clip(0), np.minimum(self.length, other.length + matches[:, 2]) - _WINDOW
        width = self.length + 1
        positions = self.instance * width + self.first
        count = np.searchsorted(positions, matches[:, 0] * width + end, "right")
        count -= np.searchsorted(positions, matches[:, 0] * width + begin)
        # Near the ends of a shared stretch, each instance chooses windows by samples that the other does not have.
        agree = (3 * votes >= count) & (end - begin + _WINDOW >= SHARED)
        pairs, inverse, shifts = np.unique(matches[:, :2], axis=0, return_inverse=True, return_counts=True)
        return matches[agree & (shifts[inverse.reshape(-1)] == 1)] if len(pairs) else matches


def same_samples(one: np.ndarray, other: np.ndarray, shift: int) -> bool:
    """Are two instances (2, n) and (2, m) the same samples at some gain, wherever they overlap at this shift?

    Their normalised correlation over the whole overlap, of `SHARED` samples or more, is 1 within 1e-6 (Cauchy-Schwarz:
    1 holds for proportional signals alone). Two kinds of overlap prove nothing: a few symbols without noise are the
    same by chance, and a periodic signal equals itself at several shifts.
    """
    whole = [part[0] + 1j * part[1] for part in (one, other)]
    x, y = whole[0][max(0, shift) :], whole[1][max(0, -shift) :]
    size = min(len(x), len(y))
    if size < SHARED:
        return False
    x, y = x[:size], y[:size]
    scale = np.linalg.norm(x) * np.linalg.norm(y)
    if not abs(np.vdot(x, y)) >= (1 - _ROUNDING) * scale > 0:
        return False
    spectrum = abs(np.fft.fft(x * np.hanning(size))) ** 2
    return np.sum(spectrum > _OCCUPIED * spectrum.max()) >= _COMPONENTS and not any(map(_periodic, whole))


def _periodic(x: np.ndarray) -> bool:
    """Does x (n,) equal itself at a lag of up to n/2, beyond the small lags at which every signal does?"""
    size, lags = len(x), np.arange(1, len(x) // 2 + 1)
    spectrum = np.fft.fft(x, 2 * size)
    products = abs(np.fft.ifft(spectrum * spectrum.conj()))[lags]
    energy = np.concatenate([[0], np.cumsum(abs(x) ** 2)])
    energies = (energy[size] - energy[lags]) * energy[size - lags]
    correlation = products / np.sqrt(np.maximum(energies, np.finfo(float).tiny))
    apart = np.logical_or.accumulate(correlation < _APART)
    return bool((apart & (correlation > _PERIODIC)).any())


def landmarks(batches: Iterable[tuple[np.ndarray, np.ndarray]], length: int, kind: np.ndarray) -> Landmarks:
    """The landmarks of instances, given as (positions, x), with x (batch, 2, length).

    kind: (n,) int64 of all positions, the modulation and SNR of each. Windows that are silent, constant or a tone are
    not landmarks. If a window occurs twice in an instance, the signal is periodic and its whole kind has no landmarks.
    """
    one_of = 1 << max(0, math.ceil(math.log2(max(1, 2 * len(kind) * length / (_CHOICE + 1) / _MOST))))
    nothing = np.empty(0, dtype=np.int64)
    parts, repeating = [(nothing, nothing, nothing.view(np.uint64))], set()
    step = max(1, _SAMPLES // length)
    for positions, x in batches:
        for start in range(0, len(x), step):
            row, first, hashes = _landmarks(x[start : start + step])
            instance = positions[start + row]
            order = np.lexsort((hashes, row))
            twice = (np.diff(row[order]) == 0) & (np.diff(hashes[order]) == 0)
            repeating.update(kind[instance[order][1:][twice]].tolist())
            kept = hashes % np.uint64(one_of) == 0
            parts.append((instance[kept], first[kept], hashes[kept]))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    kept = np.flatnonzero(~np.isin(kind[columns[0]], list(repeating)))
    kept = kept[np.lexsort((columns[1][kept], columns[0][kept]))]
    return Landmarks(length, one_of, *(column[kept] for column in columns))


def _landmarks(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Instance (row of x), first sample and hash of each landmark of x (batch, 2, n)."""
    count = x.shape[2] - _WINDOW + 1
    if count < 1:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.uint64)
    samples = x[:, 0] + 1j * x[:, 1]
    power = samples.real**2 + samples.imag**2
    product = samples[:, 1:] * samples[:, :-1].conj()  # of each two neighbours
    middle = slice(_WINDOW // 2, _WINDOW // 2 + count)
    level = power[:, 1:] + power[:, :-1]
    chosen = _chosen(_order(product[:, middle], level[:, middle])) if count > 1 else np.ones((len(x), 1), dtype=bool)
    instance, first = np.nonzero(chosen & _telling(samples, power, product, count))
    windows = np.lib.stride_tricks.sliding_window_view(x, _WINDOW, axis=2)[instance, :, first]
    windows = windows.reshape(len(windows), 2 * _WINDOW)
    rounded = np.rint(windows * (_STEPS / abs(windows).max(axis=1, keepdims=True))).astype(np.int64)
    return instance, first, _mixed(rounded.view(np.uint64) @ _FACTORS)


def _order(product: np.ndarray, level: np.ndarray) -> np.ndarray:
    """(batch, n) uint32: a hash of the change between two samples, whatever their gain."""
    scale = _STEPS / np.where(level > 0, level, 1)
    real, imag = (np.rint(part * scale).astype(np.int64).view(np.uint64) for part in (product.real, product.imag))
    return (_mixed(real * _FACTORS[0] + imag * _FACTORS[1]) >> np.uint64(32)).astype(np.uint32)


def _mixed(value: np.ndarray) -> np.ndarray:
    value = (value ^ (value >> np.uint64(32))) * _FACTORS[0]
    return value ^ (value >> np.uint64(29))


def _chosen(order: np.ndarray) -> np.ndarray:
    """Is a value the largest of some `_CHOICE` neighbours? (batch, n) uint32 → bool."""
    size = min(_CHOICE, order.shape[1])
    left = size // 2
    largest = maximum_filter1d(order, size, axis=1)[:, left : order.shape[1] - (size - 1 - left)]
    padded = np.pad(largest, ((0, 0), (size - 1, size - 1)), constant_values=np.iinfo(np.uint32).max)
    return order >= minimum_filter1d(padded, size, axis=1)[:, left : padded.shape[1] - (size - 1 - left)]


def _telling(samples: np.ndarray, power: np.ndarray, product: np.ndarray, count: int) -> np.ndarray:
    """(batch, count) bool: do most samples of a window differ from their predecessors and from a tone's prediction?"""

    def over(values: np.ndarray, begin: int = 0) -> np.ndarray:
        """Sums of the `_WINDOW` - 1 values of each window from its `begin`-th."""
        sums = np.cumsum(values, axis=1)
        ends = sums[:, begin + _WINDOW - 2 :][:, :count]
        return ends - (sums - values)[:, begin:][:, :count]

    change = samples[:, 1:] - samples[:, :-1]
    moving = change.real**2 + change.imag**2 > _STEPS**-2.0 * power[:, 1:]
    predicted = over(product)
    predicted = predicted.real**2 + predicted.imag**2
    energies = over(power) * over(power, 1)
    return (over(moving.astype(np.int32)) > _WINDOW // 2) & (energies - predicted > _UNPREDICTED * energies)
