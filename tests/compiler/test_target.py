"""Targets other than this machine."""

import pytest

from tilewright.compiler.errors import TargetError
from tilewright.compiler.target import Target


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
