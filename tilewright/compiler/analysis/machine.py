"""What a core does in a cycle, as far as no operating system tells it: a table of defaults."""

from __future__ import annotations

from dataclasses import dataclass

from tilewright.compiler.target import Target

LINE_BYTES = 64
PAGE_BYTES = 4096
# Prefetchers follow steps of up to so many bytes.
LONGEST_FORESEEN_STEP = 2048
# Cores that take two passes for their widest vectors, and the bits of one pass.
NARROW_DATAPATHS = {"znver1": 128, "znver4": 256}
# Of bfloat16 on Intel's cores, which split each; measured on Sapphire Rapids.
INTEL_DOTS = 0.35
# The other makers of x86 cores than Intel, as LLVM's names of CPUs begin. Intel's fetch lines in pairs
# ("Intel 64 and IA-32 Architectures Optimization Reference Manual", on hardware prefetching).
_OTHER_MAKERS = ("znver", "bdver", "btver", "amdfam", "barcelona", "athlon", "opteron", "k8")


@dataclass(frozen=True, slots=True)
class Cache:
    """A level of the memory hierarchy, seen from the core; one of address translation, if it holds pages.

    Attributes:
        size_bytes: what it holds, or what its pages are of.
        block_bytes: what comes into it at once.
        cycles: for a block to come from the next level into this one, in a stream of them.
        ways: its associativity.
        surprise_cycles: more for a block that no prefetcher foresees, others being under way.
    """

    size_bytes: int
    block_bytes: int
    cycles: float
    ways: int
    surprise_cycles: float = 0.0


@dataclass(frozen=True, slots=True)
class Machine:
    """A core in numbers. Those that a :class:`Target` does not know are about those of current server cores.

    Attributes:
        registers: architectural vector registers, of ``vector_bits``.
        slot_bits: what one vector instruction does at most without being split.
        caches: innermost first, then the levels of address translation.
        arithmetic, loads, stores, shuffles: vector instructions of ``slot_bits`` a cycle.
        dots: multiplications of words of bfloat16 numbers, for each other arithmetic instruction.
        issue: instructions of any kind a cycle.
        latency: cycles from an operand of a multiplication with addition to its result.
        window: instructions that wait for operands at most, so that later ones go ahead.
        decoded: instructions that a loop may have without being decoded again.
        fetches_pairs: a line comes with the other one of its 128 bytes.
    """

    registers: int
    vector_bits: int
    slot_bits: int
    caches: tuple[Cache, ...]
    arithmetic: float = 2.0
    loads: float = 2.0
    stores: float = 1.0
    shuffles: float = 1.0
    issue: float = 5.0
    latency: float = 4.0
    window: float = 256.0
    decoded: float = 4096.0
    fetches_pairs: bool = False
    dots: float = 1.0

    @property
    def vectors_per_cycle(self) -> float:
        """Arithmetic instructions on whole vectors a cycle."""
        return self.arithmetic * self.slot_bits / self.vector_bits

    @staticmethod
    def of(target: Target) -> Machine:
        """The core of a target."""
        caches = (
            Cache(target.l1_bytes, LINE_BYTES, 1.5, 8),
            Cache(target.l2_bytes, LINE_BYTES, 2.5, 8, 12.0),
            Cache(target.l3_bytes, LINE_BYTES, 12.0, 16, 50.0),
            Cache(64 * PAGE_BYTES, PAGE_BYTES, 7.0, 64),
            Cache(2048 * PAGE_BYTES, PAGE_BYTES, 30.0, 8),
        )
        slot_bits = min(target.vector_bits, NARROW_DATAPATHS.get(target.cpu, target.vector_bits))
        is_intel = target.architecture == "x86_64" and not target.cpu.startswith(_OTHER_MAKERS)
        dots = INTEL_DOTS if is_intel else 1.0
        registers = target.vector_registers
        return Machine(registers, target.vector_bits, slot_bits, caches, fetches_pairs=is_intel, dots=dots)
