"""The parent's side of measuring: candidates in, results out; a candidate that fails is a result."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import msgspec

from tilewright.compiler.build import LINE_LIMIT
from tilewright.measure.builder import BuildRequest, ReferenceRequest
from tilewright.measure.machine import physical_cores
from tilewright.measure.outcome import Job, Outcome, WorkerLimits, default_limits, to_result
from tilewright.measure.playoff import PlayoffEntry, PlayoffPlan, PlayoffResult
from tilewright.measure.pool import PRELOAD, WorkerPool
from tilewright.measure.result import (
    MeasureInput,
    MeasureResult,
    MeasureSetupError,
    ReferenceKind,
)
from tilewright.measure.runner import Baseline, CalibrateRequest, MeasureRequest, PlayoffRequest
from tilewright.measure.timing import TimingPlan
from tilewright.measure.verify import Array, ReferenceData

if TYPE_CHECKING:
    from tilewright.compiler.program import Program
    from tilewright.compiler.target import Target

_THREADED_PRELOAD = ("numba", "tilewright.measure.thread_preload:compile_launcher")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that each phase of a trial may take.

    Attributes:
        compiling: lowering and code generation.
        verifying: making inputs, the first run, and the comparison.
        timing: all slices.
        reference: computing the expected outputs, once a workload.
        playoff: the whole play-off.
    """

    compiling: float = 10.0
    verifying: float = 10.0
    timing: float = 10.0
    reference: float = 120.0
    playoff: float = 60.0

    def deadlines(self) -> dict[str, float]:
        """By the names of the phases."""
        return {
            "compiling": self.compiling,
            "verifying": self.verifying,
            "timing": self.timing,
            "reference": self.reference,
            "playoff": self.playoff,
        }


class Measurer:
    """Measures candidates on this machine, in worker processes."""

    def __init__(
        self,
        target: "Target",
        threads: int = 1,
        *,
        timeouts: Timeouts | None = None,
        timing: TimingPlan | None = None,
        playoff: PlayoffPlan | None = None,
        backend: str = "llvm",
        line_limit: int = LINE_LIMIT,
        workers: int | None = None,
        limits: WorkerLimits | None = None,
    ) -> None:
        """Start the workers.

        Args:
            target: to compile for.
            threads: of each kernel.
            timeouts: of the phases.
            timing: how a kernel is timed.
            playoff: how a play-off is held.
            backend: that compiles.
            line_limit: of the emitted code.
            workers: processes; by default 2 where a core is left to compile the next candidate while one is
                timed, else 1.
            limits: of each process.
        """
        self._target = target.to_json()
        self._threads = threads
        self._deadlines = (timeouts or Timeouts()).deadlines()
        self._timing = timing or TimingPlan()
        self._playoff = playoff or PlayoffPlan()
        self._backend = backend
        self._line_limit = line_limit
        self._workers = workers or (2 if physical_cores() > threads else 1)
        self._nominal: dict[ReferenceKind, float] = {}
        self._best: dict[str, float] = {}
        self._baselines: dict[str, Baseline] = {}
        preload = PRELOAD if threads == 1 else PRELOAD + _THREADED_PRELOAD
        self._pool = WorkerPool(self._workers, limits=limits or default_limits(threads), preload=preload)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers; trials that run are abandoned."""
        self._pool.close()

    def provide_reference(
        self,
        workload: str,
        outputs: Sequence[Array],
        reduction_length: int,
        sum_dtype: str = "",
        seed: int = 0,
    ) -> None:
        """Give the expected outputs of a workload, on the inputs that `make_inputs` makes from the seed.

        `reduction_length` and `sum_dtype` are those of the sums behind them. Without it they are computed
        from the program's expressions.
        """
        data = ReferenceData(tuple(outputs), reduction_length, sum_dtype)
        self._pool.add_blob(_reference_name(workload, seed), data.to_bytes())

    def expect(self, workload: str, seconds: float) -> None:
        """Tell the lowest cost known; candidates much slower stop at their first run."""
        self._best[workload] = min(seconds, self._best.get(workload, seconds))

    def compare_with(self, workload: str, program: "Program", seconds: float) -> None:
        """Time the candidates of a workload beside this kernel, which takes so long."""
        self._baselines[workload] = Baseline(program.to_json(), seconds)

    def measure(self, inputs: Sequence[MeasureInput]) -> list[MeasureResult]:
        """Measure candidates; the results in their order."""
        results = dict(self.iter_results(inputs))
        return [results[i] for i in range(len(inputs))]

    def iter_results(self, inputs: Sequence[MeasureInput]) -> Iterator[tuple[int, MeasureResult]]:
        """Measure candidates; each index and result as soon as it is there."""
        tickets: dict[int, int] = {}
        position = 0
        while position < len(inputs) or tickets:
            while position < len(inputs) and len(tickets) < self._workers:
                tickets[self._submit(inputs[position])] = position
                position += 1
            ticket, outcome = self._pool.wait()
            index = tickets.pop(ticket, None)
            if index is None:
                continue  # of an iteration that was given up
            result = to_result(outcome)
            if result.state == "ok" and result.seconds is not None:
                self.expect(inputs[index].workload, result.seconds)
            yield index, result

    def playoff(self, inputs: Sequence[MeasureInput], default: int = 0) -> PlayoffResult:
        """Compare the best candidates with the default; one that fails is left out.

        Args:
            inputs: the candidates, the most promising first.
            default: index of the candidate that ships unless another is significantly faster.
        """
        if not 0 <= default < len(inputs):
            raise MeasureSetupError(f"play-off of {len(inputs)} candidates: there is no default {default}")
        lost: dict[int, PlayoffEntry] = {}
        while len(lost) < len(inputs):
            order = [i for i in range(len(inputs)) if i not in lost]
            outcome = self._run_playoff([inputs[i] for i in order], order, default)
            if outcome.status == "done":
                found = msgspec.msgpack.decode(outcome.payload, type=PlayoffResult)
                entries = {**lost, **dict(zip(order, found.entries, strict=True))}
                winner = None if found.winner is None else order[found.winner]
                return PlayoffResult(tuple(entries[i] for i in range(len(inputs))), winner, found.rounds)
            for i in _blame(outcome, order):
                result = to_result(outcome)
                lost[i] = PlayoffEntry(state=result.state, error=result.error)
        return PlayoffResult(tuple(lost[i] for i in range(len(inputs))), None)

    def nominal_seconds(self, kind: ReferenceKind) -> float:
        """The nominal time of one pass of a reference loop on this machine."""
        if kind not in self._nominal:
            payload = msgspec.msgpack.encode(CalibrateRequest(kind, self._timing))
            outcome = self._pool.run(Job("calibrate", payload))
            if outcome.status != "done":
                raise MeasureSetupError(f"the {kind} reference loop does not run here: {outcome.message}")
            self._nominal[kind] = msgspec.msgpack.decode(outcome.payload, type=float)
        return self._nominal[kind]

    def _submit(self, trial: MeasureInput) -> int:
        best, baseline = self._best.get(trial.workload), self._baselines.get(trial.workload)
        request = MeasureRequest(self._request(trial), self._timing, best, baseline)
        payload = msgspec.msgpack.encode(request)
        blobs = (request.candidate.reference,)
        return self._pool.submit(Job("measure", payload, self._deadlines, blobs=blobs))

    def _run_playoff(self, inputs: list[MeasureInput], order: list[int], default: int) -> Outcome:
        candidates = tuple(self._request(trial) for trial in inputs)
        position = order.index(default) if default in order else 0
        payload = msgspec.msgpack.encode(PlayoffRequest(candidates, position, self._playoff))
        blobs = tuple(dict.fromkeys(candidate.reference for candidate in candidates))
        return self._pool.run(Job("playoff", payload, self._deadlines, blobs=blobs))

    def _request(self, trial: MeasureInput) -> BuildRequest:
        return BuildRequest(
            program=trial.program.to_json(),
            target=self._target,
            reference=self._find_reference(trial),
            seed=trial.seed,
            threads=self._threads,
            backend=self._backend,
            line_limit=self._line_limit,
            reference_kind=trial.reference_kind,
            nominal_seconds=self.nominal_seconds(trial.reference_kind),
        )

    def _find_reference(self, trial: MeasureInput) -> str:
        name = _reference_name(trial.workload, trial.seed)
        if not self._pool.has_blob(name):
            payload = msgspec.msgpack.encode(ReferenceRequest(trial.program.to_json(), trial.seed))
            outcome = self._pool.run(Job("reference", payload, self._deadlines))
            if outcome.status != "done":
                raise MeasureSetupError(f"reference of {trial.workload}: {outcome.message}")
            self._pool.add_blob(name, outcome.payload)
        return name


def _blame(outcome: Outcome, order: list[int]) -> list[int]:
    """The candidates that a failed play-off loses: the one in whose phase it failed, else all."""
    _, _, position = outcome.phase.partition(":")
    return [order[int(position)]] if position.isdigit() else order


def _reference_name(workload: str, seed: int) -> str:
    return hashlib.sha256(f"{seed} {workload}".encode()).hexdigest()[:32]
