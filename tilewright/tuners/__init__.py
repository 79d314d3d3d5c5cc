"""Tuners: from a space and observed costs to the configurations to measure next."""

from tilewright.tuners.budget import Budget, batch_size
from tilewright.tuners.cost_model import CostModel
from tilewright.tuners.errors import TunerError
from tilewright.tuners.features import knob_features
from tilewright.tuners.observation import Observation
from tilewright.tuners.prior import Prior
from tilewright.tuners.registry import TUNERS, make_tuner
from tilewright.tuners.tuner import Tuner

__all__ = [
    "TUNERS",
    "Budget",
    "CostModel",
    "Observation",
    "Prior",
    "Tuner",
    "TunerError",
    "batch_size",
    "knob_features",
    "make_tuner",
]
