"""A plot of replayed searches: the best found so far, its median and the middle half of the seeds."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tilewright.compiler.errors import TilewrightError

if TYPE_CHECKING:
    from tilewright.tuning.replay import ReplayResult

_BAND = (25, 75)
_INCHES = (8.0, 5.0)


class PlotError(TilewrightError, RuntimeError):
    """A plot could not be drawn."""


def check_plot(path: str) -> None:
    """Say what is missing before the searches, not after them.

    Raises:
        PlotError: matplotlib is not installed, or it does not know the file's ending.
    """
    try:
        from matplotlib.backend_bases import FigureCanvasBase
    except ImportError:
        raise PlotError('--plot needs matplotlib: pip install "tilewright[plot]"') from None
    known = FigureCanvasBase.get_supported_filetypes()
    if Path(path).suffix.lstrip(".").lower() not in known:
        raise PlotError(f"--plot {path}: the ending must be one of {', '.join(sorted(known))}")


def plot_curves(results: Sequence["ReplayResult"], path: str) -> None:
    """Draw the curves of tuners on one space into a file, whose ending says its format.

    Raises:
        PlotError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(_INCHES, layout="constrained")
    axes = figure.subplots()
    for result in results:
        _draw(axes, result)
    axes.set(xlabel="evaluations", ylabel="best found / best of the space", title=results[0].space)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    try:
        figure.savefig(path)
    except OSError as error:
        raise PlotError(f"--plot {path}: {error.strerror}") from None


def _draw(axes: Any, result: "ReplayResult") -> None:
    """A line and a band; a search that ended early stays where it was."""
    length = max(len(curve) for curve in result.curves)
    curves = np.array([curve + curve[-1:] * (length - len(curve)) for curve in result.curves])
    low, high = np.percentile(curves, _BAND, axis=0)
    evaluations = np.arange(1, length + 1)
    (line,) = axes.plot(evaluations, np.median(curves, axis=0), label=result.tuner)
    axes.fill_between(evaluations, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
