"""`reproduce_table`: makes one of the papers' tables."""

from __future__ import annotations

__all__ = ["SAMPLE", "reproduce_table"]

import math
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from zeroshot.inputs import check_int
from zeroshot.network import count
from zeroshot.reproduce.forms import Form, describe, needs_images
from zeroshot.reproduce.measures import Measured, drawn_of, measure, select
from zeroshot.reproduce.numbers import DATASETS, PublishedRow
from zeroshot.reproduce.recipes import Recipe, find_recipe
from zeroshot.reproduce.running import Runner, Values
from zeroshot.reproduce.sources import CLASSES, Accuracies, Missing, Sources
from zeroshot.reproduce.tables import ReproducedRow, ReproducedTable
from zeroshot.spaces import list_spaces

SAMPLE: Final = 100

_NO_SCORE: Final = "no score of this package"
_NO_SWEET: Final = "Sweetimator's search takes networks of one depth, and those of NDS differ in it"
_UNSIGNED: Final = "printed without its sign; compared with the negative of it"
_TRAINED: Final = "trained predictors"
_MEAN: Final = "mean of three"  # what a row's data set is then: all of DATASETS


def reproduce_table(
    name: str,
    *,
    data: str | os.PathLike[str],
    images: Mapping[str, str | os.PathLike[str]] | None = None,
    sample: int | None = SAMPLE,
    seed: int = 0,
    methods: Iterable[str] | None = None,
    datasets: Iterable[str] | None = None,
    channels: int | None = None,
    cells: int | None = None,
    store: str | os.PathLike[str] | None = None,
    n_resamples: int = 2000,
    level: float = 0.95,
    workers: int | None = None,
    progress: Any = None,
    tell: Callable[[str], object] = lambda line: None,
) -> ReproducedTable:
    """Make a table of a paper as far as the files at hand allow.

    Each row is computed as the paper says and, where it differs, as its released code does, over
    the same architectures, beside the published number and the trivial rows: the number of weights
    and of live weights.

    Parameters
    ----------
    name : str
        ``xi-gsnr/table1``; see `list_tables`.
    data : path
        Folder with benchmark files and images.
    images : mapping of str to path, optional
        Images by data set, ``cifar10``, ``cifar100`` or ``ImageNet16-120``, in place of those found
        in the folder.
    sample : int, optional
        Random architectures of each benchmark; None for all.
    seed : int
        Of that sample, of resamples and runs; weights and images have the paper's.
    methods, datasets : iterable of str, optional
        Only these.
    channels, cells : int, optional
        Of smaller networks than the paper's, for a quick look; the notes say so.
    store : path, optional
        Where scores are kept: what it has is not computed again. Default: nowhere.
    n_resamples, level : int, float
        Of the intervals.
    workers : int, optional
        Architectures at a time.
    progress : optional
        As for `zeroshot.run_experiment`.
    tell : callable, optional
        Gets a line on what comes next.

    Returns
    -------
    ReproducedTable
        Rows for which something is missing are named, with what to bring.

    Raises
    ------
    ValueError
        If there is no such table, method or data set, or if the table is no ranking.
    """
    recipe = find_recipe(name)
    if recipe.forms is None:
        raise ValueError(f"name: {name} is not made here: {recipe.kind}: {recipe.title}")
    if sample is not None:
        check_int("sample", sample, 2)
    check_int("seed", seed, 0)
    rows = _chosen(recipe, methods, datasets)
    with ExitStack() as stack:
        if store is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            store = Path(folder) / "scores.sqlite"
        sources = Sources(data, images or {})
        runner = Runner(sources, store, workers, progress, tell)
        smaller = {k: v for k, v in {"channels": channels, "cells": cells}.items() if v is not None}
        maker = _Maker(recipe, sources, runner, smaller, sample, seed, n_resamples, level)
        return maker.make(rows)


def _chosen(
    recipe: Recipe, methods: Iterable[str] | None, datasets: Iterable[str] | None
) -> list[PublishedRow]:
    rows = list(recipe.wanted())
    for name, field, wanted in (("methods", "method", methods), ("datasets", "dataset", datasets)):
        if wanted is None:
            continue
        names = [wanted] if isinstance(wanted, str) else list(wanted)
        known = list(dict.fromkeys(getattr(row, field) for row in rows))
        bases = {k.partition(" (")[0].lower(): k for k in known} | {k.lower(): k for k in known}
        for one in names:
            if one.lower() not in bases:
                raise ValueError(f"{name}: expected some of {', '.join(known)}; got {one!r}")
        kept = {one.lower() for one in names}
        rows = [
            row
            for row in rows
            if {getattr(row, field).lower(), getattr(row, field).partition(" (")[0].lower()} & kept
        ]
    return rows


def accuracy_of(row: PublishedRow) -> tuple[str, str, str]:
    """Data set, split and rule over trainings of the accuracy that a row is compared with."""
    if row.space == "nasbench201" and row.dataset == "cifar10":
        if row.metric == "val_acc":
            return "cifar10-valid", "valid", "mean"
        # GradSign correlates with the training on 25,000 images, the others with that on all
        by_halves = row.paper == "gradsign" and row.metric in ("spearman", "kendall")
        return ("cifar10-valid" if by_halves else "cifar10"), "test", "mean"
    trials = {"xi-gsnr": "max"}.get(row.paper, "first") if row.space == "nasbench101" else "mean"
    return row.dataset, "valid" if row.metric == "val_acc" else "test", trials


@dataclass
class _Maker:
    """Makes the rows of one table."""

    recipe: Recipe
    sources: Sources
    runner: Runner
    smaller: Mapping[str, int]
    sample: int | None
    seed: int
    n_resamples: int
    level: float

    def __post_init__(self) -> None:
        self.missing: dict[str, list[str]] = {}
        self.settings: dict[str, None] = {}
        self.notes: dict[str, None] = dict.fromkeys(self.recipe.notes)
        self.done: list[ReproducedRow] = []
        if self.smaller:
            sizes = ", ".join(f"{value} {name}" for name, value in self.smaller.items())
            self.notes[f"networks of {sizes}, in place of the paper's"] = None

    def make(self, rows: Sequence[PublishedRow]) -> ReproducedTable:
        groups: dict[tuple[str, str], list[PublishedRow]] = {}
        for row in rows:
            for one in _by_dataset(row):
                groups.setdefault((one.space, one.dataset), []).append(one)
        if self.recipe.kind == "selection":  # scored on CIFAR-10, looked up everywhere
            groups = {("nasbench201", "cifar10"): list(rows)}
        for (space, dataset), some in groups.items():
            if dataset not in DATASETS:
                known = space in list_spaces()
                self._miss(_TRAINED if known else f"{space} is not in the package", some)
                continue
            self._group(space, dataset, some)
        self._over_datasets(rows)
        percent = f"{100 * self.level:g} %"
        self.settings[
            f"intervals: {percent}, of the mean over 500 runs"
            if self.recipe.kind == "selection"
            else f"intervals: {percent}, {self.n_resamples} resamples of architectures"
        ] = None
        for path, why in self.sources.refused.items():
            self.notes[f"{path.name} was not read: {why}"] = None
        return ReproducedTable(
            self.recipe.name,
            self.recipe.title,
            tuple(self.done),
            tuple(self.settings),
            tuple(self.notes),
            {why: tuple(dict.fromkeys(rows)) for why, rows in self.missing.items()},
        )

    def _miss(self, why: str, rows: Iterable[PublishedRow]) -> None:
        for row in rows:
            where = (row.dataset if row.space == "nasbench201" else "") or row.space
            self.missing.setdefault(why, []).append(f"{row.method} on {where}")

    def _group(self, space: str, dataset: str, rows: Sequence[PublishedRow]) -> None:
        """Rows whose scores are computed on one data set."""
        accuracies: dict[tuple[str, str, str], Accuracies] = {}
        able: list[PublishedRow] = []
        for row in rows:
            key = accuracy_of(row)
            try:
                if key not in accuracies:
                    accuracies[key] = self.sources.accuracies(row.space, *key)
                able.append(row)
            except Missing as error:
                self._miss(str(error), [row])
        if not able:
            return
        archs = self._sampled(space, accuracies)
        forms = {
            row: tuple(
                replace(form, options={**form.options, **self.smaller})
                for form in self.recipe.forms_of(row)
            )
            for row in able
        }
        by_key = {_key(form): form for some in forms.values() for form in some}
        found = self.runner.values(space, dataset, archs, list(by_key.values()))
        values = dict(zip(by_key, found, strict=True))
        if any(
            form.search or any(needs_images(score) for _, score in form.parts)
            for form, value in zip(by_key.values(), found, strict=True)
            if not isinstance(value, str)
        ):
            self._tell_images(dataset)
        if few := [row for row in able if self._draws_too_many(row, len(archs))]:
            methods = ", ".join(dict.fromkeys(row.method for row in few))
            self.notes[
                f"runs of {methods} draw from {len(archs):,}: nearly always the same best"
            ] = None
        trivial = self._trivial(space, dataset, archs)
        aligned = {key: _aligned(one, archs) for key, one in accuracies.items()}
        for column in dict.fromkeys((row.dataset, row.metric) for row in able):
            some = [row for row in able if (row.dataset, row.metric) == column]
            made: list[ReproducedRow] = []
            for row in some:
                key = accuracy_of(row)
                if self._needs_no_score(row):
                    made.append(self._chosen_by_accuracy(row, accuracies[key].values))
                else:
                    made += self._row(row, forms[row], values, aligned[key])
            made += self._means(some, made)
            self.done += made
            for name, sizes in trivial.items() if made else ():
                label = f"{name} (N=100)" if self.recipe.kind == "selection" else name
                row = replace(some[0], method=label, value=None, std=None, note="")
                ours = self._measured(row, sizes, aligned[accuracy_of(row)])
                self.done.append(self._made(row, "trivial", ours, ""))

    def _trivial(self, space: str, dataset: str, archs: Sequence[str]) -> dict[str, Values]:
        """What a score has to beat, by name."""
        channels, cells = self.smaller.get("channels"), self.smaller.get("cells")
        counts = [
            count(arch, space=space, channels=channels, cells=cells, num_classes=CLASSES[dataset])
            for arch in archs
        ]
        return {
            "weights": np.array([float(c.weights) for c in counts]),
            "live weights": np.array([float(c.live_weights) for c in counts]),
        }

    def _sampled(
        self, space: str, accuracies: Mapping[tuple[str, str, str], Accuracies]
    ) -> tuple[str, ...]:
        """The same architectures for all data sets: those of the first file, in its order."""
        first = next(iter(accuracies.values()))
        known = [a for a, v in zip(first.archs, first.values, strict=True) if not math.isnan(v)]
        n = len(known) if self.sample is None else min(self.sample, len(known))
        # a larger sample holds the smaller one
        chosen = np.sort(np.random.default_rng(self.seed).permutation(len(known))[:n])
        drawn = "all" if n == len(known) else f"drawn at random, seed {self.seed}, from the"
        self.settings[f"{space}: {n:,} architectures, {drawn} {len(known):,} with an accuracy"] = (
            None
        )
        for one in accuracies.values():
            self.settings[f"accuracy: {one.target} of {one.source}"] = None
            if one.note:
                self.notes[f"{space}: {one.note}"] = None
        return tuple(known[i] for i in chosen)

    def _tell_images(self, dataset: str) -> None:
        try:
            self.settings[f"images: {self.sources.images(dataset).name or dataset}"] = None
            if note := self.sources.images_note(dataset):
                self.notes[note] = None
        except Missing:
            pass

    def _measured(self, row: PublishedRow, scores: Values, accuracy: Values) -> Measured:
        if self.recipe.kind == "selection":
            return select(row.method, scores, accuracy, level=self.level, seed=self.seed)
        return measure(
            row.metric, scores, accuracy,
            n_resamples=self.n_resamples, level=self.level, seed=self.seed,
        )  # fmt: skip

    def _draws_too_many(self, row: PublishedRow, n: int) -> bool:
        """Whether runs are so large beside what they draw from that they all see the best."""
        if self.recipe.kind != "selection" or self._needs_no_score(row):
            return False
        return n < 3 * drawn_of(row.method)

    def _needs_no_score(self, row: PublishedRow) -> bool:
        return self.recipe.kind == "selection" and row.method.startswith(("Optimal", "Random"))

    def _chosen_by_accuracy(self, row: PublishedRow, whole: Values) -> ReproducedRow:
        """Rows "Optimal" and "Random", of all architectures of the file."""
        best = row.method.startswith("Optimal")
        by = whole if best else np.zeros(len(whole))
        ours = select(row.method, by, whole, level=self.level, seed=self.seed)
        note = "picked in each column by itself" if best else ""
        return self._made(row, "optimal" if best else "random", ours, note)

    def _row(
        self, row: PublishedRow, forms: Sequence[Form], values: Mapping[Any, Values | str],
        accuracy: Values,
    ) -> list[ReproducedRow]:  # fmt: skip
        """A row for each form whose scores are there."""
        if not forms and row.method not in self.recipe.means:
            self._miss(_NO_SWEET if row.method == "Sweetimator" else _NO_SCORE, [row])
        made = []
        for form in forms:
            scores = values[_key(form)]
            if isinstance(scores, str):
                self._miss(scores, [row])
            else:
                ours = self._measured(row, scores, accuracy)
                made.append(
                    self._made(row, form.name, ours, self._form_note(form, row), describe(form))
                )
        return made

    def _form_note(self, form: Form, row: PublishedRow) -> str:
        notes = [form.note, row.note]
        scored_on = "cifar10" if self.recipe.kind == "selection" else row.dataset
        if form.search:
            key = self.runner.key(row.space, scored_on, form)
            lo, hi = self.runner.intervals[key]
            notes.append(f"interval found: [{lo:g}, {hi:g})")
        return "; ".join(note for note in notes if note)

    def _made(
        self, row: PublishedRow, form: str, found: Measured, note: str, computed: str = ""
    ) -> ReproducedRow:
        low, high, printed = found.low, found.high, row.value
        if printed is not None and found.value < 0 and _is_unsigned(row):
            printed, note = -printed, "; ".join(filter(None, (note, _UNSIGNED)))
        inside = None if printed is None or math.isnan(low) else low <= printed <= high
        return ReproducedRow(
            space=row.space,
            dataset=row.dataset,
            metric=row.metric,
            method=row.method,
            form=form,
            ours=found.value,
            std=found.std,
            low=low,
            high=high,
            n=found.n,
            n_nan=found.n_nan,
            n_tied=found.n_tied,
            published=row.value,
            published_std=row.std,
            difference=None if printed is None else found.value - printed,
            inside=inside,
            settings=row.settings,
            computed=computed,
            note=note,
        )

    def _means(
        self, rows: Sequence[PublishedRow], made: Sequence[ReproducedRow]
    ) -> list[ReproducedRow]:
        """Rows that are the mean and population deviation of other rows of one form."""
        found = []
        for row in rows:
            parts = self.recipe.means.get(row.method, ())
            for form in dict.fromkeys(one.form for one in made) if parts else ():
                some = [one for one in made if one.form == form and one.method in parts]
                if len(some) == len(parts):
                    found.append(self._mean(row, form, some))
        return found

    def _over_datasets(self, rows: Sequence[PublishedRow]) -> None:
        """Rows that are the mean and population deviation over data sets."""
        for row in (row for row in rows if row.dataset == _MEAN):
            for form in dict.fromkeys(one.form for one in self.done):
                key = row.space, row.method, row.metric, form
                some = [o for o in self.done if (o.space, o.method, o.metric, o.form) == key]
                if len(some) == len(DATASETS):
                    self.done.append(self._mean(row, form, some))

    def _mean(self, row: PublishedRow, form: str, of: Sequence[ReproducedRow]) -> ReproducedRow:
        ours, n = [one.ours for one in of], min(one.n for one in of)
        mean, std = float(np.mean(ours)), float(np.std(ours))
        return self._made(row, form, Measured(mean, std, math.nan, math.nan, n, 0, 0), row.note)


def _by_dataset(row: PublishedRow) -> list[PublishedRow]:
    """A row that is a mean, as what it is the mean of: rows with nothing printed."""
    if row.dataset != _MEAN:
        return [row]
    return [replace(row, dataset=dataset, value=None, std=None) for dataset in DATASETS]


def _is_unsigned(row: PublishedRow) -> bool:
    """Whether absolute values are printed.

    The scripts do so with rho, and tau has no other sign than rho: those of SNIP and GradNorm,
    negative here, are printed as positive.
    """
    return row.space == "nasbench101" and row.metric in ("spearman", "kendall")


def _aligned(accuracies: Accuracies, archs: Sequence[str]) -> Values:
    """Accuracies in the order of `archs`; NaN where the file has none."""
    at = dict(zip(accuracies.archs, accuracies.values, strict=True))
    return np.array([at.get(arch, math.nan) for arch in archs])


def _key(form: Form) -> tuple[Any, ...]:
    """What tells values of two forms apart."""
    return form.parts, form.search, form.images, tuple(sorted(form.options.items()))
