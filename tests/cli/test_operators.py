"""Commands about operators: their options are made from the template, and what they print."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.cli.conftest import Tilewright
from tilewright import tuning
from tilewright.cli import contest, torch_operators
from tilewright.logs.record import Record
from tilewright.tuning import Best, NoValidConfig, Speed, TuneResult, TuningInterrupted

OWN = '''
from typing import Literal
import tilewright as tw

@tw.template("own", positive=())
def own(n, rate: float, pair: tuple[int, int] = (1, 2), both_ways: bool = False,
        side: Literal["l", "r"] = "l", epilogue: tuple[str, ...] = (), guess=3):
    """Does a thing."""

@tw.template("clash")
def clash(n: int, trials: int = 3):
    """Clashes."""
'''
RESULT = TuneResult(
    "own", {"n": 3}, Best(1e-6, 2.0, {"i": 1}, 1), Speed(2e-6, 1.0), 3, 1, {"crash": 1}, 2.0, 1.5
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of templates, one for all tests: only the same file may register a name again."""
    path = tmp_path_factory.mktemp("own") / "my_ops.py"
    path.write_text(OWN)
    return path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `tune` is called with; it answers with RESULT."""
    received: dict[str, Any] = {}

    def tune(template: Any, **options: Any) -> TuneResult:
        received.update(options, template=template.name)
        return RESULT

    monkeypatch.setattr(tuning, "tune", tune)
    return received


def test_options_are_the_parameters_with_their_types(
    tilewright: Tilewright, file: Path, asked: dict[str, Any]
) -> None:
    words = f"tune {file}:own --n 512 --rate 3 --pair 3,3 --both-ways --side r --epilogue bias,relu"
    assert tilewright(*words.split(), "--seconds", "5", "--threads", "2").status == 0
    expected = {"template": "own", "n": 512, "rate": 3.0, "pair": (3, 3), "both_ways": True, "side": "r"}
    assert expected.items() <= asked.items()
    assert asked["epilogue"] == ("bias", "relu")
    assert "guess" not in asked
    assert (asked["seconds"], asked["threads"], asked["trials"], asked["tuner"]) == (5.0, 2, 64, "xgb")


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("--both_ways", True),
        ("--both_ways true", True),
        ("--both-ways=false", False),
        ("--both_ways --quiet", True),
    ],
)
def test_booleans_stand_alone_or_have_a_value(
    tilewright: Tilewright, file: Path, asked: dict[str, Any], words: str, value: bool
) -> None:
    assert tilewright("tune", f"{file}:own", "--n", "1", "--rate", "1", *words.split()).status == 0
    assert asked["both_ways"] is value


@pytest.mark.parametrize(("word", "value"), [("4", 4), ("0.5", 0.5), ("abc", "abc")])
def test_without_a_type_a_word_is_an_integer_a_float_or_itself(
    tilewright: Tilewright, file: Path, asked: dict[str, Any], word: str, value: object
) -> None:
    assert tilewright("tune", f"{file}:own", "--n", word, "--rate", "1").status == 0
    assert asked["n"] == value


def test_help_tells_types_and_defaults(tilewright: Tilewright, file: Path, asked: dict[str, Any]) -> None:
    text = " ".join(tilewright("tune", f"{file}:own", "--help").out.split())
    assert "Does a thing." in text
    assert "--both-ways, --both_ways BOOL default false" in text
    assert "--pair (INT,INT) default 1,2" in text
    assert "one of l, r; default l" in text


@pytest.mark.parametrize("command", ["tune", "bench", "show"])
def test_a_parameter_named_like_an_option_is_refused(
    tilewright: Tilewright, file: Path, asked: dict[str, Any], command: str
) -> None:
    answer = tilewright(command, f"{file}:clash", "--n", "3")
    assert answer.status == 1
    assert "parameter 'trials' has the name of an option" in answer.err


def test_a_name_that_the_file_lacks_is_an_error(
    tilewright: Tilewright, file: Path, asked: dict[str, Any]
) -> None:
    answer = tilewright("tune", f"{file}:other")
    assert answer.status == 1
    assert "has no template 'other'; it has own, clash" in answer.err


def test_tune_prints_what_was_found(tilewright: Tilewright, asked: dict[str, Any], tmp_path: Path) -> None:
    answer = tilewright("tune", "scaling", "--n", "3")
    for words in ("2.0 GFLOP/s, 1 us", "i=1 (index 1)", "2.00x over the untuned default", "failed: 1 crash"):
        assert words in answer.out
    assert str(tmp_path / "tune.db") in answer.out
    assert tilewright("tune", "scaling", "--n", "3", "--json").json == RESULT.to_json()


def test_without_a_valid_configuration_the_json_says_so(
    tilewright: Tilewright, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tune(*_: Any, **options: Any) -> None:
        raise NoValidConfig(
            "none of 3 trials", TuneResult("own", {}, None, None, 3, 0, {"crash": 3}, 1.0, 3.0)
        )

    monkeypatch.setattr(tuning, "tune", tune)
    answer = tilewright("tune", "scaling", "--n", "3", "--json")
    assert answer.status == 1
    assert answer.json["best"] is None
    assert answer.err == "error: none of 3 trials\n"


def test_an_interrupted_run_prints_the_best_so_far(
    tilewright: Tilewright, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tune(*_: Any, **options: Any) -> None:
        raise TuningInterrupted(RESULT)

    monkeypatch.setattr(tuning, "tune", tune)
    answer = tilewright("tune", "scaling", "--n", "3", "--json")
    assert answer.status == 130
    assert answer.json == RESULT.to_json()
    assert answer.err == "interrupted: the same command goes on from here\n"


def test_ops_has_the_keys_of_the_contract(tilewright: Tilewright) -> None:
    described = {row["name"]: row for row in tilewright("ops", "--json").json["ops"]}
    matmul = described["matmul"]
    assert {"name": "m", "type": "int", "default": None, "required": True} in matmul["params"]
    assert {"name", "params", "knobs"} <= set(matmul)
    assert matmul["knobs"]
    assert matmul["space_size"] > 1
    assert "matmul" in tilewright("ops").out


@pytest.mark.parametrize(
    ("stage", "words"), [("loops", "for "), ("llvm", "define "), ("asm", "kernel"), ("numba", "@numba.njit")]
)
def test_show_prints_every_stage(tilewright: Tilewright, stage: str, words: str) -> None:
    answer = tilewright("show", "scaling", "--n", "64", "--stage", stage, "--config", "3")
    assert answer.status == 0
    assert words in answer.out
    assert "factor=8" in answer.err


def test_show_takes_the_best_record(tilewright: Tilewright, records: list[Record]) -> None:
    assert "record: factor=2" in tilewright("show", "scaling", "--n", "64", "--threads", "1").err
    assert "default: factor=2" in tilewright("show", "scaling", "--n", "64", "--config", "default").err
    answer = tilewright("show", "scaling", "--n", "64", "--db", "other.db")
    assert answer.status == 1
    assert "other.db does not exist" in answer.err


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contest, "ROUNDS", 2)
    monkeypatch.setattr(contest, "SLICE_SECONDS", 1e-5)


@pytest.mark.usefixtures("_short")
def test_bench_has_the_keys_of_the_contract(tilewright: Tilewright, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "torch" else name)
    shape = ("--m", "8", "--n", "8", "--k", "8")
    answer = tilewright("bench", "matmul", *shape, "--against", "numpy,torch,mkl", "--json")
    assert set(answer.json) == {"op", "workload", "seconds", "gflops"}
    assert set(answer.json["seconds"]) == {"tilewright", "tilewright_default", "numpy"}
    assert all(value > 0 for value in answer.json["gflops"].values())
    assert (
        "warning: torch is not installed\nwarning: there is no peer 'mkl'; known: numpy, torch" in answer.err
    )


@pytest.mark.usefixtures("_short")
def test_bench_is_a_table_for_people(tilewright: Tilewright) -> None:
    out = tilewright("bench", "scaling", "--n", "64", "--against", "numpy").out
    assert [line.split()[0] for line in out.splitlines()[2:]] == ["tilewright", "tilewright_default", "numpy"]


def test_the_counterpart_in_torch_computes_the_same() -> None:
    torch = SimpleNamespace(matmul=np.matmul)

    class Array(np.ndarray[Any, Any]):
        def transpose(self, *axes: Any) -> Any:
            return np.swapaxes(self, *axes)

    a, b = (np.random.default_rng(0).random((3, 3)).view(Array) for _ in range(2))
    product = torch_operators.TORCH["matmul"](torch, {"transpose_a": True, "transpose_b": False}, a, b)
    assert np.allclose(product, np.asarray(a).T @ np.asarray(b))


def test_contestants_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    monkeypatch.setattr(contest, "fill_slice", lambda run, seconds: 1)
    monkeypatch.setattr(contest, "ROUNDS", 2)
    found = contest.time_in_turns({name: lambda name=name: order.append(name) for name in "ab"})  # type: ignore[misc]
    assert order == ["a", "b", "b", "a"]
    assert set(found) == {"a", "b"}
