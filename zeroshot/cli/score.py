"""``zeroshot score``: architectures in, a line for each out, in the order given."""

from __future__ import annotations

__all__ = ["add", "add_arguments", "score_rows"]

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from zeroshot.cli import output
from zeroshot.cli.archs import read_archs
from zeroshot.cli.arguments import (
    Parser,
    Subparsers,
    add_arch_arguments,
    add_data_arguments,
    add_network_arguments,
    add_run_arguments,
    add_score_arguments,
)
from zeroshot.cli.output import Row, Rows
from zeroshot.cli.run import (
    collect,
    count_all,
    draw,
    make_cli_scores,
    network_options,
    run_options,
)

INTERRUPTED = 130  # as shells tell of SIGINT

_USAGE = """\
zeroshot score [ARCH ...] [--arch-file FILE] [--sample N] [--scores SCORE ...]
                      [options]"""

_DESCRIPTION = """\
Score untrained networks and print a line for each, in the order given.

Every score starts at the first image and takes as many as its parameters say;
scores with the same batches and loss share one pass, so several cost little more
than the dearest. A cell without a path from input to output has its defined value
and status no_signal; one that meets NaN or infinity has status nonfinite."""

_EPILOG = """\
examples:
  zeroshot score 1462
      xi-GSNR of the benchmark's cell 1462 on 8 batches of 64 digits
  zeroshot score 1462 3,0,1,0,0,4 --scores xi_gsnr gradsign sweet --counts
      three scores in one pass, beside sizes
  zeroshot score 9 --scores xi_gsnr xi_gsnr:accumulate=true,label=accumulated
      a score twice, with other parameters
  zeroshot score --arch-file cells.txt --data cifar-10-batches-py --csv --out scores.csv
      a file of cells on CIFAR-10
  zeroshot score 9 --scores xi_gsnr -- '|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|'
      -- ends the list of scores; quotes keep the shell away from |

exit code: 0 if all have a number, 1 if some failed or were not finite, 2 if nothing
could be run, 130 after Ctrl-C (what is finished is printed)"""


def add_arguments(parser: Parser) -> None:
    """The arguments that `score` and `rank` have in common."""
    add_arch_arguments(parser)
    add_data_arguments(parser)
    add_score_arguments(parser)
    add_network_arguments(parser)
    add_run_arguments(parser)
    output.add_output_arguments(parser)


def add(subparsers: Subparsers, parent: Parser) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "score", parents=[parent], help="scores of architectures, in the order given",
        usage=_USAGE, description=_DESCRIPTION, epilog=_EPILOG,
    )  # fmt: skip
    add_arguments(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    return score_rows(args, lambda rows, labels: rows)


Arrange = Callable[[Rows, Sequence[str]], Rows]
"""Sorts, numbers or drops rows, given the labels of the scores."""


def score_rows(
    args: argparse.Namespace,
    arrange: Arrange,
    check: Callable[[Sequence[str]], None] = lambda labels: None,
) -> int:
    """Read, score, arrange, print; the exit code."""
    output.check_out(args)
    entries = read_archs(args)
    images, batches = draw(args)
    scores = make_cli_scores(args, len(batches.y))
    labels = [score.label for score in scores]
    check(labels)
    results, complete = collect(entries, batches, scores, args, run_options(args, images))
    height, width = images.images.shape[1:3]
    done = sorted(results)
    counts = count_all([entries[i] for i in done], network_options(args, images), (height, width))
    rows = [Row(i, entries[i], results[i], sizes) for i, sizes in zip(done, counts, strict=True)]
    about: Mapping[str, Any] = {
        "command": args.command,
        "complete": complete,
        "data": {
            "name": images.name,
            "batch_size": batches.batch_size,
            "n_batches": batches.n_batches,
            "seed": args.data_seed,
            "preset": args.preset,
        },
    }
    output.emit(output.show_rows(arrange(rows, labels), labels, args, about), args)
    output.tell_problems(rows)
    if not complete:
        print(
            f"zeroshot: interrupted, {len(rows)} of {len(entries)} architectures are done",
            file=sys.stderr,
        )
        return INTERRUPTED
    return int(any(row.result.status in ("failed", "nonfinite") for row in rows))
