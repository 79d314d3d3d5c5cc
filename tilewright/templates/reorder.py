"""Reorder knobs: in which order the loops of a nest run."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilewright.templates.errors import SpaceError

if TYPE_CHECKING:
    from tilewright.compiler.schedule import Schedule
    from tilewright.compiler.te import IterVar, Tensor

Chains = Sequence[Sequence[object]]


@dataclass(frozen=True, slots=True)
class ReorderEntity:
    """One loop order: positions in the list of axes, outermost first."""

    perm: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "perm", tuple(int(position) for position in self.perm))

    def apply(self, s: "Schedule", op: "Tensor", axes: Sequence["IterVar"]) -> list["IterVar"]:
        """Reorder `axes` of the stage of `op`; return them in their new order."""
        ordered = [axes[position] for position in self.perm]
        s[op].reorder(*ordered)
        return ordered

    def to_json(self) -> list[int]:
        """Return the permutation as a list."""
        return list(self.perm)

    def __str__(self) -> str:
        return str(list(self.perm))


def enumerate_reorders(
    name: str,
    axes: Sequence[object],
    policy: str,
    *,
    interval: tuple[int, int] | None = None,
    candidate: Chains | None = None,
    spatial: Chains | None = None,
    reduce: Chains | None = None,
) -> tuple[ReorderEntity, ...]:
    """Return the orders of `axes` that a policy allows."""
    count = len(axes)
    match policy:
        case "identity":
            orders = [tuple(range(count))]
        case "all":
            orders = list(itertools.permutations(range(count)))
        case "interval_all":
            orders = _interval_orders(name, count, interval)
        case "candidate":
            orders = [_positions(name, axes, order) for order in _given(name, policy, "candidate", candidate)]
        case "interleave" | "interleave_cuda":
            outer_to_inner = policy == "interleave_cuda"
            chains = _given(name, policy, "spatial", spatial), _given(name, policy, "reduce", reduce)
            orders = [_interleave(name, axes, *chains, reduce_first=outer_to_inner)]
        case _:
            raise SpaceError(
                f"reorder knob {name!r}: unknown policy {policy!r}; "
                "use identity, all, interval_all, candidate or interleave"
            )
    return tuple(ReorderEntity(order) for order in dict.fromkeys(orders))


def _given(name: str, policy: str, option: str, value: Chains | None) -> Chains:
    if value is None:
        raise SpaceError(f"reorder knob {name!r}: policy {policy!r} needs {option}=[[...], ...]")
    return value


def _interval_orders(name: str, count: int, interval: tuple[int, int] | None) -> list[tuple[int, ...]]:
    if interval is None or not 0 <= interval[0] <= interval[1] <= count:
        raise SpaceError(
            f"reorder knob {name!r}: policy 'interval_all' needs interval=(begin, end) within 0..{count}"
        )
    begin, end = interval
    before, after = tuple(range(begin)), tuple(range(end, count))
    return [before + middle + after for middle in itertools.permutations(range(begin, end))]


def _positions(name: str, axes: Sequence[object], order: Sequence[object]) -> tuple[int, ...]:
    places = {id(axis): position for position, axis in enumerate(axes)}
    missing = [axis for axis in order if id(axis) not in places]
    if missing:
        raise SpaceError(f"reorder knob {name!r}: {missing[0]} is not one of its axes")
    return tuple(places[id(axis)] for axis in order)


def _interleave(
    name: str, axes: Sequence[object], spatial: Chains, reduce: Chains, *, reduce_first: bool
) -> tuple[int, ...]:
    """Interleave the outer spatial loops, then the innermost spatial loops with the reduction loops."""
    spaces = [_positions(name, axes, chain) for chain in spatial]
    reductions = [_positions(name, axes, chain) for chain in reduce]
    outer = _merge_chains([chain[:-1] for chain in spaces])
    innermost = [chain[-1:] for chain in spaces]
    if reduce_first:
        return outer + _merge_chains(reductions) + _merge_chains(innermost)
    return outer + _merge_chains([*innermost, *reductions])


def _merge_chains(chains: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """Merge chains by always taking the next loop of the chain with most loops left."""
    remaining = [list(chain) for chain in chains]
    merged: list[int] = []
    while any(remaining):
        merged.append(max(remaining, key=len).pop(0))
    return tuple(merged)
