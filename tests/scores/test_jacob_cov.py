"""jacob_cov and EPE-NAS: correlation of the images' input Jacobians."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import zeroshot
from zeroshot import reference
from zeroshot.scores import EpeNas, JacobCov

from ..reference.small import usual
from .nets import FLOAT32, Array, assert_near, images, random_net, scored

K = 1e-5
every_net = pytest.mark.parametrize("seed", range(12))
# An entry of the correlation is off by the Jacobian's error, twice, and some roundings.
ERRORS = {"float64": 1e-12, "float32": 4 * FLOAT32}
every_dtype = pytest.mark.parametrize("dtype", ERRORS)


def correlations(net: Any, x: Array) -> Array:
    return reference.correlation(reference.input_jacobian(net.nodes, net.weights, x))


@every_dtype
@every_net
def test_jacob_cov_matches_reference(seed: int, dtype: str) -> None:
    net, (x, _) = random_net(seed), images()
    want = reference.jacob_cov(net.nodes, net.weights, x)
    v = np.maximum(np.linalg.eigvalsh(correlations(net, x)), 0) + K
    bound = len(x) * ERRORS[dtype] * float((1 / v + 1 / v**2).sum())
    assert_near(scored(net, JacobCov(batch_size=len(x)), x, dtype=dtype), want, bound)


@every_dtype
@pytest.mark.parametrize("many", [False, True])
@every_net
def test_epe_nas_matches_reference(seed: int, many: bool, dtype: str) -> None:
    net, (x, y) = random_net(seed), images(8)
    want = reference.epe_nas(net.nodes, net.weights, x, y, many=many)
    slopes = 1 / (np.abs(correlations(net, x)) + K)
    bound = 4 * ERRORS[dtype] * float(slopes[y[:, None] == y].sum())
    score = EpeNas(batch_size=len(x), many=many)
    assert_near(scored(net, score, x, y, dtype=dtype), want, bound)


def test_form_follows_the_number_of_classes() -> None:
    x, y = images(6)
    for classes, many in ((4, False), (100, False), (101, True)):
        found = zeroshot.score(
            1462, x, y, scores=[EpeNas(batch_size=6), EpeNas(batch_size=6, many=many, label="x")],
            num_classes=classes, channels=4, cells=1, n_threads=1,
        )  # fmt: skip
        assert found["epe_nas"] == found["x"]


@pytest.mark.parametrize(
    ("what", "net", "rows", "jacob", "epe", "many"),
    [
        ("one image", usual(), 1, "one_image", None, "no_pair_in_any_class"),
        ("no ReLU", usual(relu=False), 5, "ok", "ok", "ok"),
        ("no batch norm", usual(bn=False), 5, "ok", "ok", "ok"),
        ("disconnected", usual(blocked=True), 5, *["constant_row"] * 3),
        ("one class", usual(classes=1), 5, "ok", "ok", "ok"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_degenerate_input(
    what: str, net: Any, rows: int, jacob: str, epe: str | None, many: str
) -> None:
    x = np.random.default_rng(0).standard_normal((rows, 2, 6, 6))
    y = np.zeros(rows, np.int64)
    for score, reason in (
        (JacobCov(batch_size=rows), jacob),
        (EpeNas(batch_size=rows), epe),
        (EpeNas(batch_size=rows, many=True), many),
    ):
        got = scored(net, score, x, y)
        if reason in ("ok", None):
            assert got.status == "ok" and np.isfinite(got.value), (what, got)
        else:
            assert (got.status, got.reason) == ("undefined", reason), (what, got)
            assert np.isnan(got.value)


def test_equal_images_cost_an_eigenvalue_each() -> None:
    net, (x, y) = random_net(0), images(1)
    x = np.concatenate([x] * 4)
    y = np.concatenate([y] * 4)
    # eigenvalues 4, 0, 0, 0; the zeros to some roundings, each of which counts 1e10 times
    want = -(np.log(4 + K) + 1 / (4 + K)) - 3 * (np.log(K) + 1 / K)
    assert scored(net, JacobCov(batch_size=4), x).value == pytest.approx(want, abs=1e-3)
    assert scored(net, EpeNas(batch_size=4), x, y).value == pytest.approx(16e-5, rel=1e-5)


def test_many_is_a_bool() -> None:
    with pytest.raises(TypeError, match="many: expected True or False"):
        EpeNas(many=1)  # type: ignore[arg-type]
