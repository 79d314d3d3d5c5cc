"""Making a thing once for the process, whichever thread asks first."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import TypeVar

T = TypeVar("T")


def once(make: Callable[[], T]) -> Callable[[], T]:
    """Keep the first result of ``make``.

    Unlike ``functools.cache`` it never makes two at once: machine code must not be freed while it runs.
    """
    lock = threading.RLock()
    made: list[T] = []

    @wraps(make)
    def get() -> T:
        if not made:
            with lock:
                if not made:
                    made.append(make())
        return made[0]

    return get
