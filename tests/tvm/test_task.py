"""Tasks and their operations."""

import pickle
from typing import Any

import pytest

from tests.tvm.gemm import matmul, sample_task
from tilewright import tvm
from tilewright.tvm import autotvm, te
from tilewright.tvm.autotvm.task.task import compute_flop, deserialize_args, serialize_args

DTYPES = ["float32", "float64", "int32"]


def flop(output: Any) -> int:
    return compute_flop(te.create_schedule(output.op))


@pytest.mark.parametrize("dtype", DTYPES)
def test_13_matmul(dtype: str) -> None:
    n, length, m = 16, 8, 12
    task = autotvm.task.create("testing/matmul", (n, length, m, dtype), "llvm")
    assert task.flop == compute_flop(task.instantiate(task.config_space.get(3))[0]) == 2 * n * length * m


@pytest.mark.parametrize("dtype", DTYPES)
def test_13_convolution(dtype: str) -> None:
    n, ci, h, w, co, kh, kw = 2, 4, 9, 8, 3, 3, 2
    oh, ow = h - kh + 1, w - kw + 1
    data = te.placeholder((n, ci, h, w), dtype, "D")
    kernel = te.placeholder((co, ci, kh, kw), dtype, "K")
    c, y, x = te.reduce_axis((0, ci)), te.reduce_axis((0, kh)), te.reduce_axis((0, kw))
    out = te.compute(
        (n, co, oh, ow),
        lambda b, o, i, j: te.sum(data[b, c, i + y, j + x] * kernel[o, c, y, x], axis=[c, y, x]),
    )
    assert flop(out) == 2 * n * co * oh * ow * ci * kh * kw


def test_13_packed_product() -> None:
    n, length, m, bn = 32, 16, 24, 8
    a, b = te.placeholder((n, length), name="A"), te.placeholder((m // bn, length, bn), name="B")
    k = te.reduce_axis((0, length))
    out = te.compute(
        (n, m), lambda i, j: te.sum(a[i, k] * b[te.indexdiv(j, bn), k, te.indexmod(j, bn)], axis=k)
    )
    assert flop(out) == 2 * n * length * m


def test_13_outer_product_and_pooling() -> None:
    n, m = 12, 20
    a, b = te.placeholder((n,)), te.placeholder((m,))
    assert flop(te.compute((n, m), lambda i, j: a[i] * b[j])) == n * m
    data = te.placeholder((n, m))
    y, x = te.reduce_axis((0, 3)), te.reduce_axis((0, 2))
    shape = (n - 2, m - 1)
    steps = shape[0] * shape[1] * 6
    greatest = te.compute(shape, lambda i, j: te.max(data[i + y, j + x], axis=[y, x]))
    mean = te.compute(shape, lambda i, j: te.sum(te.div(data[i + y, j + x], 6.0), axis=[y, x]))
    assert [flop(greatest), flop(mean)] == [steps, 2 * steps]


def test_13_a_copy_has_none() -> None:
    a = te.placeholder((8,))
    with pytest.raises(RuntimeError, match="add_flop"):
        flop(te.compute((8,), lambda i: a[i]))


def test_14_what_a_stage_states_is_added() -> None:
    n = 32
    a, b = te.placeholder((n, n), name="A"), te.placeholder((n, n), name="B")
    k = te.reduce_axis((0, n))
    c = te.compute((n, n), lambda i, j: te.sum(a[i, k] * b[k, j], axis=k), name="C")
    relu = te.compute((n, n), lambda i, j: te.maximum(c[i, j], 0.0), name="D")
    stated = te.compute((n, n), lambda i, j: c[i, j], name="E", attrs={"FLOP": 1234})
    assert [flop(c), flop(relu), flop(stated)] == [2 * n**3, 2 * n**3 + n * n, 2 * n**3 + 1234]


def test_14_a_template_may_state_its_count() -> None:
    @autotvm.template("testing/stated")
    def stated(n: Any) -> Any:
        a = te.placeholder((n,), name="A")
        b = te.compute((n,), lambda i: a[i], name="B")
        autotvm.get_config().add_flop(123)
        return te.create_schedule(b.op), [a, b]

    assert autotvm.task.create("testing/stated", (8,), "llvm").flop == 123


def test_15_a_name_belongs_to_one_module() -> None:
    def other(n: Any) -> Any: ...

    other.__module__ = "another.module"
    with pytest.raises(ValueError, match="already registered"):
        autotvm.template("testing/matmul", other)


def test_15_an_unknown_task_fails_when_it_is_needed() -> None:
    task = autotvm.task.Task("testing/missing", (1, 2), "llvm")
    assert task.workload == ("testing/missing", 1, 2)
    with pytest.raises(ValueError, match="import the module that registers it"):
        _ = task.func
    with pytest.raises(ValueError, match="'testing/missing'"):
        autotvm.task.create("testing/missing", (1, 2), "llvm")


def test_15_arguments_are_plain_data() -> None:
    tensor = te.placeholder((2, 3), "int32", "A")
    args = serialize_args([tensor, 1, 2.5, "x", None, [1, (2, [3])]])
    assert args == (("TENSOR", (2, 3), "int32"), 1, 2.5, "x", None, (1, (2, (3,))))
    back = deserialize_args(args)
    assert (back[0].shape, back[0].dtype, back[1:]) == ((2, 3), "int32", args[1:])
    assert serialize_args(back) == args
    for wrong in ({"a": 1}, object()):
        with pytest.raises(RuntimeError, match="plain data or a tensor"):
            serialize_args([wrong])
    with pytest.raises(TypeError):
        autotvm.task.create("testing/matmul", args=(8, 8, 8), target="llvm", dtype="float32")  # type: ignore[call-arg]


def test_a_task_survives_pickling() -> None:
    task = pickle.loads(pickle.dumps(sample_task()))
    assert task.workload == sample_task().workload
    assert len(task.config_space) == 64


def test_a_template_called_directly_is_an_untuned_schedule() -> None:
    schedule, args = matmul(16, 16, 16, "float32")
    assert [tensor.name for tensor in args] == ["A", "B", "C"]
    assert "range(16)" in str(tvm.lower(schedule, args, simple_mode=True))
