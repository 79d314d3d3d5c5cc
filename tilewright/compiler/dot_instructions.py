"""The instructions by which processors multiply words of narrow numbers, as LLVM names them."""

from __future__ import annotations

from dataclasses import dataclass

from tilewright.compiler.target import Target

Dtypes = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Instruction:
    """A processor's sum of products of words.

    Attributes:
        features: of the target, one of which it takes.
        bits: the widths of the vectors that it works on; those of 512 bits only where the target has such.
        name: of LLVM's intrinsic, with the places ``{bits}``, ``{lanes}`` and ``{parts}``.
    """

    architecture: str
    features: tuple[str, ...]
    bits: tuple[int, ...]
    name: str


_VNNI = Instruction("x86_64", ("avx512vnni", "avxvnni"), (512, 256, 128), "llvm.x86.avx512.vpdpbusd.{bits}")
_VNNI_INT8 = ("x86_64", ("avxvnniint8",), (256, 128))
_BF16 = Instruction("x86_64", ("avx512bf16",), (512, 256, 128), "llvm.x86.avx512bf16.dpbf16ps.{bits}")
_NEON = "llvm.aarch64.neon.{kind}.v{{lanes}}{result}.v{{parts}}{part}"
INSTRUCTIONS: dict[Dtypes, tuple[Instruction, ...]] = {
    ("uint8", "int8"): (
        _VNNI,
        Instruction("aarch64", ("i8mm",), (128,), _NEON.format(kind="usdot", result="i32", part="i8")),
    ),
    ("int8", "int8"): (
        Instruction(*_VNNI_INT8, "llvm.x86.avx2.vpdpbssd.{bits}"),
        Instruction("aarch64", ("dotprod",), (128,), _NEON.format(kind="sdot", result="i32", part="i8")),
    ),
    ("uint8", "uint8"): (
        Instruction(*_VNNI_INT8, "llvm.x86.avx2.vpdpbuud.{bits}"),
        Instruction("aarch64", ("dotprod",), (128,), _NEON.format(kind="udot", result="i32", part="i8")),
    ),
    ("bfloat16", "bfloat16"): (
        _BF16,
        Instruction("aarch64", ("bf16",), (128,), _NEON.format(kind="bfdot", result="f32", part="bf16")),
    ),
}


def multiplies_words(target: Target, dtypes: Dtypes) -> bool:
    """Whether the processor multiplies words of these types, in one order or the other."""
    return any(find_instruction(target, order) is not None for order in (dtypes, dtypes[::-1]))


def find_instruction(target: Target, dtypes: Dtypes) -> Instruction | None:
    """What the target's processor has for a dot of these types, in this order."""
    for found in INSTRUCTIONS.get(dtypes, ()):
        if found.architecture == target.architecture and any(target.has(name) for name in found.features):
            return found
    return None
