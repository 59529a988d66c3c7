"""KNAS: Gram matrix of the gradients of single images."""

from __future__ import annotations

from typing import Any

import pytest

from zeroshot import GradSign, reference
from zeroshot.scores import Knas

from .twins import NETWORKS, assert_matches_twin, case_of


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("over", ["sum", "mean"])
@pytest.mark.parametrize("rows", [6, 1])
@pytest.mark.parametrize("name", NETWORKS)
def test_matches_reference(name: str, rows: int, over: Any, dtype: str) -> None:
    case = case_of(NETWORKS[name](), rows)

    def twin(*args: Any) -> Any:
        return reference.knas(*args, over=over)

    assert_matches_twin(Knas(n_samples=rows, over=over), twin, case, dtype=dtype)


def test_layers_add_up_to_the_sum_and_shares_gradsigns_pass() -> None:
    case = case_of(NETWORKS["every op"]())
    result = case.score([Knas(n_samples=6), GradSign(n_samples=5)], dtype="float32")
    knas = result.scores["knas"]
    assert sum(knas.layers.values()) == pytest.approx(knas.value, rel=1e-12)
    assert knas.shares_with == ("gradsign",)
    assert knas.algorithm == result.scores["gradsign"].algorithm
    mean = case.one(Knas(n_samples=6, over="mean"), dtype="float32")
    assert mean.value == pytest.approx(knas.value / len(knas.layers), rel=1e-14)


def test_equal_images_are_one() -> None:
    case = case_of(NETWORKS["usual"]())
    one = case._replace(x=case.x[[0] * 3], y=case.y[[0] * 3])
    alone = one.one(Knas(n_samples=1)).value
    assert one.one(Knas(n_samples=3)).value == pytest.approx(alone, rel=1e-14)


def test_too_few_images_say_so() -> None:
    case = case_of(NETWORKS["usual"]())
    with pytest.raises(ValueError, match="needs 7 images, got 6"):
        case.score(Knas(n_samples=7))
    assert case.one(Knas(n_samples=None)).n_groups == 6
