"""A template's parameters: their types, how values and words of a command line become them."""

import inspect
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np

from tilewright.compiler.te.expr import dtype_name
from tilewright.templates.errors import TemplateError, WorkloadError
from tilewright.templates.option import FrozenJson, freeze_json

NOT_FINITE = ("inf", "-inf", "nan")  # numbers that JSON has no way to write, as workloads write them
_SCALARS = {int: "an integer", float: "a number", bool: "a boolean", str: "a string", type(None): "None"}


class _MismatchError(Exception):
    pass


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: its name, a readable type, the default where it is not required."""

    name: str
    type: str
    default: FrozenJson
    required: bool
    annotation: Any

    def coerce(self, value: object, owner: str) -> FrozenJson:
        """Return `value` as this parameter's type, in plain data."""
        try:
            return _coerce(value, self.annotation)
        except _MismatchError:
            raise self._refusal(value, owner) from None

    def parse(self, text: str, owner: str) -> FrozenJson:
        """Return the value that a word of a command line stands for; a pair is `3,3`."""
        for value in _readings(text):
            try:
                return _coerce(value, self.annotation)
            except _MismatchError:
                continue
        raise self._refusal(text, owner)

    @property
    def choices(self) -> tuple[Any, ...]:
        """The values that it may have, where they are listed."""
        return get_args(self.annotation) if get_origin(self.annotation) is Literal else ()

    def _refusal(self, value: object, owner: str) -> WorkloadError:
        listed = ", ".join(repr(choice) for choice in _listed(self.annotation))
        expected = f"one of {listed}" if listed else self.type
        return WorkloadError(f"{owner}: {self.name} must be {expected}, not {value!r}")


def _listed(annotation: Any) -> tuple[Any, ...]:
    """The values that a type allows, where all of them are listed."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    if get_origin(annotation) not in (Union, types.UnionType):
        return ()
    parts = [(None,) if arg is type(None) else _listed(arg) for arg in get_args(annotation)]
    return tuple(value for part in parts for value in part) if all(parts) else ()


def parameters_of(function: Callable[..., Any], owner: str) -> tuple[Parameter, ...]:
    """Return the parameters of a template's function, in order."""
    try:
        hints = typing.get_type_hints(function)
    except Exception:  # an annotation that names something unknown here says nothing about the value
        hints = {}
    found = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise TemplateError(
                f"template {owner}: parameter {parameter} is not a plain named parameter; name each one"
            )
        found.append(_describe(parameter, hints.get(parameter.name, Any), owner))
    return tuple(found)


def _describe(parameter: inspect.Parameter, annotation: Any, owner: str) -> Parameter:
    required = parameter.default is parameter.empty
    default = None
    if not required:
        try:
            default = freeze_json(parameter.default)
        except TypeError as error:
            raise TemplateError(f"template {owner}: default of {parameter.name}: {error}") from None
        if annotation is Any and default is not None:
            annotation = _type_of(default)
    return Parameter(parameter.name, _type_text(annotation), default, required, annotation)


def _type_of(value: FrozenJson) -> Any:
    if not isinstance(value, tuple):
        return type(value)
    kinds = {type(item) for item in value}
    return tuple[(kinds.pop(), ...)] if len(kinds) == 1 else tuple[Any, ...]  # type: ignore[misc]


def _type_text(annotation: Any) -> str:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(_type_text(arg) for arg in args)
    if origin is Literal:
        return " or ".join(dict.fromkeys(type(arg).__name__ for arg in args))
    if annotation in (tuple, list) or origin in (tuple, list, Sequence):
        inner = ",".join("..." if arg is Ellipsis else _type_text(arg) for arg in args)
        return f"({inner})" if inner else "a list"
    if annotation is type(None):
        return "None"
    return getattr(annotation, "__name__", str(annotation)) if annotation is not Any else "any"


def _coerce(value: object, annotation: Any) -> FrozenJson:
    value, origin, args = dtype_name(value), get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return _first_match(value, args)
    if origin is Literal:
        if value not in args:
            raise _MismatchError
        return freeze_json(value)
    if annotation in (tuple, list) or origin in (tuple, list, Sequence):
        return _coerce_sequence(value, origin or annotation, args)
    if annotation in _SCALARS:
        return _coerce_scalar(value, annotation)
    try:
        return freeze_json(value)
    except TypeError:
        raise _MismatchError from None


def _first_match(value: object, annotations: Sequence[Any]) -> FrozenJson:
    """Return the value as the first type that takes it; a pair of equal integers is written as one."""
    for annotation in annotations:
        try:
            found = _coerce(value, annotation)
        except _MismatchError:
            continue
        pair = isinstance(found, tuple) and Ellipsis not in get_args(annotation) and int in annotations
        return found[0] if isinstance(found, tuple) and pair and len(set(found)) == 1 else found
    raise _MismatchError


def _coerce_scalar(value: object, annotation: Any) -> FrozenJson:
    is_bool = isinstance(value, bool | np.bool_)
    if annotation is bool and is_bool:
        return bool(value)
    if annotation is int and isinstance(value, Integral) and not is_bool:
        return int(value)
    if annotation is float and isinstance(value, Real) and not is_bool:
        return _as_float(value)
    if annotation is float and isinstance(value, str) and value in NOT_FINITE:
        return float(value)
    if annotation is str and isinstance(value, str):
        return str(value)
    if annotation is type(None) and value is None:
        return None
    raise _MismatchError


def _as_float(value: Real) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer beyond all floats
        raise _MismatchError from None


def _coerce_sequence(value: object, kind: Any, args: Sequence[Any]) -> FrozenJson:
    if not isinstance(value, list | tuple):
        raise _MismatchError
    if not args:
        return tuple(_coerce(item, Any) for item in value)
    if kind is not tuple or args[-1] is Ellipsis:
        return tuple(_coerce(item, args[0]) for item in value)
    if len(args) != len(value):
        raise _MismatchError
    return tuple(_coerce(item, arg) for item, arg in zip(value, args, strict=True))


def _readings(text: str) -> list[object]:
    """Return what a word may mean, the most specific meaning first."""
    words = [word.strip() for word in text.strip("()[]").split(",") if word.strip()]
    sequences: list[object] = [[_number(word) for word in words], words]
    if "," in text:
        return [*sequences, text]
    return [_number(text), text, *sequences]


def _number(word: str) -> object:
    names = {"true": True, "false": False, "none": None}
    if word.lower() in names:
        return names[word.lower()]
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word
