"""`tvm.transform`: contexts that scripts open around a build."""

import contextlib
from collections.abc import Iterator
from typing import Any

from tilewright.tvm.ignored import warn_ignored


@contextlib.contextmanager
def PassContext(opt_level: int = 3, **options: Any) -> Iterator[None]:  # noqa: N802 - TVM's name
    """Do nothing: there is one pipeline, and it optimizes. Other options are ignored with a warning."""
    warn_ignored("PassContext", [name for name, value in options.items() if value])
    yield


__all__ = ["PassContext"]
