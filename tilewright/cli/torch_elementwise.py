"""Chains of elementwise functions in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tilewright.templates.chain import CASTS, Name, Node, Number, parse_chain

Values = Mapping[str, Any]


def compute_chain(torch: Any, arguments: Mapping[str, Any], *operands: Any) -> Any:
    """The chain of the operator ``elementwise``."""
    return prepare_chain(torch, arguments)(*operands)


def prepare_chain(torch: Any, arguments: Mapping[str, Any]) -> Callable[..., Any]:
    """A function of the operands in which nothing is left to read: torch's compiler can follow it."""
    chain, shape = parse_chain(arguments["chain"]), tuple(arguments["shape"])
    names, apply = chain.operands, _follow(chain.root, torch, _functions(torch))
    return lambda *operands: apply(dict(zip(names, operands, strict=True))).expand(shape)


def _follow(node: Node, torch: Any, functions: Mapping[str, Callable[..., Any]]) -> Callable[[Values], Any]:
    """What a node makes of the operands' values."""
    if isinstance(node, Name):
        name = node.name
        return lambda values: values[name]
    if isinstance(node, Number):
        value = node.value
        return lambda _: value
    # Operators are Python's own, which tensors have.
    others = getattr(torch, node.label, node.function.compute)
    function = functions.get(node.label, others)
    parts = [_follow(argument, torch, functions) for argument in node.arguments]
    return lambda values: function(*[part(values) for part in parts])


def _functions(torch: Any) -> dict[str, Callable[..., Any]]:
    """Those that torch calls otherwise."""
    named = torch.nn.functional

    def paired(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        """A function of tensors, of which one may be a number."""
        return lambda x, y: function(torch.as_tensor(x), torch.as_tensor(y))

    return {
        **{name: getattr(named, name) for name in ("relu6", "gelu", "silu", "hardsigmoid", "hardswish")},
        "leaky_relu": named.leaky_relu,
        "gelu_tanh": lambda x: named.gelu(x, approximate="tanh"),
        "min": paired(torch.minimum),
        "max": paired(torch.maximum),
        "**": torch.pow,
        "and": torch.logical_and,
        "or": torch.logical_or,
        "not": torch.logical_not,
        **{f"cast to {dtype}": lambda x, dtype=dtype: x.to(getattr(torch, dtype)) for dtype in CASTS},
    }
