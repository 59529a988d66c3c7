"""The tables of the papers, one entry each."""

from __future__ import annotations

__all__ = ["RECIPES", "Recipe", "TableInfo", "find_recipe", "list_tables"]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from zeroshot.reproduce.forms import Form, placed, sweet_forms, usual, without_dead, xi_forms
from zeroshot.reproduce.numbers import DATASETS, PublishedRow, published

FormsOf = Callable[[PublishedRow], Sequence[Form]]
"""How to compute a row; nothing where the package cannot."""


@dataclass(frozen=True)
class TableInfo:
    """A table of a paper.

    Attributes
    ----------
    name : str
        ``PAPER/TABLE``, as `reproduce_table` takes it.
    title : str
    kind : str
        ``ranking``, ``selection``; ``search``, ``training`` and ``other`` are not made here.
    spaces : tuple of str
    n_rows : int
        Printed numbers.
    """

    name: str
    title: str
    kind: str
    spaces: tuple[str, ...]
    n_rows: int


@dataclass(frozen=True)
class Recipe:
    """How a table is made; without `forms` it is not, and `title` says what it holds."""

    name: str
    title: str
    kind: str = "ranking"
    forms: FormsOf | None = None
    means: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Rows that are means of others."""
    rows: tuple[PublishedRow, ...] = ()
    """In place of those in ``published.csv``, for figures whose numbers are not printed."""
    notes: tuple[str, ...] = ()

    @property
    def paper(self) -> str:
        return self.name.partition("/")[0]

    def wanted(self) -> tuple[PublishedRow, ...]:
        """Rows of the table."""
        if self.rows or self.forms is None:
            return self.rows
        table = self.name.partition("/")[2]
        table = table.removeprefix("table") if table.startswith("table") else f"figure {table[6:]}"
        return published(self.paper, table)

    def forms_of(self, row: PublishedRow) -> tuple[Form, ...]:
        return tuple(self.forms(row)) if self.forms is not None else ()


# --- rows to forms ------------------------------------------------------------------------------


def _put(forms: Sequence[Form], row: PublishedRow, seed: int | None = None) -> list[Form]:
    return [placed(form, row.paper, row.space, row.dataset, seed=seed) for form in forms]


def _ranking(batch: int) -> FormsOf:
    """Every method of a ranking table, with one batch size."""

    def forms(row: PublishedRow) -> Sequence[Form]:
        method = row.method.partition(" (")[0]
        if method == "xi-GSNR":
            return _put(xi_forms(row.space, batch=batch), row)
        if method == "Sweetimator":
            return _put(sweet_forms(row.space, row.dataset, batch=batch), row)
        zerocost = row.paper == "gradsign"
        known = usual(method, batch, space=row.space, metric=row.metric, zerocost=zerocost)
        return _put(known, row)

    return forms


def _variant(row: PublishedRow) -> Sequence[Form]:
    variant = row.method.partition(" ")[2]
    paper, released = xi_forms(row.space, variant=variant)
    return _put([paper, without_dead(released) if variant == "inv_var_xi" else released], row)


_INITS: Final = {"orthogonal": "orthogonal", "xavier": "xavier_uniform",
                 "kaiming": "kaiming_uniform"}  # fmt: skip


def _initialisation(row: PublishedRow) -> Sequence[Form]:
    if row.method.startswith("seed="):
        return _put(xi_forms(row.space), row, seed=int(row.method[5:]))
    init = _INITS.get(row.method)
    return [] if init is None else _put(xi_forms(row.space, init=init), row)


def _xi_ablation(row: PublishedRow) -> Sequence[Form]:
    key, _, value = row.method.partition("=")
    settings = {key: float(value) if key == "xi" else int(value)}
    return _put(xi_forms(row.space, **settings), row)  # type: ignore[arg-type]


def _sweet_ablation(row: PublishedRow) -> Sequence[Form]:
    key, _, value = row.method.partition("=")
    name = {"batch": "batch", "architectures": "n_archs", "split": "split"}.get(key)
    settings = {} if name is None else {name: int(value)}
    return _put(sweet_forms(row.space, row.dataset, **settings), row)


def _selection(row: PublishedRow) -> Sequence[Form]:
    """Scores are those on CIFAR-10 whatever accuracy is looked up."""
    scored = replace(row, dataset="cifar10", method=row.method.partition(" (")[0])
    return _ranking(128)(scored)


def _grid() -> tuple[PublishedRow, ...]:
    """Figure 3: the grids of the text; values of xi are not given, so decades around 1e-8."""
    grids = {
        "batch": (8, 16, 32, 64, 128, 256, 512),
        "n": (2, 4, 6, 8, 10, 12, 14),
        "xi": ("1e-12", "1e-10", "1e-9", "1e-8", "1e-7", "1e-6", "1e-4"),
    }
    settings = "200 random architectures; all else: batch 64, N 8, xi 1e-8"
    return tuple(
        PublishedRow("xi-gsnr", "figure 3", "", f"{key}={value}", "nasbench201", dataset, metric,
                     None, None, settings, "the figure's numbers are not printed")
        for key, values in grids.items()
        for value in values
        for dataset in DATASETS
        for metric in ("spearman", "kendall")
    )  # fmt: skip


# --- the tables ---------------------------------------------------------------------------------

_BATCHES = "batches are disjoint; those of the released code are drawn afresh and may overlap"
_READING = (
    "variants 2 and 4, and of 3 the released form, leave out weights whose variance is 0; the "
    "papers say nothing of them, and no code of the variants was released"
)
_MEANS = {
    "mean of seeds": ("seed=0", "seed=1", "seed=2"),
    "mean of initialisations": ("orthogonal", "xavier", "kaiming"),
}
_INIT_NOTE = "which Xavier and Kaiming is not said; here both are uniform, fan-in"
_DISJOINT = (_BATCHES,)
_HASHES = ("the 4500 architectures are the first in the order of their hashes; here random ones",)
_OWN_BATCH = "one batch for all; the released scoring script draws one for each architecture"
_ONE_RELEASE = "both releases are compared with the accuracies of the file at hand"
_SELECTED = "runs draw from the architectures that were scored, in place of all 15,625"

RECIPES: Final[tuple[Recipe, ...]] = (
    Recipe(
        "xi-gsnr/table1", "NAS-Bench-201: Spearman and Kendall", forms=_ranking(64), notes=_DISJOINT
    ),
    Recipe(
        "xi-gsnr/table2",
        "NAS-Bench-101: Spearman and Kendall",
        forms=_ranking(64),
        notes=_HASHES,
    ),
    Recipe("xi-gsnr/table3", "NDS: Spearman and Kendall", forms=_ranking(64), notes=_DISJOINT),
    Recipe("xi-gsnr/table4", "pruning search in NAS-Bench-201", "search"),
    Recipe("xi-gsnr/table5", "pruning search in DARTS, trained", "search"),
    Recipe("xi-gsnr/table6", "evolution in ProxylessNAS, trained on ImageNet", "search"),
    Recipe("xi-gsnr/table7", "evolution in BurgerFormer, trained on ImageNet", "search"),
    Recipe("xi-gsnr/table8", "object detection on COCO", "training"),
    Recipe(
        "xi-gsnr/table9",
        "variants of GSNR on ImageNet16-120",
        forms=_variant,
        notes=(_READING, _BATCHES),
    ),
    Recipe(
        "xi-gsnr/table10", "precision at the top 5 % and 10 %", forms=_ranking(64), notes=_DISJOINT
    ),
    Recipe(
        "xi-gsnr/table11",
        "seeds and initialisations: Kendall",
        forms=_initialisation,
        means=_MEANS,
        notes=(_INIT_NOTE, _BATCHES),
    ),
    Recipe(
        "xi-gsnr/table12",
        "variants of GSNR on CIFAR-10 and CIFAR-100 (supplement)",
        forms=_variant,
        notes=(_READING, _BATCHES),
    ),
    Recipe(
        "xi-gsnr/figure3",
        "ablation of batch, N and xi",
        forms=_xi_ablation,
        rows=_grid(),
        notes=_DISJOINT,
    ),
    Recipe(
        "xi-gsnr/figure4",
        "NAS-Bench-201: Spearman and Kendall (supplement)",
        forms=_ranking(64),
        notes=_DISJOINT,
    ),
    Recipe(
        "sweetimator/table1",
        "NAS-Bench-101, 201, 301: Spearman",
        forms=_ranking(64),
        notes=(_OWN_BATCH,),
    ),
    Recipe("sweetimator/table2", "NDS: Kendall", forms=_ranking(128)),
    Recipe(
        "sweetimator/table3",
        "architecture selection in NAS-Bench-201 (its lower half are searches)",
        "selection",
        _selection,
        notes=(_SELECTED,),
    ),
    Recipe("sweetimator/table4", "evolution in DARTS, trained", "search"),
    Recipe(
        "sweetimator/table5",
        "ablation of batch, number of architectures, split: Spearman",
        forms=_sweet_ablation,
        notes=(_OWN_BATCH,),
    ),
    Recipe("sweetimator/table6", "beside trained estimators: Kendall", forms=_ranking(128)),
    Recipe(
        "sweetimator/table7",
        "NAS-Bench-NLP and NAS-Bench-ASR: Spearman",
        forms=lambda row: (),
        notes=("these spaces are not in the package",),
    ),
    Recipe("gradsign/table1", "a summary of methods, in words", "other"),
    Recipe("gradsign/table2", "NAS-Bench-101: Spearman", forms=_ranking(64)),
    Recipe("gradsign/table3", "NAS-Bench-201: Spearman", forms=_ranking(64)),
    Recipe("gradsign/table4", "NDS: Kendall", forms=_ranking(128)),
    Recipe(
        "gradsign/table5",
        "architecture selection in NAS-Bench-201",
        "selection",
        _selection,
        notes=(_SELECTED,),
    ),
    Recipe("gradsign/table6", "assisted searches in NAS-Bench-201", "search"),
    Recipe("gradsign/table7", "beside trained predictors: Kendall", forms=_ranking(64)),
    Recipe(
        "gradsign/table8",
        "NAS-Bench-201 and its later release: Spearman",
        forms=_ranking(64),
        notes=(_ONE_RELEASE,),
    ),
    Recipe("gradsign/table9", "assisted searches in NATS-Bench", "search"),
)


def find_recipe(name: str) -> Recipe:
    """The table of a name; ValueError lists those that there are."""
    for recipe in RECIPES:
        if recipe.name == name:
            return recipe
    raise ValueError(f"name: expected one of {', '.join(r.name for r in RECIPES)}; got {name!r}")


def list_tables(*, made: bool = False) -> tuple[TableInfo, ...]:
    """Tables of the papers.

    Parameters
    ----------
    made : bool
        Only those that `reproduce_table` makes.

    Returns
    -------
    tuple of TableInfo

    Examples
    --------
    >>> [info.kind for info in list_tables() if info.name == "xi-gsnr/table9"]
    ['ranking']
    """
    found = []
    for recipe in RECIPES:
        rows = recipe.wanted()
        if recipe.forms is not None or not made:
            spaces = tuple(dict.fromkeys(row.space for row in rows))
            found.append(TableInfo(recipe.name, recipe.title, recipe.kind, spaces, len(rows)))
    return tuple(found)
