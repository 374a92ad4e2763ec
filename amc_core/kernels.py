"""The compiled loops of `_kernels.c`, which replace torch on a CPU: the same bits, several times as fast.

Each has a torch twin, `_torch_…`, in the module that uses it, for other devices, for `torch.compile`, and for
installations without a C compiler.
"""

from __future__ import annotations

import ctypes
import functools
import sysconfig
import warnings
from pathlib import Path

import torch

_VERSION = 2
_POINTERS_AFTER_INTEGERS = {
    "complex_normal": (3, 3),
    "integers": (3, 4),
    "cos_sin": (1, 3),
    "wave_sums": (3, 7),
    "through_paths": (8, 5),
    "receive": (3, 7),
    "varied_train": (7, 8),
}


def usable(tensor: torch.Tensor) -> bool:
    """Whether a kernel may compute with tensors like this one."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling() and library() is not None


def call(name: str, *arguments: int | torch.Tensor | None) -> None:
    """Runs a kernel: integers first, then tensors on the CPU, laid out as `_kernels.c` says. Other threads go on."""
    pointers = (0 if x is None else x.data_ptr() if isinstance(x, torch.Tensor) else x for x in arguments)
    getattr(library(), name)(*pointers)  # the caller's names keep the tensors until this returns


@functools.cache
def library() -> ctypes.CDLL | None:
    """`_kernels.c` compiled, or None if it was not built for this kind of machine and this version."""
    path = Path(__file__).with_name("_kernels" + sysconfig.get_config_var("EXT_SUFFIX"))
    try:
        loaded = ctypes.CDLL(str(path))
    except OSError:
        return None
    loaded.version.restype = ctypes.c_int64
    if loaded.version() != _VERSION:
        built = f"{path.name} was built for another version of this package and is not used"
        warnings.warn(f"{built}: run `pip install -e .` again", stacklevel=2)
        return None
    for name, (integers, pointers) in _POINTERS_AFTER_INTEGERS.items():
        function = getattr(loaded, name)
        function.argtypes, function.restype = [ctypes.c_int64] * integers + [ctypes.c_void_p] * pointers, None
    return loaded
