"""Workers start whatever started the tuner, import none of its code, and end with it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = """
from tilewright.measure.outcome import Job
from tilewright.measure.pool import WorkerPool
print("main runs")
with WorkerPool(preload=("tilewright.measure.faults",)) as pool:
    print(pool.run(Job("fault", b"echo answer")).payload.decode())
"""

PARENT = """
import time
from tilewright.measure.outcome import Job
from tilewright.measure.pool import WorkerPool
pool = WorkerPool(2, preload=("tilewright.measure.faults",))
pids = [pool.run(Job("fault", b"pid")).payload.decode()]
pool.submit(Job("fault", b"JOB"))
pool.submit(Job("fault", b"JOB"))
time.sleep(0.2)
print(*pids, flush=True)
time.sleep(60)
"""


def check(done: "subprocess.CompletedProcess[str]") -> None:
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["main runs", "answer"], done.stdout
    assert "Traceback" not in done.stderr


def launch(arguments: list[str], text: str | None = None, cwd: Path | None = None) -> None:
    command = [sys.executable, *arguments]
    check(subprocess.run(command, input=text, capture_output=True, text=True, timeout=30, cwd=cwd))


def test_python_c() -> None:
    launch(["-c", PROGRAM])


def test_standard_input() -> None:
    launch(["-"], PROGRAM)


def test_script_without_a_main_guard_beside_a_file_that_shadows_a_module(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(PROGRAM.replace("print(pool", "import shadow; print(pool"))
    (tmp_path / "shadow.py").write_text("")
    (tmp_path / "selectors_unused.py").write_text("")
    launch([str(script)])


def test_workers_do_not_see_the_folder_of_the_script(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import msgspec, numpy, selectors, tempfile\n" + PROGRAM)
    (tmp_path / "msgspec_marker").write_text("")
    script.write_text(PROGRAM.replace('print("main', "open('numpy.py', 'w').write('1/0'); print(\"main"))
    launch([str(script)], cwd=tmp_path)


def test_module(tmp_path: Path) -> None:
    (tmp_path / "runs_as_module.py").write_text(PROGRAM)
    launch(["-m", "runs_as_module"], cwd=tmp_path)


def test_interactive_prompt() -> None:
    command = [sys.executable, "-i", "-q", "-c", "import sys; sys.ps1 = sys.ps2 = ''"]
    lines = PROGRAM.rstrip() + "\n\n"
    check(subprocess.run(command, input=lines, capture_output=True, text=True, timeout=30))


def test_notebook_namespace() -> None:
    kernel = "import sys, types; main = sys.modules['__main__'] = types.ModuleType('__main__'); "
    launch(["-c", f"{kernel}exec({PROGRAM!r}, main.__dict__)"])


@pytest.mark.parametrize("job", ["spin", "sleep 60", "hold 60"])
def test_no_orphan_after_kill_9(job: str) -> None:
    command = [sys.executable, "-c", PARENT.replace("JOB", job)]
    tuner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert tuner.stdout is not None
    worker = int(tuner.stdout.readline().split()[0])
    group = os.getpgid(worker)
    assert group != os.getpgid(tuner.pid)
    tuner.kill()
    tuner.wait()
    tuner.stdout.close()
    deadline = time.monotonic() + 2.0
    while (left := processes_of(group)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left


def test_ctrl_c_leaves_the_pool_to_the_tuner() -> None:
    program = PARENT.replace("JOB", "spin").replace(
        "print(*pids, flush=True)\ntime.sleep(60)",
        "try:\n    print(*pids, flush=True)\n    pool.wait()\n"
        "except KeyboardInterrupt:\n    pool.close()\n    print('closed', flush=True)",
    )
    tuner = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert tuner.stdout is not None
    group = os.getpgid(int(tuner.stdout.readline().split()[0]))
    tuner.send_signal(signal.SIGINT)
    assert tuner.stdout.readline() == "closed\n"
    tuner.wait(5)
    tuner.stdout.close()
    assert not processes_of(group)


def processes_of(group: int) -> list[int]:
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(int(entry))
    return found
