"""Scores of the oracle by hand, and their bad arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from zeroshot import reference
from zeroshot.reference import ops

from .common import NAN, SCORE, VARIANTS


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
