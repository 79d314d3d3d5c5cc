"""Programs of many stages, and expressions that nest deeply."""

from __future__ import annotations

import numpy as np
import pytest

from tests.compiler.running import results
from tilewright.compiler import te
from tilewright.compiler.analysis.cost import estimate_cost
from tilewright.compiler.build import compile_program, lower_for_analysis
from tilewright.compiler.errors import ExpressionError
from tilewright.compiler.lower import lower_schedule
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import create_schedule
from tilewright.compiler.schedule.schedule import topological_order
from tilewright.compiler.target import Target


def chain(length: int) -> tuple[te.Tensor, te.Tensor]:
    """The first and the last of tensors, each a sum with the one before it."""
    first = last = te.placeholder((8,), name="a")
    for number in range(length):
        last = te.compute((8,), lambda i, read=last: read[i] + 1.0, name=f"s{number}")
    return first, last


def deep(levels: int) -> tuple[te.Tensor, te.Tensor]:
    a = te.placeholder((8,), name="a")

    def element(i: te.IterVar) -> te.Expr:
        total: te.Expr = a[i]
        for _ in range(levels):
            total = total + a[i]
        return total

    return a, te.compute((8,), element, name="b")


def test_a_program_of_many_stages_is_computed() -> None:
    a, last = chain(400)
    s = create_schedule(last)
    assert [stage.name for stage in s.stages[:3]] == ["a", "s0", "s1"]
    program = Program.from_schedule(s, [a, last])
    assert str(lower_schedule(s, [a, last])).count("alloc") == 399
    assert estimate_cost(lower_for_analysis(s, [a, last], Target.host()), Target.host()).cycles > 0
    for result in results(program, [np.zeros(8, np.float32)]).values():
        np.testing.assert_array_equal(result, np.full(8, 400, np.float32))


def test_tensors_come_after_what_they_read_in_the_order_of_reading() -> None:
    a, b = te.placeholder((8,), name="a"), te.placeholder((8,), name="b")
    c = te.compute((8,), lambda i: b[i] + a[i], name="c")
    d = te.compute((8,), lambda i: a[i] + c[i], name="d")
    e = te.compute((8,), lambda i: d[i] + c[i] + b[i], name="e")
    assert [tensor.name for tensor in topological_order([e, d, a])] == ["a", "b", "c", "d", "e"]
    assert [tensor.name for tensor in topological_order([c, e])] == ["b", "a", "c", "d", "e"]


def test_what_is_inlined_too_deeply_is_refused() -> None:
    a, last = chain(1000)
    s = create_schedule(last)
    for stage in s.stages[1:-1]:
        stage.compute_inline()
    with pytest.raises(ExpressionError, match=r"s\d+: an expression nests too deeply.* inline fewer"):
        lower_schedule(s, [a, last])
    with pytest.raises(ExpressionError, match="nests too deeply"):
        compile_program(Program.from_schedule(s, [a, last]), Target.host())


def test_an_expression_of_many_levels_is_computed() -> None:
    a, b = deep(100)
    program = Program.from_schedule(create_schedule(b), [a, b])
    for result in results(program, [np.ones(8, np.float32)]).values():
        np.testing.assert_array_equal(result, np.full(8, 101, np.float32))


@pytest.mark.parametrize("levels", [250, 300, 480, 5000])
def test_an_expression_of_too_many_levels_is_refused(levels: int) -> None:
    def compile_it() -> None:
        a, b = deep(levels)
        compile_program(Program.from_schedule(create_schedule(b), [a, b]), Target.host())

    with pytest.raises(ExpressionError, match="b: an expression nests too deeply"):
        compile_it()
