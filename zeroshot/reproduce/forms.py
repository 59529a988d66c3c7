"""How a printed row is computed: scores, images, networks; as the paper says, and as released.

A released form stands beside the paper's where the released code gives other numbers, and says in
its note what differs.
"""

from __future__ import annotations

__all__ = [
    "Form",
    "Images",
    "Search",
    "describe",
    "label_of",
    "needs_images",
    "placed",
    "sweet_forms",
    "usual",
    "without_dead",
    "xi_forms",
]

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Literal

from zeroshot.scores import (
    Fisher,
    Flops,
    GradNorm,
    GradSign,
    Grasp,
    JacobCov,
    LinearRegions,
    LiveWeights,
    Naswot,
    NtkCondition,
    Params,
    Snip,
    Sweet,
    SynFlow,
    XiGsnr,
    Zen,
    Zico,
)
from zeroshot.scores.base import Score


@dataclass(frozen=True)
class Images:
    """How images are drawn: arguments of `zeroshot.data.draw_batches`, and the sizes of batches."""

    n_rows: int = 64
    seed: int = 1
    preset: str | None = "auto"
    crop: int = 0
    flip: bool = False


@dataclass(frozen=True)
class Search:
    """Sweetimator's interval, to be found first (Algorithm 1)."""

    batch_size: int = 64
    n_archs: int = 100
    split: int = 2


@dataclass(frozen=True)
class Form:
    """One way to compute a row: the sum of `parts`, each a factor and a score.

    Attributes
    ----------
    name : {"paper", "released"}
    parts : tuple of (float, Score)
        Empty where `search` tells the score.
    images : Images
    options : mapping
        Of the networks: builder, init, channels, seed.
    search : Search, optional
    note : str
    """

    name: Literal["paper", "released"]
    parts: tuple[tuple[float, Score], ...] = ()
    images: Images = field(default_factory=Images)
    options: Mapping[str, Any] = field(default_factory=dict)
    search: Search | None = None
    note: str = ""


def label_of(score: Score) -> str:
    """A score as the command line writes it: its name and what differs from its defaults.

    Examples
    --------
    >>> label_of(XiGsnr(n_batches=8, accumulate=True))
    'xi_gsnr:n_batches=8,accumulate=True'
    """
    plain: Any = type(score)()
    given = [
        f"{f.name}={getattr(score, f.name)}"
        for f in fields(score)  # type: ignore[arg-type]
        if f.name != "label" and getattr(score, f.name) != getattr(plain, f.name)
    ]
    return f"{score.name}:{','.join(given)}" if given else score.name


def describe(form: Form) -> str:
    """Scores, images and networks of a form in words.

    Examples
    --------
    >>> describe(Form("paper", ((1.0, XiGsnr(n_batches=8)),), options={"seed": 1}))
    'xi_gsnr:n_batches=8, 8 batches of 64; seed 1'
    """
    words = [f"sweet, 1 batch of {form.search.batch_size}; interval from {form.search.n_archs} "
             f"architectures, split {form.search.split}"] if form.search else []  # fmt: skip
    for factor, score in form.parts:
        group = score.grouping(1 << 30)
        images = {
            "data": f", {group.n} batch{'es' * (group.n > 1)} of {group.size}" if group.n else "",
            "ones": ", an image of ones",
            "normal": f", {group.size} normal images",
        }[group.input.kind]
        times = {1.0: "", -1.0: "-"}.get(factor, f"{factor:g} x ")
        words.append(f"{times}{label_of(score)}{images}")
    given = [f"{key} {value}" for key, value in form.options.items()]
    return "; ".join([*words, ", ".join(given)])


def _one(name: Literal["paper", "released"], score: Score, note: str = "", **options: Any) -> Form:
    return Form(name, ((1.0, score),), options=options, note=note)


def _te_nas(b: int) -> Form:
    """A rank sum over a pool in TE-NAS itself; the tables print a score of single architectures."""
    regions = LinearRegions(input="normal", batch_size=b)
    note = "Sweetimator's sum, regions less condition number; its code also takes batch norm out"
    return Form("released", ((1.0, regions), (-1.0, NtkCondition(batch_size=b))), note=note)


def _zen(b: int) -> list[Form]:
    return [
        _one("paper", Zen(batch_size=b)),
        _one("released", Zen(batch_size=b, bn="identity"), "Sweetimator's code: no batch norm"),
    ]


def _fisher(b: int) -> list[Form]:
    note = "zero-cost-nas counts a channel once for each of its weights"
    return [
        _one("paper", Fisher(batch_size=b, per_channel=True)),
        _one("released", Fisher(batch_size=b), note),
    ]


def _naswot_released(b: int, metric: str) -> Form:
    """Correlations outside NDS are those of the first version's score.

    Sweetimator's script lists jacob_cov and no other score of NASWOT. On all of NAS-Bench-201 the
    authors' own values of it have 0.69, and 0.73 with the accuracies that GradSign takes, as
    printed (0.691, 0.728); the later score has 0.81 and moves the other way. On NAS-Bench-301,
    where 0.053 is printed, the later score has 0.58.
    """
    if metric in ("spearman", "kendall"):
        note = "jacob_cov, NASWOT's first version, as the values printed for NAS-Bench-201 tell"
        return _one("released", JacobCov(batch_size=b), note)
    note = "modules named ReLU... count, too"
    return _one("released", Naswot(which="wrappers", batch_size=b), note)


_METHODS: Final[Mapping[str, Callable[[int], list[Form]]]] = {
    "fisher": _fisher,
    "flops": lambda b: [
        _one("paper", Flops()),
        _one("released", Flops(convention="pool1"), "thop: an average pool counts its outputs"),
    ],
    "grad_norm": lambda b: [_one("paper", GradNorm(batch_size=b))],
    "gradnorm": lambda b: [_one("paper", GradNorm(batch_size=b))],
    "gradsign": lambda b: [_one("paper", GradSign(n_samples=b))],
    "grasp": lambda b: [_one("paper", Grasp(batch_size=b))],
    "naswot": lambda b: [_one("paper", Naswot(batch_size=b))],
    "parameters": lambda b: [_one("paper", Params())],
    "snip": lambda b: [_one("paper", Snip(batch_size=b))],
    "synflow": lambda b: [_one("paper", SynFlow())],
    "te-nas": lambda b: [_te_nas(b)],
    "zen-score": _zen,
    "zennas": lambda b: [_one("paper", Zen(batch_size=b))],
    "zico": lambda b: [_one("paper", Zico(batch_size=b), "batches of that row are not stated")],
}

# What the released code of each paper does to images. Its batches come from fresh iterators and may
# overlap; ours are disjoint.
_PIPELINES: Final[Mapping[str, Images]] = {
    "xi-gsnr": Images(seed=1),
    "sweetimator": Images(seed=42, preset="cifar10", crop=4, flip=True),
    "gradsign": Images(seed=42, preset="cifar10_zerocost", crop=4, flip=True),
}
_SEEDS: Final = {"xi-gsnr": 1, "sweetimator": 42, "gradsign": 42}


def placed(form: Form, paper: str, space: str, dataset: str, *, seed: int | None = None) -> Form:
    """A form with the paper's images and seed, and with the space's own initialiser."""
    images = _PIPELINES[paper]
    if dataset == "ImageNet16-120":
        images = replace(images, preset="imagenet16-120", crop=min(images.crop, 2))
    if space.startswith("nds_"):  # whose code crops nothing
        images = replace(images, crop=0, flip=False)
    seed = _SEEDS[paper] if seed is None else seed
    sizes = [score.grouping(1 << 30) for _, score in form.parts if needs_images(score)]
    n_rows = max([g.n_rows for g in sizes] + [form.search.batch_size if form.search else 1])
    options = {"seed": seed, **({"init": "nasbench101"} if space == "nasbench101" else {})}
    return replace(
        form,
        parts=tuple((factor, replace(s, label=label_of(s))) for factor, s in form.parts),  # type: ignore[type-var]
        images=replace(images, seed=seed, n_rows=n_rows),
        options={**options, **form.options},
    )


def needs_images(score: Score) -> bool:
    """Whether a score reads rows of x."""
    return score.grouping(1 << 30).n_rows > 0


def usual(
    method: str, batch: int, *, space: str, metric: str = "spearman", zerocost: bool = False
) -> list[Form]:
    """Forms of a method that several papers print.

    Parameters
    ----------
    method : str
        As printed.
    batch : int
    space, metric : str
    zerocost : bool
        Whether the paper's own NAS-Bench-201 networks were those of zero-cost-nas.
    """
    known = _METHODS.get(method.lower())
    if known is None:
        return []
    forms = known(batch)
    if method.lower() == "naswot" and not space.startswith("nds_"):
        forms.append(_naswot_released(batch, metric))
    if zerocost and space == "nasbench201":
        note = "networks of zero-cost-nas"
        last = [f for f in forms if f.name == "released"] or forms
        both = [
            replace(f, name="released", options={**f.options, "builder": "zerocost"},
                    note=f"{f.note}; {note}".strip("; "))
            for f in last
        ]  # fmt: skip
        forms = [f for f in forms if f.name == "paper"] + both
    return forms


def xi_forms(space: str, *, variant: Any = "xi_gsnr", batch: int = 64, n: int = 8,
             xi: float = 1e-8, **options: Any) -> list[Form]:  # fmt: skip
    """xi-GSNR: separate gradients (Eq. 10), and gradients that add up over batches (released)."""
    if space == "nasbench101":  # one batch of eight, image by image, in both
        score = XiGsnr(batch_size=1, n_batches=n, xi=xi)
        return [
            _one("paper", score, "stem of 128 channels, the benchmark's", channels=128),
            _one("released", score, "stem of 16 channels", channels=16),
        ]
    score = XiGsnr(batch_size=batch, n_batches=n, xi=xi, variant=variant)
    note = "gradients add up over batches"
    return [
        _one("paper", score, **options),
        _one("released", replace(score, accumulate=True), note, **options),
    ]


def without_dead(form: Form) -> Form:
    """A sum over 1 / (v + xi) without weights that no path joins to image and logits: v = 0.

    Each of them adds 1 / xi, and they turn the correlation round. What is printed for this variant
    is close to what is printed for 1 / v, and so is what is left without them.
    """
    ((factor, score),) = form.parts
    if not isinstance(score, XiGsnr) or score.variant != "inv_var_xi" or score.xi == 0:
        raise ValueError(f"form: expected a sum over 1 / (v + xi), got {form.parts}")
    each = factor / score.xi
    return replace(
        form,
        parts=(*form.parts, (-each, Params()), (each, LiveWeights())),
        note=f"{form.note}; weights that are not live left out".strip("; "),
    )


_TYPED: Final = {"nasbench201": (1e-4, 5e-4), "nasbench101": (1e-5, 5e-5)}


def sweet_forms(
    space: str, dataset: str, *, batch: int = 64, n_archs: int = 100, split: int = 2
) -> list[Form]:
    """Sweetimator: the interval that Algorithm 1 finds, and the one typed into released scripts."""
    if space.startswith("nds_"):
        return []
    forms = [Form("paper", search=Search(batch, n_archs, split))]
    if dataset == "cifar10" and space in _TYPED and (n_archs, split) == (100, 2):
        lo, hi = _TYPED[space]
        note = f"interval [{lo:g}, {hi:g}) of the released script"
        forms.append(_one("released", Sweet(lo, hi, batch_size=batch), note))
    return forms
