"""The worker pool keeps its promises whatever a job does to its worker."""

import itertools
import os
import signal
import time
from collections.abc import Iterator

import pytest

from tilewright.measure.outcome import Job, WorkerLimits
from tilewright.measure.pool import WorkerPool
from tilewright.measure.result import MeasureSetupError

PRELOAD = ("tilewright.measure.faults",)


def fault(text: str, **options: object) -> Job:
    return Job("fault", text.encode(), **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    with WorkerPool(preload=PRELOAD) as made:
        yield made


def test_a_job_answers_with_bytes(pool: WorkerPool) -> None:
    outcome = pool.run(fault("echo hello"))
    assert (outcome.status, outcome.payload) == ("done", b"hello")


def test_an_exception_is_an_outcome_and_the_worker_stays(pool: WorkerPool) -> None:
    before = pool.run(fault("pid")).payload
    outcome = pool.run(fault("raise no such axis"))
    assert (outcome.status, outcome.message) == ("error", "ValueError: no such axis")
    assert pool.run(fault("pid")).payload == before


def test_an_unknown_job_is_an_error(pool: WorkerPool) -> None:
    assert pool.run(Job("nonsense")).status == "error"


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGFPE", "SIGILL", "SIGBUS"])
def test_death_by_signal_is_a_crash_with_its_name(pool: WorkerPool, name: str) -> None:
    outcome = pool.run(fault(f"signal {int(signal.Signals[name])}"))
    assert (outcome.status, outcome.signal) == ("crash", name)


def test_a_store_to_a_bad_address_is_a_crash(pool: WorkerPool) -> None:
    assert pool.run(fault("segfault")).signal == "SIGSEGV"
    assert pool.run(fault("echo on")).payload == b"on"


def test_an_exit_is_a_crash(pool: WorkerPool) -> None:
    outcome = pool.run(fault("exit 3"))
    assert (outcome.status, outcome.signal) == ("crash", None)
    assert "status 3" in outcome.message


@pytest.mark.parametrize("job", ["sleep 30", "spin"])
def test_a_hanging_job_ends_at_its_deadline(pool: WorkerPool, job: str) -> None:
    outcome = pool.run(fault(job, other_deadline=0.3))
    assert outcome.status == "timeout"
    assert "took longer than 0.3 s" in outcome.message
    assert pool.run(fault("echo on")).payload == b"on"


def test_each_phase_has_its_deadline(pool: WorkerPool) -> None:
    job = fault("sleep 5", deadlines={"sleeping": 0.2}, other_deadline=60)
    outcome = pool.run(job)
    assert (outcome.status, outcome.phase) == ("timeout", "sleeping")
    assert outcome.phase_seconds["sleeping"] >= 0.2


def test_exhausted_memory_is_an_outcome() -> None:
    limits = WorkerLimits(address_bytes=2 << 30)
    with WorkerPool(preload=PRELOAD, limits=limits) as pool:
        outcome = pool.run(fault(f"allocate {4 << 30}"))
        assert outcome.status == "out_of_memory"
        assert pool.run(fault("allocate 1000")).payload == b"1000"


def test_a_worker_is_replaced_after_its_jobs() -> None:
    with WorkerPool(preload=PRELOAD, limits=WorkerLimits(jobs=3)) as pool:
        pids = [pool.run(fault("pid")).payload for _ in range(9)]
    assert len(set(pids)) == 3


def test_a_worker_is_replaced_when_it_holds_much_memory() -> None:
    with WorkerPool(preload=PRELOAD, limits=WorkerLimits(resident_bytes=1)) as pool:
        assert len({pool.run(fault("pid")).payload for _ in range(3)}) == 3


def test_data_reach_every_worker(pool: WorkerPool) -> None:
    pool.add_blob("weights", b"0123456789abcdef" * 100_000)
    job = fault("blob weights", blobs=("weights",))
    assert pool.run(job).payload == b"0123456789abcdef"
    pool.run(fault("signal 9"))
    assert pool.run(job).payload == b"0123456789abcdef"


def test_a_job_cannot_name_data_that_were_never_given(pool: WorkerPool) -> None:
    with pytest.raises(MeasureSetupError, match="never received"):
        pool.submit(fault("blob x", blobs=("x",)))


def test_exclusive_phases_never_overlap() -> None:
    with WorkerPool(3, preload=PRELOAD) as pool:
        for _ in range(6):
            pool.submit(fault("alone 0.05"))
        outcomes = [pool.wait()[1] for _ in range(6)]
    spans = sorted(tuple(map(float, outcome.payload.split())) for outcome in outcomes)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))


def test_waiting_for_a_turn_has_no_deadline() -> None:
    with WorkerPool(2, preload=PRELOAD) as pool:
        for _ in range(3):
            pool.submit(fault("alone 0.3", other_deadline=0.5))
        assert [pool.wait()[1].status for _ in range(3)] == ["done"] * 3


def test_a_death_in_an_exclusive_phase_frees_the_turn() -> None:
    with WorkerPool(2, preload=PRELOAD) as pool:
        pool.submit(fault("alone 5", other_deadline=0.2))
        pool.submit(fault("alone 0.01", other_deadline=5.0))
        assert sorted(pool.wait()[1].status for _ in range(2)) == ["done", "timeout"]


def test_jobs_run_side_by_side_and_come_back_by_ticket() -> None:
    with WorkerPool(2, preload=PRELOAD) as pool:
        slow, fast = pool.submit(fault("sleep 0.5")), pool.submit(fault("echo x"))
        assert [pool.wait()[0], pool.wait()[0]] == [fast, slow]


def test_waiting_without_a_job_is_an_error(pool: WorkerPool) -> None:
    with pytest.raises(MeasureSetupError, match="no job"):
        pool.wait()


def server_of(pool: WorkerPool) -> int:
    worker = int(pool.run(fault("pid")).payload)
    with open(f"/proc/{worker}/stat") as stat:
        return int(stat.read().rpartition(")")[2].split()[1])


def test_the_process_that_forks_has_one_thread() -> None:
    with WorkerPool() as pool:
        assert len(os.listdir(f"/proc/{server_of(pool)}/task")) == 1


def test_nothing_is_left_after_close() -> None:
    before = set(os.listdir("/proc/self/fd"))
    pool = WorkerPool(2, preload=PRELOAD)
    pids = [int(pool.run(fault("pid")).payload)]
    pool.submit(fault("spin"))
    pool.close()
    pool.close()
    assert set(os.listdir("/proc/self/fd")) == before
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)


def test_a_server_that_dies_is_started_again() -> None:
    with WorkerPool(preload=PRELOAD) as pool:
        os.kill(server_of(pool), signal.SIGKILL)
        time.sleep(0.1)
        outcomes = [pool.run(fault("echo x")).status for _ in range(4)]
        assert outcomes[-1] == "done"


def test_a_broken_interpreter_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(MeasureSetupError, match="cannot start"), WorkerPool(preload=PRELOAD) as pool:
        pool.run(fault("echo x"))
