"""What is written out is the network: by another program, and read back."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zeroshot
from zeroshot import Graph
from zeroshot.cli import main
from zeroshot.spaces import get_space

from .common import assert_same, assert_same_gradients, batch, our_gradients


def network_of_every_layer() -> Graph:
    g = Graph((3, 9, 7))
    stem = g.batch_norm(g.conv2d(g.input, 6, (3, 1), padding=(1, 0), name="stem"), eps=1e-3)
    grouped = g.conv2d(g.relu(stem), 6, 3, padding=2, dilation=2, groups=3, bias=True)
    total = g.add(grouped, g.zero(g.identity(stem)), stem, coef=[1.0, -0.5, 2.0])
    both = g.concat(g.max_pool(total, 3, stride=2), g.avg_pool(g.shift(total), 2, stride=2))
    plain = g.batch_norm(g.batch_norm(both, mode="identity", affine=False), affine=False)
    wide = g.avg_pool(plain, 2, stride=1, padding=1, count_include_pad=True)
    few = g.add(g.slice_channels(wide, 8), coef=[0.5])
    small = g.zero(few, stride=2)
    summed = g.add(g.global_avg_pool(few), g.global_avg_pool(small))
    return g.output(g.linear(g.relu(g.linear(summed, 7, name="1 hidden".replace(" ", "-"))), 5))


def network_of_activations() -> Graph:
    g = Graph((3, 8, 8))
    x = g.conv2d(g.input, 6, 3, padding=1, bias=True, name="forward")
    for op in ("relu6", "sigmoid", "silu", "hard_sigmoid", "hard_swish", "gelu", "tanh"):
        x = g.add(x, getattr(g, op)(g.conv2d(x, 6, 1, bias=True)))
    gate = g.sigmoid(g.conv2d(g.global_avg_pool(x), 6, 1))
    x = g.multiply(x, gate)
    x = g.multiply(x, g.tanh(g.conv2d(x, 1, 1)))
    return g.output(g.linear(g.gelu(g.global_avg_pool(x)), 5, name="logits"))


def network_of_tokens() -> Graph:
    g = Graph((3, 8, 8))
    x = g.conv2d(g.input, 6, 4, stride=2, name="patches")
    y = g.attention(g.layer_norm(x), 2)
    x = g.add(x, g.scale_channels(y, initial=0.5))
    y = g.linear(g.gelu(g.linear(g.group_norm(x, groups=3), 12)), 6)
    x = g.add(x, g.linear_spatial(y))
    x = g.concat(g.slice_channels(x, 2, start=3), g.layer_norm(x, affine=False))
    return g.output(g.linear(g.flatten(x), 5, bias=False))


GRAPHS: dict[str, Any] = {
    "every layer": network_of_every_layer,
    "activations": network_of_activations,
    "tokens": network_of_tokens,
}
SPACES: dict[str, tuple[Any, dict[str, Any]]] = {
    "nasbench201": (1462, {"channels": 4, "cells": 1}),
    "zerocost": (8000, {"channels": 4, "cells": 1, "builder": "zerocost"}),
    "nasbench101": (
        "adj=0101/0010/0001/0000;ops=input,conv3x3-bn-relu,maxpool3x3,output",
        {"space": "nasbench101", "channels": 8, "cells": 1},
    ),
    "nats_sss": ("8:16:8:8:16", {"space": "nats_sss", "cells": 1}),
    "transnas_micro": ("4-4-1_03_210", {"space": "transnas_micro", "cells": 2}),
}
# PyTorch takes 1/6 in float32 for hard swish and hard sigmoid; so does an attribute of ONNX
SIXTH = 1e-6


def build(name: str) -> tuple[Any, dict[str, Any]]:
    if name in SPACES:
        return SPACES[name]
    return GRAPHS[name](), {}


def problem(name: str) -> tuple[Any, dict[str, Any], dict[str, Any], Any, Any]:
    arch, options = build(name)
    rng = np.random.default_rng(4)
    shapes = zeroshot.weight_names(arch, **options)
    weights = {key: rng.standard_normal(s) / np.sqrt(np.prod(s[1:])) for key, s in shapes.items()}
    shape = arch.input.shape if isinstance(arch, Graph) else (3, 16, 16)
    x, y = batch(shape, 5 if isinstance(arch, Graph) else 10)
    return arch, options, weights, x, y


def size_of(x: Any, options: dict[str, Any]) -> dict[str, Any]:
    return {**options, "input_size": x.shape[2:]}


NAMES = [*GRAPHS, *SPACES]


@pytest.mark.parametrize("name", NAMES)
def test_onnx_is_read_back_with_the_same_logits_and_gradients(name: str, onnx: Any) -> None:
    arch, options, weights, x, y = problem(name)
    data = zeroshot.to_onnx(arch, weights=weights, dtype="float64", **size_of(x, options))
    if name == "tokens":
        with pytest.raises(zeroshot.errors.InterchangeError, match=r"Softmax .attention1"):
            zeroshot.from_onnx(data)
        return
    graph, again = zeroshot.from_onnx(data, weights=True)
    want, got = (
        our_gradients(a, w, x, y, **o) for a, w, o in ((arch, weights, options), (graph, again, {}))
    )
    assert_same(got.logits, want.logits, "logits")
    dead = set(want.gradients) - set(got.gradients)  # what the logits do not depend on is not read
    assert bool(dead) == (name == "zerocost")
    assert not any(want[key].any() for key in dead)
    assert_same_gradients(got.gradients, {k: g for k, g in want.gradients.items() if k not in dead})


@pytest.mark.parametrize("name", NAMES)
def test_onnx_has_the_same_logits_elsewhere(name: str, onnx: Any) -> None:
    from onnx.reference import ReferenceEvaluator

    arch, options, weights, x, y = problem(name)
    data = zeroshot.to_onnx(arch, weights=weights, dtype="float64", **size_of(x, options))
    (got,) = ReferenceEvaluator(data).run(None, {"images": x})
    want = our_gradients(arch, weights, x, y, **options).logits
    # attributes of a file are float32: eps of norms, 1/6 of hard sigmoid
    np.testing.assert_allclose(got, want, rtol=0, atol=SIXTH * np.abs(want).max())


def test_onnx_runs_in_float32(onnx: Any) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    arch, options, weights, x, y = problem("activations")
    data = zeroshot.to_onnx(arch, weights=weights)
    session = runtime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {"images": x.astype(np.float32)})
    want = our_gradients(arch, weights, x, y, **options).logits
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5 * np.abs(want).max())


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("exported_network", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", NAMES)
def test_torch_source_has_the_same_logits_and_gradients(
    name: str, torch: Any, tmp_path: Path
) -> None:
    arch, options, weights, x, y = problem(name)
    path = tmp_path / "net.py"
    source = zeroshot.to_torch_source(arch, path, weights=weights, **size_of(x, options))
    assert source == path.read_text()
    written = load(path)
    module = written.load_weights(written.Network().double(), tmp_path / "net.npz")
    assert not hasattr(module, "np")
    logits = module(torch.tensor(x))
    torch.nn.functional.cross_entropy(logits, torch.tensor(y)).backward()
    want = our_gradients(arch, weights, x, y, **options)
    named = zeroshot.torch_state(arch, {k: g[0] for k, g in want.gradients.items()}, **options)
    found = {
        k: np.zeros(p.shape) if p.grad is None else p.grad.numpy()
        for k, p in module.named_parameters()
    }
    assert set(found) == set(named)
    rtol = SIXTH if name == "activations" else 1e-9
    np.testing.assert_allclose(
        logits.detach().numpy(), want.logits, rtol=0, atol=rtol * np.abs(want.logits).max()
    )
    largest = max(np.abs(g).max() for g in named.values())
    for key, g in named.items():
        atol = rtol * np.abs(g).max() + 1e-13 * largest
        np.testing.assert_allclose(found[key], g, rtol=0, atol=atol, err_msg=key)


def test_torch_source_of_running_statistics(torch: Any, tmp_path: Path) -> None:
    g = Graph((3, 4, 4))
    graph = g.output(g.linear(g.global_avg_pool(g.batch_norm(g.input, mode="running")), 2))
    rng = np.random.default_rng(0)
    weights = {n: rng.random(s) + 0.5 for n, s in zeroshot.weight_names(graph).items()}
    zeroshot.to_torch_source(graph, tmp_path / "net.py", weights=weights)
    written = load(tmp_path / "net.py")
    module = written.load_weights(written.Network().double(), tmp_path / "net.npz").train()
    x, y = batch((3, 4, 4), 2)
    want = our_gradients(graph, weights, x, y).logits
    assert_same(module(torch.tensor(x)).detach().numpy(), want, "logits")


def test_drawn_weights_are_those_of_a_score(onnx: Any) -> None:
    arch, options = SPACES["nasbench201"]
    x, y = batch((3, 16, 16), 10, 8)
    drawn = zeroshot.draw_weights(arch, seed=3, init="kaiming_normal", **options)
    assert {k: v.shape for k, v in drawn.items()} == zeroshot.weight_names(arch, **options)
    run = {"batch_size": 4, **options}
    assert zeroshot.xi_gsnr(arch, x, y, weights=drawn, **run) == zeroshot.xi_gsnr(
        arch, x, y, seed=3, init="kaiming_normal", **run
    )
    data = zeroshot.to_onnx(arch, seed=3, init="kaiming_normal", input_size=16, **options)
    _, stored = zeroshot.from_onnx(data, weights=True)
    assert all(np.array_equal(stored[k], v) for k, v in drawn.items())


def test_torch_source_is_readable_and_safe() -> None:
    source = zeroshot.to_torch_source(network_of_every_layer(), class_name="Net")
    assert "class Net(nn.Module):" in source
    assert "self.stem = nn.Conv2d(3, 6, (3, 1), padding=(1, 0), bias=False)" in source
    compile(source, "net.py", "exec")
    for name in ("1x", "class", "torch", "a b", "FixedBatchNorm2d"):
        with pytest.raises(ValueError, match="class_name: expected"):
            zeroshot.to_torch_source(0, class_name=name)
    with pytest.raises(ValueError, match="weights: expected a path"):
        zeroshot.to_torch_source(0, weights=True)


def test_command_writes_what_the_functions_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], onnx: Any
) -> None:
    size = ["--channels", "4", "--cells", "1", "--input-size", "16"]
    options: dict[str, Any] = {"channels": 4, "cells": 1, "input_size": 16}
    assert main(["export", "1462", *size]) == 0
    assert capsys.readouterr().out == zeroshot.to_torch_source(1462, **options)
    path = tmp_path / "net.onnx"
    assert main(["export", "1462", *size, "-o", str(path), "--seed", "2"]) == 0
    assert path.read_bytes() == zeroshot.to_onnx(1462, seed=2, **options)
    source = tmp_path / "net.py"
    assert main(["export", "1462", *size, "-o", str(source), "--weights"]) == 0
    assert source.exists() and source.with_suffix(".npz").exists()
    assert main(["export", "1462", "--format", "onnx"]) == 2
    assert "-o" in capsys.readouterr().err
    assert main(["export", "1462", *size, "-o", str(tmp_path / "w.onnx"), "--weights"]) == 2
    assert "an ONNX model holds its weights" in capsys.readouterr().err
    assert not (tmp_path / "w.onnx").exists()
    assert main(["export", "--help"]) == 0
    assert "autodl, zerocost, imagenet, naslib" in " ".join(capsys.readouterr().out.split())
    assert main(["export", "nonsense"]) == 2


def test_drawn_weights_follow_the_size_of_images() -> None:
    (arch,) = get_space("burgerformer").sample(1, 1)
    small, large = (
        zeroshot.weight_names(arch, space="burgerformer", input_size=size) for size in (32, 64)
    )
    drawn = zeroshot.draw_weights(arch, space="burgerformer", input_size=64)
    assert {name: w.shape for name, w in drawn.items()} == large
    assert small != large  # layers over positions
