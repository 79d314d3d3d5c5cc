from typing import Any

import numpy as np
import pytest

pytest.importorskip("tilewright.compiler.program")
pytest.importorskip("tilewright.compiler.analysis.flops")

from tilewright.compiler import te
from tilewright.compiler.schedule import Schedule, create_schedule
from tilewright.compiler.target import Target
from tilewright.templates import (
    ConfigError,
    InvalidConfigError,
    SpaceError,
    TemplateError,
    get_config,
    template,
)
from tilewright.templates.errors import WorkloadError
from tilewright.templates.task import Task
from tilewright.templates.template import Template


def product(a: Any, b: Any, *, dtype: str) -> Any:
    return (a @ b).astype(dtype)


def matmul_program(m: int, n: int, k: int, dtype: str) -> Any:
    a, b = te.placeholder((m, k), dtype, name="A"), te.placeholder((k, n), dtype, name="B")
    r = te.reduce_axis((0, k), name="k")
    c = te.compute((m, n), lambda i, j: te.sum(a[i, r] * b[r, j], axis=r), name="C")
    return create_schedule(c.op), a, b, c


def unpacked(n: int) -> tuple[Schedule, te.Tensor, te.Tensor]:
    schedule, (x, z) = doubled(n)
    return schedule, x, z


def doubled(n: int) -> tuple[Schedule, list[te.Tensor]]:
    x = te.placeholder((n,), name="x")
    z = te.compute((n,), lambda i: x[i] * 2, name="z")
    return create_schedule(z), [x, z]


@template("tests/task/matmul", reference=product)
def matmul(m: int, n: int, k: int, dtype: str = "float32") -> Any:
    schedule, a, b, c = matmul_program(m, n, k, dtype)
    cfg = get_config()
    y, x = c.op.axis
    cfg.define_split("tile_y", y)
    cfg.define_split("tile_x", x)
    yo, yi = cfg["tile_y"].apply(schedule, c, y)
    xo, xi = cfg["tile_x"].apply(schedule, c, x)
    schedule[c].reorder(yo, xo, c.op.reduce_axis[0], yi, xi)
    return schedule, [a, b, c]


def task_of(name: Any, **params: object) -> Task:
    return Task.create(name, Target.host(), 1, **params)


def test_a_matmul_of_512_has_100_points_and_a_default() -> None:
    task = task_of(matmul, m=512, n=512, k=512)
    assert len(task.space) == 100
    assert task.default_config.is_default
    assert task.flops == 2 * 512**3


def test_every_configuration_becomes_a_program() -> None:
    task = task_of(matmul, m=8, n=8, k=4)
    programs = [task.instantiate(task.space.config(index)) for index in range(len(task.space))]
    assert len(set(map(str, programs))) >= 1


def test_keyword_only_parameters_of_the_reference_are_bound() -> None:
    reference = task_of(matmul, m=2, n=2, k=2, dtype="float64").reference
    assert reference is not None
    assert reference(np.eye(2), np.eye(2)).dtype == np.float64


def test_the_stated_default_is_checked_and_completed() -> None:
    @template("tests/task/stated", default=lambda target, threads, **args: {"tile": [-1, args["n"]]})
    def stated(n: int) -> Any:
        get_config().define_split("tile", 16)
        get_config().define_knob("free", [7, 8])
        return doubled(8)

    assert task_of(stated, n=4).default_config.to_json() == {"tile": [-1, 4], "free": 7}
    with pytest.raises(ConfigError, match="default configuration of tests/task/stated"):
        _ = task_of(stated, n=3).default_config


def test_a_fallback_in_the_template_is_its_default() -> None:
    @template("tests/task/fallback")
    def own(n: int) -> Any:
        cfg = get_config()
        cfg.define_split("tile", n, num_outputs=3)
        if cfg.is_fallback:
            cfg.fallback_split("tile", [4, 8, 4])
        return doubled(8)

    assert task_of(own, n=128).default_config.to_json() == {"tile": [-1, 8, 4]}


def test_stated_operations_replace_the_count() -> None:
    @template("tests/task/flop", flops=lambda n: 2 * n)
    def counted(n: int) -> Any:
        if n > 4:
            get_config().add_flop(1234)
        return doubled(8)

    assert task_of(counted, n=3).flops == 6
    assert task_of(counted, n=5).flops == 1234


def test_an_error_in_the_template_names_the_line() -> None:
    @template("tests/task/broken")
    def broken(n: int) -> Any:
        return [][n]

    with pytest.raises(TemplateError, match=r"'tests/task/broken' failed at .*test_task\.py:\d+: list index"):
        _ = task_of(broken, n=3).space


def test_a_wrong_return_value_is_an_error() -> None:
    @template("tests/task/nothing")
    def nothing(n: int) -> Any:
        return n

    with pytest.raises(TemplateError, match="must return"):
        _ = task_of(nothing, n=3).space


@pytest.mark.parametrize(
    ("returned", "why"),
    [
        (lambda s, x, z: ([x, z], s), "not list in place of the schedule"),
        (lambda s, x, z: (s, z), "the tensors as a list, not Tensor"),
        (lambda s, x, z: (s, None), "the tensors as a list, not NoneType"),
        (lambda s, x, z: (s, ["X"]), "not str among the tensors"),
        (lambda s, x, z: (s, [x.op, z.op]), "not PlaceholderOp among the tensors"),
    ],
)
def test_what_a_template_returns_is_checked(returned: Any, why: str) -> None:
    made = Template("tests/task/returns", lambda n: returned(*unpacked(n)))
    with pytest.raises(
        TemplateError, match=rf"'tests/task/returns' must return \(schedule, tensors\), .*{why}"
    ):
        _ = task_of(made, n=4).space


@pytest.mark.parametrize(
    ("default", "why"),
    [
        (lambda target, threads, n: 1 // 0, r"failed at .*test_task\.py:\d+: .* \(ZeroDivisionError\)"),
        (lambda target: {}, r"failed at .*test_task\.py:\d+: .*argument 'n' \(TypeError\)"),
        (lambda target, threads, n: None, "must return {knob: value}, not None"),
        (lambda target, threads, n: [1], "must return {knob: value}, not "),
    ],
)
def test_a_default_that_fails_is_the_templates_mistake(default: Any, why: str) -> None:
    made = Template("tests/task/default", doubled, default=default)
    with pytest.raises(TemplateError, match=f"'tests/task/default': default.*{why}"):
        _ = task_of(made, n=4).default_config


@pytest.mark.parametrize(
    ("flops", "why"),
    [
        (lambda m: 1, r"failed at .*test_task\.py:\d+: .*argument 'n' \(TypeError\)"),
        (lambda n: None, "must be the number of operations, not None"),
        (lambda n: float("inf"), "must be the number of operations, not inf"),
        (lambda n: -1, "must be the number of operations, not -1"),
        (lambda n: "many", "must be the number of operations, not 'many'"),
    ],
)
def test_flops_that_fail_are_the_templates_mistake(flops: Any, why: str) -> None:
    with pytest.raises(TemplateError, match=f"'tests/task/flops': flops.*{why}"):
        _ = task_of(Template("tests/task/flops", doubled, flops=flops), n=4).flops


def test_operations_may_be_numpy_numbers() -> None:
    assert task_of(Template("tests/task/flops", doubled, flops=lambda n: np.float64(2 * n)), n=4).flops == 8


def test_a_constraint_that_fails_names_the_template_and_the_line() -> None:
    def pairs(n: int) -> Any:
        cfg = get_config()
        cfg.define_knob("a", [1, 2])
        cfg.define_knob("b", [1, 2])
        cfg.constrain(("a", "b"), lambda a, b: a * b <= n)
        return doubled(n)

    where = r"'tests/task/pairs': constrain\(\('a', 'b'\)\): .* failed at .*test_task\.py:\d+: .*\.val"
    with pytest.raises(SpaceError, match=where):
        _ = task_of(Template("tests/task/pairs", pairs), n=4).space


def test_a_space_without_valid_configurations_is_an_error() -> None:
    @template("tests/task/empty")
    def empty(n: int) -> Any:
        cfg = get_config()
        cfg.define_split("tile", n)
        cfg.constrain(("tile",), lambda tile: False)
        return doubled(8)

    with pytest.raises(SpaceError, match="no valid configuration"):
        _ = task_of(empty, n=3).space


def test_a_configuration_that_the_template_refuses_is_invalid() -> None:
    @template("tests/task/picky")
    def picky(n: int) -> Any:
        cfg = get_config()
        cfg.define_split("tile", n)
        cfg.raise_error("never")
        return doubled(8)

    task = task_of(picky, n=8)
    with pytest.raises(InvalidConfigError, match="never"):
        task.instantiate(task.space.config(0))


def test_the_template_sees_target_and_threads() -> None:
    seen: list[Any] = []

    @template("tests/task/facts")
    def facts(n: int) -> Any:
        seen.append((get_config().target, get_config().threads))
        return doubled(8)

    target = Target.host()
    _ = Task.create(facts, target, 3, n=1).space
    assert seen == [(target, 3)]


def test_schedules_are_what_templates_return() -> None:
    schedule, *_ = matmul_program(4, 4, 4, "float32")
    assert isinstance(schedule, Schedule)


def test_what_is_wrong_with_arguments_is_said_without_the_template() -> None:
    with pytest.raises(WorkloadError, match=r"^softmax: axis 5 must be from -2 to 1, as shape=\(3, 4\) is"):
        Task.create("softmax", Target.host(), 1, shape=(3, 4), axis=5).space  # noqa: B018
