"""Which instructions that multiply several narrow numbers a CPU has that is not this machine."""

import subprocess
import sys
from functools import cache

_SECONDS = 60
# A call for each feature, which LLVM can only compile where the CPU has it.
_MULTIPLIERS = {
    "x86_64": {
        "avx512vnni": ("llvm.x86.avx512.vpdpbusd.512", "<16 x i32>", "<64 x i8>", 3),
        "avxvnni": ("llvm.x86.avx512.vpdpbusd.256", "<8 x i32>", "<32 x i8>", 3),
        "avxvnniint8": ("llvm.x86.avx2.vpdpbssd.256", "<8 x i32>", "<32 x i8>", 3),
        "avx512bf16": ("llvm.x86.avx512bf16.dpbf16ps.512", "<16 x float>", "<32 x bfloat>", 3),
        "avx512bw": ("llvm.x86.avx512.pmaddw.d.512", "<16 x i32>", "<32 x i16>", 2),
        "avx2": ("llvm.x86.avx2.pmadd.wd", "<8 x i32>", "<16 x i16>", 2),
        "sse2": ("llvm.x86.sse2.pmadd.wd", "<4 x i32>", "<8 x i16>", 2),
        "amx-tile": ("llvm.x86.tilezero", "void", "i8 immarg", 1),
        "amx-int8": ("llvm.x86.tdpbssd", "void", "i8 immarg", 3),
        "amx-bf16": ("llvm.x86.tdpbf16ps", "void", "i8 immarg", 3),
    },
    "aarch64": {
        "dotprod": ("llvm.aarch64.neon.sdot.v4i32.v16i8", "<4 x i32>", "<16 x i8>", 3),
        "i8mm": ("llvm.aarch64.neon.usdot.v4i32.v16i8", "<4 x i32>", "<16 x i8>", 3),
        "bf16": ("llvm.aarch64.neon.bfdot.v4f32.v8bf16", "<4 x float>", "<8 x bfloat>", 3),
    },
}
_FORKS = """
import os, sys
import llvmlite.binding as llvm
cpu, features, triple, *texts = sys.argv[1:]
llvm.initialize_all_targets()
llvm.initialize_all_asmprinters()
machine = llvm.Target.from_triple(triple).create_target_machine(cpu=cpu, features=features)
for number, text in enumerate(texts):
    child = os.fork()
    if not child:
        machine.emit_object(llvm.parse_assembly(text))
        os._exit(0)
    if not os.waitpid(child, 0)[1]:
        print(number)
"""


@cache
def multipliers_of(cpu: str, features: str, triple: str) -> frozenset[str]:
    """The features of a CPU by which it multiplies several narrow numbers at once.

    LLVM ends the process that asks for an instruction that the CPU lacks: each is tried in one of its own.
    """
    architecture = triple.partition("-")[0]
    known = _MULTIPLIERS.get("aarch64" if architecture == "arm64" else architecture, {})
    texts = [_uses(*of) for of in known.values()]
    command = [sys.executable, "-c", _FORKS, cpu, features, triple, *texts]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    names = list(known)
    return frozenset(names[int(line)] for line in done.stdout.split())


def _uses(name: str, result: str, operand: str, count: int) -> str:
    """A function that calls an intrinsic; tiles are named by constants."""
    if result == "void":
        head = f"declare void @{name}({', '.join([operand] * count)})\ndefine void @f() {{"
        numbers = ", ".join(f"i8 {number}" for number in range(count))
        return f"{head}\n  call void @{name}({numbers})\n  ret void\n}}"
    types = [operand, operand] if count == 2 else [result, operand, operand]
    arguments = ", ".join(f"{kind} %a{number}" for number, kind in enumerate(types))
    call = f"  %r = call {result} @{name}({arguments})"
    head = f"declare {result} @{name}({', '.join(types)})\ndefine {result} @f({arguments}) {{"
    return f"{head}\n{call}\n  ret {result} %r\n}}"
