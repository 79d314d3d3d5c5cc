"""Recorded spaces from files of any format that holds one."""

import os
from typing import Any

import msgspec

from tilewright.logs.errors import RecordError
from tilewright.logs.formats import kernel_tuner, t4
from tilewright.logs.formats.files import read_file, stem
from tilewright.logs.formats.recorded_space import RecordedSpace, points_space
from tilewright.logs.formats.registry import SPACE, detect_format
from tilewright.logs.record import one_line
from tilewright.measure.result import State


class _Trial(msgspec.Struct):
    config: dict[str, Any]
    state: State
    cost: float | None = None


class _Space(msgspec.Struct):
    space: dict[str, dict[str, Any]]
    trials: list[_Trial]


def read_recorded_space(path: str | os.PathLike[str]) -> RecordedSpace:
    """The recorded space of a T4 document, a cache file of Kernel Tuner or a file of ours.

    Raises:
        RecordError: the file is none of these, or none of its configurations ran.
    """
    match detect_format(path):
        case "t4":
            return t4.read_space(path)
        case "kernel-tuner":
            return kernel_tuner.read_space(path)
        case name if name == SPACE:
            return _read_own(path)
        case name:
            raise RecordError(
                f"{os.fspath(path)} is a log ({name}), not a recorded space; a T4 document, a cache file of"
                " Kernel Tuner, or a file with a space and its trials is one"
            )


def _read_own(path: str | os.PathLike[str]) -> RecordedSpace:
    from tilewright.templates.errors import SpaceError
    from tilewright.templates.space_json import space_from_json

    data = read_file(path)
    try:
        described = msgspec.json.decode(data, type=_Space)
        knobs = space_from_json(described.space).knobs
    except (msgspec.MsgspecError, RecursionError, SpaceError, TypeError, ValueError) as error:
        raise RecordError(f"{os.fspath(path)} is not a recorded space: {one_line(error)}") from None
    trials = [
        (trial.config, trial.cost if trial.state in ("ok", "slow") else None) for trial in described.trials
    ]
    return points_space(stem(path), knobs, trials)
