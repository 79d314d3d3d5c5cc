"""Linear algebra on one thread.

On busy cores a threaded factorisation of 200 rows took 100 ms instead of one.
"""

from contextlib import AbstractContextManager
from functools import cache
from typing import Any


def single_blas_thread() -> AbstractContextManager[Any]:
    """Hold NumPy's and SciPy's linear algebra to one thread, which leaves the measured core alone."""
    limit: AbstractContextManager[Any] = _controller().limit(limits=1, user_api="blas")
    return limit


@cache
def _controller() -> Any:
    import scipy.linalg  # its BLAS is found once it is loaded  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
