"""Mathematical functions of float32, beside float64: error bounds, special values, any number of lanes."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from tests.compiler.vector_math import (
    BOUNDS,
    POWER_BOUND,
    SIGMOID_WITHOUT_FMA,
    SPECIAL,
    Array,
    elementwise,
    errors,
    every_float,
    reference,
    sample,
    worst,
)
from tilewright.compiler import te
from tilewright.compiler.build import compile_program
from tilewright.compiler.kernel import Kernel, load_kernel
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import create_schedule
from tilewright.compiler.target import Target

ALL = [*BOUNDS, "power"]
# What is code for other vectors than this machine's widest, as far as this machine can run it.
CPUS = ["host", "scalar", "haswell", "x86-64"]


def compiled(name: str, count: int, cpu: str = "host") -> Kernel:
    host = Target.host()
    if cpu in ("host", "scalar"):
        return load_kernel(compile_program(elementwise(name, count, cpu == "host"), host))
    if host.architecture != "x86_64" or (cpu == "haswell" and not host.has_avx2):
        pytest.skip(f"this machine does not run code for {cpu}")
    return load_kernel(compile_program(elementwise(name, count), Target.named(cpu)))


def bound(name: str, cpu: str) -> float:
    has_fma = Target.host().has_fma if cpu in ("host", "scalar") else cpu == "haswell"
    return SIGMOID_WITHOUT_FMA if name == "sigmoid" and not has_fma else BOUNDS[name]


@cache
def sampled(name: str) -> tuple[Array, Array]:
    x = sample()
    return x, reference(name, x)


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("name", BOUNDS)
def test_errors_stay_within_their_bounds(name: str, cpu: str) -> None:
    x, expected = sampled(name)
    found = errors(compiled(name, len(x), cpu)(x), expected)
    place = int(np.argmax(found))
    assert found[place] <= bound(name, cpu), f"{name}({x[place]!r}): {found[place]} ULP"


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("name", BOUNDS)
def test_errors_of_every_float_stay_within_their_bounds(name: str, cpu: str) -> None:
    chunk = 2**18  # what the caches hold
    kernel = compiled(name, chunk, cpu)
    most, where = max(worst(name, kernel(x), x) for x in every_float(chunk))
    print(f"{name}, {cpu}: {most:.3f} ULP at {where}")
    assert most <= bound(name, cpu), where


def pairs(count: int) -> tuple[Array, Array]:
    """Special values with each other, bases and exponents of results of any size, and bases near 1."""
    more = np.array([2, 3, -3, 0.5, -0.5, 2.5, -2.5, 2**23 - 1, 2**23 + 1, -(2**24) + 1, 2**24], np.float32)
    grid = np.meshgrid(*[np.concatenate([SPECIAL, more])] * 2)
    rng = np.random.default_rng(0)
    x = rng.integers(1, 0x7F800000, count, np.uint32).view(np.float32)
    y = rng.uniform(-152, 130, count) / np.log2(x.astype(np.float64))
    near = 1 + rng.uniform(-0.3, 0.5, count)
    bases = np.concatenate([grid[0].ravel(), x, near]).astype(np.float32)
    exponents = np.concatenate([grid[1].ravel(), y, rng.uniform(-200, 200, count)])
    return bases, exponents.astype(np.float32)


def check_power(cpu: str, count: int) -> None:
    x, y = pairs(count)
    with np.errstate(all="ignore"):
        expected = np.power(x.astype(np.float64), y.astype(np.float64))
    found = errors(compiled("power", len(x), cpu)(x, y), expected)
    place = int(np.argmax(found))
    assert found[place] <= POWER_BOUND, f"{x[place]!r} ** {y[place]!r}: {found[place]} ULP"


@pytest.mark.parametrize("cpu", CPUS)
def test_powers_stay_within_their_bound(cpu: str) -> None:
    check_power(cpu, 200_000)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("cpu", CPUS)
def test_many_powers_stay_within_their_bound(cpu: str) -> None:
    check_power(cpu, 100_000_000)


@pytest.mark.parametrize("cpu", ["host", "haswell", "x86-64"])
@pytest.mark.parametrize("name", ALL)
def test_results_do_not_depend_on_the_number_of_lanes(name: str, cpu: str) -> None:
    x = np.concatenate([SPECIAL, sample(2**20 + 7)])
    inputs = (np.abs(x), x[::-1].copy())[: 2 if name == "power" else 1]
    whole = compiled(name, len(x), cpu)(*inputs)
    for count in (1, 2, 3, 4, 7, 8, 15, 33):
        part = compiled(name, count, cpu)(*(a[:count] for a in inputs))
        if count == 1 and name in ("rsqrt", "sigmoid"):
            continue  # a scalar divides; vectors of AVX-512 refine an estimate
        np.testing.assert_array_equal(part, whole[:count])


@pytest.mark.parametrize("name", [name for name in ALL if name not in ("rsqrt", "sigmoid")])
def test_scalars_give_what_vectors_give(name: str) -> None:
    x = sample(2**20 + 7)
    inputs = (x, x[::-1].copy())[: 2 if name == "power" else 1]
    scalars = compiled(name, len(x), "scalar")(*inputs)
    np.testing.assert_array_equal(scalars, compiled(name, len(x))(*inputs))


@pytest.mark.parametrize("name", [name for name in ALL if name != "power"])
def test_vectors_wider_than_registers(name: str) -> None:
    """A loop that stores bytes has as many lanes as there are bytes."""
    x = te.placeholder((200,), name="x")
    out = te.compute((200,), lambda i: (getattr(te, name)(x[i]) * 20.0).astype("int8"), name="out")
    s = create_schedule(out)
    s[out].vectorize(out.op.axis[0])
    kernel = load_kernel(compile_program(Program.from_schedule(s, [x, out]), Target.host()))
    values = np.linspace(0.1, 1.5, 200, dtype=np.float32)
    same = compiled(name, 200)(values)
    np.testing.assert_array_equal(kernel(values), (same * np.float32(20)).astype(np.int8))


@pytest.mark.parametrize("name", BOUNDS)
def test_sums_reassociate_nothing_inside_a_function(name: str) -> None:
    """The steps of a sum may be taken in any order, those of a function not."""
    x = te.placeholder((64, 1), name="x")
    k = te.reduce_axis((0, 1), "k")
    out = te.compute((64,), lambda i: te.sum(getattr(te, name)(x[i, k]), axis=k), name="out")
    s = create_schedule(out)
    s[out].vectorize(out.op.axis[0])
    kernel = load_kernel(compile_program(Program.from_schedule(s, [x, out]), Target.host()))
    values = np.linspace(0.01, 12.0, 64, dtype=np.float32)
    np.testing.assert_array_equal(kernel(values.reshape(64, 1)), compiled(name, 64)(values))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_rounded_from_float32(dtype: str) -> None:
    x = te.placeholder((37,), dtype, name="x")
    out = te.compute((37,), lambda i: te.tanh(x[i]), name="out")
    program = Program.from_schedule(create_schedule(out), [x, out])
    kernel = load_kernel(compile_program(program, Target.host()))
    values = np.linspace(-5, 5, 37).astype(kernel.inputs[0].dtype)
    expected = np.tanh(values.astype(np.float64)).astype(np.float32)
    np.testing.assert_allclose(kernel(values).astype(np.float32), expected, rtol=2.0**-7)


def test_the_measure_of_errors_sees_what_is_wrong() -> None:
    one = np.ones(1)
    above = np.nextafter(np.float32(1), np.float32(2)).reshape(1)
    assert errors(above, one) == [1.0]
    for found, expected in ((np.nan, 1.0), (-0.0, 0.0), (1.0, np.nan), (-np.inf, np.inf), (np.inf, 3e38)):
        assert errors(np.array([found], np.float32), np.array([expected]))[0] > 100.0
    assert errors(np.array([np.inf, np.nan], np.float32), np.array([1e300, np.nan])).tolist() == [0.0, 0.0]
