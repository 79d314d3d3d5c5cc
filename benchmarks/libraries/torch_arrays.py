"""Arrays as PyTorch's tensors and back: of bfloat16, NumPy's type is another package's."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from libraries.problem import Array


def to_tensor(torch: Any, array: Array) -> Any:
    """A tensor in memory as PyTorch aligns it."""
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(np.array(array).view(np.int16)).view(torch.bfloat16).clone()
    return torch.from_numpy(np.array(array)).clone()


def to_array(tensor: Any) -> Array:
    """What a tensor holds, 16-bit floats as float32."""
    return np.asarray(tensor.float() if tensor.is_floating_point() and tensor.itemsize < 4 else tensor)
