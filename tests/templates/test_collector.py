from collections.abc import Callable
from typing import Any

import pytest

from tilewright.templates import ConfigError, InvalidConfigError, SpaceError, SplitEntity, get_config
from tilewright.templates.collector import ChosenConfig, SpaceCollector, active_config, use_config


def collect(body: Callable[[SpaceCollector], object]) -> SpaceCollector:
    collector = SpaceCollector()
    with use_config(collector):
        body(collector)
    return collector


def test_definitions_make_a_space_and_answer_with_first_choices() -> None:
    collector = SpaceCollector()
    outer, inner = collector.define_split("tile", 64)
    collector.define_reorder("order", [outer, inner], "all")
    collector.define_annotate("mark", [outer, inner], "try_vec")
    collector.define_knob("free", [3, 4])
    assert collector.space().dims == (7, 2, 3, 2)
    assert collector["tile"].size == [-1, 1]
    assert collector["free"].val == 3


@pytest.mark.parametrize("constrain_first", [True, False])
def test_constraints_may_come_before_or_after_the_knobs(constrain_first: bool) -> None:
    collector = SpaceCollector()

    def constrain() -> None:
        collector.multi_filter(lambda e: 32 <= e["y"].size[-1] * e["x"].size[-1] < 1024)

    if constrain_first:
        constrain()
    collector.define_split("y", 128, filter=lambda entity: entity.size[-1] < 64)
    collector.define_split("x", 128)
    if not constrain_first:
        constrain()
    assert (collector.space().range_length, len(collector.space())) == (48, 27)


def test_constrain_names_its_knobs() -> None:
    collector = SpaceCollector()
    collector.define_split("y", 128)
    collector.define_split("x", 128)
    collector.constrain(("y", "x"), lambda y, x: 8 <= y.size[-1] * x.size[-1] < 1024)
    assert len(collector.space()) == 43
    collector.constrain(("y", "z"), lambda y, z: True)
    with pytest.raises(SpaceError, match="no knob 'z'"):
        collector.space()


def test_the_same_definition_twice_is_one_knob_and_another_is_an_error() -> None:
    collector = SpaceCollector()
    collector.define_split("tile", 64)
    collector.define_split("tile", 64)
    assert len(collector.space().knobs) == 1
    with pytest.raises(SpaceError, match="'tile' is defined twice"):
        collector.define_split("tile", 32)


@pytest.mark.parametrize("name", [5, None, b"tile", ("tile",), ["tile"]])
def test_a_knob_is_named_by_a_string(name: Any) -> None:
    cfg = SpaceCollector()
    axes = [cfg.axis(8), cfg.axis(8)]
    for define in (
        lambda: cfg.define_knob(name, [1, 2]),
        lambda: cfg.define_split(name, 8),
        lambda: cfg.define_reorder(name, axes, "all"),
        lambda: cfg.define_annotate(name, axes, "try_unroll"),
    ):
        with pytest.raises(SpaceError, match="a knob's name must be a string, not "):
            define()


def test_an_undefined_knob_is_an_error() -> None:
    with pytest.raises(ConfigError, match="define it before"):
        SpaceCollector()["tile"]


@pytest.mark.parametrize(
    ("extent", "bounds", "size"), [(128, [-1, 8, 4], [4, 8, 4]), (49, [-1, 8, 4], [7, 7, 1])]
)
def test_fallback_split_takes_the_largest_factors(extent: int, bounds: list[int], size: list[int]) -> None:
    collector = SpaceCollector()
    collector.define_split("tile", extent, num_outputs=3)
    before = collector.space()
    collector.fallback_split("tile", bounds)
    collector.define_split("tile", extent, num_outputs=3)
    collector.fallback_split("tile", [-1, 1, 1])
    assert collector["tile"].size == size
    assert collector.space() == before


def test_an_impossible_fallback_is_an_error() -> None:
    collector = SpaceCollector()
    collector.define_split("tile", 49, num_outputs=3)
    with pytest.raises(SpaceError, match="'tile'"):
        collector.fallback_split("tile", [-1, 1, 0])


def test_a_chosen_configuration_answers_and_refuses() -> None:
    collector = SpaceCollector()
    collector.define_split("tile", 64)
    chosen = ChosenConfig(collector.space().config(3))
    assert [axis.extent for axis in chosen.define_split("tile", 64)] == [-1, 8]
    assert chosen["tile"].size == [-1, 8]
    with pytest.raises(InvalidConfigError, match="too long"):
        chosen.raise_error("too long")
    with pytest.raises(ConfigError, match="is_fallback"):
        chosen["tile"] = SplitEntity((-1, 4))
    with pytest.raises(ConfigError, match="'order' is missing"):
        chosen.define_knob("order", [1])


def test_get_config_answers_within_its_context_only() -> None:
    seen: list[Any] = []
    collector = collect(lambda _: seen.append(get_config()))
    assert seen == [collector]
    assert active_config() is None
    assert isinstance(get_config(), SpaceCollector)
