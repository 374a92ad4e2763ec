"""The constellation of every linear modulation, as a table.

``CONSTELLATIONS[name]`` is a read-only array ``[M], complex`` of unit mean power, E|z|² = 1 over equiprobable
symbols; ``CONSTELLATIONS[name][label]`` is the point that carries the bits of ``label``, most significant
first. Which label sits where follows the usual practice:

* PSK, PAM, ASK and rectangular QAM: binary-reflected Gray (QAM: per axis, upper bits on I, lower bits on Q);
* cross QAM, where no Gray labelling exists: the quasi-Gray labelling of Smith (1975);
* APSK: the bit mapping of DVB-S2 and DVB-S2X, ETSI EN 302 307-1 and -2, §5.4.

OQPSK has the points of QPSK; its half-symbol offset between I and Q belongs to the pulse shaping.
"""

import numpy as np


def _in_gray_order(points):
    """Reorder points [M], given along a line or circle, by their binary-reflected Gray labels."""
    position = np.arange(len(points))
    labelled = np.empty_like(points)
    labelled[position ^ (position >> 1)] = points
    return labelled


def _psk(order, first_phase=0.0):
    return _in_gray_order(np.exp(1j * (first_phase + 2 * np.pi * np.arange(order) / order)))


def _pam(order):
    """Bipolar amplitudes −(M−1), …, −1, 1, …, M−1."""
    return _in_gray_order(np.arange(1.0 - order, order, 2))


def _ask(order):
    """Unipolar amplitudes 0, 1, …, M−1."""
    return _in_gray_order(np.arange(float(order)))


def _rectangular_qam(order_i, order_q):
    return np.add.outer(_pam(order_i), 1j * _pam(order_q)).ravel()


def _cross_qam(order):
    """Cross QAM, M = 32, 128, …: the 2:1 rectangle with its outer columns moved above and below.

    The labels move with their points, so that neighbours differ in one bit except along the seams. The Gray
    penalty (bits that differ, averaged over the nearest neighbours of a point and then over points) is 7/6 at
    M = 32 and 1 + 1/√(2M) + 1/(3M) from M = 128 on, as in J. G. Smith, "Odd-bit quadrature amplitude-shift
    keying", IEEE Trans. Commun. 23(3), 1975.
    """
    width = round(np.sqrt(2 * order))
    rectangle = _rectangular_qam(width, width // 2)
    s = width // 4  # the cross spans ±3s on both axes; the columns beyond go to 2s < |Q| < 3s
    i, q = abs(rectangle.real), abs(rectangle.imag)
    folded_i = np.where(q > s, i - 2 * s, 4 * s - i)
    folded_q = np.where(q > s, 4 * s - q, q + 2 * s)
    outside = i > 3 * s
    i, q = np.where(outside, folded_i, i), np.where(outside, folded_q, q)
    return np.copysign(i, rectangle.real) + 1j * np.copysign(q, rectangle.imag)


def _labelled_rings(*rings):
    """APSK from rings of evenly spaced points: (radius, first phase, labels anticlockwise) each."""
    points = np.empty(sum(len(labels) for _, _, labels in rings), complex)
    for radius, first_phase, labels in rings:
        phases = first_phase + 2 * np.pi * np.arange(len(labels)) / len(labels)
        points[list(labels)] = radius * np.exp(1j * phases)
    return points


def _aligned_rings(radii, order):
    """APSK from rings of `order` points each, at odd multiples of π/order.

    The upper bits are a Gray code over the rings, the lower bits one over the phases.
    """
    return np.multiply.outer(_in_gray_order(np.array(radii)), _psk(order, np.pi / order)).ravel()


def _apsk128():
    """128APSK of DVB-S2X, code rate 135/180 (3/4): six rings, unevenly spaced.

    Bits b6 b5 pick the quadrant (00: φ, 01: π − φ, 10: −φ, 11: π + φ), b4…b0 the radius and phase φ in it.
    The phases are multiples of π/5040, and so a rotation by 90° misses some points by up to 2π/5040 (0.07°).
    """
    r1, r2, r3, r4, r5, r6 = 1, 1.715, 2.118, 2.681, 2.75, 3.819
    radii = np.tile([r1, r6, r6, r6, r2, r3, r5, r4], 4)
    phases = np.array([
        332, 528, 111, 330, 242, 414, 133, 427,
        927, 732, 1149, 929, 1017, 845, 1126, 834,
        2187, 1993, 2408, 2190, 2278, 2106, 2387, 2094,
        1593, 1789, 1372, 1590, 1503, 1673, 1393, 1686,
    ]) * (np.pi / 5040)  # fmt: skip
    quadrant = radii * np.exp(1j * phases)
    return np.concatenate([quadrant, -quadrant.conj(), quadrant.conj(), -quadrant])


def normalised(points):
    """Points [M], complex, scaled to unit mean power, read-only."""
    points = points.astype(np.complex128)
    points /= np.sqrt(np.mean(np.abs(points) ** 2))
    points.setflags(write=False)
    return points


_QPSK = _psk(4, np.pi / 4)

CONSTELLATIONS: dict[str, np.ndarray] = {
    name: normalised(points)
    for name, points in {
        "BPSK": np.array([1.0, -1.0]),
        "QPSK": _QPSK,
        "OQPSK": _QPSK,
        "8PSK": _psk(8),
        "16PSK": _psk(16),
        "32PSK": _psk(32),
        "PAM4": _pam(4),
        # RadioML 2018.01A has OOK, 4ASK and 8ASK; its generator is not public, and re-creations of it take
        # ASK as unipolar or bipolar. Unipolar makes one family of the three (OOK is 2ASK) and keeps 4ASK
        # apart from the bipolar PAM4.
        "OOK": _ask(2),
        "4ASK": _ask(4),
        "8ASK": _ask(8),
        # AugMod's generator is not public either. The 4 × 2 rectangle is what common toolboxes call 8QAM;
        # unlike the circular (4 + 4) constellation it is not symmetric under 90°: E[z²] = 2/3.
        "8QAM": _rectangular_qam(4, 2),
        "16QAM": _rectangular_qam(4, 4),
        "32QAM": _cross_qam(32),
        "64QAM": _rectangular_qam(8, 8),
        "128QAM": _cross_qam(128),
        "256QAM": _rectangular_qam(16, 16),
        # DVB-S2 and DVB-S2X; radii relative to the inner ring.
        "16APSK": _labelled_rings(  # code rate 2/3
            (1, np.pi / 4, (12, 14, 15, 13)),
            (3.15, np.pi / 12, (4, 0, 8, 10, 2, 6, 7, 3, 11, 9, 1, 5)),
        ),
        "32APSK": _labelled_rings(  # code rate 3/4
            (1, np.pi / 4, (17, 21, 23, 19)),
            (2.84, np.pi / 12, (16, 0, 1, 5, 4, 20, 22, 6, 7, 3, 2, 18)),
            (5.27, 0, (24, 8, 25, 9, 13, 29, 12, 28, 30, 14, 31, 15, 11, 27, 10, 26)),
        ),
        "64APSK": _aligned_rings((1, 1.88, 2.72, 3.95), 16),  # code rate 128/180
        "128APSK": _apsk128(),  # code rate 135/180
        "256APSK": _aligned_rings((1, 1.791, 2.405, 2.98, 3.569, 4.235, 5.078, 6.536), 32),  # 116/180
    }.items()
}
