"""Files: SVG with text, PNG, the same bytes every time, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

import zeroshot
from zeroshot.cli import main
from zeroshot.errors import ArchitectureError

from .common import texts_of

CELL = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
EXAMPLES = [
    (CELL, "nasbench201"),
    ("DARTS_V2", "darts"),
    ("adj=0111/0010/0001/0000;ops=input,conv3x3-bn-relu,maxpool3x3,output", "nasbench101"),
    (7**15, "proxylessnas"),
    (10**20, "burgerformer"),
]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(("arch", "space"), EXAMPLES, ids=[space for _, space in EXAMPLES])
def test_svg_is_valid_and_its_texts_are_text(arch: Any, space: str, tmp_path: Path) -> None:
    path = tmp_path / "picture.svg"
    drawing = zeroshot.draw(arch, space=space, path=path)
    root = ElementTree.parse(path).getroot()
    assert root.tag == f"{SVG}svg"
    assert [float(root.attrib[key].removesuffix("pt")) for key in ("width", "height")] == list(
        drawing.size
    )
    texts = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    assert sorted(texts) == sorted(texts_of(drawing).elements())
    assert root.findtext(f"{SVG}title") == drawing.title
    assert path.stat().st_size < 40_000
    assert drawing._repr_svg_().encode() == path.read_bytes()


def test_png_has_the_asked_resolution(tmp_path: Path) -> None:
    path = tmp_path / "picture.PNG"
    drawing = zeroshot.draw(CELL, path=path, dpi=144)
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    size = [int.from_bytes(data[at : at + 4], "big") for at in (16, 20)]
    assert size == [2 * side for side in drawing.size]
    drawing.save(path, dpi=72)
    assert len(path.read_bytes()) < len(data)


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_bytes_are_the_same_in_every_process(suffix: str, tmp_path: Path) -> None:
    code = (
        "import sys, zeroshot\n"
        "arch, path, size = sys.argv[1:]\n"
        "import matplotlib\n"
        "matplotlib.rcParams['font.size'] = float(size)\n"
        "matplotlib.rcParams['savefig.facecolor'] = 'red' if float(size) > 10 else 'blue'\n"
        "zeroshot.draw('DARTS_V2', space='darts', path=path)\n"
    )
    found = []
    for i in range(2):
        path = tmp_path / f"{i}.{suffix}"
        env = {**os.environ, "PYTHONHASHSEED": str(i), "SOURCE_DATE_EPOCH": str(10**9 * i)}
        words = [sys.executable, "-c", code, CELL, str(path), str(8 + 10 * i)]
        subprocess.run(words, check=True, env=env, timeout=300)
        found.append(path.read_bytes())
    assert found[0] == found[1]


def test_drawing_leaves_the_style_and_the_backend_alone() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    zeroshot.draw(CELL)._repr_svg_()
    assert dict(matplotlib.rcParams) == before


def test_command_writes_what_the_function_does(tmp_path: Path) -> None:
    one, two = tmp_path / "one.svg", tmp_path / "two.svg"
    words = ["draw", "3,0,1,0,0,4", "-o", str(one), "--hide-none"]
    assert main(words) == 0
    zeroshot.draw((3, 0, 1, 0, 0, 4), path=two, hide_none=True)
    assert one.read_bytes() == two.read_bytes()
    words = ["draw", "DARTS_V2", "--space", "darts", "-o", str(one), "--dpi", "90"]
    assert main(words) == 0
    zeroshot.draw("DARTS_V2", space="darts", path=two)
    assert one.read_bytes() == two.read_bytes()


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cell.pdf", "cell", "svg", ".svg.gz"])
def test_other_suffixes_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"path: expected a name that ends in .svg or .png, got"):
        zeroshot.draw(CELL, path=tmp_path / name)
    with pytest.raises(ValueError, match="path: expected"):
        zeroshot.draw(CELL).save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_missing_matplotlib_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'zeroshot\[plot\]'"):
        zeroshot.draw(CELL)


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        ({"arch": "|none~0|"}, ArchitectureError, "expected"),
        ({"arch": 15625}, ArchitectureError, "index: expected 0 to 15624"),
        ({"space": "nasbench202"}, ValueError, "space: expected one of nasbench201"),
        ({"width": 99}, ValueError, "width: expected 100 to 10000 points, got 99"),
        ({"width": "wide"}, TypeError, "width: expected 100 to 10000 points, got 'wide'"),
        ({"width": float("nan")}, ValueError, "width: expected"),
        ({"image_size": 0}, ValueError, "image_size"),
        ({"image_size": (32, 32, 3)}, ValueError, "image_size"),
        ({"dpi": 0, "path": "x.png"}, ValueError, "dpi: expected 10 to 2400 pixels per inch"),
        ({"dpi": "high", "path": "x.png"}, TypeError, "dpi: expected 10 to 2400"),
    ],
)
def test_bad_values_are_named(
    words: dict[str, Any], error: type[Exception], message: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        zeroshot.draw(**{"arch": CELL, **words})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["3,0,1,0,0,9", "-o", "x.svg"], "arch[5]: expected one of none"),
        (["1462", "-o", "x.gif"], "ends in .svg or .png"),
        (["1462"], "-o/--output"),
        (["1462", "-o", "missing/x.svg"], "missing/x.svg: No such file or directory"),
        (["-", "-o", "x.svg"], "expected one architecture, got 2"),
    ],
)
def test_command_tells_of_slips_in_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    import io

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO("1\n2\n"))
    assert main(["draw", *words]) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1
    assert not list(tmp_path.iterdir())


# --- the pictures of docs/figures.md ------------------------------------------------------------

PICTURES = Path(__file__).parents[2] / "notebooks" / "pictures"


@pytest.mark.parametrize("name", ["nasbench201", "darts", "proxylessnas"])
def test_pictures_of_the_docs_are_what_their_commands_draw(name: str, tmp_path: Path) -> None:
    """But for what another version of Matplotlib writes in another way."""
    if not PICTURES.is_dir():
        pytest.skip(f"no {PICTURES}: an installed copy, without the notebooks")
    lines = (PICTURES.parents[1] / "docs" / "figures.md").read_text(encoding="utf-8").splitlines()
    space = f"--space {name} " if name != "nasbench201" else "draw 123 "
    (command,) = (line for line in lines if line.startswith("$ zeroshot draw ") and space in line)
    words = command.split()[2:-1]
    path = tmp_path / "picture.svg"
    assert main([*words, str(path)]) == 0
    found, stored = (ElementTree.parse(p).getroot() for p in (path, PICTURES / f"{name}.svg"))
    assert found.findtext(f"{SVG}title") == stored.findtext(f"{SVG}title")
    for one, two in zip(found.iter(f"{SVG}text"), stored.iter(f"{SVG}text"), strict=True):
        assert one.text == two.text
        for key in ("x", "y"):
            assert float(one.attrib[key]) == pytest.approx(float(two.attrib[key]), abs=3.0)
