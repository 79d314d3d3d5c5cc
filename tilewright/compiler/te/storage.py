"""How elements are held in memory by NumPy, and in which type they are computed with."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

SHORT_FLOATS = ("float16", "bfloat16")
BITS = "bits16"  # what backends call such numbers where they are only moved


def storage_dtype(dtype: str) -> np.dtype[Any]:
    """The NumPy type that holds elements of ``dtype``."""
    return np.dtype(ml_dtypes.bfloat16) if dtype == "bfloat16" else np.dtype(dtype)


def computed_dtype(dtype: str) -> str:
    """The type in which elements of ``dtype`` are computed with: 16-bit floats as float32."""
    return "float32" if dtype in SHORT_FLOATS else dtype
