"""One way in which a library computes a problem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from libraries.problem import Array, Problem
from tilewright.cli.contest import make_runner
from tilewright.measure.slices import Runner


@dataclass(frozen=True, slots=True)
class Form:
    """A way to compute a problem.

    Attributes:
        name: what it does, in a few words.
        run: calls to make -> nanoseconds that they took.
        result: what a call computes, in the layout of the problem.
    """

    name: str
    run: Runner
    result: Callable[[], Array]


Maker = Callable[[Problem], list[Form]]


def call_form(name: str, call: Callable[[], Any], read: Callable[[Any], Any] = np.asarray) -> Form:
    """A form that is a Python call; ``read`` makes an array of what it returns."""
    return Form(name, make_runner(call), lambda: np.asarray(read(call())))
