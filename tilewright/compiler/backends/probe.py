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


# LLVM copies a function into another only if that one's CPU has all that its own has.
_INLINED = """
target triple = "{triple}"
define internal float @one(float %a) #0 {{
  %s = fadd float %a, 1.0
  ret float %s
}}
define float @all(float %a) #1 {{
  %r = call float @one(float %a)
  ret float %r
}}
attributes #0 = {{ "target-cpu"="{cpu}" "target-features"="{features}" "tune-cpu"="generic" }}
attributes #1 = {{ "target-cpu"="{host_cpu}" "target-features"="{host_features}" "tune-cpu"="generic" }}
"""
_INLINE = """
import sys
import llvmlite.binding as llvm
cpu, features, triple, text = sys.argv[1:]
llvm.initialize_native_target()
llvm.initialize_native_asmprinter()
machine = llvm.Target.from_triple(triple).create_target_machine(cpu=cpu, features=features)
module = llvm.parse_assembly(text)
passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
passes.getModulePassManager().run(module, passes)
print(module)
"""
# Features of x86 that operating systems and hypervisors keep to themselves, or that only tell what is fast.
_NEVER_USED = (
    "-cldemote,-clflushopt,-clwb,-clzero,-enqcmd,-ermsb,-fsgsbase,-fsrm,-hreset,-invpcid,-kl,-lwp,-movdir64b,"
    "-movdiri,-mwaitx,-pconfig,-pku,-prfchw,-ptwrite,-rdpid,-rdpru,-rdrnd,-rdseed,-rtm,-sahf,-serialize,-sgx,"
    "-shstk,-tsxldtrk,-uintr,-waitpkg,-wbnoinvd,-widekl,-xsave,-xsavec,-xsaveopt,-xsaves"
)


@dataclass(frozen=True, slots=True)
class Traits:
    """The bits of a vector of floats; whether there are wide integers (AVX2), and fused multiply-adds."""

    vector_bits: int
    has_wide_integers: bool
    has_fma: bool


@cache
def traits_of(cpu: str, features: str, triple: str) -> Traits:
    """What a CPU has, found from the instructions that LLVM gives it.

    Raises:
        TargetError: LLVM does not know the CPU, a feature or the triple.
    """
    done = _ask_llvm(_PROGRAM, cpu, features, triple, _FUNCTIONS)
    if done.returncode or "not a recognized" in done.stderr:
        lines = done.stderr.strip().splitlines() or ["it cannot be compiled for"]
        reason = lines[-1] if lines[0].startswith("Traceback") else lines[0]
        asked = f"CPU {cpu!r} with features {features!r} of {triple}"
        raise TargetError(f"{asked}: {reason}; give a name that LLVM knows")
    floats, integers, fma = (_body(done.stdout, name) for name in "fgh")
    bits = next((bits for name, bits in _REGISTERS.items() if name in floats), 128)
    return Traits(bits, bool(re.search("padd.*ymm", integers)), "fmaf" not in fma)


@cache
def has_all_of(host: tuple[str, str], other: tuple[str, str], triple: str) -> bool:
    """Whether a CPU has all instructions of another that code may consist of.

    Each CPU is its name and its features, as LLVM takes them.
    """
    never_used = _NEVER_USED if triple.startswith("x86_64") else ""
    features = ",".join(part for part in (other[1], never_used) if part)
    names = {"cpu": other[0], "features": features, "host_cpu": host[0], "host_features": host[1]}
    text = _INLINED.format(triple=triple, **names)
    done = _ask_llvm(_INLINE, *host, triple, text)
    return done.returncode == 0 and "@one" not in done.stdout


def _ask_llvm(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own, since LLVM ends the process for some names that it knows not."""
    command = [sys.executable, "-c", program, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)


def _body(assembly: str, name: str) -> str:
    """The instructions of a function; a symbol may begin with an underscore."""
    match = re.search(rf"^_?{name}:(.*?)(^_?[f-h]:|\Z)", assembly, re.DOTALL | re.MULTILINE)
    assert match is not None
    return match[1]
