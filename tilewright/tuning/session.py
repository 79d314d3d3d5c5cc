"""Tuning that somebody else conducts: configurations in, verified and recorded costs out."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from numbers import Integral
from typing import Any, Self

from tilewright.compiler.errors import TilewrightError
from tilewright.compiler.target import Target
from tilewright.deploy import make_task, read_config
from tilewright.logs.record import Record
from tilewright.logs.store import RecordStore
from tilewright.measure.result import MeasureInput, failed
from tilewright.templates.config import Config
from tilewright.templates.errors import ConfigError
from tilewright.templates.space import ConfigSpace
from tilewright.templates.template import Template
from tilewright.tuners import Budget
from tilewright.tuning.conductor import DATABASE, check_options, check_outlets, make_searcher, open_history
from tilewright.tuning.granted_threads import granted_threads
from tilewright.tuning.interruption import Interruption
from tilewright.tuning.progress import Quiet
from tilewright.tuning.result import Best, TuneResult
from tilewright.tuning.run import Run
from tilewright.tuning.workers import Workers

ConfigChoice = Config | Mapping[str, Any] | int | str


class Session:
    """Measures the configurations of an operator that a search of one's own chooses.

        with tw.Session("matmul", m=512, n=512, k=512) as session:
            for index in my_search(session.space):
                record = session.measure(index)      # record.state, record.seconds
            result = session.finish()

    What is measured is verified, timed and recorded as a trial of :func:`tune`, and nothing is measured
    twice: a configuration that the database has is answered from there. Workers start with the first trial;
    `close`, or leaving `with`, ends them. A closed session still tells what it knows, and measures nothing.
    """

    def __init__(
        self,
        op: str | Template,
        *,
        tuner: str | None = None,
        seed: int = 0,
        transfer: bool = True,
        threads: int | None = None,
        target: Target | None = None,
        db: str | os.PathLike[str] = DATABASE,
        on_trial: Callable[[Record], None] | None = None,
        **params: Any,
    ) -> None:
        """Open the database.

        Args:
            op: a name, a template, or ``"file.py:name"``.
            tuner: the one that `ask` asks; none by default.
            seed: of the tuner.
            transfer: let ``xgb`` learn from the database's trials of other shapes and machines.
            threads: of the kernel; by default the cores granted to the process.
            target: the machine; this one by default.
            db: a path (SQLite) or a URL.
            on_trial: called with the record of every trial.
            params: the operator's parameters.

        Raises:
            TilewrightError: the operator, a parameter, an option or the database is wrong.
        """
        chosen = "random" if tuner is None else tuner
        check_options(None, None, None, chosen, seed)
        check_outlets(db, on_trial)
        self.task = make_task(op, target, granted_threads(threads), params)
        self._has_tuner = tuner is not None
        self._is_closed = False
        self._resources = ExitStack()  # holds also what is opened later
        history = open_history(self.task, self._resources.enter_context(RecordStore(db)))
        limits, told = Budget(None), Quiet()
        workers = Workers(self.task.target, self.task.threads, self._resources, told.stage)
        make = partial(make_searcher, chosen, history, seed=seed, transfer=transfer)
        self._run = Run(
            self.task, history, make, limits, seed, told, on_trial, Interruption(), self._resources, workers
        )

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers and close the database."""
        self._is_closed = True
        self._resources.close()

    @property
    def space(self) -> ConfigSpace:
        """The configurations that there are."""
        return self.task.space

    @property
    def default(self) -> Config:
        """The configuration of an untuned kernel."""
        return self.task.default_config

    @property
    def records(self) -> tuple[Record, ...]:
        """The trials that are known, those of the database included."""
        return tuple(self._run.history.complete())

    def ask(self, count: int = 1) -> list[Config]:
        """What the session's tuner would measure next, the default first; nothing when nothing is left.

        Raises:
            TilewrightError: the session has no tuner, or is closed, or `count` is no number of them.
        """
        self._check_open()
        if isinstance(count, bool) or not isinstance(count, Integral) or count < 0:
            raise TilewrightError(f"ask: count must be an integer from 0, not {count!r}")
        if not self._has_tuner:
            raise TilewrightError('this session has no tuner to ask; give it one, such as tuner="xgb"')
        return self._run.ask(int(count))

    def measure(self, config: ConfigChoice) -> Record:
        """Build, verify, time and record a configuration, unless it is known.

        Args:
            config: from the space; or an index, values by knob, or ``"default"``.

        Raises:
            ConfigError: the space has no such configuration.
            TilewrightError: the session is closed.
        """
        return self.measure_all([config])[0]

    def measure_all(self, configs: Sequence[ConfigChoice]) -> list[Record]:
        """Measure configurations, one compiled while another is timed where there are cores for both.

        Raises:
            ConfigError: the space has no such configuration; nothing is measured then.
            TilewrightError: the session is closed.
        """
        self._check_open()
        if isinstance(configs, (str, bytes, Mapping)) or not isinstance(configs, Iterable):
            raise ConfigError(f"measure_all: configs must be a list of configurations, not {configs!r}")
        wanted = [read_config(self.task, config) for config in configs]
        known = self._known()
        fresh = list({config.index: config for config in wanted if config.index not in known}.values())
        if fresh:
            self._measure(fresh)
            known = self._known()
        return [known[config.index] for config in wanted]

    def best(self) -> Best | None:
        """The configuration that ships now: the winner of the latest play-off, else the fastest trial."""
        return self._run.result().best

    def finish(self) -> TuneResult:
        """Hold the play-off among the best few and the default, which settles what ships; what was found.

        Raises:
            TilewrightError: the session is closed.
        """
        self._check_open()
        self._run.decide()
        return self._run.result()

    def _check_open(self) -> None:
        """Refuse what needs workers or leases, which nobody would end or give back any more."""
        if self._is_closed:
            raise TilewrightError(
                "this session is closed and measures nothing more: make another Session with the same db,"
                " which knows the trials of this one"
            )

    def _measure(self, configs: Sequence[Config]) -> None:
        run = self._run
        run.claim(configs)  # so that tuners of other processes leave them alone
        ready: list[tuple[Config, MeasureInput]] = []
        for config in configs:
            try:
                ready.append((config, run.trial_input(config)))
            except TilewrightError as error:
                run.store(config, failed("invalid", str(error)))
        if ready:
            measurer = run.prepare_workers(ready[0][1])
            for index, result in measurer.iter_results([trial for _, trial in ready]):
                run.store(ready[index][0], result)

    def _known(self) -> dict[int, Record]:
        """The latest trial of each configuration, by index."""
        self._run.refresh()
        history = self._run.history
        records = history.complete()
        found = zip(history.configs_of(records), records, strict=True)
        return {config.index: record for config, record in found if config is not None}
