"""Scores of a table's forms through a store, so that a table that was stopped goes on."""

from __future__ import annotations

__all__ = ["Runner"]

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zeroshot.data import draw_batches
from zeroshot.errors import NonFiniteError
from zeroshot.options import Options
from zeroshot.reproduce.forms import Form, Images, Search, label_of, needs_images
from zeroshot.reproduce.sources import CLASSES, SIDES, Missing, Sources
from zeroshot.scores import Score, Sweet
from zeroshot.spaces import get_space

Values = NDArray[np.float64]


@dataclass
class Runner:
    """Computes what a store does not have.

    Attributes
    ----------
    sources : Sources
    store : path
    workers : int, optional
        Architectures at a time.
    progress : callable or True, optional
        As for `zeroshot.run_experiment`.
    tell : callable
        Gets a line on what comes next.
    """

    sources: Sources
    store: str | os.PathLike[str]
    workers: int | None = None
    progress: Any = None
    tell: Callable[[str], object] = lambda line: None
    intervals: dict[tuple[Any, ...], tuple[float, float]] = field(default_factory=dict)

    def values(
        self, space: str, dataset: str, archs: Sequence[str], forms: Sequence[Form]
    ) -> list[Values | str]:
        """A value for each architecture, for each form; or what is missing for it."""
        found: list[Values | str] = [""] * len(forms)
        groups: dict[tuple[Any, ...], list[int]] = {}
        for i, form in enumerate(forms):
            images = replace(form.images, n_rows=0)
            groups.setdefault((images, tuple(sorted(form.options.items()))), []).append(i)
        for members in groups.values():
            of = {i: forms[i] for i in members}
            for i, value in self._group(space, dataset, archs, of).items():
                found[i] = value
        return found

    def _group(
        self, space: str, dataset: str, archs: Sequence[str], forms: Mapping[int, Form]
    ) -> dict[int, Values | str]:
        """Forms that see the same images through the same networks, in one run."""
        options = dict(next(iter(forms.values())).options)
        found: dict[int, Values | str] = {}
        parts: dict[int, tuple[tuple[float, Score], ...]] = {}
        x, y = np.zeros((1, 3, SIDES[dataset], SIDES[dataset]), np.float32), np.zeros(1, np.int64)
        drawn = None
        # The most rows first: smaller batches are the first rows of the same draw.
        for i, form in sorted(forms.items(), key=lambda item: -item[1].images.n_rows):
            looking = form.search or any(needs_images(score) for _, score in form.parts)
            try:
                if looking and drawn is None:
                    drawn = x, y = self._draw(dataset, form.images)
                parts[i] = form.parts
                if form.search:
                    sweet = self._sweet(space, dataset, form, form.search, (x, y))
                    parts[i] = ((1.0, sweet),)
            except (Missing, NonFiniteError) as error:
                found[i] = str(error)
        scores = {score.label: score for some in parts.values() for _, score in some}
        if scores:
            table = self._run(space, dataset, archs, tuple(scores.values()), options, (x, y))
            for i, some in parts.items():
                if i not in found:
                    found[i] = sum(
                        (factor * table[score.label] for factor, score in some),
                        np.zeros(len(archs)),
                    )
        return found

    def _draw(self, dataset: str, images: Images) -> tuple[Any, Any]:
        pictures = self.sources.images(dataset)
        if images.n_rows > len(pictures):
            raise Missing(
                f"{images.n_rows:,} images of {dataset} are needed, {len(pictures):,} are there"
            )
        preset = dataset.lower() if images.preset == "auto" else images.preset
        # one batch of all rows: scores cut it into their own
        batches = draw_batches(
            pictures, batch_size=images.n_rows, n_batches=1, seed=images.seed, preset=preset,
            crop=images.crop, flip=images.flip,
        )  # fmt: skip
        return batches.x, batches.y

    def key(self, space: str, dataset: str, form: Form) -> tuple[Any, ...]:
        """Under which an interval is kept."""
        images = replace(form.images, n_rows=0)
        return space, dataset, form.search, images, tuple(sorted(form.options.items()))

    def _sweet(
        self, space: str, dataset: str, form: Form, search: Search, data: tuple[Any, Any]
    ) -> Score:
        """Sweetimator with the interval that its Algorithm 1 finds."""
        from zeroshot.sweet import find_sweet_interval

        key = self.key(space, dataset, form)
        if key not in self.intervals:
            self.tell(
                f"{dataset}: Sweetimator's interval from {search.n_archs} architectures, batch "
                f"{search.batch_size}, split {search.split}"
            )
            archs = get_space(space).sample(search.n_archs, form.options["seed"])
            found = find_sweet_interval(
                archs, *data, split=search.split, batch_size=search.batch_size, space=space,
                layers=15 if space == "nasbench201" else _cells(space, archs[0], form.options),
                num_classes=CLASSES[dataset], n_threads=self.workers, **form.options,
            )  # fmt: skip
            self.intervals[key] = found.lo, found.hi
        lo, hi = self.intervals[key]
        sweet = Sweet(lo, hi, batch_size=search.batch_size)
        return replace(sweet, label=label_of(sweet))

    def _run(
        self, space: str, dataset: str, archs: Sequence[str], scores: tuple[Score, ...],
        options: dict[str, Any], data: tuple[Any, Any],
    ) -> dict[str, Values]:  # fmt: skip
        """Values by label, in the order of `archs`; NaN where there is no finite number."""
        from zeroshot.experiments import Experiment, Store, run_experiment
        from zeroshot.experiments.experiment import Archs

        options = dict(options)
        seed = options.pop("seed")
        given = "".join(f", {key} {value}" for key, value in options.items())
        self.tell(
            f"{space} on {dataset}: {len(scores)} scores of {len(archs):,} architectures, "
            f"seed {seed}{given}"
        )
        experiment = Experiment(
            scores=scores, archs=Archs(tuple(archs)), seeds=(seed,), classes=CLASSES[dataset],
            options=Options(space=space, **options), name=f"{space} on {dataset}",
        )  # fmt: skip
        with Store(self.store) as store:
            done = run_experiment(
                experiment, store, data=data, workers=self.workers, progress=self.progress
            )
            table = store.scores(experiment=done.experiment)
        row = {arch: i for i, arch in enumerate(table.archs)}
        order = [row[arch] for arch in archs]
        return {label: column[order] for label, column in table.values.items()}


def _cells(space: str, arch: str, options: Mapping[str, Any]) -> tuple[str, ...]:
    """Prefixes of the weights of each cell, in order."""
    from zeroshot.weights import weight_names

    names = weight_names(arch, space=space, **{k: v for k, v in options.items() if k == "channels"})
    return tuple(dict.fromkeys(m[0] for name in names if (m := re.match(r"cell\d+", name))))
