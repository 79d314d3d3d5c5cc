"""`autotvm.feature`: what the tuners see of configurations, numbers made of their knobs."""

from tilewright.tuners.features import knob_features

__all__ = ["knob_features"]
