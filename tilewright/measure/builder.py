"""In a worker: from a program, as data, to a verified kernel that is ready to be timed; and the reference."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec

from tilewright.compiler.build import LINE_LIMIT, compile_program
from tilewright.compiler.errors import CompileError, TilewrightError
from tilewright.compiler.kernel import load_kernel
from tilewright.compiler.program import Program, TensorSpec
from tilewright.compiler.reference import run_reference
from tilewright.compiler.runtime import fill_stack
from tilewright.compiler.schedule.schedule import topological_order
from tilewright.compiler.target import Target
from tilewright.compiler.te.expr import Reduce
from tilewright.compiler.te.tensor import ComputeOp
from tilewright.measure.buffers import Buffer, Place, allocate, poison
from tilewright.measure.inputs import make_buffers, numpy_dtype
from tilewright.measure.result import MeasureResult, ReferenceKind, State, failed
from tilewright.measure.separate_parts import SeparateParts
from tilewright.measure.verify import (
    TOLERANCES,
    UNSTABLE,
    ReferenceData,
    describe_stray_store,
    digest_outputs,
    verify_outputs,
)

if TYPE_CHECKING:
    from tilewright.measure.worker import JobContext

_NANOSECOND = 1e-9
_LONG_SECONDS = 0.1
# Of temporary arrays: floats that are none, plausible numbers, and zeros.
_POISON_BYTES = (0xFF, 0x42, 0x00)


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
    line_limit: int = LINE_LIMIT
    reference_kind: ReferenceKind = "compute"
    nominal_seconds: float = 1.0


class ReferenceRequest(msgspec.Struct, frozen=True):
    """The program, as JSON, whose outputs are wanted, and the seed of its inputs."""

    program: str
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Placement:
    """A kernel with its arguments at one place of buffers between guard pages.

    Attributes:
        call: runs it a number of times on its buffers.
        names: of the outputs.
        digest: of the bits of the outputs that were verified.
    """

    call: Any
    inputs: tuple[Buffer, ...]
    outputs: tuple[Buffer, ...]
    names: tuple[str, ...]
    reference: ReferenceData
    digest: int | None = None

    @property
    def is_enclosed(self) -> bool:
        """Whether every array has guard pages on both sides."""
        return all(buffer.is_enclosed for buffer in (*self.inputs, *self.outputs))

    def verify(self) -> str | None:
        """What is wrong with the outputs as they are, or None; those that were verified before are right."""
        if self.digest is not None and self.digest == digest_outputs(self.outputs):
            return describe_stray_store(self.names, self.outputs, self.inputs)
        message = verify_outputs(self.names, self.outputs, self.inputs, self.reference)
        return message if message is not None or self.digest is None else UNSTABLE


@dataclass(frozen=True, slots=True)
class Candidate:
    """A verified kernel, at the places where it is timed.

    Attributes:
        placements: all at cache lines; and inputs as NumPy's large arrays lie, outputs as our results.
        first_seconds: that the fastest of the verified calls took.
    """

    placements: tuple[Placement, ...]
    first_seconds: float

    def run(self, repeats: int) -> int:
        """Make so many calls, or one more, as many at each place: nanoseconds for so many."""
        each = -(-repeats // len(self.placements))
        elapsed = sum(int(placement.call.run(each)) for placement in self.placements)
        return elapsed * repeats // (each * len(self.placements))

    def verify(self) -> str | None:
        """What is wrong with the outputs as they are, at any place, or None."""
        messages = (placement.verify() for placement in self.placements)
        return next((message for message in messages if message is not None), None)


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
    """Run a kernel three times, each on memory poisoned in another way, and compare it with the reference.

    The buffers are at each place, a parallel kernel's parts also run one by one, and the outputs of all runs
    are the same to the bit.

    Raises:
        BuildError: an output is wrong, or the kernel cannot be timed.
    """
    first = _place(compiled, request, context, "start")
    digest = _run_parts(first, request.threads) if first.call.is_parallel else None
    seconds, digest = _verify_run(replace(first, digest=digest), 0)
    last = first if first.is_enclosed else _place(compiled, request, context, "end")
    again, digest = _verify_run(replace(last, digest=digest), 1)
    other = replace(_place(compiled, request, context, "malloc", "result"), digest=digest)
    fastest = min(seconds, again)
    if again <= _LONG_SECONDS:  # else it is compared once, after it was timed
        fastest = min(fastest, _verify_run(other, 2)[0])
    return Candidate((replace(first, digest=digest), other), fastest)


def place_candidate(compiled: Compiled, request: BuildRequest, context: "JobContext") -> Candidate:
    """A kernel that was verified before, at the places where candidates are timed, on their arrays."""
    first = _place(compiled, request, context, "start")
    return Candidate((first, _place(compiled, request, context, "malloc", "result")), math.inf)


def _place(
    compiled: Compiled,
    request: BuildRequest,
    context: "JobContext",
    place: Place,
    place_of_outputs: Place | None = None,
) -> Placement:
    """The kernel with its arguments at that place, its outputs perhaps at another."""
    specs = compiled.program.outputs
    inputs = _cached_inputs(compiled.program, request, context, place)
    outputs = _cached_outputs(specs, context, place_of_outputs or place)
    arrays = [buffer.array for buffer in inputs]
    try:
        call = compiled.kernel.prepare(*arrays, out=tuple(buffer.array for buffer in outputs))
    except TilewrightError as error:
        raise BuildError(_build_failure(error)) from error
    names = tuple(spec.name for spec in specs)
    return Placement(call, inputs, outputs, names, _cached_reference(request.reference, context))


def _verify_run(placement: Placement, number: int) -> tuple[float, int]:
    """Run once and compare; the seconds of the run, and the digest of its outputs."""
    _poison(placement, number)
    fill_stack(_POISON_BYTES[number])
    seconds = float(placement.call.run(1) * _NANOSECOND)
    return seconds, _check(placement, None)


def _run_parts(placement: Placement, threads: int) -> int:
    """Run once with the parts of parallel loops apart, more of them than threads; the outputs' digest."""
    _poison(placement, 0)
    outputs = [
        (f"output {name!r}", b.array) for name, b in zip(placement.names, placement.outputs, strict=True)
    ]
    watched = [*outputs, ("a temporary array", placement.call.shared_scratch)]
    parts = SeparateParts(watched, 2 * threads + 1, _POISON_BYTES[0])
    placement.call.run(1, parts.address)
    parts.raise_error()
    return _check(placement, parts.conflict)


def _poison(placement: Placement, number: int) -> None:
    for buffer in placement.outputs:
        poison(buffer.array, number)
    placement.call.fill_scratch(_POISON_BYTES[number])


def _check(placement: Placement, message: str | None) -> int:
    """The digest of the outputs of a run; a `BuildError` where they are wrong, or the run was."""
    message = message or placement.verify()
    if message is not None:
        raise BuildError(failed("wrong_result", message))
    return digest_outputs(placement.outputs)


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
    program: Program, request: BuildRequest, context: "JobContext", place: Place
) -> tuple[Buffer, ...]:
    """The inputs of the last program that had the same; making them takes longer than a short kernel."""
    name = repr([(spec.shape, spec.dtype, spec.values) for spec in program.inputs]) + f" {request.seed}"

    def make() -> tuple[Buffer, ...]:
        made = make_buffers(program.inputs, request.seed, place)
        for buffer in made:
            buffer.protect()  # the next candidate needs them as they are
        return made

    return _cached(context, f"inputs, {place}", name, make)


def _cached_outputs(specs: Sequence[TensorSpec], context: "JobContext", place: Place) -> tuple[Buffer, ...]:
    """The outputs of the last program that had the same, so that candidates differ by their code alone.

    Pages that share sets of a cache by chance make a kernel slower by several per cent.
    """

    def make() -> tuple[Buffer, ...]:
        return tuple(allocate(tuple(spec.shape), numpy_dtype(spec.dtype), place) for spec in specs)

    name = repr([(spec.shape, spec.dtype) for spec in specs])
    buffers = _cached(context, f"outputs, {place}", name, make)
    for buffer in buffers:
        buffer.mend()  # another candidate may have broken them
    return buffers


def _cached(
    context: "JobContext", key: str, name: str, make: Callable[[], tuple[Buffer, ...]]
) -> tuple[Buffer, ...]:
    """The buffers kept under a key if they have that name, else new ones."""
    cached = context.cache.get(key)
    if not (isinstance(cached, tuple) and cached[0] == name):
        cached = context.cache[key] = (name, make())
    buffers: tuple[Buffer, ...] = cached[1]
    return buffers


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
