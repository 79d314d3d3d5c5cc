"""The assembly of default configurations: register tiles stay in registers."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.assembly_loops import multiply_add_loops
from tilewright.compiler.backends.llvm_jit import emit_assembly
from tilewright.compiler.build import write_llvm
from tilewright.compiler.target import Target
from tilewright.templates.task import Task

WORKLOADS: dict[str, tuple[str, dict[str, Any]]] = {
    "matmul 512": ("matmul", {"m": 512, "n": 512, "k": 512}),
    "dense 128x768x3072": ("dense", {"m": 128, "n": 768, "k": 3072}),
    "batch_matmul 12x128x128x64": ("batch_matmul", {"b": 12, "m": 128, "n": 128, "k": 64}),
    "3x3 64x56x56-64": ("conv2d", {"n": 1, "c": 64, "h": 56, "w": 56, "o": 64, "kernel": 3, "padding": 1}),
    "3x3 256x14x14-256": (
        "conv2d",
        {"n": 1, "c": 256, "h": 14, "w": 14, "o": 256, "kernel": 3, "padding": 1},
    ),
    "1x1/2 64x56x56-128": (
        "conv2d",
        {"n": 1, "c": 64, "h": 56, "w": 56, "o": 128, "kernel": 1, "stride": 2},
    ),
    "7x7/2 3x224x224-64": (
        "conv2d",
        {"n": 1, "c": 3, "h": 224, "w": 224, "o": 64, "kernel": 7, "stride": 2, "padding": 3},
    ),
}
# The least multiply-adds of a step that keep two units busy: latency times throughput.
BUSY = 8

NESTED = """
run_part:
	movq	%rsp, %rbp
	vmovups	%ymm9, -64(%rbp)
.LBB0_1:
	vmovups	%ymm8, -32(%rsp)
	xorl	%ecx, %ecx
.LBB0_2:
	vfmadd231ps	(%rdx), %ymm1, %ymm2
	jne	.LBB0_3
	vmovups	%ymm2, 32(%rsp)
	movq	8(%rsp), %rax
.LBB0_3:
	vaddps	-64(%rbp), %ymm2, %ymm2
	vfnmadd213sd	%xmm1, %xmm2, %xmm3
	decq	%rcx
	jne	.LBB0_2
	jmp	.LBB0_5
.LBB0_4:
	vmovups	%ymm1, 16(%rsp)
	jne	.LBB0_4
.LBB0_5:
	decq	%rdx
	jne	.LBB0_1
	retq
.Lfunc_end0:
other:
.LBB1_1:
	vfmadd231pd	(%rbp), %zmm1, %zmm2
	jne	.LBB1_1
"""


def assembly(name: str, target: Target, **values: Any) -> str:
    op, params = WORKLOADS[name]
    task = Task.create(op, target, 1, **params)
    config = task.space.from_values({**task.default_config.to_json(), **values})
    module, full = write_llvm(task.instantiate(config), task.target, 1)
    return emit_assembly(module.text, task.target, full, module.linked)


def test_loops_are_found_in_assembly() -> None:
    first, second = multiply_add_loops(NESTED)
    assert (len(first.lines), first.multiply_adds) == (10, 2)
    # Not the stores of the loops around and beside it, nor scalars.
    assert first.spills == ["vmovups\t%ymm2, 32(%rsp)", "vaddps\t-64(%rbp), %ymm2, %ymm2"]
    # A function without a frame has numbers of its own in %rbp.
    assert (second.multiply_adds, second.spills) == (1, [])


IS_X86 = pytest.mark.skipif(
    not Target.host().triple.startswith("x86_64"), reason="the assembly is that of x86-64"
)


@IS_X86
def test_a_tile_for_wider_vectors_spills() -> None:
    believed = msgspec.structs.replace(Target.named("haswell"), vector_bits=512)
    assert any(loop.spills for loop in multiply_add_loops(assembly("matmul 512", believed)))


@IS_X86
@pytest.mark.parametrize("cpu", ["skylake-avx512", "znver4", "haswell"])
@pytest.mark.parametrize("name", WORKLOADS)
def test_accumulators_stay_in_registers(name: str, cpu: str) -> None:
    loops = multiply_add_loops(assembly(name, Target.named(cpu)))
    assert max(loop.multiply_adds for loop in loops) >= BUSY
    assert [spill for loop in loops for spill in loop.spills] == []


@IS_X86
@pytest.mark.parametrize("unroll_k", [2, 4])
def test_steps_that_are_written_out_keep_nothing_for_later_ones(unroll_k: int) -> None:
    text = assembly("matmul 512", Target.named("skylake-avx512"), rows=9, vectors=3, unroll_k=unroll_k)
    loops = multiply_add_loops(text)
    assert max(loop.multiply_adds for loop in loops) >= 27 * unroll_k
    assert [spill for loop in loops for spill in loop.spills] == []
