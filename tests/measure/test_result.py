"""Results are strict: nonsense cannot be made, encoded or decoded. Facts about the machine."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewright.measure.outcome import Outcome, to_result
from tilewright.measure.result import STATES, MeasureError, MeasureResult, failed

OK = MeasureResult(state="ok", costs=(1e-3, 2e-3), seconds=1e-3, interval=(1e-3, 2e-3), noisy=True)


def test_a_result_survives_json() -> None:
    for result in (OK, failed("crash", "why", "SIGSEGV"), MeasureResult(state="slow", seconds=1.0)):
        assert MeasureResult.from_json(result.to_json()) == result


@pytest.mark.parametrize(
    "bad", ["NaN", "Infinity", "-Infinity", "0", "-0.001", '"0.001"', "1e-12", "1e9", "null"]
)
def test_impossible_seconds_are_refused(bad: str) -> None:
    text = OK.to_json().replace('"seconds":0.001,', f'"seconds":{bad},')
    with pytest.raises(msgspec.MsgspecError):
        MeasureResult.from_json(text)


@given(st.floats())
def test_any_float_is_accepted_or_refused_but_never_poisons(seconds: float) -> None:
    try:
        made = MeasureResult(state="ok", costs=(seconds,), seconds=seconds, interval=(seconds, seconds))
    except ValueError:
        return
    assert made.seconds is not None
    assert 0 < made.seconds < 1e6


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "fine"},
        {"interval": [2e-3, 1e-3]},
        {"costs": []},
        {"seconds": 10.0},
        {"reference_ratio": -1.0},
        {"build_seconds": -1.0},
        {"unknown": 1},
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        MeasureResult.from_json(json.dumps({**json.loads(OK.to_json()), **changes}))


def test_a_failure_keeps_its_cause() -> None:
    assert OK.failure is None
    assert failed("invalid", "split: factor").failure == MeasureError("invalid", "split: factor")
    assert set(STATES) >= {"ok", "slow", "stale"}


def test_a_long_message_is_cut() -> None:
    assert len(str(failed("compile_error", "x" * 100_000).error)) == 2000


@pytest.mark.parametrize(
    ("status", "phase", "state"),
    [
        ("timeout", "compiling", "compile_timeout"),
        ("timeout", "verifying", "run_timeout"),
        ("timeout", "timing", "run_timeout"),
        ("timeout", "compiling:3", "compile_timeout"),
        ("crash", "timing", "crash"),
        ("error", "compiling", "compile_error"),
        ("error", "verifying", "crash"),
        ("out_of_memory", "compiling", "out_of_memory"),
    ],
)
def test_the_end_of_a_job_is_a_state(status: Any, phase: str, state: str) -> None:
    result = to_result(Outcome(status, b"", phase, "SIGSEGV", "ended", {"compiling": 0.5}))
    assert (result.state, result.build_seconds) == (state, 0.5)
    assert str(result.error).startswith(f"while {phase.partition(':')[0]}: ended")
