"""`Experiment`: which architectures, by which scores, on which images."""

from __future__ import annotations

__all__ = ["Archs", "DataSource", "Experiment"]

import os
import reprlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast

from zeroshot.data import Batches, Images, draw_batches, list_presets, load
from zeroshot.errors import ArchitectureError
from zeroshot.experiments import toml
from zeroshot.graph import Graph
from zeroshot.inputs import check_int
from zeroshot.options import Options, check_seed
from zeroshot.scores import Score, ScoreLike, make_scores
from zeroshot.spaces import get_space
from zeroshot.spaces.written import printable, read_lines, read_written

_MAX_ALL = 10_000_000  # architectures of a space that is enumerated


def _path(name: str, value: object) -> str:
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name}: expected a path, got {value!r}")
    return os.fspath(value)


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """The images that every architecture sees: a seeded draw of batches.

    Parameters
    ----------
    path : str
        ``digits`` (scikit-learn's), or a folder or file that `zeroshot.data.load` reads.
    split : {"train", "test"}
    preset : str
        Normalisation: ``auto``, ``none`` or one of `zeroshot.data.list_presets`.
    batch_size, batches, seed, mode, crop, flip
        As for `zeroshot.data.draw_batches`.
    """

    path: str = "digits"
    split: Literal["train", "test"] = "train"
    preset: str = "auto"
    batch_size: int = 64
    batches: int = 8
    seed: int = 1
    mode: Literal["disjoint", "independent"] = "disjoint"
    crop: int = 0
    flip: bool = False

    def __post_init__(self) -> None:
        if self.split not in ("train", "test"):
            raise ValueError(f"split: expected train or test, got {self.split!r}")
        if self.preset not in (known := ("auto", "none", *list_presets())):
            raise ValueError(f"preset: expected one of {', '.join(known)}; got {self.preset!r}")
        if self.mode not in ("disjoint", "independent"):
            raise ValueError(f"mode: expected disjoint or independent, got {self.mode!r}")
        for name, low in (("batch_size", 1), ("batches", 1), ("seed", 0), ("crop", 0)):
            check_int(name, getattr(self, name), low)
        if not isinstance(self.flip, bool):
            raise TypeError(f"flip: expected true or false, got {self.flip!r}")
        object.__setattr__(self, "path", _path("path", self.path))

    def draw(self) -> tuple[Images, Batches]:
        """The data set and the batches."""
        images = load(self.path, self.split)
        return images, draw_batches(
            images,
            batch_size=self.batch_size,
            n_batches=self.batches,
            seed=self.seed,
            mode=self.mode,
            preset=None if self.preset == "none" else self.preset,
            crop=self.crop,
            flip=self.flip,
        )


@dataclass(frozen=True)
class Archs:
    """Where architectures come from: all that is given, in this order, each architecture once.

    Parameters
    ----------
    list : sequence
        In any notation of the space.
    file : str or sequence of str
        One per line; blank lines and ``#`` comments are skipped.
    benchmark : str, optional
        A benchmark's file (`zeroshot.benchmarks.read_benchmark`): its rows.
    sample : int, optional
        That many different random ones.
    seed : int
        Of the sample.
    all : bool
        The whole space.
    """

    list: Sequence[Any] = ()
    _: KW_ONLY
    file: str | Sequence[str] = ()
    benchmark: str | None = None
    sample: int | None = None
    seed: int = 0
    all: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.list, str | bytes) or not isinstance(self.list, Iterable):
            raise TypeError(f"list: expected a list of architectures, got {self.list!r}")
        object.__setattr__(self, "list", tuple(self.list))
        for i, arch in enumerate(self.list):
            if isinstance(arch, Graph):
                raise TypeError(
                    f"list[{i}]: expected an architecture of a space, got a Graph; score graphs "
                    "with score_many and keep the results with Store.add"
                )
        given = self.file if isinstance(self.file, tuple | list) else (self.file,)
        files = tuple(_path("file", path) for path in given)
        object.__setattr__(self, "file", files)
        if self.benchmark is not None:
            object.__setattr__(self, "benchmark", _path("benchmark", self.benchmark))
        if self.sample is not None:
            check_int("sample", self.sample, 1)
        check_int("seed", self.seed, 0)
        if not isinstance(self.all, bool):
            raise TypeError(f"all: expected true or false, got {self.all!r}")
        if not (self.list or files or self.benchmark or self.sample or self.all):
            raise ValueError(
                "archs: expected architectures, got none; give list, file, benchmark, sample or all"
            )

    def read(self, space_name: str) -> tuple[str, ...]:
        """Texts in their normal spelling; what is no architecture is left as it was written."""
        return tuple(dict.fromkeys(self._read(space_name)))

    def _read(self, name: str) -> Iterator[str]:
        space = get_space(name)

        def spell(arch: Any) -> str:
            if isinstance(arch, str):
                arch = read_written(printable(arch))
            try:
                return space.format(space.parse(arch))
            except (ArchitectureError, TypeError):
                return arch if isinstance(arch, str) else printable(repr(arch))

        for arch in self.list:
            yield spell(arch)
        for path in self.file:
            with open(path, encoding="utf-8", errors="surrogateescape") as lines:
                for _, text in read_lines(lines):
                    yield spell(text)
        if self.benchmark is not None:
            from zeroshot.benchmarks import read_benchmark

            benchmark = read_benchmark(self.benchmark, space=name)
            if benchmark.space not in (None, name):
                raise ValueError(
                    f"benchmark: expected one of {name}, got {self.benchmark}, which is of "
                    f"{benchmark.space}"
                )
            yield from map(spell, benchmark.archs)
        if self.sample is not None:
            if self.sample > space.SIZE:
                raise ValueError(
                    f"sample: expected an integer from 1 to {space.SIZE}, got {self.sample}"
                )
            yield from space.sample(self.sample, self.seed)
        if self.all:
            if space.SIZE > _MAX_ALL:
                raise ValueError(
                    f"all: {name} has {space.SIZE:.3g} architectures; give sample, file or list"
                )
            yield from space.enumerate_all()


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """What is computed: architectures, scores, images, options. `zeroshot.run_experiment` does it.

    Parameters
    ----------
    scores : str, score, or sequence of these
        As for `zeroshot.score`.
    archs : Archs, or sequence of architectures
    data : DataSource
        Not looked at where `run_experiment` is given arrays.
    options : Options
        Without ``seed``, for which `seeds` stand; ``n_threads`` is not looked at. ``num_classes``
        is for arrays that `run_experiment` is given; images of a `DataSource` say their own.
    seeds : sequence of int
        Of the weights; each value is stored by itself.
    classes : int, optional
        Outputs of the networks; default: the classes of the data.
    name : str
        A label for people: it is part of no key.
    store : str, optional
        Path of the store, for the command line.
    executor : str, optional
        ``threads``, ``processes`` or ``dask``, for the command line; like all that follows it is
        part of no key.
    workers : int, optional

    Examples
    --------
    >>> experiment = Experiment(scores=["params", "flops"], archs=Archs(sample=100))
    >>> Experiment.parse(experiment.to_toml()) == experiment
    True
    """

    scores: Sequence[Score]
    archs: Archs
    data: DataSource = field(default_factory=DataSource)
    options: Options = field(default_factory=Options)
    seeds: Sequence[int] = (0,)
    classes: int | None = None
    name: str = ""
    store: str | None = None
    executor: str | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "scores", make_scores(cast("Sequence[ScoreLike]", self.scores)))
        if not isinstance(self.archs, Archs):
            set_(self, "archs", Archs(self.archs))
        if not isinstance(self.seeds, Iterable):
            raise TypeError(f"seeds: expected a list of integers, got {self.seeds!r}")
        seeds = tuple(check_seed(f"seeds[{i}]", seed) for i, seed in enumerate(self.seeds))
        if not seeds or len(set(seeds)) < len(seeds):
            raise ValueError(f"seeds: expected one or more different seeds, got {self.seeds}")
        set_(self, "seeds", seeds)
        for name, kind in (("data", DataSource), ("options", Options), ("name", str)):
            if not isinstance(given := getattr(self, name), kind):
                raise TypeError(f"{name}: expected {kind.__name__}, got {reprlib.repr(given)}")
        if self.options.seed != Options().seed:
            raise ValueError(
                f"options.seed: expected seeds=[{self.options.seed}] of the experiment instead"
            )
        if self.classes is not None:
            check_int("classes", self.classes, 1)
        if self.workers is not None:
            check_int("workers", self.workers, 1)
        if self.executor not in (None, "threads", "processes", "dask"):
            raise ValueError(
                f"executor: expected threads, processes or dask; got {self.executor!r}"
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Experiment:
        """Read a TOML file; paths in it are relative to its folder.

        Raises
        ------
        ValueError
            If the file is no TOML, or says what no experiment has.
        """
        path = Path(path)
        try:
            experiment = cls.parse(path.read_text(encoding="utf-8"))
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: expected TOML in UTF-8, {error.reason}") from error
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from error
        return experiment._beside(path.parent)

    @classmethod
    def parse(cls, text: str) -> Experiment:
        """Read the text of a TOML file."""
        return cls(**toml.read(text, DataSource, Archs))

    def to_toml(self) -> str:
        """A TOML text that `parse` reads back."""
        return toml.write(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """The tables of `to_toml`."""
        return toml.tables(self)

    def about(self) -> dict[str, Any]:
        """What a store says of it."""
        bare = replace(self, options=replace(self.options, weights=None))
        about = toml.tables(bare)
        return about if self.options.weights is None else {**about, "weights": "given"}

    def _beside(self, folder: Path) -> Experiment:
        """With paths that are relative to `folder`."""

        def at(path: str) -> str:
            return os.path.normpath(folder / path)

        archs = self.archs
        return replace(
            self,
            data=self.data
            if self.data.path == "digits"
            else replace(self.data, path=at(self.data.path)),
            archs=replace(
                archs,
                file=tuple(map(at, archs.file)),
                benchmark=None if archs.benchmark is None else at(archs.benchmark),
            ),
            store=None if self.store is None else at(self.store),
        )
