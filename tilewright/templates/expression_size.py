"""How long an expression is when it is written out, and how deep."""

from __future__ import annotations

from tilewright.compiler import te
from tilewright.compiler.te.expr import children
from tilewright.templates.errors import WorkloadError

# Arguments that are used twice are written out twice: an expression may not grow without end.
MOST_NODES = 4000
# The compiler walks expressions by recursion, four calls a level; Python allows 1,000 calls.
MOST_LEVELS = 150


def check_size(expr: te.Expr, owner: str) -> None:
    """Refuse an expression that is too long or too deep.

    Raises:
        WorkloadError: it has more than ``MOST_NODES`` or ``MOST_LEVELS``; the message begins with its owner.
    """
    nodes, levels = _measure(expr)
    if nodes > MOST_NODES:
        raise WorkloadError(
            f"{owner}: {nodes} operations when written out, {MOST_NODES} at most; make it two"
        )
    if levels > MOST_LEVELS:
        raise WorkloadError(f"{owner}: {levels} operations deep, {MOST_LEVELS} at most; make it two")


def _measure(expr: te.Expr) -> tuple[int, int]:
    """The nodes of an expression, counted as often as they are reached, and the longest way down."""
    known: dict[int, tuple[int, int]] = {}
    waiting = [expr]
    while waiting:
        below = children(waiting[-1])
        unknown = [child for child in below if id(child) not in known]
        waiting.extend(unknown)
        if not unknown:
            found = [known[id(child)] for child in below]
            nodes = 1 + sum(nodes for nodes, _ in found)
            known[id(waiting.pop())] = nodes, 1 + max((levels for _, levels in found), default=0)
    return known[id(expr)]
