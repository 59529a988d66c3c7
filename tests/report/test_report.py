"""Reports: what they say, that they hold all they show, and how they look in a browser."""

from __future__ import annotations

import base64
import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="Matplotlib is not installed: no reports")
pytest.importorskip("scipy", reason="SciPy is not installed: no reports")

import zeroshot
from zeroshot.report.page import Cell, Table, text
from zeroshot.stats import correlate

from . import browser

N = 60
RNG = np.random.default_rng(11)
ACCURACY = RNG.uniform(10, 94, N)
EVIL = "<script>alert('x')</script> & \"quoted\" \x07"
VOID = {"meta", "link", "br", "img", "input", "hr"}


def with_gaps(values: Any, *rows: int) -> Any:
    values = values.copy()
    values[list(rows)] = math.nan
    return values


VALUES = {
    "snip": with_gaps(ACCURACY + RNG.normal(0, 10, N), 3, 4),
    "worse": -ACCURACY + RNG.normal(0, 30, N),
    "params": np.round(ACCURACY / 10 + RNG.normal(0, 2, N)),
    EVIL: RNG.normal(size=N),
}
STATUS = {
    "snip": ["nonfinite" if i == 3 else "crashed" if i == 4 else "ok" for i in range(N)],
    "worse": ["no_signal" if i < 7 else "ok" for i in range(N)],
}
ARCHS = [f"arch {i}" for i in range(N)]
TARGETS = {"cifar10/test@200:mean": with_gaps(ACCURACY, 9), f"other {EVIL}": ACCURACY[::-1]}
SETTINGS: dict[str, Any] = {"batch_size": 64, EVIL: [EVIL, None], "deep": {"er": {"x": 1.5}}}


def write(path: Path, **changes: Any) -> str:
    options: dict[str, Any] = {
        "status": STATUS,
        "seconds": {"snip": np.full(N, 0.2), "worse": np.linspace(0.1, 3, N)},
        "smaller_is_better": ["worse"],
        "settings": SETTINGS,
        "provenance": {"benchmark": {"sha256": "ab" * 32}},
        "title": f"Title {EVIL}",
        "n_resamples": 100,
        "runs": 50,
        **changes,
    }
    zeroshot.write_report(path, ARCHS, VALUES, TARGETS, **options)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write(path)
    return path


class Page(HTMLParser):
    """Elements of a page, checked to be closed in order; texts of the cells of its tables."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.words: Counter[str] = Counter()
        self._rows: list[list[str]] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self._rows = []
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "caption" in self.open:
            self.tables[data] = self._rows
        elif {"td", "th"} & set(self.open):
            self._rows[-1][-1] += data
        if self.open and self.open[-1] not in ("style", "script"):
            self.words[data.strip()] += 1

    def table(self, start: str) -> list[list[str]]:
        (rows,) = [rows for caption, rows in self.tables.items() if caption.startswith(start)]
        return rows


@pytest.fixture(scope="module")
def page(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


# --- what it says ---------------------------------------------------------------------------------


def test_correlations_are_those_of_the_statistics(page: Page) -> None:
    rows = page.table("Rank correlation with cifar10/test@200:mean")
    turned = {k: -v if k == "worse" else v for k, v in VALUES.items()}
    target = TARGETS["cifar10/test@200:mean"]
    want = {r.label: r for r in correlate(turned, target, given={"params": turned["params"]},
                                          n_resamples=100)}  # fmt: skip
    shown = {row[0]: row for row in rows[1:]}
    assert len(shown) == 4
    order = [float(row[2].split()[0].replace("\N{MINUS SIGN}", "-")) for row in rows[1:]]
    assert order == sorted(order, reverse=True)
    snip = want["snip"]
    assert shown["snip"][1:3] == [
        "57", f"{snip.spearman:.3f} {snip.spearman_low:.3f} to {snip.spearman_high:.3f}",
    ]  # fmt: skip
    assert shown["snip"][7] == f"{snip.given['params']:.3f}"
    assert shown["snip"][8] == "3"
    assert shown["worse"][2].startswith(f"{want['worse'].spearman:.3f} ")
    assert want["worse"].spearman > 0
    assert (
        shown["params"][7] == "\N{EN DASH}"
        and int(shown["params"][9]) == want["params"].n_tied_scores
    )


def test_trivial_scores_are_marked(path: Path) -> None:
    found = re.findall(r'<tr class="trivial"><th scope=row[^>]*>([^<]*)', path.read_text())
    assert len(found) >= 4 and set(found) == {"params"}


def test_what_has_no_number_is_counted_by_status(page: Page) -> None:
    rows = page.table("Architectures by status")
    head, of = rows[0], {row[0]: row[1:] for row in rows[1:]}
    assert head[1:] == ["ok", "no_signal", "nonfinite", "failed", "crashed"]
    assert of["snip"] == ["58", "0", "1", "0", "1"]
    assert of["worse"] == ["53", "7", "0", "0", "0"]
    assert page.words["2 score values of 240 are no number."] == 1
    assert page.words["1 architecture without cifar10/test@200:mean."] == 1


def test_picks_are_the_first_of_each_score(page: Page) -> None:
    rows = {row[0]: row for row in page.table("The architecture that each score ranks first")[1:]}
    known = np.isfinite(TARGETS["cifar10/test@200:mean"])
    at = int(np.where(known & (np.arange(N) != 9), -VALUES["worse"], -np.inf).argmax())
    assert rows["worse"][2:] == [
        "1", f"{ACCURACY[at]:.2f}", str(int((ACCURACY[known] > ACCURACY[at]).sum()) + 1), ARCHS[at],
    ]  # fmt: skip
    best = int(np.where(known, ACCURACY, 0).argmax())
    assert rows["accuracy itself"][2:] == ["1", f"{ACCURACY[best]:.2f}", "1", ARCHS[best]]
    most = np.where(known, VALUES["params"], -np.inf).max()
    assert rows["params"][1] == f"{int(most)}"
    assert rows["params"][2] == str(int((VALUES["params"][known] == most).sum())) != "1"


def test_settings_and_provenance_are_there(page: Page) -> None:
    settings = {row[0]: row[1] for row in page.table("Settings")[1:]}
    assert settings["batch_size"] == "64" and settings["deep.er.x"] == "1.5"
    assert page.table("Provenance")[1] == ["benchmark.sha256", "ab" * 32]
    assert "zeroshot" in {row[0] for row in page.table("Environment")}


def test_lead_says_what_is_trivial(page: Page, tmp_path: Path) -> None:
    assert any(": snip, 0." in w and "; the best trivial score, params" in w for w in page.words)
    wide = np.exp(np.linspace(0, 20, 5))
    a = [10.0, 20, 30, 50, 40]
    zeroshot.write_report(
        tmp_path / "x.html", list("abcde"), {"s": wide, "params": [1, 2, 3, 5, 4]}, a,
        n_resamples=0, seconds={"s": [1] * 5, "params": [1] * 5},
    )  # fmt: skip
    found = Page((tmp_path / "x.html").read_text(encoding="utf-8"))
    (lead,) = [w for w in found.words if w.startswith("Best by")]
    assert lead.endswith("params, 1.000, a trivial score; the best one that is not, s, has 0.900.")
    assert found.words["10\N{SUPERSCRIPT TWO}"] == 1, "a logarithmic axis"
    assert not [a for _, a in found.elements if "seconds per arch" in (a.get("aria-label") or "")]


def test_data_can_be_kept(path: Path) -> None:
    link = re.search(r'download="scores.csv" href="data:text/csv;base64,([^"]*)"', path.read_text())
    assert link
    rows = list(csv.DictReader(io.StringIO(base64.b64decode(link[1]).decode())))
    assert [row["arch"] for row in rows] == ARCHS
    assert rows[3]["snip"] == "" and rows[3]["snip status"] == "nonfinite"
    assert float(rows[0]["worse"]) == VALUES["worse"][0]  # as it is, not turned round
    assert rows[9]["cifar10/test@200:mean"] == ""


def test_every_value_is_held_once(tmp_path: Path) -> None:
    """Pictures of many points are pictures, and their numbers are in the one table."""
    n = 3000
    archs = [f"|nor_conv_3x3~0|{i}" for i in range(n)]
    values = {k: RNG.normal(size=n) for k in ("a", "b", "params")}
    path = tmp_path / "many.html"
    zeroshot.write_report(path, archs, values, RNG.uniform(10, 94, n), n_resamples=0, runs=2)
    html = path.read_text(encoding="utf-8")
    held = re.findall(r'download="([^"]*)" href="data:text/csv;base64,([^"]*)"', html)
    files = {name: base64.b64decode(data).decode() for name, data in held}
    assert "scatter-0.csv" not in files and len(files) == len(held)
    for value in (archs[7], *(repr(float(v[7])) for v in values.values())):
        assert [name for name, data in files.items() if value in data] == ["scores.csv"]
    links = {href[1:] for href in re.findall(r'href="(#[^"]*)"', html)}
    assert "values" in links and 'id="values"' in html
    pictures = len(html) - sum(len(data) for _, data in held)
    assert pictures < 7 * 60_000, "6 pictures and the page"


# --- what it is made of ---------------------------------------------------------------------------


def test_texts_of_others_are_texts(path: Path, page: Page) -> None:
    html = path.read_text(encoding="utf-8")
    assert "<script>alert" not in html and "\x07" not in html
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert not [name for _, attrs in page.elements for name in attrs if name.startswith("on")]


def test_nothing_is_loaded_and_ids_are_unique(page: Page) -> None:
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    for tag, attrs in page.elements:
        for name in ("src", "href", "xlink:href", "action", "srcset"):
            value = attrs.get(name)
            if value is not None:
                assert value.startswith(("#", "data:")), f"{tag} {name}={value[:80]}"
                assert not value.startswith("#") or value[1:] in ids


def test_page_is_accessible(page: Page) -> None:
    tags = [tag for tag, _ in page.elements]
    assert tags.count("h1") == 1 and tags.count("main") == 1
    levels = [int(tag[1]) for tag in tags if re.fullmatch(r"h[1-6]", tag)]
    assert all(b - a <= 1 for a, b in zip([0, *levels], levels, strict=False))
    assert dict(page.elements)["html"] == {"lang": "en"}
    assert tags.count("caption") == tags.count("table") > 5
    pictures = [attrs for tag, attrs in page.elements if tag == "svg"]
    assert pictures and all(a.get("role") == "img" and a.get("aria-label") for a in pictures)
    assert all("scope" in attrs for tag, attrs in page.elements if tag == "th")


def test_the_same_input_gives_the_same_bytes(path: Path, tmp_path: Path) -> None:
    assert write(tmp_path / "again.html") == path.read_text(encoding="utf-8")


def test_little_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "small.html"
    zeroshot.write_report(path, ["a", "b"], {"s": [1, 2]}, [3, 4], n_resamples=0)
    assert "bootstrap" not in path.read_text()
    zeroshot.write_report(path, ["a"], {"s": [math.nan]}, [math.nan], n_resamples=10)
    assert "No score has numbers enough" in path.read_text()
    Page(path.read_text(encoding="utf-8"))


def test_cells_and_texts() -> None:
    shown = [Cell(v).shown() for v in (1234, 0.12345, -2.0, 1e-7, "<a>", 842673.815)]
    assert shown == ["1,234", "0.123", "\N{MINUS SIGN}2.000", "1e-07", "&lt;a&gt;", "842,674"]
    assert "no number" in Cell(math.nan).shown() and Cell(math.nan).key() == ""
    assert text("a\x00\ud800é") == "a\\x00\\xd800é"
    table = Table("<c>", [("<h>", "")])
    table.add("<r>")
    assert "<c>" not in table.shown() and "<h>" not in table.shown() and "<r>" not in table.shown()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"archs": []}, "archs, values: expected at least one"),
        ({"values": {}}, "archs, values: expected at least one"),
        ({"values": {"s": [1]}}, r"values\['s'\]: expected 2 values"),
        ({"accuracy": {"t": [1]}}, r"accuracy\['t'\]: expected 2 values"),
        ({"status": {"s": ["ok"]}}, r"status\['s'\]: expected 2 texts"),
        ({"seconds": {"t": [1, 2]}}, "seconds: expected labels among s; got t"),
        ({"smaller_is_better": ["t"]}, "smaller_is_better: expected labels among s; got t"),
    ],
)
def test_bad_input_is_refused(changes: Any, message: str, tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "archs": ["a", "b"], "values": {"s": [1, 2]}, "accuracy": [3, 4], **changes
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        zeroshot.write_report(tmp_path / "x.html", **given)
    assert not list(tmp_path.iterdir())


# --- in a browser ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Browser]:
    found = browser.find()
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(browser.NAMES)} is there (ZEROSHOT_BROWSER)")
    with browser.Browser(found, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_browser_shows_it(
    chromium: browser.Browser, path: Path, page: Page, width: int, dark: bool
) -> None:
    chromium.resize(width, dark=dark)
    chromium.open(path.as_uri())
    assert chromium.look("document.title") == f"Title {EVIL}".replace("\x07", "\\x07")
    methods = [e.get("method") for e in chromium.events]
    said = [e for e in chromium.events
            if e.get("method") in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled",
                                   "Log.entryAdded")]  # fmt: skip
    assert not said
    urls = [e["params"]["request"]["url"] for e in chromium.events
            if e.get("method") == "Network.requestWillBeSent"]  # fmt: skip
    assert "Page.loadEventFired" in methods
    assert [url for url in urls if not url.startswith("data:")] == [path.as_uri()]
    assert chromium.look("document.documentElement.scrollWidth") <= width, "it overflows"
    wide = chromium.look(
        "[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll, svg, .hidden, "
        f".skip') && e.getBoundingClientRect().right > {width} + 1).map(e => e.outerHTML)"
    )
    assert not wide
    paper = chromium.look("getComputedStyle(document.documentElement).backgroundColor")
    assert paper == ("rgb(22, 25, 29)" if dark else "rgb(255, 255, 255)")
    assert len(chromium.screenshot()) > 50_000


def test_headings_sort_and_what_has_no_number_stays_last(
    chromium: browser.Browser, path: Path
) -> None:
    chromium.resize(1280)
    chromium.open(path.as_uri())
    table = "document.querySelector('table.sortable')"
    column = f"[...{table}.tBodies[0].rows].map(r => r.cells[COLUMN].dataset.key)"
    for index in (2, 7, 0):
        button = f"{table}.tHead.rows[0].cells[{index}].querySelector('button')"
        for falls in (True, False):
            chromium.look(f"{button}.click()")
            keys = chromium.look(column.replace("COLUMN", str(index)))
            known = [k for k in keys if k]
            assert keys == known + [""] * (len(keys) - len(known))
            numbers = known if index == 0 else [float(k) for k in known]
            if index:
                assert numbers == sorted(numbers, reverse=falls)
            state = chromium.look(f"{button}.parentNode.getAttribute('aria-sort')")
            assert state == ("descending" if falls else "ascending")
