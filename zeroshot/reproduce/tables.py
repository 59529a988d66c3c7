"""`reproduce_table`: one of the papers' tables, ours beside the published numbers."""

from __future__ import annotations

__all__ = ["ReproducedRow", "ReproducedTable", "reproduce_table"]

import csv
import io
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from zeroshot.inputs import check_int
from zeroshot.reproduce.forms import TRIVIAL, Form, label_of
from zeroshot.reproduce.measures import Measured, measure, select
from zeroshot.reproduce.numbers import DATASETS, PublishedRow
from zeroshot.reproduce.recipes import Recipe, find_recipe
from zeroshot.reproduce.running import Runner, Values
from zeroshot.reproduce.sources import Accuracies, Missing, Sources

SAMPLE = 100


@dataclass(frozen=True)
class ReproducedRow:
    """A number of ours beside a published one.

    Attributes
    ----------
    space, dataset, metric, method : str
    form : str
        ``paper``, ``released`` or ``trivial``; ``optimal`` and ``random`` of a selection.
    ours : float
    std : float or None
        Over the runs of a selection, over the rows of a mean.
    low, high : float
        Interval over architectures, or of the mean over runs; NaN where there is none.
    n, n_nan, n_tied : int
        Architectures that count, those without a number, those whose score another one has.
    published, published_std : float or None
    difference : float or None
        Ours less published.
    inside : bool or None
        Whether the interval holds the published number.
    settings, note : str
    """

    space: str
    dataset: str
    metric: str
    method: str
    form: str
    ours: float
    std: float | None
    low: float
    high: float
    n: int
    n_nan: int
    n_tied: int
    published: float | None
    published_std: float | None
    difference: float | None
    inside: bool | None
    settings: str
    note: str


@dataclass(frozen=True)
class ReproducedTable:
    """A table of a paper, as far as it could be made.

    Attributes
    ----------
    name, title : str
    rows : tuple of ReproducedRow
    settings : tuple of str
        Architectures, files, images, resampling.
    notes : tuple of str
        Where this differs from the paper.
    missing : mapping of str to tuple of str
        What is missing, or why it is not made, and the rows that need it.
    """

    name: str
    title: str
    rows: tuple[ReproducedRow, ...]
    settings: tuple[str, ...]
    notes: tuple[str, ...]
    missing: Mapping[str, tuple[str, ...]]

    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str:
        """All rows as CSV; also into a file."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["table", *(f.name for f in fields(ReproducedRow))])
        for row in self.rows:
            cells = asdict(row).values()
            writer.writerow([self.name, *("" if _empty(cell) else cell for cell in cells)])
        return _written(stream.getvalue(), path)

    def columns(self) -> dict[str, list[str]]:
        """What the Markdown and the terminal show."""
        marks = {note: f"[{i}]" for i, note in enumerate(self._row_notes(), start=1)}
        columns: dict[str, list[str]] = {}
        for row in self.rows:
            digits = 2 if row.metric.endswith("_acc") else 3
            cells = {
                "data set": row.dataset if row.space == "nasbench201" else row.space,
                "metric": row.metric,
                "method": row.method,
                "form": row.form,
                "ours": _number(row.ours, digits) + _std(row.std, digits),
                "interval": ""
                if math.isnan(row.low)
                else f"{row.low:.{digits}f} to {row.high:.{digits}f}",
                "n": str(row.n),
                "published": _number(row.published, digits) + _std(row.published_std, digits),
                "difference": "" if _empty(row.difference) else f"{row.difference:+.{digits}f}",
                "inside": {None: "", True: "yes", False: "no"}[row.inside],
                "note": marks.get(row.note, ""),
            }
            for heading, cell in cells.items():
                columns.setdefault(heading, []).append(cell)
        return columns

    def _row_notes(self) -> list[str]:
        return list(dict.fromkeys(row.note for row in self.rows if row.note))

    def remarks(self) -> list[tuple[str, list[str]]]:
        """Headings and lines that stand below the table."""
        notes = [f"[{i}] {note}" for i, note in enumerate(self._row_notes(), start=1)]
        missing = [f"{why}: {_listed(rows)}" for why, rows in self.missing.items()]
        found = [("notes", notes), ("other than in the paper", list(self.notes)),
                 ("not made", missing)]  # fmt: skip
        return [(heading, lines) for heading, lines in found if lines]

    def to_markdown(self, path: str | os.PathLike[str] | None = None) -> str:
        """The table with its settings and notes as Markdown; also into a file."""
        lines = [f"# {self.name}: {self.title}", "", *(f"- {s}" for s in self.settings), ""]
        columns = self.columns()
        if columns:
            lines += [f"| {' | '.join(columns)} |", f"| {' | '.join('---' for _ in columns)} |"]
            lines += [f"| {' | '.join(c)} |" for c in zip(*columns.values(), strict=True)]
        for heading, some in self.remarks():
            lines += ["", f"{heading.capitalize()}:", "", *(f"- {line}" for line in some)]
        return _written("\n".join(lines) + "\n", path)


def _empty(cell: object) -> bool:
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def _number(value: float | None, digits: int) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def _std(value: float | None, digits: int) -> str:
    return "" if value is None or math.isnan(value) else f" +- {value:.{digits}f}"


def _listed(rows: Sequence[str]) -> str:
    return ", ".join(rows[:12]) + (f" and {len(rows) - 12} more" if len(rows) > 12 else "")


def _written(text: str, path: str | os.PathLike[str] | None) -> str:
    if path is not None:
        Path(path).write_text(text, encoding="utf-8")
    return text


# --- making one ---------------------------------------------------------------------------------


def reproduce_table(
    name: str,
    *,
    data: str | os.PathLike[str],
    images: Mapping[str, str | os.PathLike[str]] | None = None,
    sample: int | None = SAMPLE,
    seed: int = 0,
    methods: Iterable[str] | None = None,
    datasets: Iterable[str] | None = None,
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
        maker = _Maker(recipe, sources, runner, sample, seed, n_resamples, level)
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
    sample: int | None
    seed: int
    n_resamples: int
    level: float

    def __post_init__(self) -> None:
        self.missing: dict[str, list[str]] = {}
        self.settings: dict[str, None] = {}
        self.notes: dict[str, None] = dict.fromkeys(self.recipe.notes)
        self.done: list[ReproducedRow] = []

    def make(self, rows: Sequence[PublishedRow]) -> ReproducedTable:
        groups: dict[tuple[str, str], list[PublishedRow]] = {}
        for row in rows:
            groups.setdefault((row.space, row.dataset), []).append(row)
        if self.recipe.kind == "selection":  # scored on CIFAR-10, looked up everywhere
            groups = {("nasbench201", "cifar10"): list(rows)}
        for (space, dataset), some in groups.items():
            if dataset not in DATASETS:
                self._miss("not made here", some)
                continue
            self._group(space, dataset, some)
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
            where = row.dataset if row.space == "nasbench201" else row.space
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
        forms = {row: self.recipe.forms_of(row) for row in able}
        trivial = self._trivial(able[0], dataset)
        flat = list(dict.fromkeys(map(_key, [f for fs in forms.values() for f in fs] + trivial)))
        by_key = {_key(f): f for f in [f for fs in forms.values() for f in fs] + trivial}
        found = self.runner.values(space, dataset, archs, [by_key[key] for key in flat])
        values = dict(zip(flat, found, strict=True))
        if any(not isinstance(v, str) for v in found):
            self._tell_images(dataset)
        for metric in dict.fromkeys((row.dataset, row.metric) for row in able):
            some = [row for row in able if (row.dataset, row.metric) == metric]
            made = []
            for row in some:
                made += self._row(row, forms[row], values, archs, accuracies[accuracy_of(row)])
            made += self._means(some, made)
            self.done += made
            if made:
                first = some[0]
                target = accuracies[accuracy_of(first)]
                for form, method in zip(trivial, TRIVIAL, strict=True):
                    row = replace(
                        first, value=None, std=None, note="", method=self._named(method, some)
                    )
                    self.done += self._row(row, [form], values, archs, target)

    def _named(self, method: str, rows: Sequence[PublishedRow]) -> str:
        """A trivial row of a selection draws as many as most rows do."""
        if self.recipe.kind != "selection":
            return method
        return f"{method} (N=100)"

    def _trivial(self, row: PublishedRow, dataset: str) -> list[Form]:
        return [
            Form("trivial", ((1.0, replace(score, label=label_of(score))),),  # type: ignore[type-var]
                 options={"seed": 0})
            for score in TRIVIAL.values()
        ]  # fmt: skip

    def _sampled(
        self, space: str, accuracies: Mapping[tuple[str, str, str], Accuracies]
    ) -> tuple[str, ...]:
        """The same architectures for all data sets: those of the first file, in its order."""
        first = next(iter(accuracies.values()))
        known = [a for a, v in zip(first.archs, first.values, strict=True) if not math.isnan(v)]
        n = len(known) if self.sample is None else min(self.sample, len(known))
        rng = np.random.default_rng(self.seed)
        chosen = np.sort(rng.choice(len(known), n, replace=False))
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

    def _row(
        self, row: PublishedRow, forms: Sequence[Form], values: Mapping[Any, Values | str],
        archs: Sequence[str], target: Accuracies,
    ) -> list[ReproducedRow]:  # fmt: skip
        at = {arch: value for arch, value in zip(target.archs, target.values, strict=True)}
        accuracy = np.array([at.get(arch, math.nan) for arch in archs])
        if self.recipe.kind == "selection" and row.method.partition(" (")[0] in (
            "Optimal",
            "Random",
        ):
            whole = target.values  # which needs no score
            by = None if row.method.startswith("Optimal") else np.zeros(len(whole))
            found = select(row.method, by, whole, level=self.level, seed=self.seed)
            return [
                self._made(row, row.method.partition(" (")[0].lower(), found, "all of the file")
            ]
        if not forms and row.method not in self.recipe.means:
            self._miss("not made here (no such score, or a trained estimator)", [row])
        made = []
        for form in forms:
            scores = values[_key(form)]
            if isinstance(scores, str):
                self._miss(scores, [row])
                continue
            if self.recipe.kind == "selection":
                found = select(row.method, scores, accuracy, level=self.level, seed=self.seed)
            else:
                found = measure(
                    row.metric, scores, accuracy,
                    n_resamples=self.n_resamples, level=self.level, seed=self.seed,
                )  # fmt: skip
            made.append(self._made(row, form.name, found, self._form_note(form, row)))
        return made

    def _form_note(self, form: Form, row: PublishedRow) -> str:
        notes = [form.note, row.note]
        scored_on = "cifar10" if self.recipe.kind == "selection" else row.dataset
        if form.search:
            key = self.runner.key(row.space, scored_on, form)
            lo, hi = self.runner.intervals[key]
            notes.append(f"interval found: [{lo:g}, {hi:g})")
        return "; ".join(note for note in notes if note)

    def _made(self, row: PublishedRow, form: str, found: Measured, note: str) -> ReproducedRow:
        return ReproducedRow(
            row.space, row.dataset, row.metric, row.method, form, found.value, found.std, found.low,
            found.high, found.n, found.n_nan, found.n_tied, row.value, row.std,
            None if row.value is None else found.value - row.value,
            None if row.value is None or math.isnan(found.low)
            else found.low <= row.value <= found.high,
            row.settings, note,
        )  # fmt: skip

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
                    ours = [one.ours for one in some]
                    mean, std, n = float(np.mean(ours)), float(np.std(ours)), min(o.n for o in some)
                    found.append(
                        self._made(row, form, Measured(mean, std, math.nan, math.nan, n, 0, 0), "")
                    )
        return found


def _key(form: Form) -> tuple[Any, ...]:
    """What tells values of two forms apart."""
    return form.parts, form.search, form.images, tuple(sorted(form.options.items()))
