"""Row 2: kernels that abort, trap, divide by zero or run what this CPU lacks; the state names the signal."""

import pytest

from tests.faults.crashing import ENDS, SIGNALS, program_of, quick_measurer
from tilewright.measure.result import MeasureInput

TIMES = 20


def check_signals(times: int) -> None:
    with quick_measurer() as measurer:
        programs = {name: program_of(ENDS[name].code, ENDS[name].declarations) for name in SIGNALS}
        trials = [MeasureInput(programs[name], "double") for name in SIGNALS] * times
        results = measurer.measure(trials)
        right = measurer.try_program(program_of(""))
    found = [(result.state, result.signal) for result in results]
    assert found == [("crash", ENDS[name].signal) for name in SIGNALS] * times
    assert right.state == "ok"


def test_row_02_each_signal_is_told_by_its_name() -> None:
    check_signals(times=2)


@pytest.mark.slow
def test_row_02_each_signal_is_told_20_times() -> None:
    check_signals(TIMES)
