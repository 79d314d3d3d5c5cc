"""Arguments that are computed under another shape than callers see."""

from __future__ import annotations

import numpy as np
import pytest

from tilewright.compiler import te
from tilewright.compiler.build import compile_program
from tilewright.compiler.errors import ArgumentError, ExpressionError
from tilewright.compiler.kernel import load_kernel
from tilewright.compiler.program import Program
from tilewright.compiler.reference import run_reference
from tilewright.compiler.schedule import create_schedule
from tilewright.compiler.target import Target

X = np.random.default_rng(0).uniform(-1, 1, (3, 4, 5)).astype(np.float32)


def halves() -> Program:
    """Each element of a (3, 4, 5) array halved, computed as one row of 60."""
    x = te.placeholder((60,), name="x", argument_shape=(3, 4, 5))
    y = te.compute((60,), lambda i: x[i] * 0.5, name="y", argument_shape=(3, 20))
    s = create_schedule(y)
    _, inner = s[y].split(s[y].op.axis[0], 16)
    s[y].vectorize(inner)
    return Program.from_schedule(s, [x, y])


@pytest.mark.parametrize("backend", ["llvm", "numba", "interpreter"])
def test_callers_see_their_own_shapes(backend: str) -> None:
    program = Program.from_json(halves().to_json())
    kernel = load_kernel(compile_program(program, Target.host(), backend=backend))
    assert [spec.shape for spec in (*kernel.inputs, *kernel.outputs)] == [(3, 4, 5), (3, 20)]
    np.testing.assert_array_equal(kernel(X), (X / 2).reshape(3, 20))
    with pytest.raises(ArgumentError, match=r"x has shape \(60,\), the kernel takes \(3, 4, 5\)"):
        kernel(X.reshape(60))


def test_the_plain_meaning_has_them_too() -> None:
    (found,) = run_reference(halves(), [X])
    np.testing.assert_array_equal(found, (X / 2).reshape(3, 20))


def test_the_number_of_elements_is_the_same() -> None:
    with pytest.raises(ExpressionError, match=r"x: an argument of shape \(3, 4\) has not as many elements"):
        te.placeholder((13,), name="x", argument_shape=(3, 4))
    with pytest.raises(ExpressionError, match=r"y: an argument of shape \(2,\) has not as many elements"):
        te.compute((3,), lambda i: i, name="y", argument_shape=(2,))


def test_views_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r"x is computed as of shape \(60,\), which no view has"):
        halves().with_strides({"x": (40, 5, 1)})


def test_a_result_of_one_element_may_have_no_dimensions() -> None:
    x = te.placeholder((5,), name="x")
    k = te.reduce_axis((0, 5), "k")
    y = te.compute((1,), lambda i: te.sum(x[k + i], axis=k), name="y", argument_shape=())
    kernel = load_kernel(compile_program(Program.from_schedule(create_schedule(y), [x, y]), Target.host()))
    result = kernel(np.arange(5, dtype=np.float32))
    assert result.shape == ()
    assert result == 10
