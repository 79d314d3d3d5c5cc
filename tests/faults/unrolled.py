"""A product of matrices whose loops are all unrolled."""

from tilewright.compiler import te
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import create_schedule


def unrolled(size: int) -> Program:
    """Square matrices of that size."""
    a, b = (te.placeholder((size, size), "float32", name=name) for name in "ab")
    k = te.reduce_axis((0, size), name="k")
    c = te.compute((size, size), lambda i, j: te.sum(a[i, k] * b[k, j], axis=k), name="c")
    schedule = create_schedule(c.op)
    for axis in (*schedule[c].op.axis, *schedule[c].op.reduce_axis):
        schedule[c].unroll(axis)
    return Program.from_schedule(schedule, [a, b, c])
