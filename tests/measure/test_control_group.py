"""What the files of a control group say, for both versions."""

from pathlib import Path

import pytest

from tilewright.measure import control_group
from tilewright.measure.control_group import memory_limit_bytes, out_of_memory_kills


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of a system without any group."""
    monkeypatch.setattr(control_group, "_MEMBERSHIP", tmp_path / "cgroup")
    monkeypatch.setattr(control_group, "_MOUNT", tmp_path / "mount")
    monkeypatch.setattr(control_group, "_EVENTS_OF_ALL", tmp_path / "vmstat")
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_without_groups_the_machine_counts(system: Path) -> None:
    assert (memory_limit_bytes(), out_of_memory_kills()) == (None, 0)
    write(system / "vmstat", "nr_free 5\noom_kill 7\n")
    assert out_of_memory_kills() == 7


def test_version_2_counts_in_the_own_group_and_limits_in_every_outer_one(system: Path) -> None:
    write(system / "cgroup", "0::/outer/inner\n")
    write(system / "mount/cgroup.controllers", "memory")
    write(system / "mount/outer/memory.max", "4096\n")
    write(system / "mount/outer/inner/memory.max", "max\n")
    write(system / "mount/outer/inner/memory.events", "oom 9\noom_kill 3\noom_group_kill 1\n")
    assert (memory_limit_bytes(), out_of_memory_kills()) == (4096, 3)


def test_version_1_has_its_own_files(system: Path) -> None:
    write(system / "cgroup", "5:cpu:/\n4:memory:/some\n0::/\n")
    write(system / "mount/memory/memory.limit_in_bytes", "9223372036854771712\n")
    write(system / "mount/memory/some/memory.limit_in_bytes", "8192\n")
    write(system / "mount/memory/some/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    assert (memory_limit_bytes(), out_of_memory_kills()) == (8192, 2)


def test_a_group_that_the_container_sees_as_its_root_is_found(system: Path) -> None:
    write(system / "cgroup", "0::/outside/of/the/container\n")
    write(system / "mount/cgroup.controllers", "memory")
    write(system / "mount/memory.max", "4096\n")
    assert memory_limit_bytes() == 4096
