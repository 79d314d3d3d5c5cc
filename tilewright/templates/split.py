"""Split knobs: how one loop is cut into nested loops."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tilewright.templates.errors import SpaceError

if TYPE_CHECKING:
    from tilewright.compiler.schedule import Schedule
    from tilewright.compiler.te import IterVar, Tensor

SplitPolicy = Literal["factors", "power2", "verbose", "candidate"]
MAX_FACTOR = 2**31


@dataclass(frozen=True, slots=True)
class SplitEntity:
    """One way to split a loop: the extents from the outermost to the innermost, -1 for "what is left"."""

    factors: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "factors", tuple(int(factor) for factor in self.factors))

    @property
    def size(self) -> list[int]:
        """The extents as a list, which templates slice and compare."""
        return list(self.factors)

    def apply(self, s: "Schedule", op: "Tensor", axis: "IterVar") -> list["IterVar"]:
        """Split `axis` of the stage of `op`; return the new axes, outermost first."""
        axes = []
        for position in range(1, len(self.factors)):
            outer, axis = s[op].split(axis, factor=math.prod(self.factors[position:]))
            axes.append(outer)
        return [*axes, axis]

    def to_json(self) -> list[int]:
        """Return the extents as a list."""
        return list(self.factors)

    def __str__(self) -> str:
        return str(list(self.factors))


def enumerate_splits(
    name: str,
    extent: int,
    policy: str = "factors",
    *,
    num_outputs: int = 2,
    max_factor: int = MAX_FACTOR,
    filter: Callable[[SplitEntity], object] | None = None,
    no_tail: bool = False,
    candidate: Sequence[Sequence[int]] | None = None,
) -> tuple[SplitEntity, ...]:
    """Return the splits of a loop of `extent` iterations, the first inner factor changing fastest."""
    if num_outputs < 1:
        raise SpaceError(f"split knob {name!r}: num_outputs must be at least 1, not {num_outputs}")
    if policy == "candidate":
        splits = _listed_splits(name, num_outputs, candidate)
    else:
        factors = [factor for factor in _factors(name, extent, policy) if factor <= max_factor]
        exact = no_tail or policy == "factors"
        inner = _inner_factors(factors, extent, num_outputs - 1, exact)
        splits = [SplitEntity((-1, *reversed(chosen))) for chosen in inner]
    kept = splits if filter is None else [split for split in splits if filter(split)]
    return tuple(dict.fromkeys(kept))


def divisors(number: int) -> list[int]:
    """Return the divisors of `number` in ascending order."""
    low = [factor for factor in range(1, math.isqrt(number) + 1) if number % factor == 0]
    high = [number // factor for factor in reversed(low)]
    return low[:-1] + high if low[-1] == high[0] else low + high


def _listed_splits(
    name: str, num_outputs: int, candidate: Sequence[Sequence[int]] | None
) -> list[SplitEntity]:
    if candidate is None:
        raise SpaceError(f"split knob {name!r}: policy 'candidate' needs candidate=[[...], ...]")
    for sizes in candidate:
        if len(sizes) != num_outputs:
            raise SpaceError(
                f"split knob {name!r}: candidate {list(sizes)} has {len(sizes)} extents, "
                f"but num_outputs is {num_outputs}"
            )
    return [SplitEntity(tuple(sizes)) for sizes in candidate]


def _factors(name: str, extent: int, policy: str) -> list[int]:
    powers = [1 << exponent for exponent in range(extent.bit_length())]
    match policy:
        case "factors":
            return divisors(extent)
        case "power2":
            return powers
        case "verbose":
            return sorted({*divisors(extent), *powers})
        case _:
            raise SpaceError(
                f"split knob {name!r}: unknown policy {policy!r}; use factors, power2, verbose or candidate"
            )


def _inner_factors(factors: list[int], extent: int, count: int, exact: bool) -> Iterator[tuple[int, ...]]:
    """Yield the inner factors, innermost first; products above the extent, or that leave a tail, are dropped.

    A product that does not divide the extent cannot come to divide it again, so both tests prune early.
    """
    if count == 0:
        yield ()
        return
    for factor in factors:
        if factor > extent:
            break
        if exact and extent % factor:
            continue
        room = extent // factor
        for rest in _inner_factors(factors, room, count - 1, exact):
            yield (factor, *rest)
