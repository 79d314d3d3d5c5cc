"""Numbers that operators write into a result as they are."""

from __future__ import annotations

from math import inf, isfinite

import ml_dtypes
import numpy as np

from tilewright.compiler import te
from tilewright.compiler.te.expr import FLOATS
from tilewright.compiler.te.storage import storage_dtype
from tilewright.templates.errors import WorkloadError

# From here on a parameter, which is a float, may be what another integer was rounded to.
EXACT = 2**53


def literal(owner: str, name: str, value: float, dtype: str) -> te.Expr:
    """A parameter's number as one of a type: only a float's is rounded, and a bool is whether it is not 0.

    Raises:
        WorkloadError: it is out of range, no whole number where the type has no others, or too large to be
            known exactly.
    """
    if dtype != "bool":
        _check(owner, name, value, dtype)
    return te.const(value, dtype)


def check_finite(owner: str, name: str, value: float, least: float = -inf) -> None:
    """Refuse a parameter that is no finite number, or below the least.

    Raises:
        WorkloadError: it is such.
    """
    if not (isfinite(value) and value >= least):
        allowed = "a finite number" if least == -inf else f"a finite number from {least:g}"
        raise WorkloadError(f"{owner}: {name}={value} must be {allowed}")


def _check(owner: str, name: str, value: float, dtype: str) -> None:
    """Refuse a number that a type cannot hold."""
    if dtype in FLOATS:
        stored = storage_dtype(dtype)
        with np.errstate(over="ignore"):
            fits = not isfinite(value) or bool(np.isfinite(stored.type(value)))
        most = float(ml_dtypes.finfo(stored).max)  # type: ignore[no-untyped-call]
        allowed = f"from {-most} to {most}, or infinite, or NaN"
    else:
        low, high = max(np.iinfo(dtype).min, 1 - EXACT), min(np.iinfo(dtype).max, EXACT - 1)
        fits = low <= value <= high and value == int(value)
        allowed = f"an integer from {low} to {high}"
    if not fits:
        raise WorkloadError(f"{owner}: {name}={value} must be {allowed}, for dtype={dtype}")
