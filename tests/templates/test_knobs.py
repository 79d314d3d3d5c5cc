import math
import re
from typing import Any

import pytest

from tilewright.templates import (
    AnnotateEntity,
    ConfigError,
    InvalidConfigError,
    ReorderEntity,
    SpaceError,
    VirtualAxis,
    annotate_knob,
    option_knob,
    reorder_knob,
    split_knob,
)

A, B, C, D = (VirtualAxis(extent, name) for extent, name in ((8, "a"), (4, "b"), (2, "c"), (16, "d")))


class FakeStage:
    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, primitive: str) -> Any:
        return lambda *arguments: self.calls.append((primitive, *arguments))


def orders(policy: str, **options: Any) -> list[Any]:
    return [entity.to_json() for entity in reorder_knob("r", [A, B, C, D], policy, **options).entities]


def test_reorder_counts() -> None:
    assert len(reorder_knob("r", [A, B, C, D], "identity")) == 1
    assert [len(reorder_knob("r", [A, B, C, D][:n], "all")) for n in (1, 2, 3, 4)] == [1, 2, 6, 24]
    assert len(reorder_knob("r", [A, B, C, D], "interval_all", interval=(1, 4))) == math.factorial(3)


def test_interval_all_leaves_the_axes_outside_in_place() -> None:
    assert orders("interval_all", interval=(1, 3)) == [[0, 1, 2, 3], [0, 2, 1, 3]]


def test_reorder_candidates_are_positions_of_axes() -> None:
    assert orders("candidate", candidate=[[A, B, C, D], [D, A, C, B]]) == [[0, 1, 2, 3], [3, 0, 2, 1]]


def test_interleave_gives_one_order() -> None:
    assert orders("interleave", spatial=[[A, B]], reduce=[[C, D]]) == [[0, 2, 1, 3]]


@pytest.mark.parametrize("policy", ["interval", "interval_all", "candidate", "interleave"])
def test_reorder_without_its_option_is_an_error(policy: str) -> None:
    with pytest.raises(SpaceError, match="'r'"):
        reorder_knob("r", [A, B], policy)


@pytest.mark.parametrize(
    ("policy", "counts"),
    [
        ("none", [1, 1, 1]),
        ("unroll", [1, 1, 1]),
        ("vec", [1, 0, 0]),
        ("try_unroll", [2, 4, 8]),
        ("try_vec", [2, 3, 4]),
        ("try_unroll_vec", [3, 8, 20]),
    ],
)
def test_annotate_counts(policy: str, counts: list[int]) -> None:
    assert [len(annotate_knob("n", [A, B, C][:n], policy)) for n in (1, 2, 3)] == counts


def test_locate_cache_chooses_anchors() -> None:
    knob = annotate_knob("n", [A, B, C, D], "locate_cache", num_anchor=2)
    assert len(knob) == 6
    assert knob.entities[0].to_json() == [0, 1]


@pytest.mark.parametrize("policy", ["bind_gpu", "bind_gpu_virtual", "tensorize", ""])
def test_an_unknown_annotation_is_an_error(policy: str) -> None:
    with pytest.raises(SpaceError, match="'n'"):
        annotate_knob("n", [A], policy)


def test_options_keep_their_order_and_tell_true_from_one() -> None:
    knob = option_knob("o", [1, True, [1, 2], (1, 2), "x", None, 1])
    assert [entity.to_json() for entity in knob.entities] == [1, True, [1, 2], "x", None]
    assert knob.ordinal(knob.entity_of(True)) == 1


def test_an_option_that_is_no_plain_data_is_an_error() -> None:
    with pytest.raises(SpaceError, match="plain data"):
        option_knob("o", [object()])


@pytest.mark.parametrize("value", [float("inf"), float("nan"), (1, float("inf"))])
def test_a_choice_that_cannot_be_recorded_is_named(value: object) -> None:
    with pytest.raises(SpaceError, match=re.escape(f"knob 'n': {value} cannot be recorded")):
        option_knob("n", [1.0, value])


@pytest.mark.parametrize(
    ("value", "ordinal"),
    [(1, 0), (1.0, 0), (True, 1), ([1, 2], 2), ((1, 2), 2), ("1", 3), (None, 4), ([[1], True], 5), (0.5, 6)],
)
def test_plain_data_finds_its_choice(value: object, ordinal: int) -> None:
    assert option_knob("o", [1, True, [1, 2], "1", None, [[1], True], 0.5]).ordinal_of(value) == ordinal


@pytest.mark.parametrize("value", [math.nan, 2, [1, True], "None", "[1, 2]", [1, "2"]])
def test_plain_data_that_only_looks_like_a_choice_is_none(value: object) -> None:
    with pytest.raises(ConfigError, match="has no value"):
        option_knob("o", [1, True, [1, 2], "1", None]).ordinal_of(value)


def test_a_stated_outermost_extent_is_a_choice() -> None:
    knob = split_knob("tile", 8)
    assert knob.ordinal_of([2, 4]) == knob.ordinal_of([-1, 4]) == knob.ordinal_of((2, 4))


def test_a_value_that_a_knob_lacks_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'tile' has no value \[-1, 3\]"):
        split_knob("tile", 8).entity_of([-1, 3])
    with pytest.raises(ConfigError, match="'tile' has no value"):
        split_knob("tile", 8).entity_of("eight")


def test_reorder_applies_to_the_stage() -> None:
    stage = FakeStage()
    schedule: Any = {"C": stage}
    tensor: Any = "C"
    axes: Any = ["i", "j", "k"]
    assert ReorderEntity((2, 0, 1)).apply(schedule, tensor, axes) == ["k", "i", "j"]
    assert stage.calls == [("reorder", "k", "i", "j")]


def test_annotate_applies_to_the_stage() -> None:
    stage = FakeStage()
    schedule: Any = {"C": stage}
    tensor: Any = "C"
    axes: Any = [A, B, C]
    AnnotateEntity(("none", "unroll", "vec")).apply(schedule, tensor, axes, max_unroll=4, vec_size=[2])
    assert stage.calls == [("unroll", B), ("vectorize", C)]


@pytest.mark.parametrize(
    ("annotation", "limits"), [("unroll", {"max_unroll": 4}), ("vec", {"vec_size": [4]})]
)
def test_an_annotation_beyond_its_limit_is_refused(annotation: str, limits: dict[str, Any]) -> None:
    schedule: Any = {"C": FakeStage()}
    tensor: Any = "C"
    axes: Any = [A]
    with pytest.raises(InvalidConfigError, match="axis a of 8"):
        AnnotateEntity((annotation,)).apply(schedule, tensor, axes, **limits)
