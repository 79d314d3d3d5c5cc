"""Element types and functions: compiled code against NumPy and the interpreter."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

from tilewright.compiler import te
from tilewright.compiler.backends.interpreter import interpret
from tilewright.compiler.build import compile_program, lower_program, write_llvm
from tilewright.compiler.errors import ExpressionError
from tilewright.compiler.kernel import Kernel, load_kernel
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import create_schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te.storage import storage_dtype

Array = npt.NDArray[Any]
N = 37
ERF = np.vectorize(__import__("math").erf)


def elementwise(
    inputs: list[te.Tensor], body: Callable[..., te.Expr], vectorized: bool
) -> tuple[Kernel, Program]:
    out = te.compute((N,), lambda i: body(*(t[i] for t in inputs)), name="out")
    s = create_schedule(out)
    if vectorized:
        s[out].vectorize(out.op.axis[0])
    program = Program.from_schedule(s, [*inputs, out])
    return load_kernel(compile_program(program, Target.host())), program


@pytest.mark.parametrize("vectorized", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("exp", np.exp),
        ("exp2", np.exp2),
        ("log", lambda x: np.log(np.abs(x) + 0.1)),
        ("sqrt", lambda x: np.sqrt(np.abs(x))),
        ("rsqrt", lambda x: 1 / np.sqrt(np.abs(x) + 0.1)),
        ("tanh", np.tanh),
        ("sigmoid", lambda x: 1 / (1 + np.exp(-x))),
        ("erf", ERF),
        ("sin", np.sin),
        ("cos", np.cos),
        ("floor", np.floor),
        ("ceil", np.ceil),
        ("round", np.rint),
        ("trunc", np.trunc),
        ("abs", np.abs),
    ],
)
def test_math_functions_agree_with_numpy(
    name: str, reference: Callable[[Array], Array], dtype: str, vectorized: bool
) -> None:
    function = getattr(te, name)
    shifted = {"log": 0.1, "sqrt": 0.0, "rsqrt": 0.1}

    def body(x: te.Expr) -> te.Expr:
        result: te.Expr = function(te.abs(x) + shifted[name]) if name in shifted else function(x)
        return result

    kernel, _ = elementwise([te.placeholder((N,), dtype, name="x")], body, vectorized)
    x = np.linspace(-4.3, 4.4, N).astype(dtype)
    tolerance = 4e-6 if dtype == "float32" else 1e-13
    np.testing.assert_allclose(kernel(x), reference(x.astype(np.float64)), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("vectorized", [False, True])
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64"])
def test_integer_arithmetic_rounds_down_and_wraps_as_numpy(dtype: str, vectorized: bool) -> None:
    def body(x: te.Expr, y: te.Expr) -> te.Expr:
        return (x + y) * 3 - x // y + x % y + te.maximum(x, y) - te.minimum(x, y)

    inputs = [te.placeholder((N,), dtype, name=n) for n in "xy"]
    kernel, _ = elementwise(inputs, body, vectorized)
    rng = np.random.default_rng(1)
    low = 0 if dtype == "uint8" else -60
    x = rng.integers(low, 60, N).astype(dtype)
    y = rng.integers(1, 9, N).astype(dtype)
    y[::3] = -y[::3] if dtype != "uint8" else y[::3]
    expected = (x + y) * np.asarray(3, dtype) - x // y + x % y + np.maximum(x, y) - np.minimum(x, y)
    np.testing.assert_array_equal(kernel(x, y), expected.astype(dtype))


@pytest.mark.parametrize("vectorized", [False, True])
@pytest.mark.parametrize("op", [operator.floordiv, operator.mod])
@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_division_by_zero_gives_zero_as_numpys_and_never_faults(
    dtype: str, op: Callable[[Any, Any], Any], vectorized: bool
) -> None:
    inputs = [te.placeholder((N,), dtype, name=n) for n in "xy"]
    kernel, program = elementwise(inputs, op, vectorized)
    x, y = np.arange(N).astype(dtype), (np.arange(N) % 4).astype(dtype)
    if dtype != "uint8":
        x[::2] = np.iinfo(dtype).min
        y -= 1
    with np.errstate(all="ignore"):
        expected = op(x, y)
    np.testing.assert_array_equal(kernel(x, y), expected)
    x[::2] = 5
    np.testing.assert_array_equal(interpret(lower_program(program), [x, y])[0], kernel(x, y))


@pytest.mark.parametrize("vectorized", [False, True])
def test_a_division_that_is_not_chosen_does_not_fault(vectorized: bool) -> None:
    out = te.compute((N,), lambda i: te.if_then_else(i > 0, 100 // i, -1), name="out")
    s = create_schedule(out)
    if vectorized:
        s[out].vectorize(out.op.axis[0])
    kernel = load_kernel(compile_program(Program.from_schedule(s, [out]), Target.host()))
    assert kernel().tolist() == [-1, *(100 // i for i in range(1, N))]


@pytest.mark.parametrize("vectorized", [False, True])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_stored_in_16_bits_and_computed_in_32(dtype: str, vectorized: bool) -> None:
    inputs = [te.placeholder((N,), dtype, name=n) for n in "xy"]
    kernel, _ = elementwise(inputs, lambda x, y: x.astype("float32") * y.astype("float32"), vectorized)
    kind = storage_dtype(dtype)
    x, y = (np.linspace(-2, 3, N).astype(kind), np.linspace(5, -1, N).astype(kind))
    np.testing.assert_array_equal(kernel(x, y), x.astype(np.float32) * y.astype(np.float32))
    kernel, _ = elementwise(inputs, lambda x, y: x + y, vectorized)
    result = kernel(x, y)
    assert result.dtype == kind
    np.testing.assert_array_equal(result, (x.astype(np.float32) + y.astype(np.float32)).astype(kind))


@pytest.mark.parametrize("vectorized", [False, True])
def test_comparisons_choices_and_booleans(vectorized: bool) -> None:
    x, y = te.placeholder((N,), "float32", name="x"), te.placeholder((N,), "bool", name="y")

    def body(a: te.Expr, b: te.Expr) -> te.Expr:
        return te.if_then_else(te.any(te.all(a > 0.0, b), te.logical_not(a < 1.0)), a, -a)

    kernel, _ = elementwise([x, y], body, vectorized)
    a = np.linspace(-2, 2, N).astype(np.float32)
    b = np.arange(N) % 2 == 0
    np.testing.assert_array_equal(kernel(a, b), np.where(((a > 0) & b) | ~(a < 1), a, -a))


@pytest.mark.parametrize("vectorized", [False, True])
def test_a_boolean_result_is_stored_as_bytes(vectorized: bool) -> None:
    kernel, _ = elementwise([te.placeholder((N,), name="x")], lambda a: a == te.floor(a), vectorized)
    a = (np.arange(N) / 2).astype(np.float32)
    result = kernel(a)
    assert result.dtype == np.bool_
    np.testing.assert_array_equal(result, a == np.floor(a))


@pytest.mark.parametrize("vectorized", [False, True])
def test_minimum_and_maximum_pass_nan_on_as_numpy_does(vectorized: bool) -> None:
    inputs = [te.placeholder((N,), name=n) for n in "xy"]
    kernel, program = elementwise(inputs, lambda x, y: te.maximum(x, y), vectorized)
    x = np.linspace(-1, 1, N).astype(np.float32)
    y = x[::-1].copy()
    x[3], y[5] = np.nan, np.nan
    np.testing.assert_array_equal(kernel(x, y), np.maximum(x, y))
    np.testing.assert_array_equal(interpret(lower_program(program), [x, y])[0], np.maximum(x, y))


def test_int8_products_are_summed_in_32_bits() -> None:
    a = te.placeholder((5, 19), "uint8", name="a")
    b = te.placeholder((19, 7), "int8", name="b")
    k = te.reduce_axis((0, 19), "k")
    c = te.compute(
        (5, 7), lambda i, j: te.sum(a[i, k].astype("int32") * b[k, j].astype("int32"), axis=k), name="c"
    )
    s = create_schedule(c)
    s[c].vectorize(c.op.axis[1])
    kernel = load_kernel(compile_program(Program.from_schedule(s, [a, b, c]), Target.host()))
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (5, 19), np.uint8), rng.integers(-128, 128, (19, 7), np.int8)
    np.testing.assert_array_equal(kernel(x, y), x.astype(np.int32) @ y.astype(np.int32))


def test_casts_truncate_and_wrap() -> None:
    kernel, _ = elementwise([te.placeholder((N,), name="x")], lambda x: x.astype("int32"), True)
    x = np.linspace(-3.9, 3.9, N).astype(np.float32)
    np.testing.assert_array_equal(kernel(x), x.astype(np.int32))
    kernel, _ = elementwise([te.placeholder((N,), "int32", name="x")], lambda v: v.astype("int8"), True)
    y = np.arange(N, dtype=np.int32) * 37
    np.testing.assert_array_equal(kernel(y), y.astype(np.int8))


@pytest.mark.parametrize("vectorized", [False, True])
def test_absolute_values_of_integers_are_numpys(vectorized: bool) -> None:
    for dtype in ("uint8", "int8", "int32"):
        kernel, program = elementwise([te.placeholder((N,), dtype, name="x")], te.abs, vectorized)
        x = np.linspace(np.iinfo(dtype).min, np.iinfo(dtype).max, N).astype(dtype)
        np.testing.assert_array_equal(kernel(x), np.abs(x))
        np.testing.assert_array_equal(interpret(lower_program(program), [x])[0], np.abs(x))


@pytest.mark.parametrize("vectorized", [False, True])
def test_a_sum_of_conditions_is_or_and_a_product_is_and_as_numpys(vectorized: bool) -> None:
    inputs = [te.placeholder((N,), "bool", name=n) for n in "xy"]
    x, y = np.arange(N) % 2 == 0, np.arange(N) % 3 == 0
    for op in (operator.add, operator.mul):
        kernel, program = elementwise(inputs, op, vectorized)
        np.testing.assert_array_equal(kernel(x, y), op(x, y))
        np.testing.assert_array_equal(interpret(lower_program(program), [x, y])[0], op(x, y))


def test_the_interpreter_wraps_integers_as_the_compiled_code_does() -> None:
    inputs = [te.placeholder((N,), "int8", name=n) for n in "xy"]
    kernel, program = elementwise(inputs, lambda x, y: (x * y + x) // 3 - -y, True)
    x, y = np.arange(N).astype(np.int8), np.full(N, 100, np.int8)
    np.testing.assert_array_equal(interpret(lower_program(program), [x, y])[0], kernel(x, y))


def test_power() -> None:
    inputs = [te.placeholder((N,), name=n) for n in "xy"]
    kernel, _ = elementwise(inputs, te.power, True)
    x, y = np.linspace(0.1, 3, N).astype(np.float32), np.linspace(-2, 2, N).astype(np.float32)
    np.testing.assert_allclose(kernel(x, y), x**y, rtol=1e-5)


def test_prod_and_min_reduce() -> None:
    x = te.placeholder((4, 9), name="x")
    k = te.reduce_axis((0, 9), "k")
    values = np.random.default_rng(0).uniform(0.5, 1.5, (4, 9)).astype(np.float32)
    for reduce, reference in ((te.prod, np.prod), (te.min, np.min), (te.max, np.max)):
        out = te.compute((4,), lambda i, reduce=reduce: reduce(x[i, k], axis=k), name="out")
        program = Program.from_schedule(create_schedule(out), [x, out])
        kernel = load_kernel(compile_program(program, Target.host()))
        np.testing.assert_allclose(kernel(values), reference(values, axis=1), rtol=1e-5)


@pytest.mark.parametrize(
    "condition",
    [
        lambda i, j: i == 0,
        lambda i, j: i != 0,
        lambda i, j: 0 == i,  # noqa: SIM300
        lambda i, j: i * 0.5 == 1.5,
        lambda i, j: i == np.int64(3),
        lambda i, j: i == te.const(3, "int64"),
        lambda i, j: i in (0, 3),
        lambda i, j: i < 3,
    ],
)
def test_a_comparison_with_a_number_is_a_condition_and_no_truth(
    condition: Callable[[te.Expr, te.Expr], bool],
) -> None:
    with pytest.raises(ExpressionError, match=r"no truth value .* use te\.if_then_else"):
        te.compute((4, 4), lambda i, j: 1.0 if condition(i, j) else 2.0)


def test_expressions_are_told_apart_by_identity() -> None:
    i, j = te.compute((4, 4), lambda i, j: i + j).op.axis
    assert i in (j, i)
    assert i not in [j, j + 1]
    assert bool(i != j)


def test_integers_have_no_true_division() -> None:
    x = te.placeholder((4,), "int32", name="x")
    with pytest.raises(ExpressionError, match="use // or cast"):
        te.compute((4,), lambda i: x[i] / 2)


def test_bfloat16_is_that_of_ml_dtypes() -> None:
    assert storage_dtype("bfloat16") == np.dtype(ml_dtypes.bfloat16)


def test_a_guarded_read_of_memory_that_each_lane_has_its_own_of() -> None:
    """The condition is the same in every lane, what is read is not."""
    x = te.placeholder((8, 6), name="x")
    copy = te.compute((8, 6), lambda i, j: x[i, j] * 2.0, name="copy")
    out = te.compute((8, 7), lambda i, j: te.if_then_else(j >= 1, copy[i, j - 1], 0.0), name="out")
    s = create_schedule(out)
    i, j = out.op.axis
    s[out].vectorize(i)
    s[copy].compute_at(s[out], j)
    kernel = load_kernel(compile_program(Program.from_schedule(s, [x, out]), Target.host()))
    values = np.arange(48, dtype=np.float32).reshape(8, 6)
    np.testing.assert_array_equal(kernel(values), np.pad(values * 2, ((0, 0), (1, 0))))


@pytest.mark.parametrize("cpu", ["haswell", "x86-64"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_masked_reads_of_16_bits_need_no_library(dtype: str, cpu: str) -> None:
    if "avx2" not in Target.host().features:
        pytest.skip("this machine cannot run code for x86-64 with AVX2")
    x, y = te.placeholder((N,), name="x"), te.placeholder((N,), dtype, name="y")
    out = te.compute((N,), lambda i: te.if_then_else(x[i] > 0, y[i], -1), name="out")
    s = create_schedule(out)
    s[out].vectorize(out.op.axis[0])
    kernel = load_kernel(compile_program(Program.from_schedule(s, [x, y, out]), Target.named(cpu)))
    first = np.linspace(-1, 1, N, dtype=np.float32)
    second = np.arange(N).astype(storage_dtype(dtype))
    found = kernel(first, second).astype(np.float32)
    np.testing.assert_array_equal(found, np.where(first > 0, np.arange(N), -1))


def test_what_a_condition_reads_is_not_read_again_under_a_mask() -> None:
    x, y = te.placeholder((64,), name="x"), te.placeholder((64,), name="y")
    kernel, program = elementwise_of_64([x, y], lambda a, b: te.if_then_else(a > b, a, b))
    text, _ = write_llvm(program, Target.host(), 1)
    assert "masked.load" not in text.text
    values = np.random.default_rng(0).standard_normal((2, 64)).astype(np.float32)
    np.testing.assert_array_equal(kernel(*values), values.max(axis=0))


def elementwise_of_64(inputs: list[te.Tensor], body: Callable[..., te.Expr]) -> tuple[Kernel, Program]:
    out = te.compute((64,), lambda i: body(*(t[i] for t in inputs)), name="out")
    s = create_schedule(out)
    s[out].vectorize(out.op.axis[0])
    program = Program.from_schedule(s, [*inputs, out])
    return load_kernel(compile_program(program, Target.host())), program
