"""What tuners refuse."""

from tilewright.compiler.errors import TilewrightError


class TunerError(TilewrightError, ValueError):
    """There is no such tuner, or it was given what it cannot take."""
