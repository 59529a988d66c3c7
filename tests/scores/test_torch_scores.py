"""Every score of a network with given weights, in float64, against PyTorch's autograd.

`torch_scores` has the scores in PyTorch. They are compared with the compiled core and, so that a
mistake shows on which side it is, with `zeroshot.reference`. A line of `TABLE` is all that a score
needs.
"""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import zeroshot
from zeroshot import _core, reference
from zeroshot.scores import SCORES
from zeroshot.spaces import nasbench201

from . import torch_scores as ts

pytest.importorskip("torch", reason="PyTorch is not installed: no parity check of the scores")

SAME = 1e-8  # relative, beyond what `Value.spread` allows
CHANNELS, CELLS, SIZE, CLASSES = 4, 1, 8, 10
ROWS = 12
NEAR = 1e-3

ARCHS = {
    "all ops": "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|"
    "+|skip_connect~0|nor_conv_3x3~1|none~2|",
    "dead edges": "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|nor_conv_1x1~0|avg_pool_3x3~1|none~2|",
    "fed by none": "|none~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_1x1~1|"
    "avg_pool_3x3~2|",
    "pools": "|avg_pool_3x3~0|+|avg_pool_3x3~0|skip_connect~1|+|nor_conv_3x3~0|none~1|"
    "avg_pool_3x3~2|",
    "skips": "|skip_connect~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|",
    "nothing": "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
}


# ---- the table -----------------------------------------------------------------------------------

Weights = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Inputs:
    """What a reference takes."""

    nodes: list[Any]
    weights: Weights
    x: NDArray[np.float64]
    y: NDArray[np.int64]
    features: list[int]
    signs: list[NDArray[np.float64]]


@dataclass(frozen=True)
class Entry:
    """A score: its name in `SCORES`, its parameters for `rows` rows, its two other forms."""

    name: str
    torch: Callable[[ts.Case], ts.Value]
    reference: Callable[[Inputs], reference.Scored]
    rows: int = ROWS
    parameters: Mapping[str, Any] = field(default_factory=dict)
    takes_signs: bool = False
    near: float | None = None
    """Images that are the first one and so much of each: patterns of ReLUs then coincide."""
    size: str | None = "batch_size"
    """Parameter that holds `rows`."""


def loss_score(function: Callable[..., reference.Scored], **options: Any) -> Any:
    return lambda i: function(i.nodes, i.weights, i.x, i.y, **options)


def batch_score(function: Callable[..., reference.Scored], **options: Any) -> Any:
    return lambda i: function(i.nodes, i.weights, i.x, **options)


def flow_score(function: Callable[..., reference.Scored], **options: Any) -> Any:
    return lambda i: function(i.nodes, i.weights, **options)


def az_score(function: Callable[..., reference.Scored], *, signs: bool = False) -> Any:
    def run(i: Inputs) -> reference.Scored:
        more = {"signs": i.signs} if signs else {}
        return function(i.nodes, i.weights, i.x, features=i.features, **more)

    return run


def zen_reference(i: Inputs) -> reference.Scored:
    half = len(i.x) // 2
    return reference.zen(i.nodes, i.weights, i.x[:half], i.x[half:])


# images and weights as they are given, where a score draws its own by default
OWN_BOTH: dict[str, Any] = {"input": "data", "init": None}
OWN_WEIGHTS: dict[str, Any] = {"init": None}

TABLE: dict[str, Entry] = {
    "snip": Entry("snip", ts.snip, loss_score(reference.snip)),
    "plain": Entry("plain", ts.plain, loss_score(reference.plain)),
    "grasp": Entry("grasp", ts.grasp, loss_score(reference.grasp)),
    "l2_norm": Entry("l2_norm", ts.l2_norm, flow_score(reference.l2_norm), size=None),
    "grad_norm, layers": Entry(
        "grad_norm",
        partial(ts.grad_norm, over="layers"),
        loss_score(reference.grad_norm, over="layers"),
        parameters={"over": "layers"},
    ),
    "grad_norm, all": Entry(
        "grad_norm",
        partial(ts.grad_norm, over="all"),
        loss_score(reference.grad_norm, over="all"),
        parameters={"over": "all"},
    ),
    "fisher, repeated": Entry(
        "fisher",
        partial(ts.fisher, per_channel=False),
        loss_score(reference.fisher, per_channel=False),
        parameters={"per_channel": False},
    ),
    "fisher, per channel": Entry(
        "fisher",
        partial(ts.fisher, per_channel=True),
        loss_score(reference.fisher, per_channel=True),
        parameters={"per_channel": True},
    ),
    "synflow": Entry(
        "synflow",
        ts.synflow,
        flow_score(reference.synflow),
        parameters={"bn": "identity"},
        size=None,
    ),
    "synflow, batch norm": Entry(
        "synflow",
        partial(ts.synflow, bn="batch"),
        flow_score(reference.synflow, bn="batch"),
        parameters={"bn": "batch"},
        size=None,
    ),
    "synflow, log": Entry(
        "synflow",
        ts.logsynflow,
        flow_score(reference.logsynflow),
        parameters={"bn": "identity", "variant": "log"},
        size=None,
    ),
    "syncflow": Entry(
        "syncflow",
        ts.syncflow,
        flow_score(reference.syncflow),
        parameters=OWN_WEIGHTS,
        size=None,
    ),
    "zico, 2 batches": Entry(
        "zico",
        partial(ts.zico, n_batches=2),
        loss_score(reference.zico, n_batches=2),
        parameters={"n_batches": 2, "batch_size": ROWS // 2},
        size=None,
    ),
    "zico, 3 batches": Entry(
        "zico",
        partial(ts.zico, n_batches=3),
        loss_score(reference.zico, n_batches=3),
        parameters={"n_batches": 3, "batch_size": ROWS // 3},
        size=None,
    ),
    "knas, sum": Entry(
        "knas",
        partial(ts.knas, over="sum"),
        loss_score(reference.knas, over="sum"),
        parameters={"over": "sum"},
        size="n_samples",
    ),
    "knas, mean": Entry(
        "knas",
        partial(ts.knas, over="mean"),
        loss_score(reference.knas, over="mean"),
        parameters={"over": "mean"},
        size="n_samples",
    ),
    "jacob_cov": Entry("jacob_cov", ts.jacob_cov, batch_score(reference.jacob_cov)),
    "epe_nas": Entry(
        "epe_nas",
        partial(ts.epe_nas, many=False),
        loss_score(reference.epe_nas, many=False),
        parameters={"many": False},
    ),
    "epe_nas, many classes": Entry(
        "epe_nas",
        partial(ts.epe_nas, many=True),
        loss_score(reference.epe_nas, many=True),
        parameters={"many": True},
    ),
    "ntk_condition": Entry(
        "ntk_condition", ts.ntk_condition, batch_score(reference.ntk_condition), rows=6
    ),
    "naswot, all": Entry(
        "naswot",
        partial(ts.naswot, which="all"),
        batch_score(reference.naswot, which="all"),
        parameters={"which": "all"},
    ),
    "naswot, reached": Entry(
        "naswot",
        partial(ts.naswot, which="reached"),
        batch_score(reference.naswot, which="reached"),
        parameters={"which": "reached"},
    ),
    "naswot, wrappers": Entry(
        "naswot",
        partial(ts.naswot, which="wrappers"),
        batch_score(reference.naswot, which="wrappers"),
        parameters={"which": "wrappers"},
    ),
    "linear_regions": Entry(
        "linear_regions", ts.linear_regions, batch_score(reference.linear_regions)
    ),
    "linear_regions, near images": Entry(
        "linear_regions", ts.linear_regions, batch_score(reference.linear_regions), near=NEAR
    ),
    "swap": Entry("swap", ts.swap, batch_score(reference.swap), parameters=OWN_WEIGHTS),
    "zen": Entry(
        "zen",
        ts.zen,
        zen_reference,
        parameters={**OWN_BOTH, "batch_size": ROWS // 2},
        size=None,
    ),
    "meco": Entry("meco", ts.meco, batch_score(reference.meco)),
    "activations, relu": Entry(
        "activations",
        partial(ts.activations, which="relu", lo=0.0, hi=0.5),
        batch_score(reference.activation_count, lo=0.0, hi=0.5),
        parameters={"lo": 0.0, "hi": 0.5},
    ),
    "activations, conv": Entry(
        "activations",
        partial(ts.activations, which="conv", lo=0.1, hi=1.0),
        batch_score(reference.activation_count, lo=0.1, hi=1.0, which="conv"),
        parameters={"lo": 0.1, "hi": 1.0, "which": "conv"},
    ),
    "az_expressivity": Entry(
        "az_expressivity",
        ts.az_expressivity,
        az_score(reference.az_expressivity),
        parameters=OWN_BOTH,
    ),
    "az_progressivity": Entry(
        "az_progressivity",
        ts.az_progressivity,
        az_score(reference.az_progressivity),
        parameters=OWN_BOTH,
    ),
    "az_trainability": Entry(
        "az_trainability",
        ts.az_trainability,
        az_score(reference.az_trainability, signs=True),
        parameters=OWN_BOTH,
        takes_signs=True,
    ),
}
ELSEWHERE = {"xi_gsnr", "gradsign", "sweet"}  # in tests/test_torch_parity.py


# ---- one network on all sides --------------------------------------------------------------------


def yardstick() -> ModuleType:
    name = "torch_yardstick"
    if name not in sys.modules:
        path = Path(__file__).resolve().parents[2] / "benchmarks" / name / "__init__.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@cache
def network(arch: str, size: int = SIZE) -> tuple[Any, Inputs]:
    """In PyTorch, and as nodes; random scales and shifts, so that batch norm tells channels."""
    import torch

    ty = yardstick()
    net = ty.build(arch, seed=5, channels=CHANNELS, cells=CELLS).double()
    rng = np.random.default_rng(8)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                n = module.num_features
                module.weight.copy_(torch.from_numpy(rng.uniform(0.5, 1.5, n)))
                module.bias.copy_(torch.from_numpy(rng.standard_normal(n) / 4))
    graph = _core.space_build(
        nasbench201.NAME,
        nasbench201.parse(arch),
        CHANNELS,
        CELLS,
        CLASSES,
        (3, size, size),
        "autodl",
    )
    nodes = graph.nodes()
    features = [
        n["id"] for n in nodes if n["name"] == "stem.bn" or n["name"][-3:] in ("sum", ".n3")
    ]
    signs = [
        rng.choice([-1.0, 1.0], (ROWS, *node["shape"]))
        for node in nodes
        if node["id"] in features[1:]
    ]
    x = rng.standard_normal((ROWS, 3, size, size))
    y = rng.permutation(np.arange(ROWS) % 5)  # classes of two or three images
    return net, Inputs(nodes, ty.state_as_zeroshot(net), x, y, features, signs)


def ask(entry: Entry, arch: str, size: int) -> tuple[ts.Value, Inputs]:
    net, given = network(arch, size)
    rows = slice(entry.rows)
    signs = [s[rows] for s in given.signs]
    x = given.x[rows]
    if entry.near is not None:
        x = x[0] + entry.near * (x - x[0])
    cut = Inputs(given.nodes, given.weights, x, given.y[rows], given.features, signs)
    return entry.torch(ts.Case(net, cut.x, cut.y, cut.signs)), cut


def agree(got: float, status: str, want: ts.Value) -> None:
    if math.isnan(want.value):
        assert status in ("undefined", "nonfinite"), got
        return
    if math.isinf(want.value):
        assert got == want.value
        return
    assert status in ("ok", "no_signal")
    allowed = SAME * abs(want.value) + want.spread
    assert abs(got - want.value) <= allowed, (
        f"{got!r} against PyTorch's {want.value!r}: {abs(got - want.value):.2g} apart, "
        f"{allowed:.2g} allowed"
    )


NETWORKS = [pytest.param(arch, SIZE, id=name) for name, arch in ARCHS.items()]
NETWORKS.append(pytest.param(ARCHS["all ops"], 16, id="16x16"))


@pytest.mark.parametrize(("arch", "size"), NETWORKS)
@pytest.mark.parametrize("label", TABLE)
def test_reference_is_pytorch(label: str, arch: str, size: int) -> None:
    entry = TABLE[label]
    want, given = ask(entry, arch, size)
    found = entry.reference(given)
    agree(found.value, found.status, want)


@pytest.mark.parametrize(("arch", "size"), NETWORKS)
@pytest.mark.parametrize("label", TABLE)
def test_core_is_pytorch(label: str, arch: str, size: int) -> None:
    entry = TABLE[label]
    want, given = ask(entry, arch, size)
    parameters = dict(entry.parameters)
    if entry.size is not None:
        parameters[entry.size] = entry.rows
    if entry.takes_signs:
        parameters["signs"] = given.signs
    found = zeroshot.score(
        arch,
        given.x,
        given.y,
        scores=SCORES[entry.name](**parameters),
        weights=given.weights,
        dtype="float64",
        channels=CHANNELS,
        cells=CELLS,
        num_classes=CLASSES,
        n_threads=1,
    )
    (value,) = found.scores.values()
    agree(value.value, value.status, want)


def test_every_score_has_a_line() -> None:
    """But those that only count."""
    missing = {info.name for info in zeroshot.list_scores() if info.needs != "sizes"}
    missing -= {entry.name for entry in TABLE.values()} | ELSEWHERE
    assert not missing, f"no PyTorch form in tests/scores/torch_scores.py: {sorted(missing)}"


@pytest.mark.parametrize("label", TABLE)
def test_tolerances_say_something(label: str) -> None:
    """On the network that has every operation no spread is more than 1e-5 of the value."""
    want, _ = ask(TABLE[label], ARCHS["all ops"], SIZE)
    assert want.spread <= 1e-5 * abs(want.value)
