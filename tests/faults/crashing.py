"""A template whose kernels end badly, each in the way that its configuration says."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from tilewright.compiler import te
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.target import Target
from tilewright.compiler.te import Tensor
from tilewright.measure.measurer import Measurer, Timeouts
from tilewright.measure.result import MeasureInput, MeasureResult
from tilewright.measure.timing import TimingPlan
from tilewright.templates.collector import get_config
from tilewright.templates.template import template

SIZE = 4000  # long enough for the clock, and no whole pages
TIMING = TimingPlan(slice_seconds=2e-4, reference_slice_seconds=1e-4, slices=3, span_seconds=0.0)
IS_X86 = platform.machine() in ("x86_64", "AMD64")


@dataclass(frozen=True, slots=True)
class End:
    """How a kernel ends: what it does before it computes, in LLVM IR; and what else the IR declares."""

    code: str
    declarations: str = ""
    signal: str | None = None


DOUBLE = """
{declarations}
define void @double(ptr %a, i64 %sa, ptr %c, i64 %sc) {{
entry:
{code}
  br label %loop
loop:
  %i = phi i64 [ 0, {last} ], [ %n, %loop ]
  %ao = mul i64 %i, %sa
  %ap = getelementptr float, ptr %a, i64 %ao
  %x = load float, ptr %ap, align 4
  %y = fadd float %x, %x
  %co = mul i64 %i, %sc
  %cp = getelementptr float, ptr %c, i64 %co
  store float %y, ptr %cp, align 4
  %n = add i64 %i, 1
  %more = icmp slt i64 %n, {size}
  br i1 %more, label %loop, label %done
done:
  ret void
}}
"""

# A page of a file that is empty.
_NO_PAGE = """
  %fd = call i32 @memfd_create(ptr @name, i32 0)
  %page = call ptr @mmap(ptr null, i64 4096, i32 3, i32 1, i32 %fd, i64 0)
  store volatile i8 1, ptr %page
"""
_DIVIDE = """
  %zp = alloca i32
  store volatile i32 0, ptr %zp
  %z = load volatile i32, ptr %zp
  %q = sdiv i32 4321, %z
  store volatile i32 %q, ptr %zp
"""
_FOREVER = '  br label %forever\nforever:\n  call void asm sideeffect "", ""()\n  br label %forever\nrest:'
# The tile of a matrix unit is cleared: no process may without having asked for it.
_TILE = '  call void asm sideeffect ".byte 0xc4, 0xe2, 0x7b, 0x49, 0xc0", ""()'

ENDS: Mapping[str, End] = {
    "right": End(""),
    "address 0": End("  store volatile float 1.0, ptr inttoptr (i64 8 to ptr)", signal="SIGSEGV"),
    "abort": End("  call void @abort()", "declare void @abort()", "SIGABRT"),
    "trap": End("  call void @llvm.trap()", "declare void @llvm.trap()", "SIGILL" if IS_X86 else "SIGTRAP"),
    "no page": End(
        _NO_PAGE,
        "@name = private constant [1 x i8] zeroinitializer\ndeclare i32 @memfd_create(ptr, i32)\n"
        "declare ptr @mmap(ptr, i64, i32, i32, i32, i64)",
        "SIGBUS",
    ),
    "forever": End(_FOREVER),
    "nothing written": End("  br i1 true, label %done, label %rest\nrest:"),
    "outside": End(
        "  %p = getelementptr float, ptr %a, i64 -1\n  %v = load volatile float, ptr %p", signal="SIGSEGV"
    ),
    **(
        {"division by 0": End(_DIVIDE, signal="SIGFPE"), "tile": End(_TILE, signal="SIGILL")}
        if IS_X86
        else {}
    ),
}
SIGNALS = tuple(name for name, end in ENDS.items() if end.signal is not None)


def program_of(code: str, declarations: str = "", size: int = SIZE) -> Program:
    """A program that does what the IR says, and then doubles its input."""
    return Program.from_schedule(*_double(End(code, declarations), size))


def double(a: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return 2 * a


@template("crashing", reference=double, default=lambda target, threads, n, ends: {"number": 0})
def crashing(n: int, ends: str) -> tuple[Schedule, list[Tensor]]:
    """The configuration of a number ends as the word with that number in `ends` says."""
    words = ends.split(",")
    cfg = get_config()
    cfg.define_knob("number", list(range(len(words))))
    schedule, tensors = _double(ENDS[words[cfg["number"].val]], n)
    return schedule, tensors


def _double(end: End, size: int) -> tuple[Schedule, list[Tensor]]:
    a = te.placeholder((size,), "float32", name="a")
    c = te.compute((size,), lambda i: a[i] + a[i], name="c")
    schedule = create_schedule(c.op)
    x = te.placeholder((size,), "float32", name="x")
    meaning = te.compute((size,), lambda i: x[i] + x[i], name="y")
    last = "%rest" if "rest:" in end.code else "%entry"
    ir = DOUBLE.format(code=end.code, declarations=end.declarations, size=size, last=last)
    schedule[c].tensorize(schedule[c].op.axis[0], te.decl_tensor_intrin(meaning, ir, "double"))
    return schedule, [a, c]


class QuickMeasurer(Measurer):
    """A real one that spends little time on timing."""

    def __init__(self, target: Target, threads: int = 1, **options: Any) -> None:
        super().__init__(target, threads, **{"timing": TIMING, "workers": 1, **options})

    def try_program(self, program: Program, workload: str = "double") -> MeasureResult:
        """Measure one program."""
        (result,) = self.measure([MeasureInput(program, workload)])
        return result


def quick_measurer(**options: Any) -> QuickMeasurer:
    """For this machine."""
    return QuickMeasurer(Target.host(), **options)


def hasty(seconds: float) -> Timeouts:
    """Deadlines of so many seconds for running a kernel."""
    return Timeouts(verifying=seconds, timing=seconds)
