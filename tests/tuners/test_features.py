import numpy as np

from tilewright.templates import (
    ConfigSpace,
    VirtualAxis,
    annotate_knob,
    option_knob,
    reorder_knob,
    split_knob,
)
from tilewright.tuners.features import knob_features, knob_table
from tilewright.tuners.moves import Moves, nearest_choices

AXES = VirtualAxis(8, "a"), VirtualAxis(4, "b")


def mixed_space() -> ConfigSpace:
    return ConfigSpace(
        (
            split_knob("tile", 64, num_outputs=3),
            reorder_knob("order", AXES, "all"),
            annotate_knob("mark", AXES, "try_unroll_vec"),
            option_knob("number", [1, 2, 4]),
            option_knob("name", ["x", "y"]),
            option_knob("pair", [[1, 2], [3, 4]]),
        )
    )


def test_features_have_one_length_for_a_whole_space() -> None:
    space = mixed_space()
    indices = np.arange(space.range_length)
    width = sum(knob_table(knob).shape[1] for knob in space.knobs)
    assert knob_features(space)(indices).shape == (space.range_length, width)


def test_split_features_are_logarithms_with_the_outermost_extent_computed() -> None:
    knob = split_knob("tile", 64, "candidate", candidate=[[-1, 8], [-1, 16]])
    assert knob_table(knob).tolist() == [[3.0], [2.0]]


def test_a_tail_is_a_feature() -> None:
    knob = split_knob("tile", 100, "candidate", candidate=[[-1, 64], [-1, 50], [-1, 25]])
    assert np.array([0.28, 0.0, 0.0], dtype=np.float32).tolist() in knob_table(knob).T.tolist()


def test_alignment_is_a_feature() -> None:
    knob = option_knob("block", [16, 48, 64, 80])
    assert knob_table(knob)[:, 1].tolist() == [4, 4, 6, 4]


def test_the_nearest_choices_come_first() -> None:
    knob = split_knob("tile", 64)
    assert nearest_choices(knob)[3, :2].tolist() == [2, 4]


def test_mutation_changes_a_knob_in_every_row_where_it_can() -> None:
    space = mixed_space()
    rng = np.random.default_rng(0)
    rows = space.ordinals(space.sample(200, rng))
    moved = Moves(space).mutate(rows, rng, 0.2)
    assert (moved != rows).any(axis=1).mean() > 0.7
    assert (moved < np.array(space.dims)).all()


def test_crossover_takes_every_knob_from_a_parent() -> None:
    space = mixed_space()
    rng = np.random.default_rng(0)
    mothers, fathers = (space.ordinals(space.sample(50, rng)) for _ in range(2))
    children = Moves(space).cross(mothers, fathers, rng)
    assert ((children == mothers) | (children == fathers)).all()
