"""What a guess of costs must offer a tuner."""

from abc import ABC, abstractmethod
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tilewright.templates.constraints import Ordinals
from tilewright.templates.space import ConfigSpace

Vector = NDArray[np.float64]


class Prior(Protocol):
    """A guess made before anything is measured."""

    def __call__(self, space: ConfigSpace, indices: Ordinals) -> Vector:
        """Return the logarithm of the cost of each index, up to a constant."""


class Hearsay(ABC):
    """A prior that tells of another workload or machine: something has to agree with it before it leads."""

    __slots__ = ()

    @abstractmethod
    def __call__(self, space: ConfigSpace, indices: Ordinals) -> Vector:
        """Return the expected score of each index, low for fast."""
