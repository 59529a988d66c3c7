"""Group norm and layer norm: statistics of single samples, gradients, second derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zeroshot import Graph, _testing
from zeroshot.reference import token_ops, token_tangents

from .oracle import (
    UNIT,
    Array,
    assert_close,
    check_blocks,
    every_dtype,
    every_table,
    garbage,
    nchw,
    nhwc,
    normal,
    run_kernel,
)

# samples, height, width, channels, groups (0: layer norm)
CASES = [
    (2, 1, 2, 1, 1), (3, 2, 3, 6, 2), (2, 3, 3, 17, 1), (1, 4, 4, 64, 4), (2, 5, 3, 66, 22),
    (2, 1, 1, 2, 0), (3, 2, 3, 6, 0), (2, 3, 2, 17, 0), (1, 4, 3, 64, 0), (1, 2, 2, 133, 0),
]  # fmt: skip
every_case = pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join(map(str, c)))
every_affine = pytest.mark.parametrize("affine", [True, False], ids=["affine", "plain"])
EPS = 1e-3


class Data:
    """Images (around 3, so that means matter), their statistics, gains."""

    def __init__(self, case: Any, dtype: Any, affine: bool) -> None:
        n, h, w, c, groups = case
        rng = np.random.default_rng(0)
        self.shape, self.groups, self.dtype = (n, h, w, c), groups, dtype
        self.x, self.t, self.dy, self.before = (normal(rng, dtype, n, h, w, c) for _ in range(4))
        self.x += dtype(3)
        self.gamma, self.beta = (normal(rng, dtype, c) if affine else None for _ in range(2))
        self.how: Any = {"groups": groups, "eps": EPS}
        self.twin: Any = {"groups": groups or None, "eps": EPS}
        x = self.x.astype(np.float64)
        self.m = self.mean(x)
        self.r = 1 / np.sqrt(self.mean((x - self.m) ** 2) + EPS)
        self.size = abs(x) + self.mean(abs(x))  # of x - mean, before it cancels

    def mean(self, a: Array) -> Array:
        """Over cells, at every element of the image."""
        v = token_ops.cells(nchw(a), self.groups or None)
        v = np.broadcast_to(v.mean(2, keepdims=True), v.shape)
        return nhwc(token_ops.from_cells(v, nchw(a).shape, self.groups or None))

    def gain(self) -> Array:
        return np.ones(self.shape[3]) if self.gamma is None else self.gamma.astype(np.float64)

    def limit(self, real: int, terms: Array) -> Array:
        """`real` roundings of terms that add up to `terms`; statistics, sums of n in double with
        what cancels counted in `size`, come into each of them up to eight times."""
        double = UNIT[np.dtype(np.float64)]
        n = np.prod(self.shape[1:])
        return (real * (UNIT[np.dtype(self.dtype)] + double) + 8 * (n + 4) * double) * terms

    def check(self, call: Any, inputs: list[Array], want: Array, terms: Array, real: int) -> None:
        for add in (False, True):
            old = self.before * add
            run_kernel(
                lambda *a, add=add: call(*a, add=add),
                inputs,
                [self.before if add else garbage(self.dtype, *self.shape)],
                lambda out, old=old: assert_close(
                    out, want + old, self.limit(real, terms + abs(old)), "out"
                ),
            )


@every_table
@every_dtype
@every_affine
@every_case
def test_norm_matches_reference(case: Any, affine: bool, dtype: Any, table: str) -> None:
    d = Data(case, dtype, affine)
    y = nhwc(token_ops._norm(nchw(d.x), d.gamma, d.beta, **d.twin))
    shift = 0.0 if d.beta is None else abs(d.beta.astype(np.float64))
    # mean and r are rounded, then difference, two products, sum
    limit = d.limit(
        6, abs(d.gain()) * d.r * d.size * (1 + d.r**2 * d.size * abs(d.x - d.m)) + shift
    )
    run_kernel(
        lambda a, out: _testing.norm_fwd(table, a, d.gamma, d.beta, out, **d.how),
        [d.x],
        [garbage(dtype, *d.shape)],
        lambda out: assert_close(out, y, limit, "y"),
    )


@every_table
@every_dtype
@every_affine
@every_case
def test_norm_backward_matches_reference(case: Any, affine: bool, dtype: Any, table: str) -> None:
    d = Data(case, dtype, affine)
    dx, d_gamma, d_beta = token_ops._norm_backward(nchw(d.x), d.gamma, nchw(d.dy), **d.twin)
    v = abs(d.gain() * d.dy)
    terms = d.r * (v + d.mean(v) + d.r**2 * d.size * d.mean(v * d.size) * (1 + d.r * d.size))
    d.check(
        lambda x, dy, out, **add: _testing.norm_project(
            table, x, dy, d.gamma, None, out, **d.how, **add
        ),
        [d.x, d.dy], nhwc(dx), terms, 8,
    )  # fmt: skip
    got_gamma, got_beta = np.full((2, d.shape[3]), np.nan)
    _testing.norm_bwd_params(table, d.x, d.dy, got_gamma, got_beta, **d.how)
    over = (0, 1, 2)
    size = (abs(d.dy) * d.r * d.size * (1 + d.r**2 * d.size**2)).sum(over)
    double = UNIT[np.dtype(np.float64)]
    n = 8 * np.prod(d.shape)
    assert_close(got_gamma, d_gamma, n * double * size, "d_gamma")
    assert_close(got_beta, d_beta, n * double * abs(d.dy).sum(over), "d_beta")


@every_table
@every_dtype
@every_affine
@every_case
def test_norm_tangent_matches_reference(case: Any, affine: bool, dtype: Any, table: str) -> None:
    """The tangent, and its gradient by x: along x_dot, the derivative of dx where dy stands still
    is the Jacobian of the latter, which is symmetric."""
    d = Data(case, dtype, affine)
    y = nhwc(token_tangents.norm_tangent(nchw(d.x), d.gamma, nchw(d.t), **d.twin))
    t = abs(d.t.astype(np.float64))
    terms = d.r * (t + d.mean(t) + d.r**2 * d.size * d.mean(t * d.size) * (1 + d.r * d.size))
    d.check(
        lambda x, v, out, **add: _testing.norm_project(
            table, x, v, None, d.gamma, out, **d.how, **add
        ),
        [d.x, d.t], y, abs(d.gain()) * terms, 8,
    )  # fmt: skip
    curve = nhwc(
        token_tangents.norm_backward_tangent(
            nchw(d.x), d.gamma, nchw(d.dy), x_dot=nchw(d.t), dy_dot=0 * nchw(d.dy), **d.twin
        )[0]
    )
    v, hat = abs(d.gain() * d.dy), d.r * d.size
    q, m2 = d.mean(v * hat), d.mean(t * hat)
    products = d.mean(v * (t + d.mean(t))) + 3 * q * m2
    terms = d.r**2 * (q * (t + d.mean(t)) + m2 * (v + d.mean(v)) + hat * products)
    d.check(
        lambda x, t, dy, out, **add: _testing.norm_curve(
            table, x, t, dy, d.gamma, out, **d.how, **add
        ),
        [d.x, d.t, d.dy], curve, terms * (1 + hat), 10,
    )  # fmt: skip


@every_table
@every_dtype
@pytest.mark.parametrize("groups", [0, 1, 3])
def test_norm_touches_its_block_only(groups: int, dtype: Any, table: str) -> None:
    d = Data((5, 2, 2, 21, groups), dtype, True)
    x, t, dy, gamma, out = d.x, d.t, d.dy, d.gamma, [d.before]
    for name, call in {
        "fwd": lambda y, **b: _testing.norm_fwd(table, x, gamma, d.beta, y, **d.how, **b),
        "project": lambda y, **b: _testing.norm_project(table, x, dy, gamma, None, y, **d.how, **b),
        "curve": lambda y, **b: _testing.norm_curve(table, x, t, dy, gamma, y, **d.how, **b),
    }.items():
        check_blocks(call, 5, out, name)


@every_table
@every_affine
@every_case
def test_norm_matches_torch(case: Any, affine: bool, table: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    d = Data(case, np.float64, affine)
    tx = torch.tensor(nchw(d.x), requires_grad=True)
    tensors = [
        None if a is None else torch.tensor(a, requires_grad=True) for a in (d.gamma, d.beta)
    ]
    if d.groups:
        ty = torch.nn.functional.group_norm(tx, d.groups, *tensors, eps=EPS)
    else:
        last = torch.nn.functional.layer_norm(tx.movedim(1, 3), d.shape[3:], *tensors, eps=EPS)
        ty = last.movedim(3, 1)
    ty.backward(torch.tensor(nchw(d.dy)))
    y, dx = garbage(np.float64, *d.shape), garbage(np.float64, *d.shape)
    params = np.full((2, d.shape[3]), np.nan)
    _testing.norm_fwd(table, d.x, d.gamma, d.beta, y, **d.how)
    _testing.norm_project(table, d.x, d.dy, d.gamma, None, dx, **d.how)
    _testing.norm_bwd_params(table, d.x, d.dy, params[0], params[1], **d.how)
    assert_close(nchw(y), ty.detach().numpy(), 1e-11, "y")
    assert_close(nchw(dx), tx.grad.numpy(), 1e-9, "dx")
    if affine:
        for got, tensor in zip(params, tensors, strict=True):
            assert_close(got, tensor.grad.numpy(), 1e-9, "params")


@every_table
@every_dtype
def test_a_nan_spoils_its_cell_only(dtype: Any, table: str) -> None:
    for groups, spoilt in [(0, 6), (1, 24), (3, 8)]:
        d = Data((2, 2, 2, 6, groups), dtype, True)
        d.x[1, 0, 1, 2] = np.nan
        y = garbage(dtype, *d.shape)
        _testing.norm_fwd(table, d.x, d.gamma, d.beta, y, **d.how)
        assert np.isnan(y).sum() == spoilt


@every_table
@every_dtype
@every_affine
@pytest.mark.parametrize("case", [(3, 2, 3, 1, 0), (3, 1, 1, 17, 17)], ids=["layer", "group"])
def test_derivatives_of_a_single_element_are_exactly_zero(
    case: Any, affine: bool, dtype: Any, table: str
) -> None:
    """Small eps: what does not cancel to the last bit is a thousand times as large."""
    d = Data(case, dtype, affine)
    how = {"groups": d.groups, "eps": 1e-6}
    dx, curve, y_dot = (garbage(dtype, *d.shape) for _ in range(3))
    _testing.norm_project(table, d.x, d.dy, d.gamma, None, dx, **how)
    _testing.norm_project(table, d.x, d.t, None, d.gamma, y_dot, **how)
    _testing.norm_curve(table, d.x, d.t, d.dy, d.gamma, curve, **how)
    assert not dx.any() and not curve.any() and not y_dot.any()


def test_norms_say_what_does_not_fit() -> None:
    g = Graph((6, 2, 2))
    for groups in (0, 4, 7):
        with pytest.raises(ValueError, match=f"groups: expected a divisor of the 6 .* {groups}"):
            g.group_norm(g.input, groups=groups)
    for eps in (0.0, -1.0, float("nan")):
        for norm in (g.group_norm, g.layer_norm):
            with pytest.raises(ValueError, match="eps: expected a number above 0"):
                norm(g.input, eps=eps)
    g.output(g.linear(g.global_avg_pool(g.layer_norm(g.group_norm(g.input, affine=False))), 2))
    attrs = [node["attrs"] for node in g.nodes()[1:3]]
    assert attrs == [{"groups": 1, "eps": 1e-5, "affine": False}, {"eps": 1e-6, "affine": True}]
    assert [t["role"] for t in g.core.tensors()][:2] == ["gamma", "beta"]
    assert not any(t["counted"] for t in g.core.tensors()[:2])
