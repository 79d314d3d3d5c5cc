"""What LLVM knows of a CPU that is not this machine."""

import subprocess
import sys
from functools import cache

from tilewright.compiler.errors import TargetError

_SECONDS = 60
_REGISTERS = {"zmm": 512, "ymm": 256}
_ADDS_FLOATS = """
define <16 x float> @f(<16 x float> %a) {
  %s = fadd <16 x float> %a, %a
  ret <16 x float> %s
}
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


@cache
def vector_bits_of(cpu: str, features: str, triple: str) -> int:
    """The width of a CPU's vectors, found from the registers in which LLVM adds sixteen floats.

    It is found in a process of its own, since LLVM ends the process for some names that it does not know.

    Raises:
        TargetError: LLVM does not know the CPU, a feature or the triple.
    """
    command = [sys.executable, "-c", _PROGRAM, cpu, features, triple, _ADDS_FLOATS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode or "not a recognized" in done.stderr:
        lines = done.stderr.strip().splitlines() or ["it cannot be compiled for"]
        reason = lines[-1] if lines[0].startswith("Traceback") else lines[0]
        asked = f"CPU {cpu!r} with features {features!r} of {triple}"
        raise TargetError(f"{asked}: {reason}; give a name that LLVM knows")
    return next((bits for name, bits in _REGISTERS.items() if name in done.stdout), 128)
