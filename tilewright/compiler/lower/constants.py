"""What a program computes from constant operands alone, taken apart, so that it can be done once.

::

    W.pack = alloc(...)                 prepare:  for o: W.pack[...] = W[...]
    for o: W.pack[...] = W[...]   ->
    for i: C[...] += X*W.pack           run:      for i: C[...] += X*W.pack
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from tilewright.compiler.ir.loops import (
    Alloc,
    Block,
    Buffer,
    LoopNest,
    Stmt,
    Store,
    allocate,
    allocated,
    block,
)
from tilewright.compiler.ir.visit import own_exprs, statements, walk
from tilewright.compiler.te.expr import Load


@dataclass(frozen=True, slots=True)
class Divided:
    """A nest in two parts: ``prepare`` writes the ``prepared`` buffers, which ``run`` only reads."""

    prepared: tuple[Buffer, ...]
    prepare: Stmt
    run: Stmt


def divide_constants(nest: LoopNest, constants: Collection[str]) -> Divided:
    """Take the stages at the root that read constants alone, and one another, out of a nest."""
    buffers, body = allocated(nest.body)
    parts = body.body if isinstance(body, Block) else (body,)
    known = {buffer for buffer in nest.inputs if buffer.name in constants}
    prepare, run = _divide(parts, known, set(buffers))
    written = {buffer for part in prepare for buffer in _written(part)}
    main = allocate([buffer for buffer in buffers if buffer not in written], block(run))
    return Divided(tuple(b for b in buffers if b in written), block(prepare), main)


def _divide(
    parts: tuple[Stmt, ...], known: set[Buffer], scratch: set[Buffer]
) -> tuple[list[Stmt], list[Stmt]]:
    prepare: list[Stmt] = []
    run: list[Stmt] = []
    written = [_written(part) for part in parts]
    for number, (part, writes) in enumerate(zip(parts, written, strict=True)):
        others = (*written[:number], *written[number + 1 :])
        is_alone = writes <= scratch and not any(writes & other for other in others)
        if known and is_alone and _read(part) <= known | writes:
            prepare.append(part)
            known = known | writes
        else:
            run.append(part)
    return prepare, run


def _written(part: Stmt) -> set[Buffer]:
    inside = {s.buffer for s in statements(part) if isinstance(s, Alloc)}
    return {s.buffer for s in statements(part) if isinstance(s, Store)} - inside


def _read(part: Stmt) -> set[Buffer]:
    inside = {s.buffer for s in statements(part) if isinstance(s, Alloc)}
    nodes = (node for s in statements(part) for expr in own_exprs(s) for node in walk(expr))
    return {n.source for n in nodes if isinstance(n, Load) and isinstance(n.source, Buffer)} - inside
