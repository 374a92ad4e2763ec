"""Freed memory is kept for reuse: training frees and allocates the same large buffers at every step."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # glibc's <malloc.h>


def keep_freed_memory() -> None:
    """Tell glibc not to return large buffers to the system: their page faults would cost a third of a step.

    From then on, threads share the main heap, since a thread's own heap is too small for such buffers. A thread that
    has allocated before keeps its heap: call this first, or set MALLOC_ARENA_MAX=1 in the environment.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
        if mallopt:
            mallopt(_MMAP_THRESHOLD, 1 << 30)
            mallopt(_TRIM_THRESHOLD, -1)
            mallopt(_ARENA_MAX, 1)
