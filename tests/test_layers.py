"""Rules that hold for the whole repository; each message says what to do instead."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PARTS = ("compiler", "templates", "measure", "logs", "tuners")
LONGEST_FILE = 500
LONGEST_FUNCTION = 50
ENVIRONMENT_READERS = {"settings.py"}


def python_files(root: Path, *folders: str) -> Iterator[tuple[str, Path]]:
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            yield path.relative_to(root).as_posix(), path


def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text())))


def length_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function, its docstring left out."""
    first = function.body[0]
    is_documented = ast.get_docstring(function) is not None
    docstring = (first.end_lineno or first.lineno) - first.lineno + 1 if is_documented else 0
    return (function.end_lineno or function.lineno) - function.lineno + 1 - docstring


def test_each_folder_imports_only_those_below_it(root: Path) -> None:
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    run = subprocess.run(
        [sys.executable, "-c", command, "--no-cache", "--no-logo"], cwd=root, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_no_file_is_longer_than_500_lines(root: Path) -> None:
    files = [*python_files(root, "tilewright", "tests", "benchmarks")]
    files += [
        (p.relative_to(root).as_posix(), p) for p in (*root.glob("*.md"), *(root / "docs").rglob("*.md"))
    ]
    counts = {name: len(path.read_text().splitlines()) for name, path in files}
    long = {name: count for name, count in counts.items() if count > LONGEST_FILE}
    assert not long, f"split by concept, one a file: {long}"


def test_no_function_is_longer_than_50_lines(root: Path) -> None:
    long = {
        f"{name}:{node.lineno} {node.name}": length
        for name, path in python_files(root, "tilewright", "tests", "benchmarks")
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := length_of(node)) > LONGEST_FUNCTION
    }
    assert not long, f"name its parts and make them functions: {long}"


def test_only_the_command_line_prints_to_standard_output(root: Path) -> None:
    found = [
        f"{name}:{node.lineno}"
        for name, path in python_files(root, "tilewright")
        if not name.startswith("tilewright/cli/")
        for node in nodes(path)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
        and not any(keyword.arg == "file" for keyword in node.keywords)
    ]
    assert not found, f"log by logging.getLogger(__name__): {found}"


def reads_environment(node: ast.AST) -> bool:
    names = {"environ", "environb", "getenv", "getenvb"}
    if isinstance(node, ast.Attribute):
        return node.attr in names and isinstance(node.value, ast.Name) and node.value.id == "os"
    if isinstance(node, ast.ImportFrom):
        return node.module == "os" and any(alias.name in names for alias in node.names)
    return False


def test_only_the_settings_read_the_environment(root: Path) -> None:
    found = {
        name.removeprefix("tilewright/")
        for name, path in python_files(root, "tilewright")
        if any(reads_environment(node) for node in nodes(path))
    }
    assert found <= ENVIRONMENT_READERS, f"read it in tilewright/settings.py: {found - ENVIRONMENT_READERS}"


@pytest.mark.parametrize("part", PARTS)
def test_the_links_at_the_root_are_relative(root: Path, part: str) -> None:
    link = root / part
    if not link.is_symlink():
        pytest.skip("this copy has lost the links; nothing depends on them")
    assert os.readlink(link) == f"tilewright/{part}"
    assert (link / "__init__.py").is_file()
