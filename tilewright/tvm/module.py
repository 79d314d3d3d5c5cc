"""A built function as TVM calls it: arrays in the order of the arguments, outputs written in place."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from tilewright.compiler.errors import ArgumentError, TilewrightError
from tilewright.compiler.kernel import Kernel

_SOURCES = {"": "llvm", "ll": "llvm", "s": "asm", "asm": "asm"}


class Module:
    """A kernel that takes its outputs as arguments."""

    def __init__(self, kernel: Kernel, is_input: Sequence[bool | None], name: str) -> None:
        self.kernel = kernel
        self.entry_name = name
        self._is_input = tuple(is_input)

    def __call__(self, *arrays: Any) -> None:
        """Run it on arrays; the outputs are written."""
        inputs, outputs = self.sides(arrays)
        self.kernel(*inputs, out=outputs[0] if len(outputs) == 1 else outputs)

    def __getitem__(self, name: str) -> "Module":
        if name != self.entry_name:
            raise TilewrightError(f"the module has the function {self.entry_name!r}, not {name!r}")
        return self

    def get_source(self, fmt: str = "") -> str:
        """The code: `ll` for LLVM IR, `asm` for assembly."""
        return self.kernel.source(_SOURCES.get(fmt, fmt))

    def sides(self, arrays: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """The inputs and the outputs among the arrays of a call."""
        if len(arrays) != len(self._is_input):
            raise ArgumentError(
                f"{self.entry_name} takes {len(self._is_input)} arrays, inputs and outputs, "
                f"{len(arrays)} given"
            )
        pairs = list(zip(arrays, self._is_input, strict=True))
        return [array for array, is_in in pairs if is_in], [array for array, is_in in pairs if is_in is False]

    def time_evaluator(
        self,
        func_name: str,
        dev: Any = None,
        number: int = 10,
        repeat: int = 1,
        min_repeat_ms: float = 0,
        **_: Any,
    ) -> Callable[..., "BenchmarkResult"]:
        """A function of the arrays that takes `repeat` samples of `number` calls, more to fill the time."""

        def evaluate(*arrays: Any) -> BenchmarkResult:
            inputs, outputs = self[func_name].sides(arrays)
            call = self.kernel.prepare(*inputs, out=outputs)
            calls = max(number, int(min_repeat_ms * 1e6 / max(1, call.run(1))))
            return BenchmarkResult([call.run(calls) * 1e-9 / calls for _ in range(repeat)])

        return evaluate


class BenchmarkResult:
    """Seconds of one call: each sample, and what they come to."""

    def __init__(self, results: Sequence[float]) -> None:
        self.results = tuple(results)
        self.mean, self.median = statistics.fmean(results), statistics.median(results)
        self.min, self.max = min(results), max(results)
        self.std = statistics.pstdev(results)

    def __str__(self) -> str:
        names = ("mean", "median", "max", "min", "std")
        return ", ".join(f"{name} {getattr(self, name) * 1e3:.4f} ms" for name in names)


__all__ = ["BenchmarkResult", "Module"]
