"""In a worker: from a program, as data, to a verified kernel that is ready to be timed; and the reference."""

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec

from tilewright.compiler.build import compile_program
from tilewright.compiler.errors import CompileError, TilewrightError
from tilewright.compiler.kernel import load_kernel
from tilewright.compiler.program import Program
from tilewright.compiler.reference import run_reference
from tilewright.compiler.schedule.schedule import topological_order
from tilewright.compiler.target import Target
from tilewright.compiler.te.expr import Reduce
from tilewright.compiler.te.tensor import ComputeOp
from tilewright.measure.buffers import Buffer, Side, allocate, poison
from tilewright.measure.inputs import make_buffers, numpy_dtype
from tilewright.measure.result import MeasureResult, ReferenceKind, State, failed
from tilewright.measure.verify import TOLERANCES, ReferenceData, verify_outputs

if TYPE_CHECKING:
    from tilewright.measure.worker import JobContext

_NANOSECOND = 1e-9


class BuildRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate, as it travels to a worker.

    Attributes:
        program: as JSON.
        target: as JSON.
        reference: name of the data with the expected outputs.
        reference_kind: the loop timed beside it.
        nominal_seconds: of one pass of that loop.
    """

    program: str
    target: str
    reference: str
    seed: int = 0
    threads: int = 1
    backend: str = "llvm"
    line_limit: int = 2000
    reference_kind: ReferenceKind = "compute"
    nominal_seconds: float = 1.0


class ReferenceRequest(msgspec.Struct, frozen=True):
    """The program, as JSON, whose outputs are wanted, and the seed of its inputs."""

    program: str
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A verified kernel.

    Attributes:
        call: runs it a number of times on its buffers.
        names: of the outputs.
        first_seconds: that the verified call took.
    """

    call: Any
    inputs: tuple[Buffer, ...]
    outputs: tuple[Buffer, ...]
    names: tuple[str, ...]
    reference: ReferenceData
    first_seconds: float = 0.0

    @property
    def is_enclosed(self) -> bool:
        """Whether every array has guard pages on both sides."""
        return all(buffer.is_enclosed for buffer in (*self.inputs, *self.outputs))

    def verify(self) -> str | None:
        """What is wrong with the outputs as they are, or None."""
        return verify_outputs(self.names, self.outputs, self.inputs, self.reference)


@dataclass(frozen=True, slots=True)
class Compiled:
    """A kernel that nobody has run.

    Attributes:
        seconds: lowering, code generation, and both with loading.
    """

    program: Program
    kernel: Any
    seconds: tuple[float, float, float]


class BuildError(Exception):
    """A candidate failed; `result` says how."""

    def __init__(self, result: MeasureResult) -> None:
        super().__init__(result.error)
        self.result = result


def compile_candidate(request: BuildRequest) -> Compiled:
    """Compile and load a candidate.

    Raises:
        BuildError: the candidate is invalid or cannot be compiled.
    """
    start = time.perf_counter()
    try:
        program = Program.from_json(request.program)
        code = compile_program(
            program,
            Target.from_json(request.target),
            threads=request.threads,
            backend=request.backend,
            line_limit=request.line_limit,
        )
        kernel = load_kernel(code)
    except MemoryError:
        raise
    except Exception as error:
        raise BuildError(_build_failure(error)) from error
    seconds = time.perf_counter() - start
    return Compiled(program, kernel, (code.lower_seconds, code.codegen_seconds, seconds))


def verify_candidate(compiled: Compiled, request: BuildRequest, context: "JobContext") -> Candidate:
    """Run a kernel on poisoned outputs and compare them with the reference, on buffers of either kind.

    The candidate that is returned has its buffers at the start of pages.

    Raises:
        BuildError: an output is wrong, or the kernel cannot be timed.
    """
    candidate = _place(compiled, request, context, "start")
    runs = [candidate] if candidate.is_enclosed else [candidate, _place(compiled, request, context, "end")]
    if request.threads > 1:
        runs += [candidate] * (3 - len(runs))  # a race shows only now and then
    times = [_verify_run(run) for run in runs]
    return replace(candidate, first_seconds=min(times))


def _place(compiled: Compiled, request: BuildRequest, context: "JobContext", side: Side) -> Candidate:
    """A kernel with its arguments in buffers that have a guard page on that side."""
    specs = compiled.program.outputs
    inputs = _cached_inputs(compiled.program, request, context, side)
    outputs = tuple(allocate(tuple(spec.shape), numpy_dtype(spec.dtype), side) for spec in specs)
    arrays = [buffer.array for buffer in inputs]
    try:
        call = compiled.kernel.prepare(*arrays, out=tuple(buffer.array for buffer in outputs))
    except TilewrightError as error:
        raise BuildError(_build_failure(error)) from error
    names = tuple(spec.name for spec in specs)
    return Candidate(call, inputs, outputs, names, _cached_reference(request.reference, context))


def _verify_run(candidate: Candidate) -> float:
    """Run once and compare; the seconds of the run."""
    for buffer in candidate.outputs:
        poison(buffer.array)
    seconds = float(candidate.call.run(1) * _NANOSECOND)
    message = candidate.verify()
    if message is not None:
        raise BuildError(failed("wrong_result", message))
    return seconds


def reference_job(payload: bytes, context: "JobContext") -> bytes:
    """Compute what the outputs of a program have to be, from its expressions alone."""
    context.phase("reference")
    request = msgspec.msgpack.decode(payload, type=ReferenceRequest)
    program = Program.from_json(request.program)
    buffers = make_buffers(program.inputs, request.seed)
    outputs = run_reference(program, [buffer.array for buffer in buffers])
    return ReferenceData(tuple(outputs), reduction_length(program), sum_dtype(program)).to_bytes()


def reduction_length(program: Program) -> int:
    """The terms behind an element of the output: the lengths of the program's reductions, added."""
    schedule, _ = program.schedule(scheduled=False)
    reductions = [tensor.op.reduce_axis for tensor in topological_order(schedule.outputs)]
    return max(1, sum(math.prod(axis.extent for axis in axes) for axes in reductions if axes))


def sum_dtype(program: Program) -> str:
    """The narrowest type of floats in which the program sums; empty where it sums none."""
    schedule, _ = program.schedule(scheduled=False)
    found = {
        tensor.dtype
        for tensor in topological_order(schedule.outputs)
        if isinstance(tensor.op, ComputeOp) and isinstance(tensor.op.body, Reduce)
    } & set(TOLERANCES)
    return max(found, key=lambda dtype: TOLERANCES[dtype], default="")


def _cached_inputs(
    program: Program, request: BuildRequest, context: "JobContext", side: Side
) -> tuple[Buffer, ...]:
    """The inputs of the last program that had the same; making them takes longer than a short kernel."""
    name = repr([(spec.shape, spec.dtype, spec.values) for spec in program.inputs]) + f" {request.seed}"
    cached = context.cache.get(f"inputs at the {side}")
    if isinstance(cached, tuple) and cached[0] == name:
        buffers: tuple[Buffer, ...] = cached[1]
        return buffers
    made = make_buffers(program.inputs, request.seed, side)
    for buffer in made:
        buffer.protect()  # the next candidate needs them as they are
    context.cache[f"inputs at the {side}"] = (name, made)
    return made


def _cached_reference(name: str, context: "JobContext") -> ReferenceData:
    cached = context.cache.get(name)
    if not isinstance(cached, ReferenceData):
        cached = ReferenceData.from_bytes(memoryview(context.blob(name)))
        context.cache[name] = cached
    return cached


def _build_failure(error: Exception) -> MeasureResult:
    state: State = "invalid"
    if isinstance(error, CompileError) or not isinstance(error, TilewrightError):
        state = "compile_error"
    message = str(error) if isinstance(error, TilewrightError) else f"{type(error).__name__}: {error}"
    return failed(state, message or type(error).__name__)
