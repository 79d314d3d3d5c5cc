"""Chains of elementwise functions in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tilewright.templates.chain import CASTS, Apply, parse_chain


def compute_chain(torch: Any, arguments: Mapping[str, Any], *operands: Any) -> Any:
    """The chain of the operator ``elementwise``."""
    chain, functions = parse_chain(arguments["chain"]), _functions(torch)

    def choose(apply: Apply) -> Callable[..., Any]:
        # Operators are Python's own, which tensors have.
        others: Callable[..., Any] = getattr(torch, apply.label, apply.function.compute)
        return functions.get(apply.label, others)

    values = dict(zip(chain.operands, operands, strict=True))
    return chain.evaluate(values, choose).expand(tuple(arguments["shape"]))


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
