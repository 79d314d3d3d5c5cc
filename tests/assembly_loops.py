"""Loops in x86-64 assembly, as LLVM prints it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

LABEL = re.compile(r"(\.?\w+):")
JUMP = re.compile(r"\s+j\w+\s+(\.\w+)")
MULTIPLY_ADD = re.compile(r"\s+vfn?m(?:add|sub)\d+[ps][sd]\s")
ANY_VECTOR = re.compile(r"%[xyz]mm\d")
FRAME = re.compile(r"\s+movq\s+%rsp, %rbp")


@dataclass(frozen=True, slots=True)
class Loop:
    """The lines from a label to the last jump back to it; `frame` are registers that point to the stack."""

    lines: tuple[str, ...]
    frame: tuple[str, ...]

    @property
    def multiply_adds(self) -> int:
        """How many there are."""
        return sum(MULTIPLY_ADD.match(line) is not None for line in self.lines)

    @property
    def spills(self) -> list[str]:
        """Vector instructions that read or write the stack."""
        where = re.compile(rf"\(({'|'.join(self.frame)})[,)]")
        return [line.strip() for line in self.lines if ANY_VECTOR.search(line) and where.search(line)]


def multiply_add_loops(text: str) -> list[Loop]:
    """The loops with multiply-adds in them that hold no other such loop."""
    found = [loop for function in _functions(text) for loop in _loops_of(function)]
    return [loop for loop in found if loop.multiply_adds]


def _functions(text: str) -> Iterable[list[str]]:
    return (part.splitlines() for part in re.split(r"\.Lfunc_end\d+:", text))


def _loops_of(lines: list[str]) -> list[Loop]:
    """The innermost of a function's loops with multiply-adds."""
    labels: dict[str, int] = {}
    ends: dict[int, int] = {}
    for number, line in enumerate(lines):
        if label := LABEL.match(line):
            labels[label[1]] = number
        elif (jump := JUMP.match(line)) and jump[1] in labels:
            ends[labels[jump[1]]] = number
    frame = ("%rsp", "%rbp") if any(FRAME.match(line) for line in lines) else ("%rsp",)
    busy = {
        (start, end): loop
        for start, end in ends.items()
        if (loop := Loop(tuple(lines[start : end + 1]), frame)).multiply_adds
    }
    return [loop for span, loop in busy.items() if not any(_holds(span, other) for other in busy)]


def _holds(outer: tuple[int, int], inner: tuple[int, int]) -> bool:
    return outer != inner and outer[0] <= inner[0] and inner[1] <= outer[1]
