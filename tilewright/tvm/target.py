"""`tvm.target`: targets as TVM writes them. Plain `llvm` is this machine, not a generic CPU."""

from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

from tilewright.compiler.errors import TargetError
from tilewright.compiler.target import Target as Machine

_entered: ContextVar[tuple["Target", ...]] = ContextVar("tilewright_tvm_targets", default=())
_LISTS = ("mattr", "keys", "libs")


class Target:
    """`llvm -mcpu=... -mattr=+a,-b`, a mapping with these entries, or another target; a context as well."""

    def __init__(self, target: Any, host: Any = None) -> None:
        kind, options = _parse(target)
        if kind != "llvm":
            raise TargetError(f"target {kind!r}: Tilewright compiles for CPUs only; use 'llvm'")
        self.kind = SimpleNamespace(name=kind)
        self.keys = options.get("keys", ["cpu"])
        self.mcpu: str = options.get("mcpu", "")
        self.mattr: tuple[str, ...] = tuple(sorted(options.get("mattr", ())))
        self.model: str = options.get("model", "unknown")
        self.attrs = options

    @property
    def machine(self) -> Machine:
        """The CPU that is meant."""
        return Machine.named(self.mcpu or "native", self.mattr)

    @staticmethod
    def current(allow_none: bool = True) -> "Target | None":
        """The target of the innermost `with`."""
        targets = _entered.get()
        if not targets and not allow_none:
            raise TargetError("no target is in force: write `with tvm.target.Target('llvm'):` around this")
        return targets[-1] if targets else None

    def __enter__(self) -> "Target":
        _entered.set((*_entered.get(), self))
        return self

    def __exit__(self, *_: object) -> None:
        _entered.set(_entered.get()[:-1])

    def __str__(self) -> str:
        shown = {"keys": self.keys, "mattr": self.mattr, "mcpu": self.mcpu}
        words = [f"-{name}={v if isinstance(v, str) else ','.join(v)}" for name, v in shown.items() if v]
        model = [] if self.model == "unknown" else [f"-model={self.model}"]
        return " ".join([self.kind.name, *words, *model])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Target) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return Target, (str(self),)


def _parse(target: Any) -> tuple[str, dict[str, Any]]:
    if isinstance(target, Target):
        return target.kind.name, dict(target.attrs)
    if isinstance(target, dict):
        return str(target.get("kind", "llvm")), {k: v for k, v in target.items() if k != "kind"}
    kind, *words = str(target).split()
    pairs = dict(word.lstrip("-").split("=", 1) for word in words if "=" in word)
    return kind, {k: v.split(",") if k in _LISTS else v for k, v in pairs.items()}


create = Target
__all__ = ["Target", "create"]
