"""A run of several workloads that is stopped loses nothing and goes on where it was."""

import json
import signal
import sqlite3
import subprocess
from pathlib import Path

from tests.end_to_end.command import environment, read_json, run_tilewright, tilewright_command
from tests.end_to_end.test_stopped import count_trials
from tests.processes import PATIENCE_SECONDS, wait_until

TRIALS = 24
WORKLOADS = [
    {"op": "matmul", "m": 48, "n": 48, "k": 48, "weight": 2},
    {"op": "softmax", "shape": [16, 64]},
]
TUNE = (
    "tune-all",
    "workloads.json",
    "--trials",
    str(TRIALS),
    "--tuner",
    "random",
    "--threads",
    "1",
    "--json",
)


def test_ctrl_c_stores_the_running_trial_and_the_run_goes_on(tmp_path: Path) -> None:
    (tmp_path / "workloads.json").write_text(json.dumps(WORKLOADS))
    with subprocess.Popen(
        tilewright_command(*TUNE), cwd=tmp_path, env=environment(), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        wait_until(lambda: count_trials(tmp_path) >= 10)  # of both
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130
    before = count_trials(tmp_path)
    assert json.loads(out)["trials"] == before < TRIALS

    found = read_json(run_tilewright(tmp_path, *TUNE))
    assert (found["trials"], found["reused"]) == (TRIALS - before, before)
    assert found["total"]["best"] > 0
    assert sum(each["trials"] + each["reused"] for each in found["results"]) == TRIALS
    with sqlite3.connect(tmp_path / "tune.db") as connection:
        rows = "select count(*), count(distinct key), count(distinct key || config_hash) from trials"
        assert connection.execute(rows).fetchone() == (TRIALS, 2, TRIALS)
        assert connection.execute("select count(*) from leases").fetchone() == (0,)
