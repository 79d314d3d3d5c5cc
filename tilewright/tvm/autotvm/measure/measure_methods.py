"""`autotvm.measure.measure_methods`: where candidates are compiled and timed."""

from typing import Any

from tilewright.compiler.errors import TilewrightError
from tilewright.tvm.autotvm.measure.local_builder import BuildResult, LocalBuilder
from tilewright.tvm.autotvm.measure.measure import Builder, MeasureInput, MeasureResult, Runner
from tilewright.tvm.ignored import warn_ignored


class LocalRunner(Runner):
    """Verifies and times in the process that compiled.

    How often a kernel runs is decided while it is timed: slices alternate with a loop of known speed, and a
    candidate that is much slower than the best stops at its first run.
    """

    def __init__(self, timeout: float = 10, n_parallel: int | None = None, **options: Any) -> None:
        super().__init__(timeout, n_parallel)
        warn_ignored("LocalRunner", options)

    def run(self, measure_inputs: list[MeasureInput], build_results: list[Any]) -> list[MeasureResult]:
        """Refuse what another builder made."""
        raise TilewrightError(
            "LocalRunner times what LocalBuilder compiles; give a runner of your own as well"
        )


def measure_option(builder: Builder | str, runner: Runner | str) -> dict[str, Any]:
    """How a tuner measures; `"local"` stands for `LocalBuilder()` and `LocalRunner()`."""
    return {
        "builder": _named(builder, LocalBuilder, "builder"),
        "runner": _named(runner, LocalRunner, "runner"),
    }


def _named(given: Any, local: type, what: str) -> Any:
    if isinstance(given, str) and given != "local":
        raise TilewrightError(f"{what}={given!r}: there is 'local', or an object with AutoTVM's methods")
    return local() if isinstance(given, str) else given


__all__ = ["BuildResult", "LocalBuilder", "LocalRunner", "measure_option"]
