"""Row 32: names of operators and tensors never become code: they are refused, and symbols are made by us."""

import json
import re

import numpy as np
import pytest

from tilewright.compiler import te
from tilewright.compiler.errors import TilewrightError
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import create_schedule
from tilewright.deploy import build_schedule

HOSTILE = (
    'A"); evil(', "a\nret void\n}", "x'y", "%0", "@main", "a b", "ä", "a;b", "$(touch x)", "{0}", "\x00", "",
    "1a", 'C" = external global i8 ;', "!0", "import os", "a\\22", "../a",
)  # fmt: skip
ODD = (
    "define", "ret", "kernel", "run_part", "main", "import", "class", "None", "lambda", "a.b",
    "a" * 300, "v1",
    "np",
)  # fmt: skip
SYMBOL = re.compile(r'[@%](?:"([^"]*)"|([-a-zA-Z$._0-9]+))')
PLAIN = re.compile(r"[A-Za-z0-9_.]+")


def stored_program() -> str:
    a = te.placeholder((8,), "float32", name="operand")
    c = te.compute((8,), lambda i: a[i] * 2.0, name="result")
    return Program.from_schedule(create_schedule(c), [a, c]).to_json()


@pytest.mark.parametrize("name", HOSTILE, ids=repr)
def test_row_32_hostile_names_of_tensors_and_axes_are_refused(name: str) -> None:
    a = te.placeholder((8,), "float32", name="A")
    with pytest.raises(TilewrightError):
        te.placeholder((8,), "float32", name=name)
    with pytest.raises(TilewrightError):
        te.compute((8,), lambda i: a[i] * 2.0, name=name)
    with pytest.raises(TilewrightError):
        te.reduce_axis((0, 8), name=name)


@pytest.mark.parametrize("name", HOSTILE, ids=repr)
@pytest.mark.parametrize("part", ["operand", "result"])
def test_row_32_hostile_names_in_a_stored_program_are_refused(name: str, part: str) -> None:
    text = stored_program().replace(f'"{part}"', json.dumps(name))
    with pytest.raises(TilewrightError):
        Program.from_json(text)


@pytest.mark.parametrize("name", ODD, ids=repr)
@pytest.mark.parametrize("backend", ["llvm", "numba"])
def test_row_32_symbols_of_compiled_code_are_plain(name: str, backend: str) -> None:
    a = te.placeholder((8,), "float32", name=name)
    c = te.compute((8,), lambda i: a[i] * 2.0, name=f"{name}_out")
    kernel = build_schedule(create_schedule(c), [a, c], threads=1, backend=backend)
    symbols = {quoted or bare for quoted, bare in SYMBOL.findall(kernel.source("llvm"))}
    assert {"kernel", "args"} <= symbols
    assert all(PLAIN.fullmatch(symbol) for symbol in symbols), symbols
    compile(kernel.source("numba"), "kernel", "exec")
    assert np.array_equal(kernel(np.ones(8, np.float32)), np.full(8, 2, np.float32))
