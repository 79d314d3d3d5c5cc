"""The command replay: the object that programs read, and the table for people."""

import json
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Tilewright
from tests.logs.documents import POINTS, cache_entry, cache_text, t4_document, t4_result, write
from tilewright.measure import machine

RECORDED = Path(__file__).parent.parent / "data" / "matmul_space.json"
KEYS = [
    "space",
    "size",
    "tuner",
    "fraction_of_optimum",
    "spread",
    "evaluations_to_95",
    "seconds_per_100",
]


@pytest.fixture
def space(tmp_path: Path) -> str:
    return recording(tmp_path / "scale.t4.json.gz", [float(place + 1) for place in range(11)])


def recording(path: Path, costs: list[float]) -> str:
    """A file in which each point but the last has a cost, and that one failed."""
    results = [t4_result(point, [cost]) for point, cost in zip(POINTS[:11], costs, strict=True)]
    return str(write(path, t4_document([*results, t4_result(POINTS[11], None, "compile")])))


def test_one_tuner_is_one_object(tilewright: Tilewright, space: str) -> None:
    answer = tilewright("replay", space, "--tuner", "random", "--seeds", "3", "--json")
    assert answer.status == 0
    assert list(answer.json) == KEYS
    assert (answer.json["space"], answer.json["size"], answer.json["tuner"]) == ("scale", 12, "random")
    assert answer.json["fraction_of_optimum"] == {"25": 1.0, "50": 1.0, "100": 1.0, "200": 1.0}
    assert 1 <= answer.json["evaluations_to_95"] <= 12


def test_several_tuners_are_a_list(tilewright: Tilewright, space: str) -> None:
    answer = tilewright("replay", space, "--tuner", "random, ga,random", "--seeds", "1", "--json")
    assert list(answer.json) == ["results"]
    assert [list(result) for result in answer.json["results"]] == [KEYS, KEYS]
    assert [result["tuner"] for result in answer.json["results"]] == ["random", "ga"]


def test_people_read_a_table(tilewright: Tilewright, space: str) -> None:
    answer = tilewright("replay", space, "--tuner", "grid", "--trials", "50", "--seeds", "2")
    title, header, row = answer.out.splitlines()
    assert title.startswith("scale: 12 configurations, 1 failed")
    columns = ["tuner", "25", "50", "100", "200", "evaluations to 95 %", "s / 100"]
    assert header.split() == " ".join(columns).split()
    assert row.split()[:7] == ["grid", "1.000", "±", "0.000", "1.000", "±", "0.000"]
    assert row.split()[7:9] == ["-", "-"]
    assert "grid on scale" in answer.err
    assert tilewright("replay", space, "--tuner", "grid", "--seeds", "1", "--quiet").err == ""


def test_every_format_of_a_space_is_read(tilewright: Tilewright, tmp_path: Path) -> None:
    entries = [cache_entry(point, float(place + 1)) for place, point in enumerate(POINTS)]
    write(tmp_path / "cache.json", cache_text(entries, closed=False)[:-30])
    options = ("--tuner", "random", "--seeds", "1", "--trials", "25", "--json")
    assert tilewright("replay", "cache.json", *options).json["size"] == 11  # the torn one is lost
    recorded = tilewright("replay", str(RECORDED), *options).json
    trials = json.loads(RECORDED.read_text())["trials"]
    assert (recorded["space"], recorded["size"]) == ("matmul_space", len(trials))
    assert 0 < recorded["fraction_of_optimum"]["25"] <= 1
    assert recorded["fraction_of_optimum"]["50"] is None


def test_processes_find_what_one_process_finds(
    tilewright: Tilewright, space: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for cores in (1, 2):
        monkeypatch.setattr(machine, "granted_cores", lambda cores=cores: cores)
        found.append(tilewright("replay", space, "--seeds", "2", "--trials", "9", "--json").json)
        assert found[-1].pop("seconds_per_100") > 0
    assert found[0] == found[1]
    assert found[0]["tuner"] == "xgb"


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("missing.json",), 1, "missing.json: No such file"),
        (("notes.txt",), 1, "notes.txt is in no format"),
        (("log.jsonl",), 1, "is a log (autotvm), not a recorded space"),
        (("x.json", "--tuner", "xgb,great"), 2, "'great' is not one of xgb, ga"),
        (("x.json", "--tuner", ""), 2, "'' is not one of"),
        (("x.json", "--trials", "0"), 2, "0 is not in the range"),
        (("x.json", "--seeds", "0"), 2, "0 is not in the range"),
        (("x.json", "--tuner", "ga", "--warm", "y.json"), 2, "only xgb learns from other recordings"),
        ((), 2, "Missing argument 'SPACE'"),
    ],
)
def test_mistakes_are_one_line(
    tilewright: Tilewright, tmp_path: Path, words: tuple[str, ...], status: int, message: str
) -> None:
    from tests.logs.autotvm_lines import CONV

    (tmp_path / "notes.txt").write_text("only words")
    (tmp_path / "log.jsonl").write_text(CONV)
    answer = tilewright("replay", *words)
    assert (answer.status, answer.out) == (status, "")
    assert message in answer.err
    assert len(answer.err.splitlines()) == 1


def test_a_plot_is_drawn(tilewright: Tilewright, space: str, tmp_path: Path) -> None:
    options = ("--tuner", "random,grid", "--seeds", "2", "--plot", "curves.svg")
    assert tilewright("replay", space, *options).status == 0
    drawn = (tmp_path / "curves.svg").read_text()
    assert drawn.startswith("<?xml")
    assert len(drawn) > 5000


@pytest.mark.parametrize(
    ("path", "message"), [("curves.txt", "must be one of"), ("gone/curves.svg", "No such file")]
)
def test_a_plot_that_cannot_be_drawn(tilewright: Tilewright, space: str, path: str, message: str) -> None:
    answer = tilewright("replay", space, "--tuner", "grid", "--seeds", "1", "--quiet", "--plot", path)
    assert (answer.status, answer.out) == (1, "")
    assert message in answer.err


def test_a_missing_library_is_named(
    tilewright: Tilewright, space: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.backend_bases", None)
    answer = tilewright("replay", space, "--plot", "curves.svg")
    assert answer.status == 1
    assert "tilewright[plot]" in answer.err


def test_other_recordings_warm_the_search(tilewright: Tilewright, space: str, tmp_path: Path) -> None:
    options = ("--seeds", "2", "--trials", "2", "--json")
    alike = recording(tmp_path / "alike.t4.json.gz", [place + 1 + place % 3 * 2.0 for place in range(11)])
    warm = tilewright("replay", space, *options, "--warm", space, "--warm", alike).json
    assert warm["evaluations_to_95"] == 1
    other = tilewright("replay", space, "--warm", str(RECORDED))
    assert (other.status, "cannot warm a search of scale" in other.err) == (1, True)
