"""What the kernels of a task are compared with: the expected result, and the loop timed beside them."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from tilewright.compiler.errors import TilewrightError
from tilewright.compiler.program import Program
from tilewright.measure.builder import reduction_length, sum_dtype
from tilewright.measure.inputs import make_inputs, numpy_dtype
from tilewright.measure.measurer import Measurer
from tilewright.measure.result import ReferenceKind
from tilewright.templates.task import Task
from tilewright.tuning.history import operations

# Operations per byte above which a kernel is timed beside multiply-adds, not beside reads of memory.
COMPUTE_BOUND = 4.0


def reference_kind(task: Task, program: Program) -> ReferenceKind:
    """What a kernel is likely bound by, from its operations per byte."""
    return "compute" if operations(task) >= COMPUTE_BOUND * operand_bytes(program) else "bandwidth"


def operand_bytes(program: Program) -> int:
    """The bytes of the inputs and the outputs, which a kernel reads and writes once at least."""
    specs = (*program.inputs, *program.outputs)
    return sum(prod(spec.shape) * numpy_dtype(spec.dtype).itemsize for spec in specs)


def provide_reference(task: Task, program: Program, measurer: Measurer) -> None:
    """Compute the expected result in double precision from the template's NumPy reference, if it has one.

    Raises:
        TilewrightError: the reference fails, or its result does not fit the template's outputs.
    """
    if task.reference is None:
        return
    inputs = make_inputs(program.inputs)
    wide = [a if a.dtype.kind in "iub" else a.astype(np.float64) for a in inputs]
    try:
        expected = task.reference(*wide)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise TilewrightError(f"the reference of {task.workload} failed: {reason}") from error
    outputs = list(expected) if isinstance(expected, (tuple, list)) else [expected]
    _check_outputs(task, program, outputs)
    about = (reduction_length(program), sum_dtype(program))
    measurer.provide_reference(task.workload.key, [np.asarray(o) for o in outputs], *about)


def _check_outputs(task: Task, program: Program, outputs: Sequence[Any]) -> None:
    if len(outputs) != len(program.outputs):
        raise TilewrightError(
            f"the reference of {task.workload} gives {len(outputs)} arrays where the template has "
            f"{len(program.outputs)} outputs"
        )
    for spec, output in zip(program.outputs, outputs, strict=True):
        if np.shape(output) != spec.shape:
            raise TilewrightError(
                f"the reference of {task.workload} gives shape {np.shape(output)} where the template's "
                f"{spec.name} has {spec.shape}"
            )
