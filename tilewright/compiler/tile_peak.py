"""Calibration loops of tiles: the products of narrow numbers that a core's AMX does in registers alone."""

from __future__ import annotations

from functools import cache

from tilewright.compiler.amx import (
    COLUMNS,
    DECLARATIONS,
    DEPTH,
    LINE_BYTES,
    ROWS,
    STATE,
    instruction_of,
    state_functions,
)
from tilewright.compiler.backends.llvm_jit import Loaded, emit_object
from tilewright.compiler.dot_instructions import Dtypes
from tilewright.compiler.target import Target
from tilewright.compiler.te.words import parts_of

TRIPS = 1024
_SUMS = ((0, 4, 6), (1, 4, 7), (2, 5, 6), (3, 5, 7))  # the tiles of a sum and of its operands


def tile_operations(dtypes: Dtypes) -> int:
    """Multiplications and additions of one pass of :func:`tile_loop`."""
    return 2 * ROWS * COLUMNS * DEPTH * parts_of(dtypes[0]) * len(_SUMS) * TRIPS


@cache
def tile_loop(target: Target, dtypes: Dtypes) -> Loaded:
    """A kernel, named ``tile_loop``, that multiplies tiles full of what is at its first argument."""
    return Loaded(emit_object(write_tile_loop(dtypes), target, full=False), ("tile_loop",))


def write_tile_loop(dtypes: Dtypes) -> str:
    """The kernel as LLVM IR, for a target with such tiles."""
    name = instruction_of(dtypes)
    tiles = sorted({tile for _, *operands in _SUMS for tile in operands})
    return "\n".join(
        [
            DECLARATIONS,
            f"declare void @llvm.x86.{name}(i8 immarg, i8 immarg, i8 immarg)",
            *state_functions(),
            "define void @tile_loop(ptr %args, ptr %scratch, ptr %launch) {",
            "entry:",
            f"  call void @{STATE}.enter()",
            "  %x = load ptr, ptr %args, align 8",
            *(f"  call void @llvm.x86.tileloadd64(i8 {n}, ptr %x, i64 {LINE_BYTES})" for n in tiles),
            *(f"  call void @llvm.x86.tilezero(i8 {total})" for total, *_ in _SUMS),
            "  br label %loop",
            "loop:",
            "  %i = phi i64 [ 0, %entry ], [ %n, %loop ]",
            *(f"  call void @llvm.x86.{name}(i8 {c}, i8 {a}, i8 {b})" for c, a, b in _SUMS),
            "  %n = add nuw nsw i64 %i, 1",
            f"  %c = icmp ult i64 %n, {TRIPS}",
            "  br i1 %c, label %loop, label %done",
            "done:",
            f"  call void @{STATE}.leave()",
            "  ret void",
            "}",
        ]
    )
