"""What the tests of mathematical functions share: programs, samples, references and errors in ULP.

The references are of float64, so their own error is below 1e-7 ULP of a float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tilewright.compiler import te
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import create_schedule

Array = npt.NDArray[Any]
Reference = Callable[[Array], Array]
# As docs/reference/python.md states them; sigmoid's without fused multiply-adds is another.
BOUNDS = {
    "exp": 1.5, "exp2": 1.5, "log": 1.0, "tanh": 1.5, "sigmoid": 2.0, "rsqrt": 1.5, "erf": 2.5, "sin": 2.5,
    "cos": 2.5,
}  # fmt: skip
SIGMOID_WITHOUT_FMA = 2.5
POWER_BOUND = 1.5
SPECIAL = np.array(
    [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 2.0**-126, 3.4028235e38, -3.4028235e38,
     88.72283, 88.72284, 89.0, -87.33654, -103.27893, -103.97207, -103.97209, -104.0, 60.0, 88.0, 9.0625,
     3.8749, 3.875, 2.0**20, -(2.0**20), 1048577.0, 1e30, 0.75, 1.5, 1.0000001, 0.99999994],
    np.float32,
)  # fmt: skip


def elementwise(name: str, count: int, is_vectorized: bool = True) -> Program:
    """A function of each element of one array, or of two for ``power``."""
    inputs = [te.placeholder((count,), name=n) for n in ("x", "y")[: 2 if name == "power" else 1]]
    out = te.compute((count,), lambda i: getattr(te, name)(*(t[i] for t in inputs)), name="out")
    s = create_schedule(out)
    if is_vectorized:
        s[out].vectorize(out.op.axis[0])
    else:
        s[out].unroll(out.op.axis[0], 1)
    return Program.from_schedule(s, [*inputs, out])


def sample(step: int = 4099) -> Array:
    """Floats of all exponents and signs, more of moderate ones, and special values."""
    bits = np.arange(0, 2**32, step, dtype=np.uint64).astype(np.uint32)
    rng = np.random.default_rng(0)
    moderate = np.outer((1.5, 10.0, 104.0, 1e4), rng.uniform(-1, 1, len(bits) // 4)).astype(np.float32)
    return np.concatenate([SPECIAL, bits.view(np.float32), moderate.ravel()])


def every_float(chunk: int) -> Iterator[Array]:
    """All floats, in order of their bits."""
    for first in range(0, 2**32, chunk):
        yield np.arange(first, first + chunk, dtype=np.uint64).astype(np.uint32).view(np.float32)


def _erf(x: Array) -> Array:
    """By ``math.erf`` where it is neither 1 nor the first two terms of its series."""
    magnitude = np.abs(x)
    near = np.minimum(magnitude, 1.0)
    result = np.where(magnitude < 1e-4, 2 / math.sqrt(math.pi) * near * (1 - near * near / 3), 1.0)
    middle = np.flatnonzero((magnitude >= 1e-4) & (magnitude < 6.0))
    result[middle] = np.array([math.erf(value) for value in magnitude[middle].tolist()])
    return np.where(np.isnan(x), x, np.copysign(result, x))


def _sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1.0) / (1.0 + e)


REFERENCES: dict[str, Reference] = {
    "exp": np.exp,
    "exp2": np.exp2,
    "log": np.log,
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "rsqrt": lambda x: 1.0 / np.sqrt(x),
    "erf": _erf,
    "sin": np.sin,
    "cos": np.cos,
}


def reference(name: str, x: Array) -> Array:
    """The function in float64."""
    with np.errstate(all="ignore"):
        return REFERENCES[name](x.astype(np.float64))


def errors(found: Array, expected: Array) -> Array:
    """How far results are from a float64 reference, in ULP of the nearest float32.

    It is infinite where one is NaN or the signs differ, those of zeros too. Infinity counts as 2**128.
    """
    with np.errstate(all="ignore"):
        nearest = expected.astype(np.float32)
        spacing = np.spacing(np.minimum(np.abs(nearest), np.finfo(np.float32).max)).astype(np.float64)
        measured = np.clip(found.astype(np.float64), -(2.0**128), 2.0**128)
        result: Array = np.abs(measured - np.clip(expected, -(2.0**128), 2.0**128)) / spacing
    both_nan = np.isnan(nearest) & np.isnan(found)
    wrong = (np.isnan(nearest) != np.isnan(found)) | (np.signbit(nearest) != np.signbit(found))
    wrong |= np.isinf(nearest) & np.isinf(found) & (nearest != found)
    return np.where(both_nan, 0.0, np.where(wrong, np.inf, result))


def worst(name: str, found: Array, x: Array) -> tuple[float, str]:
    """The greatest error, and where it is; 0.5 where every result is the nearest float32."""
    expected = reference(name, x)
    with np.errstate(all="ignore"):
        nearest = expected.astype(np.float32)
    places = np.flatnonzero(found.view(np.int32) != nearest.view(np.int32))
    if not len(places):
        return 0.5, ""
    found_errors = errors(found[places], expected[places])
    place = int(np.argmax(found_errors))
    return float(found_errors[place]), f"{name}({x[places[place]]!r}) = {found[places[place]]!r}"
