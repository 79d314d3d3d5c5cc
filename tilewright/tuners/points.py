"""Configurations as cost models see them."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tilewright.templates.constraints import Ordinals
from tilewright.templates.space import ConfigSpace
from tilewright.tuners.features import FeatureMap, Matrix
from tilewright.tuners.guides import Guides


@dataclass(frozen=True, slots=True)
class Points:
    """Configurations of one space, one a row.

    Attributes:
        choices: the ordinal of each knob's choice.
        features: numbers of fixed length, mostly logarithms of the knobs' values.
        guesses: what each prior expects of them.
    """

    choices: Ordinals
    features: Matrix
    guesses: Matrix

    @classmethod
    def of_features(cls, features: Matrix) -> Self:
        """Points for a model that looks at features only."""
        return cls(np.zeros((len(features), 0), dtype=np.int64), features, features[:, :0])

    def __len__(self) -> int:
        return len(self.choices)

    @property
    def columns(self) -> Matrix:
        """All that trees may split on."""
        return np.hstack([self.features, self.guesses])

    def with_guesses(self, heard: "NDArray[np.bool_] | slice") -> Self:
        """The same points, with what some of the priors expect of them."""
        return type(self)(self.choices, self.features, self.guesses[:, heard])

    def __getitem__(self, places: "slice | NDArray[np.int64]") -> Self:
        return type(self)(self.choices[places], self.features[places], self.guesses[places])


class PointEncoder:
    """Turns indices of a space into points."""

    def __init__(self, space: ConfigSpace, features: FeatureMap, guides: Guides) -> None:
        self._space = space
        self._extract = features(space)
        self._guides = guides

    def __call__(self, indices: Ordinals) -> Points:
        """Return the points of indices."""
        return Points(self._space.ordinals(indices), self._extract(indices), self._guides.columns(indices))
