"""A configuration: one choice for each knob of a space."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilewright.templates.errors import ConfigError
from tilewright.templates.knobs import Entity
from tilewright.templates.option import Json

if TYPE_CHECKING:
    from tilewright.templates.space import ConfigSpace


@dataclass(frozen=True, slots=True, eq=False)
class Config:
    """The chosen value of every knob; two configurations are equal when their values are."""

    names: tuple[str, ...]
    entities: tuple[Entity, ...]
    index: int
    is_default: bool = False

    def __getitem__(self, name: str) -> Any:  # the kind of entity follows from the knob's definition
        try:
            return self.entities[self.names.index(name)]
        except ValueError:
            knobs = ", ".join(self.names) or "none"
            raise ConfigError(
                f"there is no knob {name!r} in this configuration; its knobs: {knobs}"
            ) from None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Config):
            return NotImplemented
        return (self.names, self.entities) == (other.names, other.entities)

    def __hash__(self) -> int:
        return hash((self.names, self.entities))

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def to_json(self) -> dict[str, Json]:
        """Return `{knob: value}` as plain JSON data."""
        return {name: _plain(entity) for name, entity in zip(self.names, self.entities, strict=True)}

    @staticmethod
    def from_json(data: Mapping[str, object], space: "ConfigSpace") -> "Config":
        """Return the configuration of `space` that `{knob: value}` describes."""
        return space.from_values(data)

    def __str__(self) -> str:
        pairs = zip(self.names, self.entities, strict=True)
        return ", ".join(f"{name}={entity}" for name, entity in pairs) or "(no knobs)"


def _plain(entity: Entity) -> Json:
    value = entity.to_json()
    return [*value] if isinstance(value, list) else value
