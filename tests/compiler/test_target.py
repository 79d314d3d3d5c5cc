"""Targets other than this machine."""

import pytest

from tilewright.compiler import te
from tilewright.compiler.amx_permission import may_use_amx
from tilewright.compiler.build import compile_program
from tilewright.compiler.errors import TargetError
from tilewright.compiler.kernel import load_kernel
from tilewright.compiler.program import Program
from tilewright.compiler.schedule import create_schedule
from tilewright.compiler.target import Target, _host

AARCH64 = "aarch64-unknown-linux-gnu"
EM_AARCH64 = 183


@pytest.mark.parametrize(
    ("cpu", "bits"), [("skylake-avx512", 512), ("haswell", 256), ("core2", 128), ("x86-64", 128)]
)
def test_the_vector_width_follows_from_the_name(cpu: str, bits: int) -> None:
    if not Target.host().triple.startswith("x86_64"):
        pytest.skip("names of x86 CPUs")
    target = Target.named(cpu)
    assert (target.cpu, target.vector_bits) == (cpu, bits)


def test_features_widen_vectors() -> None:
    if not Target.host().triple.startswith("x86_64"):
        pytest.skip("names of x86 CPUs")
    wide = Target.named("x86-64", ("avx2", "+fma"))
    assert wide.vector_bits == 256
    assert wide.feature_text == "+fma,+avx2"
    assert wide.feature_hash != Target.named("x86-64").feature_hash


@pytest.mark.parametrize(("cpu", "features"), [("nonsense", ()), ("x86-64", ("nonsense",))])
def test_what_llvm_does_not_know_is_refused(cpu: str, features: tuple[str, ...]) -> None:
    with pytest.raises(TargetError, match="nonsense"):
        Target.named(cpu, features)


def test_the_host_by_its_name_is_the_host() -> None:
    assert Target.named(Target.host().cpu) is Target.host()
    assert Target.named("native") is Target.host()


@pytest.mark.parametrize("cpu", ["neoverse-n1", "generic", "apple-m1"])
def test_a_triple_names_another_architecture(cpu: str) -> None:
    target = Target.named(cpu, triple=AARCH64)
    assert (target.cpu, target.triple, target.architecture) == (cpu, AARCH64, "aarch64")
    assert (target.vector_bits, target.vector_registers) == (128, 32)


def test_another_name_of_an_architecture() -> None:
    target = Target.named("apple-m1", triple="arm64-apple-darwin21.6.0")
    assert (target.architecture, target.vector_registers) == ("aarch64", 32)


@pytest.mark.parametrize(("cpu", "triple"), [("haswell", AARCH64), ("generic", "nonsense-unknown-none")])
def test_a_name_belongs_to_a_triple(cpu: str, triple: str) -> None:
    with pytest.raises(TargetError, match=f"CPU '{cpu}' with features '' of {triple}: .*(haswell|nonsense)"):
        Target.named(cpu, triple=triple)


def test_code_for_another_architecture_is_not_loaded() -> None:
    if Target.host().architecture == "aarch64":
        pytest.skip("this is the other architecture")
    a = te.placeholder((8,), name="a")
    b = te.compute((8,), lambda i: a[i] + 1, name="b")
    program = Program.from_schedule(create_schedule(b), [a, b])
    code = compile_program(program, Target.named("neoverse-n1", triple=AARCH64))
    assert code.object[:4] == b"\x7fELF"
    assert int.from_bytes(code.object[18:20], "little") == EM_AARCH64
    with pytest.raises(TargetError, match="the code is for aarch64"):
        load_kernel(code)


@pytest.mark.parametrize("is_granted", [True, False])
def test_tiles_that_the_system_keeps_back_are_no_feature(
    is_granted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tilewright.compiler.target.may_use_amx", lambda: is_granted)
    found = {"avx2": True, "amx-tile": True, "amx-int8": True, "avx512f": False}
    monkeypatch.setattr("llvmlite.binding.get_host_cpu_features", lambda: found)
    features = _host.__wrapped__().features
    assert features == (("amx-int8", "amx-tile", "avx2") if is_granted else ("avx2",))


def test_leave_is_asked_for_on_linux_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert may_use_amx() or "amx-tile" not in Target.host().features
    monkeypatch.setattr("sys.platform", "darwin")
    assert not may_use_amx()


def test_a_cpu_runs_what_has_no_more_than_its_own_instructions() -> None:
    """Zen 4 has all that code for Ice Lake consists of, though not all that system programs use there."""
    if Target.host().architecture != "x86_64":
        pytest.skip("names of x86 CPUs")
    zen4, haswell = Target.named("znver4"), Target.named("haswell")
    assert zen4.runs(haswell)
    assert zen4.runs(Target.named("icelake-server"))
    assert not haswell.runs(zen4)
    assert not haswell.runs(Target.named("haswell", ("fma4",)))
    assert Target.host().runs(Target.host())


def test_code_that_would_kill_the_process_is_not_loaded() -> None:
    if Target.host().architecture != "x86_64":
        pytest.skip("a feature of x86 CPUs")
    a = te.placeholder((8,), name="a")
    b = te.compute((8,), lambda i: a[i] + 1, name="b")
    program = Program.from_schedule(create_schedule(b), [a, b])
    code = compile_program(program, Target.named("bdver2"))
    if not Target.host().runs(code.target):
        with pytest.raises(TargetError, match="the CPU bdver2, which has instructions that this machine's"):
            load_kernel(code)
