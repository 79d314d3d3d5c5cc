"""Commands with one subcommand an operator, whose options are made from the template's parameters."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from tilewright.cli.commands import Command, Group
from tilewright.compiler.errors import TilewrightError

if TYPE_CHECKING:
    from tilewright.templates.parameters import Parameter
    from tilewright.templates.template import Template

_PREFIX = "parameter_"

Action = Callable[..., int | None]


class OperatorGroup(Group):
    """A command whose first word is an operator, or a template of one's own as ``file.py:name``."""

    def __init__(
        self, name: str, help: str, action: Action, options: Callable[[], list[click.Parameter]]
    ) -> None:
        super().__init__(
            name,
            help=f"{help}\n\nOP is one of the operators below, or a template of your own: ./my_ops.py:my_op",
            subcommand_metavar="OP --PARAM VALUE ...",
        )
        self._action = action
        self._options = options

    def list_commands(self, context: click.Context) -> list[str]:
        """The operators that come with the package."""
        from tilewright.templates.registry import OPERATORS

        return list(OPERATORS)

    def get_command(self, context: click.Context, name: str) -> click.Command:
        """The command of one operator."""
        template = load_template(name)
        options = [*parameter_options(template), *self._options()]
        return Command(name, callback=self._make_callback(template), params=options, help=_help_of(template))

    def _make_callback(self, template: "Template") -> Callable[..., int | None]:
        def callback(**values: Any) -> int | None:
            given = {
                name.removeprefix(_PREFIX): value
                for name, value in values.items()
                if name.startswith(_PREFIX) and value is not None
            }
            own = {name: value for name, value in values.items() if not name.startswith(_PREFIX)}
            return self._action(template, given, **own)

        return callback


class ParameterType(click.ParamType[Any]):
    """Reads a word as the type of a template's parameter."""

    def __init__(self, parameter: "Parameter", owner: str) -> None:
        self.name = parameter.type
        self._parameter = parameter
        self._owner = owner

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value that the word stands for."""
        try:
            return self._parameter.parse(value, self._owner) if isinstance(value, str) else value
        except TilewrightError as error:
            raise click.UsageError(str(error), ctx) from None


def load_template(name: str) -> "Template":
    """The template that a word of the command line names.

    Raises:
        click.UsageError: there is no such operator or file.
    """
    from tilewright.templates.registry import find_template, template_names

    path, separator, _ = name.rpartition(":")
    if separator and not os.path.isfile(os.path.expanduser(path)):
        raise click.UsageError(f"there is no file {path!r}; a template of your own is written file.py:name")
    if separator or name in template_names():
        return find_template(name)
    try:
        return find_template(name)
    except TilewrightError as error:
        raise click.UsageError(str(error)) from None


def parameter_options(template: "Template") -> list[click.Parameter]:
    """One option a parameter, under its name with underscores or dashes."""
    from tilewright.deploy import check_parameter_names

    check_parameter_names(template)
    return [_option(parameter, template.name) for parameter in template.parameters]


def _option(parameter: "Parameter", owner: str) -> click.Option:
    names = dict.fromkeys((f"--{parameter.name.replace('_', '-')}", f"--{parameter.name}"))
    # A boolean may stand alone; click then reads the flag's value.
    flag: dict[str, Any] = {}
    if parameter.annotation is bool:
        flag = {"is_flag": False, "flag_value": "true"}
    return click.Option(
        [_PREFIX + parameter.name, *names],
        type=ParameterType(parameter, owner),
        metavar=parameter.type.upper() if len(parameter.type) < 16 else "VALUE",
        help=_describe(parameter),
        **flag,
    )


def _describe(parameter: "Parameter") -> str:
    parts = []
    if parameter.choices:
        parts.append(f"one of {', '.join(map(str, parameter.choices))}")
    elif len(parameter.type) >= 16:
        parts.append(parameter.type)
    parts.append("required" if parameter.required else f"default {_word(parameter.default)}")
    return "; ".join(parts)


def _word(value: object) -> str:
    """A value as it is written on the command line."""
    if isinstance(value, tuple):
        return ",".join(map(_word, value)) or "none"
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)


def _help_of(template: "Template") -> str:
    return (template.function.__doc__ or f"The template {template.name}.").strip()
