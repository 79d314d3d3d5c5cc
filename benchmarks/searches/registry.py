"""The searches by name: ours, and those of others that are made here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from searches.autotvm import AutoTvmSearch
from searches.optuna_search import OptunaSearch
from tilewright.templates import ConfigSpace
from tilewright.tuners import Tuner, make_tuner

FOREIGN: dict[str, Callable[..., Tuner]] = {
    "tpe": OptunaSearch,
    "autotvm-rank": partial(AutoTvmSearch, loss="rank"),
    "autotvm-reg": partial(AutoTvmSearch, loss="reg"),
}


def make_search(name: str, space: ConfigSpace, seed: int, **options: Any) -> Tuner:
    """The search called ``name``; the options are those of ``Tuner``."""
    return (
        FOREIGN[name](space, seed, **options) if name in FOREIGN else make_tuner(name, space, seed, **options)
    )
