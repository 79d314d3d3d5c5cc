"""Stores past the caches: only of whole aligned vectors, whatever array a call brings."""

from __future__ import annotations

from math import prod
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from tilewright.compiler import te
from tilewright.compiler.build import compile_program
from tilewright.compiler.errors import ScheduleError
from tilewright.compiler.kernel import Kernel, load_kernel
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import create_schedule
from tilewright.compiler.target import Target
from tilewright.templates.task import Task

Array = npt.NDArray[Any]
LINE = 64


def doubled(n: int, width: int, threads: int = 1, nontemporal: bool = True) -> Kernel:
    x = te.placeholder((n,), name="x")
    y = te.compute((n,), lambda i: x[i] * 2, name="y")
    s = create_schedule(y)
    outer, inner = s[y].split(s[y].op.axis[0], width)
    s[y].vectorize(inner)
    s[y].parallel(outer)
    if nontemporal:
        s[y].store_nontemporal()
    program = Program.from_json(Program.from_schedule(s, [x, y], ()).to_json())
    return load_kernel(compile_program(program, Target.host(), threads))


def beginning_at(size: int, offset: int) -> Array:
    """Memory that begins so many bytes after a cache line does."""
    whole = np.full(size * 4 + 2 * LINE, 0xAA, np.uint8)
    begin = -whole.ctypes.data % LINE + offset
    return whole[begin : begin + size * 4].view(np.float32)


def streams(kernel: Kernel) -> bool:
    return "movnt" in kernel.source("asm") or "stnp" in kernel.source("asm")


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("offset", [0, 4, 16, 32, 60])
@pytest.mark.parametrize(("n", "width"), [(1, 16), (64, 64), (1000, 64), (4096, 256), (3001, 48), (100, 7)])
def test_results_are_the_same_wherever_an_array_begins(n: int, width: int, offset: int, threads: int) -> None:
    x, out = np.random.default_rng(0).random(n, np.float32), beginning_at(n, offset)
    kernel = doubled(n, width, threads)
    kernel(x, out=out)
    assert (out == x * 2).all()


def test_whole_aligned_vectors_pass_the_caches_and_a_fence_follows() -> None:
    kernel = doubled(4096, 64)
    assert streams(kernel)
    assert "y = argument((4096,), float32, nontemporal)" in kernel.source("loops")
    if Target.host().architecture == "x86_64":
        assert "sfence" in kernel.source("asm")
    assert not streams(doubled(4096, 64, nontemporal=False))


def test_vectors_that_are_not_known_to_be_aligned_do_not() -> None:
    assert not streams(doubled(4095, 7))


def test_large_results_begin_at_a_cache_line() -> None:
    kernel, x = doubled(1 << 20, 64), np.ones(1 << 20, np.float32)
    assert [kernel(x).ctypes.data % LINE for _ in range(3)] == [0, 0, 0]


def test_what_is_read_again_is_refused() -> None:
    x = te.placeholder((64,), name="x")
    inner = te.compute((64,), lambda i: x[i] + 1, name="inner")
    y = te.compute((64,), lambda i: inner[i] * 2, name="y")
    s = create_schedule(y)
    with pytest.raises(ScheduleError, match="inner is no output"):
        s[inner].store_nontemporal()


@pytest.mark.parametrize("offset", [0, 4])
@pytest.mark.parametrize(
    ("op", "params"),
    [
        ("elementwise", {"chain": "-x"}),
        ("transpose", {"perm": (1, 0)}),
        ("slice", {"start": (0, 0)}),
        ("concatenate", {"axis": 1, "extents": (64, 192)}),
        ("softmax", {}),
        ("softmax", {"axis": 0}),
        ("layer_norm", {}),
    ],
)
def test_results_that_the_last_cache_cannot_hold_are_streamed(
    op: str, params: dict[str, Any], offset: int
) -> None:
    target = msgspec.structs.replace(Target.host(), l3_bytes=1 << 16)
    for shape, is_large in (((96, 256), True), ((8, 256), False)):
        task = Task.create(op, target, 1, shape=shape, **params)
        assert ("store" in task.default_config.to_json()) == is_large
        kernel = load_kernel(compile_program(task.instantiate(task.default_config), target, 1))
        assert streams(kernel) == is_large
        arrays = [np.random.default_rng(0).random(spec.shape, np.float32) for spec in kernel.inputs]
        (spec,) = kernel.outputs
        out = beginning_at(prod(spec.shape), offset).reshape(spec.shape)
        kernel(*arrays, out=out)
        assert task.reference is not None
        bound = 1e-5 if op in ("softmax", "layer_norm") else 0.0
        np.testing.assert_allclose(out, task.reference(*arrays), rtol=bound, atol=bound)
