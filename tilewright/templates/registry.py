"""Templates by name: the operators that come with Tilewright, and those that users register."""

import difflib
import importlib
import os
from typing import TYPE_CHECKING

from tilewright.templates.errors import TemplateError
from tilewright.templates.template_file import load_template_file

if TYPE_CHECKING:
    from tilewright.templates.template import Template

OPERATORS = {
    "attention": "tilewright.templates.operators.attention",
    "batch_matmul": "tilewright.templates.operators.batch_matmul",
    "conv1d": "tilewright.templates.operators.conv1d",
    "conv1d_transpose": "tilewright.templates.operators.conv1d_transpose",
    "conv2d": "tilewright.templates.operators.conv2d",
    "conv2d_transpose": "tilewright.templates.operators.conv2d_transpose",
    "conv3d": "tilewright.templates.operators.conv3d",
    "conv3d_transpose": "tilewright.templates.operators.conv3d_transpose",
    "dense": "tilewright.templates.operators.dense",
    "depthwise_conv2d": "tilewright.templates.operators.depthwise_conv2d",
    "matmul": "tilewright.templates.operators.matmul",
    "elementwise": "tilewright.templates.operators.elementwise",
    "softmax": "tilewright.templates.operators.softmax",
    "log_softmax": "tilewright.templates.operators.softmax",
    "layer_norm": "tilewright.templates.operators.norm",
    "rms_norm": "tilewright.templates.operators.norm",
    "group_norm": "tilewright.templates.operators.group_norm",
    "batch_norm": "tilewright.templates.operators.batch_norm",
    "reduce_sum": "tilewright.templates.operators.reductions",
    "reduce_mean": "tilewright.templates.operators.reductions",
    "reduce_prod": "tilewright.templates.operators.reductions",
    "reduce_max": "tilewright.templates.operators.reductions",
    "reduce_min": "tilewright.templates.operators.reductions",
    "transpose": "tilewright.templates.operators.transpose",
    "resize": "tilewright.templates.operators.resize",
    "concatenate": "tilewright.templates.operators.concatenate",
    "pad": "tilewright.templates.operators.pad",
    "slice": "tilewright.templates.operators.slice",
    "gather": "tilewright.templates.operators.gather",
    "one_hot": "tilewright.templates.operators.one_hot",
    "argmax": "tilewright.templates.operators.arg_reductions",
    "argmin": "tilewright.templates.operators.arg_reductions",
    "avg_pool1d": "tilewright.templates.operators.pooling_operators",
    "avg_pool2d": "tilewright.templates.operators.pooling_operators",
    "avg_pool3d": "tilewright.templates.operators.pooling_operators",
    "global_avg_pool1d": "tilewright.templates.operators.pooling_operators",
    "global_avg_pool2d": "tilewright.templates.operators.pooling_operators",
    "global_avg_pool3d": "tilewright.templates.operators.pooling_operators",
    "max_pool1d": "tilewright.templates.operators.pooling_operators",
    "max_pool2d": "tilewright.templates.operators.pooling_operators",
    "max_pool3d": "tilewright.templates.operators.pooling_operators",
}

_registered: dict[str, "Template"] = {}


def register_template(template: "Template") -> None:
    """Make a template known by its name; the same module, or the same file, may replace its own."""
    known = _registered.get(template.name)
    owner = OPERATORS.get(template.name) if known is None else known.module
    if owner is not None and owner != template.module and not (known and _same_file(known, template)):
        raise TemplateError(
            f"template {template.name!r} of module {template.module} is already registered by module "
            f"{owner}; give it another name"
        )
    _registered[template.name] = template


def find_template(op: "str | Template") -> "Template":
    """Return a template from its name, from `file.py:name`, or from itself."""
    if not isinstance(op, str):
        if not hasattr(op, "source_hash"):
            raise TemplateError(f"{op!r} is not a template; decorate its function with @template(name)")
        return op
    path, separator, name = op.rpartition(":")
    if separator:
        return load_template_file(path, name)
    if op not in _registered and op in OPERATORS:
        importlib.import_module(OPERATORS[op])
    if op not in _registered:
        raise TemplateError(_unknown(op))
    return _registered[op]


def template_names() -> tuple[str, ...]:
    """Return the names that `find_template` knows."""
    return tuple(dict.fromkeys((*OPERATORS, *_registered)))


def _same_file(known: "Template", template: "Template") -> bool:
    """Return whether both come from one file, which may have been loaded under two names."""
    first, second = known.source_file, template.source_file
    return os.path.exists(first) and os.path.realpath(first) == os.path.realpath(second)


def _unknown(name: str) -> str:
    names = template_names()
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    own = "a template of your own is written 'file.py:name', or import the module that registers it"
    return f"there is no operator or template {name!r}; {hint}known: {', '.join(names)}; {own}"
