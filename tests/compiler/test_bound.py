"""Constants are bound once; what follows from them alone is not computed again."""

from __future__ import annotations

import pickle
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from tilewright.compiler import te
from tilewright.compiler.build import compile_program, lower_for_target
from tilewright.compiler.errors import ArgumentError, ScheduleError
from tilewright.compiler.kernel import Kernel, load_kernel
from tilewright.compiler.lower.constants import divide_constants
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import create_schedule
from tilewright.compiler.target import Target

M, N, K = 6, 40, 24


def layer(
    packed: bool = True, parallel: bool = False, constants: tuple[str, ...] = ("weight", "bias")
) -> Program:
    """A dense layer, the weight in panels of 16 outputs."""
    x = te.placeholder((M, K), name="x")
    weight, bias = te.placeholder((N, K), name="weight"), te.placeholder((N,), name="bias")
    k = te.reduce_axis((0, K), "k")
    product = te.compute((M, N), lambda i, j: te.sum(x[i, k] * weight[j, k], axis=k), name="product")
    out = te.compute((M, N), lambda i, j: te.max(product[i, j] + bias[j], 0.0), name="out")
    s = create_schedule(out)
    if packed:
        panels = s.pack(weight, product, {0: 16})
        assert s[panels].attach.kind == "root"
    i, j = s[out].op.axis
    _, inner = s[out].split(j, 16)
    s[product].compute_at(s[out], i)
    s[out].vectorize(inner)
    if parallel:
        s[out].parallel(i)
    return Program.from_schedule(s, [x, weight, bias, out], constants)


def build(program: Program, threads: int = 1, backend: str = "llvm") -> Kernel:
    return load_kernel(compile_program(program, Target.host(), threads, backend))


def arrays(seed: int = 0) -> tuple[Any, Any, Any, Any]:
    rng = np.random.default_rng(seed)
    x, weight, bias = (rng.uniform(-1, 1, shape).astype("float32") for shape in ((M, K), (N, K), (N,)))
    return x, weight, bias, np.maximum(x @ weight.T + bias, 0)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize("backend", ["llvm", "numba", "interpreter"])
def test_a_bound_kernel_gives_the_same(packed: bool, parallel: bool, backend: str) -> None:
    x, weight, bias, expected = arrays()
    kernel = build(layer(packed, parallel), 2 if parallel else 1, backend)
    np.testing.assert_allclose(kernel(x, weight, bias), expected, rtol=1e-5, atol=1e-5)
    bound = kernel.bind(weight=weight, bias=bias)
    assert [spec.name for spec in bound.inputs] == ["x"]
    for seed in range(3):
        other = arrays(seed)[0]
        np.testing.assert_allclose(bound(other), np.maximum(other @ weight.T + bias, 0), rtol=1e-5, atol=1e-5)
    out = np.empty((M, N), "float32")
    assert bound(x, out=out) is out
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)


def test_the_weight_is_packed_once() -> None:
    x, weight, bias, expected = arrays()
    bound = build(layer()).bind(weight=weight, bias=bias)
    weight[...] = np.nan  # only the packed copy is read from now on
    np.testing.assert_allclose(bound(x), expected, rtol=1e-5, atol=1e-5)
    text = bound.source("llvm")
    entry = re.search(r"define void @bound\(.*?^}", text, re.DOTALL | re.MULTILINE)
    assert entry is not None
    assert "prepare" not in entry.group()


def test_several_bound_kernels_do_not_meet() -> None:
    kernel = build(layer())
    pairs = [(kernel.bind(weight=w, bias=b), x, expected) for x, w, b, expected in map(arrays, range(4))]
    for bound, x, expected in pairs * 2:
        np.testing.assert_allclose(bound(x), expected, rtol=1e-5, atol=1e-5)


def test_threads_may_share_a_bound_kernel() -> None:
    x, weight, bias, expected = arrays()
    bound = build(layer()).bind(weight=weight, bias=bias)
    with ThreadPoolExecutor(4) as pool:
        for result in pool.map(lambda _: bound(x), range(200)):
            np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


def test_it_is_timed_as_it_is_used() -> None:
    x, weight, bias, expected = arrays()
    call = build(layer()).prepare(x, weight, bias)
    weight[...] = np.nan
    assert call.run(3) > 0
    np.testing.assert_allclose(call.outputs[0], expected, rtol=1e-5, atol=1e-5)


def test_timing_checks_its_arguments() -> None:
    x, weight, _, _ = arrays()
    with pytest.raises(ArgumentError, match="takes 3 arrays"):
        build(layer()).prepare(x, weight)


def test_a_bound_kernel_survives_pickling() -> None:
    x, weight, bias, expected = arrays()
    bound = pickle.loads(pickle.dumps(build(layer()).bind(weight=weight, bias=bias)))
    np.testing.assert_allclose(bound(x), expected, rtol=1e-5, atol=1e-5)


def test_programs_keep_their_constants() -> None:
    program = layer()
    assert Program.from_json(program.to_json()).constants == ("weight", "bias")
    assert program.unscheduled().constants == ("weight", "bias")
    assert layer(constants=()).text != program.text
    with pytest.raises(ScheduleError, match="constant 'w' is no input"):
        layer(constants=("w",))


def test_only_what_reads_constants_alone_is_taken_apart() -> None:
    host = Target.host()
    divided = divide_constants(lower_for_target(layer(), host), ("weight",))
    assert [buffer.name for buffer in divided.prepared] == ["weight.pack"]
    assert "weight.pack" in str(divided.prepare)
    assert "x[" not in str(divided.prepare)
    assert divide_constants(lower_for_target(layer(), host), ("bias",)).prepared == ()
    assert divide_constants(lower_for_target(layer(), host), ()).prepared == ()


def test_what_cannot_be_bound_is_named() -> None:
    x, weight, bias, _ = arrays()
    kernel = build(layer())
    for given, message in (
        ({"weight": weight}, "bias is missing"),
        ({"weight": weight, "bias": bias, "x": x}, "x is no constant of the kernel; it has weight, bias"),
        ({"weight": weight.T, "bias": bias}, "weight has shape"),
    ):
        with pytest.raises(ArgumentError, match=message):
            kernel.bind(**given)
    with pytest.raises(ArgumentError, match="it has none"):
        build(layer(constants=())).bind()
    with pytest.raises(ArgumentError, match="takes 1 arrays"):
        kernel.bind(weight=weight, bias=bias)(x, weight)


@pytest.mark.parametrize("backend", ["llvm", "interpreter"])
def test_an_output_that_overlaps_a_constant_is_refused(backend: str) -> None:
    x, _, bias, _ = arrays()
    memory = np.ones(N * K, np.float32)
    bound = build(layer(packed=False), backend=backend).bind(weight=memory.reshape(N, K), bias=bias)
    out = memory[K : K + M * N].reshape(M, N)
    with pytest.raises(ArgumentError, match=r"out \(out\) overlaps weight in memory"):
        bound(x, out=out)
    assert (memory == 1).all()
    if backend == "llvm":
        with pytest.raises(ArgumentError, match="overlaps weight"):
            bound.prepare(x, out=out)
