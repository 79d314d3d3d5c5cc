"""NumPy in a process of its own, on one thread: its BLAS reads the environment when it is loaded."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

from libraries.form import Form, Maker
from libraries.numpy_forms import numpy_forms
from libraries.problem import Array, Problem

ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@contextlib.contextmanager
def open_numpy(**environment: str) -> Iterator[Maker]:
    """NumPy with these variables; the process ends with the context."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    child = context.Process(target=serve, args=(there,), daemon=True)
    with _environment({**ONE_THREAD, **environment}):
        child.start()
    there.close()
    try:
        yield lambda problem: _forms(here, problem)
    finally:
        here.close()
        child.join()


def serve(connection: Connection) -> None:
    """Answer requests until the other end is closed."""
    forms: list[Form] = []
    while True:
        try:
            kind, value = connection.recv()
        except EOFError:
            return
        if kind == "problem":
            forms = numpy_forms(value)
            connection.send([form.name for form in forms])
        elif kind == "run":
            connection.send(forms[value[0]].run(value[1]))
        else:
            connection.send(forms[value].result())


def _forms(connection: Connection, problem: Problem) -> list[Form]:
    names: list[str] = _ask(connection, "problem", problem)
    return [_form(connection, index, name) for index, name in enumerate(names)]


def _form(connection: Connection, index: int, name: str) -> Form:
    def run(repeats: int) -> int:
        return int(_ask(connection, "run", (index, repeats)))

    def result() -> Array:
        found: Array = _ask(connection, "result", index)
        return found

    return Form(name, run, result)


def _ask(connection: Connection, kind: str, value: object) -> Any:
    connection.send((kind, value))
    return connection.recv()


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
