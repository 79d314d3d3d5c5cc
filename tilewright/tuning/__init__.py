"""Tuning: asks a tuner for configurations, measures them, records the results, and holds a play-off."""

from tilewright.tuning.conductor import tune
from tilewright.tuning.group_conductor import tune_all
from tilewright.tuning.group_result import IncompleteTuningError, Total, TuneAllInterrupted, TuneAllResult
from tilewright.tuning.progress import Progress, Quiet
from tilewright.tuning.result import (
    Best,
    NoValidConfig,
    RecordsNotStored,
    Speed,
    TuneResult,
    TuningInterrupted,
)
from tilewright.tuning.session import Session

__all__ = [
    "Best",
    "IncompleteTuningError",
    "NoValidConfig",
    "Progress",
    "Quiet",
    "RecordsNotStored",
    "Session",
    "Speed",
    "Total",
    "TuneAllInterrupted",
    "TuneAllResult",
    "TuneResult",
    "TuningInterrupted",
    "tune",
    "tune_all",
]
