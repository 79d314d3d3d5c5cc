"""LLVM IR to machine code, and machine code into the process."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import llvmlite.binding as llvm

from tilewright.compiler.backends.llvm_intrinsics import LinkedFunction, link_functions
from tilewright.compiler.errors import CompileError
from tilewright.compiler.once import once
from tilewright.compiler.target import Target

LOCK = threading.RLock()
NUMBERS = itertools.count()


@once
def _initialize() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()


@once
def _initialize_others() -> None:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


@cache
def _machine(cpu: str, features: str, triple: str, level: int) -> Any:
    _initialize()
    if triple != llvm.get_process_triple():
        _initialize_others()
    target = llvm.Target.from_triple(triple)
    return target.create_target_machine(
        cpu=cpu, features=features, opt=level, reloc="pic", codemodel="default"
    )


def optimize(text: str, target: Target, full: bool, linked: Sequence[LinkedFunction] = ()) -> Any:
    """Parse a module, link what it calls and run the passes that it needs: all (``full``), or the cheap."""
    machine = _machine(target.cpu, target.feature_text, target.triple, 2)
    try:
        module = llvm.parse_assembly(text)
        module.verify()
    except RuntimeError as error:
        raise CompileError(f"LLVM rejects the generated code: {error}") from error
    module.triple = target.triple
    link_functions(module, linked)
    options = llvm.create_pipeline_tuning_options(speed_level=3 if full else 1)
    options.loop_vectorization = options.slp_vectorization = full
    options.loop_unrolling = full
    builder = llvm.create_pass_builder(machine, options)
    if full:
        builder.getModulePassManager().run(module, builder)
        return module
    _inline(module, builder)
    for function in module.functions:
        if not function.is_declaration:
            passes = llvm.create_new_function_pass_manager()
            passes.add_sroa_pass()
            passes.add_simplify_cfg_pass()
            passes.add_instruction_combine_pass()
            passes.run(function, builder)
    return module


def _inline(module: Any, builder: Any) -> None:
    """Put the functions that ask for it in place of their calls."""
    if not any(b"alwaysinline" in attributes for f in module.functions for attributes in f.attributes):
        return
    passes = llvm.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_always_inliner_pass()  # what was given as an argument is known by then
    passes.run(module, builder)


def emit_object(text: str, target: Target, full: bool, linked: Sequence[LinkedFunction] = ()) -> bytes:
    """The object file of a module."""
    with LOCK:
        module = optimize(text, target, full, linked)
        machine = _machine(target.cpu, target.feature_text, target.triple, 2)
        return bytes(machine.emit_object(module))


def emit_assembly(text: str, target: Target, full: bool, linked: Sequence[LinkedFunction] = ()) -> str:
    """The assembly of a module."""
    with LOCK:
        module = optimize(text, target, full, linked)
        machine = _machine(target.cpu, target.feature_text, target.triple, 2)
        return str(machine.emit_assembly(module))


class Loaded:
    """An object file in memory; the address of its function stays valid while this lives."""

    def __init__(
        self, code: bytes, symbols: tuple[str, ...], imports: Mapping[str, int] | None = None
    ) -> None:
        with LOCK:
            _initialize()
            self._jit = _lljit()
            name = f"library{next(NUMBERS)}"
            library = llvm.JITLibraryBuilder().add_object_img(code).add_current_process()
            for symbol in symbols:
                library = library.export_symbol(symbol)
            for symbol, address in (imports or {}).items():
                library = library.import_symbol(symbol, address)
            self._tracker = library.link(self._jit, name)
            self.addresses = {symbol: int(self._tracker[symbol]) for symbol in symbols}


@once
def _lljit() -> Any:
    return llvm.create_lljit_compiler(use_jit_link=True)
