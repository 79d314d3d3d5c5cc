"""Grid search: every valid configuration in the order of the indices."""

import logging
from collections.abc import Sequence

from tilewright.templates.errors import SpaceError
from tilewright.tuners.tuner import Tuner

_log = logging.getLogger(__name__)


class GridSearch(Tuner):
    """Proposes configurations by ascending index."""

    position: int | None = None

    def _propose(self, count: int) -> Sequence[int]:
        found: list[int] = []
        while len(found) < count:
            index = self._advance()
            if index is None:
                break
            if index not in self.seen:
                found.append(index)
        return found

    def _advance(self) -> int | None:
        """Move on to the next valid index; None at the end."""
        first, last = self.bounds
        if self.position is None:
            self.position = first
            if first < last and self.space.is_valid(first):
                return first
        if self.position >= last - 1:
            return None
        try:
            index = self.space.next_index(self.position, 1, first, last)
        except SpaceError as error:
            _log.warning("grid search stops: %s", error)
            index = None
        self.position = last - 1 if index is None else index
        return index
