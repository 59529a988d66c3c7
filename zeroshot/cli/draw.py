"""``zeroshot draw``: a picture of an architecture."""

from __future__ import annotations

__all__ = ["add"]

import argparse

from zeroshot.cli.archs import read_archs
from zeroshot.cli.arguments import CliError, Parser, Subparsers, add_space_argument, integer

_EXAMPLES = """\
examples:
  zeroshot draw 1462 -o cell.svg
  zeroshot draw DARTS_V2 --space darts -o darts.png --dpi 200

needs zeroshot[plot]"""


def add(subparsers: Subparsers, parent: Parser) -> None:
    """Add the command."""
    about = "draw an architecture into an SVG or a PNG"
    parser = subparsers.add_parser(
        "draw", parents=[parent], help=about, description=about, epilog=_EXAMPLES
    )
    parser.add_argument("arch", metavar="ARCH", help="string, index or operations")
    add_space_argument(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", required=True, help="its name ends in .svg or .png"
    )
    parser.add_argument(
        "--hide-none", action="store_true", help="leave edges with none out, else dashed"
    )
    parser.add_argument(
        "--image-size", type=integer(1), metavar="S",
        help="height and width of the images, of chains (default: usual in the space)",
    )  # fmt: skip
    parser.add_argument(
        "--width", type=integer(1), default=252, metavar="PT",
        help="of rows of chains, in 1/72 inch (default 252)",
    )  # fmt: skip
    parser.add_argument(
        "--dpi", type=integer(1), default=300, metavar="N", help="of a PNG (default 300)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from zeroshot.drawing import draw

    one = argparse.Namespace(archs=[args.arch], arch_file=[], sample=None, space=args.space)
    entries = read_archs(one)
    if len(entries) != 1:
        raise CliError(f"ARCH: expected one architecture, got {len(entries)}")
    if entries[0].fault is not None:
        raise CliError(f"{entries[0].where}: {entries[0].fault}")
    draw(
        entries[0].arch, space=args.space, path=args.output, hide_none=args.hide_none,
        image_size=args.image_size, width=args.width, dpi=args.dpi,
    )  # fmt: skip
    return 0
