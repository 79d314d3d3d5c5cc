"""Row 24: read-only and vanished folders; the message names the path, and what can be read is applied."""

from pathlib import Path

from tests.faults.namespaces import run_mounted


def test_row_24_read_only_and_vanished_folders_are_named_and_still_applied(
    tmp_path: Path, root: Path
) -> None:
    folder = tmp_path / "mounted"
    folder.mkdir()
    output = run_mounted("tests.faults.no_permission", folder, root, "size=8m")
    assert output.endswith("done\n")
