"""Spaces under AutoTVM's names; the numbers of the tests are those of its documented behaviours."""

import math
from typing import Any

import pytest

from tests.tvm.gemm import product, sample_task
from tilewright.tvm import autotvm
from tilewright.tvm.autotvm.task.space import ConfigSpace, FallbackConfigEntity, SplitEntity


def count(extent: int, outputs: int, **options: Any) -> int:
    space = ConfigSpace()
    space.define_split("tile", space.axis(extent), num_outputs=outputs, **options)
    assert len(space) == len(space.space_map["tile"])
    return len(space)


def gemm_space() -> Any:
    return sample_task().config_space


def filtered(low: int, high: int) -> Any:
    space = gemm_space()
    space.multi_filter(filter=lambda entity: low <= product(entity) < high)
    return space


def test_01_divisors_are_counted() -> None:
    assert [count(1024, 4), count(1024, 2), count(512, 2)] == [286, 11, 10]
    assert len(sample_task(512).config_space) == 100


def test_02_policies_are_counted() -> None:
    policies = ("factors", "power2", "verbose")
    assert [count(256, 3, policy=policy) for policy in policies] == [45, 45, 45]
    assert [count(224, 3, policy=policy) for policy in policies] == [63, 36, 84]
    assert count(2**25, 4) == 3276


def test_03_the_sample_space_has_64_points() -> None:
    space = gemm_space()
    assert (space.range_length, len(space), space.dims) == (64, 64, (8, 8))
    assert {name: len(knob) for name, knob in space.space_map.items()} == {"tile_y": 8, "tile_x": 8}


def test_04_the_first_knob_is_the_least_digit() -> None:
    space = gemm_space()
    assert [space.point2knob(i) for i in (0, 4, 8, 12)] == [[0, 0], [4, 0], [0, 1], [4, 1]]
    assert [space.knob2point(space.point2knob(i)) for i in range(64)] == list(range(64))


@pytest.mark.parametrize("filter_first", [True, False])
def test_05_filters_within_and_across_knobs(filter_first: bool) -> None:
    alone = ConfigSpace()
    alone.define_split("tile_x", alone.axis(128), filter=lambda e: e.size[-1] < 64)
    alone.define_split("tile_y", alone.axis(128))
    assert len(alone) == 48
    space = filtered(32, 1024)
    assert (len(space), space.range_length) == (34, 64)

    both = ConfigSpace()
    if filter_first:
        both.multi_filter(filter=lambda entity: 32 <= product(entity) < 1024)
    both.define_split("tile_y", both.axis(128))
    both.define_split("tile_x", both.axis(128), filter=lambda e: e.size[-1] < 64)
    if not filter_first:
        both.multi_filter(filter=lambda entity: 32 <= product(entity) < 1024)
    assert (len(both), both.range_length) == (27, 48)


def test_06_parts_of_a_filtered_range() -> None:
    space = filtered(32, 1024)
    assert [space.subrange_length(*part) for part in ((0, 32), (16, 32), (16, 16))] == [17, 10, 0]
    for part in ((0, 128), (-64, 16)):
        with pytest.raises(IndexError):
            space.subrange_length(*part)
    assert [space.is_index_valid(i) for i in (0, 15)] == [False, True]
    assert space.get(15)["tile_x"].size == [-1, 2]
    with pytest.raises(RuntimeError, match="configuration 0 is not valid"):
        space.get(0)


def test_07_the_next_index() -> None:
    space = gemm_space()
    steps: list[tuple[int, ...]] = [(0,), (0, 2), (0, -1), (63,), (63, -2)]
    assert [space.get_next_index(*step) for step in steps] == [1, 2, None, None, 61]
    space = filtered(32, 1024)
    steps = [(0,), (0, 2), (63, -1), (63, -2)]
    assert [space.get_next_index(*step) for step in steps] == [5, 6, 58, 57]
    assert space.get_next_index(60, 1, end=63) is None


def test_08_a_random_index_keeps_to_its_range() -> None:
    space = filtered(32, 1024)
    assert space.get_rand_index(15, 16) == 15
    assert space.get_rand_index(10, 15, to_exclude=[i for i in range(10, 15) if i != 13]) == 13
    everything = [i for i in range(64) if space.is_index_valid(i)]
    assert space.get_rand_index(to_exclude=[i for i in everything if i != 43]) == 43
    with pytest.raises(RuntimeError, match="no valid configuration is left"):
        space.get_rand_index(to_exclude=everything)


def test_09_samples_and_walks() -> None:
    space = gemm_space()
    assert len(set(space.sample_ints(5))) == 5
    for low, size in ((8, 43), (0, 49)):
        space = filtered(low, 1024)
        assert len(space) == size
        assert all(space.is_index_valid(i) for i in space.sample_ints(5))
        valid = [i for i in range(64) if space.is_index_valid(i)]
        walked = [(i, space.random_walk(i)) for i in valid]
        assert all(i != j and space.is_index_valid(j) for i, j in walked)
    single = ConfigSpace()
    single.define_split("tile", single.axis(1))
    assert single.random_walk(0) == 0


def test_10_fallback_splits() -> None:
    cfg = FallbackConfigEntity()
    cfg.define_split("tile_n", cfg.axis(128), num_outputs=3)
    cfg.fallback_split("tile_n", [-1, 8, 4])
    cfg.define_split("tile_n", cfg.axis(128), num_outputs=3)
    assert cfg["tile_n"].size == [4, 8, 4]
    assert cfg.space().knobs[0].entities[0] == SplitEntity((-1, 1, 1))
    odd = FallbackConfigEntity()
    odd.define_split("tile_n", odd.axis(49), num_outputs=3)
    odd.fallback_split("tile_n", [-1, 8, 4])
    assert odd["tile_n"].size == [7, 7, 1]
    with pytest.raises(RuntimeError, match="tile_n"):
        FallbackConfigEntity.from_space(odd.space()).fallback_split("tile_n", [-1, 1, 0])
    odd["tile_n"] = SplitEntity([1, 7, 7])  # type: ignore[arg-type]
    assert odd["tile_n"].size == [1, 7, 7]


@pytest.mark.parametrize(
    ("policy", "sizes"), [("try_unroll", [2, 4, 8]), ("try_vec", [2, 3, 4]), ("try_unroll_vec", [3, 8, 20])]
)
def test_11_annotations_are_counted(policy: str, sizes: list[int]) -> None:
    found = []
    for axes in range(1, 4):
        space = ConfigSpace()
        space.define_annotate("ann", [space.axis(1024) for _ in range(axes)], policy=policy)
        found.append(len(space))
    assert found == sizes


def test_11_orders_are_counted() -> None:
    for axes in range(1, 6):
        space = ConfigSpace()
        space.define_reorder("order", [space.axis(16) for _ in range(axes)], policy="all")
        assert len(space) == math.factorial(axes)
    space = ConfigSpace()
    space.define_reorder("order", [space.axis(16) for _ in range(6)], policy="interval_all", interval=(1, 5))
    assert len(space) == math.factorial(4)
    with pytest.raises(RuntimeError, match="unknown policy"):
        space.define_annotate("ann", [space.axis(4)], policy="try_cuda")


def test_12_an_index_out_of_range() -> None:
    for index in (-1, 64):
        with pytest.raises(IndexError):
            gemm_space().get(index)


def test_a_configuration_goes_to_json_and_back() -> None:
    space = gemm_space()
    space.define_annotate("ann", [space.axis(4), space.axis(8)], policy="try_unroll_vec")
    space.define_reorder("order", [space.axis(2), space.axis(4)], policy="all")
    space.define_knob("auto", [0, 16, True, None, [1, 2]])
    config = space.get(len(space) - 1)
    data = config.to_json_dict()
    assert data["entity"][:2] == [["tile_y", "sp", [-1, 128]], ["tile_x", "sp", [-1, 128]]]
    assert [kind for _, kind, _ in data["entity"]] == ["sp", "sp", "an", "re", "ot"]
    again = autotvm.ConfigEntity.from_json_dict(data)
    assert again == config
    assert again.index == config.index
    assert again.get_other_option() == {"auto": (1, 2)}
