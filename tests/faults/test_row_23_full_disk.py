"""Row 23: the disk is full in the midst of a write; one message, nothing that was acknowledged is lost."""

from pathlib import Path

from tests.faults import full_disk
from tests.faults.namespaces import run_mounted


def test_row_23_a_disk_that_is_full_20_times_loses_nothing(tmp_path: Path, root: Path) -> None:
    assert full_disk.TIMES == 20
    folder = tmp_path / "small"
    folder.mkdir()
    assert run_mounted("tests.faults.full_disk", folder, root, "size=2m") == "done\n"
