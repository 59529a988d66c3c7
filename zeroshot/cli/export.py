"""zeroshot export: an architecture as PyTorch source or as an ONNX model."""

from __future__ import annotations

__all__ = ["add"]

import argparse
import sys

from zeroshot import _core
from zeroshot.cli.arguments import (
    CliError,
    Parser,
    Subparsers,
    add_space_argument,
    integer,
    one_of,
)

_EXAMPLES = """\
examples:
  zeroshot export 1462                           PyTorch source on standard output
  zeroshot export 1462 -o net.py --weights       and net.npz, with initial weights
  zeroshot export 1462 -o net.onnx --seed 1      an ONNX model; needs zeroshot[onnx]"""


def add(subparsers: Subparsers, parent: Parser) -> None:
    """Add the command."""
    about = "write an architecture as PyTorch source or as an ONNX model"
    parser = subparsers.add_parser(
        "export", parents=[parent], help=about, description=about, epilog=_EXAMPLES
    )
    parser.add_argument("arch", metavar="ARCH", help="string, index or operations")
    add_space_argument(parser)
    parser.add_argument(
        "--format", type=one_of("torch", "onnx"), metavar="torch|onnx",
        help="default: onnx for a FILE that ends in .onnx, else torch",
    )  # fmt: skip
    parser.add_argument("-o", "--output", metavar="FILE", help="default: standard output")
    parser.add_argument(
        "--weights", action="store_true",
        help="of torch: also write initial weights, to FILE with the ending .npz",
    )  # fmt: skip
    parser.add_argument(
        "--channels", type=integer(1), metavar="C", help="of the stem (default: the space's own)"
    )
    parser.add_argument(
        "--cells", type=integer(1), metavar="N", help="in each stage (default: the space's own)"
    )
    parser.add_argument(
        "--classes", type=integer(1), default=10, metavar="K", help="outputs (default 10)"
    )
    parser.add_argument(
        "--input-size", type=integer(1), default=32, metavar="S",
        help="height and width of an image (default 32)",
    )  # fmt: skip
    parser.add_argument(
        "--builder", type=one_of(*_core.space_builders()), default="autodl", metavar="NAME",
        help=f"{', '.join(_core.space_builders())} (default autodl)",
    )  # fmt: skip
    parser.add_argument(
        "--init", type=one_of(*_core.list_inits()), default="torch", metavar="NAME",
        help=f"initial weights: {', '.join(_core.list_inits())} (default torch)",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=integer(0), default=0, metavar="S", help="of the weights (default 0)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    is_onnx = (
        (args.output or "").endswith(".onnx") if args.format is None else (args.format == "onnx")
    )
    arch = int(args.arch) if args.arch.isascii() and args.arch.isdigit() else args.arch
    options = {
        "space": args.space, "channels": args.channels, "cells": args.cells,
        "num_classes": args.classes, "input_size": args.input_size, "builder": args.builder,
        "init": args.init, "seed": args.seed,
    }  # fmt: skip
    if is_onnx:
        if args.output is None:
            raise CliError("an ONNX model needs a file: -o FILE")
        if args.weights:
            raise CliError("--weights is of torch: an ONNX model holds its weights")
        from zeroshot.interchange.onnx_export import to_onnx

        to_onnx(arch, args.output, **options)
        return 0
    from zeroshot.interchange.torch_source import to_torch_source

    if args.weights and args.output is None:
        raise CliError("--weights needs a file: -o FILE")
    source = to_torch_source(arch, args.output, weights=args.weights, **options)
    if args.output is None:
        sys.stdout.write(source)
    return 0
