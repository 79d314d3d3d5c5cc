"""A machine for tests of timing: a clock, a speed, and others who take the core, all deterministic."""

import math
import random
from collections.abc import Callable
from typing import Protocol

from tilewright.measure.core_time import CoreTime
from tilewright.measure.slices import Runner
from tilewright.measure.timing import ReferenceLoop

NOMINAL = 1e-6


class Scheduler(Protocol):
    """Decides who has the core."""

    throttled: int

    def grant(self, now: float, wanted: float) -> tuple[float, float]:
        """How long our process runs from now, at most as wanted, and how long others run then."""


class Alone:
    """Nobody else wants the core."""

    throttled = 0

    def grant(self, now: float, wanted: float) -> tuple[float, float]:
        return wanted, 0.0


class Quota:
    """A control group that may run for `share` of each period; threads use it up together."""

    def __init__(self, share: float, period: float = 0.1) -> None:
        self.throttled = 0
        self._quota, self._period = share * period, period
        self._number, self._used = 0, 0.0

    def grant(self, now: float, wanted: float) -> tuple[float, float]:
        number = math.floor(now / self._period + 1e-9)
        if number != self._number:
            self._number, self._used = number, 0.0
        to_end = (number + 1) * self._period - now
        ran = min(wanted, self._quota - self._used, to_end)
        self._used += ran
        if self._used < self._quota - 1e-12 or ran == wanted:
            return ran, 0.0
        self.throttled += 1
        return ran, to_end - ran


class Neighbours:
    """Busy processes on our core that start and stop at random; turns of 3 ms, ours among them."""

    TURN = 0.003

    def __init__(self, seed: int, most: int) -> None:
        self.throttled = 0
        self._chance, self._most = random.Random(seed), most
        self.count, self._until, self._left = 0, 0.0, self.TURN

    def grant(self, now: float, wanted: float) -> tuple[float, float]:
        if now >= self._until:
            self.count = self._chance.randint(0, self._most)
            self._until = now + self._chance.uniform(0.05, 1.0)
        if self.count == 0:
            return min(wanted, max(1e-6, self._until - now)), 0.0
        ran = min(wanted, self._left)
        self._left -= ran
        if self._left > 1e-9:
            return ran, 0.0
        self._left = self.TURN
        return ran, self.count * self.TURN


class Stopped:
    """Our process is stopped once, by a signal or with the whole machine, for `seconds`."""

    throttled = 0

    def __init__(self, at: float, seconds: float) -> None:
        self._at, self._seconds = at, seconds

    def grant(self, now: float, wanted: float) -> tuple[float, float]:
        if now + wanted <= self._at or self._seconds == 0:
            return wanted, 0.0
        pause, self._seconds = self._seconds, 0.0
        return max(0.0, self._at - now), pause


class Machine:
    """A clock that work moves, at a speed that may depend on the time and on chance."""

    def __init__(
        self, slowdown: Callable[[float], float] = lambda now: 1.0, scheduler: Scheduler | None = None
    ) -> None:
        self.now = 0.0
        self.ran = 0.0
        self.slowdown = slowdown
        self.scheduler = scheduler or Alone()
        self.calls: list[tuple[str, int]] = []

    def clock(self) -> float:
        return self.now

    def meter(self) -> CoreTime:
        return CoreTime(round(self.ran * 1e9), self.scheduler.throttled)

    def runner(self, name: str, seconds: float, noise: Callable[[], float] = lambda: 1.0) -> Runner:
        def run(repeats: int) -> int:
            self.calls.append((name, repeats))
            start, left = self.now, repeats * seconds * self.slowdown(self.now) * noise()
            while left > 1e-12:
                ran, paused = self.scheduler.grant(self.now, left)
                left -= ran
                self.ran += ran
                self.now += ran + paused
            return round((self.now - start) * 1e9)

        return run

    def reference(self) -> ReferenceLoop:
        return ReferenceLoop(self.runner("reference", NOMINAL), NOMINAL)
