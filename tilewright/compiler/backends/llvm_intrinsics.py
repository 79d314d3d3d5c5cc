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
    """A function by name, its IR, and the types of its arguments."""

    name: str
    llvm_ir: str
    arguments: tuple[str, ...]

    @staticmethod
    def of(stmt: Intrinsic) -> LinkedFunction:
        """The function that a call needs."""
        types = [("ptr", *["i64"] * len(argument.steps)) for argument in stmt.arguments]
        return LinkedFunction(stmt.name, stmt.llvm_ir, tuple(t for group in types for t in group))


def link_functions(module: Any, functions: Sequence[LinkedFunction]) -> None:
    """Put functions into a parsed module, for it alone.

    Raises:
        CompileError: one is malformed, or is not what its intrinsic's meaning asks for.
    """
    for function in functions:
        module.link_in(_parse(function, module))
        module.get_function(function.name).linkage = "internal"


def _parse(function: LinkedFunction, module: Any) -> Any:
    try:
        parsed = llvm.parse_assembly(function.llvm_ir)
        parsed.verify()
    except RuntimeError as error:
        raise CompileError(f"the LLVM IR of the intrinsic {function.name} is malformed: {error}") from error
    parsed.triple, parsed.data_layout = module.triple, module.data_layout
    _check(function, parsed)
    for other in parsed.functions:
        if not other.is_declaration and other.name != function.name:
            other.linkage = "internal"
    return parsed


def _check(function: LinkedFunction, parsed: Any) -> None:
    found = [f for f in parsed.functions if f.name == function.name and not f.is_declaration]
    if not found:
        raise CompileError(
            f"the LLVM IR of the intrinsic {function.name} defines no function {function.name}"
        )
    result, _, arguments = str(found[0].global_value_type).partition(" ")
    wanted = f"({', '.join(function.arguments)})"
    if result != "void" or arguments != wanted:
        raise CompileError(
            f"the intrinsic {function.name} takes {arguments}, not {wanted}, or returns {result}, not void"
        )
