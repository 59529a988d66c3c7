"""Benchmark files and images in a folder, and what to bring where they are missing."""

from __future__ import annotations

__all__ = ["Accuracies", "Missing", "Sources"]

import fnmatch
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from zeroshot import data
from zeroshot.errors import BenchmarkFileError

if TYPE_CHECKING:
    from zeroshot.benchmarks import Target


class Missing(Exception):
    """A file is not there; the message says which one to bring."""


@dataclass(frozen=True)
class _Bring:
    """Files that hold accuracies of a space."""

    patterns: tuple[str, ...]
    text: str


_NDS: Final = "{0}.json of the NDS data (facebookresearch/nds, data.zip)"
_BENCHMARKS: Final[Mapping[str, _Bring]] = {
    "nasbench201": _Bring(
        ("*nas-bench-201*", "*nasbench201*", "*nats-tss*", "*nb201*"),
        "NATS-tss-v1_0-3ffb9-simple or -full, NAS-Bench-201-v1_1-096897.pth, or a table with the "
        "columns arch_str and cifar10_test, cifar100_test, imagenet16_120_test (D-X-Y/NATS-Bench)",
    ),
    "nasbench101": _Bring(
        ("*nasbench_only108*", "*nasbench_full*", "*nasbench101*", "*nb101*"),
        "nasbench_only108.tfrecord (google-research/nasbench)",
    ),
    "nasbench301": _Bring(
        ("*nasbench301*", "*nas-bench-301*", "*nb301*"),
        "zc_nasbench301.json (automl/NASLib), or a table with accuracies of the surrogate model",
    ),
    **{
        f"nds_{name.lower()}": _Bring((f"{name.lower()}.json*", f"nds*{name.lower()}*"),
                                      _NDS.format(name))
        for name in ("DARTS", "ENAS", "PNAS", "NASNet", "Amoeba")
    },
}  # fmt: skip
_IMAGES: Final[Mapping[str, _Bring]] = {
    "cifar10": _Bring(
        ("cifar-10-batches-*", "cifar10*"),
        "cifar-10-python.tar.gz, unpacked (www.cs.toronto.edu/~kriz/cifar.html)",
    ),
    "cifar100": _Bring(
        ("cifar-100-*", "cifar100*"),
        "cifar-100-python.tar.gz, unpacked (www.cs.toronto.edu/~kriz/cifar.html)",
    ),
    "ImageNet16-120": _Bring(
        ("imagenet16*", "imagenet-16*"),
        "the folder ImageNet16 of NAS-Bench-201 (D-X-Y/NATS-Bench), of ImageNet at 16 x 16",
    ),
}
CLASSES: Final = {"cifar10": 10, "cifar100": 100, "ImageNet16-120": 120}
SIDES: Final = {"cifar10": 32, "cifar100": 32, "ImageNet16-120": 16}
_WHOLE: Final = {"cifar10": 50_000, "cifar100": 50_000, "ImageNet16-120": 151_700}


class _Benchmark(Protocol):
    """What is used of `zeroshot.benchmarks.Benchmark`."""

    space: str | None
    archs: tuple[str, ...]
    source: str

    @property
    def targets(self) -> tuple[Target, ...]: ...

    def accuracy(self, target: Any) -> NDArray[np.float64]: ...


@dataclass(frozen=True, eq=False)
class Accuracies:
    """One accuracy of every architecture of a file.

    Attributes
    ----------
    archs : tuple of str
    values : ndarray, per cent
    target, source : str
    note : str
        Where it is not the accuracy that the paper has.
    """

    archs: tuple[str, ...]
    values: NDArray[np.float64]
    target: str
    source: str
    note: str = ""


def _read(path: Path) -> _Benchmark:
    from zeroshot.benchmarks import read_benchmark

    return read_benchmark(path)


class Sources:
    """What a folder holds.

    Parameters
    ----------
    folder : path
        Of benchmark files and images, or a single benchmark file.
    images : mapping of str to path
        Images by data set, in place of those found in the folder.
    """

    def __init__(
        self, folder: str | os.PathLike[str], images: Mapping[str, str | os.PathLike[str]]
    ) -> None:
        self.folder = Path(folder)
        if not self.folder.exists():
            raise FileNotFoundError(f"data: expected a folder, got {folder}, which is missing")
        if unknown := set(images) - set(_IMAGES):
            raise ValueError(
                f"images: expected data sets of {', '.join(_IMAGES)}; got {sorted(unknown)[0]!r}"
            )
        self._given = {name: Path(path) for name, path in images.items()}
        self._benchmarks: dict[Path, _Benchmark | None] = {}
        self._images: dict[str, data.Images] = {}
        self.refused: dict[Path, str] = {}

    def _matching(self, bring: _Bring) -> list[Path]:
        """Entries of the folder in order of their names; a single file is taken as it is."""
        if self.folder.is_file():
            return [self.folder]
        entries = sorted(self.folder.iterdir(), key=lambda path: path.name.lower())
        return [
            path
            for path in entries
            if any(fnmatch.fnmatch(path.name.lower(), pattern) for pattern in bring.patterns)
        ]

    # --- accuracies ----------------------------------------------------------------------------

    def _benchmark(self, path: Path) -> _Benchmark | None:
        if path not in self._benchmarks:
            try:
                self._benchmarks[path] = _read(path)
            except (BenchmarkFileError, OSError) as error:  # another file may do
                self._benchmarks[path] = None
                self.refused[path] = str(error)
        return self._benchmarks[path]

    def accuracies(self, space: str, dataset: str, split: str, trials: str) -> Accuracies:
        """Accuracies after the longest training that a file has.

        Parameters
        ----------
        space, dataset : str
        split : str
            ``test`` or ``valid``; where a file of NAS-Bench-101 has no test accuracy, validation
            accuracy stands in and the note says so.
        trials : str
            ``mean`` or ``max`` over trainings, where there are several.

        Raises
        ------
        Missing
        """
        bring = _BENCHMARKS.get(space)
        if bring is None:
            raise Missing(f"{space} is not in the package")
        stand_in = space in ("nasbench101", "nasbench301") and split == "test"
        for wanted in (split, "valid") if stand_in else (split,):
            for path in self._matching(bring):
                found = self._benchmark(path)
                if found is None or found.space != space:
                    continue
                if target := _choose(found.targets, dataset, wanted, trials):
                    note = _note(space, split, wanted, target)
                    values = found.accuracy(target)
                    return Accuracies(
                        found.archs, values, str(target), Path(found.source).name, note
                    )
        raise Missing(f"no {split} accuracies of {space} on {dataset}; bring {bring.text}")

    # --- images --------------------------------------------------------------------------------

    def images(self, dataset: str) -> data.Images:
        """Training images of a data set.

        Raises
        ------
        Missing
        """
        if dataset not in self._images:
            self._images[dataset] = self._find_images(dataset)
        return self._images[dataset]

    def _find_images(self, dataset: str) -> data.Images:
        given = self._given.get(dataset)
        if given is not None:
            return _load(given)
        bring = _IMAGES[dataset]
        for path in self._matching(bring) if self.folder.is_dir() else []:
            if path.is_dir() or path.suffix == ".npz":
                try:
                    return _load(path)
                except BenchmarkFileError as error:
                    self.refused[path] = str(error)
        raise Missing(f"no images of {dataset}; bring {bring.text}")

    def images_note(self, dataset: str) -> str:
        """What is less than the paper's set of images."""
        n = len(self.images(dataset))
        whole = _WHOLE[dataset]
        return "" if n >= whole // 2 else f"{n:,} images of {dataset} in place of {whole:,}"


def _load(path: Path) -> data.Images:
    if path.suffix == ".npz":
        try:
            return data.read_npz(path, images="train_images", labels="train_labels")
        except BenchmarkFileError:
            return data.read_npz(path)
    return data.load(path)


def _choose(targets: tuple[Target, ...], dataset: str, split: str, trials: str) -> Target | None:
    """Of the longest training; the rule over trainings that is asked for, or another one."""
    fitting = [t for t in targets if (t.dataset.lower(), t.split) == (dataset.lower(), split)]
    order = {trials: 0, "mean": 1, "max": 2, "first": 3}
    known = [t for t in fitting if t.trials in order]
    return min(known, key=lambda t: (-t.epochs, order[str(t.trials)]), default=None)


def _note(space: str, split: str, found: str, target: Target) -> str:
    if target.metric != "accuracy":
        return f"{found} accuracy that a model predicts"
    return "" if found == split else f"{found} accuracy in place of {split} accuracy"
