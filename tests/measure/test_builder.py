"""What a worker does to a candidate, with kernels that misbehave."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tilewright.compiler.errors import CodeSizeError, CompileError, ExpressionError, ScheduleError
from tilewright.compiler.program import Program, TensorSpec
from tilewright.compiler.target import Target
from tilewright.measure import builder
from tilewright.measure.builder import (
    BuildError,
    BuildRequest,
    Compiled,
    compile_candidate,
    reduction_length,
    verify_candidate,
)
from tilewright.measure.inputs import make_inputs
from tilewright.measure.verify import Array, ReferenceData

SPEC = TensorSpec("a", (5, 7), "float32")
PROGRAM = Program("{}", (SPEC,), (TensorSpec("c", (5, 7), "float32"),))
(A,) = make_inputs([SPEC])
EXPECTED = ReferenceData((A.astype(np.float64) * 2,))

Body = Callable[[Array, Array, int], None]


class FakeKernel:
    """A kernel whose body is Python: `body(input, output, number of the run)`."""

    def __init__(self, body: Body) -> None:
        self.body = body
        self.runs = 0

    def prepare(self, *arrays: Array, out: tuple[Array, ...]) -> "FakeCall":
        return FakeCall(self, (arrays[0], out[0]))


@dataclass(frozen=True)
class FakeCall:
    kernel: FakeKernel
    arrays: tuple[Array, Array]

    def run(self, repeats: int) -> int:
        self.kernel.body(*self.arrays, self.kernel.runs)
        self.kernel.runs += 1
        return 1000 * repeats


class FakeContext:
    def __init__(self) -> None:
        self.cache: dict[str, Any] = {}

    def blob(self, name: str) -> bytes:
        return EXPECTED.to_bytes()


def request(threads: int = 1) -> BuildRequest:
    return BuildRequest(program="{}", target=Target.host().to_json(), reference="r", threads=threads)


def verify(body: Body, threads: int = 1) -> str | None:
    compiled = Compiled(PROGRAM, FakeKernel(body), (0.0, 0.0, 0.0))
    try:
        verify_candidate(compiled, request(threads), FakeContext())  # type: ignore[arg-type]
    except BuildError as error:
        return f"{error.result.state}: {error.result.error}"
    return None


def correct(a: Array, c: Array, run: int) -> None:
    c[...] = a * 2


def test_a_correct_kernel_passes() -> None:
    assert verify(correct) is None
    assert verify(correct, threads=4) is None


def test_a_kernel_that_does_nothing_is_wrong() -> None:
    assert "35 of 35" in str(verify(lambda a, c, run: None))


def test_one_element_that_is_not_written_is_found() -> None:
    def skip(a: Array, c: Array, run: int) -> None:
        correct(a, c, run)
        c[4, 6] = np.nan

    assert "(4, 6)" in str(verify(skip))


def test_a_store_behind_the_output_is_found() -> None:
    def overrun(a: Array, c: Array, run: int) -> None:
        correct(a, c, run)
        wider = np.lib.stride_tricks.as_strided(c, (5 * 7 + 1,), (4,))
        wider[35] = 1

    assert str(verify(overrun)) == "wrong_result: the kernel wrote out of bounds, after output 'c'"


def test_a_race_that_shows_in_the_third_run_is_found() -> None:
    def race(a: Array, c: Array, run: int) -> None:
        correct(a, c, run)
        if run == 2:
            c[0, 0] += 1

    assert verify(race) is None
    assert verify(race, threads=2) is not None


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (ScheduleError("s"), "invalid"),
        (CodeSizeError("s"), "invalid"),
        (ExpressionError("s"), "invalid"),
        (CompileError("s"), "compile_error"),
        (KeyError("s"), "compile_error"),
    ],
)
def test_each_error_of_the_compiler_is_a_state(
    error: Exception, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(builder, "compile_program", refuse)
    monkeypatch.setattr(Program, "from_json", lambda text: PROGRAM)
    with pytest.raises(BuildError) as caught:
        compile_candidate(request())
    assert caught.value.result.state == state
    assert "s" in str(caught.value.result.error)


def test_exhausted_memory_is_left_to_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhaust(text: str) -> Program:
        raise MemoryError

    monkeypatch.setattr(Program, "from_json", exhaust)
    with pytest.raises(MemoryError):
        compile_candidate(request())


def test_reductions_are_added() -> None:
    from tests.measure.test_measurer import SIZE, matmul

    assert reduction_length(matmul()) == SIZE
