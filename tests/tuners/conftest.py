"""A recorded space: every configuration of a small matmul with its cost, from `tests/data`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tilewright.templates import ConfigSpace
from tilewright.templates.space_json import space_from_json
from tilewright.tuners import Observation, make_tuner

DATA = Path(__file__).parent.parent / "data" / "matmul_space.json"


@dataclass(frozen=True)
class RecordedSpace:
    space: ConfigSpace
    costs: dict[int, float | None]

    @property
    def optimum(self) -> float:
        return min(cost for cost in self.costs.values() if cost is not None)

    def search(self, name: str, seed: int, trials: int, **options: Any) -> list[Observation]:
        """Let a tuner measure `trials` configurations and return what it saw, in order."""
        tuner = make_tuner(name, self.space, seed, **options)
        seen: list[Observation] = []
        while len(seen) < trials:
            configs = tuner.next_batch(min(8, trials - len(seen)))
            if not configs:
                break
            fresh = [Observation(config, self.costs[config.index]) for config in configs]
            tuner.update(fresh)
            seen += fresh
        return seen

    def fraction(self, observations: list[Observation]) -> float:
        """Return the share of the optimum's speed that was reached."""
        costs = [o.cost_seconds for o in observations if o.cost_seconds is not None]
        return self.optimum / min(costs) if costs else 0.0


@pytest.fixture(scope="session")
def recorded() -> RecordedSpace:
    data = json.loads(DATA.read_text())
    trials = data["trials"]
    space = space_from_json(data["space"], [trial["config"] for trial in trials])
    costs = {
        space.from_values(trial["config"]).index: trial["cost"] if trial["state"] in ("ok", "slow") else None
        for trial in trials
    }
    return RecordedSpace(space, costs)
