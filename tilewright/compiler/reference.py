"""The plain meaning of a program: the unscheduled te graph, in double precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tilewright.compiler.build import LINE_LIMIT_MOST, compile_program
from tilewright.compiler.ir.visit import map_children
from tilewright.compiler.kernel import load_kernel
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import Schedule
from tilewright.compiler.schedule.schedule import topological_order
from tilewright.compiler.target import Target
from tilewright.compiler.te.expr import FLOATS, Call, Cast, Const, Expr, Load, Reduce, Var, rebuild_as
from tilewright.compiler.te.storage import storage_dtype
from tilewright.compiler.te.tensor import ComputeOp, PlaceholderOp, Tensor
from tilewright.compiler.te.words import dot_dtypes

Array = npt.NDArray[Any]


def widen_program(program: Program) -> Program:
    """The unscheduled program with every float in double precision."""
    schedule, args = program.schedule(scheduled=False)
    widened: dict[str, Tensor] = {}
    for tensor in topological_order(schedule.outputs):
        op = tensor.op
        if isinstance(op, PlaceholderOp):
            widened[tensor.name] = Tensor(
                PlaceholderOp(op.name, op.shape, _wide(op.dtype), op.argument_shape, op.values)
            )
        else:
            body = _Widener(widened).visit(op.body)
            widened[tensor.name] = Tensor(ComputeOp(op.name, op.axis, body, argument_shape=op.argument_shape))
    outputs = [widened[tensor.name] for tensor in schedule.outputs]
    return Program.from_schedule(Schedule(outputs), [widened[tensor.name] for tensor in args])


def _wide(dtype: str) -> str:
    return "float64" if dtype in FLOATS else dtype


class _Widener:
    """Rewrites float types to float64."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.tensors = tensors
        self.states: dict[Var, Var] = {}

    def visit(self, expr: Expr) -> Expr:
        match expr:
            case Const():
                return Const(expr.value, _wide(expr.dtype))
            case Load():
                return Load(self.tensors[expr.source.name], [self.visit(i) for i in expr.indices])
            case Var() if expr.dtype in FLOATS:
                return self.states.setdefault(expr, Var(expr.name, "float64"))
            case Cast():
                return Cast(_wide(expr.dtype), self.visit(expr.value))
            case Reduce():
                return self.reduction(expr)
            case Call() if expr.name == "word":
                # Parts are read from memory, where widening changed the type but no value.
                return Call("word", [Cast(part.dtype, self.visit(part)) for part in expr.args], expr.dtype)
            case Call() if dot_dtypes(expr):
                return Cast(_wide(expr.dtype), map_children(expr, self.visit))
            case _:
                return rebuild_as(map_children(expr, self.visit), _wide(expr.dtype))

    def reduction(self, expr: Reduce) -> Reduce:
        state = [
            v if v.dtype not in FLOATS else self.states.setdefault(v, Var(v.name, "float64"))
            for v in expr.state
        ]
        finish = None if expr.finish is None else self.visit(expr.finish)
        init, update = [self.visit(e) for e in expr.init], [self.visit(e) for e in expr.update]
        return Reduce(expr.kind, expr.axes, init, update, state, finish)


def run_reference(program: Program, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """The outputs of a program on arrays, from its unscheduled form in double precision."""
    wide = widen_program(program)
    kernel = load_kernel(compile_program(wide, Target.host(), line_limit=LINE_LIMIT_MOST))
    inputs = [
        np.ascontiguousarray(np.asarray(array), storage_dtype(spec.dtype))
        for array, spec in zip(arrays, wide.inputs, strict=True)
    ]
    result = kernel(*inputs)
    return result if isinstance(result, tuple) else (result,)
