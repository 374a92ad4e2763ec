"""Files as the makers of recordings write them, and what tests of them share."""

import json

import h5py
import numpy as np
import pytest

from amc_core.errors import AmcError
from amc_core.recordings import open_recording

RNG = np.random.default_rng(7)


def instances(count: int, length: int = 128, scale: float = 1.0) -> np.ndarray:
    return (scale * RNG.standard_normal((count, 2, length))).astype(np.float32)


def unit_power(x: np.ndarray) -> np.ndarray:
    return x / np.sqrt((x.astype(np.float64) ** 2).sum(axis=1).mean(axis=1))[:, None, None]


def refusal(path, *parts: str, **options) -> str:
    """The sentence with which a file is refused; it names the file, and says what is allowed."""
    with pytest.raises(AmcError) as caught:
        recording = open_recording(path, **options)
        recording.read(range(len(recording)))
    message = str(caught.value)
    for part in (str(path), "allowed", *parts):
        assert part in message
    assert "\n" not in message
    return message


def python2_pickle(data: dict, protocol: int) -> bytes:
    """What cPickle of Python 2 writes for {(str, int): float32 array}: strings of bytes, and the old module names."""

    def string(value: bytes) -> bytes:
        if protocol == 0:
            return b"S" + repr(value)[1:].encode("latin-1") + b"\n"
        return (b"U" + bytes([len(value)]) if len(value) < 256 else b"T" + len(value).to_bytes(4, "little")) + value

    def number(value: int) -> bytes:
        return b"I%d\n" % value if protocol == 0 else b"J" + value.to_bytes(4, "little", signed=True)

    def sequence(*parts: bytes) -> bytes:
        return b"(" + b"".join(parts) + b"t"

    def array(x: np.ndarray) -> bytes:
        false = b"I00\n" if protocol == 0 else b"\x89"
        kind = b"cnumpy\ndtype\n" + sequence(string(b"f4"), number(0), number(1)) + b"R"
        kind += sequence(number(3), string(b"<"), b"NNN", number(-1), number(-1), number(0)) + b"b"
        blank = b"cnumpy.core.multiarray\n_reconstruct\n"
        blank += sequence(b"cnumpy\nndarray\n", sequence(number(0)), string(b"b")) + b"R"
        return blank + sequence(number(1), sequence(*map(number, x.shape)), kind, false, string(x.tobytes())) + b"b"

    out = b"(dp1\n" if protocol == 0 else b"\x80\x02}q\x01"
    for (name, snr_db), x in data.items():
        out += sequence(string(name.encode("latin-1")), number(snr_db)) + array(x) + b"s"
    return out + b"."


def radioml2016(count: int = 3) -> dict:
    return {(name, snr): instances(count, scale=0.01) for name in ("WBFM", "QAM16", "QPSK") for snr in (18, -20, 0)}


def change(path, name: str, values=None) -> None:
    """Put other values in a field of an HDF5 file; none of them removes it."""
    with h5py.File(path, "a") as file:
        del file[name]
        if values is not None:
            file[name] = values


def edit(path, change) -> None:
    """Change the JSON of a .sigmf-meta file."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
