"""The libraries of the table."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

from interleave import one_core

from libraries.form import Maker
from libraries.jax_forms import open_jax
from libraries.numpy_child import open_numpy
from libraries.onnxruntime_forms import open_onnxruntime
from libraries.torch_forms import open_inductor, open_onednn, open_torch
from tilewright.compiler.target import Target


@dataclass(frozen=True, slots=True)
class Library:
    """A column of the table.

    Attributes:
        modules: what must be installed.
        open: the context in which it makes forms of problems.
        needs_avx512: it would run instructions that not every CPU has.
    """

    modules: tuple[str, ...]
    open: Callable[[], AbstractContextManager[Maker]]
    needs_avx512: bool = False

    @property
    def obstacle(self) -> str | None:
        """Why it cannot take part, if so."""
        for module in self.modules:
            if importlib.util.find_spec(module) is None:
                return f"{module} is not installed"
        target = Target.host()
        if self.needs_avx512 and not (target.triple.startswith("x86_64") and target.vector_bits >= 512):
            return "this CPU has no AVX-512"
        return None

    @property
    def version(self) -> str:
        """Of what it is made of."""
        return ", ".join(f"{module} {importlib.metadata.version(module)}" for module in self.modules)


LIBRARIES = {
    "numpy": Library(("numpy",), open_numpy),
    "numpy-skx": Library(
        ("numpy",), functools.partial(open_numpy, OPENBLAS_CORETYPE="SkylakeX"), needs_avx512=True
    ),
    "torch": Library(("torch",), open_torch),
    "onednn": Library(("torch",), open_onednn),
    "inductor": Library(("torch",), open_inductor),
    "onnxruntime": Library(("onnxruntime", "onnx"), open_onnxruntime),
    "jax": Library(("jax",), open_jax),
}


@contextlib.contextmanager
def open_libraries(names: Sequence[str]) -> Iterator[dict[str, Maker]]:
    """What makes forms of problems, for each library; the threads and processes of all share one core."""
    with ExitStack() as stack:
        with one_core():
            makers = {name: stack.enter_context(LIBRARIES[name].open()) for name in names}
        yield makers
