"""The oracle itself: against stored PyTorch results, PyTorch, central differences, and by hand.

Tolerances: two float64 programs that differ in the order of their sums agree to ``TENSOR`` of a
tensor's largest gradient plus ``NETWORK`` of the network's (a tensor whose gradient is zero in real
arithmetic holds rounding noise of the others). Scores are held to the change that the gradients'
own deviation can cause, see `score_bound`.
"""

from __future__ import annotations

import doctest
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from zeroshot import reference
from zeroshot.reference import ops

HERE = Path(__file__).resolve().parent
SHARED = Path(os.environ.get("ZEROSHOT_SHARED", HERE.parents[1] / "shared"))
STORED = sorted((HERE / "golden").glob("*.npz"))
NETWORKS = [
    "darts_cells",
    "nb101_module",
    "nb201_a_all_ops",
    "nb201_b_pool_heavy",
    "nb201_c_1x1_only",
    "nb201_d_dead_edges",
    "nb201_e_zero_output",
    "nb201_f_residual_3x3",
]
WITH_DEAD_WEIGHTS = {"nb201_d_dead_edges", "nb201_e_zero_output"}
VARIANTS = ["mean2", "inv_var", "inv_var_xi", "gsnr", "xi_gsnr"]
XI = 1e-8

EPS = float(np.finfo(np.float64).eps)
TENSOR, NETWORK = 1e-9, 1e-13
FLOAT32 = 2.0**-24  # half a unit in the last place, relative
# Scores from the very same gradients: a few roundings a weight, and pairwise sums of up to 1e4.
SCORE = 32 * EPS

Array = NDArray[np.float64]


def assert_close(got: Any, expected: Any, bound: Any, what: str) -> None:
    """``|got - expected| <= bound`` everywhere, or the worst element and its index."""
    got, expected, bound = np.broadcast_arrays(*map(np.asarray, (got, expected, bound)))
    error = np.abs(got - expected)
    if not (error <= bound).all():
        worst = np.unravel_index(np.argmax(np.where(error <= bound, -1.0, error)), error.shape)
        pytest.fail(
            f"{what} at {tuple(map(int, worst))}: got {got[worst]!r}, expected "
            f"{expected[worst]!r}, bound {bound[worst]:.3g}"
        )


# ---- stored PyTorch results ----------------------------------------------------------------------


class Golden:
    """One stored network, what is expected of it and what the reference makes of it."""

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        with np.load(path, allow_pickle=False) as file:
            self.arrays: dict[str, NDArray[Any]] = dict(file)
        self.scores: dict[str, float] = json.loads(str(self.arrays["scores"]))
        self.problem = reference.from_golden(self.arrays)
        nodes, weights, x, y = self.problem
        self.batch = reference.run(nodes, weights, x, y, group_size=4)
        self.sample = reference.run(nodes, weights, x[:4], y[:4], group_size=1)
        self.expected = {
            name: np.stack([self.arrays[f"g{j}/{name}"] for j in range(3)]) for name in weights
        }
        self.counted = reference.counted_weights(nodes)

    def samples(self, dtype: type[np.floating[Any]]) -> dict[str, NDArray[Any]]:
        return {name: self.arrays[f"s/{name}"].astype(dtype) for name in self.counted}


def of(names: Sequence[str], gradients: dict[str, Array]) -> dict[str, Array]:
    return {name: gradients[name] for name in names}


def largest(gradients: dict[str, Array]) -> float:
    return max(float(np.abs(g).max()) for g in gradients.values())


@pytest.fixture(scope="module", params=NETWORKS)
def golden(request: pytest.FixtureRequest) -> Golden:
    path = SHARED / "golden" / f"{request.param}.npz"
    if not path.exists():
        pytest.skip(f"{path} is absent; set ZEROSHOT_SHARED to the folder that holds golden/")
    return Golden(path)


def test_losses_and_logits_match_golden(golden: Golden) -> None:
    logits = golden.arrays["logits"]
    assert_close(golden.batch.logits, logits, TENSOR * np.abs(logits).max(), "logits")
    assert_close(golden.batch.losses, golden.arrays["loss"], TENSOR, "loss")
    assert_close(golden.sample.losses, golden.arrays["sample_loss"], TENSOR, "sample loss")


def test_batch_gradients_match_golden(golden: Golden) -> None:
    assert set(golden.batch.gradients) == set(golden.expected)
    noise = NETWORK * largest(golden.expected)
    for name, expected in golden.expected.items():
        bound = TENSOR * np.abs(expected).max() + noise
        assert_close(golden.batch.gradients[name], expected, bound, name)


def test_sample_gradients_match_golden(golden: Golden) -> None:
    assert golden.counted == json.loads(str(golden.arrays["meta"]))["counted"]
    stored = golden.samples(np.float64)
    noise = NETWORK * largest(stored)
    for name, expected in stored.items():
        bound = TENSOR * np.abs(expected).max() + noise + FLOAT32 * np.abs(expected)
        assert_close(golden.sample.gradients[name], expected, bound, name)


def test_dead_weights_have_exactly_zero_gradients(golden: Golden) -> None:
    dead = {name for name in golden.counted if not golden.expected[name].any()}
    assert bool(dead) == (golden.name in WITH_DEAD_WEIGHTS)
    assert dead == {name for name in golden.counted if not golden.batch.gradients[name].any()}


def test_skipping_dead_nodes_changes_nothing_finite(golden: Golden) -> None:
    skipped = reference.run(*golden.problem, group_size=4, dead="skip")
    np.testing.assert_array_equal(skipped.logits, golden.batch.logits)
    for name, g in golden.batch.gradients.items():
        np.testing.assert_array_equal(skipped.gradients[name], g, err_msg=name)


def score_bound(variant: str, expected: Array, deviation: float) -> float:
    """How far a tensor's share of a score can move when no gradient moves by more than `deviation`.

    The mean then moves by at most `deviation`, and so does the standard deviation (it is the
    distance from the constants in the mean-square norm, which the largest entry bounds).
    """
    mean, std = np.abs(expected.mean(axis=0)), expected.std(axis=0)
    ends = []
    for sign in (-1, 0, 1):
        m2 = np.maximum(mean + sign * deviation, 0) ** 2
        var = np.maximum(std - sign * deviation, 0) ** 2
        ratio: Callable[[Array, Array], Array] = {
            "mean2": lambda m2, var: m2,
            "inv_var": lambda m2, var: 1 / var[std > 0],
            "inv_var_xi": lambda m2, var: 1 / (var + XI),
            "gsnr": lambda m2, var: m2[std > 0] / var[std > 0],
            "xi_gsnr": lambda m2, var: m2 / (var + XI),
        }[variant]
        ends.append(ratio(m2, var))
    low, middle, high = ends
    return float(np.maximum(high - middle, middle - low).sum() + SCORE * np.abs(middle).sum())


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("accumulate", [False, True], ids=["eq10", "cum"])
def test_xi_gsnr_matches_golden(golden: Golden, variant: Any, accumulate: bool) -> None:
    stored = of(golden.counted, golden.expected)
    score = golden.scores[f"{'cum' if accumulate else 'eq10'}_{variant}"]

    # from the stored gradients: nothing but the score's own rounding
    same = reference.xi_gsnr(stored, xi=XI, variant=variant, accumulate=accumulate)
    assert_close(same, score, SCORE * abs(score), variant)

    # from our gradients: what their deviation can cause, which must be little
    bound = SCORE * abs(score)
    for name, rows in stored.items():
        deviation = float(np.abs(golden.batch.gradients[name] - rows).max())
        if accumulate:
            rows, deviation = rows.cumsum(axis=0), deviation * len(rows)
        bound += score_bound(variant, rows, deviation)
    assert bound <= 1e-6 * abs(score), "the bound must bind"
    ours = of(golden.counted, golden.batch.gradients)
    got = reference.xi_gsnr(ours, xi=XI, variant=variant, accumulate=accumulate)
    assert_close(got, score, bound, variant)


def test_gradsign_matches_golden(golden: Golden) -> None:
    assert reference.gradsign(golden.samples(np.float32)) == golden.scores["gradsign"]
    ours = of(golden.counted, golden.sample.gradients)
    noise_free = golden.scores["gradsign_noise_as_zero"]
    assert reference.gradsign(ours, zero_tol=1e-12) == noise_free
    if golden.name != "darts_cells":  # there, signs of rounding noise
        assert reference.gradsign(ours) == noise_free
    n_weights = sum(g[0].size for g in ours.values())
    assert reference.gradsign(ours, zero_tol=1e-12, reduction="mean") == noise_free / n_weights


def test_sweet_counts_match_golden(golden: Golden) -> None:
    edges = golden.arrays["sweet_edges"]
    np.testing.assert_array_equal(reference.sweet_edges(), edges)
    ours = [golden.batch.gradients[name][0] for name in golden.counted]
    stored = [golden.expected[name][0] for name in golden.counted]
    for g, expected in zip(ours, stored, strict=True):  # equality is fair: no gradient on an edge
        to_edge = np.abs(np.abs(expected)[..., None] - edges[1:]).min(axis=-1)
        assert (np.abs(g - expected) < to_edge).all()
    np.testing.assert_array_equal(
        reference.sweet_histogram(ours, edges), golden.arrays["sweet_hist"]
    )
    for lo, hi in (("5e-4", "1e-3"), ("1e-3", "5e-3")):
        count = reference.sweet_count(ours, float(lo), float(hi))
        assert count == golden.scores[f"sweet_{lo}_{hi}"]


# ---- our own stored networks ---------------------------------------------------------------------


def test_stored_networks_are_there() -> None:
    assert [path.name for path in STORED] == ["nb201_tiny.npz", "odd_ops.npz"]
    assert sum(path.stat().st_size for path in STORED) < 300_000


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_stored_network_is_reproduced(path: Path) -> None:
    stored = reference.load_golden(path)
    nodes, weights, x, y = stored.problem
    got = reference.run(nodes, weights, x, y, loss=stored.loss, group_size=stored.group_size)
    noise = NETWORK * largest(stored.result.gradients)
    assert_close(got.logits, stored.result.logits, TENSOR, "logits")
    assert_close(got.losses, stored.result.losses, TENSOR, "losses")
    assert set(got.gradients) == set(stored.result.gradients)
    for name, expected in stored.result.gradients.items():
        bound = TENSOR * np.abs(expected).max() + noise
        assert_close(got.gradients[name], expected, bound, name)
    n = len(next(iter(stored.sample_gradients.values())))
    alone = reference.run(nodes, weights, x[:n], y[:n], group_size=1).gradients
    counted = reference.counted_weights(nodes)
    assert set(stored.sample_gradients) == set(counted)
    for name, sample in stored.sample_gradients.items():
        rounding = FLOAT32 * np.abs(sample) + TENSOR * np.abs(sample).max() + noise
        assert_close(alone[name], sample, rounding, name)
    scores = stored.scores
    batch = of(counted, stored.result.gradients)
    for variant in VARIANTS:
        score = reference.xi_gsnr(batch, variant=variant)  # type: ignore[arg-type]
        assert_close(score, scores[f"eq10_{variant}"], SCORE * abs(score), variant)
    assert reference.gradsign(of(counted, alone)) == scores["gradsign"]
    first = [g[0] for g in batch.values()]
    assert reference.sweet_count(first, 1e-3, 5e-3) == scores["sweet_1e-3_5e-3"]


@pytest.mark.parametrize("loss", ["cross_entropy", "sum_logits"])
@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_network_gradients_match_central_differences(path: Path, loss: Any) -> None:
    stored = reference.load_golden(path)
    (nodes, weights, x, y), size = stored.problem, stored.group_size
    got = reference.run(nodes, weights, x, y, loss=loss, group_size=size)
    rng = np.random.default_rng(0)
    # small against the distance to the next kink, which these networks keep above 1e-5
    step = 1e-7
    for name, gradient in got.gradients.items():
        index = tuple(int(rng.integers(n)) for n in gradient.shape[1:])
        ways = [
            reference.central_difference(
                nodes, weights, x, y, name, index, step=s, loss=loss, group_size=size
            )
            for s in (step, 2 * step)
        ]
        rounding = 64 * EPS * (1 + np.abs(got.losses)) / step
        truncation = np.abs(ways[1] - ways[0])
        entry = [g[index] for g in gradient]
        assert_close(entry, ways[0], rounding + truncation, f"{name} {index}, groups")


def test_node_list_covers_every_op() -> None:
    used = {n["op"] for path in STORED for n in reference.load_golden(path).problem.nodes}
    assert used == {
        "input", "conv2d", "linear", "batch_norm", "relu", "max_pool", "avg_pool",
        "global_avg_pool", "add", "concat", "zero", "identity", "shift",
    }  # fmt: skip


# ---- every op ------------------------------------------------------------------------------------

Backward = Callable[..., Any]
RNG = np.random.default_rng(20240229)


def normal(*shape: int) -> Array:
    return RNG.normal(size=shape)


def clear_of_kinks(*shape: int) -> Array:
    """No two values closer than 0.01, none closer than 0.005 to 0."""
    n = int(np.prod(shape))
    return 0.01 * (RNG.permutation(n) - n // 2 + np.float64(0.5)).reshape(shape)


LABELS = np.array([0, 4, 2])
CONVS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "3x3": ((2, 3, 5, 6), (4, 3, 3, 3), {"padding": (1, 1)}),
    "1x1": ((2, 3, 4, 5), (5, 3, 1, 1), {}),
    "strided": ((2, 3, 7, 6), (2, 3, 3, 3), {"stride": (2, 3), "padding": (1, 0)}),
    "dilated": ((1, 2, 7, 8), (3, 2, 3, 2), {"dilation": (2, 3), "padding": (2, 1)}),
    "depthwise": ((2, 5, 6, 5), (5, 1, 5, 5), {"groups": 5, "padding": (2, 2)}),
    "multiplier": ((2, 3, 4, 4), (6, 1, 3, 3), {"groups": 3, "padding": (1, 1)}),
    "grouped": ((2, 6, 4, 3), (4, 3, 1, 3), {"groups": 2, "stride": (2, 1), "padding": (0, 2)}),
}
POOLS: dict[str, dict[str, Any]] = {
    "3x3": {"kernel": (3, 3), "stride": (1, 1), "padding": (1, 1)},
    "2x2 strided": {"kernel": (2, 2), "stride": (2, 2)},
    "3x2 uneven": {"kernel": (3, 2), "stride": (2, 3), "padding": (1, 0)},
}


def conv_case(key: str) -> tuple[Callable[..., Any], Backward, list[Array]]:
    x, w, how = CONVS[key]

    def backward(x: Array, w: Array, bias: Array, dy: Array) -> Any:
        return ops.conv2d_backward(x, w, dy, **how)

    return partial(ops.conv2d, **how), backward, [normal(*x), normal(*w), normal(w[0])]


# name -> forward, backward (the same arguments, then dy) and arguments; every gradient is checked
CASES: dict[str, tuple[Callable[..., Any], Backward, list[Array]]] = {
    **{f"conv2d {key}": conv_case(key) for key in CONVS},
    "linear": (
        ops.linear, lambda x, w, b, dy: ops.linear_backward(x, w, dy),
        [normal(3, 4, 1, 1), normal(5, 4), normal(5)],
    ),
    "batch_norm": (
        ops.batch_norm, lambda x, g, b, dy: ops.batch_norm_backward(x, g, dy),
        [normal(3, 4, 3, 2), normal(4), normal(4)],
    ),
    "batch_norm plain": (
        ops.batch_norm, lambda x, dy: ops.batch_norm_backward(x, None, dy)[:1],
        [normal(2, 3, 3, 3)],
    ),
    "batch_norm running": (
        lambda x, g, b: ops.batch_norm_running(
            x, [0.1, -0.2], [0.5, 2.0], gamma=g, beta=b, eps=1e-3
        ),
        lambda x, g, b, dy: ops.batch_norm_running_backward(
            x, [0.1, -0.2], [0.5, 2.0], gamma=g, dy=dy, eps=1e-3
        ),
        [normal(2, 2, 3, 2), normal(2), normal(2)],
    ),
    "relu": (ops.relu, ops.relu_backward, [clear_of_kinks(2, 3, 4, 3)]),
    **{
        f"max_pool {key}": (
            partial(ops.max_pool, **how), partial(ops.max_pool_backward, **how),
            [clear_of_kinks(2, 3, 7, 8)],
        )
        for key, how in POOLS.items()
    },
    **{
        f"avg_pool {key} {'all' if padded else 'inside'}": (
            partial(ops.avg_pool, **how, count_include_pad=padded),
            partial(ops.avg_pool_backward, **how, count_include_pad=padded),
            [normal(2, 3, 7, 8)],
        )
        for key, how in POOLS.items()
        for padded in (False, True)
    },
    "global_avg_pool": (ops.global_avg_pool, ops.global_avg_pool_backward, [normal(2, 3, 3, 5)]),
    "add": (
        lambda *xs: ops.add(xs, [1.0, -0.5, 2.0]),
        lambda *a: ops.add_backward(a[-1], [1.0, -0.5, 2.0]),
        [normal(2, 3, 2, 2) for _ in range(3)],
    ),
    "concat": (
        lambda *xs: ops.concat(xs), lambda *a: ops.concat_backward(a[:-1], a[-1]),
        [normal(2, c, 2, 3) for c in (1, 4, 2)],
    ),
    "zero": (
        partial(ops.zero, stride=2), partial(ops.zero_backward, stride=2), [normal(2, 2, 5, 4)],
    ),
    "identity": (ops.identity, lambda x, dy: ops.identity_backward(dy), [normal(1, 2, 3, 2)]),
    "shift": (ops.shift, ops.shift_backward, [normal(2, 2, 5, 4)]),
    "cross_entropy": (
        lambda z: np.asarray(ops.cross_entropy(z, LABELS)),
        lambda z, dy: dy * ops.cross_entropy_backward(z, LABELS), [normal(3, 5)],
    ),
    "sum_logits": (
        lambda z: np.asarray(ops.sum_logits(z)),
        lambda z, dy: dy * ops.sum_logits_backward(z), [normal(3, 5)],
    ),
}  # fmt: skip


def test_cases_cover_every_op() -> None:
    forward = {name for name in ops.__all__ if name != "output_size" and "_backward" not in name}
    tested = {name.split()[0] for name in CASES} | {"batch_norm_running"}
    assert tested == forward


@pytest.mark.parametrize("case", CASES)
def test_op_backward_matches_central_differences(case: str) -> None:
    forward, backward, args = CASES[case]
    y = forward(*args)
    dy = np.random.default_rng(1).normal(size=y.shape)
    got = backward(*args, dy)
    got = [got] if isinstance(got, np.ndarray) else list(got)
    assert [g.shape for g in got] == [a.shape for a in args]
    step = 1e-5
    # rounding of the projected output: a dozen units in the last place of each term of its sum
    rounding = 12 * EPS * float((np.abs(dy) * (1 + np.abs(y))).sum()) / step
    for number, (arg, gradient) in enumerate(zip(args, got, strict=True)):

        def slope(index: tuple[int, ...], h: float, number: int = number) -> float:
            ends = []
            for side in (h, -h):
                moved = [a.copy() for a in args]
                moved[number][index] += side
                ends.append(float((dy * forward(*moved)).sum()))
            return (ends[0] - ends[1]) / (2 * h)

        for index in np.ndindex(arg.shape):
            once, twice = slope(index, step), slope(index, 2 * step)
            bound = rounding + abs(twice - once)  # three times the truncation error
            assert_close(gradient[index], once, bound, f"gradient {number} {index}")


@pytest.mark.parametrize("key", CONVS)
def test_conv2d_is_its_formula(key: str) -> None:
    """Seven loops over integers, so that no rounding excuses anything."""
    x_shape, w_shape, how = CONVS[key]
    rng = np.random.default_rng(2)
    x, w = rng.integers(-4, 5, x_shape), rng.integers(-4, 5, w_shape)
    (sh, sw), (ph, pw) = how.get("stride", (1, 1)), how.get("padding", (0, 0))
    (eh, ew), groups = how.get("dilation", (1, 1)), how.get("groups", 1)
    y = ops.conv2d(x, w, **how)
    expected = np.zeros(y.shape)
    for n, k, p, q in np.ndindex(y.shape):
        first = k // (w_shape[0] // groups) * w_shape[1]
        for c, r, s in np.ndindex(w_shape[1:]):
            i, j = p * sh + r * eh - ph, q * sw + s * ew - pw
            if 0 <= i < x_shape[2] and 0 <= j < x_shape[3]:
                expected[n, k, p, q] += w[k, c, r, s] * x[n, first + c, i, j]
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("key", POOLS)
def test_pools_are_their_formulas(key: str) -> None:
    how, x = POOLS[key], np.random.default_rng(3).integers(-9, 9, (2, 2, 7, 8)).astype(float)
    (r, s), (sh, sw), (ph, pw) = how["kernel"], how["stride"], how.get("padding", (0, 0))
    top, inside = ops.max_pool(x, **how), ops.avg_pool(x, **how)
    padded = ops.avg_pool(x, **how, count_include_pad=True)
    for n, c, p, q in np.ndindex(top.shape):
        i, j = p * sh - ph, q * sw - pw
        window = x[n, c, max(i, 0) : i + r, max(j, 0) : j + s]
        assert top[n, c, p, q] == window.max()
        assert inside[n, c, p, q] == window.sum() / window.size
        assert padded[n, c, p, q] == window.sum() / (r * s)


# ---- NaN, ties, zeros ----------------------------------------------------------------------------

NAN = float("nan")


def test_relu_lets_nan_through_and_stops_at_zero() -> None:
    x, dy = np.array([NAN, -1.0, -0.0, 0.0, 2.0]), np.array([3.0, 3.0, 3.0, 3.0, 3.0])
    np.testing.assert_array_equal(ops.relu(x), [NAN, 0, 0, 0, 2])
    np.testing.assert_array_equal(ops.relu_backward(x, dy), [3, 0, 0, 0, 3])


@pytest.mark.parametrize(
    ("window", "top", "winner"),
    [
        ([5, 7, 7, 1], 7, 1),  # the first maximum
        ([0, 0, 0, 0], 0, 0),
        ([-np.inf] * 4, -np.inf, 0),
        ([9, NAN, 3, 4], NAN, 1),
        ([NAN, 9, NAN, 4], NAN, 2),  # the last NaN
    ],
)
def test_max_pool_winner(window: list[float], top: float, winner: int) -> None:
    x = np.array(window, dtype=float).reshape(1, 1, 2, 2)
    how: dict[str, Any] = {"kernel": (2, 2), "stride": (2, 2)}
    np.testing.assert_array_equal(ops.max_pool(x, **how), [[[[top]]]])
    dx = ops.max_pool_backward(x, np.array([[[[3.0]]]]), **how)
    np.testing.assert_array_equal(dx.ravel(), 3.0 * np.eye(4)[winner])


def test_max_pool_winner_is_never_padding() -> None:
    how: dict[str, Any] = {"kernel": (3, 3), "stride": (2, 2), "padding": (1, 1)}
    x = np.full((1, 1, 3, 3), -np.inf)
    dx = ops.max_pool_backward(x, np.ones((1, 1, 2, 2)), **how)
    np.testing.assert_array_equal(dx[0, 0], [[1, 1, 0], [1, 1, 0], [0, 0, 0]])


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_zero_keeps_nan_and_infinity() -> None:
    x = np.array([[[[1.0, NAN], [np.inf, -2.0]]]])
    np.testing.assert_array_equal(ops.zero(x), [[[[0, NAN], [NAN, -0.0]]]])


def test_cross_entropy_of_large_logits_does_not_overflow() -> None:
    z = np.array([[1000.0, 0.0], [-1000.0, 1000.0]])
    assert ops.cross_entropy(z, np.array([0, 0])) == 1000.0
    np.testing.assert_array_equal(
        ops.cross_entropy_backward(z, np.array([0, 0])), [[0, 0], [-0.5, 0.5]]
    )


@pytest.mark.parametrize("case", CASES)
def test_op_matches_torch(case: str) -> None:
    """Forward and backward, where PyTorch is installed, on the arguments of the checks above."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    F = torch.nn.functional
    kind, _, key = case.partition(" ")

    def pair(how: dict[str, Any]) -> list[Any]:
        return [how["kernel"], how["stride"], how.get("padding", 0)]

    twins: dict[str, Callable[..., Any]] = {
        "conv2d": lambda x, w, b: F.conv2d(x, w, b, **CONVS[key][2]),
        "linear": lambda x, w, b: F.linear(x[:, :, 0, 0], w, b)[:, :, None, None],
        "batch_norm": lambda x, g=None, b=None: F.batch_norm(x, None, None, g, b, training=True),
        "relu": F.relu,
        "max_pool": lambda x: F.max_pool2d(x, *pair(POOLS[key])),
        "avg_pool": lambda x: F.avg_pool2d(
            x, *pair(POOLS[key.rpartition(" ")[0]]), count_include_pad=key.endswith("all")
        ),
        "global_avg_pool": lambda x: F.adaptive_avg_pool2d(x, 1),
        "add": lambda a, b, c: a - 0.5 * b + 2 * c,
        "concat": lambda *xs: torch.cat(xs, 1),
        "zero": lambda x: x[:, :, ::2, ::2] * 0,
        "identity": lambda x: x.clone(),
        "shift": lambda x: x[:, :, 1:, 1:],
        "cross_entropy": lambda z: F.cross_entropy(z, torch.tensor(LABELS)),
        "sum_logits": lambda z: z.sum(1).mean(),
    }
    if case == "batch_norm running":
        mean, var = (torch.tensor(v, dtype=torch.float64) for v in ([0.1, -0.2], [0.5, 2.0]))
        twins[kind] = lambda x, g, b: F.batch_norm(x, mean, var, g, b, eps=1e-3)
    forward, backward, args = CASES[case]
    leaves = [torch.tensor(a, requires_grad=True) for a in args]
    expected, got = twins[kind](*leaves), forward(*args)
    dy = np.random.default_rng(1).normal(size=got.shape)
    expected.backward(torch.tensor(dy))
    gradients = backward(*args, dy)
    gradients = [gradients] if isinstance(gradients, np.ndarray) else gradients
    # sums of at most 200 terms, in another order
    pairs = [(got, expected.detach().numpy())]
    pairs += [(g, leaf.grad.numpy()) for g, leaf in zip(gradients, leaves, strict=True)]
    for ours, theirs in pairs:
        assert_close(ours, theirs, 200 * EPS * (1 + np.abs(theirs).max()), case)


def test_max_pool_and_relu_treat_nan_and_ties_as_torch_does() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    rng = np.random.default_rng(4)
    x = rng.choice([-1.0, 0.0, 0.0, 1.0, 1.0, NAN, -np.inf], size=(4, 3, 9, 8))
    for how in POOLS.values():
        leaf = torch.tensor(x, requires_grad=True)
        y = torch.nn.functional.max_pool2d(
            leaf, how["kernel"], how["stride"], how.get("padding", 0)
        )
        dy = rng.normal(size=tuple(y.shape))
        y.backward(torch.tensor(dy))
        np.testing.assert_array_equal(ops.max_pool(x, **how), y.detach().numpy())
        dx = ops.max_pool_backward(x, dy, **how)  # up to nine terms a cell
        assert_close(dx, leaf.grad.numpy(), 9 * EPS * np.abs(dy).max(), "dx")
    leaf = torch.tensor(x, requires_grad=True)
    y = torch.relu(leaf)
    y.backward(torch.ones_like(y))
    np.testing.assert_array_equal(ops.relu(x), y.detach().numpy())
    np.testing.assert_array_equal(ops.relu_backward(x, np.ones(x.shape)), leaf.grad.numpy())


# ---- run: groups, dead branches, bad input -------------------------------------------------------


@pytest.fixture
def odd() -> reference.Problem:
    return reference.load_golden(HERE / "golden" / "odd_ops.npz").problem


def test_groups_do_not_see_each_other(odd: reference.Problem) -> None:
    nodes, weights, x, y = odd
    together = reference.run(nodes, weights, x, y, group_size=2)
    for j in range(3):
        rows = slice(2 * j, 2 * j + 2)
        alone = reference.run(nodes, weights, x[rows], y[rows])
        np.testing.assert_array_equal(together.logits[rows], alone.logits)
        assert together.losses[j] == alone.losses[0]
        for name, g in alone.gradients.items():
            np.testing.assert_array_equal(together.gradients[name][j], g[0], err_msg=name)


def test_nan_stays_in_its_group(odd: reference.Problem) -> None:
    nodes, weights, x, y = odd
    x = x.copy()
    x[2, 0, 5, 5] = NAN
    result = reference.run(nodes, weights, x, y, group_size=2)
    np.testing.assert_array_equal(np.isnan(result.losses), [False, True, False])
    stem = result.gradients["stem.conv.weight"]
    np.testing.assert_array_equal(np.isnan(stem).any(axis=(1, 2, 3, 4)), [False, True, False])


def test_nan_in_a_dead_branch_counts_unless_skipped() -> None:
    nodes, weights, x, y = reference.load_golden(HERE / "golden" / "nb201_tiny.npz").problem
    name = "cell1.1-2.conv.weight"
    live = reference.live_nodes(nodes)
    assert next(n["id"] for n in nodes if name in n["weights"].values()) not in live
    weights = {**weights, name: np.full_like(weights[name], NAN)}
    assert np.isnan(reference.run(nodes, weights, x, y).losses).all()
    skipped = reference.run(nodes, weights, x, y, dead="skip")
    assert np.isfinite(skipped.losses).all()
    assert not skipped.gradients[name].any()


def test_activations_are_kept_on_request(odd: reference.Problem) -> None:
    nodes, weights, x, y = odd
    result = reference.run(nodes, weights, x, y, group_size=2, keep_activations=True)
    assert {i: a.shape for i, a in result.activations.items()} == {
        n["id"]: (6, *n["shape"]) for n in nodes
    }
    np.testing.assert_array_equal(result.activations[0], x)
    np.testing.assert_array_equal(result.activations[nodes[-1]["id"]][:, :, 0, 0], result.logits)
    assert not reference.run(nodes, weights, x, y).activations


def test_running_statistics_get_no_gradient(odd: reference.Problem) -> None:
    assert "dil.bn.running_mean" in odd.weights
    gradients = reference.run(*odd).gradients
    assert set(gradients) == {name for name in odd.weights if ".running_" not in name}


def test_missing_weight_is_named(odd: reference.Problem) -> None:
    nodes, weights, x, y = odd
    del weights["dil.bn.beta"]
    with pytest.raises(reference.MissingWeight, match=r"'dil\.bn'.*'dil\.bn\.beta' as its beta"):
        reference.run(nodes, weights, x, y)
    with pytest.raises(reference.MissingWeight, match=r"name: .* got 'nowhere'"):
        reference.central_difference(nodes, weights, x, y, "nowhere", (0,))
    program = json.dumps(
        [{"op": "linear", "in": ["t0"], "out": "t1", "weight": "fc.weight", "bias": "fc.bias"}]
    )
    arrays = {"program": np.array(program), "x": x, "y": y, "w/fc.weight": np.ones((2, 3))}
    with pytest.raises(reference.MissingWeight, match=r"'t1' needs the array 'w/fc\.bias'"):
        reference.from_golden(arrays)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"group_size": 4}, "group_size: expected a divisor of the 6 rows of x, got 4"),
        ({"group_size": 0}, "group_size: "),
        ({"loss": "mse"}, "loss: .* got 'mse'"),
        ({"dead": "drop"}, "dead: .* got 'drop'"),
        ({"y": None}, "y: expected labels"),
        ({"y": [0, 1, 2, 3, 4, 6]}, r"y: expected labels in \[0, 6\), got 0..6"),
        ({"y": [0, 1, 2, 3, 4, -1]}, "got -1..4"),
        ({"y": np.zeros(6)}, "y: expected 6 integers, got float64"),
        ({"y": [0, 1]}, "y: expected 6 integers"),
        ({"x": np.zeros((6, 3, 10, 12))}, "x: expected shape"),
        ({"x": np.zeros((0, 3, 12, 10))}, "x: expected shape"),
    ],
)
def test_bad_arguments_are_named(
    odd: reference.Problem, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        reference.run(**{**odd._asdict(), **change})


@pytest.mark.parametrize(
    ("node", "change", "message"),
    [
        (3, {"op": "gelu"}, "nodes: node 3 .* unknown op"),
        (3, {"inputs": [4]}, "reads node 4, not defined before it"),
        (3, {"inputs": []}, "has no inputs"),
        (3, {"id": 2}, "repeats an id"),
        (3, {"shape": (5, 12, 9)}, "says .* comes out"),
        (0, {"op": "relu"}, "first node has op 'input'"),
        (-1, {"shape": (6, 1, 2)}, r"expected logits of shape \(K, 1, 1\)"),
    ],
)
def test_bad_nodes_are_named(
    odd: reference.Problem, node: int, change: dict[str, Any], message: str
) -> None:
    odd.nodes[node].update(change)
    with pytest.raises(ValueError, match=message):
        reference.run(*odd)


# ---- scores by hand ------------------------------------------------------------------------------


def test_equal_batches_have_exactly_no_variance() -> None:
    """Three times 0.1: the rounded mean is not 0.1, the variance must be 0 all the same."""
    rows = np.full((3, 4), 0.1)
    assert np.full(3, 0.1).mean() != 0.1
    assert reference.xi_gsnr(rows) == 0.0
    assert reference.xi_gsnr(rows, variant="gsnr") == 0.0
    assert reference.xi_gsnr(rows, variant="inv_var") == 0.0
    assert reference.xi_gsnr(rows, variant="inv_var_xi") == pytest.approx(4e8, rel=SCORE)


def test_xi_gsnr_skips_tensors_not_weights() -> None:
    mixed = np.array([[1.0, 1.0], [3.0, 1.0]])  # variances 1 and 0, means 2 and 1
    alone = [mixed[:, :1], mixed[:, 1:]]
    assert reference.xi_gsnr([mixed], xi=1.0) == 2.0 + 1.0
    assert reference.xi_gsnr(alone, xi=1.0) == 2.0
    for variant, score in (("mean2", 5.0), ("inv_var", 1.0), ("inv_var_xi", 1.5), ("gsnr", 4.0)):
        for grads in ([mixed], alone, {"a": alone[0], "b": alone[1]}, mixed):
            assert reference.xi_gsnr(grads, xi=1.0, variant=variant) == score  # type: ignore[arg-type]


@pytest.mark.parametrize("n", [2, 3, 8])
def test_accumulated_equal_batches_have_the_known_ratio(n: int) -> None:
    """Running sums of n equal rows: mean^2 / variance = 3 (n + 1) / (n - 1), 27/7 at n = 8."""
    rows = np.full((n, 1), 0.25)
    got = reference.xi_gsnr(rows, variant="gsnr", accumulate=True)
    assert got == pytest.approx(3 * (n + 1) / (n - 1), rel=SCORE)


@pytest.mark.parametrize("variant", VARIANTS)
def test_xi_gsnr_passes_nan_on(variant: Any) -> None:
    grads = [np.array([[1.0, NAN], [2.0, 1.0]]), np.ones((2, 3))]
    assert np.isnan(reference.xi_gsnr(grads, variant=variant))


def test_gradsign_counts_agreement() -> None:
    grads = {"a": np.array([[1.0, -1.0], [2.0, 3.0], [4.0, -0.0]]), "b": np.full((3, 1), -1e-13)}
    assert reference.gradsign(grads) == 3 + 0 + 3
    assert reference.gradsign(grads, reduction="mean") == 2.0
    assert reference.gradsign(grads, zero_tol=1e-13) == 3.0  # the tolerance itself is zero
    assert reference.gradsign(grads, zero_tol=0.99e-13) == 6.0
    assert np.isnan(reference.gradsign(np.array([[NAN], [1.0]])))


def test_sweet_edges_are_the_listed_decimals() -> None:
    paper = (
        "0 1e-10 5e-10 1e-9 5e-9 1e-8 5e-8 1e-7 5e-7 1e-6 5e-6 1e-5 5e-5 1e-4 5e-4 1e-3 5e-3 "
        "1e-2 5e-2 0.1 0.5 1 5 10"
    )
    assert reference.sweet_edges().tolist() == [float(e) for e in paper.split()]
    released = reference.sweet_edges("released").tolist()
    assert released == [float(e) for e in paper.split() if e not in ("1e-10", "10")]
    for split, digits in ((4, "2.5 5 7.5 10"), (5, "2 4 6 8 10")):
        decades = [float(f"{d}e{k}") for k in range(-10, 1) for d in digits.split()]
        assert reference.sweet_edges(split=split).tolist() == [0.0, 1e-10, *decades]
    thirds = reference.sweet_edges(split=3)
    assert thirds[-4:].tolist() == [1.0, 10 / 3, 20 / 3, 10.0]
    for split, intervals in ((2, 23), (3, 34), (4, 45), (5, 56)):
        edges = reference.sweet_edges(split=split)
        assert len(edges) == intervals + 1
        assert (np.diff(edges) > 0).all()


def test_sweet_intervals_are_closed_below_and_partition() -> None:
    g = np.array([0.0, -0.0, 0.1, -0.1, 0.5, 0.49, 1.0, -7.0, NAN])
    edges = [0.0, 0.1, 0.5, 1.0, np.inf]
    np.testing.assert_array_equal(reference.sweet_histogram(g, edges), [[2, 3, 1, 2]])
    assert reference.sweet_count(g, 0.1, 0.5) == 3
    assert reference.sweet_histogram([], edges).shape == (0, 4)


def test_float32_gradients_meet_float32_edges() -> None:
    edge = next(e for e in reference.sweet_edges()[1:] if float(np.float32(e)) < e)
    on_it = np.array([edge], dtype=np.float32)
    assert reference.sweet_count(on_it, edge, 2 * edge) == 1
    assert reference.sweet_count(on_it.astype(np.float64), edge, 2 * edge) == 0


def test_sweetness_compares_integers() -> None:
    huge = 2**60  # neighbours that float64 calls equal, with products beyond int64
    hits, sizes = np.array([[huge], [huge + 1]]), np.array([huge + 1, huge + 2])
    assert hits[0, 0] / sizes[0] == hits[1, 0] / sizes[1]
    assert reference.sweetness([hits], [sizes]).tolist() == [1.0]
    equal = reference.sweetness([np.array([[1], [2], [0], [0]])], [np.array([3, 6, 0, 5])])
    assert equal.tolist() == [-1 / 3]  # 1/3 = 2/6 > 0 = 0: a layer without weights has share 0
    assert reference.sweetness([np.array([[4]])], [np.array([4])]).tolist() == [0.0]


def test_sweet_interval_ties_go_to_the_lowest() -> None:
    def layers(*rises: int) -> NDArray[np.int64]:
        """Eleven layers; in column c the first `rises[c]` of ten steps go up, the rest stay."""
        return np.array([[min(i, r) for r in rises] for i in range(11)])

    # 3/10 + 0 against 1/10 + 2/10, of which floats make 0.30000000000000004
    hits, sizes = [layers(0, 3, 1), layers(0, 0, 2)], [np.full(11, 20)] * 2
    assert 0.1 + 0.2 > 0.3
    found = reference.find_sweet_interval(hits, sizes)
    assert (found.index, found.sweetness) == (1, 0.15)
    np.testing.assert_array_equal(found.values, [0.0, 0.15, 0.15])


def test_sweet_interval_start_values() -> None:
    sizes = [np.array([9, 9, 9])]
    falling = [np.array([[3, 3], [2, 4], [1, 3]])]  # sweetness -1 and 0
    assert reference.find_sweet_interval(falling, sizes).index == 1
    released = reference.find_sweet_interval(falling, sizes, rule="released")
    assert (released.index, released.sweetness) == (0, 0.0)
    all_falling = reference.find_sweet_interval([falling[0][:, :1]], sizes)
    assert (all_falling.index, all_falling.sweetness) == (None, -1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: reference.xi_gsnr(np.ones((1, 3))), "grads: expected at least two batches"),
        (lambda: reference.xi_gsnr(np.ones((2, 3)), xi=0.0), "xi: .* got 0.0"),
        (lambda: reference.xi_gsnr(np.ones((2, 3)), xi=NAN), "xi: .* got nan"),
        (lambda: reference.xi_gsnr(np.ones((2, 3)), variant="snr"), "variant: .* got 'snr'"),  # type: ignore[arg-type]
        (lambda: reference.gradsign(np.ones((2, 3)), reduction="max"), "reduction: "),  # type: ignore[arg-type]
        (lambda: reference.gradsign(np.ones((2, 3)), zero_tol=-1.0), "zero_tol: "),
        (lambda: reference.sweet_edges("code"), "which: "),  # type: ignore[arg-type]
        (lambda: reference.sweet_edges(split=6), "split: .* got 6"),
        (lambda: reference.sweet_edges("released", split=3), "split: .* got 3"),
        (lambda: reference.sweet_histogram([], [1.0, 1.0]), "edges: expected two or more incre"),
        (lambda: reference.sweet_histogram([], [0.0, NAN]), "edges: "),
        (lambda: reference.sweetness([], []), "hits, sizes: "),
        (lambda: reference.sweetness([np.ones((2, 3))], [np.ones(3)]), "hits: expected shape"),
        (lambda: ops.conv2d(np.ones((1, 3, 2, 2)), np.ones((4, 2, 1, 1))), "w: expected shape"),
        (lambda: ops.conv2d(np.ones((1, 3, 2, 2)), np.ones((4, 3, 3, 3))), "kernel: "),
        (lambda: ops.linear(np.ones((1, 3, 1, 1)), np.ones((4, 2))), "x: expected shape"),
    ],
)
def test_bad_score_and_op_arguments_are_named(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


# ---- the package ---------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["", ".ops", ".network", ".scores"])
def test_docstring_examples_run(module: str) -> None:
    tried = doctest.testmod(sys.modules[f"zeroshot.reference{module}"])
    assert tried.attempted > 0
    assert tried.failed == 0


def test_reference_needs_numpy_only() -> None:
    """Its modules load below an empty parent package, so the compiled core is not needed either."""
    program = (
        "import sys, types; parent = types.ModuleType('zeroshot'); "
        f"parent.__path__ = [{str(Path(reference.__file__).parents[1])!r}]; "
        "sys.modules['zeroshot'] = parent; import zeroshot.reference; "
        "print({m.partition('.')[0] for m in sys.modules} & {'torch', 'scipy', 'sklearn'}, "
        "sorted(m for m in sys.modules if m.startswith('zeroshot.')))"
    )
    out = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    modules = [f"zeroshot.reference{m}" for m in ("", ".network", ".ops", ".scores")]
    assert out.stdout.strip() == f"set() {modules}"
