"""The `@template` decorator: a function of plain arguments that returns a schedule and its tensors."""

import hashlib
import inspect
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import CodeType
from typing import Any, get_args

from tilewright.templates.collector import active_config, use_config
from tilewright.templates.dispatch import config_of_call
from tilewright.templates.errors import TemplateError
from tilewright.templates.parameters import Parameter, parameters_of
from tilewright.templates.registry import register_template


@dataclass(frozen=True)
class Template:
    """A named schedule template and what its author states about it.

    Attributes:
        name: Its name in records and on the command line.
        function: Returns `(schedule, tensors)`; called with the workload's arguments.
        reference: NumPy function of the input arrays; its keyword-only parameters receive the arguments
            of the same name.
        default: `default(target, threads, **arguments)` returns the untuned `{knob: value}`.
        flops: `flops(**arguments)` returns the operation count.
        constants: Names of the input tensors that are constant between calls.
        positive: Parameters that must be positive integers, or sequences of them.
    """

    name: str
    function: Callable[..., Any]
    reference: Callable[..., Any] | None = None
    default: Callable[..., Any] | None = None
    flops: Callable[..., float] | None = None
    constants: tuple[str, ...] = ()
    positive: tuple[str, ...] = field(default=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function; outside of tuning with the configuration in force, else with default values."""
        if active_config() is not None:
            return self.function(*args, **kwargs)
        with use_config(config_of_call(self, args, kwargs)):
            return self.function(*args, **kwargs)

    @property
    def module(self) -> str:
        """The name of the module that defines it."""
        return self.function.__module__

    @property
    def source_file(self) -> str:
        """The file that defines it."""
        return str(inspect.unwrap(self.function).__code__.co_filename)

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """Its parameters, in order."""
        return parameters_of(self.function, self.name)

    @cached_property
    def source_hash(self) -> str:
        """A hash of what results follow from: the sources of the function and of what verifies them."""
        functions = [function for function in (self.function, self.reference) if function is not None]
        return hashlib.sha256(b"\0".join(map(_content, functions))).hexdigest()[:16]


def _content(function: Callable[..., Any]) -> bytes:
    """A function's source, or its byte code where there is no source."""
    function = inspect.unwrap(function)
    try:
        return textwrap.dedent(inspect.getsource(function)).encode()
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        return repr(type(function)).encode() if code is None else _code_content(code)


def _code_content(code: CodeType) -> bytes:
    """What a function's byte code does: its instructions, names and constants, inner functions included."""
    constants = [_code_content(c) if isinstance(c, CodeType) else repr(c).encode() for c in code.co_consts]
    return b"\0".join([code.co_code, repr(code.co_names).encode(), *constants])


def template(
    name: str,
    *,
    reference: Callable[..., Any] | None = None,
    default: Callable[..., Any] | None = None,
    flops: Callable[..., float] | None = None,
    constants: Iterable[str] = (),
    positive: Sequence[str] | None = None,
) -> Callable[[Callable[..., Any]], Template]:
    """Register a function as the template `name`; see `Template` for the options.

    Without `positive`, every integer, or sequence of integers, that has no default must be positive.
    """
    if not isinstance(name, str):
        raise TemplateError(f'template: name must be a string, as in @template("mine"), not {name!r}')

    def register(function: Callable[..., Any]) -> Template:
        found = parameters_of(function, name)
        extents = tuple(positive) if positive is not None else tuple(p.name for p in found if _is_extent(p))
        made = Template(name, function, reference, default, flops, tuple(constants), extents)
        register_template(made)
        return made

    return register


def parameters(template: Template) -> tuple[Parameter, ...]:
    """Return a template's parameters: name, type and default of each."""
    return template.parameters


def _is_extent(parameter: Parameter) -> bool:
    if not parameter.required:
        return False
    integers = {int, Ellipsis}
    return parameter.annotation is int or (
        bool(get_args(parameter.annotation)) and _leaves(parameter.annotation) <= integers
    )


def _leaves(annotation: Any) -> set[Any]:
    args = get_args(annotation)
    return {annotation} if not args else {leaf for arg in args for leaf in _leaves(arg)}
