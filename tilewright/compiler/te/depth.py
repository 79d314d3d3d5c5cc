"""Expressions that nest too deeply: what goes through them calls itself for each level."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from tilewright.compiler.errors import ExpressionError


@contextlib.contextmanager
def refused_depth(names: Iterable[str]) -> Iterator[None]:
    """Refuse what nests deeper than Python's calls may, naming the tensors whose expressions are at work.

    Raises:
        ExpressionError: Python's limit was reached.
    """
    try:
        yield
    except RecursionError:
        raise ExpressionError(
            f"{', '.join(names)}: an expression nests too deeply, with what is inlined into it: compute parts"
            " of it in stages of their own, and inline fewer stages"
        ) from None
