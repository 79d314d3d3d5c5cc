"""`autotvm.feature`: what the tuners see of configurations, numbers made of their knobs."""

from tilewright.tuners.features import knob_features

__all__ = ["knob_features"]


def __getattr__(name: str) -> object:
    raise AttributeError(f"module {__name__!r} has no {name!r}: the tuners see knob_features(space)(indices)")
