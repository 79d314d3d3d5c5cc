"""`autotvm.task.space`: a space while it is defined and searched."""

from collections.abc import Collection
from typing import Any

import numpy as np

from tilewright.templates.annotate import AnnotateEntity as AnnotateEntity
from tilewright.templates.collector import SpaceCollector
from tilewright.templates.knobs import Knob
from tilewright.templates.knobs import VirtualAxis as VirtualAxis
from tilewright.templates.option import OtherOptionEntity as OtherOptionEntity
from tilewright.templates.reorder import ReorderEntity as ReorderEntity
from tilewright.templates.split import SplitEntity as SplitEntity
from tilewright.tvm.autotvm.task.entity import ConfigEntity as ConfigEntity

FallbackConfigEntity = SpaceCollector
# AutoTVM's names for what our ConfigSpace offers.
_NAMES = {
    "point2knob": "point_to_knob",
    "knob2point": "knob_to_point",
    "get_next_index": "next_index",
    "is_index_valid": "is_valid",
    **{name: name for name in ("subrange_length", "range_length", "dims")},
}


class ConfigSpace(SpaceCollector):
    """A space that knobs are defined on, at any time; it answers as AutoTVM's does."""

    rng = np.random.default_rng()

    @property
    def is_fallback(self) -> bool:
        """False: untuned choices are made elsewhere."""
        return False

    @property
    def space_map(self) -> dict[str, Knob]:
        """The knobs by name."""
        return {knob.name: knob for knob in self.space().knobs}

    def __len__(self) -> int:
        return len(self.space())

    def __str__(self) -> str:
        return str(self.space())

    def __getattr__(self, name: str) -> Any:
        if name not in _NAMES:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.space(), _NAMES[name])

    def get(self, index: int) -> ConfigEntity:
        """The configuration at an index."""
        return ConfigEntity.of(self.space().config(index))

    def get_rand_index(
        self, start: int | None = None, end: int | None = None, to_exclude: Collection[int] | None = None
    ) -> int:
        """A random valid index of [start, end) that is not excluded."""
        return self.space().random_index(self.rng, to_exclude or (), start=start, end=end)

    def sample_ints(self, m: int) -> list[int]:
        """Distinct random valid indices: m, or all where there are fewer."""
        return self.space().sample(m, self.rng)

    def random_walk(self, point: int) -> int:
        """A valid index near another; the same where there is only one."""
        return self.space().random_walk(point, self.rng)

    def valid(self) -> bool:
        """True: a configuration that breaks a limit says so when it is instantiated."""
        return True
