import pytest

from tilewright.compiler.errors import TilewrightError
from tilewright.compiler.peak import reference_loop


@pytest.mark.parametrize("size", [1, 100, 4096, 4_096_013])
def test_the_bandwidth_loop_reads_about_as_much_as_asked(size: int) -> None:
    loop = reference_loop("bandwidth", size)
    step = reference_loop("bandwidth", 1).work
    assert loop.work % step == 0
    assert abs(loop.work - size) < step
    assert loop.run(2) > 0


@pytest.mark.parametrize("kind", ["compute", "int8", "bfloat16"])
def test_loops_in_registers_count_their_operations(kind: str) -> None:
    loop = reference_loop(kind)
    assert loop.work > 0
    assert loop.run(2) > 0


def test_an_unknown_loop_is_refused() -> None:
    with pytest.raises(TilewrightError, match="choose compute, bandwidth, int8, bfloat16"):
        reference_loop("latency")
