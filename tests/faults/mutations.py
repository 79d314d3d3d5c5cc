"""Inputs that are nearly right: JSON of which a part is changed, and bytes of which some are."""

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**63, -(2**63), 2**64, 10**40, 0.0, -0.0, 1e-12, 1e-300, 1e300, -1.5,
    "", " ", "nan", "inf", "-1", "ok", "x" * 5000, "\x00", "\u2028", "a\nb", "%s%n{}{0}", "../../etc/passwd",
    "__import__('os').system('true')", "é" * 50, [], {}, [[]], [None], [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]],
    {"": None}, {"a": {"b": {"c": []}}}, [1, "a", None, 2.5], {"__reduce__": ["os.system", "true"]},
    {"kinds": None, "noisy": False}, {"origin": None, "reference_ratio": None}, list(range(300)),
)  # fmt: skip


def mutate_json(value: Any, chance: random.Random) -> Any:
    """A copy of plain data with one to three changes."""
    copied = json.loads(json.dumps(value))
    for _ in range(chance.randint(1, 3)):
        places = list(_places(copied))
        if not places:
            return copy.deepcopy(chance.choice(HOSTILE))
        _change(*chance.choice(places), chance)
    return copied


def mutate_bytes(data: bytes, chance: random.Random) -> bytes:
    """A copy of bytes that is cut, flipped, doubled in part, or has others in between."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(changed) + 1)
        match chance.randrange(5):
            case 0:
                del changed[place : place + chance.randrange(1, 40)]
            case 1:
                changed[place:place] = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 9)))
            case 2:
                changed[place:place] = changed[place : place + chance.randrange(1, 200)]
            case 3 if place < len(changed):
                changed[place] ^= 1 << chance.randrange(8)
            case _:
                changed[place:place] = chance.choice(
                    (b"NaN", b"Infinity", b"[" * 2000, b'"', b"\\u0000", b"\n")
                )
    return bytes(changed)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container with every key or index in it."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(items):
        yield value, key
        yield from _places(item)


def _change(container: Any, key: Any, chance: random.Random) -> None:
    if isinstance(container, list) and key >= len(container):
        return
    match chance.randrange(6):
        case 0:
            del container[key]
        case 1 if isinstance(container, dict):
            container[chance.choice(("", "v", "op", "config", "x" * 300, "time"))] = container.pop(key, None)
        case 2 if isinstance(container, list):
            container.insert(key, copy.deepcopy(chance.choice(HOSTILE)))
        case 3:
            value = container.get(key) if isinstance(container, dict) else container[key]
            container[key] = _near(value, chance)
        case _:
            container[key] = copy.deepcopy(chance.choice(HOSTILE))


def _near(value: Any, chance: random.Random) -> Any:
    """A value of the same kind that is a little or very different."""
    if isinstance(value, bool) or value is None:
        return chance.choice((True, False, None, 0, 1))
    if isinstance(value, int):
        return chance.choice((value + 1, value - 1, -value, value * 10**9, float(value)))
    if isinstance(value, float):
        return chance.choice((-value, value * 1e-9, value * 1e9, value * 1e300, int(value)))
    if isinstance(value, str):
        return chance.choice((value + value, value[: len(value) // 2], value.upper(), value[::-1]))
    return [value, value] if isinstance(value, list) else {"a": value}
