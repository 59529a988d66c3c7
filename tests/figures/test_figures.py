"""Figures: what is drawn, their data, their files, and what is refused."""

from __future__ import annotations

import csv
import io
import math
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="Matplotlib is not installed: no figures")
pytest.importorskip("scipy", reason="SciPy is not installed: no figures")

from zeroshot import figures
from zeroshot.figures.correlation_bars import _spread
from zeroshot.figures.style import COLOURS, edge_text
from zeroshot.sweet import sweet_edges, sweetness

RNG = np.random.default_rng(5)
N = 30
ACCURACY = RNG.uniform(10, 94, N)
SCORE = ACCURACY + RNG.normal(0, 20, N)
COUNTS = RNG.integers(1, 50, (N, 21))
LAYERS = RNG.integers(0, 5, (N, 6, 21))
SIZES = LAYERS.sum(axis=2)
SVG = "{http://www.w3.org/2000/svg}"

EXAMPLES: dict[str, Callable[[], figures.Figure]] = {
    "scatter": lambda: figures.scatter(SCORE, {"A": ACCURACY, "B": ACCURACY[::-1]}, label="snip"),
    "scatter, colour": lambda: figures.scatter(SCORE, ACCURACY, colour=SCORE**2),
    "scatter, many": lambda: figures.scatter(np.tile(SCORE, 101), np.tile(ACCURACY, 101)),
    "scatter, log": lambda: figures.scatter(np.exp(SCORE / 10), ACCURACY, log_x=True),
    "hexbin": lambda: figures.rank_hexbin(SCORE, ACCURACY),
    "heatmap": lambda: figures.sweet_heatmap({"A": COUNTS, "B": COUNTS + 1}, ACCURACY),
    "depth": lambda: figures.depth_proportion(LAYERS, SIZES),
    "sweetness": lambda: figures.sweetness_bars(RNG.normal(size=23)),
    "gradients": lambda: figures.gradient_histogram({"A": COUNTS, "B": COUNTS}),
    "activations": lambda: figures.activation_histogram(COUNTS, which="conv"),
    "ablation": lambda: figures.ablation_curves(
        [
            figures.Sweep("batch size", [8, 16], {"A": [0.1, 0.2], "B, other": [0.3, 0]}, "log2"),
            figures.Sweep(
                "xi", [0, 1e-9, 1e-8], {"A": [0.1, math.nan, 0.3]}, "log10",
                {"A": ([0, 0, 0], [0.5, 0.5, 0.5])},
            ),
        ]
    ),
    "bars": lambda: figures.correlation_bars(
        {"x": 0.5, "params": -0.4, "none": math.nan}, intervals={"x": (0.4, 0.6)}
    ),
    "time": lambda: figures.correlation_by_time({"x": 1.0, "y": 0.1}, {"x": 0.5, "y": 0.5}),
    "best": lambda: figures.best_of_n_curves([10, 100], {"x": [80, 90], "random": [70, 70]}),
}  # fmt: skip


def rows_of(figure: figures.Figure) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(figure.csv())))


def texts_of(svg: str) -> list[str]:
    root = ElementTree.fromstring(svg)
    return ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXAMPLES)
def test_file_and_data_are_written(name: str, tmp_path: Path) -> None:
    figure = EXAMPLES[name]()
    path = tmp_path / "figure.svg"
    figure.save(path)
    root = ElementTree.parse(path).getroot()
    assert root.tag == f"{SVG}svg" and root.findtext(f"{SVG}title") == figure.title
    assert not [n for n in root.iter() if "date" in n.tag.lower()]
    with path.with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.DictReader(file)) == rows_of(figure)
    assert rows_of(figure) and figure.alt
    figure.save(tmp_path / "other.PNG", dpi=50, data=False)
    data = (tmp_path / "other.PNG").read_bytes()
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    assert max(abs(width - 50 * figure.size[0]), abs(height - 50 * figure.size[1])) <= 1
    assert not (tmp_path / "other.csv").exists()
    assert path.stat().st_size < 400_000, "many points are one picture"


@pytest.mark.parametrize("name", EXAMPLES)
def test_nothing_is_cut_off_and_no_texts_lie_on_each_other(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    canvas = FigureCanvasAgg(EXAMPLES[name]().figure())
    canvas.draw()  # which lays out
    drawn: dict[Text, Any] = {}
    draw = Text.draw

    def note(self: Text, renderer: Any) -> None:
        draw(self, renderer)
        if self.get_text().strip():
            drawn[self] = self.get_window_extent(renderer)

    monkeypatch.setattr(Text, "draw", note)
    canvas.draw()
    width, height = canvas.get_width_height()
    assert drawn
    for text, box in drawn.items():
        inside = min(box.x0, box.y0) > -1 and box.x1 < width + 1 and box.y1 < height + 1
        assert inside, f"{text.get_text()!r} at {box} leaves the figure"
    level = [(text, box) for text, box in drawn.items() if text.get_rotation() % 90 == 0]
    for i, (one, a) in enumerate(level):  # boxes of slanted texts meet where the texts do not
        for other, b in level[:i]:
            apart = a.x1 < b.x0 + 2 or b.x1 < a.x0 + 2 or a.y1 < b.y0 + 2 or b.y1 < a.y0 + 2
            assert apart, f"{one.get_text()!r} lies on {other.get_text()!r}"


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_bytes_are_the_same_in_every_process(suffix: str, tmp_path: Path) -> None:
    code = (
        "import sys, matplotlib, numpy as np\n"
        "from zeroshot import figures\n"
        "matplotlib.rcParams['font.size'] = float(sys.argv[2])\n"
        "x = np.random.default_rng(0).normal(size=40)\n"
        "figures.scatter(x, {'A': x**2, 'B': -x}, colour=x).save(sys.argv[1])\n"
    )
    found = []
    for i in range(2):
        path = tmp_path / f"{i}.{suffix}"
        env = {**os.environ, "PYTHONHASHSEED": str(i), "SOURCE_DATE_EPOCH": str(10**9 * i)}
        words = [sys.executable, "-c", code, str(path), str(8 + 10 * i)]
        subprocess.run(words, check=True, env=env, timeout=300)
        found.append((path.read_bytes(), path.with_suffix(".csv").read_bytes()))
    assert found[0] == found[1]


def test_drawing_leaves_the_users_style_alone() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    EXAMPLES["bars"]()._repr_svg_()
    assert dict(matplotlib.rcParams) == before


def test_inline_pictures_of_one_page_share_no_id() -> None:
    one, two = (EXAMPLES["scatter"]().inline_svg(prefix) for prefix in ("a", "b"))
    ids = [{n.attrib["id"] for n in ElementTree.fromstring(s).iter() if "id" in n.attrib}
           for s in (one, two)]  # fmt: skip
    assert ids[0] and not ids[0] & ids[1]
    used = {part.split(")")[0] for part in one.split("url(#")[1:]}
    used |= {part.split('"')[0] for part in one.split('href="#')[1:]}
    assert used and used <= ids[0]
    assert 'role="img" aria-label="Test accuracy against snip' in one
    assert "var(--ink, #1a1a1a)" in one and "<metadata" not in one


def test_names_are_shown_as_they_are() -> None:
    """No formula is read into them, and what XML has no place for is replaced."""
    label = "a_b$x^2$ <&> \x07"
    figure = figures.scatter(np.exp(SCORE / 10), {label: ACCURACY}, label=label, log_x=True)
    assert texts_of(figure._repr_svg_()).count("a_b$x^2$ <&> ?") == 2
    ElementTree.fromstring(figure.inline_svg("x"))
    ticks = texts_of(EXAMPLES["ablation"]()._repr_svg_())
    assert "10⁻⁸" in ticks and not [t for t in ticks if "$" in t]


def test_missing_libraries_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'zeroshot\[plot\]'"):
        figures.gradient_histogram(COUNTS)


@pytest.mark.parametrize("name", ["figure.pdf", "figure", ".svg.gz"])
def test_other_suffixes_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"path: expected a name that ends in .svg or .png"):
        EXAMPLES["bars"]().save(tmp_path / name)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="dpi: expected 10 to 2400"):
        EXAMPLES["bars"]().save(tmp_path / "x.png", dpi=1)


# --- colours --------------------------------------------------------------------------------------

# Linear RGB as those see it who lack one kind of cone (Vienot, Brettel and Mollon, 1999).
_DEUTAN = [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]
_PROTAN = [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]]


def _lab(colour: str, lack: Any) -> Any:
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.asarray(lack) @ linear, 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    f = np.cbrt(xyz @ linear / [0.9505, 1, 1.089])
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("lack", [np.eye(3), _DEUTAN, _PROTAN], ids=["all", "deutan", "protan"])
def test_first_colours_are_told_apart_without_a_kind_of_cone(lack: Any) -> None:
    found = [_lab(colour, lack) for colour in COLOURS[:4]]
    far = [np.linalg.norm(a - b) for i, a in enumerate(found) for b in found[:i]]
    assert min(far) > 10  # 2.3 is what can just be noticed


# --- what is drawn --------------------------------------------------------------------------------


def test_scatter_counts_what_it_leaves_out() -> None:
    score = np.array([1.0, 2, np.nan, np.inf, 5, -1])
    accuracy = np.array([10.0, 20, 30, 40, np.nan, 5])
    figure = figures.scatter(score, accuracy, archs=list("abcdef"))
    assert "ρ 1.000, τ 1.000, n = 4, 1 infinite, 2 without a number" in figure.alt
    assert [row["score"] for row in rows_of(figure)] == ["1.0", "2.0", "", "inf", "5.0", "-1.0"]
    assert [row["arch"] for row in rows_of(figure)] == list("abcdef")
    assert "1 not above 0" in figures.scatter(score, accuracy, log_x=True).alt


def test_scatter_shows_far_values_at_the_edge() -> None:
    score = np.append(RNG.normal(size=200), -1e8)
    figure = figures.scatter(score, np.arange(201.0))
    assert "1 outside, at the edge" in figure.alt
    (axes,) = figure.figure().axes
    assert axes.get_xlim()[0] > -20
    assert min(np.asarray(axes.collections[0].get_offsets())[:, 0]) > -20
    assert float(rows_of(figure)[-1]["score"]) == -1e8


def test_hexbin_has_ranks_from_the_best() -> None:
    figure = figures.rank_hexbin([1, 3, 3, np.nan, 0], [50, 60, 70, 80, 40])
    assert [r["rank by score"] for r in rows_of(figure)] == ["3.0", "1.5", "1.5", "4.0"]
    assert [r["rank by accuracy"] for r in rows_of(figure)] == ["3.0", "2.0", "1.0", "4.0"]


def test_hexbin_ranks_the_smallest_first_where_it_is_the_best() -> None:
    figure = figures.rank_hexbin([3, 1, 2], [40, 60, 50], smaller_is_better=True)
    assert [r["rank by score"] for r in rows_of(figure)] == ["3.0", "1.0", "2.0"]
    assert [r["score"] for r in rows_of(figure)] == ["3.0", "1.0", "2.0"]
    assert "ρ 1.000" in figure.alt


def test_heatmap_cells_are_spearmans_of_summed_counts() -> None:
    from scipy.stats import spearmanr

    counts = RNG.integers(0, 9, (N, 4))
    counts[:, 2] = 7
    found = figures.interval_correlations(counts, ACCURACY)
    for i in range(4):
        for j in range(4):
            if j < i or (i, j) == (2, 2):  # none; the same for all
                assert math.isnan(found[i, j])
            else:
                want = spearmanr(counts[:, i : j + 1].sum(axis=1), ACCURACY).statistic
                assert abs(found[i, j] - want) < 1e-12
    figure = figures.sweet_heatmap(counts, ACCURACY, edges=[0, 1e-3, 1e-2, 0.1, 5])
    sweet = {(r["thr1"], r["thr2"]) for r in rows_of(figure) if r["sweet"] == "True"}
    borders = ["0.0", "0.001", "0.01", "0.1", "5.0"]
    above = np.argwhere(found > found[0, 3])
    assert sweet == {(borders[i], borders[j + 1]) for i, j in above}
    (axes, _) = figure.figure().axes
    points = {tuple(map(int, p)) for p in axes.lines[0].get_xydata()}
    assert points == {(j, i) for i, j in above}
    assert axes.get_images()[0].get_array()[0, 3] == found[0, 3]  # upper right: Parameters


def test_depth_has_shares_and_their_sweetness() -> None:
    figure = figures.depth_proportion(LAYERS, SIZES, intervals=[(0, 5e-10), (1e-4, 1e-3)])
    rows = rows_of(figure)
    assert len(rows) == 12
    share = LAYERS[:, :, 0] / np.maximum(SIZES, 1)
    assert [float(r["mean"]) for r in rows[:6]] == share.mean(axis=0).tolist()
    edges = sweet_edges("released").tolist()
    a, b = edges.index(1e-4), edges.index(1e-3)
    merged = LAYERS[:, :, a:b].sum(axis=2)
    low, high = np.percentile(merged / np.maximum(SIZES, 1), (10, 90), axis=0)
    assert [float(r["p10"]) for r in rows[6:]] == pytest.approx(low.tolist(), abs=1e-15)
    assert [float(r["p90"]) for r in rows[6:]] == pytest.approx(high.tolist(), abs=1e-15)
    (want,) = sweetness(list(merged[:, :, None]), list(SIZES))
    assert float(rows[6]["sweetness"]) == want
    assert "[1e-4, 1e-3)" in texts_of(figure._repr_svg_())


def test_histogram_is_a_mean_of_shares() -> None:
    figure = figures.gradient_histogram([[1, 3, 0], [10, 0, 0]], edges=[0, 1, 2, 3])
    assert [float(r["share"]) for r in rows_of(figure)] == [0.625, 0.375, 0.0]
    assert [int(r["count"]) for r in rows_of(figure)] == [11, 3, 0]


@pytest.mark.parametrize(("last", "of"), [(5, "values below 5"), (math.inf, "values")])
def test_histogram_says_what_its_shares_are_of(last: float, of: str) -> None:
    figure = figures.activation_histogram([[1, 3]], edges=[0, 1, last])
    assert f"% of {of}" in texts_of(figure._repr_svg_())
    assert ("activation functions below 5 by size" in figure.alt) == (last == 5)


def test_bars_stand_in_order_with_lines_at_trivial_scores() -> None:
    figure = figures.correlation_bars({"a": 0.2, "params": 0.5, "b": 0.7, "c": math.nan})
    assert [r["score"] for r in rows_of(figure)] == ["b", "params", "a", "c"]
    (axes,) = figure.figure().axes
    assert [t.get_text() for t in axes.get_yticklabels()] == ["c", "a", "params", "b"]
    assert [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == ":"] == [0.5]
    assert "no number" in texts_of(figure._repr_svg_())


def test_ablation_puts_zero_apart_and_keeps_colours() -> None:
    made = EXAMPLES["ablation"]().figure()
    first, second = made.axes
    assert second.lines[0].get_xdata().tolist() == [-10, -9, -8]
    assert second.get_xticklabels()[0].get_text() == "0"
    assert first.lines[0].get_color() == second.lines[0].get_color() != first.lines[1].get_color()


@pytest.mark.parametrize("y", [[0, 0, 0, 10], [0, 1, 1.5, 9], [3], [0, 0.1, 5, 5.1]])
def test_spread_keeps_order_and_distance(y: list[float]) -> None:
    places = np.array(_spread(y, 2.0))
    assert (np.diff(places) >= 2 - 1e-12).all()
    assert abs(places.mean() - np.mean(y)) < 1e-12 or len(y) == 1


def test_edges_are_short() -> None:
    assert [edge_text(e) for e in (0, 1e-10, 5e-3, 0.5, 20000, math.inf)] == [
        "0", "1e-10", "5e-3", "0.5", "2e4", "inf",
    ]  # fmt: skip


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: figures.scatter([], []), "score: expected values on one axis, got shape"),
        (lambda: figures.scatter([1, 2], [1]), "accuracy: expected 2 values, one per score, got 1"),
        (lambda: figures.scatter([1, 2], [1, 2], colour=[1]), "colour: expected 2 values"),
        (lambda: figures.scatter([np.nan], [1]), "expected a pair with both numbers"),
        (lambda: figures.scatter([1, 2], {}), "expected at least one panel"),
        (lambda: figures.sweet_heatmap(COUNTS[:, :3], ACCURACY), "counts: expected 21 intervals"),
        (lambda: figures.sweet_heatmap(COUNTS[:3], ACCURACY), "counts: expected 30 rows"),
        (
            lambda: figures.sweet_heatmap(COUNTS[:1], ACCURACY[:1]),
            "counts, accuracy: expected architectures that differ in both, got none among 1",
        ),
        (
            lambda: figures.sweet_heatmap({"A": COUNTS, "B": COUNTS}, {"C": ACCURACY, "B": SCORE}),
            "accuracy: expected the titles of counts, A, B; got C, B",
        ),
        (lambda: figures.depth_proportion(LAYERS, SIZES.T), "counts, sizes: expected shapes"),
        (
            lambda: figures.depth_proportion(LAYERS, SIZES, intervals=[(1e-3, 3e-3)]),
            r"intervals: expected two increasing borders among 0, 5e-10.*got \(0.001, 0.003\)",
        ),
        (lambda: figures.sweetness_bars([1, 2]), "values: expected 23 intervals"),
        (lambda: figures.gradient_histogram(COUNTS[0]), "counts: expected values on 2 axes"),
        (lambda: figures.gradient_histogram(0 * COUNTS), "expected counts in every row"),
        (lambda: figures.ablation_curves([]), "sweeps: expected at least one"),
        (
            lambda: figures.ablation_curves([figures.Sweep("n", [1, 2], {"A": [1]})]),
            r"lines\['A'\]: expected 2 values, one per value of n, got 1",
        ),
        (lambda: figures.correlation_bars({}), "expected at least one"),
        (lambda: figures.best_of_n_curves([1, 2], {"a": [1]}), "'a': expected 2 values"),
        (lambda: figures.correlation_by_time({"a": 1}, {"b": 1}), "expected a score in both"),
    ],
)
def test_bad_input_is_refused(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: figures.scatter(["a"], [1]), "score: expected numbers on one axis, got"),
        (lambda: figures.best_of_n_curves({"x": [1]}, {}), "ns: expected numbers on one axis, got"),
    ],
)
def test_what_is_no_number_is_named(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call()
