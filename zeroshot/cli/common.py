"""What the commands share: arguments, architectures, data, scores and the run itself."""

from __future__ import annotations

__all__ = [
    "CliError",
    "Entry",
    "Parser",
    "Subparsers",
    "add_arch_arguments",
    "add_data_arguments",
    "add_network_arguments",
    "add_run_arguments",
    "add_score_arguments",
    "collect",
    "count_all",
    "draw",
    "explain",
    "integer",
    "make_cli_scores",
    "network_options",
    "one_of",
    "read_archs",
    "run_options",
]

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, TypedDict, cast

from zeroshot import _core
from zeroshot.config import VERSION
from zeroshot.data import Batches, Images, draw_batches, list_presets, load
from zeroshot.errors import ArchitectureError
from zeroshot.network import count
from zeroshot.options import RunOptions
from zeroshot.pool import score_iter
from zeroshot.results import Counts, ScoreResult
from zeroshot.scores import LOSSES, SCORES, VARIANTS, Score, make_scores
from zeroshot.spaces import get_space, list_spaces

if TYPE_CHECKING:
    from collections.abc import Generator

    Subparsers: TypeAlias = "argparse._SubParsersAction[Parser]"

_DIGITS_CLASSES = 10
_PER_SAMPLE_DEFAULT = 64  # images that GradSign takes, if there are as many
_WINDOW = 72  # characters of a long text that are shown around a fault


class CliError(Exception):
    """A message for the user, shown without a traceback; the exit code is 2."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line and whose help keeps its layout."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **kwargs)

    def error(self, message: str) -> NoReturn:
        raise CliError(f"{message} (try: {self.prog} --help)")


# --- values of arguments -----------------------------------------------------------------------


def integer(low: int | None = None) -> Callable[[str], int]:
    """An argument type: integers from `low`."""
    wanted = "an integer" if low is None else f"an integer >= {low}"

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or (low is not None and value < low):
            raise argparse.ArgumentTypeError(f"expected {wanted}, got {text!r}")
        return value

    return convert


def number(text: str) -> float:
    """An argument type: a number; its range is the score's to check."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, got {text!r}") from None


def integers(text: str) -> tuple[int, ...]:
    """An argument type: integers with commas between."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected integers with commas between, such as 0 or 0,1,2; got {text!r}"
        ) from None


def one_of(*names: str) -> Callable[[str], str]:
    """An argument type: one of `names`."""

    def convert(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(f"expected one of {', '.join(names)}; got {text!r}")
        return text

    return convert


@dataclass(frozen=True)
class ScoreSpec:
    """A score as it is written on the command line: ``NAME`` or ``NAME:FIELD=VALUE,...``."""

    name: str
    given: dict[str, Any]


def score_spec(text: str) -> ScoreSpec:
    """An argument type: see `ScoreSpec`. With values of its own a score is labelled by its text."""
    name, colon, rest = text.partition(":")
    if name not in SCORES:
        hint = "; put ARCH before --scores" if re.search(r"[|,\d]", name) or name == "-" else ""
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(SCORES)}; got {text!r}{hint}")
    defaults = {f.name: f.default for f in fields(SCORES[name])}
    given: dict[str, Any] = {"label": text} if colon else {}
    for item in rest.split(",") if colon else ():
        key, equals, value = item.partition("=")
        if key not in defaults or not equals:
            raise argparse.ArgumentTypeError(
                f"expected {name}:FIELD=VALUE,... with fields {', '.join(defaults)}; got {item!r}"
            )
        given[key] = _field_value(value, defaults[key])
    return ScoreSpec(name, given)


def _field_value(text: str, default: object) -> object:
    """`text` as what it looks like, or as what the field is; the score checks the rest."""
    if isinstance(default, tuple):
        return tuple(number(part) for part in text.split("/") if part)
    words: dict[str, object] = {"true": True, "false": False, "none": None}
    if isinstance(default, bool):
        words |= {"1": True, "0": False}
    if text.lower() in words:
        return words[text.lower()]
    if isinstance(default, str):
        return text
    try:
        return int(text)
    except ValueError:
        return number(text)


# --- groups of arguments -----------------------------------------------------------------------


def add_arch_arguments(parser: Parser) -> None:
    group = parser.add_argument_group(
        "architectures", "read from all of these, in this order; several scores share one pass"
    )
    group.add_argument(
        "archs",
        nargs="*",
        metavar="ARCH",
        help="string ('|op~0|+|...', in quotes because of the |), index of the benchmark (1462), "
        "six operations (3,0,1,0,0,4), or - for standard input",
    )
    group.add_argument(
        "--arch-file",
        action="append",
        default=[],
        metavar="FILE",
        help="one per line, in any of these notations; blank lines and # comments are skipped; "
        "a line that is no architecture is recorded as failed",
    )
    group.add_argument(
        "--sample", type=integer(1), metavar="N", help="N different random architectures"
    )
    group.add_argument(
        "--sample-seed", type=integer(0), default=0, metavar="S", help="of the draw (default 0)"
    )
    add_space_argument(group)


def add_space_argument(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--space",
        type=one_of(*list_spaces()),
        default="nasbench201",
        metavar="NAME",
        help="search space, see: zeroshot spaces (default nasbench201)",
    )


def add_data_arguments(parser: Parser, *, batch_size: int = 64, batches: int = 8) -> None:
    group = parser.add_argument_group("data", "every architecture sees the same images")
    group.add_argument(
        "--data",
        default="digits",
        metavar="DATA",
        help="digits (scikit-learn's, default), or the path of CIFAR or ImageNet16-120 batches "
        "or of an npz file",
    )
    group.add_argument(
        "--split", type=one_of("train", "test"), default="train", metavar="train|test",
        help="files of a folder to read (default train)",
    )  # fmt: skip
    group.add_argument(
        "--preset", type=one_of("auto", "none", *list_presets()), default="auto", metavar="NAME",
        help="normalisation: auto (the data set's own), none, or one of "
        + ", ".join(list_presets()),
    )  # fmt: skip
    group.add_argument(
        "--batch-size", type=integer(1), default=batch_size, metavar="K",
        help=f"images that share batch-norm statistics and a loss (default {batch_size})",
    )  # fmt: skip
    group.add_argument(
        "--batches", type=integer(1), default=batches, metavar="N",
        help=f"batches to draw; xi_gsnr takes all, at least 2 (default {batches})",
    )  # fmt: skip
    group.add_argument(
        "--data-seed", type=integer(0), default=1, metavar="S", help="of the draw (default 1)"
    )


def add_score_arguments(parser: Parser) -> None:
    group = parser.add_argument_group(
        "scores", "these go to every score that has such a parameter; see: zeroshot scores"
    )
    group.add_argument(
        "--scores",
        nargs="+",
        type=score_spec,
        default=[ScoreSpec("xi_gsnr", {})],
        metavar="SCORE",
        help=f"{', '.join(SCORES)} (default xi_gsnr), or with values of its own: "
        "xi_gsnr:accumulate=true,label=acc",
    )
    group.add_argument("--xi", type=number, help="added to the variance (default 1e-8)")
    group.add_argument(
        "--variant", type=one_of(*VARIANTS), metavar="NAME",
        help=f"formula of xi_gsnr: {', '.join(VARIANTS)}",
    )  # fmt: skip
    group.add_argument(
        "--accumulate", action="store_true", default=None,
        help="xi_gsnr over running sums of gradients, as the released code has it",
    )  # fmt: skip
    group.add_argument("--loss", type=one_of(*LOSSES), metavar="NAME", help=" or ".join(LOSSES))
    group.add_argument(
        "--samples", type=integer(1), dest="n_samples", metavar="N",
        help=f"images of gradsign (default {_PER_SAMPLE_DEFAULT}, or all if there are fewer)",
    )  # fmt: skip
    group.add_argument(
        "--reduction", type=one_of("sum", "mean"), metavar="sum|mean", help="of gradsign"
    )
    group.add_argument("--zero-tol", type=number, metavar="T", help="|g| <= T has sign 0")
    group.add_argument("--lo", type=number, help="sweet counts gradients of size lo <= |g| < hi")
    group.add_argument("--hi", type=number, help="(defaults 1e-4 and 5e-4)")


def add_network_arguments(parser: Parser) -> None:
    group = parser.add_argument_group("network")
    group.add_argument(
        "--channels", type=integer(1), default=16, metavar="C", help="of the stem (default 16)"
    )
    group.add_argument(
        "--cells", type=integer(1), default=5, metavar="N", help="in each stage (default 5)"
    )
    group.add_argument(
        "--classes", type=integer(1), metavar="K", help="outputs (default: classes of the data)"
    )
    group.add_argument(
        "--init", type=one_of(*_core.list_inits()), default="torch", metavar="NAME",
        help=f"initial weights: {', '.join(_core.list_inits())} (default torch)",
    )  # fmt: skip
    group.add_argument(
        "--seed", type=integers, default=(0,), metavar="S",
        help="of the weights (default 0); 0,1,2 scores with each and gives mean and deviation",
    )  # fmt: skip


def add_run_arguments(parser: Parser) -> None:
    tables = tuple(name for name, usable in _core.kernel_tables() if usable)
    group = parser.add_argument_group("run")
    group.add_argument(
        "--threads", type=integer(1), metavar="T",
        help="architectures at a time (default: all processors); results do not depend on it",
    )  # fmt: skip
    group.add_argument(
        "--dtype", type=one_of("float32", "float64"), default="float32",
        metavar="float32|float64", help="of activations and gradients (default float32)",
    )  # fmt: skip
    group.add_argument(
        "--kernels", type=one_of("auto", *tables), default="auto", metavar="NAME",
        help=f"auto (default), {', '.join(tables)}",
    )  # fmt: skip
    group.add_argument(
        "--max-bytes", type=integer(1), metavar="B",
        help="an architecture that needs more is recorded as failed",
    )  # fmt: skip
    group.add_argument(
        "--progress", action=argparse.BooleanOptionalAction,
        help="a bar on standard error (default: if that is a terminal)",
    )  # fmt: skip


# --- architectures -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """One architecture that was asked for.

    Attributes
    ----------
    text : str
        Its normal spelling; for a malformed one what was written, in printable ASCII.
    where : str
        ``ARCH 1`` or ``cells.txt, line 3``.
    arch : str or what was read
        To hand to `zeroshot.score_iter`.
    fault : str or None
        Why it is no architecture.
    """

    text: str
    where: str
    arch: Any
    fault: str | None = None


def read_archs(args: argparse.Namespace) -> list[Entry]:
    """All architectures of a command; CliError for a malformed one on the command line."""
    entries: list[Entry] = []
    for i, text in enumerate(args.archs, start=1):
        if text == "-":
            entries += _read_lines(sys.stdin, "standard input", args.space)
            continue
        entry = _read_one(text, f"ARCH {i}", args.space)
        if entry.fault is not None:  # a slip of the hand: nothing has been computed yet
            raise CliError(f"{entry.where}: {entry.fault}")
        entries.append(entry)
    for path in args.arch_file:
        if path == "-":
            entries += _read_lines(sys.stdin, "standard input", args.space)
            continue
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                entries += _read_lines(file, path, args.space)
        except OSError as error:
            raise CliError(f"argument --arch-file: {path}: {error.strerror}") from error
    if args.sample is not None:
        space = get_space(args.space)
        if args.sample > space.SIZE:
            raise CliError(
                f"argument --sample: expected an integer from 1 to {space.SIZE}, got {args.sample}"
            )
        drawn = space.sample(args.sample, args.sample_seed)
        entries += [Entry(arch, f"sample {i}", arch) for i, arch in enumerate(drawn, start=1)]
    if not entries:
        raise CliError(
            "ARCH: expected at least one architecture, got none; "
            "give ARCH, --arch-file FILE, --sample N, or - for standard input"
        )
    return entries


def _read_lines(lines: Iterable[str], source: str, space: str) -> list[Entry]:
    texts = ((i, line.partition("#")[0].strip()) for i, line in enumerate(lines, start=1))
    return [_read_one(text, f"{source}, line {i}", space) for i, text in texts if text]


def _read_one(written: str, where: str, space_name: str) -> Entry:
    space = get_space(space_name)
    text = "".join(
        c if c.isascii() and c.isprintable() else c.encode("unicode_escape").decode("ascii")
        for c in written.strip()
    )
    arch: Any = text
    if re.fullmatch(r"[+-]?\d{1,18}", text):
        arch = int(text)
    elif "," in text and "|" not in text:
        parts = [part.strip(" '\"") for part in text.strip("()[] ").split(",")]
        arch = [int(p) if re.fullmatch(r"-?\d{1,18}", p) else p for p in parts]
    try:
        spelling = space.format(space.parse(arch))
    except ArchitectureError as error:
        return Entry(text, where, arch, explain(error, text))
    return Entry(spelling, where, spelling)


def explain(error: ArchitectureError, text: str) -> str:
    """The message of `error`, and, where it has a position in `text`, the place below it.

    Examples
    --------
    >>> print(explain(ArchitectureError("expected '+', got 'x'", 9), "|none~0|xyz"))
    expected '+', got 'x', at position 9
      |none~0|xyz
               ^
    """
    if error.position is None:
        return str(error)
    at = error.position
    start = max(0, at - _WINDOW // 2) if len(text) > _WINDOW else 0
    shown = text[start : start + _WINDOW]
    before, after = "..." * (start > 0), "..." * (start + _WINDOW < len(text))
    return (
        f"{error}, at position {at}\n"
        f"  {before}{shown}{after}\n"
        f"  {' ' * (len(before) + at - start)}^"
    )


# --- data, scores, options ---------------------------------------------------------------------


def draw(args: argparse.Namespace) -> tuple[Images, Batches]:
    """The data set and the batches that all architectures see."""
    try:
        images = load(args.data, args.split)
    except OSError as error:
        raise CliError(
            f"argument --data: expected digits or the path of a data set, got {args.data!r}: "
            f"{error.strerror or error}"
        ) from error
    except ImportError as error:
        raise CliError(f"argument --data: {error}") from error
    if args.classes is not None and args.classes < images.n_classes:
        raise CliError(
            f"argument --classes: expected at least {images.n_classes}, the classes of "
            f"{images.name}; got {args.classes}"
        )
    n_needed = args.batches * args.batch_size
    if n_needed > len(images):
        raise CliError(
            f"argument --batches: {args.batches} batches of {args.batch_size} need {n_needed} "
            f"images, {images.name} has {len(images)}"
        )
    batches = draw_batches(
        images,
        batch_size=args.batch_size,
        n_batches=args.batches,
        seed=args.data_seed,
        preset=None if args.preset == "none" else args.preset,
    )
    return images, batches


def make_cli_scores(args: argparse.Namespace, n_rows: int) -> tuple[Score, ...]:
    """The scores of ``--scores``, with what other options say about them."""
    options = {
        name: value
        for name in (
            "xi", "variant", "accumulate", "loss", "n_samples", "reduction", "zero_tol", "lo", "hi"
        )
        if (value := getattr(args, name)) is not None
    }  # fmt: skip
    of = {spec.name: {f.name for f in fields(SCORES[spec.name])} for spec in args.scores}
    for name in options:
        if not any(name in own for own in of.values()):
            option = {"n_samples": "samples"}.get(name, name.replace("_", "-"))
            has = [score for score, cls in SCORES.items() if name in {f.name for f in fields(cls)}]
            raise CliError(
                f"argument --{option}: belongs to {', '.join(has)}, "
                f"but the scores asked for are {', '.join(of)}"
            )
    general = {
        "batch_size": args.batch_size,
        "n_samples": min(_PER_SAMPLE_DEFAULT, n_rows),
        **options,
    }
    made = []
    for spec in args.scores:
        own = {name: value for name, value in general.items() if name in of[spec.name]}
        made.append(SCORES[spec.name](**{**own, **spec.given}))
    scores = make_scores(made)
    for score in scores:
        score.grouping(n_rows)  # too few images: say so before anything runs
    return scores


class NetworkOptions(TypedDict):
    """What says how large the networks are."""

    space: str
    channels: int
    cells: int
    num_classes: int


def network_options(args: argparse.Namespace, images: Images) -> NetworkOptions:
    return {
        "space": args.space,
        "channels": args.channels,
        "cells": args.cells,
        "num_classes": args.classes or images.n_classes,
    }


def run_options(args: argparse.Namespace, images: Images) -> RunOptions:
    options = {
        **network_options(args, images),
        "init": args.init,
        "dtype": args.dtype,
        "n_threads": args.threads,
        "kernels": args.kernels,
        "max_bytes": args.max_bytes,
    }
    return cast(RunOptions, options)


# --- running -----------------------------------------------------------------------------------


def collect(
    entries: Sequence[Entry],
    batches: Batches,
    scores: Sequence[Score],
    args: argparse.Namespace,
    options: RunOptions,
) -> tuple[dict[int, ScoreResult], bool]:
    """Results by position in `entries`, and whether all are there: Ctrl-C keeps what is done."""
    results: dict[int, ScoreResult] = {}
    progress = sys.stderr.isatty() if args.progress is None else args.progress
    stream = score_iter(
        [entry.arch for entry in entries],
        batches.x,
        batches.y,
        scores=scores,
        seeds=args.seed,
        progress=True if progress else None,
        **options,
    )
    with closing(cast("Generator[tuple[int, ScoreResult], None, None]", stream)):
        try:
            for position, result in stream:
                results[position] = result
        except KeyboardInterrupt:
            return results, False
    return results, True


def count_all(
    entries: Sequence[Entry], options: NetworkOptions, input_size: tuple[int, int]
) -> list[Counts | None]:
    """Sizes of every architecture; None for one that cannot be built."""

    def of(entry: Entry) -> Counts | None:
        try:
            return count(entry.arch, input_size=input_size, **options)
        except (ValueError, TypeError):
            return None

    return [of(entry) for entry in entries]
