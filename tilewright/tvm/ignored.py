"""Options of TVM that have no counterpart: accepted, and named in one warning for each place."""

import warnings
from collections.abc import Collection
from functools import cache


def warn_ignored(owner: str, options: Collection[str]) -> None:
    """Warn, once in a process, that `owner` takes these options without using them."""
    if options:
        _warn(owner, ", ".join(sorted(options)))


@cache
def _warn(owner: str, options: str) -> None:
    warnings.warn(f"{owner}: Tilewright has no use for {options}; ignored", UserWarning, stacklevel=4)


__all__ = ["warn_ignored"]
