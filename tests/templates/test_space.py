from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilewright.templates import Config, ConfigError, ConfigSpace, SpaceError, option_knob, split_knob
from tilewright.templates.constraints import Constraint
from tilewright.templates.default_config import default_config
from tilewright.templates.space_json import space_from_json, space_to_json


def gemm(*constraints: Constraint) -> ConfigSpace:
    return ConfigSpace((split_knob("y", 128), split_knob("x", 128)), constraints)


def product_between(low: int, high: int) -> Constraint:
    def holds(entities: Mapping[str, Any]) -> bool:
        return bool(low <= entities["y"].size[-1] * entities["x"].size[-1] < high)

    return Constraint(holds)


def named_product(low: int, high: int) -> Constraint:
    return Constraint(lambda y, x: low <= y.size[-1] * x.size[-1] < high, ("y", "x"))


def huge(*constraints: Constraint) -> ConfigSpace:
    return ConfigSpace(tuple(split_knob(name, 1024, num_outputs=4) for name in "abcde"), constraints)


def small_inner(*names: str) -> Constraint:
    return Constraint(lambda p, q: p.size[-1] * q.size[-1] < 64, names)


FILTERED = gemm(product_between(32, 1024))


def test_a_gemm_of_128_has_64_points() -> None:
    assert (gemm().range_length, gemm().dims, len(gemm())) == (64, (8, 8), 64)


def test_the_first_knob_is_the_least_significant_digit() -> None:
    space = gemm()
    assert [space.point_to_knob(index) for index in (0, 4, 8, 12)] == [[0, 0], [4, 0], [0, 1], [4, 1]]
    assert all(space.knob_to_point(space.point_to_knob(index)) == index for index in range(64))


def test_a_filter_on_one_knob_shrinks_the_range() -> None:
    narrow = split_knob("y", 128, filter=lambda entity: entity.size[-1] < 64)
    space = ConfigSpace((narrow, split_knob("x", 128)))
    assert (space.range_length, len(space)) == (48, 48)
    both = ConfigSpace(space.knobs, (product_between(32, 1024),))
    assert (both.range_length, len(both)) == (48, 27)


@pytest.mark.parametrize("constraint", [product_between, named_product])
def test_a_filter_across_knobs_counts_exactly(constraint: Any) -> None:
    sizes = [len(gemm(constraint(*bounds))) for bounds in ((32, 1024), (8, 1024), (0, 1024))]
    assert sizes == [34, 43, 49]


def test_a_subrange_counts_its_valid_points() -> None:
    assert [FILTERED.subrange_length(*bounds) for bounds in ((0, 32), (16, 32), (16, 16))] == [17, 10, 0]
    with pytest.raises(IndexError):
        FILTERED.subrange_length(0, 65)


def test_an_invalid_index_has_no_configuration() -> None:
    assert not FILTERED.is_valid(0)
    for kind in (SpaceError, IndexError):
        with pytest.raises(kind, match="not valid"):
            FILTERED.config(0)
    assert FILTERED.config(15).index == 15


def test_a_space_prints_its_knobs() -> None:
    lines = str(FILTERED).splitlines()
    assert lines[0] == f"ConfigSpace (len={len(FILTERED)}, range_length=64)"
    assert lines[1] == "   0 y: split, 8 values, [-1, 1], [-1, 2], [-1, 4], [-1, 8], ..."
    assert len(lines) == 3


@pytest.mark.parametrize("index", [-1, 64])
def test_an_index_out_of_range_is_an_index_error(index: int) -> None:
    with pytest.raises(IndexError):
        gemm().config(index)
    with pytest.raises(IndexError):
        gemm().is_valid(index)


def test_next_index_steps_over_points() -> None:
    space = gemm()
    steps = [space.next_index(*step) for step in ((0,), (0, 2), (0, -1), (63,), (63, -2))]
    assert steps == [1, 2, None, None, 61]


@pytest.mark.parametrize("space", [FILTERED, gemm(named_product(32, 1024))])
def test_next_index_steps_over_invalid_points(space: ConfigSpace) -> None:
    steps = [space.next_index(*step) for step in ((0,), (0, 2), (63, -1), (63, -2))]
    assert steps == [5, 6, 58, 57]
    assert space.next_index(60, 1, end=63) is None


def test_random_index_honours_its_range_and_exclusions() -> None:
    rng = np.random.default_rng(0)
    assert gemm().random_index(rng, start=15, end=16) == 15
    assert gemm().random_index(rng, set(range(64)) - {37}) == 37
    with pytest.raises(SpaceError, match="no valid configuration is left"):
        gemm().random_index(rng, set(range(64)))


def test_a_sample_is_distinct_and_valid() -> None:
    found = FILTERED.sample(5, np.random.default_rng(0))
    assert len(set(found)) == 5
    assert all(FILTERED.is_valid(index) for index in found)
    assert sorted(FILTERED.sample(100, np.random.default_rng(0))) == [
        index for index in range(64) if FILTERED.is_valid(index)
    ]


def test_a_random_walk_moves_to_a_valid_point() -> None:
    rng = np.random.default_rng(0)
    for index in (15, 20, 30):
        moved = FILTERED.random_walk(index, rng)
        assert moved != index
        assert FILTERED.is_valid(moved)


def test_a_random_walk_in_a_space_of_one_point_stays() -> None:
    assert ConfigSpace((split_knob("x", 1),)).random_walk(0, np.random.default_rng(0)) == 0


def test_neighbours_differ_in_one_knob() -> None:
    assert len(gemm().neighbours(9)) == 14
    assert all(FILTERED.is_valid(index) for index in FILTERED.neighbours(15))


def test_named_constraints_keep_a_huge_space_exact() -> None:
    pairs = small_inner("a", "b"), small_inner("b", "c"), small_inner("a", "c")
    space = huge(*pairs)
    assert space.range_length == 286**5
    assert space.size_is_exact
    inner = [entity.to_json()[-1] for entity in split_knob("a", 1024, num_outputs=4).entities]  # type: ignore[index]
    values, weights = np.unique(np.array(inner, dtype=int), return_counts=True)
    allowed = np.multiply.outer(values, values) < 64
    triples = np.einsum("i,j,k,ij,jk,ik->", weights, weights, weights, *[allowed.astype(int)] * 3)
    assert len(space) == int(triples) * 286**2


def test_an_opaque_filter_over_a_huge_space_is_estimated() -> None:
    space = huge(Constraint(lambda entities: entities["a"].size[-1] > 1))
    assert not space.size_is_exact
    assert space.size_text.startswith("~1.")
    share = 1 - 66 / 286
    assert abs(len(space) / space.range_length - share) < 0.02


def test_a_huge_space_samples_and_walks_without_being_listed() -> None:
    space = huge(small_inner("a", "b"), small_inner("b", "c"))
    rng = np.random.default_rng(0)
    found = space.sample(50, rng)
    assert len(set(found)) == 50
    assert all(space.is_valid(index) for index in found)
    assert space.is_valid(space.next_index(found[0]) or -1)
    assert space.is_valid(space.next_index(found[0], -3) or -1)
    assert all(space.is_valid(index) for index in space.neighbours(found[0])[:20])


def test_a_few_valid_points_in_a_huge_range_are_found_in_order() -> None:
    knobs = tuple(option_knob(name, range(100)) for name in "abcdef")
    rules = [Constraint(lambda p, q: p.val == q.val, pair) for pair in zip("abcde", "bcdef", strict=True)]
    space = ConfigSpace(knobs, tuple(rules))
    assert (space.range_length, len(space)) == (10**12, 100)
    step = space.config(0).index
    assert space.next_index(step) == sum(100**position for position in range(6))
    assert len(set(space.sample(200, np.random.default_rng(0)))) == 100


def test_a_range_beyond_64_bits_still_works() -> None:
    space = ConfigSpace(tuple(option_knob(f"k{number}", range(1000)) for number in range(8)))
    index = space.sample(1, np.random.default_rng(0))[0]
    assert space.index(space.config(index)) == index


def test_listed_points_are_the_only_valid_ones() -> None:
    knobs = option_knob("a", [1, 2, 3]), option_knob("b", ["x", "y"])
    space = ConfigSpace.from_points(knobs, [{"a": 3, "b": "x"}, {"a": 1, "b": "y"}])
    assert (len(space), space.range_length) == (2, 6)
    assert [space.is_valid(index) for index in range(6)] == [False, False, True, True, False, False]
    assert space.next_index(0) == 2


def test_a_space_without_knobs_has_one_configuration() -> None:
    assert len(ConfigSpace()) == 1
    assert ConfigSpace().config(0).to_json() == {}


def test_values_make_a_configuration() -> None:
    config = gemm().from_values({"y": [-1, 16], "x": [-1, 2]})
    assert config.index == 12
    assert config["y"].size == [-1, 16]
    assert config.to_json() == {"y": [-1, 16], "x": [-1, 2]}
    assert str(config) == "y=[-1, 16], x=[-1, 2]"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"y": [-1, 3], "x": [-1, 2]}, r"knob 'y' has no value \[-1, 3\]"),
        ({"y": [-1, 2]}, "no value is given for knob x"),
        ({"y": [-1, 2], "x": [-1, 2], "z": 1}, "no knob z"),
    ],
)
def test_values_outside_the_space_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        gemm().from_values(values)


def test_a_stated_outermost_extent_is_what_is_left() -> None:
    assert gemm().from_values({"y": [8, 16], "x": [64, 2]}).index == 12


def test_a_missing_knob_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="no knob 'tile'"):
        gemm().config(0)["tile"]


@given(st.integers(0, 286**5 - 1))
@settings(max_examples=50, deadline=None)
def test_index_values_and_json_are_inverses(index: int) -> None:
    space = huge()
    config = space.config(index)
    assert space.index(config) == index
    assert Config.from_json(config.to_json(), space) == config
    assert hash(Config.from_json(config.to_json(), space)) == hash(config)


def test_ordinals_and_indices_are_inverses_for_many_points() -> None:
    space = huge()
    indices = np.array(space.sample(100, np.random.default_rng(1)))
    assert (space.indices(space.ordinals(indices)) == indices).all()


def test_the_generic_default_is_valid_and_moderate() -> None:
    config = default_config(gemm(), vector_lanes=8)
    assert config.to_json() == {"y": [-1, 8], "x": [-1, 16]}
    assert FILTERED.is_valid(default_config(FILTERED).index)
    tight = huge(small_inner("a", "b"), small_inner("b", "c"), small_inner("d", "e"))
    assert tight.is_valid(default_config(tight).index)


def test_no_valid_configuration_has_no_default() -> None:
    with pytest.raises(SpaceError, match="no valid configuration"):
        default_config(gemm(product_between(0, 0)))


def test_a_space_survives_json() -> None:
    space = ConfigSpace((split_knob("y", 128), option_knob("o", [1, [2, 3], "x", True])))
    assert space_from_json(space_to_json(space)) == space


@pytest.mark.parametrize("size", [10, 1001], ids=["tabulated", "asked"])
@pytest.mark.parametrize(
    ("names", "predicate"),
    [
        (("a", "b"), lambda a, b: a * b <= 4),
        (("a", "b"), lambda a: True),
        (("a", "b"), lambda a, b: np.ones(2) > a.val),
        (None, lambda chosen: chosen["c"]),
        (None, lambda a, b: True),
    ],
)
def test_a_predicate_that_fails_names_its_line(names: Any, predicate: Any, size: int) -> None:
    knobs = tuple(option_knob(name, range(size)) for name in "ab")
    space = ConfigSpace(knobs, (Constraint(predicate, names),))
    with pytest.raises(
        SpaceError, match=r"^(constrain|multi_filter).* failed at .*test_space\.py:\d+: .*\.val"
    ):
        space.is_valid(0)


def test_a_predicate_that_is_no_function_is_refused() -> None:
    space = ConfigSpace((option_knob("a", [1]),), (Constraint(cast(Any, 5), ("a",)),))
    with pytest.raises(SpaceError, match=r"constrain.* not callable"):
        space.is_valid(0)
