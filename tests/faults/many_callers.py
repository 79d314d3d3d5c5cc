"""Kernels called from eight threads, from threads that these start, and in children of forks meanwhile.

python -m tests.faults.many_callers CALLS FORKS

The last line says how many calls there were, how many of them were wrong, and how the children ended.
"""

import os
import signal
import sys
import threading
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from tilewright.compiler import te
from tilewright.compiler.build import compile_program
from tilewright.compiler.kernel import Kernel, load_kernel
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import create_schedule
from tilewright.compiler.target import Target

THREADS = 8
SIZE = 1000
CHILD_SECONDS = 60


def make_kernel(threads: int) -> Kernel:
    """Doubles an array, with scratch memory of its own."""
    a = te.placeholder((SIZE,), "float32", name="a")
    b = te.compute((SIZE,), lambda i: a[i] + 1.0, name="b")
    c = te.compute((SIZE,), lambda i: b[i] * 2.0 - 2.0, name="c")
    schedule = create_schedule(c.op)
    if threads > 1:
        outer, _ = schedule[c].split(schedule[c].op.axis[0], factor=100)
        schedule[c].parallel(outer)
        schedule[b].compute_at(schedule[c], outer)
    return load_kernel(
        compile_program(Program.from_schedule(schedule, [a, c]), Target.host(), threads=threads)
    )


def call(kernels: list[Kernel], calls: int, start: int, wrong: list[int]) -> None:
    """Call them in turns, each time on other numbers."""
    for number in range(start, start + calls):
        array: npt.NDArray[Any] = np.arange(number, number + SIZE, dtype=np.float32)
        if not np.array_equal(kernels[number % len(kernels)](array), 2 * array):
            wrong.append(number)


def call_nested(kernels: list[Kernel], calls: int, start: int, wrong: list[int]) -> None:
    """Half of the calls in a thread that this one starts."""
    inner = threading.Thread(target=call, args=(kernels, calls // 2, start, wrong))
    inner.start()
    call(kernels, calls - calls // 2, start + calls // 2, wrong)
    inner.join()


def fork_and_call(kernels: list[Kernel]) -> str:
    """How a child ends that calls each kernel, old and new."""
    child = os.fork()
    if child == 0:
        signal.alarm(CHILD_SECONDS)
        wrong: list[int] = []
        call([*kernels, make_kernel(2)], 20, 0, wrong)
        os._exit(len(wrong))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return "right" if code == 0 else "wrong" if code > 0 else signal.Signals(-code).name


def main(calls: int, forks: int) -> None:
    """Call and fork at the same time; the children of a process without other threads come last."""
    kernels = [make_kernel(2), make_kernel(1), make_kernel(2)]
    wrong: list[int] = []
    share = calls // THREADS
    callers = [
        threading.Thread(target=call_nested, args=(kernels, share, number * share, wrong))
        for number in range(THREADS)
    ]
    for caller in callers:
        caller.start()
    ends = Counter(fork_and_call(kernels) for _ in range(forks))
    for caller in callers:
        caller.join()
    ends += Counter(fork_and_call(kernels) for _ in range(forks))
    print(f"{share * THREADS} calls, {len(wrong)} wrong, children {dict(ends)}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
