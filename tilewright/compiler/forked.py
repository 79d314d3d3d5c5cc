"""Parallel kernels in the child of a fork: where the thread pool does not survive it, one thread runs them.

TBB stops its pool for a fork and starts it again in the child, unless a kernel runs in another thread at that
moment. GNU OpenMP ends a child that uses its pool.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from weakref import WeakSet

from tilewright.compiler.backends import threads
from tilewright.compiler.once import once
from tilewright.compiler.runtime import runtime

if TYPE_CHECKING:
    from tilewright.compiler.kernel import Kernel

_kernels: WeakSet[Kernel] = WeakSet()
# Calls with their own scratch memory that are under way; a set changes in one step of the interpreter.
calls_under_way: set[object] = set()
_has_lost_pool = False


def choose_launcher() -> int:
    """The address of the launcher that a new kernel is to use."""
    _watch_forks()
    return _serial_launcher() if _has_lost_pool else threads.launcher_address()


def keep_usable(kernel: Kernel) -> None:
    """See to it that a parallel kernel, which is ready to be called, can be called in children too."""
    _kernels.add(kernel)


def _serial_launcher() -> int:
    """The address of a launcher that runs the parts of a loop one after the other."""
    return runtime().addresses["launch_serially"]


@once
def _watch_forks() -> None:
    runtime()  # compiled before any fork
    if threads.needs_lock():
        os.register_at_fork(before=threads.LAUNCHING.acquire, after_in_parent=threads.LAUNCHING.release)
        os.register_at_fork(after_in_child=threads.LAUNCHING.release)
    os.register_at_fork(after_in_child=_enter_child)


def _enter_child() -> None:
    """Leave the pool alone where it is lost, and free what calls of threads that are no more had taken."""
    global _has_lost_pool
    kernels = list(_kernels)
    is_busy = bool(calls_under_way) or any(kernel.is_running for kernel in kernels)
    calls_under_way.clear()
    _has_lost_pool = _has_lost_pool or is_busy or threads.pool_layer() == "omp"
    for kernel in kernels:
        kernel.renew(_serial_launcher() if _has_lost_pool else kernel.launch)
