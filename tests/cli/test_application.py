"""The program as a whole: help, version, and what becomes of errors."""

import importlib
import logging
from typing import Any

import click
import pytest

import tilewright as package
from tests.cli.conftest import Tilewright
from tilewright.cli.application import COMMANDS
from tilewright.cli.commands import Command, Group
from tilewright.cli.invocation import begin_invocation


def test_help_lists_every_command(tilewright: Tilewright) -> None:
    answer = tilewright("--help")
    assert answer.status == 0
    for name, text in COMMANDS.items():
        assert name in answer.out
        assert text in answer.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_the_common_options(tilewright: Tilewright, name: str) -> None:
    answer = tilewright(name, "--help")
    assert answer.status == 0
    assert COMMANDS[name].rstrip(".")[:20] in " ".join(answer.out.split())
    for option in ("--version", "--verbose", "--quiet"):
        assert option in answer.out


@pytest.mark.parametrize("words", [(), ("best",), ("tune", "matmul"), ("log", "stats")])
def test_the_version_is_known_everywhere(tilewright: Tilewright, words: tuple[str, ...]) -> None:
    answer = tilewright(*words, "--version")
    assert (answer.status, answer.out) == (0, f"tilewright {package.__version__}\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nothing",), "No such command 'nothing'"),
        (("best", "--nothing"), "No such option '--nothing'"),
        (("log", "nothing"), "No such command 'nothing'"),
        (("log", "import"), "Missing argument 'FILE'"),
        (("tune", "nothing", "--n", "3"), "there is no operator or template 'nothing'"),
        (("tune", "matmull", "--n", "3"), "did you mean 'matmul'?"),
        (("tune", "./nothing.py:f"), "there is no file './nothing.py'"),
        (("tune", "scaling"), "scaling: n must be given"),
        (("tune", "scaling", "--n", "0"), "n must be a positive integer, not 0"),
        (("tune", "scaling", "--n", "-1"), "n must be a positive integer, not -1"),
        (("tune", "scaling", "--n", "x"), "n must be int, not 'x'"),
        (("tune", "scaling", "--n", "1.5"), "n must be int, not '1.5'"),
        (("tune", "scaling", "--n", "4", "--tuner", "best"), "'best' is not one of 'xgb'"),
        (("tune", "scaling", "--n", "4", "--trials", "0"), "0 is not in the range x>=1"),
        (("tune", "scaling", "--n", "4", "--seconds", "0"), "0.0 is not in the range x>0"),
        (("show", "scaling", "--n", "4", "--config", "fast"), "'fast' is not best, default or the index"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_status_2(
    tilewright: Tilewright, words: tuple[str, ...], message: str
) -> None:
    answer = tilewright(*words)
    assert answer.status == 2
    assert answer.out == ""
    (line,) = answer.err.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_no_command_shows_the_help(tilewright: Tilewright) -> None:
    answer = tilewright()
    assert answer.status == 2
    assert "Usage: tilewright" in answer.err


def raising(error: BaseException) -> click.Command:
    def callback() -> None:
        raise error

    return Group("best", commands={"now": Command("now", callback=callback)})


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes `tilewright best now` raise."""
    module = importlib.import_module("tilewright.cli.best")
    return lambda error: monkeypatch.setattr(module, "command", raising(error))


def test_an_unexpected_error_is_one_line_with_a_hint(tilewright: Tilewright, fail: Any) -> None:
    fail(ValueError("several\nlines"))
    answer = tilewright("best", "now")
    assert answer.status == 1
    assert answer.err == "error: unexpected ValueError: several lines (-v shows the traceback)\n"


def test_verbose_shows_the_traceback(tilewright: Tilewright, fail: Any) -> None:
    fail(ValueError("wrong"))
    answer = tilewright("best", "now", "-v")
    assert answer.status == 1
    assert "Traceback" in answer.err
    assert answer.err.splitlines()[-1] == "error: unexpected ValueError: wrong"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interruption_is_status_130(tilewright: Tilewright, fail: Any, error: BaseException) -> None:
    fail(error)
    answer = tilewright("best", "now")
    assert (answer.status, answer.err.strip()) == (130, "error: interrupted")


def test_windows_is_refused_in_one_line(tilewright: Tilewright, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "win32")
    answer = tilewright("best")
    assert answer.status == 1
    assert answer.err == "error: Tilewright runs on Linux and macOS, not on Windows\n"


def test_a_warning_is_said_once_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("tilewright.somewhere")
    for _ in range(2):
        begin_invocation()
        for message in ("no model", "no model", "no memory"):
            log.warning(message)
        assert capsys.readouterr().err == "warning: no model\nwarning: no memory\n"
