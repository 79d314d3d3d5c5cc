"""Grid search: every valid configuration in the order of the indices."""

import logging
from collections.abc import Sequence

from tilewright.templates.errors import SpaceError
from tilewright.tuners.tuner import Tuner

_log = logging.getLogger(__name__)


class GridSearch(Tuner):
    """Proposes configurations by ascending index."""

    _position = -1

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
        if self._position < 0 and self.space.range_length and self.space.is_valid(0):
            self._position = 0
            return 0
        if self._position >= self.space.range_length - 1:
            return None
        try:
            index = self.space.next_index(max(self._position, 0))
        except SpaceError as error:
            _log.warning("grid search stops: %s", error)
            index = None
        self._position = self.space.range_length - 1 if index is None else index
        return index
