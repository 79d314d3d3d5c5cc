from typing import Any

import pytest

from tilewright.templates import SpaceError, SplitEntity, VirtualAxis, split_knob

COUNTS = [
    (1024, 2, (11, 11, 11)),
    (1024, 3, (66, 66, 66)),
    (1024, 4, (286, 286, 286)),
    (512, 2, (10, 10, 10)),
    (512, 3, (55, 55, 55)),
    (512, 4, (220, 220, 220)),
    (128, 2, (8, 8, 8)),
    (128, 3, (36, 36, 36)),
    (128, 4, (120, 120, 120)),
    (256, 3, (45, 45, 45)),
    (2**25, 4, (3276, 3276, 3276)),
    (1, 3, (1, 1, 1)),
    (100, 2, (9, 7, 13)),
    (100, 3, (36, 28, 70)),
    (7, 3, (3, 6, 8)),
    (49, 3, (6, 21, 30)),
    (224, 3, (63, 36, 84)),
    (224, 4, (224, 120, 318)),
    (768, 4, (660, 220, 1002)),
    (1000, 4, (400, 220, 1032)),
]


def sizes(extent: int, policy: str = "factors", **options: Any) -> list[list[int]]:
    entities = split_knob("t", extent, policy, **options).entities
    return [entity.to_json() for entity in entities if isinstance(entity, SplitEntity)]


class FakeStage:
    def __init__(self) -> None:
        self.factors: list[int] = []

    def split(self, axis: str, factor: int) -> tuple[str, str]:
        self.factors.append(factor)
        return f"{axis}o", f"{axis}i"


@pytest.mark.parametrize(("extent", "outputs", "counts"), COUNTS)
def test_each_policy_gives_its_exact_count(extent: int, outputs: int, counts: tuple[int, ...]) -> None:
    found = tuple(
        len(split_knob("t", extent, policy, num_outputs=outputs))
        for policy in ("factors", "power2", "verbose")
    )
    assert found == counts


def test_max_factor_limits_the_inner_factors_only() -> None:
    assert len(split_knob("t", 1024, num_outputs=4, max_factor=64)) == 226
    assert len(split_knob("t", 1024, num_outputs=2, max_factor=64)) == 7


def test_no_tail_keeps_the_dividing_splits_only() -> None:
    assert len(split_knob("t", 224, "power2", num_outputs=3, no_tail=True)) == 21
    assert len(split_knob("t", 224, "verbose", num_outputs=3, no_tail=True)) == 63


def test_the_first_inner_factor_changes_fastest() -> None:
    inner = [[1, 1], [2, 1], [4, 1], [8, 1], [1, 2], [2, 2]]
    assert sizes(8, num_outputs=3)[:6] == [[-1, *factors] for factors in inner]
    assert sizes(128) == [[-1, 2**e] for e in range(8)]


def test_one_output_is_the_loop_itself() -> None:
    assert sizes(64, num_outputs=1) == [[-1]]


def test_a_prime_extent_splits_by_one_and_itself() -> None:
    assert sizes(127) == [[-1, 1], [-1, 127]]


def test_filter_drops_splits() -> None:
    assert len(split_knob("t", 128, filter=lambda entity: entity.size[-1] < 64)) == 6


def test_candidates_are_taken_as_given() -> None:
    assert sizes(100, "candidate", candidate=[[4, 25], [-1, 7]]) == [[4, 25], [-1, 7]]


def test_an_axis_serves_as_well_as_an_extent() -> None:
    assert split_knob("t", VirtualAxis(64)) == split_knob("t", 64)


@pytest.mark.parametrize(
    ("extent", "policy", "options", "message"),
    [
        (8, "thirds", {}, "unknown policy 'thirds'"),
        (0, "factors", {}, "positive integer"),
        (8, "factors", {"num_outputs": 0}, "num_outputs must be at least 1"),
        (8, "candidate", {}, "needs candidate"),
        (8, "candidate", {"candidate": [[1, 2, 4]]}, "has 3 extents"),
    ],
)
def test_a_wrong_definition_names_the_knob(
    extent: int, policy: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpaceError, match=message) as caught:
        split_knob("tile", extent, policy, **options)
    assert "'tile'" in str(caught.value)


def test_apply_splits_by_the_products_of_the_inner_extents() -> None:
    stage = FakeStage()
    schedule: Any = {"C": stage}
    tensor: Any = "C"
    axis: Any = "x"
    assert SplitEntity((-1, 4, 8)).apply(schedule, tensor, axis) == ["xo", "xio", "xii"]
    assert stage.factors == [32, 8]
