"""A kernel whose constant inputs are given, and what follows from them computed."""

from __future__ import annotations

import ctypes
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tilewright.compiler.errors import ArgumentError
from tilewright.compiler.kernel import Argument, Array, Kernel, check_array
from tilewright.compiler.runtime import repeat_function


class BoundKernel(Kernel):
    """``Kernel.bind``'s result: callable on the inputs that are left.

    The constants' arrays are kept and must not change any more.
    """

    keeps_scratch = True

    def __init__(self, kernel: Kernel, constants: Mapping[str, Any]) -> None:
        self._kernel = kernel
        self._bound = _check_constants(kernel, constants)
        left = tuple(spec for spec in kernel.inputs if spec.name not in self._bound)
        super().__init__(dataclasses.replace(kernel.code, inputs=left), kernel.config, kernel.record)
        if self.code.backend != "llvm":
            self._run = self._run_whole

    @property
    def constants(self) -> tuple[str, ...]:
        """None are left."""
        return ()

    def _load(self) -> None:
        self._loaded = self._kernel._loaded
        self._prepared = self._kernel.make_scratch()
        addresses = [
            self._bound[s.name].ctypes.data if s.name in self._bound else 0 for s in self._kernel.inputs
        ]
        addresses += [0] * len(self._kernel.outputs)
        slots = (ctypes.c_void_p * len(addresses))(*addresses)
        prepare = self._kernel.guard(repeat_function())
        where, scratch = ctypes.addressof(slots), self._prepared.ctypes.data
        prepare(self._loaded.addresses["prepare"], where, scratch, self._kernel.launch, 1)
        self._connect(self._loaded.addresses["bound"])

    def make_scratch(self) -> Array:
        """Memory for one call at a time, with what was computed from the constants."""
        scratch = super().make_scratch()
        np.copyto(scratch, self._prepared)
        return scratch

    def __call__(self, *arrays: Any, out: Any = None) -> Any:
        """Run the kernel, as `Kernel` does; an output is none of the constants either."""
        if isinstance(out, np.ndarray):
            for constant in self._bound.values():
                if np.may_share_memory(out, constant):
                    return self._call_checked(arrays, out)
        return super().__call__(*arrays, out=out)

    def _read(self, inputs: Sequence[Array]) -> list[Argument]:
        bound = [(spec, self._bound[spec.name]) for spec in self._kernel.inputs if spec.name in self._bound]
        return [*super()._read(inputs), *bound]

    def _run_whole(self, inputs: list[Array], outputs: list[Array]) -> None:
        rest = iter(inputs)
        whole = [self._bound[s.name] if s.name in self._bound else next(rest) for s in self._kernel.inputs]
        self._kernel._run(whole, outputs)

    def __reduce__(self) -> tuple[Any, ...]:
        return BoundKernel, (self._kernel, self._bound)


def _check_constants(kernel: Kernel, constants: Mapping[str, Any]) -> dict[str, Array]:
    names = ", ".join(kernel.constants) or "none"
    unknown, missing = set(constants) - set(kernel.constants), set(kernel.constants) - set(constants)
    if unknown or not kernel.constants:
        raise ArgumentError(
            f"bind: {min(unknown, default='nothing')} is no constant of the kernel; it has {names}"
        )
    if missing:
        raise ArgumentError(f"bind: {min(missing)} is missing; bind all constants at once: {names}")
    specs = {spec.name: spec for spec in kernel.inputs}
    return {name: check_array(specs[name], array) for name, array in constants.items()}
