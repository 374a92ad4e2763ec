"""`Acceleration.of` alone chooses what is done differently on a GPU than on a CPU.

On a CPU none of it is done, so that its results stay as they are to the last bit.
"""

from __future__ import annotations

import functools
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch

from amc_core.errors import AmcError

_VARIABLE = "AMC_ACCELERATION"
_KEPT_BYTES = 1 << 30  # of instances on a CPU
_KEPT_SHARE = 1 / 8  # of a GPU's free memory: as many trials may share it
_WARM_UP, _RECORDINGS = 3, 2  # calls of a shape before it is recorded, and how many shapes are
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Acceleration:
    """How a device is kept busy.

    compiler: the backend of torch.compile for functions that are `compiled`, "" for none. replays: steps of training
    are recorded as a CUDA graph (`Replayed`). fused: one kernel changes all weights, with a learning rate stored on the
    device. evaluation_batch: instances classified at a time.
    """

    compiler: str = ""
    replays: bool = False
    fused: bool = False
    evaluation_batch: int = 256

    @classmethod
    def of(cls, device: torch.device | str) -> Acceleration:
        """What is done on a device: all on a GPU, nothing on a CPU.

        The environment variable AMC_ACCELERATION, "on" or "off", overrides this. On a CPU, "on" runs the same code as
        on a GPU, for tests; nothing is faster there. Raises AmcError if the variable has another value.
        """
        wish, kind = os.environ.get(_VARIABLE, ""), torch.device(device).type
        if wish not in ("", "on", "off"):
            raise AmcError(f"{_VARIABLE} is {wish!r} in the environment; allowed are on and off")
        if wish == "off" or (kind != "cuda" and wish != "on"):
            return cls()
        return cls("inductor" if kind == "cuda" else "eager", replays=True, fused=True, evaluation_batch=1024)


def kept_bytes(device: torch.device | str) -> int:
    """How many bytes of simulated instances may be kept: 1 GiB on a CPU, an eighth of the free memory on a GPU."""
    if torch.device(device).type != "cuda":
        return _KEPT_BYTES
    free, _ = torch.cuda.mem_get_info(device)
    return int(free * _KEPT_SHARE)


def carried(tensor: torch.Tensor, device: torch.device | str) -> torch.Tensor:
    """A tensor of the CPU's on the device. The copy to a GPU is asynchronous, from pinned memory."""
    if torch.device(device).type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


@contextmanager
def products(precision: str, device: torch.device | str) -> Iterator[None]:
    """Compute matrix products and convolutions inside with the `precision` of a recipe.

    tf32 shortens the factors of float32 to 10 bits on a GPU, and is float32 on a CPU. bf16 is PyTorch's autocast.
    """
    kind = torch.device(device).type
    shortened = torch.autocast(kind, torch.bfloat16, cache_enabled=False) if precision == "bf16" else nullcontext()
    backends = (torch.backends.cuda.matmul, torch.backends.cudnn) if kind == "cuda" else ()
    before = [backend.allow_tf32 for backend in backends]
    try:
        for backend in backends:
            backend.allow_tf32 = precision == "tf32"
        with shortened:
            yield
    finally:
        for backend, allowed in zip(backends, before, strict=True):
            backend.allow_tf32 = allowed


def compiled(function: Callable) -> Callable:
    """`function`, of tensors alone, as one kernel if the device has a compiler, else as it is.

    The bits are the same: the first result of the compiled function is compared with that of the function itself. If
    they differ, or the function cannot be compiled, the function itself is called from then on.
    """
    chosen: dict[str, Callable] = {}

    @functools.wraps(function)
    def call(*inputs: torch.Tensor):
        backend = Acceleration.of(inputs[0].device).compiler
        if not backend or torch.compiler.is_compiling():
            return function(*inputs)
        try:
            if backend not in chosen:
                chosen[backend] = torch.compile(function, backend=backend, dynamic=True, **_exactly(backend))
                if not _equal(chosen[backend](*inputs), function(*inputs)):
                    raise ArithmeticError("it gives other bits")
            return chosen[backend](*inputs)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # a compiler may raise anything
            _log.warning("%s is not compiled: %s", function.__name__, str(error).strip().splitlines()[:1])
            chosen[backend] = function
            return function(*inputs)

    return call


def _exactly(backend: str) -> dict:
    """Options with which a compiler rounds every operation as eager code does, and starts no processes."""
    if backend != "inductor":
        return {}
    wanted = {"emulate_precision_casts": True, "eager_numerics.division_rounding": True, "compile_threads": 1}
    known = torch._inductor.list_options()
    return {"options": {name: value for name, value in wanted.items() if name in known}}


def _equal(some, others) -> bool:
    if isinstance(some, torch.Tensor):
        some, others = [some], [others]
    return all(torch.equal(a, b) for a, b in zip(some, others, strict=True))


class Replayed:
    """A function of tensors that a GPU replays from a recording: one launch instead of hundreds.

    The function changes tensors that it holds on the device, and never waits for it. The first calls of every shape
    are made as usual; then the function is recorded as a CUDA graph. If it is not `able` to be recorded, or recording
    fails, every call is made as usual.
    """

    def __init__(self, function: Callable[..., None], device: torch.device | str, able: bool = True):
        self.function, self.device = function, torch.device(device)
        self.able = able and Acceleration.of(device).replays
        self.stream = torch.cuda.Stream(device) if self.able and self.device.type == "cuda" else None
        self.calls: Counter = Counter()
        self.recordings: dict[tuple, tuple[list[torch.Tensor], Callable[[], None]]] = {}

    def __call__(self, *inputs: torch.Tensor) -> None:
        shape = tuple(x.shape for x in inputs)
        if self.able and shape not in self.recordings:
            self.calls[shape] += 1
            if self.calls[shape] <= _WARM_UP:
                return self._warm_up(inputs)
            if len(self.recordings) < _RECORDINGS:
                self._record(shape, inputs)
        if shape not in self.recordings:
            return self.function(*inputs)
        held, replay = self.recordings[shape]
        for there, x in zip(held, inputs, strict=True):
            there.copy_(x)
        return replay()

    def forget(self) -> None:
        """Drop the recordings, and free their memory."""
        self.recordings.clear()
        self.calls.clear()

    def _warm_up(self, inputs: tuple[torch.Tensor, ...]) -> None:
        """A call as usual, off the default stream as recordings are."""
        if self.stream is None:
            return self.function(*inputs)
        current = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(current)
        try:
            with torch.cuda.stream(self.stream):
                return self.function(*inputs)
        finally:
            current.wait_stream(self.stream)

    def _record(self, shape: tuple, inputs: tuple[torch.Tensor, ...]) -> None:
        held = [x.clone() for x in inputs]
        if self.stream is None:
            self.recordings[shape] = held, lambda: self.function(*held)
            return
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                self.function(*held)
        except RuntimeError as error:
            _log.warning("steps are not recorded as a CUDA graph: %s", str(error).strip().splitlines()[:1])
            self.able = False
            self.forget()
            return
        self.recordings[shape] = held, graph.replay
