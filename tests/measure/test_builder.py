"""What a worker does to a candidate, with kernels that misbehave."""

import mmap
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
    Candidate,
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
MALLOC_HEADER = 16

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
    is_parallel: bool = False
    nanoseconds: int = 1000

    def fill_scratch(self, byte: int) -> None:
        pass

    def run(self, repeats: int) -> int:
        self.kernel.body(*self.arrays, self.kernel.runs)
        self.kernel.runs += 1
        return self.nanoseconds * repeats


class SlowOffLines(FakeKernel):
    """Three times as slow where its input does not begin at a cache line."""

    def prepare(self, *arrays: Array, out: tuple[Array, ...]) -> "FakeCall":
        return FakeCall(self, (arrays[0], out[0]), nanoseconds=3000 if arrays[0].ctypes.data % 64 else 1000)


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


def test_a_kernel_is_tried_beside_both_guard_pages_and_as_users_have_arrays() -> None:
    fences: list[int] = []

    def note(a: Array, c: Array, run: int) -> None:
        correct(a, c, run)
        fences.append(c.ctypes.data % mmap.PAGESIZE)

    compiled = Compiled(PROGRAM, FakeKernel(note), (0.0, 0.0, 0.0))
    candidate = verify_candidate(compiled, request(), FakeContext())  # type: ignore[arg-type]
    assert fences == [0, mmap.PAGESIZE - 5 * 7 * 4, mmap.PAGESIZE // 2]
    places = [p.inputs[0].array.ctypes.data % mmap.PAGESIZE for p in candidate.placements]
    assert places == [0, MALLOC_HEADER]


def test_a_candidate_is_timed_at_each_place() -> None:
    """What only one of them suits is no gain to users, whose arrays lie at either."""
    compiled = Compiled(PROGRAM, SlowOffLines(correct), (0.0, 0.0, 0.0))
    candidate = verify_candidate(compiled, request(), FakeContext())  # type: ignore[arg-type]
    assert candidate.run(10) == 5 * 1000 + 5 * 3000
    assert candidate.run(1) == 2000
    assert candidate.run(3) == 3 * 2000
    candidate.placements[1].outputs[0].array[0, 0] += 1
    assert candidate.verify() is not None


def test_candidates_share_their_outputs_and_none_the_blame() -> None:
    context = FakeContext()

    def overrun(a: Array, c: Array, run: int) -> None:
        correct(a, c, run)
        np.lib.stride_tricks.as_strided(c, (5 * 7 + 1,), (4,))[35] = 1

    with pytest.raises(BuildError):
        verify_in(context, overrun)
    first, second = verify_in(context, correct), verify_in(context, correct)
    for mine, other in zip(first.placements, second.placements, strict=True):
        assert mine.outputs[0].array.ctypes.data == other.outputs[0].array.ctypes.data
    assert first.verify() is second.verify() is None


def verify_in(context: FakeContext, body: Body) -> Candidate:
    compiled = Compiled(PROGRAM, FakeKernel(body), (0.0, 0.0, 0.0))
    return verify_candidate(compiled, request(), context)  # type: ignore[arg-type]


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


@pytest.mark.parametrize("late", [0, 1, 2])
def test_what_shows_in_one_of_three_runs_is_found(late: int) -> None:
    def race(a: Array, c: Array, run: int) -> None:
        correct(a, c, run)
        if run == late:
            c[0, 0] += 1

    assert "largest error 1 at (0, 0)" in str(verify(race))


def test_other_bits_within_the_tolerance_are_an_unstable_result() -> None:
    def waver(a: Array, c: Array, run: int) -> None:
        correct(a, c, run)
        c[1, 1] = np.nextafter(c[1, 1], np.float32(np.inf if run % 2 else -np.inf))

    assert str(verify(waver)).startswith("wrong_result: unstable result")


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
