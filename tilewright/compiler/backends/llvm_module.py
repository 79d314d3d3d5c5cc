"""A kernel as an LLVM module: its entry, its body, and the functions that loops were made into."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from tilewright.compiler.backends.llvm_entries import KernelEntries
from tilewright.compiler.backends.llvm_function import FunctionText, Operand
from tilewright.compiler.backends.llvm_halves import narrow_without_instruction
from tilewright.compiler.backends.llvm_intrinsics import LinkedFunction
from tilewright.compiler.backends.llvm_memory import NONTEMPORAL
from tilewright.compiler.backends.llvm_stmt import (
    ALIGNMENT,
    THREAD_SCRATCH,
    THREAD_STRIDE,
    StmtWriter,
    padded_bytes,
)
from tilewright.compiler.backends.moved_bits import move_bits
from tilewright.compiler.errors import CodeSizeError, CompileError
from tilewright.compiler.ir.loops import Buffer, Intrinsic, LoopNest, Stmt, Store
from tilewright.compiler.ir.visit import own_exprs, statements, walk
from tilewright.compiler.lower.constants import divide_constants
from tilewright.compiler.target import Target
from tilewright.compiler.te.storage import SHORT_FLOATS

# The two parts of a kernel that may write past the caches.
CACHED, STREAMED = "cached_part", "streamed_part"


@dataclass(frozen=True, slots=True)
class ModuleText:
    """A written module, and the scratch memory that its kernel needs (for each thread, if it is parallel)."""

    text: str
    scratch_bytes: int
    thread_scratch_bytes: int
    lines: int
    is_parallel: bool
    linked: tuple[LinkedFunction, ...] = ()


class ModuleWriter:
    """Writes the functions of one kernel."""

    def __init__(self, nest: LoopNest, target: Target, line_limit: int, threads: int) -> None:
        self.nest = nest
        self.threads = threads
        self.target = target
        self.line_limit = line_limit
        self.declarations: set[str] = set()
        self.functions: list[str] = []
        self.outlined: dict[str, str] = {}
        self.lines = 0
        self.scratch_bytes = 0
        self.thread_scratch_bytes = 0
        self.has_parallel = False
        self.linked: dict[str, LinkedFunction] = {}

    def write(self, constants: Sequence[str] = ()) -> ModuleText:
        """The whole module: `kernel`, and with constants `prepare` and `bound`, which share its parts."""
        divided = divide_constants(self.nest, constants)
        entries = KernelEntries((*self.nest.inputs, *self.nest.outputs), tuple(constants))
        top = entries.slot_bytes
        offsets: dict[Buffer, int] = {}
        for buffer in divided.prepared:
            offsets[buffer] = top
            top += -(-padded_bytes(buffer, buffer.size) // ALIGNMENT) * ALIGNMENT
        bodies = {"run_part": self._body(divided.run, offsets, top)}
        streamed = self._streamed(entries.arguments)
        if streamed:
            bodies = {CACHED: bodies["run_part"], STREAMED: self._body(divided.run, offsets, top, streamed)}
        if constants:
            bodies["prepare_part"] = self._body(divided.prepare, offsets, top)
        self.scratch_bytes = max(body.scratch_peak for body in bodies.values())
        arguments = [f"ptr %a{number}" for number in range(len(entries.arguments))]
        typed = [*self._typed(arguments), "ptr noalias %scratch", "ptr %launch"]
        for part, body in bodies.items():
            body.scratch_peak = self.scratch_bytes
            self.lines += body.text.lines_written
            self.define(part, typed, body, "internal ")
        if streamed:
            self.functions.append(self._choice(entries.arguments, streamed, typed))
        parts = [*self.functions, *entries.write(), *sorted(self.declarations), self._attributes()]
        text = "\n".join(parts).replace(THREAD_STRIDE, str(self.thread_scratch_bytes))
        scratch = (self.scratch_bytes, self.thread_scratch_bytes)
        return ModuleText(text, *scratch, self.lines, self.has_parallel, tuple(self.linked.values()))

    def _streamed(self, arguments: Sequence[Buffer]) -> set[Buffer]:
        """What is written past the caches where it is aligned."""
        return {buffer for buffer in arguments if buffer.nontemporal and buffer in self._written}

    @staticmethod
    def _choice(arguments: Sequence[Buffer], streamed: set[Buffer], typed: Sequence[str]) -> str:
        """The function that goes past the caches only if every such array begins at a cache line."""
        lines, joined = [], "0"
        for number, buffer in enumerate(arguments):
            if buffer in streamed:
                lines += [
                    f"  %n{number} = ptrtoint ptr %a{number} to i64",
                    f"  %j{number} = or i64 %n{number}, {joined}",
                ]
                joined = f"%j{number}"
        given = ", ".join(f"ptr {argument.rsplit(' ', 1)[1]}" for argument in typed)
        lines += [
            f"  %rest = and i64 {joined}, {ALIGNMENT - 1}",
            "  %is_aligned = icmp eq i64 %rest, 0",
            "  br i1 %is_aligned, label %streamed, label %cached",
            "streamed:",
            f"  call void @{STREAMED}({given})",
            "  ret void",
            "cached:",
            f"  call void @{CACHED}({given})",
            "  ret void",
        ]
        return "\n".join([f"define internal void @run_part({', '.join(typed)}) #0 {{", *lines, "}", ""])

    def _body(
        self, stmt: Stmt, prepared: Mapping[Buffer, int], top: int, streamed: Collection[Buffer] = ()
    ) -> StmtWriter:
        """The text of a part; prepared buffers lie at the beginning of the scratch memory."""
        body = StmtWriter(self, self._written)
        body.memory.streamed = set(streamed)
        for number, buffer in enumerate((*self.nest.inputs, *self.nest.outputs)):
            body.memory.pointers[buffer] = Operand(f"%a{number}", "ptr", 0, 0)
        for buffer, offset in prepared.items():
            where = body.text.pure(f"getelementptr inbounds i8, ptr %scratch, i64 {offset}", "ptr", 0)
            body.memory.pointers[buffer] = where
        body.scratch_top = body.scratch_peak = top
        body.write(stmt)
        body.finish()
        return body

    @cached_property
    def emulated(self) -> frozenset[str]:
        """The types of 16 bits that are in use, and that the target does not convert by itself."""
        used = {
            node.dtype for s in statements(self.nest.body) for expr in own_exprs(s) for node in walk(expr)
        }
        used |= {buffer.dtype for buffer in (*self.nest.inputs, *self.nest.outputs)}
        return narrow_without_instruction(self.target) if used & set(SHORT_FLOATS) else frozenset()

    @cached_property
    def _written(self) -> set[Buffer]:
        return {s.buffer for s in statements(self.nest.body) if isinstance(s, Store)}

    def _typed(self, arguments: Sequence[str]) -> list[str]:
        buffers = (*self.nest.inputs, *self.nest.outputs)
        kinds = ["ptr noalias" if buffer in self._written else "ptr noalias readonly" for buffer in buffers]
        return [argument.replace("ptr", kind, 1) for argument, kind in zip(arguments, kinds, strict=True)]

    def _attributes(self) -> str:
        bits = self.target.vector_bits
        width = f'"prefer-vector-width"="{bits}" "min-legal-vector-width"="{bits}"'
        rolled = '!0 = distinct !{!0, !1}\n!1 = !{!"llvm.loop.unroll.disable"}'
        unrolled = '!2 = distinct !{!2, !3}\n!3 = !{!"llvm.loop.unroll.full"}'
        inlined = f"attributes #1 = {{ alwaysinline nounwind {width} }}"
        called = f"attributes #2 = {{ noinline cold nounwind {width} }}"
        streamed = f"{NONTEMPORAL} = !{{i32 1}}"
        attributes = f"attributes #0 = {{ nounwind {width} }}\n{inlined}\n{called}"
        return f"{attributes}\n{rolled}\n{unrolled}\n{streamed}"

    def define(
        self, name: str, arguments: list[str], body: StmtWriter, linkage: str, attributes: str = "#0"
    ) -> None:
        """Add a function whose body has been written."""
        head = f"define {linkage}void @{name}({', '.join(arguments)}) {attributes} {{"
        lines = [head, "entry:", *body.text.allocas]
        lines += [*body.text.scopes[0].lines, "  ret void", "}", ""]
        text = "\n".join(lines).replace(THREAD_SCRATCH, str(body.scratch_peak))
        self.functions.append(text)
        self.declarations |= body.memory.declarations

    def share(self, arguments: list[str], body: StmtWriter) -> str:
        """The name of a function with this body: an earlier one if there is one like it."""
        content = "\n".join([*arguments, *body.text.allocas, *body.text.scopes[0].lines])
        if content not in self.outlined:
            self.outlined[content] = name = f"outlined{len(self.outlined)}"
            self.define(name, arguments, body, "internal ")
            self.lines += body.text.lines_written
        return self.outlined[content]

    def link(self, stmt: Intrinsic) -> None:
        """Note the function that a call needs."""
        function = LinkedFunction.of(stmt)
        name = function.name
        if self.linked.setdefault(name, function) != function:
            raise CompileError(f"two intrinsics are named {name}: give each a name of its own")
        self.declarations.add(f"declare void @{name}({', '.join(function.arguments)})")

    def count(self, text: FunctionText) -> None:
        """Refuse a program that grows too large."""
        if self.lines + text.lines_written > self.line_limit:
            raise CodeSizeError(
                f"the program needs more than {self.line_limit} lines of code: "
                "unroll less, or use smaller tiles"
            )


def write_module(
    nest: LoopNest, target: Target, line_limit: int, threads: int, constants: Sequence[str] = ()
) -> ModuleText:
    """The LLVM IR of a nest, as the function ``kernel(args, scratch, launch)``.

    ``args`` holds the addresses of the arguments. Scratch memory for threads lies behind the kernel's own.
    With ``constants`` there are two functions more: see :mod:`llvm_entries`.
    """
    return ModuleWriter(move_bits(nest), target, line_limit, threads).write(constants)
