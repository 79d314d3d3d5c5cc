"""Statements to LLVM IR.

Vectorized and unrolled loops are written out here: a tile whose loops are unrolled and vectorized becomes
accesses at constant offsets, which LLVM keeps in registers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from tilewright.compiler.backends.llvm_expr import ExprWriter
from tilewright.compiler.backends.llvm_function import FunctionText, Operand, index
from tilewright.compiler.backends.llvm_intrinsics import state_functions
from tilewright.compiler.backends.llvm_memory import Lanes, Memory
from tilewright.compiler.backends.llvm_outline import PARALLEL, OutlinedBody, ParallelBody, captured
from tilewright.compiler.backends.llvm_types import MEMORY
from tilewright.compiler.backends.loop_bodies import has_loop, has_parallel, is_uniform, value_bytes, vectors
from tilewright.compiler.ir.affine import FAR, bounds
from tilewright.compiler.ir.loops import (
    Alloc,
    Assign,
    Block,
    Buffer,
    For,
    If,
    Intrinsic,
    LoopKind,
    Prefetch,
    Stmt,
    Store,
    allocated,
    constant_extent,
)
from tilewright.compiler.ir.visit import statements
from tilewright.compiler.te.expr import BYTES, INDEX, Const, IterVar, Load, binary

if TYPE_CHECKING:
    from tilewright.compiler.backends.llvm_module import ModuleWriter

STACK_LIMIT_BYTES = 16 * 1024
ROLLED_CHUNKS = 8
ALIGNMENT = 64
THREAD_SCRATCH = "@thread_scratch"
THREAD_STRIDE = "@thread_stride"


class StmtWriter:
    """Writes statements into one function."""

    def __init__(self, module: ModuleWriter, written: set[Buffer]) -> None:
        self.module = module
        self.written = written
        self.text = FunctionText()
        self.memory = Memory(self.text, module.nest.ranges, module.emulated, module.target.has_avx512)
        self.memory.read_only = {b for b in module.nest.inputs if b not in written}
        self.expr = ExprWriter(self.text, self.memory, module.nest.ranges, self.memory.declare, module.target)
        self.lanes: Lanes | None = None
        self.is_outer = module.threads > 1
        self.states: set[str] = set()
        self.scratch_top = 0
        self.scratch_peak = 0
        self.writers: dict[type, Callable[[Stmt], None]] = {
            Store: self._store,
            Assign: self._assign,
            Block: self._block,
            For: self._for,
            If: self._if,
            Alloc: self._alloc,
            Prefetch: self._prefetch,
            Intrinsic: self._intrinsic,
        }

    def write(self, stmt: Stmt) -> None:
        """Write one statement."""
        self.writers[type(stmt)](stmt)

    def finish(self) -> None:
        """End a function that others may wait for.

        What went past the caches is to be seen by all. All calls of intrinsics have the state that they need.
        """
        if self.memory.streamed and self.module.target.architecture == "x86_64":
            self.memory.declare("declare void @llvm.x86.sse.sfence()")
            self.text.line("  call void @llvm.x86.sse.sfence()")
        for state in sorted(self.states):
            enter, leave = state_functions(state)
            self.memory.declare(f"declare void @{enter}()")
            self.memory.declare(f"declare void @{leave}()")
            self.text.scopes[0].lines.insert(0, f"  call void @{enter}()")
            self.text.line(f"  call void @{leave}()")

    def _block(self, stmt: Stmt) -> None:
        assert isinstance(stmt, Block)
        for part in stmt.body:
            self.write(part)

    # -- stores ---------------------------------------------------------------------------------

    def _value(self, stmt: Store) -> Operand:
        self.expr.fast = "reassoc contract" if stmt.update else "contract"
        value = self.expr.write(stmt.value, self.lanes)
        self.expr.fast = "contract"
        return value

    def _store(self, stmt: Stmt) -> None:
        assert isinstance(stmt, Store)
        self.memory.store(stmt, self._value(stmt), self.lanes, self.expr)
        self.module.count(self.text)

    def _assign(self, stmt: Stmt) -> None:
        assert isinstance(stmt, Assign)
        values = [self._value(store) for store in stmt.stores]
        for store, value in zip(stmt.stores, values, strict=True):
            self.memory.store(store, value, self.lanes, self.expr)

    # -- memory ---------------------------------------------------------------------------------

    def _alloc(self, stmt: Stmt) -> None:
        buffers, body = allocated(stmt)
        top = self.scratch_top
        for buffer in buffers:
            self._provide(buffer)
        self.write(body)
        self.scratch_top = top
        for buffer in buffers:
            self.memory.spread.pop(buffer, None)

    def _provide(self, buffer: Buffer) -> None:
        """Memory for one buffer."""
        width = self.lanes.count if self.lanes is not None else 0
        count = buffer.size
        if buffer.scope == "register" and not (width or buffer.aligns) and buffer.dtype != "bool":
            count = self.memory.pad_rows(buffer, self.module.target.lanes(BYTES[buffer.dtype]))
        size = padded_bytes(buffer, count) * max(1, width)
        if width:
            self.memory.spread[buffer] = width
        if size <= STACK_LIMIT_BYTES:
            self.memory.pointers[buffer] = self._stack(buffer, size)
        else:
            self.memory.pointers[buffer] = self._scratch(size)
        self.memory.touch(buffer)

    def _prefetch(self, stmt: Stmt) -> None:
        assert isinstance(stmt, Prefetch)
        assert isinstance(stmt.element, Load)
        where = self.memory.element(stmt.element, self.lanes, self.expr)
        self.memory.declare("declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
        self.text.line(f"  call void @llvm.prefetch.p0({where.typed}, i32 0, i32 {4 - stmt.level}, i32 1)")
        self.module.count(self.text)

    def _intrinsic(self, stmt: Stmt) -> None:
        assert isinstance(stmt, Intrinsic)
        turn = None if stmt.meanwhile is None else self._turn(stmt.intrin.turns, stmt.meanwhile)
        if stmt.meanwhile is not None and turn is None:
            self.write(stmt.meanwhile)
        if stmt.intrin.turns and turn is None:
            self.memory.declare("define internal void @turn(ptr %frame, i64 %number) #1 { ret void }")
            turn = "ptr @turn, ptr null"
        arguments = []
        for argument in stmt.arguments:
            assert isinstance(argument.base.source, Buffer)
            strides = self.memory.strides(argument.base.source)
            arguments.append(self.memory.element(argument.base, None, self.expr).typed)
            for steps in argument.steps:
                stride = sum(step * apart for step, apart in zip(steps, strides, strict=True))
                arguments.append(f"i64 {stride}")
        arguments += [turn] if turn is not None else []
        self.text.line(f"  call void @{stmt.intrin.name}({', '.join(arguments)})")
        self.module.link(stmt)
        self.states |= {stmt.intrin.state} - {""}
        for part in stmt.parts:
            self._touch_written(part)
        self.module.count(self.text)

    def _turn(self, turns: int, loop: Stmt) -> str | None:
        """The function that runs a loop's share at a turn of a call, and its frame; None where none can."""
        if not (isinstance(loop, For) and loop.kind is LoopKind.SERIAL and turns):
            return None
        most = bounds(loop.end, self.module.nest.ranges)[1]
        if not isinstance(loop.begin, Const) or loop.begin.value or most >= FAR:
            return None
        share = -(-most // turns)
        is_whole = constant_extent(loop) == share * turns
        step = loop.body if is_whole else If(binary("<", loop.var, loop.end), loop.body)
        inner = StmtWriter(self.module, self.written)
        inner.is_outer, inner.memory.streamed = False, self.memory.streamed
        body = ParallelBody(
            captured(For(loop.var, loop.begin, loop.end, step), self.memory), self.memory, inner.memory
        )
        body.unpack(inner.text)
        first = inner.text.pure(f"mul nuw nsw i64 %number, {share}", INDEX, 0)
        for place in range(share):
            inner.memory.variables[loop.var] = inner.text.pure(
                f"add nuw nsw i64 {first.text}, {place}", INDEX, 0
            )
            inner.write(step)
        if inner.scratch_peak:
            return None
        self.states |= inner.states
        name = f"turn{len(self.module.functions)}"
        self.module.define(name, ["ptr %frame", "i64 %number"], inner, "internal ", "#1")
        self.module.lines += inner.text.lines_written
        return f"ptr @{name}, ptr {body.pack(self.text)}"

    def _stack(self, buffer: Buffer, size: int) -> Operand:
        name = f"%{self.text.fresh('s')}"
        element = MEMORY[buffer.dtype]
        count = size // BYTES[buffer.dtype]
        self.text.allocas.append(f"  {name} = alloca [{count} x {element}], align {ALIGNMENT}")
        return Operand(name, "ptr", 0, 0)

    def _scratch(self, size: int) -> Operand:
        offset = self.scratch_top
        self.scratch_top += -(-size // ALIGNMENT) * ALIGNMENT
        self.scratch_peak = max(self.scratch_peak, self.scratch_top)
        return self.text.pure(f"getelementptr inbounds i8, ptr %scratch, i64 {offset}", "ptr", 0)

    # -- branches -------------------------------------------------------------------------------

    def _if(self, stmt: Stmt) -> None:
        assert isinstance(stmt, If)
        condition = self.expr.write(stmt.condition, self.lanes)
        if condition.text in ("true", "false"):
            side = stmt.then if condition.text == "true" else stmt.otherwise
            return None if side is None else self.write(side)
        if condition.lanes:
            self._masked_if(stmt, condition)
            return
        if isinstance(stmt.then, Store) and self.lanes is not None and not self.lanes.may_be_idle:
            self.memory.read_ahead(stmt.then.value, self.lanes, self.expr)
        sides = [side for side in (stmt.then, stmt.otherwise) if side is not None]
        self.text.branch(condition, [partial(self.write, side) for side in sides])

    def _masked_if(self, stmt: If, condition: Operand) -> None:
        lanes = self.lanes
        assert lanes is not None
        self.lanes = self.expr.masked(lanes, condition)
        self.write(stmt.then)
        if stmt.otherwise is not None:
            negated = self.text.pure(
                f"xor {condition.typed}, splat (i1 true)", "bool", condition.lanes, condition
            )
            self.lanes = self.expr.masked(lanes, negated)
            self.write(stmt.otherwise)
        self.lanes = lanes

    # -- loops ----------------------------------------------------------------------------------

    def _for(self, stmt: Stmt) -> None:
        assert isinstance(stmt, For)
        begin, end = self.expr.write(stmt.begin, None), self.expr.write(stmt.end, None)
        known = begin.text[0] != "%" and end.text[0] != "%"
        trips = int(end.text) - int(begin.text) if known else -1
        if known and trips <= 0:
            return
        if stmt.kind is LoopKind.VECTORIZE and self.lanes is None and is_uniform(stmt):
            self._vectorized(stmt, begin, end, trips)
        elif stmt.kind is LoopKind.PARALLEL and self.is_outer and self.lanes is None and trips != 1:
            self._parallel(stmt, begin, end)
        elif stmt.outline and self.lanes is None and not has_parallel(stmt.body):
            self._outlined(stmt, begin, end)
        elif trips == 1 or (known and stmt.kind is LoopKind.UNROLL and stmt.factor == 0):
            self._written_out(stmt, int(begin.text), int(end.text))
        elif stmt.kind is LoopKind.UNROLL and stmt.factor > 1:
            self._unrolled(stmt, begin, end, trips)
        else:
            self._serial(begin, end, 1, stmt, lambda: self.write(stmt.body))

    def _written_out(self, stmt: For, begin: int, end: int) -> None:
        """A copy of the body for each iteration."""
        self.memory.unrolled[stmt.var] = begin, end
        fills_registers = self._fills(stmt)
        for value in range(begin, end):
            if fills_registers and value > begin:
                self.text.fence()
            self.memory.variables[stmt.var] = index(value)
            self.write(stmt.body)
        del self.memory.unrolled[stmt.var]

    def _fills(self, stmt: For) -> bool:
        """Whether what a step accumulates takes most registers: what it reads must not be kept in others."""
        is_reduction = isinstance(stmt.var, IterVar) and stmt.var.kind == "reduce"
        width = self._width(stmt.body)
        return is_reduction and 2 * vectors(stmt.body, width) > self.module.target.vector_registers

    def _unrolled(self, stmt: For, begin: Operand, end: Operand, trips: int) -> None:
        """A loop over groups of iterations, then one over what is left."""
        factor = stmt.factor
        length = self.expr.operate("-", end, begin) if trips < 0 else index(trips)
        whole = index(trips // factor * factor) if trips >= 0 else self._multiple(length, factor)
        middle = (
            self.expr.operate("+", begin, whole) if trips < 0 else index(int(begin.text) + int(whole.text))
        )

        fills_registers = self._fills(stmt)

        def copies() -> None:
            base = self.memory.variables[stmt.var]
            for n in range(factor):
                if fills_registers and n:
                    self.text.fence()
                self.memory.variables[stmt.var] = self.text.pure(
                    f"add nsw i64 {base.text}, {n}", INDEX, 0, base
                )
                self.write(stmt.body)

        self._serial(begin, middle, factor, stmt, copies)
        if trips < 0 or trips % factor:
            self._serial(middle, end, 1, stmt, lambda: self.write(stmt.body))

    def _multiple(self, length: Operand, factor: int) -> Operand:
        zero = self.expr.operate("max", length, index(0))
        rest = self.text.pure(f"urem i64 {zero.text}, {factor}", INDEX, 0, zero)
        return self.text.pure(f"sub i64 {zero.text}, {rest.text}", INDEX, 0, zero, rest)

    def _runs(self, stmt: For, begin: Operand, end: Operand) -> bool:
        """Whether a loop surely has an iteration."""
        if begin.text[0] != "%" and end.text[0] != "%":
            return int(begin.text) < int(end.text)
        return False

    def _serial(self, begin: Operand, end: Operand, step: int, stmt: For, body: Callable[[], None]) -> None:
        """A loop in the code: ``stmt.var`` runs from ``begin`` to ``end``."""
        text = self.text
        pre, loop, latch, done = (text.fresh(n) for n in ("pre", "loop", "latch", "done"))
        surely = self._runs(stmt, begin, end)
        text.push(conditional=not surely)
        text.push()
        self._touch_written(stmt.body)
        variable = Operand(f"%{text.fresh('i')}", INDEX, 0, text.depth)
        self.memory.variables[stmt.var] = variable
        text.block = loop
        around = self.memory.is_around_loops
        self.memory.is_around_loops = has_loop(stmt.body)
        body()
        self.memory.is_around_loops = around
        inside, outside = text.pop(), text.pop()
        self._touch_written(stmt.body)
        following = f"%{text.fresh('n')}"
        if surely:
            text.line(f"  br label %{pre}")
        else:
            test = text.value(f"icmp slt i64 {begin.text}, {end.text}", "bool")
            text.line(f"  br i1 {test.text}, label %{pre}, label %{done}")
        text.extend([f"{pre}:", *outside, f"  br label %{loop}", f"{loop}:"])
        text.line(f"  {variable.text} = phi i64 [ {begin.text}, %{pre} ], [ {following}, %{latch} ]")
        text.extend([*inside, f"  br label %{latch}", f"{latch}:"])
        text.line(f"  {following} = add nuw nsw i64 {variable.text}, {step}")
        again = f"%{text.fresh('c')}"
        text.line(f"  {again} = icmp slt i64 {following}, {end.text}")
        keep = ", !llvm.loop !0" if stmt.kind is LoopKind.UNROLL and stmt.factor == 1 else ""
        keep = ", !llvm.loop !2" if stmt.kind is LoopKind.UNROLL_HINT else keep
        text.line(f"  br i1 {again}, label %{loop}, label %{done}{keep}")
        text.label(done)

    def _touch_written(self, body: Stmt) -> None:
        for part in statements(body):
            if isinstance(part, Store):
                self.memory.touch(part.buffer)

    # -- vectors --------------------------------------------------------------------------------

    def _vectorized(self, stmt: For, begin: Operand, end: Operand, trips: int) -> None:
        """Whole vectors, then a masked one; in a loop of their own where they are many."""
        width = self._width(stmt.body)
        if trips == 1:
            self.memory.variables[stmt.var] = begin
            self.write(stmt.body)
            return
        if trips < 0:
            self._masked_loop(stmt, begin, end, width)
            return
        first = int(begin.text)
        whole = trips // width
        if whole > ROLLED_CHUNKS:
            stop = first + whole * width
            self._serial(begin, index(stop), width, stmt, lambda: self._chunk(stmt, width))
            first, trips = stop, trips - whole * width
        while trips > 0:
            lanes = min(width, _power_of_two(trips))
            active = min(lanes, trips)
            mask = None if active == lanes else _leading(active, lanes)
            self._lanes(stmt, Lanes(stmt.var, index(first), lanes, mask, active))
            first, trips = first + active, trips - active

    def _chunk(self, stmt: For, width: int) -> None:
        self._lanes(stmt, Lanes(stmt.var, self.memory.variables[stmt.var], width))

    def _masked_loop(self, stmt: For, begin: Operand, end: Operand, width: int) -> None:
        """Vectors whose last is masked by a limit known when the code runs."""

        def body() -> None:
            base = self.memory.variables[stmt.var]
            lanes = Lanes(stmt.var, base, width)
            ids = self.expr.variable(stmt.var, lanes)
            limit = self.expr.splat(end, width)
            mask = self.text.pure(f"icmp slt {ids.typed}, {limit.text}", "bool", width, ids, limit)
            self._lanes(stmt, Lanes(stmt.var, base, width, mask, active=-1))

        self._serial(begin, end, width, stmt, body)

    def _lanes(self, stmt: For, lanes: Lanes) -> None:
        self.lanes = lanes
        self.write(stmt.body)
        self.lanes = None

    def _width(self, body: Stmt) -> int:
        """Lanes of the target's vectors for the widest type that the loop writes."""
        stores = [s for s in statements(body) if isinstance(s, Store)]
        widest = max((max(BYTES[s.buffer.dtype], value_bytes(s.value)) for s in stores), default=4)
        return max(2, self.module.target.vector_bits // 8 // widest)

    # -- functions ------------------------------------------------------------------------------

    def _outlined(self, stmt: For, begin: Operand, end: Operand) -> None:
        """A loop whose body is a call; bodies that come out alike share a function."""
        names = [stmt.var, *captured(stmt, self.memory)]
        inner = StmtWriter(self.module, self.written)
        inner.is_outer = False
        inner.memory.streamed = self.memory.streamed
        body = OutlinedBody(names, self.memory, inner.memory)
        parameters = body.declare(self.written)
        inner.write(stmt.body)
        name = self.module.share([*parameters, "ptr noalias %scratch"], inner)
        self.states |= inner.states
        top = self.scratch_top
        self.scratch_peak = max(self.scratch_peak, top + inner.scratch_peak)
        scratch = self.text.pure(f"getelementptr inbounds i8, ptr %scratch, i64 {top}", "ptr", 0)

        def call() -> None:
            self.text.line(f"  call void @{name}({', '.join([*body.arguments(), scratch.typed])})")

        self._serial(begin, end, 1, For(stmt.var, stmt.begin, stmt.end, stmt.body), call)

    # -- threads --------------------------------------------------------------------------------

    def _parallel(self, stmt: For, begin: Operand, end: Operand) -> None:
        """The loop's body as a function of its own, which the launcher calls for parts of the loop."""
        name = f"{PARALLEL}{len(self.module.functions)}"
        names = captured(stmt, self.memory)
        inner = StmtWriter(self.module, self.written)
        body = ParallelBody(names, self.memory, inner.memory)
        first, last = Operand("%first", INDEX, 0, 0), Operand("%last", INDEX, 0, 0)
        body.unpack(inner.text)
        inner.is_outer = False
        inner.memory.streamed = self.memory.streamed
        serial = For(stmt.var, stmt.begin, stmt.end, stmt.body)
        inner._serial(first, last, 1, serial, lambda: inner.write(stmt.body))
        inner.finish()
        self.module.thread_scratch_bytes = max(self.module.thread_scratch_bytes, inner.scratch_peak)
        arguments = ["ptr %frame", "i64 %first", "i64 %last", "ptr noalias %scratch"]
        self.module.define(name, arguments, inner, "internal ")
        self.module.lines += inner.text.lines_written
        self.module.has_parallel = True
        frame = body.pack(self.text)
        scratch = self.text.value(f"getelementptr inbounds i8, ptr %scratch, i64 {THREAD_SCRATCH}", "ptr")
        loop = f"ptr @{name}, ptr {frame}, {begin.typed}, {end.typed}"
        memory = f"{scratch.typed}, i64 {THREAD_STRIDE}, i64 {self.module.threads}"
        self.text.line(f"  call void %launch({loop}, {memory})")
        self._touch_written(stmt.body)


def padded_bytes(buffer: Buffer, count: int) -> int:
    """Memory for a scratch buffer: a whole vector may be read at its last element."""
    return count * BYTES[buffer.dtype] + ALIGNMENT


def _power_of_two(number: int) -> int:
    return 1 << (number - 1).bit_length()


def _leading(active: int, lanes: int) -> Operand:
    bits = ", ".join(f"i1 {'true' if n < active else 'false'}" for n in range(lanes))
    return Operand(f"<{bits}>", "bool", lanes, 0)
