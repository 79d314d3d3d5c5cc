"""Any schedule leaves the result unchanged: compiled code, the interpreter and NumPy agree."""

from __future__ import annotations

import statistics
from collections import Counter
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.compiler.random_schedules import PRIMITIVES, Drawn, draw_schedule
from tilewright.compiler.backends.interpreter import interpret
from tilewright.compiler.build import LINE_LIMIT_MOST, compile_program, lower_program
from tilewright.compiler.errors import CodeSizeError, ScheduleError
from tilewright.compiler.kernel import load_kernel
from tilewright.compiler.program import Program
from tilewright.compiler.target import Target

EXAMPLES = 500
NUMBA_EXAMPLES = 50


class Tally:
    """What the tried schedules were made of."""

    def __init__(self) -> None:
        self.used: Counter[str] = Counter()
        self.lengths: list[int] = []
        self.splits = self.uneven = 0
        self.computes: Counter[str] = Counter()

    def add(self, drawn: Drawn) -> None:
        self.used.update(drawn.used.keys())
        self.lengths.append(len(drawn.schedule.steps))
        self.splits += drawn.splits
        self.uneven += drawn.uneven_splits
        self.computes[drawn.compute.name] += 1


def check(drawn: Drawn, with_numba: bool) -> bool:
    """Run a schedule every way; false where it is refused."""
    compute = drawn.compute
    try:
        program = Program.from_schedule(drawn.schedule, compute.args)
        nest = lower_program(program)
        threads = 2 if drawn.used["parallel"] else 1
        code = compile_program(program, Target.host(), threads, line_limit=LINE_LIMIT_MOST)
    except (ScheduleError, CodeSizeError):
        return False
    rng = np.random.default_rng(len(drawn.schedule.steps))
    arrays = [rng.uniform(-1, 1, t.shape).astype(t.dtype) for t in compute.inputs]
    expected = compute.reference(*arrays)
    results = {"interpreter": interpret(nest, arrays)[0], "llvm": load_kernel(code)(*arrays)}
    plain = lower_program(program, partition=False)
    results["interpreter, tails in loop bounds"] = interpret(plain, arrays)[0]
    if with_numba:
        numba = compile_program(program, Target.host(), backend="numba")
        results["numba"] = load_kernel(numba)(*arrays)
    for name, result in results.items():
        np.testing.assert_allclose(result, expected, rtol=2e-5, atol=2e-5, err_msg=f"{name}\n{nest}")
    return True


def run(examples: int, with_numba: bool) -> Tally:
    tally = Tally()

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=False))
    def attempt(random: Random) -> None:
        drawn = draw_schedule(random)
        assume(check(drawn, with_numba))
        tally.add(drawn)

    attempt()
    return tally


def test_every_schedule_keeps_the_result() -> None:
    tally = run(EXAMPLES, with_numba=False)
    assert len(tally.lengths) >= EXAMPLES
    assert len(tally.computes) >= 6
    for name in set(PRIMITIVES):
        assert tally.used[name] >= 25, (name, tally.used)
    assert statistics.median(tally.lengths) >= 6
    assert tally.uneven >= tally.splits / 3


def test_numba_agrees() -> None:
    assert len(run(NUMBA_EXAMPLES, with_numba=True).lengths) >= NUMBA_EXAMPLES


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_numba_agrees_on_every_schedule() -> None:
    assert len(run(EXAMPLES, with_numba=True).lengths) >= EXAMPLES
