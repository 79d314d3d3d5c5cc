"""`tvm.runtime`: modules, arrays and devices."""

from typing import Any

from tilewright.compiler.errors import TilewrightError
from tilewright.tvm import nd as nd
from tilewright.tvm.module import Module as Module
from tilewright.tvm.nd import *  # noqa: F403


def load_module(path: Any) -> Module:
    """The module that `LocalBuilder` left for a runner; there are no libraries in files."""
    if isinstance(path, Module):
        return path
    raise TilewrightError(f"load_module({path!r}): no library is exported; build again, its code is cached")
