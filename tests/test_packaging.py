"""The wheel: what is in it, and that it works when it is all there is."""

import ast
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

FILES = ("pyproject.toml", "README.md", "LICENSE", "NOTICE")
# Neither `site` nor the working directory: only the unpacked wheel and the dependencies can be imported.
PRELUDE = "import sys; sys.path[:0] = {paths!r}; sys.argv[1:] = {arguments!r}; "


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy without the links at the root."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    shutil.copytree(root / "tilewright", source / "tilewright", ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(root / name, source)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        ".",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(target),
    ]
    run = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    (path,) = target.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def run_installed(
    installed: Path, tmp_path: Path, code: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    paths = [str(installed), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    script = PRELUDE.format(paths=paths, arguments=list(arguments)) + code
    command = [sys.executable, "-I", "-S", "-c", script]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)


def tracked_files(root: Path) -> set[str]:
    """Every file of the package that git knows or would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "tilewright"]
    try:
        run = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return {name for name in run.stdout.splitlines() if (root / name).exists()}


def imported_packages(root: Path) -> set[str]:
    """The packages that the sources import, the standard library's and our own left out."""
    found: set[str] = set()
    for path in (root / "tilewright").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add((node.module or "").partition(".")[0])
    return found - {*sys.stdlib_module_names, "tilewright"}


def test_the_metadata_names_what_is_imported(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[^\w]", line, maxsplit=1)[0].lower() for line in project["dependencies"]}
    extras = {"torch", "matplotlib"}
    # Numba finds tbb by itself.
    assert declared - {"tbb"} == {name.lower() for name in imported_packages(root)} - extras


def test_the_wheel_holds_every_module_and_nothing_else(root: Path, names: set[str]) -> None:
    assert {name for name in names if ".dist-info/" not in name} == tracked_files(root)


def test_the_wheel_holds_types_and_licences(names: set[str]) -> None:
    assert "tilewright/py.typed" in names
    licences = {Path(name).name for name in names if ".dist-info/licenses/" in name}
    assert licences == {"LICENSE", "NOTICE"}


def test_the_parts_are_not_packages_of_their_own(installed: Path, tmp_path: Path) -> None:
    for part in ("compiler", "templates", "measure", "logs", "tuners"):
        run = run_installed(installed, tmp_path, f"import {part}")
        assert "ModuleNotFoundError" in run.stderr


def test_the_wheel_alone_builds_and_runs_a_kernel(installed: Path, tmp_path: Path) -> None:
    code = (
        "import numpy as np, tilewright as tw; "
        "kernel = tw.build('matmul', m=17, n=9, k=5, threads=1); "
        "a, b = np.ones((17, 5), 'float32'), np.ones((5, 9), 'float32'); "
        "print(tw.__file__, (kernel(a, b) == 5).all())"
    )
    run = run_installed(installed, tmp_path, code)
    assert run.stdout.split() == [str(installed / "tilewright" / "__init__.py"), "True"], run.stderr


def test_the_wheel_alone_lists_the_operators(root: Path, installed: Path, tmp_path: Path) -> None:
    if not (root / "tilewright" / "__main__.py").exists():
        pytest.skip("there is no command line")
    code = "import runpy; runpy.run_module('tilewright', run_name='__main__', alter_sys=True)"
    run = run_installed(installed, tmp_path, code, "ops", "--json")
    assert run.returncode == 0, run.stderr
    assert "matmul" in {op["name"] for op in json.loads(run.stdout)["ops"]}
