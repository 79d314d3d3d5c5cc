"""What a tuner learns from: one configuration and its cost."""

from dataclasses import dataclass

from tilewright.templates.config import Config


@dataclass(frozen=True, slots=True)
class Observation:
    """The cost of one configuration; None where it failed."""

    config: Config
    cost_seconds: float | None
