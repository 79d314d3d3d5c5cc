"""Compiling the launcher of parallel loops ahead of the fork, where that is safe.

Compiling it starts the thread pool. TBB's is stopped before a fork and started again in the child on demand;
GNU OpenMP ends a child that uses it after a fork, so under that layer each worker compiles its own.
"""

import importlib
from typing import Any


def compile_launcher() -> None:
    """Compile the launcher once, for all workers, if the thread pool survives a fork."""
    settings: Any = importlib.import_module("numba.core.config")
    first = settings.THREADING_LAYER_PRIORITY[0]
    if settings.THREADING_LAYER not in ("default", "tbb") or first != "tbb":
        return
    try:
        importlib.import_module("numba.np.ufunc.tbbpool")
    except ImportError:
        return
    from tilewright.compiler.backends.threads import launcher_address

    launcher_address()
