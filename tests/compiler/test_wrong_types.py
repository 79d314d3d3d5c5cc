"""What is given to te, to a schedule's loop nest and to a program in place of what they take."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tilewright.compiler import te
from tilewright.compiler.errors import ExpressionError, ScheduleError
from tilewright.compiler.lower import lower_schedule
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import create_schedule


@pytest.mark.parametrize(
    ("make", "given", "message"),
    [
        (te.placeholder, 5, r"shape must be a list of extents, such as \(4, 8\), not 5"),
        (te.placeholder, None, "shape must be a list of extents, .* not None"),
        (partial(te.compute, fcompute=abs), 5, "shape must be a list of extents, .* not 5"),
        (partial(te.compute, (4,)), 5, "fcompute must be a function of the indices, not 5"),
        (te.reduce_axis, 4, r"dom must be \(0, extent\), not 4"),
        (te.reduce_axis, (0, 4, 8), r"dom must be \(0, extent\), not \(0, 4, 8\)"),
    ],
)
def test_arguments_of_a_wrong_type_are_named(make: Callable[..., object], given: Any, message: str) -> None:
    with pytest.raises(ExpressionError, match=f"x: {message}"):
        make(given, name="x")


@pytest.mark.parametrize("use", [lower_schedule, Program.from_schedule])
def test_what_is_no_schedule_and_no_list_of_tensors_is_refused(use: Callable[..., object]) -> None:
    x = te.placeholder((4,), name="x")
    s = create_schedule(te.compute((4,), lambda i: x[i] + 1.0, name="y"))
    for schedule in (5, None, [s], s.stages[0]):
        with pytest.raises(ScheduleError, match="schedule must be one that create_schedule made, not"):
            use(schedule, [x])
    for args in (5, None, x, "x", ["x"], [x, 5]):
        with pytest.raises(ScheduleError, match=r"args must be a list of tensors, .*, not"):
            use(s, args)
