"""Tensor intrinsics: a small computation, and a function in LLVM IR that carries it out."""

from __future__ import annotations

import re

import msgspec

from tilewright.compiler.errors import ExpressionError
from tilewright.compiler.te.expr import Reduce
from tilewright.compiler.te.graph_json import MALFORMED, decode_graph, encode_graph
from tilewright.compiler.te.tensor import ComputeOp, Operation, PlaceholderOp, Tensor

SYMBOL = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*\Z")
# Functions that every kernel has.
TAKEN = re.compile(r"(kernel|prepare|bound|run_part|prepare_part|(parallel|outlined|turn)\d*|llvm\..*)\Z")


class TensorIntrin(msgspec.Struct, frozen=True):
    """An intrinsic as plain data: ``pattern`` is its computation as JSON, ``llvm_ir`` its function.

    One that ``resets`` does the whole of its reduction, whatever was in its output. ``state`` names the
    functions around its calls, if there are any. ``turns`` is how often a call lets others run meanwhile.
    """

    name: str
    pattern: str
    llvm_ir: str
    resets: bool = False
    state: str = ""
    turns: int = 0

    @property
    def op(self) -> ComputeOp:
        """The computation that states the meaning."""
        try:
            *_, tensor = decode_graph(msgspec.json.decode(self.pattern)).values()
            assert isinstance(tensor.op, ComputeOp)
        except MALFORMED as error:
            raise ExpressionError(f"{self.name}: the stored pattern is no computation: {error}") from error
        return tensor.op


def can_name(name: str) -> bool:
    """Whether a function of a user's can have that name."""
    return SYMBOL.match(name) is not None and TAKEN.match(name) is None


def decl_tensor_intrin(
    op: Operation | Tensor,
    llvm_ir: str,
    name: str = "tensor_intrin",
    resets: bool = False,
    state: str = "",
    turns: int = 0,
) -> TensorIntrin:
    """An intrinsic for ``tensorize``.

    Args:
        op: what it computes, on placeholders of static shapes, such as ``c[i] = sum(a[k] * b[i, k])``.
        llvm_ir: LLVM IR that defines the function ``name``. For each input, in the order in which ``op``
            reads them first, and then for the output, it takes a ``ptr`` and an ``i64`` for each dimension:
            how many elements apart neighbours are. A reduction adds to (or multiplies, ...) the output;
            anything else overwrites it.
        name: the function's name.
        resets: of a reduction, that the function overwrites the output too: it takes the place of loops
            around which no loop of the reduction is left, and of what initialises the output.
        state: of the processor, that calls need and that is costly to bring about: ``llvm_ir`` defines
            ``void @<state>.enter()``, called once ahead of all calls by each thread that makes some, and
            ``void @<state>.leave()``, called after them. Intrinsics of the same state define the same.
        turns: how often a call lets what ``software_pipeline`` puts beside it run: the function takes two
            more arguments, ``ptr %turn, ptr %frame``, and each time that it is called it calls
            ``void %turn(ptr %frame, i64 number)`` once with each number below ``turns``.

    Raises:
        ExpressionError: ``op`` is no such computation, or the name cannot be one.
    """
    compute = _meaning(op, name)
    if resets and not isinstance(compute.body, Reduce):
        raise ExpressionError(f"{name}: resets=True is for a reduction; {compute.name} is none")
    if isinstance(turns, bool) or not isinstance(turns, int) or turns < 0:
        raise ExpressionError(f"{name}: turns={turns!r}: give the number of turns of a call, a whole number")
    for symbol in (name, state or name):
        if not can_name(symbol):
            raise ExpressionError(
                f"{symbol}: an intrinsic's name must be one that a function of its own can have"
            )
    if not isinstance(llvm_ir, str):
        raise ExpressionError(f"{name}: llvm_ir is {type(llvm_ir).__name__}, not the text of LLVM IR")
    graph = encode_graph([*compute.inputs, Tensor(compute)])
    return TensorIntrin(name, msgspec.json.encode(graph).decode(), llvm_ir, resets, state, turns)


def _meaning(op: Operation | Tensor, name: str) -> ComputeOp:
    """The computation that an intrinsic is to stand for.

    Raises:
        ExpressionError: it is none that one can.
    """
    compute = op.op if isinstance(op, Tensor) else op
    if not isinstance(compute, ComputeOp):
        raise ExpressionError(f"{name}: the meaning of an intrinsic is a te.compute, or its .op")
    for tensor in compute.inputs:
        if not isinstance(tensor.op, PlaceholderOp):
            raise ExpressionError(f"{name}: {compute.name} reads {tensor.name}, which is no placeholder")
    names = [tensor.name for tensor in compute.inputs]
    for again in {name for name in names if names.count(name) > 1}:
        raise ExpressionError(f"{name}: two placeholders are named {again}; give each a name= of its own")
    if isinstance(compute.body, Reduce) and compute.body.kind == "fold":
        raise ExpressionError(
            f"{name}: {compute.name} is a te.fold; an intrinsic sums, multiplies, or takes "
            "a maximum or minimum"
        )
    return compute
