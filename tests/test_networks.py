"""Networks written as lists of kernels compute what NumPy and PyTorch do."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture(params=["resnet18", "bert"])
def network(request: pytest.FixtureRequest, root: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A small one of each kind."""
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    module = importlib.import_module(f"networks.{request.param}")
    if request.param == "bert":
        return module.bert_layer(length=33, heads=3, size=16)
    return module.resnet18(size=64, stages=(16, 24, 32, 40))


@pytest.mark.parametrize("threads", [1, 2])
def test_kernels_compute_the_network(network: Any, threads: int) -> None:
    layers = importlib.import_module("networks.layers")
    x = np.random.default_rng(0).standard_normal(network.shape).astype(np.float32)
    run, output = layers.prepare(network, x, threads)
    expected = layers.run_in_numpy(network, x)
    for _ in range(2):  # nothing is left over from the first call
        output[...] = np.nan
        run()
        np.testing.assert_allclose(output, expected, rtol=0, atol=1e-5 * abs(expected).max())


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_torch_computes_the_same(network: Any) -> None:
    torch, layers = importlib.import_module("torch"), importlib.import_module("networks.layers")
    module = importlib.import_module("networks.torch_network").make_module(torch, network)
    x = np.random.default_rng(0).standard_normal(network.shape).astype(np.float32)
    with torch.inference_mode():
        found = module(torch.from_numpy(x)).numpy()
    expected = layers.run_in_numpy(network, x)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * abs(expected).max())
