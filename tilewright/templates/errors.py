"""Errors of templates, spaces and workloads; each message names the user's object and the remedy."""

from tilewright.compiler.errors import TilewrightError


class TemplateError(TilewrightError, ValueError):
    """A template is unknown, registered twice, cannot be loaded, or failed while it ran."""


class WorkloadError(TilewrightError, ValueError):
    """The arguments of an operator are unknown, missing or out of range."""


class SpaceError(TilewrightError, RuntimeError):
    """A knob is wrongly defined, or a space has no valid configuration to offer."""


class InvalidIndexError(SpaceError, IndexError):
    """An index of a space has no configuration, since a constraint excludes it."""


class ConfigError(TilewrightError):
    """A configuration does not belong to its space, or asks for a knob that it lacks."""


class InvalidConfigError(ConfigError):
    """A configuration of the space that its template or the compiler refuses to build."""
