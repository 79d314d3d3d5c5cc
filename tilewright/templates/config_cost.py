"""The estimated cost of a configuration: its loop nest, analysed and never compiled."""

from tilewright.compiler.analysis.cost import NestCost, estimate_cost
from tilewright.templates.config import Config
from tilewright.templates.task import Task


def config_cost(task: Task, config: Config) -> NestCost:
    """Return what the analysis of a configuration's loop nest says, in a few milliseconds.

    Raises:
        InvalidConfigError: the configuration cannot be lowered.
    """
    nest = task.lower_for_analysis(config)
    return estimate_cost(nest, task.target, task.threads, task.constants)
