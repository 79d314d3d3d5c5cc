"""What a model of costs must offer a tuner."""

from typing import Protocol

from tilewright.tuners.acquisition import Opinion
from tilewright.tuners.pending_picks import UnrelatedPicks
from tilewright.tuners.points import Points
from tilewright.tuners.prior import Vector


class CostModel(Protocol):
    """A regression with a spread; it may be fitted again and again on growing data.

    A model that derives from it need not say which points are alike.
    """

    def fit(self, points: Points, targets: Vector) -> None:
        """Learn the targets of points."""

    def predict(self, points: Points) -> tuple[Vector, Vector]:
        """Return the expected targets of points and their spread."""

    def opinion(self, points: Points) -> Opinion:
        """Return what is expected of points, of which some will be picked."""
        return Opinion(*self.predict(points), UnrelatedPicks(len(points)))
