"""`autotvm.tuner`: the searches, and what looks on."""

from tilewright.tvm.autotvm.tuner import callback, ga_tuner, xgboost_cost_model
from tilewright.tvm.autotvm.tuner.ga_tuner import GATuner
from tilewright.tvm.autotvm.tuner.index_based_tuner import GridSearchTuner, RandomTuner
from tilewright.tvm.autotvm.tuner.tuner import Tuner
from tilewright.tvm.autotvm.tuner.xgboost_tuner import XGBTuner

__all__ = [
    "GATuner",
    "GridSearchTuner",
    "RandomTuner",
    "Tuner",
    "XGBTuner",
    "callback",
    "ga_tuner",
    "xgboost_cost_model",
]
