"""Words of narrow numbers: put together, read whole, and multiplied, by whatever instruction there is."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

from tilewright.compiler import te
from tilewright.compiler.build import compile_program, write_llvm
from tilewright.compiler.errors import ExpressionError
from tilewright.compiler.kernel import load_kernel
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import create_schedule
from tilewright.compiler.target import Target

BYTES = ("int8", "uint8")
PAIRS = tuple(itertools.product(BYTES, BYTES))
# With and without the instructions that multiply bytes, and with vectors of each width.
CPUS = (
    ("native", "skylake-avx512", "haswell", "x86-64")
    if Target.host().architecture == "x86_64"
    else ("native",)
)
EXTREMES = {"int8": (-128, -127, -1, 0, 1, 127), "uint8": (0, 1, 127, 128, 254, 255)}
AARCH64 = "aarch64-unknown-linux-gnu"


def products(m: int, n: int, k: int, dtypes: tuple[str, str]) -> tuple[te.Tensor, te.Tensor, te.Tensor]:
    """A product of rows of words by columns of words; ``k`` need not fill the last."""
    parts = 2 if "bfloat16" in dtypes else 4
    a = te.placeholder((m, k), dtypes[0], name="A")
    b = te.placeholder((k, n), dtypes[1], name="B")
    steps = te.reduce_axis((0, -(-k // parts)), name="k")

    def word(read: Callable[[te.Expr], te.Expr], dtype: str) -> te.Expr:
        places = [steps * parts + part for part in range(parts)]
        zero = te.const(0, dtype)
        return te.word(*(te.if_then_else(place < k, read(place), zero) for place in places))

    def element(i: te.IterVar, j: te.IterVar) -> te.Expr:
        x, y = word(lambda r: a[i, r], dtypes[0]), word(lambda r: b[r, j], dtypes[1])
        return te.sum(te.dot(x, y, dtypes), axis=steps)

    return a, b, te.compute((m, n), element, name="C")


def program(m: int, n: int, k: int, dtypes: tuple[str, str], is_vectorized: bool = True) -> Program:
    a, b, c = products(m, n, k, dtypes)
    s = create_schedule(c)
    if is_vectorized:
        i, j = s[c].op.axis
        (steps,) = s[c].op.reduce_axis
        outer, inner = s[c].split(j, 32)
        s[c].reorder(i, outer, steps, inner)
        s[c].vectorize(inner)
        s[c].parallel(i)
    return Program.from_schedule(s, [a, b, c])


def target_of(cpu: str) -> Target:
    if cpu != "native" and "avx512vnni" not in Target.host().features and cpu == "skylake-avx512":
        pytest.skip("this machine cannot run that code")
    return Target.named(cpu)


def draw(rng: np.random.Generator, shape: tuple[int, int], dtype: str) -> npt.NDArray[np.generic]:
    """Mostly the extremes."""
    if rng.integers(2):
        return rng.choice(np.array(EXTREMES[dtype], dtype), shape)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("dtypes", PAIRS, ids=str)
@pytest.mark.parametrize("is_vectorized", [True, False])
def test_products_of_bytes_are_exact(cpu: str, dtypes: tuple[str, str], is_vectorized: bool) -> None:
    rng = np.random.default_rng(0)
    for k in (*range(1, 10), 64, 67):
        m, n = (int(size) for size in rng.integers(1, 50, 2))
        a, b = draw(rng, (m, k), dtypes[0]), draw(rng, (k, n), dtypes[1])
        kernel = load_kernel(compile_program(program(m, n, k, dtypes, is_vectorized), target_of(cpu)))
        np.testing.assert_array_equal(kernel(a, b), a.astype(np.int32) @ b.astype(np.int32))


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("dtypes", PAIRS, ids=str)
def test_no_sum_of_products_saturates(cpu: str, dtypes: tuple[str, str]) -> None:
    kernel = load_kernel(compile_program(program(3, 40, 64, dtypes), target_of(cpu)))
    for x, y in itertools.product(*(EXTREMES[dtype] for dtype in dtypes)):
        a, b = np.full((3, 64), x, dtypes[0]), np.full((64, 40), y, dtypes[1])
        np.testing.assert_array_equal(kernel(a, b), np.full((3, 40), 64 * x * y, np.int32))


@pytest.mark.parametrize("backend", ["interpreter", "numba"])
@pytest.mark.parametrize("dtypes", PAIRS, ids=str)
def test_other_backends_agree(backend: str, dtypes: tuple[str, str]) -> None:
    rng = np.random.default_rng(0)
    a, b = draw(rng, (3, 7), dtypes[0]), draw(rng, (7, 5), dtypes[1])
    kernel = load_kernel(compile_program(program(3, 5, 7, dtypes), Target.host(), backend=backend))
    np.testing.assert_array_equal(kernel(a, b), a.astype(np.int32) @ b.astype(np.int32))


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("k", [1, 2, 3, 64])
def test_products_of_bfloat16_are_near(cpu: str, k: int) -> None:
    rng = np.random.default_rng(k)
    a, b = (rng.uniform(-1, 1, shape).astype(ml_dtypes.bfloat16) for shape in ((5, k), (k, 40)))
    kernel = load_kernel(compile_program(program(5, 40, k, ("bfloat16", "bfloat16")), target_of(cpu)))
    expected = a.astype(np.float64) @ b.astype(np.float64)
    found = kernel(a, b)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6 * k)


def test_a_word_is_the_memory_of_its_parts() -> None:
    a = te.placeholder((40, 4), "int8", name="A")
    w = te.compute((40,), lambda i: te.word(*(a[i, r] for r in range(4))), name="W")
    array = np.random.default_rng(0).integers(-128, 128, (40, 4), dtype=np.int8)
    for backend in ("llvm", "interpreter", "numba"):
        s = create_schedule(w)
        s[w].vectorize(w.op.axis[0])
        kernel = load_kernel(
            compile_program(Program.from_schedule(s, [a, w]), Target.host(), backend=backend)
        )
        np.testing.assert_array_equal(kernel(array), array.view(np.int32)[:, 0])


def test_parts_side_by_side_are_read_at_once() -> None:
    a, b, c = products(4, 32, 64, ("uint8", "int8"))
    text, _ = write_llvm(Program.from_schedule(create_schedule(c), [a, b, c]), Target.host(), 1)
    assert "load i32, ptr" in text.text  # of A, along which the words lie


def test_the_instruction_is_used_where_the_cpu_has_it() -> None:
    wanted = {"cascadelake": "vpdpbusd", "sierraforest": "vpdpbusd", "haswell": "pmadd.wd"}
    for cpu, name in wanted.items():
        target = Target.named(cpu, triple="x86_64-unknown-linux-gnu")
        text, _ = write_llvm(program(4, 32, 64, ("uint8", "int8")), target, 1)
        assert name in text.text
        assert "pmadd.ub" not in text.text  # which saturates
    for cpu, name in {"neoverse-n1": "sdot", "generic": "mul <4 x i32>", "neoverse-v2": "sdot"}.items():
        text, _ = write_llvm(program(4, 32, 64, ("int8", "int8")), Target.named(cpu, triple=AARCH64), 1)
        assert name in text.text
    for cpu, name in {"neoverse-n1": "mul <4 x i32>", "neoverse-v2": "usdot"}.items():
        text, _ = write_llvm(program(4, 32, 64, ("int8", "uint8")), Target.named(cpu, triple=AARCH64), 1)
        assert name in text.text
    text, _ = write_llvm(
        program(4, 32, 64, ("int8", "int8")),
        Target.named("sierraforest", triple="x86_64-unknown-linux-gnu"),
        1,
    )
    assert "vpdpbssd" in text.text


def test_a_program_with_words_is_plain_data() -> None:
    made = program(4, 32, 9, ("uint8", "int8"))
    again = Program.from_json(made.to_json())
    assert again.to_json() == made.to_json()


def test_bits_of_integers() -> None:
    a = te.placeholder((33,), "int32", name="A")
    b = te.placeholder((33,), "int32", name="B")
    c = te.compute((33,), lambda i: ((a[i] & b[i]) | 12) ^ (a[i] | -5), name="C")
    rng = np.random.default_rng(0)
    x, y = (rng.integers(-(2**31), 2**31, 33, dtype=np.int32) for _ in range(2))
    for backend in ("llvm", "interpreter", "numba"):
        made = Program.from_schedule(create_schedule(c), [a, b, c])
        kernel = load_kernel(compile_program(made, Target.host(), backend=backend))
        np.testing.assert_array_equal(kernel(x, y), ((x & y) | 12) ^ (x | -5))


def test_what_is_no_word_is_refused() -> None:
    byte, number = te.const(1, "int8"), te.const(1, "int32")
    with pytest.raises(ExpressionError, match="4 parts of int8, not 1"):
        te.word(byte)
    with pytest.raises(ExpressionError, match="parts of one type"):
        te.word(number, number)
    with pytest.raises(ExpressionError, match="multiplies words"):
        te.dot(byte, number, ("int8", "int8"))
    with pytest.raises(ExpressionError, match="not bfloat16 by int8"):
        te.dot(number, number, ("bfloat16", "int8"))
    with pytest.raises(ExpressionError, match="bits of integers"):
        te.const(1.0) & te.const(2.0)
