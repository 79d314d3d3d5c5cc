"""What LLVM knows of a CPU that is not this machine."""

import re
import subprocess
import sys
from dataclasses import dataclass
from functools import cache

from tilewright.compiler.errors import TargetError

_SECONDS = 60
_REGISTERS = {"zmm": 512, "ymm": 256}
_FUNCTIONS = """
define <16 x float> @f(<16 x float> %a) {
  %s = fadd <16 x float> %a, %a
  ret <16 x float> %s
}
define <8 x i32> @g(<8 x i32> %a) {
  %s = add <8 x i32> %a, %a
  ret <8 x i32> %s
}
define float @h(float %a) {
  %s = call float @llvm.fma.f32(float %a, float %a, float %a)
  ret float %s
}
declare float @llvm.fma.f32(float, float, float)
"""
_PROGRAM = """
import sys
import llvmlite.binding as llvm
cpu, features, triple, text = sys.argv[1:]
llvm.initialize_all_targets()
llvm.initialize_all_asmprinters()
machine = llvm.Target.from_triple(triple).create_target_machine(cpu=cpu, features=features)
print(machine.emit_assembly(llvm.parse_assembly(text)))
"""


@dataclass(frozen=True, slots=True)
class Traits:
    """The bits of a vector of floats; whether there are wide integers (AVX2), and fused multiply-adds."""

    vector_bits: int
    has_wide_integers: bool
    has_fma: bool


@cache
def traits_of(cpu: str, features: str, triple: str) -> Traits:
    """What a CPU has, found from the instructions that LLVM gives it.

    It is found in a process of its own, since LLVM ends the process for some names that it does not know.

    Raises:
        TargetError: LLVM does not know the CPU, a feature or the triple.
    """
    command = [sys.executable, "-c", _PROGRAM, cpu, features, triple, _FUNCTIONS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode or "not a recognized" in done.stderr:
        lines = done.stderr.strip().splitlines() or ["it cannot be compiled for"]
        reason = lines[-1] if lines[0].startswith("Traceback") else lines[0]
        asked = f"CPU {cpu!r} with features {features!r} of {triple}"
        raise TargetError(f"{asked}: {reason}; give a name that LLVM knows")
    floats, integers, fma = (_body(done.stdout, name) for name in "fgh")
    bits = next((bits for name, bits in _REGISTERS.items() if name in floats), 128)
    return Traits(bits, bool(re.search("padd.*ymm", integers)), "fmaf" not in fma)


def _body(assembly: str, name: str) -> str:
    """The instructions of a function; a symbol may begin with an underscore."""
    match = re.search(rf"^_?{name}:(.*?)(^_?[f-h]:|\Z)", assembly, re.DOTALL | re.MULTILINE)
    assert match is not None
    return match[1]
