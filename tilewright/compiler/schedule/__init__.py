"""Schedules: how a program is computed, said apart from what it computes."""

from tilewright.compiler.schedule.schedule import Schedule, create_schedule
from tilewright.compiler.schedule.stage import Stage
from tilewright.compiler.schedule.steps import Step

__all__ = ["Schedule", "Stage", "Step", "create_schedule"]
