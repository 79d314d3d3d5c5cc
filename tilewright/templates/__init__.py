"""Schedule templates: knobs, spaces, configurations, workloads and tasks."""

from tilewright.templates.annotate import AnnotateEntity
from tilewright.templates.collector import TemplateConfig, get_config
from tilewright.templates.config import Config
from tilewright.templates.errors import (
    ConfigError,
    InvalidConfigError,
    SpaceError,
    TemplateError,
    WorkloadError,
)
from tilewright.templates.knobs import (
    Entity,
    Knob,
    VirtualAxis,
    annotate_knob,
    option_knob,
    reorder_knob,
    split_knob,
)
from tilewright.templates.option import OtherOptionEntity
from tilewright.templates.parameters import Parameter
from tilewright.templates.registry import find_template, template_names
from tilewright.templates.reorder import ReorderEntity
from tilewright.templates.space import ConfigSpace
from tilewright.templates.split import SplitEntity
from tilewright.templates.task import Task
from tilewright.templates.template import Template, parameters, template
from tilewright.templates.workload import Workload, bind_workload

__all__ = [
    "AnnotateEntity",
    "Config",
    "ConfigError",
    "ConfigSpace",
    "Entity",
    "InvalidConfigError",
    "Knob",
    "OtherOptionEntity",
    "Parameter",
    "ReorderEntity",
    "SpaceError",
    "SplitEntity",
    "Task",
    "Template",
    "TemplateConfig",
    "TemplateError",
    "VirtualAxis",
    "Workload",
    "WorkloadError",
    "annotate_knob",
    "bind_workload",
    "find_template",
    "get_config",
    "option_knob",
    "parameters",
    "reorder_knob",
    "split_knob",
    "template",
    "template_names",
]
