import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from tilewright.compiler import te
from tilewright.compiler.target import Target
from tilewright.templates import (
    Task,
    Template,
    TemplateError,
    Workload,
    WorkloadError,
    bind_workload,
    find_template,
    get_config,
    parameters,
    template,
)


@template("tests/scale")
def scale(
    m: int,
    n: int,
    shape: tuple[int, ...],
    kernel: int | tuple[int, int] = 3,
    axis: int = -1,
    rate: float = 0.5,
    flag: bool = False,
    dtype: str = "float32",
    layout: Literal["rows", "columns"] = "rows",
) -> Any:
    cfg = get_config()
    cfg.define_split("tile", m)
    return cfg["tile"], (m, n, shape, kernel, axis, rate, flag, dtype)


GOOD: dict[str, Any] = {"m": 4, "n": 8, "shape": (2, 3)}


def test_a_workload_holds_every_argument_in_order() -> None:
    workload = bind_workload(scale, {"n": np.int64(8), "m": 4, "shape": [2, 3]})
    assert str(workload) == (
        "tests/scale(m=4, n=8, shape=(2, 3), kernel=3, axis=-1, rate=0.5, flag=False, dtype=float32, "
        "layout=rows)"
    )
    assert workload.args["shape"] == [2, 3]
    assert workload.arguments["shape"] == (2, 3)


def test_a_workload_key_is_stable() -> None:
    assert Workload("f", {"b": 1, "a": (1, 2)}).key == 'f{"a":[1,2],"b":1}'
    assert Workload("f", {"b": 1, "a": [1, 2]}) == Workload("f", {"a": (1, 2), "b": 1})
    workload = bind_workload(scale, GOOD)
    assert Workload.from_json(workload.to_json()) == workload
    assert hash(Workload.from_json(workload.to_json())) == hash(workload)


def test_a_pair_of_equal_integers_is_the_integer() -> None:
    assert bind_workload(scale, {**GOOD, "kernel": (5, 5)}) == bind_workload(scale, {**GOOD, "kernel": 5})
    assert bind_workload(scale, {**GOOD, "kernel": (5, 3)}).args["kernel"] == [5, 3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"m": 0}, "tests/scale: m must be a positive integer, not 0"),
        ({"m": -2}, "tests/scale: m must be a positive integer, not -2"),
        ({"m": 1.5}, "tests/scale: m must be a positive integer, not 1.5"),
        ({"m": True}, "tests/scale: m must be a positive integer, not True"),
        ({"m": "x"}, "tests/scale: m must be a positive integer, not 'x'"),
        ({"shape": (4, 0)}, "tests/scale: shape must have positive integers only, not 0"),
        ({"axis": 1.0}, "tests/scale: axis must be int, not 1.0"),
        ({"flag": 1}, "tests/scale: flag must be bool, not 1"),
        ({"dtype": 4}, "tests/scale: dtype must be str, not 4"),
        ({"layout": "tiles"}, "layout must be one of 'rows', 'columns', not 'tiles'"),
        ({"kernel": (1, 2, 3)}, r"tests/scale: kernel must be int or \(int,int\), not \(1, 2, 3\)"),
        ({"q": 1}, "unknown parameter 'q'; its parameters: m, n, shape"),
    ],
)
def test_a_wrong_argument_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(WorkloadError, match=message):
        bind_workload(scale, {**GOOD, **change})


def test_missing_arguments_are_named() -> None:
    with pytest.raises(WorkloadError, match="n, shape must be given"):
        bind_workload(scale, {"m": 4})


def test_parameters_state_their_types_and_defaults() -> None:
    described = [(p.name, p.type, p.default) for p in parameters(scale)]
    assert described[2:4] == [("shape", "(int,...)", None), ("kernel", "int or (int,int)", 3)]
    assert [p.required for p in parameters(scale)][:4] == [True, True, True, False]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("m", "12", 12),
        ("shape", "3,4", (3, 4)),
        ("shape", "3", (3,)),
        ("kernel", "3,5", (3, 5)),
        ("kernel", "7", 7),
        ("rate", "2", 2.0),
        ("flag", "true", True),
        ("dtype", "float64", "float64"),
        ("dtype", "8", "8"),
    ],
)
def test_words_of_a_command_line_become_values(name: str, text: str, value: object) -> None:
    parameter = next(p for p in parameters(scale) if p.name == name)
    assert parameter.parse(text, "scale") == value


def test_a_plain_call_takes_default_choices() -> None:
    entity, arguments = scale(64, 2, (1,))
    assert entity.size == [-1, 8]
    assert arguments[:2] == (64, 2)


def test_registering_again_from_the_same_module_replaces() -> None:
    first = template("tests/again")(lambda n=1: n)
    second = template("tests/again")(lambda n=2: n)
    assert first is not second
    assert find_template("tests/again") is second


def test_registering_from_another_module_names_both() -> None:
    def taken(n: int) -> Any:
        return n

    namespace: dict[str, Any] = {"__name__": "another_module"}
    exec(compile("def taken(n): return n", "another.py", "exec"), namespace)
    template("tests/taken")(taken)
    with pytest.raises(
        TemplateError, match=r"another_module is already registered by module .*test_template"
    ):
        template("tests/taken")(namespace["taken"])


@pytest.mark.parametrize("name", [len, None, 5, ["mine"]])
def test_a_name_that_is_none_is_refused(name: Any) -> None:
    with pytest.raises(TemplateError, match=r'name must be a string, as in @template\("mine"\), not '):
        template(name)


def test_an_operator_name_is_taken() -> None:
    with pytest.raises(TemplateError, match=r"already registered by module tilewright\.templates\.operators"):
        template("matmul")(lambda n=1: n)


def test_an_unknown_template_suggests_one() -> None:
    with pytest.raises(TemplateError, match="did you mean 'tests/scale'"):
        find_template("tests/scal")


def test_a_template_is_found_by_itself() -> None:
    assert find_template(scale) is scale


def test_variable_arguments_are_refused() -> None:
    with pytest.raises(TemplateError, match="name each one"):
        template("tests/star")(lambda *sizes: sizes)


OWN = """
from tilewright.templates import template

@template("own_{suffix}")
def own(n: int):
    return n
"""


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_a_template_is_found_in_a_file(tmp_path: Path) -> None:
    path = write(tmp_path / "my_ops.py", OWN.format(suffix="found"))
    by_function, by_name = find_template(f"{path}:own"), find_template(f"{path}:own_found")
    assert isinstance(by_function, Template)
    assert by_function is by_name
    assert by_function.name == "own_found"


def test_a_changed_file_is_loaded_again(tmp_path: Path) -> None:
    path = write(tmp_path / "changing.py", OWN.format(suffix="changing"))
    before = find_template(f"{path}:own").source_hash
    write(tmp_path / "changing.py", OWN.format(suffix="changing").replace("return n", "return n + 1"))
    assert find_template(f"{path}:own").source_hash != before


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        (OWN.format(suffix="listed"), "other", "has no template 'other'; it has own_listed"),
        ("def own(n):\n    return n\n", "own", "defines no template"),
        ("def own(n:\n", "own", r"bad\.py:1: SyntaxError"),
        ("x = 1\ny = 1 / 0\n", "own", r"bad\.py:2: ZeroDivisionError: division by zero"),
        ("import no_such_module\n", "own", "ModuleNotFoundError"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(tmp_path: Path, text: str, name: str, message: str) -> None:
    path = write(tmp_path / "bad.py", text)
    with pytest.raises(TemplateError, match=message):
        find_template(f"{path}:{name}")


def test_a_missing_file_is_named() -> None:
    with pytest.raises(TemplateError, match=r"no file 'missing\.py'"):
        find_template("missing.py:own")


def test_a_template_without_source_is_told_apart_by_its_constants() -> None:
    """What is typed at a prompt has no source file; another list of values is another template."""

    def define(values: str) -> str:
        scope: dict[str, Any] = {}
        text = f"def f(n):\n    def inner():\n        return {values}\n    return inner()"
        exec(compile(text, "<typed>", "exec"), scope)
        return Template("typed", scope["f"]).source_hash

    assert define("[1, 2, 4]") == define("[1, 2, 4]")
    assert define("[1, 2, 4]") != define("[1, 2, 8]")


def test_another_reference_is_another_version(tmp_path: Path) -> None:
    """What the old one called wrong may be right, so nothing that it verified is reused."""
    text = (
        "import tilewright as tw\n\n\ndef wanted(x, *, n):\n    return x * {factor}\n\n\n"
        '@tw.template("verified", reference=wanted)\ndef verified(n: int):\n    return n\n'
    )
    hashes = []
    for factor in (3, 2, 3):
        path = write(tmp_path / "verified.py", text.format(factor=factor))
        hashes.append(find_template(f"{path}:verified").source_hash)
    assert hashes[0] == hashes[2] != hashes[1]


@pytest.mark.parametrize("dtype", [np.dtype("float32"), np.float32, "float32"])
def test_a_dtype_may_be_numpys(dtype: Any) -> None:
    task = Task.create("softmax", Target.host(), 1, shape=(4, 8), dtype=dtype)
    assert task.workload.args["dtype"] == "float32"
    assert te.placeholder((3,), dtype, name="x").dtype == "float32"
    assert te.cast(dtype, 1).dtype == te.const(2, dtype).dtype == "float32"


@pytest.mark.parametrize("value", [float("-inf"), float("inf"), float("nan")])
def test_numbers_that_json_lacks_go_by_their_names(value: float) -> None:
    workload = Task.create("pad", Target.host(), 1, shape=(4,), padding=(1, 1), value=value).workload
    data = json.loads(json.dumps(workload.to_json(), allow_nan=False))
    again = Task.create(data["op"], Target.host(), 1, **data["args"]).workload
    assert again == workload
    assert str(again.arguments["value"]) == str(value)
