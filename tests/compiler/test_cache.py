"""The disk cache of machine code."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests.compiler.computes import matmul
from tilewright.compiler import cache
from tilewright.compiler.cache import compile_cached
from tilewright.compiler.kernel import load_kernel
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import create_schedule
from tilewright.compiler.target import Target


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("TILEWRIGHT_CACHE", raising=False)
    return tmp_path / "tilewright"


def program(n: int = 8) -> Program:
    c = matmul(n, n, n)
    return Program.from_schedule(create_schedule(c.output), c.args)


def entries(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.kernel"))


def test_a_second_build_loads_the_same_bytes(directory: Path) -> None:
    first = compile_cached(program(), Target.host(), 1, 6000)
    (entry,) = entries(directory)
    again = compile_cached(program(), Target.host(), 1, 6000)
    assert again == first
    assert entries(directory) == [entry]
    a = np.eye(8, dtype=np.float32)
    np.testing.assert_array_equal(load_kernel(again)(a, a), a)


def test_another_program_has_another_entry(directory: Path) -> None:
    compile_cached(program(8), Target.host(), 1, 6000)
    compile_cached(program(9), Target.host(), 1, 6000)
    compile_cached(program(9), Target.host(), 2, 6000)
    assert len(entries(directory)) == 3


@pytest.mark.parametrize("damage", [b"", b"x" * 40, None])
def test_a_damaged_entry_is_made_anew(directory: Path, damage: bytes | None) -> None:
    first = compile_cached(program(), Target.host(), 1, 6000)
    (entry,) = entries(directory)
    content = entry.read_bytes()
    entry.write_bytes(content[:-9] + b"123456789" if damage is None else damage)
    assert compile_cached(program(), Target.host(), 1, 6000).object == first.object
    assert entry.read_bytes() == content


def test_the_directory_is_the_users_alone(directory: Path) -> None:
    directory.mkdir(parents=True)
    directory.chmod(0o755)
    compile_cached(program(), Target.host(), 1, 6000)
    assert directory.stat().st_mode & 0o077 == 0


def test_a_directory_of_another_user_is_not_used(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    compile_cached(program(), Target.host(), 1, 6000)
    assert not entries(directory)
    assert "belongs to another user" in caplog.text


def test_the_cache_can_be_switched_off(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILEWRIGHT_CACHE", "0")
    compile_cached(program(), Target.host(), 1, 6000)
    assert not directory.exists()


def test_the_entries_used_longest_ago_make_room(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compile_cached(program(8), Target.host(), 1, 6000)
    (old,) = entries(directory)
    os.utime(old, (1, 1))
    monkeypatch.setattr(cache, "LIMIT_BYTES", old.stat().st_size * 3 // 2)
    compile_cached(program(9), Target.host(), 1, 6000)
    assert old not in entries(directory)
    assert len(entries(directory)) == 1


def test_an_unwritable_place_costs_only_the_cache(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory.parent.joinpath("file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(directory.parent / "file"))
    assert compile_cached(program(), Target.host(), 1, 6000).object


def test_another_state_of_the_compiler_has_another_entry(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_cached(program(), Target.host(), 1, 6000)
    monkeypatch.setattr(cache, "_compiler_state", lambda: "edited")
    compile_cached(program(), Target.host(), 1, 6000)
    assert len(entries(directory)) == 2
