"""Which of the many accuracies of a benchmark is meant.

A network of a benchmark was trained on several data sets, for several numbers of epochs, several
times, and evaluated on several splits. A `Target` says all of it, as there is no default that would
not be wrong for somebody: tables of 12 epochs have been taken for those of 200.
"""

from __future__ import annotations

__all__ = ["RULES", "Target"]

import re
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

RULES: Final = ("mean", "max", "first")
"""What can be made of several trainings."""

_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
_TEXT: Final = re.compile(
    r"(?P<dataset>[^/@:]+)/(?P<split>[^/@:]+)@(?P<epochs>[0-9]{1,6}):(?P<trials>[^/@:]+)"
    r"(:(?P<metric>[^/@:]+))?"
)
_FORM: Final = "DATASET/SPLIT@EPOCHS:TRIALS, as cifar10/test@200:mean"


@dataclass(frozen=True)
class Target:
    """One accuracy of every architecture of a benchmark.

    Parameters
    ----------
    dataset : str
        What was trained on, in the benchmark's own words. In NAS-Bench-201 and NATS-Bench
        ``cifar10-valid`` is a training on 25,000 images, ``cifar10`` one on all 50,000.
    split : str
        What it was evaluated on: ``train``, ``valid``, ``test``; ``valid+test`` is both together,
        which NAS-Bench-201 calls ori-test for all but CIFAR-10.
    epochs : int
        How long each training was meant to last.
    trials : str or int
        ``mean``, ``max`` or ``first`` of the trainings, or the seed of one of them. NAS-Bench-101,
        NDS and NAS-Bench-301 tell no seeds: there 0, 1, 2 number the trainings as they stand in the
        file.
    metric : str
        ``accuracy``, in percent; ``surrogate_accuracy`` if it is a model's prediction.

    Examples
    --------
    >>> target = Target("cifar10", "test", 200, "mean")
    >>> str(target)
    'cifar10/test@200:mean'
    >>> Target.parse("cifar10-valid/valid@12:777").trials
    777
    """

    dataset: str
    split: str
    epochs: int
    trials: str | int
    metric: str = "accuracy"

    def __post_init__(self) -> None:
        for name in ("dataset", "split", "metric"):
            _check_word(name, getattr(self, name))
        for name, limit in (("epochs", 10**6), ("trials", 2**63)):
            value = getattr(self, name)
            if isinstance(value, np.integer):
                object.__setattr__(self, name, value := int(value))
            if isinstance(value, str) and name == "trials":
                if value not in RULES:
                    raise ValueError(
                        f"trials: expected one of {', '.join(RULES)} or a seed, got {value!r}"
                    )
            elif isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < limit:
                raise ValueError(f"{name}: expected an integer from 0, got {value!r}")

    @classmethod
    def parse(cls, text: str) -> Target:
        """The target of a text, ``DATASET/SPLIT@EPOCHS:TRIALS`` or ``...:TRIALS:METRIC``.

        Raises
        ------
        ValueError
            If it is not written so; the rule over trials has to be named, too.
        """
        match = _TEXT.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise ValueError(f"target: expected {_FORM}, got {text!r}")
        trials = match["trials"]
        return cls(
            match["dataset"],
            match["split"],
            int(match["epochs"]),
            int(trials) if re.fullmatch(r"[0-9]{1,18}", trials) else trials,
            match["metric"] or "accuracy",
        )

    def __str__(self) -> str:
        metric = "" if self.metric == "accuracy" else f":{self.metric}"
        return f"{self.dataset}/{self.split}@{self.epochs}:{self.trials}{metric}"


def target_of(name: str) -> Target | None:
    """The target that a column is named by, if it is."""
    try:
        return Target.parse(name)
    except ValueError:
        return None


def _check_word(name: str, value: Any) -> None:
    if not isinstance(value, str) or len(value) > 100 or not _WORD.fullmatch(value):
        raise ValueError(
            f"{name}: expected letters, digits, and _ . + - behind the first, got {value!r}"
        )
