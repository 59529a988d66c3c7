"""A page for each score: what its dataclass says, what it costs and what it is worth."""

from __future__ import annotations

import ast
import csv
import inspect
from pathlib import Path
from typing import Any

import zeroshot
from pages.text import Site, block, code, facts, first_line, heading, table, toctree
from zeroshot.scores import Score, ScoreInfo, list_scores

CELL = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|"
    "+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|"
)
ROWS = 512  # images of a call


def write(site: Site) -> None:
    infos = list_scores()
    worth = _worth(site.root)
    for info in infos:
        site.write(f"scores/{info.name}.rst", page(info, site.root, worth.get(info.name, [])))
    rows = [
        (f":doc:`{i.name} <{i.name}>`", _module_line(i), i.needs, i.direction.split()[0],
         _number(max((float(row["spearman"]) for row in worth.get(i.name, [])), default=None)))
        for i in infos
    ]  # fmt: skip
    columns = ("score", "what", "needs", "better is", "Spearman")
    site.write(
        "scores/index.rst",
        f"""{heading("Scores")}
All are asked for by name or by their dataclass, in one call, and share passes through the network
where they can. The last column is the rank correlation with accuracy on NAS-Bench-201 of the
variant that does best; each page has the others, intervals and settings.

{table(columns, rows)}
{toctree(i.name for i in infos)}""",
    )


def page(info: ScoreInfo, root: Path, worth: list[dict[str, str]]) -> str:
    cls = info.dataclass
    parts = [
        heading(info.name),
        f"*{_module_line(info)}*\n",
        f".. math::\n\n   {cls.formula}\n",
        facts(
            [
                ("paper", info.reference),
                ("better is", info.direction.removesuffix(" is better")),
                ("range", info.range),
                ("needs", info.needs),
                ("labels", "are read" if cls.uses_labels else "are not looked at"),
                ("precision", "always float64" if cls.float64 else ""),
                ("cost", cost(cls())),
            ]
        ),
        heading("Definition and parameters", "-"),
        f".. currentmodule:: zeroshot\n\n.. autoclass:: {cls.__name__}\n",
    ]
    for name in _methods(cls):
        parts.append(f"   .. automethod:: {name}\n")
    parts += [
        heading("In a call", "-"),
        block(
            f'>>> zeroshot.score(arch, x, y, scores="{info.name}")\n'
            f">>> zeroshot.score(arch, x, y, scores=zeroshot.{_repr(cls())})"
        ),
    ]
    if cls().grouping(ROWS).n_rows == 0:
        parts.append("It reads no image: x and y are those of the other scores of the call.\n")
    if worth:
        parts += [heading("On NAS-Bench-201", "-"), _worth_table(worth)]
    if speed := _speed(root, info.name):
        parts += [heading("Beside PyTorch", "-"), speed]
    return "\n".join([*parts, heading("Source", "-"), _sources(root, info)])


def cost(score: Score) -> str:
    """What one architecture takes, as the planner says it; the same on any machine."""
    plan = zeroshot.plan(CELL, scores=score, n_rows=ROWS, kernels="reference")
    if plan.n_passes == 0:
        return "none: sizes and weights are enough"
    passes = "one pass" if plan.n_passes == 1 else f"{plan.n_passes} passes"
    images = "one image" if plan.images == 1 else f"{plan.images} images"
    megabytes = plan.peak_bytes / 1e6
    return (
        f"{passes} over {images}, {megabytes:.0f} MB at most (defaults, a cell of NAS-Bench-201 "
        f"with {plan.macs / 1e6:.0f} million multiply-adds per image)"
    )


def _module_line(info: ScoreInfo) -> str:
    return (
        first_line(inspect.getmodule(info.dataclass))
        if _alone(info)
        else (first_line(info.dataclass))
    )


def _alone(info: ScoreInfo) -> bool:
    """Whether the score has its module to itself."""
    module = info.dataclass.__module__
    return sum(other.dataclass.__module__ == module for other in list_scores()) == 1


def _methods(cls: type[Score]) -> list[str]:
    """What it offers beyond the protocol of all scores."""
    return [
        name
        for name, value in vars(cls).items()
        if not name.startswith("_")
        and not hasattr(Score, name)
        and isinstance(value, classmethod | staticmethod)
        and value.__doc__
    ]


def _repr(score: Score) -> str:
    """The dataclass with its most telling parameters, as one writes it."""
    shown = [
        f"{name}={getattr(score, name)!r}"
        for name in ("batch_size", "n_batches", "n_samples")
        if getattr(score, name, None) is not None
    ]
    return f"{type(score).__name__}({', '.join(shown)})"


# --- measured, in benchmarks/results -------------------------------------------------------------


def _read(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _variants(root: Path) -> dict[str, tuple[str, dict[str, Any], str | None]]:
    """What the labels of validate_scores.py mean, without running it."""
    path = root / "benchmarks" / "validate_scores.py"
    for node in ast.parse(path.read_text()).body if path.exists() else []:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "ACCURACY":
            assert node.value is not None
            found: dict[str, tuple[str, dict[str, Any], str | None]] = ast.literal_eval(node.value)
            return found
    return {}


def _worth(root: Path) -> dict[str, list[dict[str, str]]]:
    """Rank correlations by score, a row for each variant."""
    variants = _variants(root)
    found: dict[str, list[dict[str, str]]] = {}
    for row in _read(root / "benchmarks" / "results" / "validate_scores_accuracy.csv"):
        name, options, _ = variants.get(row["score"], (row["score"], {}, None))
        options_text = ", ".join(f"{k}={v!r}" for k, v in options.items()) or "as it is"
        found.setdefault(name, []).append({**row, "options": options_text})
    return found


def _number(value: object) -> str:
    return "" if value in (None, "", "nan") else f"{float(str(value)):.3f}"


def _worth_table(rows: list[dict[str, str]]) -> str:
    columns = (
        "parameters",
        "cells",
        "Spearman",
        "95 %",
        "Kendall",
        "published",
        "given live weights",
    )
    cells = (
        (
            code(row["options"]),
            row["cells"],
            _number(row["spearman"]),
            f"{_number(row['low'])} to {_number(row['high'])}",
            _number(row["kendall"]),
            _number(row["published"]),
            _number(row["given_live_weights"]),
        )
        for row in rows
    )
    first = rows[0]
    return f"""{table(columns, cells)}
Rank correlations with the CIFAR-10 test accuracy after 200 epochs, one seed, float32, images of
CIFAR-10 in batches of 64; *published* is over all 15,625 cells; *given live weights* is what is
left once the number of weights on a path from image to logits is known. Commit {first["commit"]},
:doc:`/reproduction` says how to repeat it.
"""


def _speed(root: Path, name: str) -> str:
    results = root / "benchmarks" / "results"
    alone = [r for r in _read(results / "bench_each.csv") if r["score"] == name]
    joint = [
        r for r in _read(results / "bench_joint.csv") if r["score"] == name and r["threads"] == "1"
    ]
    lines = []
    if joint:
        row = joint[-1]
        lines.append(_ratio(row, "as released", len(row["archs"].split())))
    if alone:
        lines.append(_ratio(alone[-1], "by the definition and autograd", int(alone[-1]["cells"])))
    return "\n\n".join(lines) + "\n" if lines else ""


def _ratio(row: dict[str, str], what: str, cells: int) -> str:
    ratio, low, high = (float(row[key]) for key in ("ratio", "ratio_low", "ratio_high"))
    return (
        f"PyTorch, {what}, takes {ratio:.1f} times as long ({low:.1f} to {high:.1f}): {cells} "
        f"cells of NAS-Bench-201, one thread, commit {row['commit']}; "
        ":doc:`/project/benchmarks` says how."
    )


def _sources(root: Path, info: ScoreInfo) -> str:
    """The files that make it, in the order in which one reads them."""
    module = info.dataclass.__module__.replace(".", "/") + ".py"
    files = [
        (f"csrc/scores/{info.name}.c", "what the core computes"),
        (module, "its parameters"),
    ]
    lines = [f"- ``{path}``: {what}" for path, what in files if (root / path).exists()]
    return "\n".join(lines) + "\n"
