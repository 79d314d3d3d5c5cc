"""Numbers as steps can store them: Python's own, whoever made them."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from tilewright.compiler.errors import ScheduleError

T = TypeVar("T")


def plain(value: T) -> T | int:
    """A NumPy integer as Python's own, which a step can store; anything else as it is."""
    return int(value) if isinstance(value, (np.integer, np.bool_)) else value


def whole(value: int, primitive: str) -> int:
    """A whole number, as a step can store it."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise ScheduleError(f"{primitive}: {value!r} is not an integer")
    return int(value)
