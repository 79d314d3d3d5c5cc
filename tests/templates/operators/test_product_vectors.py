"""Products with a vector or with a few: which schedule they have, and what it emits."""

from __future__ import annotations

import re

import pytest

from tests.templates.test_epilogue import compile_config
from tilewright.compiler.target import Target
from tilewright.templates.operators.product import Product
from tilewright.templates.operators.product_vectors import choose_form
from tilewright.templates.task import Task


@pytest.mark.parametrize(
    ("shape", "flags", "form"),
    [
        ((500, 1, 300), (False, False), "dot"),
        ((500, 1, 300), (True, False), "stream"),
        ((1, 500, 300), (False, False), "stream"),
        ((1, 500, 300), (False, True), "dot"),
        ((3, 500, 300), (False, False), "stream"),
        ((500, 3, 300), (False, False), "dot"),
        ((500, 3, 300), (True, False), "tiles"),
        ((500, 1, 3), (False, False), "tiles"),
        ((500, 500, 300), (False, False), "tiles"),
    ],
)
def test_the_layout_decides_the_form(
    shape: tuple[int, int, int], flags: tuple[bool, bool], form: str
) -> None:
    assert choose_form(Product(*shape, *flags), lanes=16) == form


def assembly(m: int, n: int, **flags: bool) -> str:
    task = Task.create("matmul", Target.host(), 1, m=m, n=n, k=1000, **flags)
    return compile_config(task, task.default_config).source("asm")


@pytest.mark.parametrize(
    ("m", "n", "flags"),
    [(512, 1, {}), (1, 512, {"transpose_b": True}), (1, 512, {}), (512, 1, {"transpose_a": True})],
)
def test_the_matrix_is_read_in_whole_vectors(m: int, n: int, flags: dict[str, bool]) -> None:
    if "avx2" not in Target.host().features:
        pytest.skip("the assembly is that of x86-64 with AVX2")
    text = assembly(m, n, **flags)
    register = "zmm" if Target.host().vector_bits == 512 else "ymm"
    assert len(re.findall(rf"vfmadd\w+ps[^\n]*%{register}", text)) >= 4
    assert "gather" not in text
    assert "scatter" not in text
