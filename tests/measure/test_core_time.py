"""The processor time that a sample is given."""

import subprocess
import sys
from pathlib import Path

# The clock of a whole process steps with the kernel's timer under a limit; ours may not.
SCRIPT = """
import resource
resource.setrlimit(resource.RLIMIT_CPU, (100, 100))
from tilewright.measure.core_time import running_nanoseconds
readings = [running_nanoseconds() for _ in range(300)]
assert all(a < b for a, b in zip(readings, readings[1:])), readings
"""


def test_processor_time_is_exact_under_a_limit_of_it(root: Path) -> None:
    subprocess.run([sys.executable, "-c", SCRIPT], cwd=root, check=True, timeout=60)
