"""What a measurer is fed with."""

import gc
import itertools
import weakref

from tests.scaling import scaling
from tilewright.deploy import make_task
from tilewright.measure.result import MeasureInput
from tilewright.tuning.feed import Feed

TASK = make_task(scaling, None, 1, {"n": 64})
PROGRAM = TASK.instantiate(TASK.default_config)


class Watched(MeasureInput):
    """One that weak references may be made of."""


def test_a_trial_that_has_ended_is_not_held() -> None:
    numbers, made = itertools.count(), list[weakref.ref[Watched]]()

    def propose(under_way: int) -> list[tuple[int, MeasureInput]]:
        trials = [Watched(PROGRAM, f"workload {number}") for number in range(2)]
        made.extend(map(weakref.ref, trials))
        return [(next(numbers), trial) for trial in trials]

    feed = Feed(propose, lambda: False)
    for place in range(6):
        assert len(feed) == place + 2 - place % 2
        assert feed[place].workload == f"workload {place % 2}"
        assert feed.finish(place) == place
    gc.collect()
    assert len(made) == 6
    assert [trial() for trial in made] == [None] * 6
