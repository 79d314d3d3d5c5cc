"""One configuration, with AutoTVM's way to JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tilewright.templates.annotate import AnnotateEntity
from tilewright.templates.config import Config
from tilewright.templates.knobs import Entity
from tilewright.templates.option import OtherOptionEntity
from tilewright.templates.reorder import ReorderEntity
from tilewright.templates.split import SplitEntity

_CLASSES: dict[str, type[Entity]] = {
    "sp": SplitEntity,
    "re": ReorderEntity,
    "an": AnnotateEntity,
    "ot": OtherOptionEntity,
}
_CODES = {kind: code for code, kind in _CLASSES.items()}


@dataclass(frozen=True, slots=True, eq=False)
class ConfigEntity(Config):
    """A configuration that may be stored without its space."""

    code_hash: str | None = None

    @staticmethod
    def of(config: Config, code_hash: str | None = None) -> "ConfigEntity":
        """The same configuration under this name."""
        return ConfigEntity(config.names, config.entities, config.index, config.is_default, code_hash)

    @property
    def is_fallback(self) -> bool:
        """Whether it is the untuned one."""
        return self.is_default

    def valid(self) -> bool:
        """True: a configuration that breaks a limit says so when it is instantiated."""
        return True

    def get_other_option(self) -> dict[str, Any]:
        """The values of the free choices."""
        pairs = zip(self.names, self.entities, strict=True)
        return {name: value.val for name, value in pairs if isinstance(value, OtherOptionEntity)}

    def to_json_dict(self) -> dict[str, Any]:
        """`index`, `code_hash` and `entity`: `[name, kind, value]` of each knob."""
        pairs = zip(self.names, self.entities, strict=True)
        entity = [[name, _CODES[type(value)], value.to_json()] for name, value in pairs]
        return {"index": self.index, "code_hash": self.code_hash, "entity": entity}

    @staticmethod
    def from_json_dict(json_dict: Mapping[str, Any]) -> "ConfigEntity":
        """The configuration that `to_json_dict` described; its space need not be known."""
        names = tuple(name for name, _, _ in json_dict["entity"])
        entities = tuple(_CLASSES[kind](value) for _, kind, value in json_dict["entity"])
        return ConfigEntity(names, entities, json_dict["index"] or 0, False, json_dict["code_hash"])


__all__ = ["ConfigEntity"]
