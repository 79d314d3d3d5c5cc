"""The threads that kernels really get, which is what the records of a run name."""

import logging

from tilewright.measure.machine import granted_cores, usable_cores

_logger = logging.getLogger(__name__)


def granted_threads(requested: int | None) -> int | None:
    """The threads to tune for: those asked for, and no more than this process is granted.

    A parallel loop is cut into as many parts as a kernel was built for and is right on fewer threads, but its
    time is then that of fewer.
    """
    most = usable_cores()
    if (
        requested is None
        or isinstance(requested, bool)
        or not isinstance(requested, int)
        or requested <= most
    ):
        return requested  # the task takes all cores, or refuses what is no number
    reason = "NUMBA_NUM_THREADS" if most < granted_cores() else "the affinity of this process"
    _logger.warning(
        "threads=%d, but %s grants %d: tuning for %d, as the records say; build with threads=%d to use them",
        *(requested, reason, most, most, most),
    )
    return most
