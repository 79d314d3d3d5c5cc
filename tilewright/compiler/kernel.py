"""A compiled program that can be called on arrays."""

from __future__ import annotations

import ctypes
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tilewright.compiler.backends import call_wrapper
from tilewright.compiler.backends.interpreter import interpret
from tilewright.compiler.backends.llvm_jit import Loaded
from tilewright.compiler.build import ObjectCode, lower_for_target, lower_program, write_llvm
from tilewright.compiler.errors import ArgumentError, CompileError, TargetError
from tilewright.compiler.program import TensorSpec
from tilewright.compiler.runtime import repeat_function
from tilewright.compiler.target import Target
from tilewright.compiler.te.storage import storage_dtype

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Array = npt.NDArray[Any]
Argument = tuple[TensorSpec, Array]
ALIGNMENT = 64
PAGE = 4096
# A result of so many bytes takes far longer to compute than to place.
LARGE_BYTES = 1 << 18
# Steps of the search for a common element of two views, of which few need any.
OVERLAP_WORK = 10_000
SOURCES = ("loops", "llvm", "asm", "numba")
ENTRIES = ("kernel", "prepare", "bound")


def empty_aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Uninitialised memory that begins at a cache line."""
    raw = np.empty(prod(shape) * dtype.itemsize + ALIGNMENT, np.uint8)
    return np.ndarray(shape, dtype, raw, -raw.__array_interface__["data"][0] % ALIGNMENT)


def _empty_result(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Uninitialised memory that begins in the middle of a page.

    Large arrays mostly begin where a page does. A read waits for a write that is a little behind it but for
    whole pages: processors compare the last twelve bits of addresses first.
    """
    raw = np.empty(prod(shape) * dtype.itemsize + PAGE, np.uint8)
    return np.ndarray(shape, dtype, raw, (PAGE // 2 - raw.__array_interface__["data"][0]) % PAGE)


def _allocator(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Callable[..., Array]:
    """What makes memory for results: large ones are placed with care, small ones made at once."""
    is_large = prod(shape) * dtype.itemsize >= LARGE_BYTES
    return _empty_result if is_large else np.empty


class PreparedCall:
    """A kernel with its arguments in place, to be run many times."""

    def __init__(self, kernel: Kernel, arrays: Sequence[Array], outputs: Sequence[Array]) -> None:
        self.arrays = (*arrays, *outputs)
        self.outputs = tuple(outputs)
        self._kernel = kernel
        self._scratch = kernel.make_scratch()
        pointers = [array.ctypes.data for array in self.arrays]
        self._slots = (ctypes.c_void_p * len(pointers))(*pointers)
        self._repeat = repeat_function()

    @property
    def is_parallel(self) -> bool:
        """Whether threads share its loops."""
        return self._kernel.launch is not None

    @property
    def shared_scratch(self) -> Array:
        """The scratch memory that the threads of a call share."""
        return self._scratch[: self._kernel.code.scratch_bytes]

    def fill_scratch(self, byte: int) -> None:
        """Fill the scratch memory, unless something that was computed from constants lies in it."""
        if not self._kernel.keeps_scratch:
            self._scratch[...] = byte

    def run(self, repeats: int = 1, launch: int | None = None) -> int:
        """Run the kernel back to back, without the GIL; the nanoseconds that it took.

        ``launch`` is the address of another function that runs parallel loops, such as one in a test.
        """
        kernel, scratch = self._kernel, self._scratch.ctypes.data
        call, slots = kernel.guard(self._repeat), ctypes.addressof(self._slots)
        if kernel.launch is None:
            return int(call(kernel.address, slots, scratch, None, repeats))
        from tilewright.compiler.forked import calls_under_way

        calls_under_way.add(self)
        try:
            return int(call(kernel.address, slots, scratch, launch or kernel.launch, repeats))
        finally:
            calls_under_way.discard(self)


class Kernel:
    """A compiled operator: ``kernel(*arrays, out=None)`` runs it on NumPy arrays or anything with DLPack.

    Attributes:
        inputs, outputs: the arguments, in the order of a call.
        config: the configuration that it was built with, if it came from a template.
        record: the record of that configuration, if one was found.
    """

    keeps_scratch = False  # whether calls find something in their scratch memory that others left there

    def __init__(self, code: ObjectCode, config: Any = None, record: Any = None) -> None:
        self.code = code
        self.inputs = code.inputs
        self.outputs = code.outputs
        self.config = config
        self.record = record
        self._out_types = [(spec.shape, storage_dtype(spec.dtype)) for spec in code.outputs]
        is_single = len(code.outputs) == 1 and not code.outputs[0].strides
        self._single = self._out_types[0] if is_single else None
        self._allocate = _allocator(*self._single) if self._single is not None else empty_aligned
        if code.backend == "llvm":
            self._load()
        else:
            self._invoke: Callable[..., int] = lambda *arrays: call_wrapper.NOT_FAST
            self._run = _python_runner(code)

    def _load(self) -> None:
        made, here = self.code.target, Target.host()
        if made.architecture != here.architecture:
            raise TargetError(
                f"the code is for {made.architecture} and this machine is {here.architecture}: "
                "load it on one of those"
            )
        if not here.runs(made):
            raise TargetError(
                f"the code is for the CPU {made.cpu}, which has instructions that this machine's {here.cpu} "
                "lacks: load it on one of those, or build for Target.host()"
            )
        self._loaded = Loaded(self.code.object, ENTRIES if self.constants else ENTRIES[:1])
        self._connect(self._loaded.addresses["kernel"])

    def _connect(self, address: int) -> None:
        """Make one of the entries what a call runs."""
        self.address = address
        self.launch: int | None = None
        self._takes_turns = False
        if self.code.is_parallel:
            from tilewright.compiler.backends.threads import needs_lock
            from tilewright.compiler.forked import choose_launcher, keep_usable

            self.launch = choose_launcher()
            self._takes_turns = needs_lock()
        self._scratch = self.make_scratch()
        self._run = self._run_native
        self._record = self._describe()
        invoke = call_wrapper.make_invoker(self._record)
        self._invoke = self.guard(invoke)
        if self.launch is not None:
            keep_usable(self)

    def guard(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call, made to take turns with other parallel kernels where the thread pool asks for it."""
        return _in_turns(call) if self._takes_turns else call

    @property
    def is_running(self) -> bool:
        """Whether a call uses the kernel's own scratch memory now."""
        return self._record.scratch is None

    def renew(self, launch: int | None) -> None:
        """Take up another launcher, in a process without the threads that may have called the kernel."""
        self.launch = self._record.launch = launch
        self._record.scratch = self._scratch.ctypes.data

    def make_scratch(self) -> Array:
        """Memory for one call at a time."""
        code = self.code
        size = code.scratch_bytes + (code.thread_scratch_bytes * code.threads if code.is_parallel else 0)
        scratch = empty_aligned((size + ALIGNMENT,), np.dtype(np.uint8))
        scratch[::4096] = 0
        return scratch

    def _describe(self) -> call_wrapper.CallRecord:
        specs = (*self.inputs, *self.outputs)
        records = (call_wrapper.ArgumentRecord * len(specs))()
        self._keep: list[Any] = [records]
        for number, spec in enumerate(specs):
            dims = (ctypes.c_int64 * max(1, len(spec.shape)))(*spec.shape)
            dtype = storage_dtype(spec.dtype)
            writes = call_wrapper.WRITEABLE if number >= len(self.inputs) else 0
            steps = (ctypes.c_int64 * max(1, len(spec.shape)))(*(n * dtype.itemsize for n in spec.strides))
            layout = call_wrapper.ALIGNED if spec.strides else call_wrapper.CONTIGUOUS_ALIGNED
            records[number] = call_wrapper.ArgumentRecord(
                id(dtype),
                ctypes.addressof(dims),
                len(spec.shape),
                layout | writes,
                spec.span * dtype.itemsize,
                ctypes.addressof(steps) if spec.strides else None,
            )
            self._keep += [dims, dtype, steps]
        return call_wrapper.CallRecord(
            self.address,
            self.launch,
            self._scratch.ctypes.data,
            id(np.ndarray),
            len(specs),
            len(self.inputs),
            ctypes.addressof(records),
        )

    # -- calling --------------------------------------------------------------------------------

    def __call__(self, *arrays: Any, out: Any = None) -> Any:
        """Run the kernel; the output, or a tuple of them.

        Raises:
            ArgumentError: an array has the wrong number, dtype, shape, layout or memory.
        """
        if out is None and self._single is not None:
            result = self._allocate(*self._single)
            if self._invoke(*arrays, result) == 0:
                return result
        elif self._single is not None and self._invoke(*arrays, out) == 0:
            return out
        return self._call_checked(arrays, out)

    def _call_checked(self, arrays: Sequence[Any], out: Any) -> Any:
        inputs = self._check_inputs(arrays)
        outputs = self._check_outputs(out)
        _check_apart(self._read(inputs), list(zip(self.outputs, outputs, strict=True)))
        if self._invoke(*inputs, *outputs) != 0:
            self._run(inputs, outputs)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def _run_native(self, inputs: list[Array], outputs: list[Array]) -> None:
        PreparedCall(self, inputs, outputs).run(1)

    def prepare(self, *arrays: Any, out: Any = None) -> PreparedCall:
        """The kernel with its arguments in place, for timing; constants are bound, as users bind them."""
        if self.code.backend != "llvm":
            raise CompileError(f"the {self.code.backend} backend cannot be timed; build with backend='llvm'")
        if self.constants:
            bound, others = self.bind_among(arrays)
            return bound.prepare(*others, out=out)
        inputs, outputs = self._check_inputs(arrays), self._check_outputs(out)
        _check_apart(self._read(inputs), list(zip(self.outputs, outputs, strict=True)))
        return PreparedCall(self, inputs, outputs)

    def _check_inputs(self, arrays: Sequence[Any]) -> list[Array]:
        if len(arrays) != len(self.inputs):
            names = ", ".join(spec.name for spec in self.inputs)
            raise ArgumentError(f"the kernel takes {len(self.inputs)} arrays ({names}), {len(arrays)} given")
        return [check_array(spec, array) for spec, array in zip(self.inputs, arrays, strict=True)]

    def _check_outputs(self, out: Any) -> list[Array]:
        if out is None:
            return [_new_output(spec) for spec in self.outputs]
        given = list(out) if isinstance(out, (tuple, list)) else [out]
        if len(given) != len(self.outputs):
            raise ArgumentError(f"out: the kernel has {len(self.outputs)} outputs, {len(given)} given")
        checked = [check_array(spec, array) for spec, array in zip(self.outputs, given, strict=True)]
        for spec, array in zip(self.outputs, checked, strict=True):
            if not array.flags.writeable:
                raise ArgumentError(f"{spec.name} (out) is read-only; pass a writable array")
        return checked

    def _read(self, inputs: Sequence[Array]) -> list[Argument]:
        """All that a call with these inputs reads."""
        return list(zip(self.inputs, inputs, strict=True))

    @property
    def constants(self) -> tuple[str, ...]:
        """The names of the inputs that can be bound."""
        return self.code.program.constants

    def bind(self, **constants: Any) -> Kernel:
        """A kernel of the other inputs; what follows from the constants alone is computed now, once.

        ``layer = dense.bind(weight=w)``, then ``layer(x)``.

        Raises:
            ArgumentError: a name is no constant's, one is missing, or an array does not fit.
        """
        from tilewright.compiler.bound import BoundKernel

        return BoundKernel(self, constants)

    def bind_among(self, arrays: Sequence[Any]) -> tuple[Kernel, list[Array]]:
        """The kernel with the constants among a call's arrays bound, and the other arrays."""
        checked = self._check_inputs(arrays)
        named = dict(zip((spec.name for spec in self.inputs), checked, strict=True))
        return self.bind(**{name: named.pop(name) for name in self.constants}), list(named.values())

    # -- inspection -----------------------------------------------------------------------------

    def source(self, stage: str = "loops") -> str:
        """The program at a stage: ``loops``, ``llvm``, ``asm`` or ``numba``."""
        from tilewright.compiler.backends.llvm_jit import emit_assembly, optimize

        code = self.code
        if stage == "loops":
            return str(lower_for_target(code.program, code.target))
        if stage == "numba":
            from tilewright.compiler.backends.numba_source import write_source

            return write_source(lower_program(code.program, partition=False))
        if stage not in SOURCES:
            raise CompileError(f"unknown stage {stage!r}: choose one of {', '.join(SOURCES)}")
        module, full = write_llvm(code.program, code.target, code.threads)
        emit = emit_assembly if stage == "asm" else optimize
        return str(emit(module.text, code.target, full, module.linked))

    def __reduce__(self) -> tuple[Any, ...]:
        return load_kernel, (self.code, self.config, self.record)

    def __repr__(self) -> str:
        describe = [f"{spec.name}: {spec.dtype}{list(spec.shape)}" for spec in (*self.inputs, *self.outputs)]
        return f"Kernel({', '.join(describe)})"


def _in_turns(call: Callable[..., Any]) -> Callable[..., Any]:
    from tilewright.compiler.backends.threads import LAUNCHING

    def locked(*arguments: Any) -> Any:
        with LAUNCHING:
            return call(*arguments)

    return locked


def _python_runner(code: ObjectCode) -> Callable[[list[Array], list[Array]], None]:
    """How a backend without machine code of ours runs."""
    if code.backend == "numba":
        from tilewright.compiler.backends.numba_source import compile_source

        return compile_source(lower_program(code.program, partition=False))
    nest = lower_program(code.program)

    def run(inputs: list[Array], outputs: list[Array]) -> None:
        for target, result in zip(outputs, interpret(nest, inputs), strict=True):
            target[...] = result.reshape(target.shape)

    return run


def check_array(spec: TensorSpec, value: Any) -> Array:
    """The value as an array that fits an argument.

    Raises:
        ArgumentError: it does not.
    """
    array: Array = value
    if not isinstance(value, np.ndarray):
        if not hasattr(value, "__dlpack__"):
            kind = type(value).__name__
            raise ArgumentError(f"{spec.name} is a {kind}; pass a NumPy array or one with __dlpack__")
        array = np.from_dlpack(value)
    dtype = storage_dtype(spec.dtype)
    if array.dtype != dtype:
        raise ArgumentError(
            f"{spec.name} has dtype {array.dtype}, the kernel takes {spec.dtype}: use .astype"
        )
    if array.shape != spec.shape:
        raise ArgumentError(f"{spec.name} has shape {array.shape}, the kernel takes {spec.shape}")
    _check_layout(spec, array)
    if not array.flags.aligned:
        raise ArgumentError(f"{spec.name} is not aligned to its dtype: pass {spec.name}.copy()")
    return array


def _check_layout(spec: TensorSpec, array: Array) -> None:
    if not spec.strides:
        if not array.flags.c_contiguous:
            raise ArgumentError(
                f"{spec.name} is not C-contiguous: pass np.ascontiguousarray({spec.name}), "
                "or build for views, with strides="
            )
        return
    steps = [step // array.itemsize for step in array.strides]
    wanted = zip(array.shape, steps, spec.strides, strict=True)
    if any(extent > 1 and step != want for extent, step, want in wanted):
        raise ArgumentError(
            f"{spec.name} has the strides {tuple(steps)}, in elements; the kernel is built for {spec.strides}"
        )


def _new_output(spec: TensorSpec) -> Array:
    """Memory for an output, spaced as the kernel writes it."""
    dtype = storage_dtype(spec.dtype)
    if not spec.strides:
        return _allocator(spec.shape, dtype)(spec.shape, dtype)
    steps = [step * dtype.itemsize for step in spec.strides]
    return np.ndarray(spec.shape, dtype, np.empty(spec.span, dtype), strides=steps)


def _check_apart(inputs: Sequence[Argument], outputs: Sequence[Argument]) -> None:
    for number, (spec, output) in enumerate(outputs):
        for other_spec, other in (*inputs, *outputs[:number]):
            if _overlap(output, other):
                raise ArgumentError(
                    f"{spec.name} (out) overlaps {other_spec.name} in memory: pass an output of its own"
                )


def _overlap(some: Array, other: Array) -> bool:
    """Whether two arrays have an element in common, or may have one as far as little work tells."""
    if not np.may_share_memory(some, other):
        return False
    try:
        return np.shares_memory(some, other, max_work=OVERLAP_WORK)  # type: ignore[arg-type]  # of the stubs
    except np.exceptions.TooHardError:
        return True


def load_kernel(code: ObjectCode, config: Any = None, record: Any = None) -> Kernel:
    """Load a compiled program into the process."""
    return Kernel(code, config, record)
