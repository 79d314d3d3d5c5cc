"""The environment's influence, read in one place."""

from pathlib import Path

import pytest

from tilewright.settings import child_environment, read_settings


def test_the_cache_follows_xdg() -> None:
    assert read_settings({"XDG_CACHE_HOME": "/x"}).cache_directory == Path("/x/tilewright")


@pytest.mark.parametrize("value", ["", "relative"])
def test_an_invalid_cache_home_is_ignored(value: str) -> None:
    found = read_settings({"XDG_CACHE_HOME": value, "HOME": "/home/me"})
    assert found.cache_directory == Path("/home/me/.cache/tilewright")


@pytest.mark.parametrize(("value", "enabled"), [("0", False), ("off", False), ("1", True), ("", True)])
def test_the_cache_can_be_switched_off(value: str, enabled: bool) -> None:
    assert read_settings({"TILEWRIGHT_CACHE": value}).cache_enabled is enabled


def test_the_process_is_the_default() -> None:
    assert read_settings().cache_directory.name == "tilewright"


def test_a_child_inherits_with_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_VARIABLE", "a")
    found = child_environment(OTHER="b")
    assert (found["SOME_VARIABLE"], found["OTHER"]) == ("a", "b")
