"""In a worker: timing one candidate alone, or several in a play-off."""

import time
from typing import TYPE_CHECKING

import msgspec

from tilewright.compiler.peak import reference_loop
from tilewright.measure.builder import (
    BuildError,
    BuildRequest,
    Candidate,
    Compiled,
    compile_candidate,
    place_candidate,
    verify_candidate,
)
from tilewright.measure.core_time import Meter, process_meter, share_of
from tilewright.measure.denormals import flushes_denormals
from tilewright.measure.playoff import PlayoffEntry, PlayoffPlan, PlayoffResult, play_off
from tilewright.measure.result import SHORTEST_SECONDS, MeasureResult, ReferenceKind, failed
from tilewright.measure.slices import Runner
from tilewright.measure.timing import ReferenceLoop, Timing, TimingPlan, calibrate, time_kernel

if TYPE_CHECKING:
    from tilewright.measure.worker import JobContext


class Baseline(msgspec.Struct, frozen=True):
    """A kernel that was measured: its program, as JSON, and what it takes."""

    program: str
    seconds: float


class MeasureRequest(msgspec.Struct, frozen=True):
    """One candidate to be measured, the lowest cost known, and the kernel that is timed beside it, if any."""

    candidate: BuildRequest
    timing: TimingPlan
    best_seconds: float | None = None
    baseline: Baseline | None = None


class PlayoffRequest(msgspec.Struct, frozen=True):
    """Candidates to be compared; `default` is an index."""

    candidates: tuple[BuildRequest, ...]
    default: int
    plan: PlayoffPlan


class CalibrateRequest(msgspec.Struct, frozen=True):
    """The reference loop whose nominal time is wanted."""

    reference_kind: ReferenceKind
    timing: TimingPlan


def measure_job(payload: bytes, context: "JobContext") -> bytes:
    """Build, verify and time one candidate."""
    request = msgspec.msgpack.decode(payload, type=MeasureRequest)
    return msgspec.msgpack.encode(_measure(request, context))


def playoff_job(payload: bytes, context: "JobContext") -> bytes:
    """Build and verify several candidates, then time them in turns."""
    request = msgspec.msgpack.decode(payload, type=PlayoffRequest)
    return msgspec.msgpack.encode(_hold_playoff(request, context))


def calibrate_job(payload: bytes, context: "JobContext") -> bytes:
    """Find the nominal seconds of one pass of a reference loop."""
    request = msgspec.msgpack.decode(payload, type=CalibrateRequest)
    run = _reference_runner(request.reference_kind, context)
    context.exclusive_phase("timing")
    return msgspec.msgpack.encode(calibrate(run, request.timing))


def _measure(request: MeasureRequest, context: "JobContext") -> MeasureResult:
    context.phase("compiling")
    try:
        compiled = compile_candidate(request.candidate)
    except BuildError as error:
        return error.result
    baseline = _compile_baseline(request, context)
    meter = _meter(context)
    context.exclusive_phase("verifying")
    start, given = time.perf_counter(), meter()
    try:
        candidate = verify_candidate(compiled, request.candidate, context)
    except BuildError as error:
        return _with_phases(error.result, compiled, time.perf_counter() - start, 0.0)
    verified = time.perf_counter()
    is_whole = share_of(int((verified - start) * 1e9), given, meter()).is_whole
    context.phase("timing")
    reference = _place_baseline(baseline, request, context) or _reference(request.candidate, context)
    timing = time_kernel(
        candidate.run,
        reference,
        request.timing,
        request.best_seconds,
        first_seconds=candidate.first_seconds if is_whole else None,
        meter=meter,
    )
    if reference.is_alike:
        candidate.run(1)  # the other kernel wrote the outputs last
    message = candidate.verify()
    result = _result(timing, request.candidate.nominal_seconds)
    if message is not None:
        result = failed("wrong_result", f"after many calls: {message}")
    return _with_phases(result, compiled, verified - start, time.perf_counter() - verified)


def _hold_playoff(request: PlayoffRequest, context: "JobContext") -> PlayoffResult:
    entries: dict[int, PlayoffEntry] = {}
    running: dict[int, Candidate] = {}
    reference = _reference(request.candidates[request.default], context)
    # Each phase names its candidate, so that a crash can be laid to it.
    compiled: dict[int, Compiled] = {}
    for i, build in enumerate(request.candidates):
        context.phase(f"compiling:{i}")
        try:
            compiled[i] = compile_candidate(build)
        except BuildError as error:
            entries[i] = PlayoffEntry(state=error.result.state, error=error.result.error)
    context.exclusive_phase("verifying")
    for i, kernel in compiled.items():
        context.phase(f"verifying:{i}")
        try:
            running[i] = verify_candidate(kernel, request.candidates[i], context)
        except BuildError as error:
            entries[i] = PlayoffEntry(state=error.result.state, error=error.result.error)
    if not running:
        return PlayoffResult(tuple(entries[i] for i in range(len(request.candidates))), None)
    order = list(running)
    default = order.index(request.default) if request.default in running else 0
    context.phase("playoff")
    runners = [running[i].run for i in order]
    result = play_off(runners, reference, default, request.plan, meter=_meter(context))
    entries.update(zip(order, result.entries, strict=True))
    winner = None if result.winner is None else order[result.winner]
    return PlayoffResult(tuple(entries[i] for i in range(len(request.candidates))), winner, result.rounds)


def _meter(context: "JobContext") -> Meter:
    """The meter of this worker; its files are opened once."""
    meter = context.cache.get("meter")
    if meter is None:
        meter = context.cache["meter"] = process_meter()
    return meter  # type: ignore[return-value]


def _reference(request: BuildRequest, context: "JobContext") -> ReferenceLoop:
    return ReferenceLoop(_reference_runner(request.reference_kind, context), request.nominal_seconds)


def _reference_runner(kind: ReferenceKind, context: "JobContext") -> Runner:
    name = f"reference loop {kind}"
    loop = context.cache.get(name)
    if loop is None:
        loop = context.cache[name] = reference_loop(kind)
    run: Runner = loop.run  # type: ignore[attr-defined]
    return run


def _compile_baseline(request: MeasureRequest, context: "JobContext") -> Compiled | None:
    """The kernel to be timed beside a candidate, if there is one; the last one is kept."""
    if request.baseline is None:
        return None
    program = request.baseline.program
    cached = context.cache.get("baseline")
    if not (isinstance(cached, tuple) and cached[0] == program):
        build = msgspec.structs.replace(request.candidate, program=program)
        try:
            cached = (program, compile_candidate(build))
        except BuildError:
            cached = (program, None)
        context.cache["baseline"] = cached
    compiled: Compiled | None = cached[1]
    return compiled


def _place_baseline(
    compiled: Compiled | None, request: MeasureRequest, context: "JobContext"
) -> ReferenceLoop | None:
    """That kernel on the arrays of the candidate."""
    if compiled is None or request.baseline is None:
        return None
    run = place_candidate(compiled, request.candidate, context).run
    return ReferenceLoop(run, request.baseline.seconds, is_alike=True)


def _result(timing: Timing, nominal_seconds: float) -> MeasureResult:
    # Dividing by a slice of the reference that was held up makes less of a cost than there can be.
    seconds, low, high = (max(s, SHORTEST_SECONDS) for s in (timing.seconds, *timing.interval))
    return MeasureResult(
        state="slow" if timing.is_slow else "ok",
        costs=tuple(max(cost, SHORTEST_SECONDS) for cost in timing.costs),
        seconds=seconds,
        interval=(low, high),
        noisy=timing.is_noisy,
        reference_ratio=seconds / nominal_seconds,
        flushes_denormals=flushes_denormals(),
    )


def _with_phases(
    result: MeasureResult, compiled: Compiled, verify_seconds: float, run_seconds: float
) -> MeasureResult:
    lower, codegen, build = compiled.seconds
    return msgspec.structs.replace(
        result,
        build_seconds=build,
        lower_seconds=lower,
        codegen_seconds=codegen,
        verify_seconds=verify_seconds,
        run_seconds=run_seconds,
    )
