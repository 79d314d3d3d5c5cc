"""From a program to machine code: the pipeline."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tilewright.compiler.backends.llvm_module import ModuleText, write_module
from tilewright.compiler.errors import CompileError
from tilewright.compiler.ir.loops import (
    Alloc,
    For,
    LoopKind,
    LoopNest,
    Stmt,
    Store,
    allocated,
    constant_extent,
)
from tilewright.compiler.ir.visit import parts, statements
from tilewright.compiler.lower import lower_schedule
from tilewright.compiler.lower.accumulators import hold_accumulators, is_accumulation
from tilewright.compiler.lower.fuse_loops import fuse_loops
from tilewright.compiler.lower.plain_loops import tile_plain_loops
from tilewright.compiler.program import Program, TensorSpec
from tilewright.compiler.schedule import Schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te.depth import refused_depth
from tilewright.compiler.te.tensor import Tensor

LINE_LIMIT = 3000
LINE_LIMIT_MOST = 6000
BACKENDS = ("llvm", "numba", "interpreter")


@dataclass(frozen=True, slots=True)
class ObjectCode:
    """A compiled program: an object file (empty for backends without one) and how to call it."""

    object: bytes
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    scratch_bytes: int
    thread_scratch_bytes: int
    threads: int
    is_parallel: bool
    lines: int
    backend: str
    target: Target
    program: Program
    lower_seconds: float = field(default=0.0, compare=False)
    codegen_seconds: float = field(default=0.0, compare=False)


def lower_program(program: Program, partition: bool = True) -> LoopNest:
    """The loop nest of a program."""
    schedule, args = program.schedule()
    return lower_schedule(schedule, args, partition, program.strides)


def lower_for_target(program: Program, target: Target) -> LoopNest:
    """The loop nest of a program as it is compiled: what depends on the machine's registers included."""
    return _fit_registers(lower_program(program), target)


def _fit_registers(nest: LoopNest, target: Target) -> LoopNest:
    """The nest with what a schedule leaves to the compiler decided for the machine's registers."""
    return fuse_loops(hold_accumulators(tile_plain_loops(nest, target), target))


def lower_for_analysis(schedule: Schedule, args: Sequence[Tensor], target: Target) -> LoopNest:
    """The loop nest of a schedule as analyses read it: tails are in the bounds of loops, not peeled.

    It says as much of where time goes as what :func:`lower_for_target` returns, in less time. Tails are
    peeled only where what is accumulated in memory would else seem to stay there.
    """
    nest = lower_schedule(schedule, args, partition=False)
    if _accumulates_in_a_tail(nest.body, False):
        nest = lower_schedule(schedule, args)
    return _fit_registers(nest, target)


def _accumulates_in_a_tail(stmt: Stmt, in_tail: bool) -> bool:
    """Whether something is accumulated in memory inside a loop that is written out and has a variable end."""
    match stmt:
        case Store():
            return in_tail and stmt.buffer.scope not in ("register", "stack") and is_accumulation(stmt)
        case For():
            is_written_out = stmt.kind in (LoopKind.UNROLL, LoopKind.VECTORIZE)
            is_tail = is_written_out and constant_extent(stmt) is None
            return _accumulates_in_a_tail(stmt.body, in_tail or is_tail)
        case Alloc():
            return _accumulates_in_a_tail(allocated(stmt)[1], in_tail)
        case _:
            return any(_accumulates_in_a_tail(part, in_tail) for part in parts(stmt))


def write_llvm(
    program: Program, target: Target, threads: int, line_limit: int = LINE_LIMIT_MOST
) -> tuple[ModuleText, bool]:
    """The LLVM IR of a program, and whether it wants LLVM's own loop optimizers."""
    nest = lower_for_target(program, target)
    return write_module(nest, target, line_limit, threads, program.constants), has_plain_loop(nest.body)


def has_plain_loop(body: Stmt) -> bool:
    """Whether some innermost loop was left as it is, for LLVM to vectorize and unroll."""
    for stmt in statements(body):
        if isinstance(stmt, For) and stmt.kind is LoopKind.UNROLL_HINT:
            return True
        if isinstance(stmt, For) and stmt.kind in (LoopKind.SERIAL, LoopKind.PARALLEL):
            inner = list(statements(stmt.body))
            if not any(isinstance(s, For) for s in inner):
                return True
    return False


def compile_program(
    program: Program, target: Target, threads: int = 1, backend: str = "llvm", line_limit: int = LINE_LIMIT
) -> ObjectCode:
    """Compile a program.

    Raises:
        ScheduleError: the schedule cannot be lowered.
        CodeSizeError: the program needs more than ``line_limit`` lines of LLVM IR.
        CompileError: LLVM refuses the code.
    """
    from tilewright.compiler.backends.llvm_jit import emit_object

    if backend not in BACKENDS:
        raise CompileError(f"unknown backend {backend!r}: choose one of {', '.join(BACKENDS)}")
    if backend != "llvm":
        specs = (program.inputs, program.outputs)
        return ObjectCode(b"", *specs, 0, 0, threads, False, 0, backend, target, program)
    start = time.perf_counter()
    with refused_depth(spec.name for spec in program.outputs):
        nest = lower_for_target(program, target)
        lowered = time.perf_counter()
        module = write_module(nest, target, line_limit, threads, program.constants)
    return ObjectCode(
        object=emit_object(module.text, target, has_plain_loop(nest.body), module.linked),
        inputs=program.inputs,
        outputs=program.outputs,
        scratch_bytes=module.scratch_bytes,
        thread_scratch_bytes=module.thread_scratch_bytes,
        threads=threads,
        is_parallel=module.is_parallel,
        lines=module.lines,
        backend=backend,
        target=target,
        program=program,
        lower_seconds=lowered - start,
        codegen_seconds=time.perf_counter() - lowered,
    )
