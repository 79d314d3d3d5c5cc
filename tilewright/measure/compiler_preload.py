"""Compiling a small program ahead of the fork, so that no worker's first one takes longer."""

from tilewright.compiler import te
from tilewright.compiler.build import compile_program
from tilewright.compiler.kernel import load_kernel
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import create_schedule
from tilewright.compiler.target import Target

_SIZE = 16


def compile_sample() -> None:
    """Take a product of matrices all the way from its expressions to a loaded kernel, which is not run."""
    a, b = (te.placeholder((_SIZE, _SIZE), name=name) for name in "ab")
    k = te.reduce_axis((0, _SIZE), name="k")
    c = te.compute((_SIZE, _SIZE), lambda i, j: te.sum(a[i, k] * b[k, j], axis=k), name="c")
    schedule = create_schedule(c.op)
    i, j = schedule[c].op.axis
    outer, inner = schedule[c].split(j, factor=_SIZE // 2)
    schedule[c].reorder(i, outer, schedule[c].op.reduce_axis[0], inner)
    schedule[c].vectorize(inner)
    program = Program.from_json(Program.from_schedule(schedule, [a, b, c]).to_json())
    load_kernel(compile_program(program, Target.host()))
