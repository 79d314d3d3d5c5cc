"""What all tests share: the root, a code cache of their own, and nothing left over between them."""

import logging
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.allowed_skips import pytest_collectreport, pytest_runtest_logreport, pytest_sessionfinish
from tilewright import deploy

__all__ = ["pytest_collectreport", "pytest_runtest_logreport", "pytest_sessionfinish"]


def pytest_configure() -> None:
    """Hear Ctrl-C, as do processes that tests start, even if a shell began the tests in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def root(request: pytest.FixtureRequest) -> Path:
    """Return the repository's folder."""
    return request.config.rootpath


@pytest.fixture(scope="session", autouse=True)
def cache_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep compiled code out of the user's cache; processes that tests start inherit it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def nothing_left_over() -> Iterator[None]:
    """Forget what was built before, and undo what a command did to the log."""
    deploy._explanations.clear()
    logger = logging.getLogger("tilewright")
    level, handlers = logger.level, list(logger.handlers)
    yield
    logger.setLevel(level)
    logger.handlers[:] = handlers
