"""The only reader of environment variables: where caches live, and what child processes inherit."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

THREAD_VARIABLES = (
    "NUMBA_NUM_THREADS",
    "NUMBA_THREADING_LAYER",
    "OMP_NUM_THREADS",
    "OMP_PROC_BIND",
    "OMP_PLACES",
    "GOMP_CPU_AFFINITY",
    "KMP_AFFINITY",
    "OMP_WAIT_POLICY",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TBB_NUM_THREADS",
    "TVM_NUM_THREADS",
)
_OFF = frozenset({"0", "off", "no", "false"})


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment asks of Tilewright.

    Attributes:
        cache_directory: where compiled code is kept between processes.
        cache_enabled: false when `TILEWRIGHT_CACHE=0`.
    """

    cache_directory: Path
    cache_enabled: bool


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from `environment`, by default that of the process."""
    variables = os.environ if environment is None else environment
    enabled = variables.get("TILEWRIGHT_CACHE", "").strip().lower() not in _OFF
    return Settings(_cache_home(variables) / "tilewright", enabled)


def tvm_threads(environment: Mapping[str, str] | None = None) -> int | None:
    """The threads that a script written for TVM asks for with `TVM_NUM_THREADS`; None where it does not."""
    variables = os.environ if environment is None else environment
    text = variables.get("TVM_NUM_THREADS", "").strip()
    return int(text) if text.isdigit() and int(text) > 0 else None


def pool_threads(environment: Mapping[str, str] | None = None) -> int | None:
    """The most threads of Numba's pool, which runs parallel loops; None where it may have all cores."""
    variables = os.environ if environment is None else environment
    text = variables.get("NUMBA_NUM_THREADS", "").strip()
    return int(text) if text.isdigit() and int(text) > 0 else None


def within_pool(cores: int) -> int:
    """Of so many cores those that Numba's pool may use."""
    return min(cores, pool_threads() or cores)


def call_threads(cores: int) -> int:
    """The threads of a kernel where a script does not say: as many as TVM's variable or Numba's pool has."""
    return tvm_threads() or within_pool(cores)


def thread_variables(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables that are set and limit or bind the threads of a library."""
    variables = os.environ if environment is None else environment
    return {name: variables[name] for name in THREAD_VARIABLES if name in variables}


def child_environment(**overrides: str) -> dict[str, str]:
    """The environment of the process, with `overrides`, for a child process."""
    return {**os.environ, **overrides}


def _cache_home(variables: Mapping[str, str]) -> Path:
    # The XDG specification: a relative path is invalid and has to be ignored.
    home = Path(variables.get("XDG_CACHE_HOME", ""))
    if home.is_absolute():
        return home
    user = variables.get("HOME", "")
    return (Path(user) if user else Path(os.path.expanduser("~"))) / ".cache"
