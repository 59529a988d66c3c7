"""What a report says: correlations beside trivial scores, picks, costs, and what was left out."""

from __future__ import annotations

__all__ = ["write_report"]

import csv
import io
import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zeroshot import figures
from zeroshot.config import VERSION, environment
from zeroshot.figures.figure import as_values, by_title
from zeroshot.files import write_text
from zeroshot.report import page
from zeroshot.report.page import Cell, Table, paragraph

if TYPE_CHECKING:
    from zeroshot.stats import CorrelationRow

Array = NDArray[np.float64]

BASELINES: Final = ("params", "live_weights")
_STATUSES: Final = {
    "ok": "a number",
    "no_signal": "a number, but every gradient in it is zero",
    "undefined": "the formula has no value",
    "nonfinite": "NaN or infinity was met",
    "failed": "could not be scored",
    "crashed": "the process that scored it died",
    "missing": "nothing is stored",
}
_NS: Final = (10, 30, 100, 300, 1000, 3000)
_NO_NUMBER: Final = ("undefined", "nonfinite", "failed", "crashed", "missing")


@dataclass(frozen=True)
class _Experiment:
    """Everything that a report is about, checked."""

    archs: tuple[str, ...]
    values: dict[str, Array]
    turned: dict[str, Array]
    """The same with larger as better."""
    accuracy: dict[str, Array]
    status: dict[str, tuple[str, ...]]
    seconds: dict[str, Array]
    smaller: frozenset[str]
    baselines: tuple[str, ...]
    level: float
    n_resamples: int
    seed: int
    runs: int

    def given(self) -> dict[str, Array]:
        return {label: self.turned[label] for label in self.baselines if label in self.turned}


def write_report(
    path: str | os.PathLike[str],
    archs: Sequence[str],
    values: Mapping[str, ArrayLike],
    accuracy: ArrayLike | Mapping[str, ArrayLike],
    *,
    status: Mapping[str, Sequence[str]] | None = None,
    seconds: Mapping[str, ArrayLike] | None = None,
    smaller_is_better: Iterable[str] = (),
    baselines: Sequence[str] = BASELINES,
    title: str = "Scores of untrained networks",
    settings: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    machine: Mapping[str, Any] | None = None,
    level: float = 0.95,
    n_resamples: int = 2000,
    runs: int = 500,
    seed: int = 0,
) -> None:
    """Write one HTML page that needs no network, and no script to be read.

    Parameters
    ----------
    path : path
        Where to; an existing file is replaced.
    archs : sequence of str
        One text per architecture.
    values : mapping of label to array_like, shape (n_archs,)
        Scores; NaN where there is no number.
    accuracy : array_like, shape (n_archs,), or mapping of target to such
        In percent, NaN where it is not known. Curves and picks are those of the first target.
    status : mapping of label to sequence of str, optional
        As in `zeroshot.ScoreValue`, and ``crashed``. Without it a NaN counts as ``undefined``.
    seconds : mapping of label to array_like, shape (n_archs,), optional
        Time of each architecture. Scores that were made in one pass share it.
    smaller_is_better : iterable of str
        Labels whose sign is turned round for ranking; values are shown as they are.
    baselines : sequence of str
        Labels of trivial scores: shown apart, and taken out of partial correlations.
    title : str
    settings, provenance, machine : mapping, optional
        Anything that can be shown; `machine` is this one's unless given.
    level, n_resamples, seed
        Of the bootstrap intervals, as in `zeroshot.stats.bootstrap`; 0 resamples: no intervals.
    runs : int
        Draws for each N of the best of N.

    Raises
    ------
    ValueError
        If lengths differ, a label is unknown, or there is nothing to report on.
    ImportError
        Without Matplotlib or SciPy: ``pip install 'zeroshot[plot,stats]'``.

    Examples
    --------
    >>> zeroshot.write_report(
    ...     "report.html", table.archs, table.values, {"CIFAR-10 test": accuracy}
    ... )  # doctest: +SKIP
    """
    from zeroshot.stats import correlate

    experiment = _checked(
        archs, values, accuracy, status, seconds, smaller_is_better, baselines, level, n_resamples,
        seed, runs,
    )  # fmt: skip
    rows = {
        target: sorted(
            correlate(
                experiment.turned, a, given=experiment.given(), archs=experiment.archs,
                n_resamples=n_resamples, level=level, seed=seed,
            ),
            key=lambda row: math.inf if math.isnan(row.spearman) else -row.spearman,
        )
        for target, a in experiment.accuracy.items()
    }  # fmt: skip
    sections = {
        "Rank correlation": _correlations(experiment, rows),
        "Score against accuracy": _scatters(experiment, rows),
        "Best of N": _best_of_n(experiment, rows),
        "Picks": _picks(experiment, rows),
        "Cost": _cost(experiment, rows),
        "What has no number": _left_out(experiment),
        "Settings": _facts("Settings", settings),
        "Provenance": _facts("Provenance", provenance),
        "Environment": _facts("Environment", environment() if machine is None else machine),
    }
    whole = page.page(
        title,
        _lead(experiment, rows),
        {
            name: page.section(name, name.lower().replace(" ", "-"), parts)
            for name, parts in sections.items()
        },
        paragraph(
            f"Written by zeroshot {VERSION}. The file holds all that it shows, and loads nothing."
        ),
    )
    write_text(path, whole)


def _checked(
    archs: Sequence[str],
    values: Mapping[str, ArrayLike],
    accuracy: ArrayLike | Mapping[str, ArrayLike],
    status: Mapping[str, Sequence[str]] | None,
    seconds: Mapping[str, ArrayLike] | None,
    smaller_is_better: Iterable[str],
    baselines: Sequence[str],
    level: float,
    n_resamples: int,
    seed: int,
    runs: int,
) -> _Experiment:
    n = len(archs)
    if not n or not values:
        raise ValueError(
            "archs, values: expected at least one architecture and one score, "
            f"got {n} and {len(values)}"
        )

    def column(name: str, found: ArrayLike) -> Array:
        array = as_values(name, found)
        if len(array) != n:
            raise ValueError(f"{name}: expected {n} values, one per architecture, got {len(array)}")
        return array

    scores = {str(label): column(f"values[{label!r}]", v) for label, v in values.items()}
    targets = by_title(accuracy, "accuracy")
    smaller = frozenset(smaller_is_better)
    for name, labels in (
        ("smaller_is_better", smaller), ("status", status or {}), ("seconds", seconds or {})
    ):  # fmt: skip
        if unknown := sorted(set(labels) - set(scores)):
            raise ValueError(
                f"{name}: expected labels among {', '.join(scores)}; got {', '.join(unknown)}"
            )
    told = {
        label: tuple(map(str, (status or {}).get(label, ())))
        or tuple("undefined" if math.isnan(one) else "ok" for one in v)
        for label, v in scores.items()
    }
    for label, words in told.items():
        if len(words) != n:
            raise ValueError(f"status[{label!r}]: expected {n} texts, got {len(words)}")
    return _Experiment(
        archs=tuple(archs),
        values=scores,
        turned={label: -v if label in smaller else v for label, v in scores.items()},
        accuracy={t: column(f"accuracy[{t!r}]", a) for t, a in targets.items()},
        status=told,
        seconds={str(k): column(f"seconds[{k!r}]", s) for k, s in (seconds or {}).items()},
        smaller=smaller,
        baselines=tuple(baselines),
        level=level,
        n_resamples=n_resamples,
        seed=seed,
        runs=runs,
    )


Rows = Mapping[str, "Sequence[CorrelationRow]"]


def _lead(e: _Experiment, rows: Rows) -> str:
    target, first = next(iter(rows.items()))
    known = [row for row in first if not math.isnan(row.spearman)]
    trivial = [row for row in known if row.label in e.baselines]
    found = paragraph(
        f"{_count(len(e.archs), 'architecture')}, {_count(len(e.values), 'score')}, "
        f"{_count(len(e.accuracy), 'target')}: {', '.join(e.accuracy)}."
    )
    if known:
        best = known[0]
        words = f"Best by Spearman's ρ with {target}: {best.label}, {best.spearman:.3f}"
        other = trivial if best.label not in e.baselines else [r for r in known if r not in trivial]
        if not math.isnan(best.spearman_low):
            words += (
                f" ({100 * e.level:g} % interval {best.spearman_low:.3f} to "
                f"{best.spearman_high:.3f})"
            )
        if best in trivial:
            words += ", a trivial score"
        if other:
            kind = "one that is not" if best in trivial else "trivial score"
            words += f"; the best {kind}, {other[0].label}, has {other[0].spearman:.3f}"
        found += paragraph(words + ".")
    else:
        found += paragraph("No score has numbers enough for a correlation.", "bad")
    link = page.download(_csv(e), "scores.csv")
    return found + f'<p id="values">Scores and accuracies: {link}</p>\n'


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"


def _csv(e: _Experiment) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["arch", *e.values, *(f"{label} status" for label in e.values), *e.accuracy])
    for i, arch in enumerate(e.archs):
        numbers = [v[i] for v in e.values.values()], [a[i] for a in e.accuracy.values()]
        shown = [["" if math.isnan(one) else repr(float(one)) for one in part] for part in numbers]
        writer.writerow([arch, *shown[0], *(s[i] for s in e.status.values()), *shown[1]])
    return file.getvalue()


# --- sections -------------------------------------------------------------------------------------


def _correlations(e: _Experiment, rows: Rows) -> list[str]:
    parts = []
    for number, (target, found) in enumerate(rows.items()):
        drawn = figures.correlation_bars(
            {row.label: row.spearman for row in found},
            intervals={row.label: (row.spearman_low, row.spearman_high) for row in found},
            baselines=e.baselines,
            xlabel=f"Spearman's ρ with {target}",
        )
        caption = f"Rank correlation with {target}. Whiskers: {100 * e.level:g} % intervals"
        caption += ". Dotted: trivial scores." if e.given() else "."
        parts += [
            f"<h3>{page.text(target)}</h3>\n" if len(rows) > 1 else "",
            page.figure(drawn, caption, f"correlation-{number}"),
            _correlation_table(e, target, found),
        ]
    parts.append(
        paragraph(
            (
                f"Intervals: bootstrap over architectures, {_count(e.n_resamples, 'resample')}, "
                f"{100 * e.level:g} %, seed {e.seed}. "
                if e.n_resamples
                else ""
            )
            + "Pairs without both numbers are left out of a row and counted in it."
            + (
                f" Smaller is better for {', '.join(sorted(e.smaller))}: ranked by the negative."
                if e.smaller
                else ""
            ),
            "note",
        )
    )
    return parts


def _correlation_table(e: _Experiment, target: str, found: Sequence[CorrelationRow]) -> str:
    first = found[0]
    shares = list(first.precision)
    columns = [
        ("score", ""),
        ("n", "architectures with a score and an accuracy"),
        ("Spearman ρ", "rank correlation, and its interval"),
        ("Kendall τ-b", "rank correlation by pairs, and its interval"),
        ("ρ in top 10 %", "Spearman's among the tenth with the highest accuracy"),
        *(
            (f"top {100 * s:g} %", "share of the most accurate so many that are so by score, too")
            for s in shares
        ),
        *(
            (f"given {name}", f"partial rank correlation: what is left once {name} is known")
            for name in first.given
        ),
        ("no pair", "architectures without a score or an accuracy"),
        ("ties", "architectures that share their score with another"),
    ]
    table = Table(f"Rank correlation with {target}, best first", columns)
    for row in found:
        own = row.label in e.baselines
        table.add(
            row.label,
            row.n,
            Cell(row.spearman, bounds=(row.spearman_low, row.spearman_high)),
            Cell(row.kendall, bounds=(row.kendall_low, row.kendall_high)),
            row.top,
            *(row.precision[s] for s in shares),
            *(math.nan if row.label == name else value for name, value in row.given.items()),
            row.n_nan,
            row.n_tied_scores,
            kind="trivial" if own else "",
        )
    duplicates = (
        paragraph(
            f"{_count(first.n_duplicates, 'row')} repeat an architecture of an earlier row; "
            "they count.",
            "note",
        )
        if first.n_duplicates
        else ""
    )
    return table.shown() + duplicates


def _scatters(e: _Experiment, rows: Rows) -> list[str]:
    target, found = next(iter(rows.items()))
    drawn: list[str] = []
    for row in found:
        score, accuracy = e.values[row.label], e.accuracy[target]
        if not (np.isfinite(score) & np.isfinite(accuracy)).any():
            continue
        one = figures.scatter(
            score, {row.label: accuracy}, label=row.label, archs=e.archs, log_x=_is_wide(score)
        )
        caption = f"{row.label} and {target}"
        caption += ", smaller is better" if row.label in e.smaller else ""
        drawn.append(page.figure(one, caption, f"scatter-{len(drawn)}", data=False))
    if not drawn:
        return []
    where = '<p class="note">All points are in <a href="#values">one table</a>.</p>\n'
    return [f'<div class="grid">\n{"".join(drawn)}</div>\n', where]


def _is_wide(score: Array) -> bool:
    """Whether a score is positive, but for a few, and runs over many orders of magnitude."""
    known = score[np.isfinite(score)]
    positive = known[known > 0]
    if len(positive) < max(2, 0.95 * len(known)):
        return False
    low, high = np.percentile(positive, (2, 98))
    return bool(high > 1000 * low)


def _best_of_n(e: _Experiment, rows: Rows) -> list[str]:
    from zeroshot.stats import best_of_n

    target, found = next(iter(rows.items()))
    a = e.accuracy[target]
    known = np.isfinite(a)
    ns = [n for n in _NS if n <= known.sum()]
    scores = [row.label for row in found if not math.isnan(row.spearman)]
    if len(ns) < 2 or not scores:
        return []
    chosen = [k for k in scores if k not in e.baselines][:5]
    chosen += [k for k in scores if k in e.baselines][:1]
    means: dict[str, list[float]] = {k: [] for k in ("optimal", *chosen, "random")}
    stds: dict[str, list[float]] = {k: [] for k in means}
    for n in ns:
        for label in means:
            if label == "random":
                means[label].append(float(a[known].mean()))
                stds[label].append(float(a[known].std()))
                continue
            by = a if label == "optimal" else e.turned[label]
            # what has no number is never picked
            picked = best_of_n(
                np.where(np.isnan(by[known]), -np.inf, by[known]), {"accuracy": a[known]}, n=n,
                runs=e.runs, seed=e.seed,
            )  # fmt: skip
            means[label].append(picked.mean["accuracy"])
            stds[label].append(picked.std["accuracy"])
    drawn = figures.best_of_n_curves(ns, means, ylabel="accuracy of the pick (%)")
    table = Table(
        f"{target} (%) of the best of N by a score: mean and deviation over {e.runs} draws",
        [("score", ""), *((f"N = {n:,}", "") for n in ns)],
    )
    for label in means:
        cells = [Cell(f"{m:.2f} ± {s:.2f}") for m, s in zip(means[label], stds[label], strict=True)]
        table.add(label, *cells, kind="trivial" if label in e.baselines else "")
    return [
        page.figure(drawn, f"{target} of the pick, against how many it is picked from.", "best"),
        table.shown(sortable=False),
    ]


def _picks(e: _Experiment, rows: Rows) -> list[str]:
    target, found = next(iter(rows.items()))
    a = e.accuracy[target]
    known = np.isfinite(a)
    if not known.any():
        return []
    table = Table(
        f"The architecture that each score ranks first, of {int(known.sum()):,} with {target}",
        [
            ("score", ""),
            ("value", "of the score"),
            ("as good", "architectures with this value; of several the first is shown"),
            ("accuracy (%)", ""),
            ("its rank", "by accuracy, 1 is the best"),
            ("architecture", ""),
        ],
    )
    for row in found:
        by = np.where(known & ~np.isnan(e.turned[row.label]), e.turned[row.label], -np.inf)
        at = int(by.argmax())
        if by[at] == -np.inf:
            continue
        value = float(e.values[row.label][at])
        value = int(value) if value.is_integer() and abs(value) < 1e15 else value
        table.add(
            row.label, Cell(value, 4), int((by == by[at]).sum()), Cell(float(a[at]), 2),
            int((a[known] > a[at]).sum()) + 1, e.archs[at],
            kind="trivial" if row.label in e.baselines else "",
        )  # fmt: skip
    best = int(np.where(known, a, -np.inf).argmax())
    same = int((a[known] == a[best]).sum())
    table.add("accuracy itself", math.nan, same, Cell(float(a[best]), 2), 1, e.archs[best])
    return [table.shown()]


def _cost(e: _Experiment, rows: Rows) -> list[str]:
    if not e.seconds:
        return []
    target, found = next(iter(rows.items()))
    rho = {row.label: row.spearman for row in found}
    table = Table(
        "Seconds per architecture",
        [
            ("score", ""),
            ("median", ""),
            ("mean", ""),
            ("largest", ""),
            ("all", "seconds of all architectures together"),
        ],
    )
    medians = {}
    for label in sorted(e.seconds, key=lambda k: list(rho).index(k)):
        times = e.seconds[label][np.isfinite(e.seconds[label])]
        if not len(times):
            continue
        medians[label] = float(np.median(times))
        table.add(
            label, *(Cell(float(t)) for t in (medians[label], times.mean(), times.max())),
            Cell(float(times.sum()), 1), kind="trivial" if label in e.baselines else "",
        )  # fmt: skip
    shown = {k: s for k, s in medians.items() if s > 0 and not math.isnan(rho[k])}
    parts = []
    if len(set(shown.values())) > 1:  # scores of one pass share its time
        drawn = figures.correlation_by_time(
            shown, rho, baselines=e.baselines, ylabel=f"Spearman's ρ with {target}"
        )
        parts.append(page.figure(drawn, f"Rank correlation with {target} against time.", "cost"))
    return [
        *parts,
        table.shown(),
        paragraph("Scores that were made in one pass share its time.", "note"),
    ]


def _left_out(e: _Experiment) -> list[str]:
    seen = {word for words in e.status.values() for word in words}
    words = [w for w in _STATUSES if w in seen or w in ("ok", "nonfinite", "failed")]
    words += sorted(seen - set(_STATUSES))
    table = Table(
        "Architectures by status of the score",
        [("score", ""), *((w, _STATUSES.get(w, "")) for w in words)],
    )
    for label, told in e.status.items():
        count = Counter(told)
        table.add(label, *(count[w] for w in words))
    parts = [table.shown()]
    for target, a in e.accuracy.items():
        if n := int((~np.isfinite(a)).sum()):
            parts.append(paragraph(f"{_count(n, 'architecture')} without {target}.", "bad"))
    bad = sum(word in _NO_NUMBER for told in e.status.values() for word in told)
    parts.append(
        paragraph(
            f"{_count(bad, 'score value')} of {len(e.archs) * len(e.values):,} "
            f"{'is' if bad == 1 else 'are'} no number.",
            "bad" if bad else "note",
        )
    )
    return parts


def _facts(caption: str, facts: Mapping[str, Any] | None) -> list[str]:
    if not facts:
        return []
    table = Table(caption, [("name", ""), ("value", "")])
    for name, value in _flat(facts):
        table.add(name, Cell(value))
    shown = table.shown(sortable=False)
    return [shown.replace("<table>", '<table class="wrap">', 1)]


def _flat(facts: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    for name, value in facts.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, str):
            yield f"{prefix}{name}", value
        else:
            yield f"{prefix}{name}", json.dumps(value, default=str, ensure_ascii=False)
