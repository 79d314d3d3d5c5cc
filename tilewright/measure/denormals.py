"""Denormal numbers: whether the processor computes with them, or takes them as zero."""

import sys


def flushes_denormals() -> bool:
    """Whether this thread's processor takes a denormal result as zero, which nothing of ours asks for."""
    return sys.float_info.min / 2 == 0.0
