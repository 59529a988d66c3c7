"""NAS-Bench-201 as zero-cost-nas builds it: every operation on every edge, the chosen ones run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import zeroshot
from zeroshot import GradSign, Sweet, XiGsnr, _core, _testing, reference
from zeroshot.cli import main
from zeroshot.errors import ArchitectureError
from zeroshot.scores import VARIANTS
from zeroshot.spaces import nasbench201 as nb

CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
DEAD = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"
FULL = nb.format((3, 2, 3, 2, 3, 2))
NO_PATH = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
CELLS = [CELL, DEAD, FULL, NO_PATH]
SIZE: dict[str, Any] = {"channels": 4, "cells": 1, "builder": "zerocost"}
TINY: dict[str, Any] = {**SIZE, "n_threads": 1}
RNG = np.random.default_rng(21)
X, Y = RNG.standard_normal((8, 3, 8, 8)), RNG.integers(0, 10, 8)
P = 1_685_552  # counted weights at the defaults

every_cell = pytest.mark.parametrize("arch", CELLS)


def build(
    arch: Any, builder: str, channels: int = 4, cells: int = 1, size: int = 8, classes: int = 10
) -> Any:
    shape = (3, size, size)
    return _core.space_build(nb.NAME, nb.parse(arch), channels, cells, classes, shape, builder)


def drawn(graph: Any, seed: int = 0) -> dict[str, NDArray[Any]]:
    tensors = graph.tensors()
    layers = {t["name"].rsplit(".", 1)[0]: t for t in tensors if t["role"] == "weight"}
    shapes = [
        (t["role"], t["shape"], int(np.prod(layer["shape"][1:])) if layer else 1)
        for t in tensors
        for layer in [layers.get(t["name"].rsplit(".", 1)[0])]
    ]
    arrays = _testing.init_all(shapes, "torch", seed)
    return {t["name"]: array for t, array in zip(tensors, arrays, strict=True)}


def counted(arch: Any, **options: Any) -> dict[str, NDArray[np.float64]]:
    return dict(zeroshot.gradients(arch, X, Y, **{**TINY, **options}).gradients)


# --- the network -----------------------------------------------------------------------------


def test_every_network_has_the_published_sizes() -> None:
    for arch in [*CELLS, *nb.sample(20, 0)]:
        sizes, own = zeroshot.count(arch, builder="zerocost"), zeroshot.count(arch)
        assert (sizes.weights, sizes.params) == (P, 1_692_826)
        assert zeroshot.count(arch, builder="zerocost", num_classes=120).weights == P + 110 * 64
        # what is run is the same
        for name in ("macs", "thop_flops", "live_weights", "live_macs"):
            assert getattr(sizes, name) == getattr(own, name), name


def test_weights_stand_in_the_order_in_which_they_are_drawn() -> None:
    tensors = build(CELL, "zerocost").tensors()
    names = [t["name"] for t in tensors if t["role"] in ("weight", "bias")]
    convs = [
        f"cell{cell:02d}.e{source}{node}.conv_{size}.{role}"
        for cell in range(3)
        for source, node in nb.EDGES
        for size in ("3x3", "1x1")
        for role in ("weight", "bias")
    ]
    blocks = [[f"res{i}.{conv}.weight" for conv in ("conv_a", "conv_b", "down")] for i in (1, 2)]
    assert names == [
        "stem.conv.weight",
        *convs[:24],
        *blocks[0],
        *convs[24:48],
        *blocks[1],
        *convs[48:],
        "head.fc.weight",
        "head.fc.bias",
    ]
    # batch norm: affine outside of cells, and nowhere else
    gammas = [t["name"] for t in tensors if t["role"] == "gamma"]
    norms = ["stem.bn", *(f"res{i}.bn_{c}" for i in (1, 2) for c in "ab"), "head.bn"]
    assert gammas == [f"{name}.gamma" for name in norms]
    assert zeroshot.weight_names(CELL, **SIZE) == {t["name"]: t["shape"] for t in tensors}


def test_all_networks_have_one_set_of_tensors() -> None:
    expected = build(0, "zerocost").tensors()
    for arch in CELLS:
        assert build(arch, "zerocost").tensors() == expected


def what_is_read(arch: Any, builder: str) -> list[Any]:
    """Steps on the way to the logits, without names, biases and what batch norm is."""
    nodes = build(arch, builder).nodes()
    needed = {nodes[-1]["id"]}
    for node in reversed(nodes):
        if node["id"] in needed:
            needed.update(node["inputs"])
    number = {node["id"]: i for i, node in enumerate(n for n in nodes if n["id"] in needed)}
    return [
        (
            n["op"],
            [number[i] for i in n["inputs"]],
            n["shape"],
            {k: v for k, v in n["attrs"].items() if k not in ("bias", "affine")},
        )
        for n in nodes
        if n["id"] in needed
    ]


def test_what_is_read_is_the_benchmark_s_network() -> None:
    for arch in [*CELLS, *nb.sample(30, 1)]:
        assert what_is_read(arch, "zerocost") == what_is_read(arch, "autodl")


def test_impossible_networks_are_refused() -> None:
    with pytest.raises(ValueError, match="more than 65536 nodes"):
        build(CELL, "zerocost", cells=1000)
    with pytest.raises(ValueError, match=r"builder: expected one of .*'autodl', 'zerocost'"):
        build(CELL, "zero-cost")
    with pytest.raises(
        ValueError, match=r"builder: expected one of autodl, zerocost, .*; got 'own'"
    ):
        zeroshot.count(CELL, builder="own")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="builder: expected a string"):
        zeroshot.count(CELL, builder=1)  # type: ignore[arg-type]
    with pytest.raises(ArchitectureError):
        zeroshot.count("|none~0|", builder="zerocost")


# --- gradients and scores --------------------------------------------------------------------


@every_cell
@pytest.mark.parametrize("batch_size", [1, 4])
def test_gradients_are_the_reference_s(arch: str, batch_size: int) -> None:
    graph = build(arch, "zerocost")
    expected = reference.run(graph.nodes(), drawn(graph), X, Y, group_size=batch_size)
    got = zeroshot.gradients(arch, X, Y, batch_size=batch_size, dtype="float64", **TINY)
    largest = max(np.abs(g).max() for g in expected.gradients.values())
    assert sum(g[0].size for g in got.gradients.values()) == zeroshot.count(arch, **SIZE).weights
    for name, g in got.gradients.items():
        want = expected.gradients[name]
        assert np.abs(g - want).max() <= 1e-9 * np.abs(want).max() + 1e-12 * largest, name


@every_cell
def test_weights_of_what_is_not_chosen_get_exact_zeros(arch: str) -> None:
    n_live = 0
    for name, g in counted(arch, batch_size=4).items():
        n_live += g[0].size * bool(g.any())
        if name.startswith("cell"):
            (edge,) = (i for i, (a, b) in enumerate(nb.EDGES) if f".e{a}{b}." in name)
            chosen = nb.OPS[nb.parse(arch)[edge]] == f"nor_{name.split('.')[2]}"
            assert g.any() == (chosen and nb.live_edges(arch)[edge]), name
    if nb.has_path(arch):
        assert n_live == zeroshot.count(arch, **SIZE).live_weights


@every_cell
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scores_are_the_reference_s(arch: str, dtype: Any) -> None:
    batches = counted(arch, batch_size=4, dtype=dtype)
    for variant in VARIANTS:
        options: dict[str, Any] = {"variant": variant, "xi": 1e-6}
        ours = zeroshot.xi_gsnr(arch, X, Y, batch_size=4, dtype=dtype, **options, **TINY)
        assert ours == pytest.approx(reference.xi_gsnr(batches, **options), rel=1e-10), variant
    samples = counted(arch, batch_size=1, dtype=dtype)
    for reduction in ("sum", "mean"):
        ours = zeroshot.gradsign(arch, X, Y, n_samples=8, reduction=reduction, dtype=dtype, **TINY)
        assert ours == pytest.approx(reference.gradsign(samples, reduction=reduction), rel=1e-15)
    grads = {name: g.astype(dtype) for name, g in counted(arch, batch_size=8, dtype=dtype).items()}
    for lo, hi in ((0, 1e-3), (1e-3, 1e-1), (0, np.inf)):
        ours = zeroshot.sweet_count(arch, X, Y, lo=lo, hi=hi, batch_size=8, dtype=dtype, **TINY)
        assert ours == reference.sweet_count(grads, lo, hi)
    assert ours == zeroshot.count(arch, **SIZE).weights


@pytest.mark.parametrize("options", [{"n_threads": 2}, {"recompute": True}])
def test_how_it_runs_changes_no_bit(options: dict[str, Any]) -> None:
    scores = [XiGsnr(batch_size=4), GradSign(n_samples=4)]
    expected = zeroshot.score(FULL, X, Y, scores=scores, **TINY).values
    assert zeroshot.score(FULL, X, Y, scores=scores, **{**TINY, **options}).values == expected


def test_given_weights_are_taken() -> None:
    graph = build(CELL, "zerocost")
    own = counted(CELL, batch_size=8, seed=5)
    given = counted(CELL, batch_size=8, weights=drawn(graph, 5))
    assert all(np.array_equal(own[name], given[name]) for name in own)


def torch_network(torch: Any, arch: str, channels: int, cells: int) -> Any:
    """The network, its counted weights by our names, and its layers, drawn in the order of
    zero-cost-nas."""
    nn = torch.nn
    layers: list[Any] = []
    named: dict[str, Any] = {}

    def keep(layer: Any) -> Any:
        layers.append(layer)
        return layer

    def conv(name: str, *args: Any, **kwargs: Any) -> Any:
        layer = keep(nn.Conv2d(*args, **kwargs))
        named[f"{name}.weight"] = layer.weight
        return layer

    def norm(c: int) -> Any:
        return keep(nn.BatchNorm2d(c))

    def cell(name: str, c: int) -> Any:
        edges = []
        for source, node in nb.EDGES:
            at = f"{name}.e{source}{node}.conv"
            edges.append(
                {
                    "none": lambda x: x * 0,
                    "avg_pool_3x3": nn.AvgPool2d(3, 1, 1, count_include_pad=False),
                    "nor_conv_3x3": nn.Sequential(
                        nn.ReLU(),
                        conv(f"{at}_3x3", c, c, 3, padding=1),
                        nn.BatchNorm2d(c, affine=False, track_running_stats=False),
                    ),
                    "nor_conv_1x1": nn.Sequential(
                        nn.ReLU(),
                        conv(f"{at}_1x1", c, c, 1),
                        nn.BatchNorm2d(c, affine=False, track_running_stats=False),
                    ),
                    "skip_connect": nn.Identity(),
                }
            )

        def forward(x: Any) -> Any:
            nodes = [x]
            for node in (1, 2, 3):
                terms = [
                    edges[i][nb.OPS[op]](nodes[source])
                    for i, (op, (source, end)) in enumerate(
                        zip(nb.parse(arch), nb.EDGES, strict=True)
                    )
                    if end == node
                ]
                nodes.append(sum(terms[1:], terms[0]))
            return nodes[3]

        return forward

    def residual(name: str, c: int) -> Any:
        def half(part: str, c_in: int, stride: int) -> Any:
            layer = conv(f"{name}.conv_{part}", c_in, 2 * c, 3, stride, 1, bias=False)
            return nn.Sequential(nn.ReLU(), layer, norm(2 * c))

        body = nn.Sequential(half("a", c, 2), half("b", 2 * c, 1))
        down = nn.Sequential(nn.AvgPool2d(2, 2), conv(f"{name}.down", c, 2 * c, 1, bias=False))
        return lambda x: down(x) + body(x)

    steps: list[Any] = [
        conv("stem.conv", 3, channels, 3, padding=1, bias=False),
        norm(channels),
    ]
    for stage in range(3):
        if stage:
            steps.append(residual(f"res{stage}", channels))
            channels *= 2
        steps += [cell(f"cell{stage * cells + i:02d}", channels) for i in range(cells)]
    fc = keep(nn.Linear(channels, 10))
    named["head.fc.weight"] = fc.weight
    steps += [norm(channels), nn.ReLU(), lambda x: fc(x.mean((2, 3)))]

    def network(x: Any) -> Any:
        for step in steps:
            x = step(x)
        return x

    return network, named, layers


@every_cell
def test_weights_and_gradients_are_pytorch_s(arch: str) -> None:
    """The bits of the weights; gradients in float64. A gradient that is missing is zero here."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: no parity check")
    torch.manual_seed(3)
    network, named, layers = torch_network(torch, arch, 8, 2)
    weights = drawn(build(arch, "zerocost", 8, 2, 16), 3)
    for name, w in named.items():
        assert np.array_equal(w.detach().numpy(), weights[name]), name
    for layer in layers:
        layer.double()
    x = np.random.default_rng(0).standard_normal((16, 3, 16, 16))
    y = np.arange(16) % 10
    torch.nn.functional.cross_entropy(network(torch.from_numpy(x)), torch.from_numpy(y)).backward()
    size: dict[str, Any] = {
        "channels": 8,
        "cells": 2,
        "builder": "zerocost",
        "seed": 3,
        "dtype": "float64",
    }
    got = zeroshot.gradients(arch, x, y, batch_size=16, **size).gradients
    assert set(got) == set(named)
    largest = max(np.abs(g).max() for g in got.values())
    for name, w in named.items():
        want = np.zeros(w.shape) if w.grad is None else w.grad.numpy()
        # as tests/test_torch_parity.py
        allowed = 1e-9 * np.abs(want).max() + 1e-13 * largest
        assert np.abs(got[name][0] - want).max() <= allowed, name
        if w.grad is None:
            assert not got[name].any()


# --- equal cells, keys, command line ---------------------------------------------------------

# one network: a convolution at a time is dead, in front of `none` or behind it
SKIP = "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
SKIP_DEAD = "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|skip_connect~0|none~1|none~2|"
ALL_SCORES = [
    XiGsnr(batch_size=4),
    XiGsnr(batch_size=4, variant="inv_var_xi", label="inv_var_xi"),
    GradSign(n_samples=3, reduction="mean"),
    Sweet(0, np.inf, batch_size=8),
]


@pytest.mark.parametrize("arch", [CELL, DEAD, SKIP_DEAD, NO_PATH, *nb.sample(12, 3)])
def test_cells_of_one_network_score_as_their_representative(arch: str) -> None:
    """Whatever a cell has in dead weights: all have the same, and `Sweet` counts them all."""
    result = zeroshot.score(arch, X, Y, scores=ALL_SCORES, canonical="network", **TINY)
    stand_in = nb.representative(arch, "network")
    assert result.scored_as == stand_in
    assert result.values == zeroshot.score(stand_in, X, Y, scores=ALL_SCORES, **TINY).values
    assert result.values["sweet"] == zeroshot.count(arch, **SIZE).weights
    many = list(
        zeroshot.score_many([stand_in, arch], X, Y, scores=ALL_SCORES, canonical="network", **TINY)
    )
    assert many[0].values == many[1].values == result.values


def test_sweet_interval_of_cells_is_that_of_their_representatives() -> None:
    archs = [CELL, DEAD, SKIP_DEAD, FULL]
    options: dict[str, Any] = {"batch_size": 8, **TINY}
    of_network = zeroshot.find_sweet_interval(archs, X, Y, canonical="network", **options)
    stand_ins = [nb.representative(arch, "network") for arch in archs]
    assert of_network == zeroshot.find_sweet_interval(stand_ins, X, Y, **options)


def test_cells_of_one_network_without_convolutions_score_alike_by_themselves() -> None:
    """Nothing of theirs that is live is drawn differently."""
    one, other = (
        zeroshot.score(arch, X, Y, scores=ALL_SCORES, **TINY).values for arch in (SKIP, SKIP_DEAD)
    )
    assert one == other


@pytest.mark.parametrize("mode", [True, "form"])
def test_forms_are_refused(mode: Any) -> None:
    with pytest.raises(ValueError, match='canonical: expected False or "network" with builder='):
        zeroshot.xi_gsnr(CELL, X, Y, batch_size=4, canonical=mode, **TINY)


def test_key_has_the_builder_only_where_it_is_not_the_default() -> None:
    def key(**options: Any) -> str:
        size: dict[str, Any] = {"channels": 4, "cells": 1}
        result = zeroshot.score(CELL, X, Y, scores=XiGsnr(batch_size=4), **size, **options)
        return result.scores["xi_gsnr"].keys[0]

    assert key() == key(builder="autodl") != key(builder="zerocost")


def test_command_line_has_the_builder(capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    path = tmp_path / "images.npz"
    np.savez(path, x=RNG.integers(0, 256, (8, 8, 8, 3), dtype=np.uint8), y=Y)
    args = ["score", CELL, "--data", str(path), "--channels", "4", "--cells", "1", "--csv"]
    args += ["--batch-size", "4", "--batches", "2", "--classes", "10"]
    values = []
    for builder in (["--builder", "autodl"], ["--builder", "zerocost"], []):
        assert main([*args, *builder]) == 0
        values.append(capsys.readouterr().out)
    assert values[0] == values[2] != values[1]
    assert main([*args, "--builder", "own"]) == 2
    assert "--builder" in capsys.readouterr().err
