"""Arguments: their types, the groups that commands share, errors in one line."""

from __future__ import annotations

__all__ = [
    "CliError",
    "Parser",
    "ScoreSpec",
    "Subparsers",
    "add_arch_arguments",
    "add_data_arguments",
    "add_network_arguments",
    "add_run_arguments",
    "add_score_arguments",
    "add_space_argument",
    "integer",
    "one_of",
    "score_fields",
]

import argparse
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

from zeroshot import _core
from zeroshot.data import list_presets
from zeroshot.scores import LOSSES, SCORES, VARIANTS, list_scores
from zeroshot.spaces import CANONICAL, list_spaces

PER_SAMPLE = 64  # images that GradSign takes, if there are as many


class CliError(Exception):
    """A message for the user, shown without a traceback; the exit code is 2."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line and whose help keeps its layout."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **kwargs)

    def error(self, message: str) -> NoReturn:
        raise CliError(f"{message} (try: {self.prog} --help)")


Subparsers: TypeAlias = "argparse._SubParsersAction[Parser]"


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


def canonical_mode(text: str) -> str:
    """An argument type: which architectures are equal."""
    if text not in CANONICAL:
        raise argparse.ArgumentTypeError(
            f"expected one of {', '.join(CANONICAL)}; got {text!r}{_hint(text, '--canonical')}"
        )
    return text


def _hint(text: str, option: str) -> str:
    """What to tell who wrote an architecture after an option that takes a value."""
    return f"; put ARCH before {option}" if re.search(r"[|,\d]", text) or text == "-" else ""


def score_fields(name: str) -> dict[str, Any]:
    """Parameters of a score and their defaults."""
    return next(info.defaults for info in list_scores() if info.name == name)


@dataclass(frozen=True)
class ScoreSpec:
    """A score as it is written on the command line: ``NAME`` or ``NAME:FIELD=VALUE,...``."""

    name: str
    given: dict[str, Any]


def score_spec(text: str) -> ScoreSpec:
    """An argument type: see `ScoreSpec`. With values of its own a score is labelled by its text."""
    name, colon, rest = text.partition(":")
    if name not in SCORES:
        hint = _hint(name, "--scores")
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(SCORES)}; got {text!r}{hint}")
    defaults = score_fields(name)
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
        "six operations (3,0,1,0,0,4), or - for standard input; other spaces: see zeroshot spaces",
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
        help=f"images of gradsign (default {PER_SAMPLE}, or all if there are fewer)",
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
        "--channels", type=integer(1), metavar="C",
        help="of the stem (default: the space's own, 16 for nasbench201)",
    )  # fmt: skip
    group.add_argument(
        "--cells", type=integer(1), metavar="N",
        help="in each stage (default: the space's own, 5 for nasbench201)",
    )  # fmt: skip
    group.add_argument(
        "--classes", type=integer(1), metavar="K", help="outputs (default: classes of the data)"
    )
    group.add_argument(
        "--builder", type=one_of(*_core.space_builders()), default="autodl", metavar="NAME",
        help="autodl (default): the space's own; zerocost: all operations of nasbench201, as in "
        "zero-cost-nas; imagenet: of darts and nds_*; naslib: of nasbench301",
    )  # fmt: skip
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
        "--algo", type=one_of("auto", "direct", "f2", "f4"), default="auto", metavar="NAME",
        help="3x3 convolutions in float32: direct sums, Winograd's f2 or f4, or auto (default)",
    )  # fmt: skip
    group.add_argument(
        "--recompute", action="store_true",
        help="less memory, more time: activations are made again, not kept",
    )  # fmt: skip
    group.add_argument(
        "--canonical", nargs="?", type=canonical_mode, const="form", default=False,
        metavar="form|network",
        help="score equal architectures once, by the one that stands for them (JSON and CSV say "
        "which): by their formula (form, also without a value) or as networks",
    )  # fmt: skip
    group.add_argument(
        "--max-bytes", type=integer(1), metavar="B",
        help="an architecture that needs more is recorded as failed",
    )  # fmt: skip
    group.add_argument(
        "--progress", action=argparse.BooleanOptionalAction,
        help="a bar on standard error (default: if that is a terminal)",
    )  # fmt: skip
