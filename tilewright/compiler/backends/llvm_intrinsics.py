"""Functions that users wrote in LLVM IR: checked, and linked into a kernel's module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import llvmlite.binding as llvm

from tilewright.compiler.errors import CompileError
from tilewright.compiler.ir.loops import Intrinsic


@dataclass(frozen=True, slots=True)
class LinkedFunction:
    """A function by name, its IR, its arguments' types, and the state of the processor that it needs."""

    name: str
    llvm_ir: str
    arguments: tuple[str, ...]
    state: str = ""

    @staticmethod
    def of(stmt: Intrinsic) -> LinkedFunction:
        """The function that a call needs."""
        types = [("ptr", *["i64"] * len(argument.steps)) for argument in stmt.arguments]
        intrin = stmt.intrin
        turn = ("ptr", "ptr") if intrin.turns else ()
        arguments = (*(t for group in types for t in group), *turn)
        return LinkedFunction(intrin.name, intrin.llvm_ir, arguments, intrin.state)

    @property
    def around(self) -> tuple[str, ...]:
        """The functions that are called ahead of all calls and after them."""
        return state_functions(self.state) if self.state else ()


def state_functions(state: str) -> tuple[str, str]:
    """What brings a state about, and what ends it."""
    return f"{state}.enter", f"{state}.leave"


def link_functions(module: Any, functions: Sequence[LinkedFunction]) -> None:
    """Put functions into a parsed module, for it alone.

    Raises:
        CompileError: one is malformed, or is not what its intrinsic's meaning asks for.
    """
    entered: set[str] = set()
    for function in functions:
        shared = () if function.state in entered else function.around
        module.link_in(_parse(function, module, shared))
        for name in (function.name, *shared):
            module.get_function(name).linkage = "internal"
        entered.add(function.state)


def _parse(function: LinkedFunction, module: Any, shared: Sequence[str]) -> Any:
    """The function's module; what others do not call in it, or have already, is its own."""
    try:
        parsed = llvm.parse_assembly(function.llvm_ir)
        parsed.verify()
    except RuntimeError as error:
        raise CompileError(f"the LLVM IR of the intrinsic {function.name} is malformed: {error}") from error
    parsed.triple, parsed.data_layout = module.triple, module.data_layout
    _check(function, parsed)
    for other in parsed.functions:
        if not other.is_declaration and other.name not in (function.name, *shared):
            other.linkage = "internal"
    return parsed


def _check(function: LinkedFunction, parsed: Any) -> None:
    found = [f for f in parsed.functions if f.name == function.name and not f.is_declaration]
    if not found:
        raise CompileError(
            f"the LLVM IR of the intrinsic {function.name} defines no function {function.name}"
        )
    for name in function.around:
        if not any(f.name == name and str(f.global_value_type) == "void ()" for f in parsed.functions):
            raise CompileError(f"the LLVM IR of the intrinsic {function.name} defines no void @{name}()")
    result, _, arguments = str(found[0].global_value_type).partition(" ")
    wanted = f"({', '.join(function.arguments)})"
    if result != "void" or arguments != wanted:
        raise CompileError(
            f"the intrinsic {function.name} takes {arguments}, not {wanted}, or returns {result}, not void"
        )
