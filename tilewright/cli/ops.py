"""``tilewright ops``: operators, their parameters, knobs and space sizes."""

from typing import TYPE_CHECKING, Any, get_args, get_origin

import click

from tilewright.cli.commands import Command, json_option
from tilewright.cli.output import print_json, print_pairs
from tilewright.compiler.errors import TilewrightError

if TYPE_CHECKING:
    from tilewright.templates.parameters import Parameter
    from tilewright.templates.task import Task
    from tilewright.templates.template import Template

# Extents of the workload whose space is shown, where another name stands for 128.
_EXTENTS = {"n": 64, "b": 4, "c": 64, "o": 64, "h": 28, "w": 28, "heads": 4, "kernel": 3}


def _ops(as_json: bool) -> None:
    from tilewright.templates.registry import find_template, template_names

    described = [_describe(find_template(name)) for name in template_names()]
    if as_json:
        print_json({"ops": described})
        return
    for operator in described:
        click.echo(operator["name"])
        knobs = ", ".join(f"{knob['name']} ({knob['choices']})" for knob in operator["knobs"])
        params = ", ".join(_describe_parameter(parameter) for parameter in operator["params"])
        print_pairs([("parameters", params), ("knobs", knobs), ("space", _describe_space(operator))])


def _describe(template: "Template") -> dict[str, Any]:
    task = _example(template)
    knobs = [] if task is None else task.space.knobs
    return {
        "name": template.name,
        "params": [
            {"name": p.name, "type": p.type, "default": p.default, "required": p.required}
            for p in template.parameters
        ],
        "knobs": [{"name": knob.name, "kind": knob.kind, "choices": len(knob)} for knob in knobs],
        "example": None if task is None else task.workload.args,
        "space_size": None if task is None else task.space.size,
    }


def _example(template: "Template") -> "Task | None":
    """A task of moderate size: knobs and spaces depend on the workload."""
    from tilewright.compiler.target import Target
    from tilewright.templates.task import Task

    arguments = {p.name: _example_value(p) for p in template.parameters if p.required}
    try:
        task = Task.create(template, Target.host(), 1, **arguments)
        task.space  # noqa: B018 - collects the knobs
    except TilewrightError:
        return None
    return task


def _example_value(parameter: "Parameter") -> Any:
    if parameter.choices:
        return parameter.choices[0]
    if parameter.annotation is str:
        return "relu(x)"
    kinds = (parameter.annotation, *get_args(parameter.annotation))
    if int not in kinds and any(get_origin(kind) in (tuple, list) for kind in kinds):
        return (64, 128)
    return (
        (64, 128) if get_origin(parameter.annotation) in (tuple, list) else _EXTENTS.get(parameter.name, 128)
    )


def _describe_parameter(parameter: dict[str, Any]) -> str:
    name = f"{parameter['name']}: {parameter['type']}"
    return name if parameter["required"] else f"{name} = {parameter['default']}"


def _describe_space(operator: dict[str, Any]) -> str:
    if operator["example"] is None:
        return "depends on the workload"
    arguments = ", ".join(
        f"{p['name']}={operator['example'][p['name']]}" for p in operator["params"] if p["required"]
    )
    return f"{operator['space_size']} configurations for {arguments}"


command = Command(
    "ops", callback=_ops, params=[json_option()], help="Operators, their parameters, knobs and space sizes."
)
