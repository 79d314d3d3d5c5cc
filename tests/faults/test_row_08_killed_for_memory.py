"""Row 8: the kernel ends a worker for lack of memory; that is told from a crash, and tuning goes on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.memory_group import memory_group
from tilewright.measure import control_group
from tilewright.measure.outcome import Job
from tilewright.measure.pool import WorkerPool

GROUP_BYTES = 256 << 20
TIMES = 20

TUNER = """
import sys
from pathlib import Path
from tests.faults.crashing import program_of, quick_measurer
from tests.faults.memory_group import join
join(Path(sys.argv[1]))
SIZE = 1 << 32
FILL = (
    f"  %m = call ptr @malloc(i64 {SIZE})\\n"
    f"  call void @llvm.memset.p0.i64(ptr %m, i8 1, i64 {SIZE}, i1 true)"
)
DECLARED = "declare ptr @malloc(i64)\\ndeclare void @llvm.memset.p0.i64(ptr, i8, i64, i1)"
with quick_measurer() as measurer:
    for _ in range(int(sys.argv[2])):
        result = measurer.try_program(program_of(FILL, DECLARED))
        assert (result.state, result.signal) == ("out_of_memory", "SIGKILL"), result
        assert "for lack of memory; the limit is 0.25 GiB" in result.error, result.error
    assert measurer.try_program(program_of("")).state == "ok"
print("done")
"""


def fill_memory(root: Path, times: int) -> None:
    with memory_group(GROUP_BYTES) as folder:
        run = subprocess.run(
            [sys.executable, "-c", TUNER, str(folder), str(times)],
            capture_output=True, text=True, cwd=root, env={**os.environ, "PYTHONPATH": str(root)},
        )  # fmt: skip
    assert (run.returncode, run.stdout) == (0, "done\n"), run.stderr


def test_row_08_a_kernel_beyond_the_group_s_memory_is_out_of_memory(root: Path) -> None:
    fill_memory(root, times=1)


@pytest.mark.slow
def test_row_08_20_kernels_beyond_the_group_s_memory_are_out_of_memory(root: Path) -> None:
    fill_memory(root, TIMES)


def test_row_08_a_kill_is_for_memory_where_the_system_counted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a group of its own: the count is a file's, the kill is real."""
    counted = tmp_path / "proc/vmstat"
    counted.parent.mkdir()
    monkeypatch.setattr(control_group, "_ROOT", tmp_path)
    counted.write_text("oom_kill 0")
    with WorkerPool(preload=("tilewright.measure.faults",)) as pool:
        for kills in range(1, TIMES + 1):
            outcome = pool.run(Job("fault", b"signal 9"))
            assert (outcome.status, outcome.signal) == ("crash", "SIGKILL")
            counted.write_text(f"oom_kill {kills}")
            outcome = pool.run(Job("fault", b"signal 9"))
            assert (outcome.status, outcome.signal) == ("out_of_memory", "SIGKILL")
            assert "for lack of memory; the limit is" in outcome.message
