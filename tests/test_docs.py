"""Runs what the documents show. Blocks of a page run in order in one empty folder; the fence says how:

``python`` runs as a script, ``python needs=PACKAGE`` does where it is installed, ``python file=NAME`` is
written to a file, ``bash`` runs and stops at the first error, ``bash norun`` is only looked at: its make
targets must exist. All others are for reading.
"""

import importlib.util
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tilewright.compiler.schedule.schedule import Schedule
from tilewright.compiler.schedule.stage import Stage
from tilewright.compiler.schedule.steps import Step

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(\S+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]


@dataclass(frozen=True)
class Block:
    language: str
    options: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [Block(m[1], m[2].strip(), m[3], text[: m.start()].count("\n") + 1) for m in FENCE.finditer(text)]


def run(command: list[str], folder: Path, place: str) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "COLUMNS": "120"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, f"{place}\n{done.stdout}{done.stderr}"


def run_block(block: Block, folder: Path, place: str) -> None:
    match block.language, block.options:
        case "python", options if options.startswith("needs=") and not is_installed(options):
            return
        case "python", options if options == "" or options.startswith("needs="):
            script = folder / "block.py"
            script.write_text(block.text)
            run([sys.executable, script.name], folder, place)
        case "python", options if options.startswith("file="):
            (folder / options.removeprefix("file=")).write_text(block.text)
        case "bash", "":
            run(["bash", "-euo", "pipefail", "-c", block.text], folder, place)
        case "bash", "norun":
            check_make_targets(block.text, place)
        case "python" | "bash", options:
            pytest.fail(f"{place}: the fence says {options!r}; it may say file=NAME, needs=PACKAGE or norun")


def is_installed(options: str) -> bool:
    return importlib.util.find_spec(options.removeprefix("needs=")) is not None


def check_make_targets(text: str, place: str) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    used = re.findall(r"^make ([a-z-]+)", text, re.MULTILINE)
    assert set(used) <= set(targets), place


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_what_a_page_shows_works(page: Path, tmp_path: Path) -> None:
    for block in blocks(page):
        run_block(block, tmp_path, f"{page.name}:{block.line}")


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text()) if "://" not in link]
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing


def test_every_fence_is_closed_and_has_a_language() -> None:
    for page in PAGES:
        fences = len(re.findall(r"^```", page.read_text(), re.MULTILINE))
        assert fences == 2 * len(blocks(page)), page.name


def test_the_reference_names_every_primitive() -> None:
    text = (ROOT / "docs" / "reference" / "primitives.md").read_text()
    kinds = {step.__struct_config__.tag for step in Step.__args__} - {"annotate"}
    public = {name for made in (Schedule, Stage) for name in vars(made) if not name.startswith("_")}
    primitives = (public & kinds) | {"tile", "vectorize", "unroll", "parallel", "pack"}
    missing = [name for name in sorted(primitives) if f"`{name}(" not in text]
    assert not missing
