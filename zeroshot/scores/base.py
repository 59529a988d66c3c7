"""What every score's dataclass offers, and the checks that they share."""

from __future__ import annotations

__all__ = [
    "LOSSES",
    "Grouping",
    "Input",
    "Loss",
    "NoPass",
    "OneBatch",
    "Ones",
    "PerSample",
    "Score",
    "check_bool",
    "check_choice",
    "check_init",
    "too_few",
]

from abc import ABC, abstractmethod
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zeroshot import _core
from zeroshot.inputs import check_int

Loss = Literal["cross_entropy", "sum_logits"]

LOSSES = ("cross_entropy", "sum_logits")


class Input(NamedTuple):
    """The images that a score reads.

    ``data``: the first rows of x. ``ones``: images of ones. ``normal``: standard normal images,
    drawn from the seed. With `mix` a second group follows the first: its images plus `mix` times
    the next ones.
    """

    kind: Literal["data", "ones", "normal"] = "data"
    mix: float = 0.0


class Grouping(NamedTuple):
    """Group j is images ``j * size`` to ``(j + 1) * size - 1``, with one batch norm and one mean
    loss."""

    size: int
    n: int
    loss: str = "cross_entropy"
    input: Input = Input()

    @property
    def n_rows(self) -> int:
        """Rows of x, from the first on, that are read."""
        return self.size * self.n if self.input.kind == "data" else 0


class Score(ABC):
    """What every score's dataclass offers.

    Attributes
    ----------
    name, reference, direction, range, needs : str
        As `list_scores` shows them.
    formula : str
        The value in LaTeX, with the defaults of its parameters; symbols as in the docstring.
    label : str
        Under which the value stands in a result; the name unless given.
    keeps_signs : bool
        Looks at signs: ``algo="auto"`` means ``f2``, which rounds like direct sums.
    float64 : bool
        Computed in float64 whatever the call's dtype.
    uses_labels : bool
    sees_dead : bool
        The value depends on operations that no path joins to image and logits, in a way that
        `add_dead` cannot tell: refused with ``canonical``; see `depends_on_dead`.
    """

    name: ClassVar[str]
    formula: ClassVar[str]
    reference: ClassVar[str]
    direction: ClassVar[str] = "larger is better"
    range: ClassVar[str]
    needs: ClassVar[str]
    keeps_signs: ClassVar[bool] = False
    float64: ClassVar[bool] = False
    uses_labels: ClassVar[bool] = True
    sees_dead: ClassVar[bool] = False
    label: str

    @abstractmethod
    def grouping(self, n_rows: int) -> Grouping:
        """Groups that are taken from `n_rows` rows; ValueError if there are too few."""

    @abstractmethod
    def parameters(self) -> dict[str, Any]:
        """What tells this score from another on the same groups, in plain types."""

    @abstractmethod
    def core_params(self) -> tuple[float, ...]:
        """Parameters as the core numbers them."""

    def core_edges(self) -> NDArray[np.float64] | None:
        """Interval borders, for scores that count."""
        return None

    def core_signs(self) -> NDArray[np.int8] | None:
        """Directions in place of random ones."""
        return None

    @property
    def own_init(self) -> str | None:
        """Initialiser in place of the call's."""
        return None

    @property
    def has_layers(self) -> bool:
        """Whether the value is a sum over weight tensors, where the core makes one."""
        return True

    def depends_on_dead(self, builder: str) -> bool:
        """`sees_dead` of this very score, on networks of one of the space's builders."""
        return self.sees_dead

    @property
    def counts_dead(self) -> bool:
        """Whether weights that get no gradient change the value."""
        return False

    def add_dead(self, value: float, n_weights: int, n_dead: int) -> float:
        """The value of `n_weights` weights with `n_dead` more that get no gradient."""
        return value

    def _check_label(self) -> None:
        if not isinstance(self.label, str) or not self.label:
            raise TypeError(f"label: expected a non-empty string, got {self.label!r}")


@dataclass(frozen=True)
class OneBatch(Score):
    """A score of one batch: the first `batch_size` rows of x."""

    _: KW_ONLY
    batch_size: int = 64

    def __post_init__(self) -> None:
        check_int("batch_size", self.batch_size, 1)
        self._check_label()

    def grouping(self, n_rows: int) -> Grouping:
        if self.batch_size > n_rows:
            what, remedy = f"{self.name} with a batch of {self.batch_size}", "use a smaller batch"
            raise too_few(what, self.batch_size, n_rows, remedy)
        return Grouping(int(self.batch_size), 1)

    def parameters(self) -> dict[str, Any]:
        return {}

    def core_params(self) -> tuple[float, ...]:
        return ()


@dataclass(frozen=True)
class Ones(Score):
    """A score of one image of ones, from the sum of its logits, in float64."""

    float64: ClassVar[bool] = True
    uses_labels: ClassVar[bool] = False

    def grouping(self, n_rows: int) -> Grouping:
        return Grouping(1, 1, "sum_logits", Input("ones"))

    def core_params(self) -> tuple[float, ...]:
        return ()


@dataclass(frozen=True)
class NoPass(Score):
    """A score of sizes and weights: no image is read, nothing is run."""

    uses_labels: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self._check_label()

    def grouping(self, n_rows: int) -> Grouping:
        return Grouping(0, 0)

    def parameters(self) -> dict[str, Any]:
        return {}

    def core_params(self) -> tuple[float, ...]:
        return ()


@dataclass(frozen=True)
class PerSample(Score):
    """A score of single images: the first `n_samples` rows of x, each by itself."""

    keeps_signs: ClassVar[bool] = True

    _: KW_ONLY
    n_samples: int | None = 64
    loss: Loss = "cross_entropy"

    def __post_init__(self) -> None:
        if self.n_samples is not None:
            check_int("n_samples", self.n_samples, 1)
        check_choice("loss", self.loss, LOSSES)
        self._check_label()

    def grouping(self, n_rows: int) -> Grouping:
        count = n_rows if self.n_samples is None else self.n_samples
        if count > n_rows:
            what, remedy = f"{self.name} of {count} samples", f"pass n_samples={n_rows} or None"
            raise too_few(what, count, n_rows, remedy)
        return Grouping(1, int(count), self.loss)


def check_choice(name: str, value: object, known: tuple[str, ...]) -> None:
    """ValueError unless `value` is one of `known`."""
    if value not in known:
        raise ValueError(f"{name}: expected one of {', '.join(known)}; got {value!r}")


def check_bool(name: str, value: object) -> None:
    """TypeError unless `value` is True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{name}: expected True or False, got {value!r}")


def check_init(name: str, value: object) -> None:
    """ValueError unless `value` is an initialiser or None, which stands for the call's."""
    if value is not None:
        check_choice(name, value, _core.list_inits())


def too_few(what: str, needed: int, n_rows: int, remedy: str) -> ValueError:
    """The error of a score that needs more rows than there are."""
    return ValueError(f"x: {what} needs {needed} images, got {n_rows}; {remedy}")
