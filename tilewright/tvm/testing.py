"""`tvm.testing`: comparison with a reference."""

from typing import Any

import numpy as np


def assert_allclose(actual: Any, desired: Any, rtol: float = 1e-7, atol: float = 1e-7) -> None:
    """Raise AssertionError unless the shapes agree and the values are close."""
    np.testing.assert_allclose(np.asanyarray(actual), np.asanyarray(desired), rtol=rtol, atol=atol)


__all__ = ["assert_allclose"]
