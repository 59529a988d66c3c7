"""What an experiment comes to: its images, its architectures, and what makes it itself."""

from __future__ import annotations

__all__ = ["Work"]

import hashlib
import reprlib
from dataclasses import dataclass, replace

from numpy.typing import ArrayLike

from zeroshot.experiments.experiment import Experiment
from zeroshot.options import Options
from zeroshot.provenance import key_of
from zeroshot.runner import Job


@dataclass(frozen=True, eq=False)
class Work:
    """An experiment with its images and architectures.

    Attributes
    ----------
    job : Job
    groups : list of tuple of (int, str)
        Position and text of the architectures of the shard; those that have the same network
        (with ``canonical``) stand together.
    n_archs, n_all : int
        Of the shard, and of the experiment.
    identity : str
        Hash of all that values depend on.
    """

    experiment: Experiment
    job: Job
    groups: list[tuple[tuple[int, str], ...]]
    n_archs: int
    n_all: int
    identity: str

    @classmethod
    def make(
        cls,
        experiment: Experiment,
        data: tuple[ArrayLike, ArrayLike] | None,
        shard: tuple[int, int],
    ) -> Work:
        x: ArrayLike
        y: ArrayLike
        if data is None:
            images, batches = experiment.data.draw()
            x, y, classes = batches.x, batches.y, images.n_classes
            if experiment.classes is not None and experiment.classes < classes:
                raise ValueError(
                    f"classes: expected at least {classes}, the classes of {images.name}; got "
                    f"{experiment.classes}"
                )
            wanted = experiment.options.num_classes
            if experiment.classes is None and wanted not in (Options().num_classes, classes):
                raise ValueError(
                    f"options.num_classes: expected classes={wanted} of the experiment instead, as "
                    f"networks have the {classes} outputs of {images.name} otherwise"
                )
        elif isinstance(data, tuple | list) and len(data) == 2:
            (x, y), classes = data, experiment.options.num_classes
        else:
            raise TypeError(f"data: expected (x, y), got {reprlib.repr(data)}")
        options = replace(experiment.options, num_classes=experiment.classes or classes)
        job = Job.make(x, y, experiment.scores, options, tuple(experiment.seeds))
        job.data.check_fits(job.data.image_shape, options.num_classes)
        archs = experiment.archs.read(options.space)
        part, n_parts = shard
        groups: dict[str, list[tuple[int, str]]] = {}
        for position, arch in enumerate(archs):
            scored = job.scored_as(arch) or arch
            if n_parts == 1 or _part_of(scored, n_parts) == part:
                groups.setdefault(scored, []).append((position, arch))
        listed = hashlib.sha256("\n".join(archs).encode("utf-8", "surrogateescape")).hexdigest()
        identity = key_of({"settings": job.settings(), "seeds": job.seeds, "archs": listed})
        return cls(
            experiment,
            job,
            [tuple(group) for group in groups.values()],
            sum(map(len, groups.values())),
            len(archs),
            identity,
        )


def _part_of(arch: str, n_parts: int) -> int:
    """By a hash of what is scored, so that nothing is scored in two parts."""
    digest = hashlib.sha256(arch.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") % n_parts
