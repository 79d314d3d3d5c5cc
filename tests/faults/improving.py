"""Writes ever better records of `scaling` to a database, until the configurations are through many times.

python -m tests.faults.improving PATH
"""

import sys
from pathlib import Path

from tests.scaling import FACTORS, scaling
from tilewright.deploy import make_task
from tilewright.logs.record import Record, TemplateData, make_record, target_data
from tilewright.logs.store import RecordStore
from tilewright.measure.result import MeasureResult

ROUNDS = 100
FIRST_SECONDS, LOSER_SECONDS = 1e-3, 0.5
TASK = make_task(scaling, None, 1, {"n": 64})


def record_of(factor: int, seconds: float, attempt: int = 1) -> Record:
    return make_record(
        MeasureResult(state="ok", costs=(seconds,), seconds=seconds, interval=(seconds, seconds)),
        workload=TASK.workload.to_json(),
        template=TemplateData("scaling", TASK.template_hash),
        target=target_data(TASK.target, TASK.threads),
        config={"factor": factor},
        attempt=attempt,
    )


def main(path: Path) -> None:
    """Each round stores a trial, and a play-off that it wins."""
    with RecordStore(path) as store:
        for number in range(ROUNDS):
            factor = FACTORS[number % len(FACTORS)]
            winner = record_of(factor, FIRST_SECONDS * 0.95**number, number + 2)
            store.add(winner)
            store.add_playoff(record_of(1, LOSER_SECONDS, number + 2), winner)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
