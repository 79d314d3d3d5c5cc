"""Tuning: asks a tuner for configurations, measures them, records the results, and holds a play-off."""

from tilewright.tuning.conductor import tune
from tilewright.tuning.progress import Progress, Quiet
from tilewright.tuning.result import Best, NoValidConfig, Speed, TuneResult, TuningInterrupted

__all__ = [
    "Best",
    "NoValidConfig",
    "Progress",
    "Quiet",
    "Speed",
    "TuneResult",
    "TuningInterrupted",
    "tune",
]
