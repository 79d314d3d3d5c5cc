"""A small pool of worker processes with deadlines that the parent enforces by killing.

One thread drives it: deadlines are watched in `wait` and `run`. It survives whatever a job does to its
worker, and its processes never outlive this one (see `fork_server`).
"""

import os
import selectors
import time
from collections import deque
from collections.abc import Sequence
from typing import Self

from tilewright.measure.control_group import out_of_memory_kills
from tilewright.measure.messages import FromWorker, Go, Phase, Ready, Reply
from tilewright.measure.outcome import Job, Outcome, WorkerLimits, default_limits, describe_limit
from tilewright.measure.result import MeasureSetupError
from tilewright.measure.server_process import ServerProcess, anonymous_file
from tilewright.measure.worker_handle import WorkerHandle

PRELOAD = (
    "numpy",
    "llvmlite.binding",
    "tilewright.measure.worker",
    "tilewright.measure.builder",
    "tilewright.measure.runner",
    "tilewright.compiler.runtime:repeat_function",
    "tilewright.measure.compiler_preload:compile_sample",
)
_SPARE_WORKERS = 1
_FAILED_STARTS = 3
_WAITING = "waiting"


class WorkerPool:
    """Runs jobs in `workers` processes, with one more started and idle to replace one that dies."""

    def __init__(
        self,
        workers: int = 1,
        *,
        limits: WorkerLimits | None = None,
        preload: Sequence[str] = PRELOAD,
    ) -> None:
        if workers < 1:
            raise MeasureSetupError(f"workers={workers}: a pool needs at least 1")
        self._workers = workers
        self._limits = limits or default_limits()
        self._preload = tuple(preload)
        self._selector = selectors.DefaultSelector()
        self._handles: dict[int, WorkerHandle] = {}
        self._waiting: deque[tuple[int, Job]] = deque()
        self._finished: deque[tuple[int, Outcome]] = deque()
        self._turns: deque[WorkerHandle] = deque()
        self._blobs: dict[str, tuple[int, int]] = {}
        self._next_worker = 0
        self._next_job = 0
        self._failed_starts = 0
        self._memory_kills = out_of_memory_kills()
        self._server = ServerProcess(self._preload, self._limits.address_bytes)
        self._replenish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add_blob(self, name: str, data: bytes | memoryview) -> None:
        """Keep `data` for jobs that name it; each worker gets it once, without a copy."""
        if name in self._blobs:
            return
        file = anonymous_file("tilewright-blob")
        view = memoryview(data).cast("B")
        while len(view):
            view = view[file.write(view) :]
        self._blobs[name] = (os.dup(file.fileno()), len(memoryview(data).cast("B")))
        file.close()

    def has_blob(self, name: str) -> bool:
        """Whether `add_blob` was called with this name."""
        return name in self._blobs

    def submit(self, job: Job) -> int:
        """Queue a job; the ticket comes back from `wait` with its outcome."""
        missing = [name for name in job.blobs if name not in self._blobs]
        if missing:
            raise MeasureSetupError(f"job {job.name!r} reads {missing[0]!r}, which add_blob never received")
        self._next_job += 1
        self._waiting.append((self._next_job, job))
        self._dispatch()
        return self._next_job

    def wait(self) -> tuple[int, Outcome]:
        """Block until a job ends; the ticket and the outcome, in the order of their ends."""
        while not self._finished:
            if not self.pending:
                raise MeasureSetupError("wait: no job was submitted")
            self._step()
        return self._finished.popleft()

    def run(self, job: Job) -> Outcome:
        """Submit a job and wait for it; other jobs go on meanwhile."""
        ticket = self.submit(job)
        others: list[tuple[int, Outcome]] = []
        while (ended := self.wait())[0] != ticket:
            others.append(ended)
        self._finished.extendleft(reversed(others))
        return ended[1]

    @property
    def pending(self) -> int:
        """The jobs whose outcome `wait` has not given yet."""
        running = sum(handle.running is not None for handle in self._handles.values())
        return len(self._waiting) + running + len(self._finished)

    def close(self) -> None:
        """End all processes; jobs that run are abandoned."""
        self._server.close()
        for handle in self._handles.values():
            handle.close()
        for descriptor, _ in self._blobs.values():
            os.close(descriptor)
        self._handles.clear()
        self._blobs.clear()
        self._waiting.clear()
        self._selector.close()

    def _replenish(self) -> None:
        """Start processes until there are as many as there should be."""
        if not self._server.is_alive:
            self._restart_server()
        live = sum(not handle.is_retired for handle in self._handles.values())
        for _ in range(self._workers + _SPARE_WORKERS - live):
            self._next_worker += 1
            handle = WorkerHandle(self._next_worker, self._server)
            self._handles[handle.number] = handle
            self._selector.register(handle.channel, selectors.EVENT_READ, handle)
            self._selector.register(handle.status, selectors.EVENT_READ, handle)

    def _restart_server(self) -> None:
        self._failed_starts += 1
        errors = self._server.errors()
        if self._failed_starts >= _FAILED_STARTS:
            raise MeasureSetupError(f"worker processes cannot start: {errors or 'their server died'}")
        self._server.close()
        self._server = ServerProcess(self._preload, self._limits.address_bytes)

    def _dispatch(self) -> None:
        busy = sum(handle.running is not None for handle in self._handles.values())
        idle = [h for h in self._handles.values() if h.running is None and not h.is_retired]
        idle.sort(key=lambda handle: (-handle.jobs_done, handle.number))  # caches are warm where jobs ran
        for handle in idle[: max(0, self._workers - busy)]:
            if not self._waiting:
                return
            number, job = self._waiting.popleft()
            handle.start(number, job, self._blobs, self._limits.threads)
            if not handle.is_ready and handle.running is not None:
                handle.running.deadline = time.monotonic() + self._limits.start_seconds

    def _step(self) -> None:
        """Wait for the next event or deadline and deal with it."""
        dead: list[WorkerHandle] = []
        for handle in self._handles.values():
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if handle.channel.has_outgoing else 0)
            if not handle.channel.at_end:
                self._selector.modify(handle.channel, events, handle)
        for key, _ in self._selector.select(self._patience()):
            handle = key.data
            if key.fd != handle.status:
                handle.channel.flush()
                self._read(handle)
            else:
                dead.append(handle)
        self._enforce()
        for handle in dead:
            self._bury(handle)
        self._dispatch()

    def _patience(self) -> float | None:
        deadlines = [h.running.deadline for h in self._handles.values() if h.running is not None]
        nearest = min((deadline for deadline in deadlines if deadline is not None), default=None)
        return None if nearest is None else max(0.0, nearest - time.monotonic())

    def _enforce(self) -> None:
        """Kill the workers whose phase has taken too long."""
        now = time.monotonic()
        for handle in self._handles.values():
            running = handle.running
            if running is not None and running.deadline is not None and running.deadline <= now:
                running.verdict = "timeout"
                running.deadline = None
                self._server.kill(handle.number)

    def _read(self, handle: WorkerHandle) -> None:
        for message in handle.channel.receive():
            self._take(handle, message)
        if handle.channel.at_end and handle.channel in self._selector.get_map():
            self._selector.unregister(handle.channel)

    def _take(self, handle: WorkerHandle, message: FromWorker) -> None:
        running = handle.running
        if isinstance(message, Ready):
            handle.is_ready = True
            self._failed_starts = 0
        elif running is None or running.verdict is not None or running.number != message.number:
            return
        elif isinstance(message, Phase):
            self._enter_phase(handle, message)
        elif isinstance(message, Reply):
            running.enter("", None)
            outcome = Outcome("done", message.payload, phase_seconds=running.phase_seconds)
            self._finish(handle, outcome, message.resident_bytes)
        else:
            phase = running.phase
            running.enter("", None)
            status, text = message.kind, message.message
            if status == "out_of_memory":
                text += describe_limit(self._limits.address_bytes)
            outcome = Outcome(status, b"", phase, None, text, running.phase_seconds)
            # After an exhausted allocation the heap is fragmented: begin with a fresh process.
            self._finish(handle, outcome, self._limits.resident_bytes + 1 if status != "error" else 0)

    def _enter_phase(self, handle: WorkerHandle, message: Phase) -> None:
        running = handle.running
        assert running is not None
        if not message.exclusive:
            running.enter(message.name, running.job.deadline(message.name))
            return
        running.enter(_WAITING, None)
        running.verdict = None
        self._turns.append(handle)
        handle.wanted_phase = message.name
        self._give_turn()

    def _give_turn(self) -> None:
        """Let the first worker in the queue enter its exclusive phase, unless one is in such a phase."""
        if not self._turns:
            return
        handle = self._turns[0]
        running = handle.running
        if running is not None and running.phase == _WAITING:
            running.enter(handle.wanted_phase, running.job.deadline(handle.wanted_phase))
            handle.channel.send(Go(running.number))

    def _finish(self, handle: WorkerHandle, outcome: Outcome, resident_bytes: int = 0) -> None:
        assert handle.running is not None
        self._finished.append((handle.running.number, outcome))
        handle.running = None
        handle.jobs_done += 1
        if handle in self._turns:
            self._turns.remove(handle)
            self._give_turn()
        if handle.jobs_done >= self._limits.jobs or resident_bytes > self._limits.resident_bytes:
            handle.is_retired = True
            self._server.kill(handle.number)
            self._replenish()

    def _bury(self, handle: WorkerHandle) -> None:
        """A worker has ended: report its job, start another."""
        handle.read_exit()
        self._read(handle)
        if handle.running is not None:
            kills = out_of_memory_kills()
            is_kill = kills > self._memory_kills
            self._finish(handle, handle.end(is_kill, self._limits.address_bytes))
            self._memory_kills = kills
        if not handle.channel.at_end:
            self._selector.unregister(handle.channel)
        self._selector.unregister(handle.status)
        self._handles.pop(handle.number)
        if not handle.is_ready:
            self._count_failed_start(handle)
        handle.close()
        self._replenish()

    def _count_failed_start(self, handle: WorkerHandle) -> None:
        self._failed_starts += 1
        if self._failed_starts >= _FAILED_STARTS:
            raise MeasureSetupError(f"worker processes cannot start: {handle.errors() or 'they die at once'}")
