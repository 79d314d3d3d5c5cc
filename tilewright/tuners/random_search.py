"""Random search: valid configurations drawn uniformly, each once."""

from collections.abc import Sequence

from tilewright.tuners.tuner import Tuner


class RandomSearch(Tuner):
    """Proposes random configurations."""

    def _propose(self, count: int) -> Sequence[int]:
        return self._explore(count)
