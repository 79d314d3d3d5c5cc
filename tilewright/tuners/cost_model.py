"""What a model of costs must offer a tuner."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tilewright.templates.constraints import Ordinals
from tilewright.templates.space import ConfigSpace

Vector = NDArray[np.float64]


class CostModel(Protocol):
    """A regression with a spread; it may be fitted again and again on growing data."""

    def fit(self, features: NDArray[np.float32], targets: Vector) -> None:
        """Learn the targets of feature rows."""

    def predict(self, features: NDArray[np.float32]) -> tuple[Vector, Vector]:
        """Return the expected targets of feature rows and their spread."""


class Prior(Protocol):
    """A guess made before anything is measured."""

    def __call__(self, space: ConfigSpace, indices: Ordinals) -> Vector:
        """Return the logarithm of the cost of each index, up to a constant."""
