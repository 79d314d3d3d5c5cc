"""Names of TVM that have no counterpart, each with what to do instead."""

from collections.abc import Callable
from typing import Any

from tilewright.compiler.errors import TilewrightError

_GRAPH = "no graphs here; tune operators one by one, or use ONNX Runtime or TVM's MetaSchedule"
_POOL = "there are no remote devices; run tilewright on the device itself"
_BODY = "not here; write stages with te.compute, or an instruction with te.decl_tensor_intrin"
_ABSENT = {
    **dict.fromkeys(("relay", "relax", "IRModule", "contrib", "graph_executor", "topi", "tvmc"), _GRAPH),
    **dict.fromkeys(("graph_tuner", "extract_from_program", "extract_from_multiple_program"), _GRAPH),
    **dict.fromkeys(("register_topi_compute", "register_topi_schedule"), _GRAPH + "; templates are your own"),
    **dict.fromkeys(("rpc", "RPCRunner"), _POOL),
    **dict.fromkeys(("hybrid", "scan", "extern", "ir_builder", "call_extern", "call_intrin"), _BODY),
    **dict.fromkeys(("auto_scheduler", "meta_schedule"), "not here; use TVM itself, or a template"),
    "tophub": "there are no downloaded logs; untuned builds use the template's default",
}


def refuse_absent(module: str) -> Callable[[str], Any]:
    """A module's `__getattr__` that says what to use in place of a name that is not here."""

    def refuse(name: str) -> Any:
        owner = module.removeprefix("tilewright.")
        if name in _ABSENT:
            raise TilewrightError(f"{owner}.{name}: {_ABSENT[name]}")
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return refuse


__all__ = ["refuse_absent"]
