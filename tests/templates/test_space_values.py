"""Many configurations from values at once: each point has the verdict that it has alone."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tilewright.templates import Config, ConfigError, ConfigSpace, SpaceError, option_knob, split_knob
from tilewright.templates.constraints import Constraint
from tilewright.templates.knobs import annotate_knob, reorder_knob

A, B = object(), object()
KNOBS = (
    split_knob("y", 16),
    reorder_knob("order", [A, B], "all"),
    annotate_knob("ann", [A], "try_unroll_vec"),
    option_knob("o", [1, True, 0.5, "1", None, [1, "x"], [[1], True]]),
)


def is_narrow(entities: Mapping[str, Any]) -> bool:
    return bool(entities["y"].size[-1] < 16 or entities["o"].val is None)


NAMED = Constraint(lambda y, order: y.size[-1] > 1 or order.perm == (0, 1), ("y", "order"))
SPACES = {
    "free": ConfigSpace(KNOBS),
    "constrained": ConfigSpace(KNOBS, (NAMED, Constraint(is_narrow))),
    "listed": ConfigSpace(KNOBS, (), frozenset(range(0, ConfigSpace(KNOBS).range_length, 7))),
    "without knobs": ConfigSpace(),
}

GOOD = {"y": [-1, 4], "order": [1, 0], "ann": ["vec"], "o": 1}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "y": st.sampled_from(
        [[-1, 1], [-1, 16], [4, 4], (-1, 2), [-1, 3], [True, 16], [-1.0, 4], "y", 4, None, {}]
    ),
    "order": st.sampled_from([[0, 1], [1, 0], [0, 0], [0], [], [[0, 1]], [0, float("inf")], "01"]),
    "ann": st.sampled_from([["none"], ["vec"], ["unroll"], ["vec", "vec"], [1], "vec", "v"]),
    "o": st.sampled_from(
        [
            1,
            True,
            1.0,
            0,
            0.5,
            float("nan"),
            "1",
            "True",
            None,
            [1, "x"],
            [True, "x"],
            [[1], True],
            [[1], 1],
            {},
        ]
    ),
}
POINTS = st.fixed_dictionaries({}, optional={**VALUES, "other": st.just(1)}) | st.fixed_dictionaries(VALUES)


def indices(configs: Iterable[Config | None]) -> list[int | None]:
    return [None if config is None else config.index for config in configs]


def alone(space: ConfigSpace, values: Mapping[str, Any]) -> Config | None:
    """The configuration by the choices of each knob, and each constraint asked by itself."""
    if set(values) != set(space.names):
        return None
    try:
        ordinals = [knob.entities.index(knob.entity_of(values[knob.name])) for knob in space.knobs]
    except ConfigError:
        return None
    entities = {knob.name: knob.entities[o] for knob, o in zip(space.knobs, ordinals, strict=True)}
    for constraint in space.constraints:
        asked = (
            (entities,) if constraint.names is None else tuple(entities[name] for name in constraint.names)
        )
        if not constraint.predicate(*asked):
            return None
    index = space.knob_to_point(ordinals)
    if space.listed is not None and index not in space.listed:
        return None
    return Config(space.names, tuple(entities.values()), index)


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@given(points=st.lists(POINTS, max_size=40))
@example(points=[GOOD, dict(reversed(GOOD.items())), {}])
@settings(max_examples=60, deadline=None)
def test_each_of_many_points_is_what_it_is_alone(space: ConfigSpace, points: list[dict[str, Any]]) -> None:
    found = list(space.iter_from_values(points))
    expected = [alone(space, values) for values in points]
    assert found == expected
    assert indices(found) == indices(expected)
    for values, config in zip(points, found, strict=True):
        if config is not None:
            assert space.from_values(values) == config
        else:
            with pytest.raises((ConfigError, SpaceError)):
                space.from_values(values)


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_every_valid_point_comes_back_from_its_values(space: ConfigSpace) -> None:
    assert space.valid_points is not None
    valid = [space.config(index) for index in space.valid_points.tolist()]
    configs = valid * 20  # more than are read at once
    found = list(space.iter_from_values(config.to_json() for config in configs))
    assert found == configs
    assert indices(found) == indices(configs)


def test_indices_beyond_64_bits_are_right_too() -> None:
    space = ConfigSpace(tuple(split_knob(f"k{place}", 1024, num_outputs=4) for place in range(9)))
    last = space.config(space.range_length - 1)
    (found,) = space.iter_from_values([last.to_json()])
    assert found is not None
    assert (found, found.index) == (last, space.range_length - 1)


def test_a_space_knows_what_it_made() -> None:
    space, same = ConfigSpace(KNOBS), ConfigSpace(KNOBS)
    (config,) = space.iter_from_values([GOOD])
    assert config is not None
    assert space.made(config)
    assert space.made(space.config(5))
    assert not same.made(config)
