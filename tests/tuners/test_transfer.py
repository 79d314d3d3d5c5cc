"""What trials of one space say of another with the same knobs."""

import math
from typing import Any

import numpy as np

from tilewright.templates import ConfigSpace, option_knob, split_knob
from tilewright.tuners.registry import make_tuner
from tilewright.tuners.transfer import LEAST_TRIALS, TransferPrior


def space(extent: int) -> ConfigSpace:
    return ConfigSpace(
        (
            split_knob("tile", extent, num_outputs=2, max_factor=256),
            option_knob("unroll", [1, 2, 4, 8]),
            option_knob("order", ["rows", "columns"]),
        )
    )


def cost(values: dict[str, Any]) -> float | None:
    """Best at an inner tile of 16, unrolled by 4, by rows; a tile above 128 fails."""
    inner = values["tile"][-1]
    if inner > 128:
        return None
    steps = abs(math.log2(inner / 16)) + abs(math.log2(values["unroll"] / 4))
    return float(math.exp(steps + (values["order"] != "rows")))


def trials(of: ConfigSpace) -> list[Any]:
    values = [of.config(index).to_json() for index in range(of.range_length)]
    return [(each, cost(each)) for each in values]


def test_another_extent_is_ranked_by_what_its_tiles_have_in_common() -> None:
    prior = TransferPrior.fit(space(1024), trials(space(768)))
    assert prior is not None
    target = space(1024)
    indices = np.arange(target.range_length)
    expected = prior(target, indices)
    known = {index: cost(target.config(index).to_json()) for index in range(target.range_length)}
    best = min(known, key=lambda index: known[index] or math.inf)
    assert best in indices[np.argsort(expected)[:3]]
    failed = [index for index, value in known.items() if value is None]
    assert expected[failed].min() > np.median(expected)


def test_other_knobs_and_few_trials_give_no_prior() -> None:
    assert TransferPrior.fit(space(64), trials(space(128))[: LEAST_TRIALS - 1]) is None
    other = [({"tile": [-1, 4]}, 1.0)] * 20
    assert TransferPrior.fit(space(64), other) is None
    strange = [({"tile": "wide", "unroll": 1, "order": "rows"}, 1.0)] * 20
    assert TransferPrior.fit(space(64), strange) is None


def test_values_that_the_space_lacks_are_learned_from() -> None:
    foreign = [({**values, "order": "blocks"}, 5.0) for values, _ in trials(space(64))]
    assert TransferPrior.fit(space(64), [*trials(space(64)), *foreign]) is not None


def test_a_tuner_begins_where_the_source_was_fast() -> None:
    prior = TransferPrior.fit(space(1024), trials(space(768)))
    assert prior is not None
    target = space(1024)
    first = make_tuner("xgb", target, 0, priors=[prior]).next_batch(2)
    costs = [cost(config.to_json()) for config in first]
    assert min(value for value in costs if value is not None) == 1.0
