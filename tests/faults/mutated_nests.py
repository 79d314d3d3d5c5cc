"""Templates whose configurations are mutants: in the worker, a compiler that errs makes other loops of them.

The name of the output says which mutant a program is, so that it travels as data, as every candidate does.
`install` puts the faulty compiler in the place of the real one, in the process from which workers are forked.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.faults.mutations_of_loops import find_mutants, read_before_write, rewrite_all
from tests.faults.races_of_loops import kind_of, make_race
from tilewright.compiler import build, te
from tilewright.compiler.backends.interpreter import interpret
from tilewright.compiler.ir.loops import LoopNest
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.te import Tensor
from tilewright.templates.collector import get_config
from tilewright.templates.template import template

Array = npt.NDArray[Any]
Extents = tuple[int, int, int]

RIGHT = "right"
PRELOAD = "tests.faults.mutated_nests:install"
_lower: Callable[..., LoopNest] = build.lower_program


def install() -> None:
    """Let the compiler of this process make mutants."""
    build.lower_program = lower_mutated


def lower_mutated(program: Program, partition: bool = True) -> LoopNest:
    """The loops of a program, mutated as the name of its last output says."""
    nest = _lower(program, partition)
    kind, _, seed = program.outputs[-1].name.partition("_")[2].partition("_")
    match kind:
        case "mutant":
            return find_mutants(nest)[int(seed)].apply(nest)
        case "unwritten":
            return rewrite_all(nest, read_before_write)
        case "race":
            return make_race(nest, int(seed))
    return nest


def multiply(a: Array, b: Array) -> Array:
    return a @ b


@template("mutated", reference=multiply, default=lambda *_, **__: {"mutant": 0})
def mutated(m: int, n: int, k: int, mutants: str) -> tuple[Schedule, list[Tensor]]:
    """A product in tiles with tails; the configuration of a number is the mutant of that place."""
    cfg = get_config()
    words = mutants.split(",")
    cfg.define_knob("mutant", list(range(len(words))))
    return product((m, n, k), words[cfg["mutant"].val])


def product(extents: Extents, mutant: str, sums_in: str = "stack") -> tuple[Schedule, list[Tensor]]:
    """A product that sums in tiles on the `stack`, in `scratch` memory for all sums, or in the `output`."""
    m, n, k = extents
    a, b = te.placeholder((m, k), name="a"), te.placeholder((k, n), name="b")
    q = te.reduce_axis((0, k), name="q")
    c = te.compute((m, n), lambda i, j: te.sum(a[i, q] * b[q, j], axis=q), name=f"c_{mutant}")
    s = create_schedule(c.op)
    tile = c if sums_in == "output" else s.cache_write(c, "local")
    if sums_in != "stack":
        s[tile].reorder(s[tile].op.reduce_axis[0], *s[tile].op.axis)
        return s, [a, b, c]
    i, j = s[c].op.axis
    outer, inner = s[c].split(i, factor=4)
    left, right = s[c].split(j, factor=4)
    s[c].reorder(outer, left, inner, right)
    s[tile].compute_at(s[c], left)
    x, y = s[tile].op.axis
    (depth,) = s[tile].op.reduce_axis
    low, high = s[tile].split(depth, factor=2)
    s[tile].reorder(low, high, x, y)
    return s, [a, b, c]


def wrong_mutants(extents: Extents, count: int) -> list[str]:
    """So many mutants that compute something else than the product, of all kinds; names for `mutated`."""
    nest = _lower(Program.from_schedule(*product(extents, RIGHT)))
    mutants = find_mutants(nest)
    found: list[str] = []
    for number in draw_in_turns([mutant.mutation for mutant in mutants], random.Random(10)):
        if len(found) < count and is_wrong(mutants[number].apply(nest), extents):
            found.append(f"mutant_{number}")
    return found


def is_wrong(nest: LoopNest, extents: Extents) -> bool:
    """Whether a nest stays inside its arrays, which is row 9's concern, and computes no product."""
    m, n, k = extents
    chance = np.random.default_rng(10)
    a, b = (chance.uniform(-1, 1, shape).astype(np.float32) for shape in ((m, k), (k, n)))
    try:
        (found,) = interpret(nest, [a, b])
    except IndexError:
        return False
    return not np.allclose(found, a @ b, atol=1e-3)


def draw_in_turns(kinds: Sequence[str], chance: random.Random) -> list[int]:
    """The numbers of a list in a random order, in which the kinds take turns."""
    order = list(range(len(kinds)))
    chance.shuffle(order)
    turns = {number: [kinds[n] for n in order[:at]].count(kinds[number]) for at, number in enumerate(order)}
    return sorted(order, key=lambda number: turns[number])


def shift_and_sum(a: Array) -> Array:
    doubled = 2 * a.astype(np.float64)
    product: Array = doubled[:-1] * doubled[1:].sum(axis=1, keepdims=True)
    return product


def two_stages(n: int, width: int, race: str) -> tuple[Schedule, list[Tensor]]:
    """Two parallel stages, the second of which reads two rows of the first."""
    a = te.placeholder((n + 1, width), name="a")
    t = te.compute((n + 1, width), lambda i, j: a[i, j] + a[i, j], name="t")
    q = te.reduce_axis((0, width), name="q")
    c = te.compute((n, width), lambda i, j: te.sum(t[i + 1, q] * t[i, j], axis=q), name=f"c_{race}")
    s = create_schedule(c.op)
    s[t].parallel(s[t].op.axis[0])
    seed = race.rpartition("_")[2]
    has_temporary = seed.isdigit() and kind_of(int(seed)) == "temporary"
    sums = s.cache_write(c, "local") if has_temporary else c
    row = s[c].op.axis[0]
    if has_temporary:
        s[sums].compute_at(s[c], row)
    s[sums].reorder(s[sums].op.reduce_axis[0], s[sums].op.axis[1])
    s[c].parallel(row)
    return s, [a, c]
