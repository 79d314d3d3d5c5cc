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


def test_the_compute_loop_counts_its_operations() -> None:
    loop = reference_loop("compute")
    assert loop.work > 0
    assert loop.run(2) > 0


def test_an_unknown_loop_is_refused() -> None:
    with pytest.raises(TilewrightError, match="choose compute or bandwidth"):
        reference_loop("latency")
