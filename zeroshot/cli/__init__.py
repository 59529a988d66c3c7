"""The command ``zeroshot``: a thin layer over the public functions, one module per command.

- `arguments`, `archs`: what is asked for
- `run`: data, scores, options, and the run itself
- `output`: tables, CSV, JSON
- `demo`, `score`, `rank`, `experiment`, `stores`, `reproduce`, `figure`, `report`, `export`,
  `draw`, `convert`, `listings`: the commands
"""

from __future__ import annotations

__all__ = ["main", "make_parser", "parse_arguments"]

import argparse
import os
import re
import sys
from collections.abc import Sequence

from zeroshot.cli import (
    convert,
    demo,
    draw,
    experiment,
    export,
    figure,
    listings,
    rank,
    report,
    reproduce,
    score,
    stores,
)
from zeroshot.cli.arguments import CliError, Parser
from zeroshot.config import VERSION
from zeroshot.errors import EngineError, Interrupted, StoreError

_DESCRIPTION = """\
Rank neural networks without training them, by statistics of their gradients at
initialisation, on the CPU and without PyTorch."""

_EPILOG = """\
start here:
  zeroshot demo                        24 cells, three scores, real images, under a minute
  zeroshot score 1462 --counts         one cell of NAS-Bench-201, by its index
  zeroshot rank --sample 100 --top 10  the best of 100 random cells
  zeroshot run experiment.toml         thousands of cells into a store; goes on after a stop
  zeroshot scores                      what the scores are

zeroshot COMMAND --help explains a command and ends with examples."""

_INTERRUPTED, _BROKEN_PIPE = 130, 141  # as shells tell of SIGINT and SIGPIPE


def make_parser() -> Parser:
    """The whole command line."""
    parent = Parser(add_help=False)
    parent.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser = Parser(prog="zeroshot", parents=[parent], description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("--version", action="version", version=f"zeroshot {VERSION}")
    subparsers = parser.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", required=True
    )
    for command in (
        demo,
        score,
        rank,
        experiment,
        stores,
        report,
        figure,
        reproduce,
        export,
        draw,
        convert,
        listings,
    ):
        command.add(subparsers, parent)
    return parser


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Arguments of a command line; architectures may stand anywhere, also between options."""
    parser = make_parser()
    args, rest = parser.parse_known_args(argv)
    if rest:  # argparse takes one run of positional arguments and leaves later ones
        late = [word for word in rest if word != "--"]
        if "archs" not in args or any(re.match(r"-\D", word) for word in late):
            parser.error(f"unrecognized arguments: {' '.join(late)}")
        args.archs = [*args.archs, *late]
    args.words = list(argv)
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; ``sys.argv[1:]`` if not given.

    Returns
    -------
    int
        0: done; 1: some architectures have no number; 2: nothing could be run, and one line on
        standard error says why; 130: Ctrl-C.

    Examples
    --------
    >>> main(["score", "--batches", "none"])
    2
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    try:
        args = parse_arguments(argv or ["--help"])
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except SystemExit as done:  # --help and --version
        return int(done.code or 0)
    except Interrupted as stopped:
        print(f"zeroshot: interrupted: {stopped}", file=sys.stderr)
        return 128 + stopped.signal
    except KeyboardInterrupt:
        print("zeroshot: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:  # the reader has seen enough; say nothing when Python flushes at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except Exception as error:
        if "--debug" in argv:
            raise
        print(f"zeroshot: error: {_describe(error)}", file=sys.stderr)
        return 2


def _describe(error: Exception) -> str:
    """What a user is told; anything but a wrong argument is named as what it is."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, CliError | StoreError | ValueError | TypeError | ImportError) and str(
        error
    ):
        return str(error)
    kind = "" if isinstance(error, EngineError) else " (--debug shows where)"
    return f"{type(error).__name__}: {error}{kind}"
