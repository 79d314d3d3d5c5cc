"""What a model of costs must offer a tuner."""

from typing import Protocol

from tilewright.tuners.pending_picks import PendingPicks, UnrelatedPicks
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

    def pending_picks(self, points: Points) -> PendingPicks:
        """Return what follows the spread of points while some of them are picked; none is yet."""
        return UnrelatedPicks(len(points))
