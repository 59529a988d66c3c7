"""Fisher: outputs of layers times their gradients, image by image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zeroshot import reference
from zeroshot.scores import Fisher, Snip

from .twins import NETWORKS, assert_matches_twin, case_of

PLAIN = [name for name in NETWORKS if name != "blocked without bias"]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("rows", [6, 1])
@pytest.mark.parametrize("name", PLAIN)
def test_matches_reference(name: str, rows: int, per_channel: bool, dtype: str) -> None:
    case = case_of(NETWORKS[name](), rows)

    def twin(*args: Any) -> Any:
        return reference.fisher(*args, per_channel=per_channel)

    score = Fisher(batch_size=rows, per_channel=per_channel)
    assert_matches_twin(score, twin, case, dtype=dtype)


@pytest.mark.parametrize("kernels", ["reference", "baseline"])
def test_tables_match_reference(kernels: str) -> None:
    case = case_of(NETWORKS["every op"]())
    assert_matches_twin(Fisher(batch_size=6), reference.fisher, case, kernels=kernels)


def test_layers_add_up_and_repeat_channels_for_their_weights() -> None:
    case = case_of(NETWORKS["every op"]())
    scores = [Fisher(batch_size=6), Fisher(batch_size=6, per_channel=True, label="channel")]
    result = case.score(scores)
    repeated, channel = result.scores["fisher"].layers, result.scores["channel"].layers
    assert sum(repeated.values()) == pytest.approx(result["fisher"], rel=1e-14)
    for name, value in channel.items():
        per_channel = case.weights[name][0].size
        assert repeated[name] == pytest.approx(per_channel * value, rel=1e-14), name


def test_network_of_zeros_has_no_signal() -> None:
    """No layer puts out anything; the twin says ok, as the gradient of the logits is not zero."""
    got = case_of(NETWORKS["blocked without bias"]()).one(Fisher(batch_size=6))
    assert (got.value, got.status) == (0.0, "no_signal")
    with_bias = case_of(NETWORKS["blocked"]()).one(Fisher(batch_size=6))
    assert with_bias.value > 0
    assert with_bias.status == "ok"


def test_gradients_of_weights_are_not_made_for_it_but_shared() -> None:
    case = case_of(NETWORKS["usual"]())
    result = case.score([Snip(batch_size=6), Fisher(batch_size=6)])
    assert result.scores["fisher"].shares_with == ("snip",)


def test_bad_image_is_never_a_number() -> None:
    case = case_of(NETWORKS["usual"]())
    case.x[2, 0, 1, 1] = np.nan
    got = case.one(Fisher(batch_size=6))
    assert np.isnan(got.value)
    assert got.status == "nonfinite"
