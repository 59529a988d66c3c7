"""The whole engine in float64 against golden gradients, the reference twin and the wiring table."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from zeroshot import _core
from zeroshot.reference import Problem, from_golden, load_golden
from zeroshot.reference import run as reference_run
from zeroshot.spaces import get_space

from .stored import NETWORKS as GOLDEN

HERE = Path(__file__).resolve().parent
SHARED = Path(os.environ.get("ZEROSHOT_SHARED", HERE.parent.parent / "shared"))
OWN = ["nb201_tiny", "odd_ops"]
TABLES = [name for name, usable in _core.kernel_tables() if usable]

# Float64 gradients agree to 1e-9 of their tensor's largest; what is zero in real arithmetic is
# rounding noise in both, 1e-13 of the largest gradient of the network.
RELATIVE, NOISE = 1e-9, 1e-13


def build(nodes: list[dict[str, Any]]) -> _core.Graph:
    builder = _core.GraphBuilder(*nodes[0]["shape"])
    for node in nodes[1:]:
        attrs = {k: v for k, v in node["attrs"].items() if k != "coef"}
        builder.add(node["op"], node["name"], node["inputs"], attrs, node["attrs"].get("coef"))
    return builder.finish(len(nodes) - 1)


def run(
    graph: _core.Graph,
    x: NDArray[Any],
    y: NDArray[Any],
    weights: Mapping[str, NDArray[Any]] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    options: dict[str, Any] = {
        "runs": [],
        "sink": None,
        "init": "torch",
        "seed": 0,
        "dtype": "float64",
        "n_threads": 1,
        "kernels": "auto",
        "algo": "auto",
        "max_bytes": 0,
        "dead": False,
        "recompute": 0,
        "workspace": None,
        "cancel": None,
        "measure": False,
        "sources": (),
    }
    given = None
    if weights is not None:
        given = {k: np.ascontiguousarray(v, np.float64) for k, v in weights.items()}
    x64, y64 = np.ascontiguousarray(x, np.float64), np.ascontiguousarray(y, np.int64)
    return _core.run(graph, x64, y64, weights=given, **(options | changes))


def assert_gradients(got: Mapping[str, NDArray[Any]], want: Mapping[str, NDArray[Any]]) -> None:
    assert set(got) == set(want)
    top = max(np.abs(v).max() for v in want.values())
    for name, value in want.items():
        tolerance = RELATIVE * np.abs(value).max() + NOISE * top
        worst = np.abs(got[name] - value)
        at = np.unravel_index(worst.argmax(), worst.shape)
        assert worst.max() <= tolerance, f"{name}{at}: {got[name][at]} against {value[at]}"


def problem(name: str) -> tuple[Problem, int, str]:
    if name in OWN:
        golden = load_golden(HERE / "golden" / f"{name}.npz")
        return golden.problem, len(golden.problem.x) // len(golden.result.losses), golden.loss
    path = SHARED / "golden" / f"{name}.npz"
    if not path.exists():
        pytest.skip(f"shared golden file {name}.npz is absent (set ZEROSHOT_SHARED)")
    return from_golden(path), 4, "cross_entropy"


@pytest.mark.parametrize("dead", [False, True], ids=["live", "dead"])
@pytest.mark.parametrize("name", OWN + GOLDEN)
def test_engine_matches_reference_on_golden_networks(name: str, dead: bool) -> None:
    p, k, loss = problem(name)
    want = reference_run(p.nodes, p.weights, p.x, p.y, loss=loss, group_size=k)
    n_groups = len(want.losses)
    for table in TABLES:
        got = run(
            build(p.nodes),
            p.x,
            p.y,
            p.weights,
            sink=(k, n_groups, loss, True),
            dead=dead,
            kernels=table,
        )
        np.testing.assert_allclose(got["losses"], want.losses, rtol=1e-12)
        np.testing.assert_allclose(got["logits"], want.logits, rtol=1e-10, atol=1e-12)
        assert_gradients(got["gradients"], want.gradients)


@pytest.mark.parametrize("name", GOLDEN)
def test_engine_matches_published_golden_gradients(name: str) -> None:
    p, _, _ = problem(name)
    with np.load(SHARED / "golden" / f"{name}.npz") as data:
        want = {
            key[3:]: np.stack([data[f"g{j}/{key[3:]}"] for j in range(3)])
            for key in data.files
            if key.startswith("g0/")
        }
        losses, logits = data["loss"], data["logits"]
    got = run(build(p.nodes), p.x, p.y, p.weights, sink=(4, 3, "cross_entropy", True))
    np.testing.assert_allclose(got["losses"], losses, rtol=1e-12)
    np.testing.assert_allclose(got["logits"], logits, rtol=1e-10, atol=1e-12)
    assert_gradients(got["gradients"], want)


@pytest.mark.parametrize("name", OWN)
def test_engine_gradients_match_central_differences(name: str) -> None:
    p, k, loss = problem(name)
    graph, step = build(p.nodes), 1e-6
    weights = {key: value.astype(np.float64) for key, value in p.weights.items()}
    sink = (k, 1, loss, True)
    exact = run(graph, p.x, p.y, weights, sink=sink)["gradients"]
    rng = np.random.default_rng(0)
    for tensor, gradient in exact.items():
        index = tuple(int(rng.integers(n)) for n in weights[tensor].shape)
        values = []
        for sign in (1, -1):
            moved = weights[tensor].copy()
            moved[index] += sign * step
            values.append(run(graph, p.x, p.y, weights | {tensor: moved}, sink=sink)["losses"][0])
        slope = (values[0] - values[1]) / (2 * step)
        assert slope == pytest.approx(gradient[0][index], rel=1e-3, abs=1e-5), (tensor, index)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("table", TABLES)
def test_bits_do_not_depend_on_threads(table: str, dtype: str) -> None:
    p, k, loss = problem("odd_ops")
    sink = (k, len(p.x) // k, loss, True)
    graph = build(p.nodes)
    alone = run(graph, p.x, p.y, p.weights, sink=sink, kernels=table, dtype=dtype)
    for n in (2, 3, 4, 7):
        many = run(graph, p.x, p.y, p.weights, sink=sink, kernels=table, dtype=dtype, n_threads=n)
        for name, value in alone["gradients"].items():
            assert np.array_equal(value, many["gradients"][name]), (name, n)


@pytest.mark.parametrize("table", TABLES)
def test_tables_agree_in_float32(table: str) -> None:
    """End to end: 1e-4 of each tensor's largest gradient, noise of 1e-6 of the network's."""
    p, k, loss = problem("nb201_tiny")
    sink = (k, len(p.x) // k, loss, False)
    want = run(build(p.nodes), p.x, p.y, p.weights, sink=sink, kernels="reference")["gradients"]
    got = run(build(p.nodes), p.x, p.y, p.weights, sink=sink, kernels=table, dtype="float32")[
        "gradients"
    ]
    top = max(np.abs(v).max() for v in want.values())
    for name, value in want.items():
        assert np.abs(got[name] - value).max() <= 1e-4 * np.abs(value).max() + 1e-6 * top, name


def test_none_then_affine_bn_is_computed_where_beta_is_not_zero() -> None:
    """A branch fed by zeros is left out only if it stays zero; beta of a batch norm is not."""
    builder = _core.GraphBuilder(3, 8, 8)

    def conv(name: str, x: int) -> int:
        return builder.add(
            "conv2d", name, [x], {"out_channels": 4, "kernel": (3, 3), "padding": (1, 1)}
        )

    stem = conv("stem", 0)
    none = builder.add("zero", "none", [stem], {"stride": 1})
    branch = builder.add("batch_norm", "bn", [conv("conv", none)], {})
    last = conv("last", builder.add("relu", "relu", [branch], {}))
    total = builder.add("add", "sum", [last, stem], {})
    pooled = builder.add("global_avg_pool", "pool", [total], {})
    graph = builder.finish(builder.add("linear", "fc", [pooled], {"out_features": 5, "bias": True}))

    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((8, 3, 8, 8)), rng.integers(0, 5, 8)
    shapes = {t["name"]: t["shape"] for t in graph.tensors()}
    weights = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    sink = (4, 2, "cross_entropy", True)
    for beta in (np.zeros(4), rng.standard_normal(4)):
        weights["bn.beta"] = beta
        want = reference_run(graph.nodes(), weights, x, y, group_size=4)
        live, dead = (run(graph, x, y, weights, sink=sink, dead=d) for d in (False, True))
        assert_gradients(dead["gradients"], want.gradients)
        if beta.any():
            assert_gradients(live["gradients"], want.gradients)
            assert np.abs(want.gradients["last.weight"]).max() > 0
        else:  # left out: counted weights have the same zeros, beta would have had a gradient
            assert not want.gradients["last.weight"].any()
            for name in ("stem.weight", "conv.weight", "last.weight", "fc.weight"):
                np.testing.assert_allclose(
                    live["gradients"][name], want.gradients[name], rtol=1e-9, atol=1e-14
                )
        np.testing.assert_allclose(live["logits"], want.logits, rtol=1e-10, atol=1e-12)


def test_running_and_identity_batch_norm_match_reference() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((6, 3, 6, 6)), rng.integers(0, 4, 6)
    for mode in ("running", "identity"):
        builder = _core.GraphBuilder(3, 6, 6)
        h = builder.add("conv2d", "conv", [0], {"out_channels": 5, "kernel": (3, 3)})
        h = builder.add("batch_norm", "bn", [h], {"mode": mode, "affine": mode == "running"})
        h = builder.add("global_avg_pool", "pool", [builder.add("relu", "relu", [h], {})], {})
        graph = builder.finish(builder.add("linear", "fc", [h], {"out_features": 4, "bias": True}))
        weights = {t["name"]: rng.standard_normal(t["shape"]) for t in graph.tensors()}
        if mode == "running":
            weights["bn.running_var"] = np.abs(weights["bn.running_var"]) + 0.5
        want = reference_run(graph.nodes(), weights, x, y, group_size=3)
        got = run(graph, x, y, weights, sink=(3, 2, "cross_entropy", True))
        assert_gradients(
            got["gradients"], {k: v for k, v in want.gradients.items() if "running" not in k}
        )


def hashed(n: int, t: int) -> NDArray[np.float64]:
    """The formula of the wiring table's weights and images: 32-bit mixing, in (-1, 1)."""
    word = np.arange(1, n + 1, dtype=np.uint64) * 0x9E3779B1 + np.uint64((t + 1) * 0x85EBCA77)
    z = (word & 0xFFFFFFFF).astype(np.uint32)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 1)):
        z ^= z >> np.uint32(shift)
        z = (z.astype(np.uint64) * np.uint64(factor) & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    return 2.0 * z.astype(np.float64) / 2.0**32 - 1.0


def network_of_nb201(text: str) -> tuple[str, str, int, int]:
    """Space, architecture, channels and cells of an entry of the table."""
    width, depth, arch = text.split(";")
    return "nasbench201", arch, int(width[2:]), int(depth[2:])


def network_of_nb101(text: str) -> tuple[str, str, int, int]:
    stem, arch = text.split(";", 1)
    return "nasbench101", arch, int(stem.removeprefix("stem=")), 3


def network_of_darts(text: str) -> tuple[str, str, int, int]:
    width, depth, arch = text.split(";")
    return "darts", arch, int(width[2:]), int(depth[2:])


def network_of_supernet(space: str) -> Callable[[str], tuple[str, str, int, int]]:
    """All operations but ``none`` on all edges."""

    def network(text: str) -> tuple[str, str, int, int]:
        options = dict(part.split("=") for part in text.split(";"))
        depth, stem = options.get("depth"), options.get("stem_mult")
        prefix = (f"depth={depth};" if depth else "") + (f"stem={stem};" if stem else "")
        arch = get_space(space).full()  # type: ignore[attr-defined]
        genes = _core.space_parse(space, prefix.replace("stem=1;", "") + arch)
        assert options["affine"] == "1"
        return space, _core.space_format(space, genes), int(options["C"]), int(options["N"])

    return network


NETWORK_OF: dict[str, Callable[[str], tuple[str, str, int, int]]] = {
    "nb201": network_of_nb201,
    "nb101": network_of_nb101,
    "nats_sss": lambda text: ("nats_sss", text, 0, 1),
    "darts_cifar": network_of_darts,
    "darts_imagenet": network_of_darts,
    "super_nb201": network_of_supernet("super_nasbench201"),
    "super_darts": network_of_supernet("super_darts"),
    "nds_darts": lambda text: ("nds_darts", text, 0, 0),
    "nds_darts_in": lambda text: ("nds_darts", text, 0, 0),
    "nds_enas": lambda text: ("nds_enas", text, 0, 0),
    "nds_pnas": lambda text: ("nds_pnas", text, 0, 0),
    "nds_nasnet": lambda text: ("nds_nasnet", text, 0, 0),
    "nds_amoeba": lambda text: ("nds_amoeba", text, 0, 0),
    "burgerformer": lambda text: ("burgerformer", text, 0, 0),
    "proxyless": lambda text: ("proxylessnas", text, 0, 0),
    "proxyless_official": lambda text: ("mbconv", text, 0, 0),
    "mbconv_se_swish": lambda text: ("mbconv", text, 0, 0),
}
OF_IMAGENET = ("darts_imagenet", "nds_darts_in")


COLUMNS = (
    "logit_0_0",
    "logit_0_1",
    "logit_last_last",
    "sum_abs_logits",
    "loss",
    "sum_abs_weight_grads",
)
# Beside the table: space and number of the row of spaces_check.csv whose network it is.
LEFT_OUT = {
    ("nds_amoeba", 1): (  # dil_sep_conv
        -0.085262939432, 0.129253341534, 0.00327870061222, 1.25572503353, 2.41256540337,
        65682.692947,
    ),
    ("mbconv_se_swish", 0): (
        0.17667911233, 0.121262505976, -0.0650084712947, 199.609553758, 6.73994238642,
        9024.61433068,
    ),
    ("proxyless_official", 0): (
        -0.0620591585464, 0.17128142069, -0.33327153149, 369.162083312, 6.85897564143,
        28727.189154,
    ),
    ("burgerformer", 1): (  # attention in two stages
        0.256122188269, 0.497723559379, -0.34764036276, 836.678344914, 6.72201384325, 88181.791656,
    ),
}  # fmt: skip


def shared_rows(name: str) -> list[dict[str, str]]:
    path = SHARED / name
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["space"] in NETWORK_OF]


def wiring_rows() -> list[dict[str, str]]:
    rows, checked = shared_rows("spaces_wiring.csv"), shared_rows("spaces_check.csv")
    for (space, number), values in LEFT_OUT.items() if checked else ():
        row = [row for row in checked if row["space"] == space][number]
        rows.append(row | dict(zip(COLUMNS, map(str, values), strict=True)))
    return rows


def wiring_cases() -> list[Any]:
    return [
        pytest.param(row, marks=pytest.mark.slow if row["space"] == "burgerformer" else ())
        for row in wiring_rows()
    ] or [None]


@pytest.mark.parametrize(
    "row", wiring_cases(), ids=lambda r: r["architecture"][:80] if r else "absent"
)
def test_network_matches_the_wiring_table(row: dict[str, str] | None) -> None:
    if row is None:
        pytest.skip("shared spaces_wiring.csv is absent (set ZEROSHOT_SHARED)")
    space, arch, channels, cells = NETWORK_OF[row["space"]](row["architecture"])
    size, classes = int(row["input_size"]), int(row["classes"])
    genes = _core.space_parse(space, arch)
    builder = "imagenet" if row["space"] in OF_IMAGENET else "autodl"
    graph = _core.space_build(space, genes, channels, cells, classes, (3, size, size), builder)
    weights, t = {}, 0
    for tensor in graph.tensors():
        n = int(np.prod(tensor["shape"]))
        if tensor["counted"]:
            weights[tensor["name"]] = hashed(n, t).reshape(tensor["shape"]) / np.sqrt(
                n / tensor["shape"][0]
            )
            t += 1
        elif tensor["role"] in ("bias", "scale"):
            weights[tensor["name"]] = np.full(tensor["shape"], float(tensor["role"] == "scale"))
    x = hashed(2 * 3 * size * size, -1).reshape(2, 3, size, size)
    got = run(graph, x, np.array([0, 1]), weights, sink=(2, 1, "cross_entropy", False))
    z = got["logits"]
    values = {
        "logit_0_0": z[0, 0],
        "logit_0_1": z[0, 1],
        "logit_last_last": z[1, -1],
        "sum_abs_logits": np.abs(z).sum(),
        "loss": got["losses"][0],
        "sum_abs_weight_grads": sum(np.abs(g).sum() for g in got["gradients"].values()),
    }
    for key, value in values.items():
        assert value == pytest.approx(float(row[key]), rel=1e-9, abs=1e-9 * np.abs(z).max()), key
