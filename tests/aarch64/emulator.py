"""Runs kernels for AArch64 on a machine of another kind, by QEMU's emulation of user programs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tilewright.compiler.build import ObjectCode
from tilewright.compiler.target import Target

Array = npt.NDArray[Any]
TRIPLE = "aarch64-unknown-linux-gnu"
COMPILER = "aarch64-linux-gnu-gcc"
EMULATOR = "qemu-aarch64"
MAIN = Path(__file__).with_name("main.c")
SECONDS = 120
ALIGNMENT = 64


def target(cpu: str = "neoverse-n1") -> Target:
    """A CPU of that architecture, with vectors of 128 bits."""
    return Target.named(cpu, triple=TRIPLE)


def missing_tools() -> list[str]:
    """What is not installed of what :class:`Emulator` runs."""
    return [name for name in (COMPILER, EMULATOR) if shutil.which(name) is None]


class Emulator:
    """Links kernels with a small program that calls them, in a folder, and runs that."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.main = folder / "main.o"
        self._do(COMPILER, "-O1", "-Wall", "-Werror", "-c", str(MAIN), "-o", str(self.main))

    def run(self, code: ObjectCode, inputs: Sequence[Array]) -> Array:
        """The output of a kernel; a parallel one runs its parts one after another, the last first."""
        compiled, program = self.folder / "kernel.o", self.folder / "program"
        compiled.write_bytes(code.object)
        self._do(COMPILER, "-static", str(self.main), str(compiled), "-lm", "-o", str(program))
        (spec,) = code.outputs
        output = np.empty(spec.shape, spec.dtype)
        scratch = ALIGNMENT + code.scratch_bytes + code.thread_scratch_bytes * code.threads
        sizes = [scratch, output.nbytes, *(array.nbytes for array in inputs)]
        data = b"".join(array.tobytes() for array in inputs)
        result = self._do(EMULATOR, str(program), *map(str, sizes), data=data)
        return np.frombuffer(result, output.dtype).reshape(output.shape)

    def _do(self, *command: str, data: bytes = b"") -> bytes:
        done = subprocess.run(command, input=data, capture_output=True, timeout=SECONDS, check=False)
        assert done.returncode == 0, f"{command}: {done.returncode}, {done.stderr.decode()}"
        return done.stdout
