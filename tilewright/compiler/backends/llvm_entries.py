"""How a kernel is called: functions that take the addresses of its arguments in an array.

``kernel`` takes all arguments. With constants, ``prepare`` takes all as well, but computes only what follows
from the constants, and keeps the result and the constants' addresses at the beginning of the scratch memory;
``bound`` takes the other arguments and goes on from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tilewright.compiler.ir.loops import Buffer

POINTER_BYTES = 8
LINE_BYTES = 64


@dataclass(frozen=True, slots=True)
class KernelEntries:
    """The entries of a kernel with these arguments, inputs first, some of them constant."""

    arguments: tuple[Buffer, ...]
    constants: tuple[str, ...]

    @property
    def slot_bytes(self) -> int:
        """The bytes of scratch memory that hold the addresses of the constants."""
        return -(-len(self.constants) * POINTER_BYTES // LINE_BYTES) * LINE_BYTES

    def write(self) -> list[str]:
        """The functions."""
        everything = self._load(range(len(self.arguments)))
        if not self.constants:
            return [self._define("kernel", [*everything, self._call("run_part")])]
        constant = [n for n, buffer in enumerate(self.arguments) if buffer.name in self.constants]
        others = [n for n in range(len(self.arguments)) if n not in constant]
        keep, restore = [], []
        for slot, number in enumerate(constant):
            where = f"getelementptr inbounds i8, ptr %scratch, i64 {slot * POINTER_BYTES}"
            keep += [f"  %s{number} = {where}", f"  store ptr %a{number}, ptr %s{number}, align 8"]
            restore += [f"  %s{number} = {where}", f"  %a{number} = load ptr, ptr %s{number}, align 8"]
        prepare, run = self._call("prepare_part"), self._call("run_part")
        return [
            self._define("kernel", [*everything, prepare, run]),
            self._define("prepare", [*everything, *keep, prepare]),
            self._define("bound", [*self._load(others), *restore, run]),
        ]

    def _load(self, numbers: Sequence[int]) -> list[str]:
        """Read the addresses of some arguments, which lie next to each other."""
        lines = []
        for place, number in enumerate(numbers):
            lines += [
                f"  %p{number} = getelementptr inbounds ptr, ptr %args, i64 {place}",
                f"  %a{number} = load ptr, ptr %p{number}, align 8",
            ]
        return lines

    def _call(self, part: str) -> str:
        values = [f"ptr %a{number}" for number in range(len(self.arguments))]
        return f"  call void @{part}({', '.join([*values, 'ptr %scratch', 'ptr %launch'])})"

    @staticmethod
    def _define(name: str, lines: Sequence[str]) -> str:
        head = f"define void @{name}(ptr %args, ptr %scratch, ptr %launch) #0 {{"
        return "\n".join([head, *lines, "  ret void", "}", ""])
