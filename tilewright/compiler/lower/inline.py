"""Replace every read of an inlined stage by its body."""

from __future__ import annotations

from tilewright.compiler.ir.visit import substitute, transform
from tilewright.compiler.schedule import Schedule
from tilewright.compiler.te.depth import refused_depth
from tilewright.compiler.te.expr import Expr, Load
from tilewright.compiler.te.tensor import ComputeOp


def inline_stages(schedule: Schedule) -> dict[str, Expr]:
    """The body of every stage that is computed, by name, with no read of an inlined stage left."""
    bodies: dict[str, Expr] = {}
    inlined: dict[str, ComputeOp] = {}
    for stage in schedule.stages:
        if not isinstance(stage.op, ComputeOp):
            continue
        with refused_depth([stage.name]):
            body = transform(stage.op.body, lambda node: _expand(node, inlined))
        if stage.attach.kind == "inline":
            inlined[stage.name] = ComputeOp(stage.name, stage.op.axis, body)
        else:
            bodies[stage.name] = body
    return bodies


def _expand(node: Expr, inlined: dict[str, ComputeOp]) -> Expr | None:
    if not isinstance(node, Load) or node.source.name not in inlined:
        return None
    op = inlined[node.source.name]
    return substitute(op.body, dict(zip(op.axis, node.indices, strict=True)))
