"""The machine that code is made for, as plain data."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tilewright.compiler.amx_permission import may_use_amx

if TYPE_CHECKING:
    from tilewright.compiler.backends.probe import Traits

CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_AMX = "amx-"
DEFAULT_CACHES = {1: 32 << 10, 2: 512 << 10, 3: 8 << 20}


class Target(msgspec.Struct, frozen=True):
    """A CPU: its LLVM name and features; cores and cache sizes (bytes) are facts, not its identity."""

    cpu: str
    features: tuple[str, ...]
    triple: str
    vector_bits: int
    cores: int
    l1_bytes: int
    l2_bytes: int
    l3_bytes: int

    @staticmethod
    def host() -> Target:
        """The machine that runs this."""
        return _host()

    @staticmethod
    def named(cpu: str, features: Sequence[str] = (), triple: str | None = None) -> Target:
        """A CPU by its LLVM name, with features beyond those that it implies (``avx512vnni``, ``-fma``).

        ``triple`` is that of another architecture or system, as in ``aarch64-unknown-linux-gnu``, for which
        kernels can be compiled, not called. The cores and caches are taken to be this machine's.

        Raises:
            TargetError: LLVM knows no such CPU or triple.
        """
        host = Target.host()
        triple = triple or host.triple
        if cpu in (host.cpu, "native") and not features and triple == host.triple:
            return host
        from tilewright.compiler.backends.probe import traits_of

        listed = tuple(sorted(features))
        bits = traits_of(cpu, _feature_text(listed), triple).vector_bits
        return msgspec.structs.replace(host, cpu=cpu, features=listed, triple=triple, vector_bits=bits)

    @property
    def architecture(self) -> str:
        """The first part of the triple, such as ``x86_64``; Apple's name for ``aarch64`` is read as that."""
        name = self.triple.partition("-")[0]
        return "aarch64" if name == "arm64" else name

    @property
    def feature_hash(self) -> str:
        """A short name for the set of features."""
        return hashlib.sha256(",".join(self.features).encode()).hexdigest()[:12]

    @property
    def feature_text(self) -> str:
        """The features as LLVM takes them."""
        return _feature_text(self.features)

    @property
    def has_avx512(self) -> bool:
        """Whether there are x86's instructions on vectors of 512 bits."""
        return self.architecture == "x86_64" and self.vector_bits == 512

    @property
    def has_avx2(self) -> bool:
        """Whether there are x86's instructions on integer vectors of 256 bits."""
        if self.architecture != "x86_64" or self.vector_bits < 256:
            return False
        return "avx2" in self.features or self._traits.has_wide_integers

    @property
    def has_fma(self) -> bool:
        """Whether a multiplication and an addition are one instruction that rounds once."""
        return "fma" in self.features or self.architecture == "aarch64" or self._traits.has_fma

    @property
    def _traits(self) -> Traits:
        from tilewright.compiler.backends.probe import traits_of

        return traits_of(self.cpu, self.feature_text, self.triple)

    @property
    def vector_registers(self) -> int:
        """Architectural vector registers."""
        wide = self.vector_bits == 512 or self.architecture == "aarch64"
        return 32 if wide else 16

    def has(self, feature: str) -> bool:
        """Whether the CPU has instructions by LLVM's name, such as ``avx512vnni`` or ``dotprod``."""
        listed = {name.lstrip("+-"): not name.startswith("-") for name in self.features}
        if feature in listed:
            return listed[feature]
        host = Target.host()
        if listed and (self.cpu, self.features) == (host.cpu, host.features):
            return False  # of the host all features are listed
        from tilewright.compiler.backends.multiplier_probe import multipliers_of

        return feature in multipliers_of(self.cpu, self.feature_text, self.triple)

    def runs(self, other: Target) -> bool:
        """Whether this CPU has all instructions that code for another one of its architecture may have."""
        if (self.cpu, self.features) == (other.cpu, other.features):
            return True
        from tilewright.compiler.backends.probe import has_all_of

        both = (self.cpu, self.feature_text), (other.cpu, other.feature_text)
        return has_all_of(*both, self.triple)

    def lanes(self, dtype_bytes: int) -> int:
        """Elements of a vector."""
        return self.vector_bits // 8 // dtype_bytes

    def to_json(self) -> str:
        """As text."""
        return msgspec.json.encode(self).decode()

    @staticmethod
    def from_json(text: str) -> Target:
        """From :meth:`to_json`'s text."""
        return msgspec.json.decode(text, type=Target)


def _feature_text(features: Sequence[str]) -> str:
    return ",".join(name if name[:1] in ("+", "-") else f"+{name}" for name in features)


@cache
def _host() -> Target:
    import llvmlite.binding as llvm

    features = _usable(name for name, on in llvm.get_host_cpu_features().items() if on)
    sizes = {level: _cache_size(level) for level in DEFAULT_CACHES}
    return Target(
        cpu=llvm.get_host_cpu_name(),
        features=features,
        triple=llvm.get_process_triple(),
        vector_bits=_vector_bits(features),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        l1_bytes=sizes[1],
        l2_bytes=sizes[2],
        l3_bytes=sizes[3],
    )


def _usable(features: Iterable[str]) -> tuple[str, ...]:
    """The features in order, without those that the operating system keeps from this process."""
    listed = sorted(features)
    if any(name.startswith(_AMX) for name in listed) and not may_use_amx():
        listed = [name for name in listed if not name.startswith(_AMX)]
    return tuple(listed)


def _vector_bits(features: tuple[str, ...]) -> int:
    if "avx512f" in features:
        return 512
    return 256 if "avx" in features else 128


def _cache_size(level: int) -> int:
    for entry in sorted(CACHES.glob("index*")):
        try:
            kind = (entry / "type").read_text().strip()
            if kind != "Instruction" and int((entry / "level").read_text()) == level:
                match = re.fullmatch(r"(\d+)([KM]?)", (entry / "size").read_text().strip())
                if match:
                    return int(match[1]) << {"": 0, "K": 10, "M": 20}[match[2]]
        except (OSError, ValueError):
            continue
    return DEFAULT_CACHES[level]
