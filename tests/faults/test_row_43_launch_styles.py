"""Row 43: workers start whatever started the tuner, and import none of its code; or one line says why not."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
from tilewright.measure.outcome import Job
from tilewright.measure.pool import WorkerPool
print("main runs")
with WorkerPool(preload=("tilewright.measure.faults",)) as pool:
    print(pool.run(Job("fault", b"echo answer")).payload.decode())
"""


def check(done: "subprocess.CompletedProcess[str]") -> None:
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["main runs", "answer"], done.stdout
    assert "Traceback" not in done.stderr


def launch(arguments: list[str], text: str | None = None, cwd: Path | None = None) -> None:
    command = [sys.executable, *arguments]
    check(subprocess.run(command, input=text, capture_output=True, text=True, timeout=30, cwd=cwd))


def test_row_43_python_c() -> None:
    launch(["-c", PROGRAM])


def test_row_43_standard_input() -> None:
    launch(["-"], PROGRAM)


def test_row_43_script_without_a_main_guard_beside_a_file_that_shadows_a_module(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(PROGRAM.replace("print(pool", "import shadow; print(pool"))
    (tmp_path / "shadow.py").write_text("")
    (tmp_path / "selectors_unused.py").write_text("")
    launch([str(script)])


def test_row_43_workers_do_not_see_the_folder_of_the_script(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import msgspec, numpy, selectors, tempfile\n" + PROGRAM)
    (tmp_path / "msgspec_marker").write_text("")
    script.write_text(PROGRAM.replace('print("main', "open('numpy.py', 'w').write('1/0'); print(\"main"))
    launch([str(script)], cwd=tmp_path)


def test_row_43_module(tmp_path: Path) -> None:
    (tmp_path / "runs_as_module.py").write_text(PROGRAM)
    launch(["-m", "runs_as_module"], cwd=tmp_path)


def test_row_43_interactive_prompt() -> None:
    command = [sys.executable, "-i", "-q", "-c", "import sys; sys.ps1 = sys.ps2 = ''"]
    lines = PROGRAM.rstrip() + "\n\n"
    check(subprocess.run(command, input=lines, capture_output=True, text=True, timeout=30))


def test_row_43_notebook_namespace() -> None:
    kernel = "import sys, types; main = sys.modules['__main__'] = types.ModuleType('__main__'); "
    launch(["-c", f"{kernel}exec({PROGRAM!r}, main.__dict__)"])


FROZEN = """
import os, sys
sys.frozen = True
sys.executable = os.path.abspath("application")
"""


def test_row_43_frozen_application_says_in_one_line_what_it_lacks(tmp_path: Path) -> None:
    """The interpreter that it names is itself, which would start over and over again."""
    application = tmp_path / "application"
    application.write_text("#!/bin/sh\necho started >> starts\n")
    application.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", FROZEN + PROGRAM], capture_output=True, text=True, timeout=30, cwd=tmp_path
    )
    *_, reason = done.stderr.splitlines()
    assert done.returncode == 1
    assert "MeasureSetupError: workers need a Python interpreter" in reason
    assert not (tmp_path / "starts").exists()
