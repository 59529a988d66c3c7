"""Networks of ops over positions: random ones, attention, products with the Hessian."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zeroshot import Graph, reference

from .ops.oracle import USABLE, Array, Node, build, every_table, run_core
from .test_dual import assert_products, problem

SHAPE = (3, 3, 4)
POSITIONS = SHAPE[1] * SHAPE[2]
OPS = (
    *("linear", "linear_spatial", "attention", "matmul", "softmax", "group_norm", "layer_norm"),
    *("scale_channels", "slice_channels", "relu", "add", "zero", "identity"),
)


@st.composite
def token_networks(draw: st.DrawFn, most: int = 7) -> list[Node]:
    """Ops over the positions of maps of `SHAPE`, each with inputs drawn from those before it."""
    nodes: list[Node] = []
    channels = [SHAPE[0]]

    def add(op: str, inputs: list[int], width: int, **attrs: Any) -> int:
        nodes.append((op, f"n{len(nodes) + 1}", inputs, attrs))
        channels.append(width)
        return len(nodes)

    def divisor(n: int) -> int:
        return draw(st.sampled_from([d for d in (1, 2, 3, 4) if n % d == 0]))

    add("linear", [0], draw(st.sampled_from([4, 6])), out_features=0, bias=draw(st.booleans()))
    nodes[0][3]["out_features"] = channels[1]
    for _ in range(draw(st.integers(1, most))):
        x = draw(st.integers(0, len(nodes)))
        c = channels[x]
        op = draw(st.sampled_from(OPS))
        match op:
            case "linear":
                k = draw(st.integers(1, 5))
                add(op, [x], k, out_features=k, bias=draw(st.booleans()))
            case "linear_spatial":
                add(op, [x], c, bias=draw(st.booleans()))
            case "attention" if c <= POSITIONS * 4:
                heads = divisor(c)
                same = [i for i, k in enumerate(channels) if k == c]
                other = draw(st.sampled_from(same))
                s = add("matmul", [x, other], heads * POSITIONS, heads=heads, transpose_b=True,
                        scale=0.4)  # fmt: skip
                s = add("softmax", [s], heads * POSITIONS, groups=heads)
                add("matmul", [s, other], c, heads=heads, transpose_b=False, scale=1.0)
            case "matmul":
                s = add(op, [x, x], POSITIONS, heads=1, transpose_b=True, scale=-0.2)
                add(op, [s, x], c, heads=1, transpose_b=False, scale=0.3)
            case "softmax":
                add(op, [x], c, groups=divisor(c))
            case "group_norm":
                add(op, [x], c, groups=divisor(c), eps=0.1, affine=draw(st.booleans()))
            case "layer_norm":
                add(op, [x], c, eps=0.1, affine=draw(st.booleans()))
            case "scale_channels":
                add(op, [x], c, initial=0.5)
            case "slice_channels":
                k = draw(st.integers(1, c))
                add(op, [x], k, channels=k, start=draw(st.integers(0, c - k)))
            case "add":
                same = [i for i, k in enumerate(channels) if k == c]
                add(op, [x, draw(st.sampled_from(same))], c, coef=[0.7, -1.3])
            case "zero":
                add(op, [x], c, stride=1)
            case _:
                add("relu" if op == "relu" else "identity", [x], c)
    last = len(nodes)
    ends = sorted({last, *draw(st.lists(st.integers(1, last), max_size=2))})
    parts = []
    for i in ends:
        flat = draw(st.booleans()) and channels[i] <= 6
        width = channels[i] * (POSITIONS if flat else 1)
        pooled = add("flatten" if flat else "global_avg_pool", [i], width)
        parts.append(add("linear", [pooled], 3, out_features=3, bias=True))
    add("add", parts, 3, coef=[1.0] * len(parts))
    return nodes


ROUNDING = 2.0**-53


@settings(max_examples=150, deadline=None)
@given(
    nodes=token_networks(),
    table=st.sampled_from(USABLE),
    dead=st.booleans(),
    recompute=st.sampled_from([0, 1, 2]),
    n_threads=st.sampled_from([1, 2]),
    seed=st.integers(0, 2**32 - 1),
)
def test_gradients_of_random_network_match_reference(
    nodes: list[Node], table: str, dead: bool, recompute: int, n_threads: int, seed: int
) -> None:
    p = problem(SHAPE, nodes, seed=seed)
    want = reference.run(p.graph.nodes(), p.weights, p.x, p.y, group_size=3)
    how: Any = {"table": table, "dead": dead, "recompute": recompute, "n_threads": n_threads}
    got = run_core(p.graph, p.weights, p.x, p.y, group_size=3, loss="cross_entropy", **how)
    top = max(float(np.abs(g).max()) for g in want.gradients.values())
    scale = float(np.abs(want.logits).max()) + 1
    assert np.abs(got["logits"] - want.logits).max() <= 1e4 * ROUNDING * scale
    assert got["gradients"].keys() == want.gradients.keys()
    for name, g in want.gradients.items():
        limit = 1e-9 * np.abs(g).max() + 1e-12 * (1 + top)
        assert np.abs(got["gradients"][name] - g).max() <= limit, name


@settings(max_examples=100, deadline=None)
@given(
    nodes=token_networks(),
    table=st.sampled_from(USABLE),
    dead=st.booleans(),
    recompute=st.sampled_from([0, 1, 2]),
    seed=st.integers(0, 2**32 - 1),
)
def test_hessian_product_of_random_network_matches_reference(
    nodes: list[Node], table: str, dead: bool, recompute: int, seed: int
) -> None:
    p = problem(SHAPE, nodes, seed=seed)
    got, _ = p.product(table=table, dead=dead, recompute=recompute)
    assert_products(got, p.expected())


@settings(max_examples=25, deadline=None)
@given(nodes=token_networks(4), seed=st.integers(0, 2**32 - 1))
def test_random_network_has_the_same_bits_for_any_number_of_threads(
    nodes: list[Node], seed: int
) -> None:
    p = problem(SHAPE, nodes, rows=8, seed=seed)
    one, two = (
        run_core(p.graph, p.weights, p.x, p.y, dtype=np.float32, group_size=4, n_threads=n)
        for n in (1, 2)
    )
    for name, g in one["gradients"].items():
        assert np.array_equal(g, two["gradients"][name], equal_nan=True), name


def transformer(heads: int = 2) -> list[Node]:
    """A block of each kind, with every op over positions."""
    g = Graph((3, 4, 4))
    h = g.conv2d(g.input, 8, 2, stride=1, padding=1, bias=True, name="stem")
    h = g.slice_channels(g.shift(h), 6, start=1)
    h = g.add(h, g.scale_channels(g.attention(g.layer_norm(h), heads, name="attn"), initial=0.5))
    h = g.add(h, g.linear_spatial(g.group_norm(h, groups=3), name="mix"))
    inner = g.relu(g.linear(g.group_norm(h), 12, name="expand"))
    h = g.layer_norm(g.add(h, g.linear(inner, 6, name="shrink")))
    both = g.concat(g.global_avg_pool(h), g.flatten(g.slice_channels(h, 2, start=3)))
    g.output(g.linear(both, 4, name="fc"))
    return [(n["op"], n["name"], n["inputs"], dict(n["attrs"])) for n in g.nodes()[1:]]


def test_gradient_is_the_slope_of_the_loss() -> None:
    """Central differences: error about step^2 times a third derivative, and rounding / step."""
    p = problem((3, 4, 4), transformer(), seed=1)
    how: Any = {"group_size": 6, "loss": "cross_entropy", "table": "reference"}
    got = run_core(p.graph, p.weights, p.x, p.y, **how)["gradients"]
    rng, step = np.random.default_rng(2), 1e-5
    for name, w in p.weights.items():
        v = rng.standard_normal(w.shape)
        ahead, behind = (
            run_core(p.graph, p.weights | {name: w + t * v}, p.x, p.y, **how)["losses"][0]
            for t in (step, -step)
        )
        slope, want = (ahead - behind) / (2 * step), float((got[name][0] * v).sum())
        assert abs(slope - want) <= 1e-6 * max(1.0, abs(want)), name


def test_hessian_product_is_the_slope_of_the_gradient() -> None:
    p, step = problem((3, 4, 4), transformer(), seed=3), 1e-6
    how: Any = {"group_size": 6, "loss": "cross_entropy", "table": "reference"}

    def at(t: float) -> Any:
        moved = {name: w + t * p.direction.get(name, 0.0) for name, w in p.weights.items()}
        return run_core(p.graph, moved, p.x, p.y, **how)["gradients"]

    ahead, behind = at(step), at(-step)
    got, _ = p.product()
    top = max(float(np.abs(h).max()) for h in got.values())
    for name, h in got.items():
        slope = (ahead[name] - behind[name])[0] / (2 * step)
        np.testing.assert_allclose(h, slope, rtol=0, atol=1e-6 * max(1.0, top))


@every_table
@pytest.mark.parametrize("heads", [1, 2, 3])
def test_hessian_product_of_transformer_matches_reference(heads: int, table: str) -> None:
    p = problem((3, 4, 4), transformer(heads), seed=4)
    assert_products(p.product(table=table)[0], p.expected())


# ---- attention against PyTorch -------------------------------------------------------------------


def torch_attention(torch: Any, x: Any, w: dict[str, Any], heads: int) -> Any:
    n, c, height, width = x.shape
    rows = x.flatten(2).transpose(1, 2)
    qkv = rows @ w["a.qkv.weight"].T
    q, k, v = qkv.reshape(n, -1, 3, heads, c // heads).permute(2, 0, 3, 1, 4)
    shares = torch.softmax(q @ k.transpose(2, 3) * (c // heads) ** -0.5, dim=-1)
    mixed = (shares @ v).transpose(1, 2).reshape(n, -1, c)
    out = mixed @ w["a.proj.weight"].T + w["a.proj.bias"]
    return out.transpose(1, 2).reshape(n, c, height, width)


@every_table
@pytest.mark.parametrize("heads", [1, 2, 4])
def test_attention_matches_torch(heads: int, table: str) -> None:
    """To float64 rounding: a few hundred roundings of what each sum adds up to."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    g = Graph((8, 3, 5))
    h = g.attention(g.input, heads, name="a")
    g.output(g.linear(g.flatten(h), 4, name="fc"))
    rng = np.random.default_rng(5)
    weights: dict[str, Array] = {
        t["name"]: rng.standard_normal(t["shape"]) for t in g.core.tensors()
    }
    x, y = rng.standard_normal((4, 8, 3, 5)), np.array([0, 1, 2, 3])
    w = {name: torch.tensor(a, requires_grad=True) for name, a in weights.items()}
    flat = torch_attention(torch, torch.tensor(x), w, heads).flatten(1)
    logits = flat @ w["fc.weight"].T + w["fc.bias"]
    torch.nn.functional.cross_entropy(logits, torch.tensor(y)).backward()
    got = run_core(g.core, weights, x, y, table=table, group_size=4, loss="cross_entropy")
    want = logits.detach().numpy()
    assert np.abs(got["logits"] - want).max() <= 400 * ROUNDING * np.abs(want).max()
    top = max(float(t.grad.abs().max()) for t in w.values())
    for name, tensor in w.items():
        off = np.abs(got["gradients"][name][0] - tensor.grad.numpy()).max()
        assert off <= 400 * ROUNDING * top, name


def test_attention_names_its_layers_and_says_what_does_not_fit() -> None:
    g = Graph((6, 2, 2))
    first, second = g.attention(g.input, 2, name="x"), g.attention(g.input, 3)
    assert first.shape == second.shape == (6, 2, 2)
    assert (first.name, second.name) == ("x.proj", "attention1.proj")
    assert g.attention(g.input, 1).name == "attention2.proj"
    assert g.attention(g.input, np.int64(2)).shape == (6, 2, 2)
    with pytest.raises(ValueError, match=r"heads: expected a divisor of the 6 .* 4"):
        g.attention(g.input, 4)
    for heads in (0, -1):
        with pytest.raises(ValueError, match=f"heads: expected an integer >= 1, got {heads}"):
            g.attention(g.input, heads)
    before = repr(g)
    with pytest.raises(ValueError, match="name"):
        g.attention(g.input, 2, name="n" * 58)  # too long for some of its ops
    assert repr(g) == before and g.attention(g.input, 2, name="n").name == "n.proj"
    for wrong in (2.0, True):
        with pytest.raises(TypeError, match="heads: expected an integer"):
            g.attention(g.input, wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="belongs to another graph"):
        g.attention(Graph((6, 2, 2)).input, 2)


def test_transformer_survives_its_node_list() -> None:
    p = build((3, 4, 4), transformer())
    again = Graph.from_nodes(p.nodes())
    assert again.nodes() == [dict(n) for n in p.nodes()]
