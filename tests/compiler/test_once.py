"""Things made once for the process."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from tilewright.compiler.once import once


def test_threads_that_ask_at_once_get_the_same_thing() -> None:
    made: list[object] = []

    @once
    def slow() -> object:
        time.sleep(0.02)
        made.append(object())
        return made[-1]

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: slow(), range(16)))
    assert len(made) == 1
    assert all(result is made[0] for result in results)
