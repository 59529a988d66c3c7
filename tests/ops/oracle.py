"""What all kernel tests share: tables, data, layouts, and how far a kernel may be from the oracle.

Kernels work on (N, H, W, C) and filters (R, S, I, K), the oracle on NCHW and OIHW; tests draw and
compare in the kernels' order. A comparison either is exact or uses `bound`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from zeroshot import _core, _testing, reference

Array = NDArray[Any]
Pair = tuple[int, int]
Node = tuple[str, str, Sequence[int], dict[str, Any]]

DTYPES = [pytest.param(np.float32, id="f32"), pytest.param(np.float64, id="f64")]
TABLES = [
    pytest.param(
        name,
        marks=() if usable else pytest.mark.skip(reason=f"table {name} does not run on this CPU"),
    )
    for name, usable in _testing.tables()
]
USABLE = [name for name, usable in _testing.tables() if usable]

every_table = pytest.mark.parametrize("table", TABLES)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)

# ---- tolerances ----------------------------------------------------------------------------------

# Unit roundoff. Every value of a test is exact in its dtype, so only the kernel rounds.
UNIT = {np.dtype(np.float32): 2.0**-24, np.dtype(np.float64): 2.0**-53}

# Roundings that a term of the kernel's sum meets at most, beyond one for each addition of the sum.
# A sum of n terms, in any order and with or without fused operations, is then off by at most
# (n + this) units of sum |term| (Higham 2002, section 3.1); `add` and a bias are terms of the sum.
ROUNDINGS = {
    "conv2d_fwd": 1,  # the product
    "conv2d_bwd_x": 1,
    "conv2d_bwd_w": 1,
    "conv2d_f4": 37,  # three transforms along two axes, up to 6 products and sums each; the product
    "conv2d_f2": 9,  # the same, up to 2 sums each, exact products; the filter's rounding
    "bn_stats": 3,  # difference, square or division, join
    "bn_fwd": 2,  # difference, product
    "bn_bwd_sums": 2,  # difference, product
    "bn_bwd_x": 2,  # difference, product
    "max_pool_bwd": 0,
    "avg_pool": 3,  # the divisor, its reciprocal, the product
    "gap": 3,
    "sum_fwd": 4,  # difference, product, sum, product
    "scale": 1,
    "matmul": 3,  # the scale, its product with one factor, the product
    "join": 0,
    "product_sums": 1,  # the product, which is exact in float32
}


def bound(kernel: str, terms: float, magnitude: Any, dtype: Any, oracle: bool = True) -> Any:
    """Largest honest error of a sum of `terms` terms whose absolute values add up to `magnitude`.

    A second time in float64 where the oracle rounds too.
    """
    n = terms + ROUNDINGS[kernel]
    return n * (UNIT[np.dtype(dtype)] + oracle * UNIT[np.dtype(np.float64)]) * magnitude


# Sums over the pixels of a channel are double, but may add up runs of this length in `real` first.
REAL_RUN = 128


def pixel_bound(kernel: str, terms: float, magnitude: Any, dtype: Any) -> Any:
    """The same for such a sum, against an oracle without rounding."""
    run = bound(kernel, min(terms, REAL_RUN), magnitude, dtype, oracle=False)
    return run + bound(kernel, terms, magnitude, np.float64, oracle=False)


def assert_close(got: Any, expected: Any, limit: Any, what: str) -> None:
    """``|got - expected| <= limit`` everywhere, equal where infinite, NaN where NaN is expected."""
    got, expected, limit = np.broadcast_arrays(np.asarray(got, np.float64), expected, limit)
    with np.errstate(invalid="ignore"):
        error = np.where(got == expected, 0.0, np.abs(got - expected))
        ok = (error <= limit) | (np.isnan(got) & np.isnan(expected))
    if not ok.all():
        excess = np.where(ok, -1.0, np.nan_to_num(error / np.maximum(limit, 1e-300), nan=np.inf))
        at = np.unravel_index(np.argmax(excess), excess.shape)
        pytest.fail(
            f"{what}: {np.count_nonzero(~ok)} of {ok.size} elements off, worst at "
            f"{tuple(map(int, at))}: got {got[at]!r}, expected {expected[at]!r}, "
            f"limit {limit[at]:.3g}"
        )


def assert_same(got: Array, expected: Array, what: str) -> None:
    """The same values; NaN equals NaN, -0 equals 0."""
    assert_close(got, np.asarray(expected, np.float64), 0.0, what)


def assert_bits(got: Array, expected: Array, what: str) -> None:
    assert got.dtype == expected.dtype and got.shape == expected.shape, what
    assert_same(got, expected, what)
    assert np.ascontiguousarray(got).tobytes() == np.ascontiguousarray(expected).tobytes(), what


# ---- data and layouts ----------------------------------------------------------------------------


def normal(rng: np.random.Generator, dtype: Any, *shape: int) -> Array:
    return rng.standard_normal(shape).astype(dtype)


def integers(rng: np.random.Generator, dtype: Any, *shape: int) -> Array:
    """Small integers: their products and sums are exact in any dtype and order."""
    return rng.integers(-3, 4, shape).astype(dtype)


def nchw(a: Array) -> Array:
    return np.moveaxis(a, 3, 1).astype(np.float64)


def nhwc(a: Array) -> Array:
    return np.moveaxis(a, 1, 3)


def oihw(w: Array) -> Array:
    return w.transpose(3, 2, 0, 1).astype(np.float64)


def rsik(w: Array) -> Array:
    return w.transpose(2, 3, 1, 0)


SENTINEL = -12345.0


class Embedded:
    """An image inside a larger one, as a slice of a concatenation that is shifted by a pixel.

    Around an input lies NaN, which spreads if it is used; around an output a value that must stay.
    """

    def __init__(self, image: Array, fill: float) -> None:
        n, h, w, c = image.shape
        self.whole = np.full((n + 1, h + 2, w + 1, c + 3), fill, image.dtype)
        self.view = self.whole[:n, 1 : h + 1, 1 : w + 1, 2 : c + 2]
        self.view[...] = image
        self._before = self.whole.copy()

    def check(self, what: str) -> None:
        """Nothing around the view has changed."""
        self._before[: len(self.view), 1:-1, 1:, 2:-1] = self.view
        assert_bits(self.whole, self._before, f"{what}: written outside of the view")


def run_kernel(
    call: Callable[..., None],
    inputs: Sequence[Array],
    outputs: Sequence[Array],
    check: Callable[..., None],
    *,
    plain: Sequence[Array] = (),
) -> None:
    """Run ``call(*inputs, *outputs, *plain)`` on dense and on embedded images, and check both.

    Inputs and outputs are images, `plain` are dense outputs. Outputs are copied: those given say
    what is there before, to be overwritten or added to. Images come out with the same bits in both
    layouts; sums over pixels, in `plain`, may be cut differently.
    """
    dense = [np.array(a) for a in (*outputs, *plain)]
    call(*map(np.ascontiguousarray, inputs), *dense)
    check(*dense)
    spread = [Embedded(a, SENTINEL) for a in outputs]
    others = [np.array(a) for a in plain]
    call(*(Embedded(a, np.nan).view for a in inputs), *(e.view for e in spread), *others)
    check(*(e.view for e in spread), *others)
    for i, e in enumerate(spread):
        e.check(f"output {i}")
        assert_bits(e.view, dense[i], f"output {i} of strided views")


def garbage(dtype: Any, *shape: int) -> Array:
    """What an overwritten output may hold before: NaN, which shows if it is added to."""
    return np.full(shape, np.nan, dtype)


def check_blocks(call: Callable[..., None], n: int, outputs: Sequence[Array], what: str) -> None:
    """``call(*outputs, n0=, n1=)``: other samples stay, and blocks give the bits of the whole."""
    whole = [np.array(a) for a in outputs]
    call(*whole, n0=0, n1=n)
    parts = [np.array(a) for a in outputs]
    for n0, n1 in [(1, 2), (0, 1), (2, n)]:
        before = [a.copy() for a in parts]
        call(*parts, n0=n0, n1=n1)
        for part, old, all_at_once in zip(parts, before, whole, strict=True):
            old[n0:n1] = all_at_once[n0:n1]
            assert_bits(part, old, f"{what}: samples {n0} to {n1}")


# ---- whole networks ------------------------------------------------------------------------------


def build(shape: tuple[int, int, int], nodes: Iterable[Node]) -> _core.Graph:
    """A graph from (op, name, inputs, attrs); input 0 is the image, the last node the output."""
    builder = _core.GraphBuilder(*shape)
    last = 0
    for op, name, inputs, attrs in nodes:
        own = dict(attrs)
        last = builder.add(op, name, list(inputs), own, own.pop("coef", None))
    return builder.finish(last)


def integer_weights(graph: _core.Graph, rng: np.random.Generator) -> dict[str, Array]:
    """-1, 0 and 1, with gamma 1 and running variance 1 (of the latter the root is not exact)."""
    ones = {"gamma", "running_var"}
    return {
        t["name"]: np.ones(t["shape"])
        if t["role"] in ones
        else rng.integers(-1, 2, t["shape"]) * 1.0
        for t in graph.tensors()
    }


def run_core(
    graph: _core.Graph,
    weights: dict[str, Array],
    x: Array,
    y: Array,
    *,
    table: str = "auto",
    dtype: Any = np.float64,
    group_size: int,
    loss: str = "sum_logits",
    dead: bool = True,
    n_threads: int = 1,
    recompute: int = 0,
) -> _core.OutputDict:
    """Logits, losses and gradients of all parameters."""
    return _core.run(
        graph,
        np.ascontiguousarray(x, dtype),
        y,
        runs=[],
        sink=(group_size, len(x) // group_size, loss, True),
        weights=weights,
        init="torch",
        seed=0,
        dtype=np.dtype(dtype).name,
        n_threads=n_threads,
        kernels=table,
        algo="direct",
        max_bytes=0,
        dead=dead,
        recompute=recompute,
        workspace=None,
        cancel=None,
        measure=False,
        sources=(),
    )


def check_network(
    shape: tuple[int, int, int],
    nodes: Sequence[Node],
    table: str,
    dtype: Any,
    *,
    seed: int = 0,
    dead: bool = True,
) -> None:
    """Small integers through a network without division: logits and gradients equal the oracle's.

    Groups of two samples (their mean is exact) and the sum of the logits for a loss.
    """
    rng = np.random.default_rng(seed)
    graph = build(shape, nodes)
    weights = integer_weights(graph, rng)
    x = rng.integers(-2, 3, (6, *shape)) * 1.0
    y = rng.integers(0, graph.num_classes, 6)
    expected = reference.run(graph.nodes(), weights, x, loss="sum_logits", group_size=2)
    got = run_core(graph, weights, x, y, table=table, dtype=dtype, group_size=2, dead=dead)
    assert_same(got["logits"], expected.logits, "logits")
    assert_same(got["losses"], expected.losses, "losses")
    assert got["gradients"].keys() == expected.gradients.keys()
    for name, gradient in expected.gradients.items():
        assert_same(got["gradients"][name], gradient, f"gradient of {name}")


def conv(name: str, source: int, k: int, size: int = 1, **attrs: Any) -> Node:
    """A convolution that keeps the image's size."""
    own = {"out_channels": k, "kernel": (size, size), "padding": (size // 2, size // 2)}
    return ("conv2d", name, [source], own | attrs)


def head(source: int, classes: int = 3) -> list[Node]:
    """Global average and classifier behind node `source`, the last one so far."""
    return [
        ("global_avg_pool", "head.gap", [source], {}),
        ("linear", "head.fc", [source + 1], {"out_features": classes, "bias": True}),
    ]
