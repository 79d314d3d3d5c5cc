"""Tilewright: a tensor compiler for CPUs in Python, with template-based auto-tuning.

    import tilewright as tw

    result = tw.tune("matmul", m=512, n=512, k=512, trials=64, db="tune.db")
    with tw.apply_best("tune.db"):
        kernel = tw.build("matmul", m=512, n=512, k=512)
    c = kernel(a, b)

Names are imported when they are first used, so that importing the package is cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tilewright import te
    from tilewright.compiler.errors import TilewrightError
    from tilewright.compiler.kernel import Kernel
    from tilewright.compiler.target import Target
    from tilewright.deploy import build, explain, lower
    from tilewright.logs.apply import apply_best
    from tilewright.templates.collector import get_config
    from tilewright.templates.template import template
    from tilewright.templates.workload_collector import collect_workloads
    from tilewright.tuning import NoValidConfig, Session, TuneAllResult, TuneResult, tune, tune_all

__version__ = "0.1.0"

_HOMES = {
    "Kernel": "tilewright.compiler.kernel",
    "NoValidConfig": "tilewright.tuning",
    "Session": "tilewright.tuning",
    "Target": "tilewright.compiler.target",
    "TilewrightError": "tilewright.compiler.errors",
    "TuneAllResult": "tilewright.tuning",
    "TuneResult": "tilewright.tuning",
    "apply_best": "tilewright.logs.apply",
    "build": "tilewright.deploy",
    "collect_workloads": "tilewright.templates.workload_collector",
    "explain": "tilewright.deploy",
    "get_config": "tilewright.templates.collector",
    "lower": "tilewright.deploy",
    "template": "tilewright.templates.template",
    "tune": "tilewright.tuning",
    "tune_all": "tilewright.tuning",
}

__all__ = [
    "Kernel",
    "NoValidConfig",
    "Session",
    "Target",
    "TilewrightError",
    "TuneAllResult",
    "TuneResult",
    "apply_best",
    "build",
    "collect_workloads",
    "explain",
    "get_config",
    "lower",
    "te",
    "template",
    "tune",
    "tune_all",
]


def __getattr__(name: str) -> Any:
    if name == "te":
        return importlib.import_module("tilewright.te")
    if name not in _HOMES:
        raise AttributeError(f"module 'tilewright' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
