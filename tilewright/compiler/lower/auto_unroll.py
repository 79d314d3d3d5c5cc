"""Unroll small loops where a pragma asks for it, as TVM's UnrollLoop decides it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tilewright.compiler.ir.loops import Alloc, Block, For, If, LoopKind, Stmt, allocate, allocated, block
from tilewright.compiler.te.expr import Const

DEFAULTS: dict[str, int] = {
    "auto_unroll_max_step": 0,
    "auto_unroll_max_depth": 8,
    "auto_unroll_max_extent": 0,
    "unroll_explicit": 1,
}


@dataclass(frozen=True, slots=True)
class _Done:
    """A statement, the steps and depth that its unrolled loops write out, and whether a loop stays one."""

    stmt: Stmt
    steps: int = 1
    depth: int = 0
    is_rolled: bool = False


def auto_unroll(stmt: Stmt) -> Stmt:
    """Unroll the loops that the pragmas around them allow, from the innermost outwards."""
    return _visit(stmt, DEFAULTS).stmt


def _visit(stmt: Stmt, settings: Mapping[str, int]) -> _Done:
    match stmt:
        case For():
            return _loop(stmt, _visit(stmt.body, {**settings, **dict(stmt.pragmas)}), settings)
        case Block():
            parts = [_visit(part, settings) for part in stmt.body]
            same = all(a.stmt is b for a, b in zip(parts, stmt.body, strict=True))
            return _together(stmt if same else block([part.stmt for part in parts]), parts)
        case If():
            sides = [_visit(s, settings) for s in (stmt.then, stmt.otherwise) if s is not None]
            return _together(If(stmt.condition, *(side.stmt for side in sides)), sides)
        case Alloc():
            buffers, inner = allocated(stmt)
            body = _visit(inner, settings)
            return _together(allocate(buffers, body.stmt), [body])
        case _:
            return _Done(stmt)


def _together(stmt: Stmt, parts: list[_Done]) -> _Done:
    steps, depth = sum(p.steps for p in parts), max((p.depth for p in parts), default=0)
    return _Done(stmt, steps, depth, any(p.is_rolled for p in parts))


def _loop(loop: For, body: _Done, settings: Mapping[str, int]) -> _Done:
    extent = _extent(loop)
    same = loop.replace(body=body.stmt)
    written = _Done(same, body.steps * extent, body.depth + 1, body.is_rolled)
    if loop.kind is LoopKind.VECTORIZE:
        return _Done(same, body.steps, body.depth, body.is_rolled)
    if loop.kind is LoopKind.UNROLL and loop.factor == 0 and extent:
        return written
    fits = body.steps * extent <= settings["auto_unroll_max_step"]
    fits = fits or extent <= settings["auto_unroll_max_extent"]
    plain = loop.kind is LoopKind.SERIAL and not loop.outline and extent > 0
    if not (plain and fits and not body.is_rolled and body.depth <= settings["auto_unroll_max_depth"]):
        return _Done(same, body.steps, body.depth, True)
    kind = LoopKind.UNROLL if settings["unroll_explicit"] else LoopKind.UNROLL_HINT
    return _Done(same.replace(kind=kind), written.steps, written.depth)


def _extent(loop: For) -> int:
    """The number of iterations, 0 where it is not a constant."""
    if not (isinstance(loop.begin, Const) and isinstance(loop.end, Const)):
        return 0
    return max(0, int(loop.end.value) - int(loop.begin.value))
