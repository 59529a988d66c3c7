"""`score` and its relatives: against the reference, alone and jointly, in every status."""

from __future__ import annotations

import json
import math
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import zeroshot
from zeroshot import GradSign, NonFiniteError, Sweet, XiGsnr, reference
from zeroshot._core import kernel_tables, list_scores
from zeroshot.scores import VARIANTS

HERE = Path(__file__).resolve().parent
CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
NO_PATH = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|"
TINY: dict[str, Any] = {"channels": 4, "cells": 1, "n_threads": 1}
SCORES = [XiGsnr(batch_size=4), GradSign(n_samples=6), Sweet(1e-3, 1e-2, batch_size=8)]
TABLES = [name for name, usable in kernel_tables() if usable]

# As for the engine: 1e-9 of the tensor's largest gradient, and rounding noise where a gradient is
# zero in real arithmetic. A score of such gradients is held to the same 1e-9.
RELATIVE, NOISE = 1e-9, 1e-13


def images(m: int = 9, size: int = 8) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(5)
    return rng.standard_normal((m, 3, size, size)), rng.integers(0, 10, m)


def random_weights(arch: Any, **size: Any) -> dict[str, NDArray[np.float64]]:
    rng = np.random.default_rng(6)
    shapes = zeroshot.weight_names(arch, **size)
    return {name: 0.5 * rng.standard_normal(shape) for name, shape in shapes.items()}


def nodes_of(arch: Any) -> list[dict[str, Any]]:
    from zeroshot.network import build_network

    options = zeroshot.Options(channels=4, cells=1)
    return [dict(node) for node in build_network(arch, options, (3, 8, 8)).graph.nodes()]


def assert_gradients_agree(ours: Any, expected: dict[str, NDArray[np.float64]]) -> None:
    largest = max(np.abs(g).max() for g in expected.values())
    assert set(ours) == set(expected)
    for name, want in expected.items():
        tolerance = RELATIVE * np.abs(want).max() + NOISE * largest
        assert np.abs(ours[name] - want).max() <= tolerance, name


# ---- against the reference -----------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["cross_entropy", "sum_logits"])
@pytest.mark.parametrize("arch", [CELL, NO_PATH, 1462, 123])
def test_gradients_match_reference(arch: Any, loss: Any) -> None:
    x, y = images()
    weights = random_weights(arch, channels=4, cells=1)
    want = reference.run(nodes_of(arch), weights, x[:8], y[:8], loss=loss, group_size=4)
    ours = zeroshot.gradients(
        arch, x, y, batch_size=4, loss=loss, all_params=True, weights=weights, dtype="float64",
        **TINY,
    )  # fmt: skip
    assert_gradients_agree(ours.gradients, want.gradients)
    np.testing.assert_allclose(ours.losses, want.losses, rtol=RELATIVE)
    np.testing.assert_allclose(ours.logits, want.logits, rtol=RELATIVE, atol=NOISE)
    assert (ours.n_groups, ours.unused_rows, ours.nonfinite) == (2, 1, None)


@pytest.mark.parametrize("name", ["nb201_tiny", "odd_ops"])
def test_scores_of_stored_networks(name: str) -> None:
    golden = reference.load_golden(HERE / "golden" / f"{name}.npz")
    nodes, weights, x, y = golden.problem
    assert_scores(nodes, weights, x, y, golden.scores, golden.group_size, n_samples=3)


@pytest.mark.parametrize(
    "name",
    ["darts_cells", "nb101_module"]
    + [f"nb201_{n}" for n in ("a_all_ops", "b_pool_heavy", "c_1x1_only", "d_dead_edges")]
    + ["nb201_e_zero_output", "nb201_f_residual_3x3"],
)
def test_scores_of_shared_networks(name: str, shared: Path) -> None:
    path = shared / "golden" / f"{name}.npz"
    nodes, weights, x, y = reference.from_golden(path)
    with np.load(path) as file:
        scores = json.loads(str(file["scores"]))
        edges, histogram = file["sweet_edges"], file["sweet_hist"]
        counted = json.loads(str(file["meta"]))["counted"]
    if name == "darts_cells":  # a quarter of its sample gradients is rounding noise
        del scores["gradsign"]
    assert_scores(nodes, weights, x, y, scores, 4, n_samples=4)
    graph = zeroshot.Graph.from_nodes(nodes)
    result = zeroshot.score(
        graph, x, y, scores=Sweet.over(edges, batch_size=4), weights=weights, dtype="float64"
    )
    table = result.scores["sweet"].histogram
    assert table is not None
    np.testing.assert_array_equal([table[weight] for weight in counted], histogram)


def assert_scores(
    nodes: Any, weights: Any, x: Any, y: Any, stored: dict[str, float], size: int, n_samples: int
) -> None:
    wanted: list[Any] = []
    rest: Any
    for label in stored:
        family, _, rest = label.partition("_")
        if family in ("eq10", "cum") and rest in VARIANTS:
            accumulate = family == "cum"
            wanted.append(XiGsnr(batch_size=size, variant=rest, accumulate=accumulate, label=label))
        elif label in ("gradsign", "gradsign_noise_as_zero"):
            tol = 1e-12 if label != "gradsign" else 0.0
            wanted.append(GradSign(n_samples=n_samples, zero_tol=tol, label=label))
        elif family == "sweet":
            lo, hi = map(float, rest.split("_"))
            wanted.append(Sweet(lo, hi, batch_size=size, label=label))
    assert len(wanted) >= 12
    graph = zeroshot.Graph.from_nodes(nodes)
    result = zeroshot.score(
        graph, x, y, scores=wanted, weights=weights, dtype="float64", n_threads=1
    )
    for one in wanted:
        exact = not isinstance(one, XiGsnr)
        assert result[one.label] == pytest.approx(
            stored[one.label], rel=0 if exact else RELATIVE, abs=0
        ), one.label
        layers = result.scores[one.label].layers
        assert math.fsum(layers.values()) == pytest.approx(result[one.label], rel=1e-12)


# ---- the same bits -------------------------------------------------------------------------------


def bits(result: zeroshot.ScoreResult) -> Any:
    return {label: (s.value, s.layers, s.keys, s.status) for label, s in result.scores.items()}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kernels", TABLES)
def test_threads_give_same_bits(kernels: str, dtype: Any) -> None:
    x, y = images()
    options = {**TINY, "kernels": kernels, "dtype": dtype}
    want = bits(zeroshot.score(CELL, x, y, scores=SCORES, **options))
    for n in (2, 3, 4, 7):
        options["n_threads"] = n
        assert bits(zeroshot.score(CELL, x, y, scores=SCORES, **options)) == want


def test_joint_call_equals_single_calls() -> None:
    x, y = images()
    more = [
        *SCORES,
        XiGsnr(batch_size=4, accumulate=True, label="accumulated"),
        XiGsnr(batch_size=4, loss="sum_logits", label="output"),
        XiGsnr(batch_size=2, n_batches=2, label="short"),
        GradSign(n_samples=3, reduction="mean", label="mean"),
    ]
    joint = bits(zeroshot.score(CELL, x, y, scores=more, **TINY))
    for one in more:
        alone = bits(zeroshot.score(CELL, x, y, scores=one, **TINY))
        assert alone == {one.label: joint[one.label]}


def test_python_threads_give_same_bits() -> None:
    x, y = images()
    want = bits(zeroshot.score(CELL, x, y, scores=SCORES, **TINY))
    found: list[Any] = [None] * 4

    def work(i: int) -> None:
        found[i] = [bits(zeroshot.score(CELL, x, y, scores=SCORES, **TINY)) for _ in range(5)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(found))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[want] * 5] * len(found)


def test_forked_child_gives_same_bits(run_python: Any) -> None:
    done = run_python(
        "import multiprocessing, numpy as np, zeroshot\n"
        "x = np.random.default_rng(0).standard_normal((8, 3, 8, 8)); y = np.arange(8)\n"
        "def value(_=0):\n"
        "    return zeroshot.xi_gsnr(123, x, y, batch_size=4, channels=4, cells=1, n_threads=2)\n"
        "want = value()\n"  # OpenMP has run in the parent
        "with multiprocessing.get_context('fork').Pool(1) as pool:\n"
        "    assert pool.map_async(value, range(3)).get(timeout=120) == [want] * 3\n"
    )
    assert done.returncode == 0, done.stderr


def test_functions_return_what_score_does() -> None:
    x, y = images()
    joint = zeroshot.score(CELL, x, y, scores=SCORES, **TINY)
    assert zeroshot.xi_gsnr(CELL, x, y, batch_size=4, **TINY) == joint["xi_gsnr"]
    assert zeroshot.gradsign(CELL, x, y, n_samples=6, **TINY) == joint["gradsign"]
    swept = zeroshot.sweet_count(CELL, x, y, lo=1e-3, hi=1e-2, batch_size=8, **TINY)
    assert swept == joint["sweet"]


@pytest.mark.parametrize(
    "arch", [9, np.int64(9), (4, 0, 0, 1, 0, 3), np.array([4, 0, 0, 1, 0, 3])], ids=repr
)
def test_notations_of_one_cell_give_same_result(arch: Any) -> None:
    x, y = images()
    text = "|avg_pool_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
    ours, want = (zeroshot.score(a, x, y, scores=SCORES, **TINY) for a in (arch, text))
    assert (bits(ours), ours.arch) == (bits(want), text)


# ---- statuses ------------------------------------------------------------------------------------


def test_cell_without_path_has_its_defined_value() -> None:
    x, y = images()
    dead = XiGsnr(batch_size=4, variant="inv_var_xi", label="inv")
    scores = [*SCORES, dead, Sweet(0, batch_size=8, label="z")]
    result = zeroshot.score(NO_PATH, x, y, scores=scores, **TINY)
    weights = zeroshot.count(NO_PATH, channels=4, cells=1, input_size=8).weights
    assert result.status == "no_signal"
    assert {s.status for s in result.scores.values()} == {"no_signal"}
    assert result.values == {
        "xi_gsnr": 0, "gradsign": 0, "sweet": 0, "z": weights,
        "inv": pytest.approx(weights * 1e8),
    }  # fmt: skip
    assert zeroshot.xi_gsnr(NO_PATH, x, y, batch_size=4, **TINY) == 0.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nonfinite_image_is_never_a_silent_number(bad: float) -> None:
    x, y = images()
    x[2, 1, 3, 3] = bad
    result = zeroshot.score(CELL, x, y, scores=SCORES, **TINY)
    assert result.status == "nonfinite"
    assert result.nonfinite is not None
    layer, count = result.nonfinite
    assert (layer, count > 0) == ("input", True)
    assert all(math.isnan(value) for value in result.values.values())
    with pytest.raises(NonFiniteError, match="first in x") as caught:
        zeroshot.gradsign(CELL, x, y, n_samples=6, **TINY)
    assert isinstance(caught.value.result, zeroshot.ScoreResult)
    assert caught.value.result.status == "nonfinite"


def test_nonfinite_weight_names_its_layer() -> None:
    x, y = images()
    weights = {"cell01.e01.conv.weight": np.full((8, 8, 3, 3), np.nan)}
    result = zeroshot.score(CELL, x, y, scores=SCORES, weights=weights, **TINY)
    assert result.nonfinite is not None
    assert (result.status, result.nonfinite[0]) == ("nonfinite", "cell01.e01.conv")


def test_nonfinite_row_that_nobody_uses_is_not_looked_at() -> None:
    x, y = images(9)
    x[8] = np.nan
    assert zeroshot.score(CELL, x, y, scores=SCORES, **TINY).status == "ok"


def test_equal_batches_are_undefined() -> None:
    x, y = images(4)
    twice = np.concatenate([x, x]), np.concatenate([y, y])
    result = zeroshot.score(CELL, *twice, scores=XiGsnr(batch_size=4), **TINY)
    assert (result.status, result.reason, result.value) == ("undefined", "no_variance", 0.0)


def test_state_of_failed_call_does_not_leak_into_next() -> None:
    x, y = images()
    want = bits(zeroshot.score(CELL, x, y, scores=SCORES, **TINY))
    with pytest.raises(MemoryError):
        zeroshot.score(CELL, x, y, scores=SCORES, max_bytes=10_000, **TINY)
    nan = {"stem.conv.weight": np.full((4, 3, 3, 3), np.nan)}
    assert zeroshot.score(CELL, x, y, scores=SCORES, weights=nan, **TINY).status == "nonfinite"
    assert bits(zeroshot.score(CELL, x, y, scores=SCORES, **TINY)) == want


# ---- results -------------------------------------------------------------------------------------


def test_result_pickles_and_turns_into_json() -> None:
    x, y = images()
    result = zeroshot.score(CELL, x, y, scores=SCORES, **TINY)
    assert pickle.loads(pickle.dumps(result)) == result
    plain = json.loads(json.dumps(result.to_dict()))
    assert plain["scores"]["gradsign"]["value"] == result["gradsign"]
    assert plain["arch"] == CELL
    assert "gradsign=" in repr(result)
    with pytest.raises(KeyError, match="the labels are xi_gsnr"):
        result["zico"]
    with pytest.raises(ValueError, match="several scores"):
        _ = result.value


def test_result_tells_rows_memory_and_work() -> None:
    x, y = images()
    result = zeroshot.score(CELL, x, y, scores=SCORES, **TINY)
    rows = {label: (s.used_rows, s.unused_rows) for label, s in result.scores.items()}
    assert rows == {"xi_gsnr": (8, 1), "gradsign": (6, 3), "sweet": (8, 1)}
    planned = zeroshot.plan(CELL, scores=SCORES, n_rows=9, input_size=8, **TINY)
    assert planned.peak_bytes == result.peak_bytes
    assert (planned.macs, planned.images, planned.n_passes) == (result.macs, 8 + 6 + 8, 3)
    assert planned.counts == zeroshot.count(CELL, channels=4, cells=1, input_size=8)


def test_max_bytes_is_the_least_that_is_enough() -> None:
    x, y = images()
    found = zeroshot.score(CELL, x, y, scores=SCORES, **TINY)
    ok = zeroshot.score(CELL, x, y, scores=SCORES, max_bytes=found.peak_bytes, **TINY)
    assert ok.peak_bytes == found.peak_bytes
    again = zeroshot.score(CELL, x, y, scores=SCORES, recompute=True, **TINY).peak_bytes
    tight = zeroshot.score(CELL, x, y, scores=SCORES, max_bytes=again, **TINY)
    assert tight.peak_bytes <= again < found.peak_bytes
    assert {n: s.value for n, s in tight.scores.items()} == {
        n: s.value for n, s in found.scores.items()
    }
    with pytest.raises(MemoryError, match="max_bytes"):
        zeroshot.score(CELL, x, y, scores=SCORES, max_bytes=tight.peak_bytes - 1, **TINY)


def test_seeds_give_mean_deviation_and_every_value() -> None:
    x, y = images()
    alone = [zeroshot.score(CELL, x, y, scores=SCORES, seed=s, **TINY) for s in (0, 1, 2**32 + 7)]
    many = zeroshot.score(CELL, x, y, scores=SCORES, seeds=[0, 1, 7], **TINY)
    assert many.seeds == (0, 1, 7)
    for label, score in many.scores.items():
        values = [one[label] for one in alone]
        assert score.values == tuple(values)
        assert score.mean == pytest.approx(np.mean(values), rel=1e-15)
        assert score.std == pytest.approx(np.std(values, ddof=1), rel=1e-12)
        assert score.keys == tuple(one.scores[label].keys[0] for one in alone)


def test_cancelled_token_stops_call() -> None:
    token = zeroshot.CancelToken()
    token.cancel()
    with pytest.raises(zeroshot.Cancelled):
        zeroshot.score(CELL, *images(), scores=SCORES, cancel=token, **TINY)


def test_every_score_of_the_core_has_a_dataclass() -> None:
    infos = {info.name: info for info in zeroshot.list_scores()}
    assert list(infos) == [core["name"] for core in list_scores()]
    for core in list_scores():
        info = infos[core["name"]]
        default = info.dataclass()
        assert len(default.core_params()) == len(core["params"])
        assert (default.core_edges() is not None) == core["takes_edges"]
        assert info.defaults["label"] == info.name
        assert default.grouping(128).n >= core["min_groups"]


def test_config_tells_what_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    zeroshot.show_config()
    printed = capsys.readouterr().out
    config = zeroshot.show_config("dicts")
    assert config["kernels"]["auto"] in printed
    result = zeroshot.score(CELL, *images(), scores=SCORES, **TINY)
    assert result.provenance is not None
    assert result.provenance.environment["kernels"] == config["kernels"]["auto"]


def test_version_is_that_of_the_project() -> None:
    project = HERE.parent / "pyproject.toml"
    if not project.exists():
        pytest.skip("no pyproject.toml beside the tests: the version is compared with nothing")
    assert f'version = "{zeroshot.__version__}"' in project.read_text()
