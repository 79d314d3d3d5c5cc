"""What the files of a control group say, for both versions."""

from pathlib import Path

from tilewright.measure.control_group import memory_limit_bytes, out_of_memory_kills


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_without_groups_the_machine_counts(tmp_path: Path) -> None:
    assert (memory_limit_bytes(tmp_path), out_of_memory_kills(tmp_path)) == (None, 0)
    write(tmp_path / "proc/vmstat", "nr_free 5\noom_kill 7\n")
    assert out_of_memory_kills(tmp_path) == 7


def test_version_2_counts_in_the_own_group_and_limits_in_every_outer_one(tmp_path: Path) -> None:
    write(tmp_path / "proc/self/cgroup", "0::/outer/inner\n")
    write(tmp_path / "sys/fs/cgroup/cgroup.controllers", "memory")
    write(tmp_path / "sys/fs/cgroup/outer/memory.max", "4096\n")
    write(tmp_path / "sys/fs/cgroup/outer/inner/memory.max", "max\n")
    write(tmp_path / "sys/fs/cgroup/outer/inner/memory.events", "oom 9\noom_kill 3\noom_group_kill 1\n")
    assert (memory_limit_bytes(tmp_path), out_of_memory_kills(tmp_path)) == (4096, 3)


def test_version_1_has_its_own_files(tmp_path: Path) -> None:
    write(tmp_path / "proc/self/cgroup", "5:cpu:/\n4:memory:/some\n0::/\n")
    write(tmp_path / "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    write(tmp_path / "sys/fs/cgroup/memory/some/memory.limit_in_bytes", "8192\n")
    write(
        tmp_path / "sys/fs/cgroup/memory/some/memory.oom_control",
        "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    )
    assert (memory_limit_bytes(tmp_path), out_of_memory_kills(tmp_path)) == (8192, 2)


def test_a_group_that_the_container_sees_as_its_root_is_found(tmp_path: Path) -> None:
    write(tmp_path / "proc/self/cgroup", "0::/outside/of/the/container\n")
    write(tmp_path / "sys/fs/cgroup/cgroup.controllers", "memory")
    write(tmp_path / "sys/fs/cgroup/memory.max", "4096\n")
    assert memory_limit_bytes(tmp_path) == 4096
