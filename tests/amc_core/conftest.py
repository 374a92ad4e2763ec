"""A file of each kind of recording."""

import h5py
import numpy as np
import pytest

from amc_core.recordings import write_sigmf
from amc_core.recordings.hdf5 import RADIOML2018_CLASSES
from tests.amc_core.recording_files import instances, python2_pickle, radioml2016


@pytest.fixture
def pickled(tmp_path):
    path = tmp_path / "RML2016.10a_dict.pkl"
    path.write_bytes(python2_pickle(radioml2016(), 2))
    return path


@pytest.fixture
def radioml2018(tmp_path):
    """A file of RadioML 2018.01A's layout, and the means to change it: four instances of each class."""
    path = tmp_path / "GOLD_XYZ_OSC.0001_1024.hdf5"
    count = 4 * len(RADIOML2018_CLASSES)
    with h5py.File(path, "w") as file:
        file["X"] = instances(count, 1024).transpose(0, 2, 1)
        file["Y"] = np.repeat(np.eye(24, dtype=np.int64), 4, axis=0)
        file["Z"] = np.tile([-20, -2, 0, 30], 24)[:, None]
    return path


@pytest.fixture
def augmod(tmp_path):
    path = tmp_path / "augmod.hdf5"
    with h5py.File(path, "w") as file:
        file["classes"] = [b"BPSK", b"PSK8", b"QAM16", b"QAM32", b"QAM64", b"QAM8", b"QPSK"]
        file["signals"] = instances(14, 1024)
        file["modulations"] = np.arange(14) % 7
        file["snr"] = np.repeat([0.0, 40.0], 7)
        file["frequency_offsets"] = np.zeros(14)
    return path


@pytest.fixture
def sigmf(tmp_path):
    """A recording of 16QAM at 10 dB, two instances, and then 8PSK at 12.5 dB, three instances."""
    x = instances(5, 256)
    return write_sigmf(tmp_path / "field", x, 200e3, ["16QAM"] * 2 + ["8PSK"] * 3, [10] * 2 + [12.5] * 3)
