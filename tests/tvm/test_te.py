"""Expressions, schedules, targets, arrays and built functions under TVM's names."""

import ast
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

import tilewright.tvm as face
from tests.tvm.gemm import sample_task
from tilewright import tvm
from tilewright.compiler.errors import ArgumentError, TargetError, TilewrightError
from tilewright.settings import call_threads, tvm_threads
from tilewright.tvm import te


def add_one(n: int = 64) -> tuple[te.Schedule, list[te.Tensor]]:
    a = te.placeholder((n,), name="A")
    b = te.compute((n,), lambda i: a[i] + 1.0, name="B")
    return te.create_schedule(b.op), [a, b]


def loops(nest: object) -> list[tuple[int, str, int]]:
    """The loops of a printed nest: depth, name, extent."""
    found = re.findall(r"^( *)for (\S+) in \w+\((\d+)\):", str(nest), re.MULTILINE)
    return [(len(pad) // 4, name, int(extent)) for pad, name, extent in found]


def test_the_nest_of_the_tutorials_matmul() -> None:
    task = sample_task(512)
    config = task.config_space.get(task.config_space.knob2point([3, 5]))
    schedule, args = task.instantiate(config)
    nest = tvm.lower(schedule, args, simple_mode=True)
    # What TVM prints for tile_y=[-1, 8] and tile_x=[-1, 32]: the tile is set to zero ahead of k.
    assert loops(nest) == [
        (0, "i.outer", 64), (1, "j.outer", 16),
        (2, "i.inner", 8), (3, "j.inner", 32),
        (2, "k", 512), (3, "i.inner", 8), (4, "j.inner", 32),
    ]  # fmt: skip
    init, update = re.findall(r"^ +C\[(.*?)\] = (.*)$", str(nest), re.MULTILINE)
    assert init == ("i.outer*8 + i.inner, j.outer*32 + j.inner", "0.0")
    assert update[0] == init[0]
    assert update[1].endswith("A[i.outer*8 + i.inner, k]*B[k, j.outer*32 + j.inner]")


def test_a_function_writes_its_outputs_in_place() -> None:
    schedule, args = add_one()
    f = tvm.build(schedule, args, tvm.target.Target("llvm"), name="plus")
    a, b = tvm.nd.array(np.arange(64, dtype="float32"), tvm.cpu(0)), tvm.nd.empty((64,))
    f(a, b)
    tvm.testing.assert_allclose(b.numpy(), np.arange(64) + 1.0)
    out = np.zeros(64, "float32")
    f["plus"](a.numpy(), out)
    tvm.testing.assert_allclose(out, b, rtol=1e-5)
    with pytest.raises(ArgumentError, match="plus takes 2 arrays, inputs and outputs, 1 given"):
        f(a)
    with pytest.raises(TilewrightError, match="has the function 'plus', not 'minus'"):
        f["minus"]
    with pytest.raises(AssertionError):
        tvm.testing.assert_allclose(b, a)


def test_what_lower_made_can_be_built() -> None:
    lowered = tvm.lower(*add_one(), name="plus", simple_mode=True)
    assert loops(lowered) == [(0, "i", 64)]
    f = tvm.build(lowered, target="llvm")
    assert f.entry_name == "plus"
    b = tvm.nd.empty((64,))
    f(np.ones(64, "float32"), b)
    assert (b == 2).all()
    assert "define" in f.get_source()
    assert "ret" in f.get_source("asm")


def test_an_input_that_nothing_reads_is_taken() -> None:
    schedule, (a, b) = add_one()
    unused = te.placeholder((3,), name="unused")
    f = tvm.build(tvm.lower(schedule, [unused, a, b]))
    out = tvm.nd.empty((64,))
    f(np.zeros(3, "float32"), np.ones(64, "float32"), out)
    assert (out == 2).all()
    assert len(f.time_evaluator("main", number=1)(np.zeros(3, "float32"), out, out.copy()).results) == 1
    with pytest.raises(ArgumentError, match="takes 3 arrays"):
        f(out, out)


def test_time_evaluator_gives_seconds_of_one_call() -> None:
    f = tvm.build(*add_one(), name="plus")
    arrays = tvm.nd.array(np.ones(64, "float32")), tvm.nd.empty((64,))
    result = f.time_evaluator(f.entry_name, tvm.cpu(), number=3, repeat=4)(*arrays)
    assert len(result.results) == 4
    assert 0 < result.min <= result.median <= result.max < 1e-3
    assert result.min <= result.mean <= result.max
    assert result.std >= 0
    assert "mean" in str(result)
    long = f.time_evaluator("plus", tvm.cpu(), number=1, min_repeat_ms=2)(*arrays)
    assert 0 < long.mean < 1e-3


def test_arrays_are_numpys() -> None:
    a = tvm.nd.array([[1, 2], [3, 4]])
    assert isinstance(a, np.ndarray)
    assert (a.shape, a.dtype) == ((2, 2), np.float32)
    assert type(a.numpy()) is np.ndarray
    assert a.ctypes.data % 64 == 0
    b = tvm.nd.empty((2, 2))
    assert a.copyto(b) is b
    assert (b == a).all()
    assert b.copyfrom(np.full((2, 2), 7, "float32")).tolist() == [[7, 7], [7, 7]]
    assert a.copyto(tvm.cpu()) is not a
    assert tvm.nd.array(np.arange(3, dtype="int32")).dtype == np.int32
    assert tvm.device("llvm", 0) == tvm.cpu(0)
    with pytest.raises(ArgumentError, match="not a ndarray"):
        a.copyto(np.zeros((2, 2)))


def test_there_is_no_gpu() -> None:
    for call in (
        lambda: tvm.cuda(0),
        lambda: tvm.device("cuda", 0),
        lambda: tvm.target.Target("cuda -model=x"),
    ):
        with pytest.raises(TilewrightError, match="CPU"):
            call()
    with pytest.raises(TilewrightError, match=r"'threadIdx\.x'.*no GPU"):
        te.thread_axis("threadIdx.x")
    with pytest.raises(TilewrightError, match="shapes are static"):
        te.var("n")


def test_what_is_not_here_says_what_to_use() -> None:
    for module, name, remedy in (
        (tvm, "relay", "one by one"),
        (tvm.autotvm, "RPCRunner", "on the device itself"),
        (tvm.autotvm.task, "extract_from_program", "one by one"),
        (te, "hybrid", "decl_tensor_intrin"),
        (tvm.tir, "ir_builder", "decl_tensor_intrin"),
    ):
        with pytest.raises(TilewrightError, match=f"{name}: .*{remedy}"):
            getattr(module, name)
        with pytest.raises(AttributeError, match="no attribute 'nothing'"):
            module.nothing  # noqa: B018


def test_targets_as_tvm_writes_them() -> None:
    target = tvm.target.Target("llvm -mcpu=skylake-avx512 -mattr=+avx512vnni,-fma")
    assert str(target) == "llvm -keys=cpu -mattr=+avx512vnni,-fma -mcpu=skylake-avx512"
    assert (target.kind.name, target.keys, target.mcpu) == ("llvm", ["cpu"], "skylake-avx512")
    assert tvm.target.Target({"kind": "llvm", "mcpu": "haswell"}).mcpu == "haswell"
    assert tvm.target.Target(target) == pickle.loads(pickle.dumps(target)) == target
    assert target != tvm.target.Target("llvm")
    assert tvm.target.Target("llvm").machine is tvm.target.Target("llvm -mcpu=native").machine
    assert tvm.target.Target.current() is None
    with target, tvm.target.Target("llvm") as inner:
        assert tvm.target.Target.current() is inner
    with pytest.raises(TargetError, match="no target is in force"):
        tvm.target.Target.current(allow_none=False)


def test_threads_as_tvm_names_them() -> None:
    assert tvm_threads({"TVM_NUM_THREADS": "3"}) == 3
    assert [tvm_threads({"TVM_NUM_THREADS": text}) for text in ("", "0", "x")] == [None] * 3


@pytest.mark.parametrize(
    ("variables", "threads"),
    [
        ({}, 8),
        ({"NUMBA_NUM_THREADS": "3"}, 3),
        ({"NUMBA_NUM_THREADS": "16"}, 8),
        ({"TVM_NUM_THREADS": "2", "NUMBA_NUM_THREADS": "3"}, 2),
    ],
)
def test_a_template_that_is_called_looks_up_the_threads_that_a_kernel_gets(
    variables: dict[str, str], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TVM_NUM_THREADS", "NUMBA_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert call_threads(8) == threads


def test_integer_arithmetic_has_tvms_rounding() -> None:
    a = te.placeholder((8,), "int32", "A")
    out = te.compute((8,), lambda i: te.truncdiv(a[i], 3) * 100 + te.truncmod(a[i], 3), name="B")
    values = np.array([-7, -3, -1, 0, 1, 2, 5, 8], "int32")
    result = tvm.nd.empty((8,), "int32")
    tvm.build(te.create_schedule(out.op), [a, out])(values, result)
    assert result.tolist() == [int(v / 3) * 100 + (v - int(v / 3) * 3) for v in values.tolist()]


def test_the_face_is_thin() -> None:
    for path in Path(next(iter(face.__path__))).rglob("*.py"):
        source = path.read_text()
        assert len(source.splitlines()) <= 80, f"{path} is longer than a face may be"
        assert ast.get_docstring(ast.parse(source)), path


def test_a_plain_innermost_loop_fills_the_vectors() -> None:
    task = sample_task()
    schedule, args = task.instantiate(task.config_space.get(task.config_space.knob2point([2, 6])))
    assembly = tvm.build(schedule, args).get_source("asm")
    register = {512: "zmm", 256: "ymm", 128: "xmm"}.get(task.target.machine.vector_bits, "v")
    products = re.findall(r"^\s+(?:vfmadd\w+ps|vmulps|mulps|fmla)\s+(.*)$", assembly, re.MULTILINE)
    assert products
    assert all(register in operands for operands in products)
