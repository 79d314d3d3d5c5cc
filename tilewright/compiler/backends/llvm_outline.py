"""Loop bodies as functions of their own: what they need of the function around, and how they get it."""

from __future__ import annotations

from dataclasses import dataclass

from tilewright.compiler.backends.llvm_function import FunctionText, Operand
from tilewright.compiler.backends.llvm_memory import Memory
from tilewright.compiler.ir.loops import Alloc, Buffer, For, Store
from tilewright.compiler.ir.visit import own_exprs, statements, variables, walk
from tilewright.compiler.te.expr import INDEX, Load, Var

PARALLEL = "parallel"
Captured = list[Var | Buffer]


def captured(loop: For, memory: Memory) -> Captured:
    """The variables and buffers of the surrounding function that a loop's body uses."""
    used: dict[Var | Buffer, None] = {}
    own: set[Var | Buffer] = {loop.var}
    for stmt in statements(loop.body):
        if isinstance(stmt, For):
            own.add(stmt.var)
        if isinstance(stmt, Alloc):
            own.add(stmt.buffer)
        if isinstance(stmt, Store):
            used[stmt.buffer] = None
        for expr in own_exprs(stmt):
            used |= dict.fromkeys(v for v in variables(expr) if v in memory.variables)
            for node in walk(expr):
                if isinstance(node, Load) and isinstance(node.source, Buffer):
                    used[node.source] = None
    return [item for item in used if item not in own]


@dataclass(slots=True)
class ParallelBody:
    """Passes captured values through a frame in memory."""

    names: Captured
    outer: Memory
    inner: Memory

    def pack(self, text: FunctionText) -> str:
        """Write the captured values into a frame, ahead of the launch; the frame's address."""
        frame = f"%{text.fresh('frame')}"
        text.allocas.append(f"  {frame} = alloca [{max(1, len(self.names))} x i64], align 16")
        for slot, item in enumerate(self.names):
            operand = self.outer.variables[item] if isinstance(item, Var) else self.outer.pointers[item]
            place = text.pure(f"getelementptr inbounds i64, ptr {frame}, i64 {slot}", "ptr", 0)
            text.line(f"  store {operand.typed}, ptr {place.text}, align 8")
        return frame

    def unpack(self, text: FunctionText) -> None:
        """Read the captured values at the start of the body's function."""
        for slot, item in enumerate(self.names):
            place = text.pure(f"getelementptr inbounds i64, ptr %frame, i64 {slot}", "ptr", 0)
            if isinstance(item, Var):
                known = self.outer.variables[item]
                if known.text.startswith("%"):
                    known = text.pure(f"load i64, ptr {place.text}, align 8", INDEX, 0, place)
                self.inner.variables[item] = known
            else:
                self.inner.pointers[item] = text.pure(f"load ptr, ptr {place.text}, align 8", "ptr", 0, place)
                inherit(item, self.outer, self.inner)


@dataclass(slots=True)
class OutlinedBody:
    """Passes captured values as arguments."""

    names: Captured
    outer: Memory
    inner: Memory

    def declare(self, written: set[Buffer]) -> list[str]:
        """The parameters, made known inside the body."""
        parameters = []
        for number, item in enumerate(self.names):
            name = f"%x{number}"
            if isinstance(item, Var):
                self.inner.variables[item] = Operand(name, INDEX, 0, 0)
                parameters.append(f"i64 {name}")
            else:
                self.inner.pointers[item] = Operand(name, "ptr", 0, 0)
                inherit(item, self.outer, self.inner)
                parameters.append(f"ptr noalias {'' if item in written else 'readonly '}{name}")
        return parameters

    def arguments(self) -> list[str]:
        """The captured values, as a call passes them."""
        return [
            (self.outer.variables[item] if isinstance(item, Var) else self.outer.pointers[item]).typed
            for item in self.names
        ]


def inherit(buffer: Buffer, outer: Memory, inner: Memory) -> None:
    """Let a body know what is known of a buffer's memory."""
    if buffer in outer.row_strides:
        inner.row_strides[buffer] = outer.row_strides[buffer]
