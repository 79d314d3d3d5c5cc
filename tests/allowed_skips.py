"""Where CI=true, a test that is skipped for a reason that is not allowed fails the run."""

import os
import re
from pathlib import Path

import pytest

_LIST = Path(__file__).resolve().parents[1] / ".ci" / "allowed-skips.txt"
_reasons: dict[str, str] = {}


def is_allowed(reason: str) -> bool:
    """Whether the list has a pattern that a reason begins with."""
    lines = _LIST.read_text().splitlines()
    return any(re.match(line, reason) for line in lines if line and not line.startswith("#"))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note why a test was skipped."""
    if report.skipped and not hasattr(report, "wasxfail"):
        _reasons[report.nodeid] = _reason_of(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Note why a file was skipped."""
    if report.skipped:
        _reasons[report.nodeid] = _reason_of(report)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run."""
    if os.environ.get("CI") != "true":
        return
    for name, reason in _reasons.items():
        if not is_allowed(reason):
            print(f"\n{name}: skipped for a reason that .ci/allowed-skips.txt does not allow: {reason}")
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")
