"""``zeroshot spaces``, ``scores``, ``config``: what there is."""

from __future__ import annotations

__all__ = ["add"]

import argparse
import sys
import textwrap
from typing import Any

from zeroshot.cli.arguments import Parser, Subparsers
from zeroshot.cli.output import show_json, show_table
from zeroshot.config import show_config
from zeroshot.scores import list_scores
from zeroshot.spaces import get_space, list_spaces


def add(subparsers: Subparsers, parent: Parser) -> None:
    """Add the commands."""
    for name, run, about in (
        ("spaces", spaces, "the search spaces and how their architectures are written"),
        ("scores", scores, "the scores, what they need, and their parameters with defaults"),
        ("config", config, "versions, kernel tables and threads of this installation"),
    ):
        parser = subparsers.add_parser(name, parents=[parent], help=about, description=about)
        parser.add_argument("--json", action="store_true", help="the same as JSON")
        parser.set_defaults(run=run)


def spaces(args: argparse.Namespace) -> int:
    found = {name: get_space(name) for name in list_spaces()}
    examples = {name: space.sample(1, 0)[0] for name, space in found.items()}
    if args.json:
        listing = [
            {"name": name, "size": space.SIZE, "example": examples[name]}
            for name, space in found.items()
        ]
        sys.stdout.write(show_json(listing))
        return 0
    sizes = [space.SIZE for space in found.values()]
    print(
        show_table(
            {
                "space": list(found),
                "architectures": [f"{n:,}" if n < 10**9 else f"{n:.2e}" for n in sizes],
                "example": [e if len(e) <= 90 else f"{e[:87]}..." for e in examples.values()],
            }
        )
    )
    for name, space in found.items():
        about = (space.__doc__ or "").partition("References\n")[0].strip()
        print(f"\n{name}\n{textwrap.indent(about, '  ')}")
        if hasattr(space, "OPS") and hasattr(space, "EDGES"):
            ops = ", ".join(f"{i} {op}" for i, op in enumerate(space.OPS))
            edges = ", ".join(e if isinstance(e, str) else f"{e[0]}>{e[1]}" for e in space.EDGES)
            print()
            for line in (f"OPS    {ops}", f"EDGES  {edges}"):
                print(textwrap.fill(line, 96, initial_indent="  ", subsequent_indent=" " * 9))
    return 0


def scores(args: argparse.Namespace) -> int:
    listing: list[dict[str, Any]] = [
        {
            "name": info.name,
            "reference": info.reference,
            "direction": info.direction,
            "range": info.range,
            "needs": info.needs,
            "about": (info.dataclass.__doc__ or "").partition("\n")[0],
            "defaults": info.defaults,
        }
        for info in list_scores()
    ]
    if args.json:
        sys.stdout.write(show_json(listing))
        return 0
    for i, score in enumerate(listing):
        defaults = ", ".join(f"{k}={v}" for k, v in score["defaults"].items())
        print("\n" * (i > 0) + f"{score['name']}\n  {score['about']}")
        for key in ("needs", "range", "direction"):
            print(f"  {key:9} {score[key]}")
        print(textwrap.fill(f"  defaults  {defaults}", 96, subsequent_indent=" " * 12))
    print("\nfor example: zeroshot score 1462 --scores xi_gsnr:variant=gsnr gradsign:n_samples=32")
    return 0


def config(args: argparse.Namespace) -> int:
    if args.json:
        sys.stdout.write(show_json(show_config("dicts")))
    else:
        show_config()
    return 0
