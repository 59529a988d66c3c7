"""From arguments to results: data, scores, options, and the run itself."""

from __future__ import annotations

__all__ = [
    "NetworkOptions",
    "collect",
    "count_all",
    "draw",
    "make_cli_scores",
    "network_options",
    "run_options",
]

import argparse
import sys
from collections.abc import Generator, Sequence
from contextlib import closing
from typing import TypedDict, cast

from zeroshot.cli.archs import Entry
from zeroshot.cli.arguments import PER_SAMPLE, CliError, score_fields
from zeroshot.data import Batches, Images, draw_batches, load
from zeroshot.network import count
from zeroshot.options import Builder, RunOptions
from zeroshot.pool import score_iter
from zeroshot.results import Counts, ScoreResult
from zeroshot.scores import SCORES, Score, make_scores


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
    of = {spec.name: score_fields(spec.name) for spec in args.scores}
    for name in options:
        if not any(name in own for own in of.values()):
            option = {"n_samples": "samples"}.get(name, name.replace("_", "-"))
            has = [score for score in SCORES if name in score_fields(score)]
            raise CliError(
                f"argument --{option}: belongs to {', '.join(has)}, "
                f"but the scores asked for are {', '.join(of)}"
            )
    general = {
        "batch_size": args.batch_size,
        "n_samples": min(PER_SAMPLE, n_rows),
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
    channels: int | None
    cells: int | None
    num_classes: int
    builder: Builder


def network_options(args: argparse.Namespace, images: Images) -> NetworkOptions:
    return {
        "space": args.space,
        "channels": args.channels,
        "cells": args.cells,
        "num_classes": args.classes or images.n_classes,
        "builder": args.builder,
    }


def run_options(args: argparse.Namespace, images: Images) -> RunOptions:
    options = {
        **network_options(args, images),
        "canonical": args.canonical,
        "init": args.init,
        "dtype": args.dtype,
        "n_threads": args.threads,
        "kernels": args.kernels,
        "algo": args.algo,
        "recompute": args.recompute,
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
    with closing(cast(Generator[tuple[int, ScoreResult], None, None], stream)):
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
