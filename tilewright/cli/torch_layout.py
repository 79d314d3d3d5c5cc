"""Operators that move elements, in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Arguments = Mapping[str, Any]


def _transpose(torch: Any, arguments: Arguments, x: Any) -> Any:
    perm = arguments["perm"]
    return x.permute(tuple(reversed(range(x.ndim))) if perm is None else perm).contiguous()


LAYOUT: dict[str, Callable[..., Any]] = {"transpose": _transpose}
