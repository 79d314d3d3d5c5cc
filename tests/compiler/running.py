"""A program run in every way that it can be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from tilewright.compiler.backends.interpreter import interpret
from tilewright.compiler.build import LINE_LIMIT_MOST, compile_program, lower_program
from tilewright.compiler.kernel import load_kernel
from tilewright.compiler.program import Program
from tilewright.compiler.target import Target

Array = npt.NDArray[Any]


def results(
    program: Program, inputs: Sequence[Array], with_numba: bool = False, threads: int = 2
) -> dict[str, Array]:
    """The first output by the name of what computed it, from the program as it is read back."""
    again = Program.from_json(program.to_json())
    code = compile_program(again, Target.host(), threads, line_limit=LINE_LIMIT_MOST)
    found = {"llvm": load_kernel(code)(*inputs), "interpreter": interpret(lower_program(again), inputs)[0]}
    if with_numba:
        numba = compile_program(again, Target.host(), backend="numba")
        found["numba"] = load_kernel(numba)(*inputs)
    return found
