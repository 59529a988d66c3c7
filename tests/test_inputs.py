"""What users may pass, and what they are told when it does not fit."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

import zeroshot
from zeroshot import ArchitectureError, GradSign, Sweet, XiGsnr

CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
TINY: dict[str, Any] = {"channels": 4, "cells": 1, "n_threads": 1}
M = 6


def images() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(7)
    return rng.standard_normal((M, 3, 8, 12), dtype=np.float32), rng.integers(0, 10, M)


X, Y = images()


def value(x: Any = X, y: Any = Y, **options: Any) -> float:
    options = {**TINY, **options}
    return zeroshot.xi_gsnr(options.pop("arch", CELL), x, y, batch_size=3, **options)


class Tensor:
    """What is known of other libraries' arrays: `__array__`, and a record of gradients."""

    def __init__(self, array: NDArray[Any], *, records: bool) -> None:
        self.array, self.records = array, records

    def detach(self) -> Tensor:
        return Tensor(self.array, records=False)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if self.records:
            raise RuntimeError("cannot be an array while gradients are recorded")
        return np.asarray(self.array, dtype=dtype)


# ---- layouts: the same bits, and nothing is written ----------------------------------------------


def strided(a: NDArray[Any]) -> NDArray[Any]:
    wide = np.full((*a.shape[:-1], 2 * a.shape[-1]), -7, dtype=a.dtype)
    wide[..., ::2] = a
    return wide[..., ::2]


def reversed_in_memory(a: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(a[::-1])[::-1]


def swapped(a: NDArray[Any]) -> NDArray[Any]:
    return a.astype(a.dtype.newbyteorder())


def read_only(a: NDArray[Any]) -> NDArray[Any]:
    a = a.copy()
    a.flags.writeable = False
    return a


def unaligned(a: NDArray[Any]) -> NDArray[Any]:
    raw = np.empty(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    raw[...] = a
    return raw


LAYOUTS = [strided, reversed_in_memory, swapped, np.asfortranarray, read_only, unaligned]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_layouts_of_x_and_y_give_same_bits(layout: Any, dtype: Any) -> None:
    x64 = X.astype(np.float64) + 1e-9  # no float32 number
    for x in (X, x64):
        given, labels = layout(x), layout(Y)
        before = given.tobytes(), labels.tobytes()
        assert value(given, labels, dtype=dtype) == value(x, Y, dtype=dtype)
        assert (given.tobytes(), labels.tobytes()) == before


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__)
def test_layouts_of_weights_give_same_bits(layout: Any) -> None:
    weight = np.random.default_rng(8).standard_normal((4, 3, 3, 3)).astype(np.float32)
    given = layout(weight)
    assert value(weights={"stem.conv.weight": given}) == value(weights={"stem.conv.weight": weight})
    np.testing.assert_array_equal(given, weight)


def test_tensors_and_lists_are_taken() -> None:
    assert value(Tensor(X, records=True), Tensor(Y, records=False)) == value()
    assert value(y=Y.tolist()) == value()
    weight = np.ones((4, 3, 3, 3), np.float32)
    with_tensor = value(weights={"stem.conv.weight": Tensor(weight, records=True)})
    assert with_tensor == value(weights={"stem.conv.weight": weight})


@pytest.mark.parametrize("dtype", ["u1", "i1", ">i2", "u4", "i8", "u8"])
def test_integer_types_of_labels_are_all_the_same(dtype: str) -> None:
    assert value(y=Y.astype(dtype)) == value()


def test_float16_images_are_widened_exactly() -> None:
    half = X.astype(np.float16)
    assert value(half) == value(half.astype(np.float32))


def test_float64_engine_keeps_float64_images() -> None:
    x64 = X.astype(np.float64)
    assert value(X, dtype="float64") == value(x64, dtype="float64")
    assert value(x64 + 1e-12, dtype="float64") != value(x64, dtype="float64")
    assert value(x64 + 1e-12) == value(x64)


# ---- errors --------------------------------------------------------------------------------------

NOT_FLOAT = [X.astype(np.int64), X > 0, X.astype(complex), X.astype(object), X.astype("U8")]
NOT_INTEGER = [Y.astype(float), Y > 3, Y.astype(complex), Y.astype(object), [str(i) for i in Y]]


@pytest.mark.parametrize("x", NOT_FLOAT, ids=lambda a: str(a.dtype))
def test_x_of_other_kind_is_a_type_error(x: Any) -> None:
    with pytest.raises(TypeError, match=rf"^x: expected float16.*got {re.escape(str(x.dtype))}"):
        value(x)


@pytest.mark.parametrize("y", NOT_INTEGER, ids=lambda a: str(np.asarray(a).dtype))
def test_y_of_other_kind_is_a_type_error(y: Any) -> None:
    with pytest.raises(TypeError, match=r"^y: expected integer class labels"):
        value(y=y)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (X[0], r"x: expected shape \(M, C, H, W\), got \(3, 8, 12\)"),
        (X[:0], r"x: expected at least one image.*got \(0, 3, 8, 12\)"),
        (X[:, :, :0], r"x: expected at least one image.*got \(6, 3, 0, 12\)"),
        (X[:, :2], r"x: .* 3 channels.*got images of shape \(2, 8, 12\)"),
        (X[..., :10], "input size: expected multiples of 4"),
        (X[:5], r"y: expected one label per image, 5, got 6"),
    ],
)
def test_x_of_wrong_shape_is_a_value_error(x: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        value(x)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (Y[None], r"y: expected shape \(6,\), got \(1, 6\)"),
        (Y[:4], "y: expected one label per image, 6, got 4"),
        ([0, 1, 10, 3, -1, 2], "y: expected labels from 0 to 9, got 10 at position 2"),
        ([0, 1, 2, 3, -1, 2], "y: expected labels from 0 to 9, got -1 at position 4"),
        (np.array([0, 2**63, 1, 1, 1, 1], np.uint64), "got 9223372036854775808 at position 1"),
        (np.array([0, 2**62, 1, 1, 1, 1]), "got 4611686018427387904 at position 1"),
    ],
)
def test_labels_that_do_not_fit_are_value_errors(y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        value(y=y)


@settings(max_examples=50)
@given(hnp.arrays(hnp.integer_dtypes(), 6))
def test_labels_are_taken_or_refused_by_range(y: NDArray[Any]) -> None:
    if ((y >= 0) & (y < 10)).all():
        assert value(y=y) == value(y=y.astype(np.int64))
    else:
        with pytest.raises(ValueError, match=r"^y: expected"):
            value(y=y)


@pytest.mark.parametrize(
    "scores", [XiGsnr(batch_size=4), XiGsnr(batch_size=2, n_batches=4), GradSign(), Sweet()]
)
def test_too_few_images_is_a_value_error(scores: Any) -> None:
    with pytest.raises(ValueError, match=r"^x: .* needs \d+ images, got 6"):
        zeroshot.score(CELL, X, Y, scores=scores, **TINY)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"channels": 0}, ValueError, "channels: expected an integer from 1"),
        ({"channels": 2.0}, TypeError, "channels: expected an integer"),
        ({"channels": 2**40}, ValueError, "channels: expected .*got 1099511627776"),
        ({"channels": 2**20}, ValueError, "channels: expected"),
        ({"cells": 2**19}, ValueError, "cells: expected"),
        ({"num_classes": True}, TypeError, "num_classes: expected an integer"),
        ({"seed": 0.5}, TypeError, "seed: expected an integer"),
        ({"space": "nasbench"}, ValueError, "space: expected one of nasbench201"),
        ({"init": "zeros"}, ValueError, "init: expected one of torch, xavier_uniform"),
        ({"dtype": "float16"}, ValueError, "dtype: expected one of float32, float64"),
        ({"dtype": np.float32}, TypeError, "dtype: expected a string"),
        ({"kernels": "sse"}, ValueError, "kernels: expected one of auto, reference"),
        ({"n_threads": 0}, ValueError, "n_threads: expected an integer from 1"),
        ({"max_bytes": -1}, ValueError, "max_bytes: expected an integer >= 1"),
        ({"cancel": True}, TypeError, "cancel: expected a CancelToken"),
        ({"xi": 0.0}, ValueError, "xi: expected a positive number, got 0.0"),
        ({"xi": float("nan")}, ValueError, "xi: expected a positive number, got nan"),
        ({"xi": 1j}, TypeError, "xi: expected a positive number"),
        ({"variant": "snr"}, ValueError, "variant: expected one of mean2"),
        ({"loss": "mse"}, ValueError, "loss: expected one of cross_entropy"),
        ({"accumulate": 1}, TypeError, "accumulate: expected True or False"),
        ({"n_batches": 1}, ValueError, "n_batches: expected an integer >= 2, got 1"),
        ({"chanels": 4}, TypeError, "chanels"),
    ],
)
def test_options_that_do_not_fit_name_the_argument(
    changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        value(**changes)


@pytest.mark.parametrize(
    ("arch", "error"),
    [
        ("|nor_conv_3x3~0|", ArchitectureError),
        (15625, ArchitectureError),
        (-1, ArchitectureError),
        ((1, 2, 3), ArchitectureError),
        (None, TypeError),
        (1.0, TypeError),
    ],
)
def test_what_is_no_architecture_is_refused(arch: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        value(arch=arch)


def test_malformed_string_has_a_position() -> None:
    with pytest.raises(ArchitectureError, match="nor_conv_5x5") as caught:
        value(arch=CELL.replace("nor_conv_1x1", "nor_conv_5x5"))
    assert caught.value.position == CELL.index("nor_conv_1x1")


def test_scores_that_do_not_fit_are_refused() -> None:
    for scores, message in (
        ("zicco", r"scores\[0\]: expected one of xi_gsnr, .*; got 'zicco'"),
        ([], "expected at least one score"),
        (["gradsign", GradSign(n_samples=2)], r"scores\[1\]: the label 'gradsign' is used twice"),
    ):
        with pytest.raises(ValueError, match=message):
            zeroshot.score(CELL, X, Y, scores=scores, **TINY)  # type: ignore[arg-type]
    for wrong, got in (
        ([XiGsnr], "the class XiGsnr"),
        (XiGsnr, "the class XiGsnr"),
        (None, "NoneType"),
    ):
        with pytest.raises(TypeError, match=rf"scores\[0\]: expected a name or a score.*{got}"):
            zeroshot.score(CELL, X, Y, scores=wrong, **TINY)  # type: ignore[arg-type]


# ---- weights -------------------------------------------------------------------------------------


def test_weights_that_do_not_fit_name_the_tensor() -> None:
    good = np.ones((4, 3, 3, 3), np.float32)
    for weights, error, message in (
        ({"stem.conv.weigth": good}, ValueError, "did you mean 'stem.conv.weight'"),
        ({"stem.conv.weight": good[0]}, ValueError, r"expected shape \(4, 3, 3, 3\), got \(3, 3"),
        ({"stem.conv.weight": good > 0}, TypeError, r"weights\['stem.conv.weight'\].*got bool"),
        ([good], TypeError, "weights: expected a mapping"),
    ):
        with pytest.raises(error, match=message):
            value(weights=weights)


def test_given_weights_replace_drawn_ones_and_nothing_else() -> None:
    assert value(weights={}) == value()
    gamma = np.ones(4, np.float32)
    assert value(weights={"stem.bn.gamma": gamma}) == value()
    assert value(weights={"stem.bn.gamma": 2 * gamma, "stem.bn.beta": gamma}) != value()


@pytest.mark.parametrize("arch", [CELL, 0, 9, 1462])
def test_state_dict_names_cover_every_tensor_once(arch: Any) -> None:
    names = zeroshot.state_dict_map(arch, cells=2)
    shapes = zeroshot.weight_names(arch, channels=4, cells=2)
    assert list(names.values()) == list(shapes)


def test_state_dict_is_converted() -> None:
    rng = np.random.default_rng(9)
    names = zeroshot.state_dict_map(CELL, cells=1)
    shapes = zeroshot.weight_names(CELL, channels=4, cells=1)
    state = {k: rng.standard_normal(shapes[v]).astype(np.float32) for k, v in names.items()}
    want = value(weights={names[k]: v for k, v in state.items()})
    extra = {"stem.1.running_mean": np.ones(4), "stem.1.num_batches_tracked": np.array(1)}
    wrapped = {f"module.{k}": v for k, v in {**state, **extra}.items()}
    assert value(weights=zeroshot.from_state_dict(CELL, wrapped, cells=1)) == want
    with pytest.raises(ValueError, match=r"'cells\.9\.x' is no tensor of this network"):
        zeroshot.from_state_dict(CELL, {**state, "cells.9.x": 0.0}, cells=1)
    del state["stem.0.weight"]
    with pytest.raises(ValueError, match=r"'stem\.0\.weight' is missing"):
        zeroshot.from_state_dict(CELL, state, cells=1)


# ---- counts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "classes"), [(32, 10), ((16, 32), 120)])
def test_live_weights_follow_the_formula(size: Any, classes: int) -> None:
    for arch in ("|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|none~0|none~1|skip_connect~2|", 9):
        live = zeroshot.spaces.nasbench201.live_edges(arch)
        ops = zeroshot.spaces.nasbench201.parse(arch)
        a = sum(op == 3 and alive for op, alive in zip(ops, live, strict=True))
        b = sum(op == 2 and alive for op, alive in zip(ops, live, strict=True))
        counts = zeroshot.count(arch, input_size=size, num_classes=classes)
        assert counts.live_weights == 72_112 + 64 * classes + 26_880 * (9 * a + b)


def test_counts_refuse_what_overflows() -> None:
    with pytest.raises(ValueError, match="input"):
        zeroshot.count(0, input_size=2**21)
    with pytest.raises(ValueError, match=r"input_size\[1\]"):
        zeroshot.count(0, input_size=(8, 0))
