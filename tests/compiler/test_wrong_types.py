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


@pytest.mark.parametrize(
    ("init", "update", "finish", "merge", "message"),
    [
        ((0.0,), lambda s: (s, s), lambda s: s, None, r"update gives \(.*\), where a state has 1 values"),
        ((0.0,), lambda s: s, lambda s: s, None, "update gives .*, where a state has 1 values as a tuple"),
        ((0.0, 0.0), lambda s: (s, s), lambda s, t: s, None, "update is called with 2 arguments: too many"),
        ((0.0,), lambda s: (s,), lambda s, t: s, None, "finish is called with 1 arguments: missing"),
        (
            (0.0,),
            lambda s: (s,),
            lambda s: s,
            lambda a, b: (a[0], b[0]),
            r"merge gives \(.*\), where a state",
        ),
        (0.0, lambda s: (s,), lambda s: s, None, "init=0.0: give the values of the state"),
        ((), lambda: (), lambda: 0.0, None, r"init=\(\): give the values of the state"),
    ],
)
def test_functions_of_a_fold_have_the_state_that_there_is(
    init: Any, update: Any, finish: Any, merge: Any, message: str
) -> None:
    k = te.reduce_axis((0, 8), "k")
    with pytest.raises(ExpressionError, match=f"te.fold: {message}"):
        te.fold(k, init, update, finish, merge)


def test_a_fold_goes_over_reduce_axes() -> None:
    with pytest.raises(ExpressionError, match=r"te\.fold: 3 is not a reduce_axis"):
        te.fold(3, (0.0,), lambda s: (s,), lambda s: s)  # type: ignore[arg-type]
