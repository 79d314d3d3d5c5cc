"""Calling kernels: arguments, outputs, threads, inspection and storage."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.compiler.computes import matmul
from tilewright.compiler import te
from tilewright.compiler.build import compile_program, write_llvm
from tilewright.compiler.errors import ArgumentError, CodeSizeError, CompileError, ExpressionError
from tilewright.compiler.kernel import Kernel, load_kernel
from tilewright.compiler.program import Program
from tilewright.compiler.reference import run_reference
from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor

M, N, K = 37, 50, 23
A = np.random.default_rng(0).uniform(-1, 1, (M, K)).astype(np.float32)
B = np.random.default_rng(1).uniform(-1, 1, (K, N)).astype(np.float32)


def tiled(tile_rows: int = 4, parallel: bool = False, unroll_all: bool = False) -> Program:
    """A matmul with a register tile, a packed operand and, if asked, threads."""
    c = matmul(M, N, K)
    s = create_schedule(c.output)
    out = c.output
    i, j = out.op.axis
    cache = s.cache_write(out, "register")
    io, ii = s[out].split(i, factor=tile_rows)
    jo, ji = s[out].split(j, factor=16)
    s[out].reorder(io, jo, ii, ji)
    s[cache].compute_at(s[out], jo)
    ci, cj = s[cache].op.axis
    (k,) = s[cache].op.reduce_axis
    s[cache].reorder(k, ci, cj)
    s[cache].unroll(ci)
    s[cache].vectorize(cj)
    if unroll_all:
        s[cache].unroll(k)
    packed = s.pack(c.inputs[1], cache, {1: 16})
    if parallel:
        s[out].parallel(io)
        s[packed].compute_at(s[out], io)
    return Program.from_schedule(s, c.args)


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    return load_kernel(compile_program(tiled(), Target.host()))


def test_a_call_returns_a_new_array(kernel: Kernel) -> None:
    np.testing.assert_allclose(kernel(A, B), A @ B, rtol=1e-5, atol=1e-5)


def test_out_is_written_and_returned(kernel: Kernel) -> None:
    out = np.full((M, N), np.nan, np.float32)
    assert kernel(A, B, out=out) is out
    np.testing.assert_allclose(out, A @ B, rtol=1e-5, atol=1e-5)


class _ForeignArray:
    """An array of another library, that only speaks DLPack."""

    def __init__(self, array: npt.NDArray[np.float32]) -> None:
        self.array = array

    def __dlpack__(self, **options: Any) -> object:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.array.__dlpack_device__()


def test_arrays_of_other_libraries_are_taken_through_dlpack(kernel: Kernel) -> None:
    np.testing.assert_allclose(kernel(_ForeignArray(A), B), A @ B, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda k: k(A), r"takes 2 arrays \(A, B\), 1 given"),
        (lambda k: k(A, B.astype(np.float64)), "B has dtype float64, the kernel takes float32"),
        (lambda k: k(A[:4], B), r"A has shape \(4, 23\), the kernel takes \(37, 23\)"),
        (lambda k: k(np.asfortranarray(A), B), r"A is not C-contiguous: pass np.ascontiguousarray\(A\)"),
        (lambda k: k(A.ravel(), B), r"A has shape \(851,\)"),
        (lambda k: k("A", B), "A is a str; pass a NumPy array"),
        (lambda k: k(A, B, out=np.zeros((M, N), np.float64)), "C has dtype float64"),
        (lambda k: k(A, B, out=np.zeros((M, N - 1), np.float32)), "C has shape"),
        (lambda k: k(A, B, out=np.broadcast_to(np.float32(0), (M, N))), "C is not C-contiguous"),
    ],
)
def test_a_wrong_argument_is_named_with_the_remedy(
    kernel: Kernel, call: Callable[[Kernel], object], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        call(kernel)


def test_an_output_that_overlaps_an_input_is_refused(kernel: Kernel) -> None:
    memory = np.zeros(M * N + M * K, np.float32)
    a = memory[: M * K].reshape(M, K)
    out = memory[M * K - 5 : M * K - 5 + M * N].reshape(M, N)
    with pytest.raises(ArgumentError, match=r"C \(out\) overlaps A in memory"):
        kernel(a, B, out=out)


def test_a_read_only_output_is_refused(kernel: Kernel) -> None:
    out = np.zeros((M, N), np.float32)
    out.flags.writeable = False
    with pytest.raises(ArgumentError, match="read-only"):
        kernel(A, B, out=out)


def test_a_misaligned_array_is_refused(kernel: Kernel) -> None:
    raw = np.zeros(M * K * 4 + 1, np.uint8)[1:].view(np.float32)
    with pytest.raises(ArgumentError, match="not aligned"):
        kernel(raw.reshape(M, K), B)


def test_inputs_may_be_read_only(kernel: Kernel) -> None:
    a = A.copy()
    a.flags.writeable = False
    np.testing.assert_allclose(kernel(a, B), A @ B, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_many_threads_may_call_one_kernel_at_once(threads: int) -> None:
    shared = load_kernel(compile_program(tiled(parallel=True), Target.host(), threads))
    expected = A @ B
    with ThreadPoolExecutor(8) as pool:
        for result in pool.map(lambda _: shared(A, B), range(400)):
            np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


def test_a_one_thread_kernel_has_no_launch() -> None:
    code = compile_program(tiled(parallel=True), Target.host(), 1)
    assert not code.is_parallel
    assert compile_program(tiled(parallel=True), Target.host(), 2).is_parallel


def test_the_accumulators_stay_in_registers(kernel: Kernel) -> None:
    """The innermost loop multiplies and adds, and neither spills nor reloads its tile."""
    best: list[str] = []
    lines = kernel.source("asm").splitlines()
    labels = {line[:-1]: n for n, line in enumerate(lines) if re.match(r"\.L\w+:$", line)}
    for n, line in enumerate(lines):
        jump = re.match(r"\s+j\w+\s+(\.L\w+)", line)
        if jump and labels.get(jump[1], n) < n:
            body = lines[labels[jump[1]] : n]
            if not any(other.endswith(":") for other in body[1:]) and sum("fmadd" in x for x in body) >= 4:
                best = body
    if Target.host().vector_bits < 256:
        pytest.skip("needs multiply-add instructions")
    assert best
    assert not [line for line in best if "rsp" in line]


def test_lanes_past_a_tail_are_read_as_zero() -> None:
    """What lies past a tail in scratch memory may be denormal, which some cores multiply very slowly."""
    c = matmul(3, 5, 4)
    s = create_schedule(c.output)
    packed = s.pack(c.inputs[1], c.output, {1: 5})
    s[c.output].reorder(*c.output.op.reduce_axis, *c.output.op.axis)
    s[c.output].vectorize(c.output.op.axis[1])
    assert s[packed].scope == "call"
    module, _ = write_llvm(Program.from_schedule(s, c.args), Target.host(), 1)
    reads = [line for line in module.text.splitlines() if "= load <" in line]
    assert "call <8 x float> @llvm.masked.load" in module.text
    assert not reads


@pytest.mark.parametrize("shift", [-1, 1])
def test_a_guarded_read_beside_a_register_tile_keeps_the_other_lanes(shift: int) -> None:
    x = te.placeholder((16,), name="x")
    out = te.compute(
        (4, 16),
        lambda i, j: te.if_then_else(te.all(j + shift >= 0, j + shift < 16), x[j + shift], 0.0),
        name="out",
    )
    s = create_schedule(out)
    tile = s.cache_read(x, "register", out)
    s[tile].compute_at(s[out], out.op.axis[0])
    s[tile].vectorize(s[tile].op.axis[0])
    s[out].vectorize(out.op.axis[1])
    kernel = load_kernel(compile_program(Program.from_schedule(s, [x, out]), Target.host()))
    values = np.arange(1, 17, dtype=np.float32)
    row = np.roll(values, -shift)
    row[-1 if shift > 0 else 0] = 0
    np.testing.assert_array_equal(kernel(values), np.tile(row, (4, 1)))


@pytest.mark.parametrize("count", [63, 64, 150])
def test_a_kernel_may_have_many_arguments(count: int) -> None:
    inputs = [te.placeholder((4,), name=f"x{n}") for n in range(count)]
    out = te.compute((4,), lambda i: sum((x[i] for x in inputs[1:]), inputs[0][i]), name="out")
    program = Program.from_schedule(create_schedule(out), [*inputs, out])
    kernel = load_kernel(compile_program(program, Target.host()))
    arrays = [np.full(4, n, np.float32) for n in range(count)]
    assert kernel(*arrays).tolist() == [count * (count - 1) / 2] * 4


@pytest.mark.parametrize("name", ["range", "min", "np", "kernel", "for"])
def test_names_may_be_those_of_python_in_the_numba_backend(name: str) -> None:
    x = te.placeholder((4,), "int32", name=name)
    k = te.reduce_axis((0, 4), "range")
    out = te.compute((3,), lambda min: te.sum(te.minimum(x[k], 2), axis=k), name="out")
    program = Program.from_schedule(create_schedule(out), [x, out])
    kernel = load_kernel(compile_program(program, Target.host(), backend="numba"))
    assert kernel(np.arange(4, dtype=np.int32)).tolist() == [5, 5, 5]


def test_small_integers_wrap_in_the_numba_backend() -> None:
    x = te.placeholder((3,), "int8", name="x")
    out = te.compute((3,), lambda i: (x[i] * x[i] // 3 - -x[i]).astype("int32"), name="out")
    program = Program.from_schedule(create_schedule(out), [x, out])
    values = np.array([100, -128, 7], np.int8)
    expected = load_kernel(compile_program(program, Target.host()))(values)
    kernel = load_kernel(compile_program(program, Target.host(), backend="numba"))
    np.testing.assert_array_equal(kernel(values), expected)


def test_a_kernel_is_picklable(kernel: Kernel) -> None:
    again = pickle.loads(pickle.dumps(kernel))
    np.testing.assert_array_equal(again(A, B), kernel(A, B))


@pytest.mark.parametrize("stage", ["loops", "llvm", "asm", "numba"])
def test_every_stage_can_be_read(kernel: Kernel, stage: str) -> None:
    assert len(kernel.source(stage).splitlines()) > 10


def test_an_unknown_stage_is_refused(kernel: Kernel) -> None:
    with pytest.raises(CompileError, match="choose one of loops, llvm, asm, numba"):
        kernel.source("ptx")


@pytest.mark.parametrize("backend", ["numba", "interpreter"])
def test_other_backends_agree(backend: str) -> None:
    other = load_kernel(compile_program(tiled(), Target.host(), backend=backend))
    np.testing.assert_allclose(other(A, B), A @ B, rtol=1e-5, atol=1e-5)


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(CompileError, match="choose one of llvm, numba, interpreter"):
        compile_program(tiled(), Target.host(), backend="cuda")


def test_too_large_a_program_is_refused_before_it_is_compiled() -> None:
    with pytest.raises(CodeSizeError, match="more than 300 lines"):
        compile_program(tiled(unroll_all=True), Target.host(), line_limit=300)


def test_a_program_is_the_same_after_a_round_trip() -> None:
    program = tiled()
    again = Program.from_json(program.to_json())
    assert again == program
    assert again.digest == program.digest
    schedule, args = again.schedule()
    assert isinstance(schedule, Schedule)
    assert [isinstance(a, Tensor) for a in args] == [True] * 3
    assert Program.from_schedule(schedule, args) == program


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"ops": [], "args": ["x"], "outputs": []}',
        '{"ops": [{"name": "x", "shape": [-1], "dtype": "float32"}], "args": ["x"], "outputs": []}',
        '{"ops": [{"name": "x", "shape": [1], "dtype": "evil"}], "args": ["x"], "outputs": []}',
        '{"ops": [{"name": "x", "axes": [], "body": ["eval", "1"]}], "args": ["x"], "outputs": ["x"]}',
    ],
)
def test_a_text_that_is_no_program_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        Program.from_json(text)


def test_different_steps_make_a_different_program() -> None:
    assert tiled(4).digest != tiled(8).digest
    assert tiled(4).unscheduled().digest == tiled(8).unscheduled().digest


def test_the_reference_is_in_double_precision() -> None:
    (result,) = run_reference(tiled(), [A, B])
    assert result.dtype == np.float64
    np.testing.assert_allclose(result, A.astype(np.float64) @ B.astype(np.float64), rtol=1e-12, atol=1e-12)


def test_a_prepared_call_can_be_timed(kernel: Kernel) -> None:
    call = kernel.prepare(A, B)
    assert call.run(3) > 0
    np.testing.assert_allclose(call.outputs[0], A @ B, rtol=1e-5, atol=1e-5)


def test_out_takes_the_fast_way_too(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "_call_checked", None)
    out = np.empty((M, N), np.float32)
    assert kernel(A, B, out=out) is out


def test_large_results_lie_apart_from_where_pages_begin() -> None:
    x = te.placeholder((1 << 16,), name="x")
    y = te.compute((1 << 16,), lambda i: x[i] * 2, name="y")
    kernel = load_kernel(compile_program(Program.from_schedule(create_schedule(y), [x, y]), Target.host()))
    result = kernel(np.ones(1 << 16, np.float32))
    assert result.ctypes.data % 4096 == 2048
    assert (result == 2).all()
