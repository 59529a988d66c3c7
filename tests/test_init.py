"""Weight initialisers: published sample values, PyTorch's bits, and what each kind promises."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zeroshot import _core, _testing

from .ops.oracle import UNIT, Array, assert_bits, assert_close

KINDS = _testing.init_kinds()
HALF_ULP = UNIT[np.dtype(np.float32)]
Tensor = tuple[str, tuple[int, ...], int]
every_kind = pytest.mark.parametrize("kind", KINDS)


def layer(*shape: int, bias: bool = False) -> list[Tensor]:
    fan_in = int(np.prod(shape[1:]))
    weight: list[Tensor] = [("weight", shape, fan_in)]
    return [*weight, ("bias", shape[:1], fan_in)] if bias else weight


def norm(channels: int) -> list[Tensor]:
    return [("gamma", (channels,), 1), ("beta", (channels,), 1)]


# Wide, tall and square; grouped; fewer than 16 elements, which are drawn in another way.
NETWORK = [
    *layer(16, 3, 3, 3),
    *norm(16),
    *layer(16, 1, 3, 3, bias=True),
    *layer(3, 2, 1, 1),
    *layer(24, 16, 1, 1, bias=True),
    *layer(5, 7, 1, 3),
    *layer(2, 2, bias=True),
    *layer(10, 65, bias=True),
]


def test_kinds_are_those_of_the_package() -> None:
    assert tuple(KINDS) == _core.list_inits() and KINDS[0] == "torch"


# ---- sample values of manual_seed(0), computed with PyTorch --------------------------------------

CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|"
# tensor number in the order of construction: first two weights, sum of absolute values
NASBENCH201 = {
    0: (-0.00144084, 0.1032386, 41.752120),  # stem 16x3x3x3
    1: (0.0707315, 0.0054657, 95.752681),  # cell 0, edge 0->1, 16x16x3x3
    2: (-0.2099463, -0.2192138, 29.351686),  # cell 0, edge 1->2, 16x16x1x1
    16: (0.0040371, 0.0613579, 187.814482),  # first residual block, 32x16x3x3
    18: (0.0530692, -0.0046988, 64.939443),  # its 1x1 downsample
    -1: (-0.0152300, 0.0901575, 38.676446),  # classifier 10x64
}
DARTS = {
    0: (-0.0014408, 0.1032386, 127.824857),  # stem 48x3x3x3
    1: (0.0542781, -0.0616599, 54.072836),  # cell 0 preprocess0 16x48x1x1
}


def assert_sample(w: Array, sample: tuple[float, float, float]) -> None:
    """Up to the digits that are printed, and the rounding of a sum in float."""
    first, second, total = sample
    assert_close(w.reshape(-1)[:2], [first, second], 0.6e-7, "first two weights")
    size = float(abs(w).sum(dtype=np.float64))
    assert_close(size, total, 0.6e-6 + 2 * total * HALF_ULP, "sum of absolute values")


def test_nasbench201_starts_from_the_published_weights() -> None:
    genes = _core.space_parse("nasbench201", CELL)
    graph = _core.space_build("nasbench201", genes, 16, 5, 10, (3, 32, 32))
    tensors: list[Tensor] = []
    for t in graph.tensors():
        shape = t["shape"]
        fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else tensors[-1][2] if tensors else 1
        tensors.append((t["role"], shape, fan_in))
    drawn = _testing.init_all(tensors, "torch", 0)
    weights = [w for w, t in zip(drawn, tensors, strict=True) if t[0] == "weight"]
    for number, sample in NASBENCH201.items():
        assert_sample(weights[number], sample)


def test_darts_starts_from_the_published_weights() -> None:
    drawn = _testing.init_all([*layer(48, 3, 3, 3), *layer(16, 48, 1, 1)], "torch", 0)
    for number, sample in DARTS.items():
        assert_sample(drawn[number], sample)


# ---- PyTorch itself ------------------------------------------------------------------------------


def torch_network(tensors: list[Tensor], kind: str, seed: int) -> list[Array]:
    """Layers built in order, then one pass over all of them: what a PyTorch user writes."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    if torch.backends.cpu.get_cpu_capability() == "DEFAULT":
        pytest.skip("PyTorch draws with AVX2 from here on; this CPU has none")
    init: Any = torch.nn.init
    again = {
        "xavier_uniform": init.xavier_uniform_,
        "xavier_normal": init.xavier_normal_,
        "kaiming_uniform": init.kaiming_uniform_,
        "kaiming_normal": init.kaiming_normal_,
        "kaiming_uniform_fan_out": lambda w: init.kaiming_uniform_(w, mode="fan_out"),
        "kaiming_normal_fan_out": lambda w: init.kaiming_normal_(w, mode="fan_out"),
        "orthogonal": init.orthogonal_,
        "normal": init.normal_,
        "nasbench101": lambda w: init.normal_(
            w, 0, 0.01 if w.ndim == 2 else math.sqrt(2 / (w[0, 0].numel() * len(w)))
        ),
        "proxylessnas": lambda w: w if w.ndim == 2 else init.kaiming_normal_(w, mode="fan_out"),
        "fairnas": lambda w: (
            init.uniform_(w, -1 / math.sqrt(len(w)), 1 / math.sqrt(len(w)))
            if w.ndim == 2
            else init.normal_(w, 0, math.sqrt(2 / (w[0, 0].numel() * len(w))))
        ),
    }
    torch.manual_seed(seed)
    layers: list[Any] = []
    out: list[Any] = []
    for i, (role, shape, _) in enumerate(tensors):
        if role != "weight":
            continue
        bias = tensors[i + 1][0] == "bias" if i + 1 < len(tensors) else False
        made: Any
        if len(shape) == 4:
            made = torch.nn.Conv2d(shape[1], shape[0], shape[2:], bias=bias)
        else:
            made = torch.nn.Linear(shape[1], shape[0], bias=bias)
        layers.append(made)
        out += [made.weight, made.bias] if bias else [made.weight]
    if kind == "burgerformer":
        for layer in (layer for layer in layers if isinstance(layer, torch.nn.Linear)):
            init.normal_(layer.weight, 0, 0.02)
            if layer.bias is not None:
                init.zeros_(layer.bias)
    elif kind != "torch":
        for p in out:
            again[kind](p) if p.ndim > 1 else init.zeros_(p)
    return [p.detach().numpy() for p in out]


def assert_like_torch(tensors: list[Tensor], kind: str, seed: int) -> None:
    drawn = [
        (t, w)
        for t, w in zip(tensors, _testing.init_all(tensors, kind, seed), strict=True)
        if t[0] in ("weight", "bias")
    ]
    expected = torch_network(tensors, kind, seed)
    for (tensor, got), want in zip(drawn, expected, strict=True):
        drawn_again = ("nasbench101", "proxylessnas", "fairnas", "burgerformer")
        is_normal = "normal" in kind or kind in drawn_again
        if is_normal and tensor[0] == "weight" and want.size < 16:
            # logarithm, sine and cosine of the C library
            assert_close(got, want, 2 * HALF_ULP * abs(want), f"{kind} {tensor}")
        elif kind == "orthogonal" and tensor[0] == "weight":
            # two algorithms: torch's in float, so its error grows with the matrix and its condition
            matrix = want.reshape(len(want), -1)
            limit = 64 * HALF_ULP * max(matrix.shape) * condition(tensors, seed, tensor)
            assert_close(got, want, limit, f"{kind} {tensor}")
        else:
            assert_bits(got, want, f"{kind} {tensor}")


def condition(tensors: list[Tensor], seed: int, tensor: Tensor) -> float:
    """Of the normal matrix that is made orthogonal (kind "normal" draws the same one)."""
    drawn = _testing.init_all(tensors, "normal", seed)[tensors.index(tensor)]
    return float(np.linalg.cond(drawn.reshape(len(drawn), -1)))


@every_kind
@pytest.mark.parametrize("seed", [0, 7])
def test_init_has_the_bits_of_torch(seed: int, kind: str) -> None:
    assert_like_torch(NETWORK, kind, seed)


@settings(max_examples=30)
@given(data=st.data(), kind=st.sampled_from([k for k in KINDS if k != "orthogonal"]))
def test_init_of_any_shapes_has_the_bits_of_torch(data: Any, kind: str) -> None:
    tensors: list[Tensor] = []
    for _ in range(data.draw(st.integers(1, 5))):
        wide, tap = st.integers(1, 20), st.integers(1, 3)
        shape = data.draw(st.one_of(st.tuples(wide, wide, tap, tap), st.tuples(wide, wide)))
        tensors += layer(*shape, bias=data.draw(st.booleans()))
    assert_like_torch(tensors, kind, data.draw(st.integers(0, 2**32 - 1)))


# ---- what a kind promises ------------------------------------------------------------------------

SCALE = {  # of a 64 x 32 x 3 x 3 weight: the variance
    "torch": 1 / (3 * 32 * 9),
    "xavier_uniform": 2 / (96 * 9),
    "xavier_normal": 2 / (96 * 9),
    "kaiming_uniform": 2 / (32 * 9),
    "kaiming_normal": 2 / (32 * 9),
    "kaiming_uniform_fan_out": 2 / (64 * 9),
    "kaiming_normal_fan_out": 2 / (64 * 9),
    "normal": 1.0,
    "nasbench101": 2 / (64 * 9),
    "proxylessnas": 2 / (64 * 9),
    "fairnas": 2 / (64 * 9),
    "orthogonal": 1 / (32 * 9),
    "burgerformer": 1 / (3 * 32 * 9),  # a convolution
}


@every_kind
def test_init_has_the_scale_of_its_formula(kind: str) -> None:
    """Mean 0 and the variance of the kind, within five standard errors; uniforms inside of b."""
    (w,) = _testing.init_all(layer(64, 32, 3, 3), kind, 1)
    variance = SCALE[kind]
    assert abs(w.mean()) < 5 * np.sqrt(variance / w.size)
    # the fourth moment of a normal is 3 variances squared, that of a uniform 9/5
    assert abs((w.astype(np.float64) ** 2).mean() / variance - 1) < 5 * np.sqrt(2 / w.size)
    if kind in ("torch", "burgerformer") or "uniform" in kind:
        b = np.sqrt(3 * variance)
        assert 0.99 * b < abs(w).max() <= b * (1 + HALF_ULP)


@every_kind
def test_what_is_no_weight_is_constant(kind: str) -> None:
    roles = {"bias": 0.0, "gamma": 1.0, "beta": 0.0, "running_mean": 0.0, "running_var": 1.0}
    tensors: list[Tensor] = [(role, (19,), 4) for role in roles]
    for (role, value), got in zip(roles.items(), _testing.init_all(tensors, kind, 0), strict=True):
        if kind in ("torch", "burgerformer") and role == "bias":  # a convolution's
            assert 0.25 < abs(got).max() <= 0.5  # uniform within 1 / sqrt(fan-in)
        else:
            assert_bits(got, np.full(19, value, np.float32), role)


def test_nasbench101_draws_linear_layers_with_deviation_001() -> None:
    (w,) = _testing.init_all(layer(100, 200), "nasbench101", 1)
    assert abs(w.std() / 0.01 - 1) < 5 / np.sqrt(2 * w.size)


def test_burgerformer_draws_linear_layers_with_deviation_002_and_nothing_else() -> None:
    w, bias = _testing.init_all(layer(100, 200, bias=True), "burgerformer", 1)
    assert abs(w.std() / 0.02 - 1) < 5 / np.sqrt(2 * w.size)
    assert not bias.any() and abs(w).max() < 2  # where the release cuts
    convs = layer(16, 3, 3, 3, bias=True)
    for got, want in zip(
        _testing.init_all([*convs, *layer(20, 30, bias=True)], "burgerformer", 1),
        _testing.init_all(convs, "torch", 1),
        strict=False,
    ):
        assert_bits(got, want, "a convolution")


def test_fairnas_draws_linear_layers_within_the_root_of_their_outputs() -> None:
    (w,) = _testing.init_all(layer(100, 200), "fairnas", 1)
    assert 0.099 < abs(w).max() <= 0.1 * (1 + HALF_ULP)


def test_proxylessnas_leaves_linear_layers_as_they_were_drawn_first() -> None:
    network = [*layer(8, 3, 3, 3), *layer(10, 8, bias=True)]
    before, after = (_testing.init_all(network, kind, 1) for kind in ("torch", "proxylessnas"))
    assert_bits(after[1], before[1], "linear weight")
    assert not after[2].any() and not np.array_equal(after[0], before[0])


@pytest.mark.parametrize("shape", [(8, 3, 3, 3), (27, 3, 2, 2), (16, 16, 1, 1), (64, 10), (1, 5)])
def test_orthogonal_is_orthonormal(shape: tuple[int, ...]) -> None:
    """Rows or columns, whichever are fewer; only the rounding to float is left."""
    (w,) = _testing.init_all(layer(*shape), "orthogonal", 3)
    m = w.reshape(len(w), -1).astype(np.float64)
    product = m @ m.T if m.shape[0] < m.shape[1] else m.T @ m
    assert_close(product, np.eye(len(product)), 3 * HALF_ULP, "products of the vectors")


@every_kind
def test_init_is_a_function_of_the_seed(kind: str) -> None:
    first, again, other = (_testing.init_all(NETWORK, kind, seed) for seed in (5, 5, 6))
    for a, b in zip(first, again, strict=True):
        assert_bits(a, b, "same seed")
    assert not np.array_equal(first[0], other[0])


def test_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown initialiser 'zeros'"):
        _testing.init_all([], "zeros", 0)
