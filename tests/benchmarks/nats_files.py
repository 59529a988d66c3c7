"""Files of NATS-Bench and NAS-Bench-201, written as their projects write them.

Classes, attributes and nesting are those of D-X-Y/NATS-Bench ``nats_bench/api_utils.py``
(`ArchResults.state_dict`, `ResultsCount.state_dict`, ``update_eval``, ``update_OLD_eval``,
``reset_pseudo_train_times``, ``pickle_save``) and of D-X-Y/AutoDL-Projects
``exps/NATS-Bench/tss-collect.py`` (``simplify``: what a folder and a single file hold). The numbers
are drawn here.
"""

from __future__ import annotations

import bz2
import pickle
import random
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

from zeroshot.spaces import get_space

EVALUATIONS = {
    "cifar10-valid": ("x-valid", "ori-test"),
    "cifar10": ("ori-test",),
    "cifar100": ("ori-test", "x-valid", "x-test"),
    "ImageNet16-120": ("ori-test", "x-valid", "x-test"),
}
TORCH_MAGIC = 0x1950A86A20F9469CFC6C


class ResultsCount:
    """One training, with the attributes of the class of that name."""

    def __init__(
        self, dataset: str, seed: int, epochs: int, arch: str, old: bool, weights: Any
    ) -> None:
        rng = random.Random(f"{dataset} {seed} {epochs} {arch}")
        self.name = dataset
        self.net_state_dict = weights
        self.train_acc1es = {i: rng.uniform(20, 99) for i in range(epochs)}
        self.train_acc5es = {i: rng.uniform(90, 100) for i in range(epochs)}
        self.train_losses = {i: rng.uniform(0, 2) for i in range(epochs)}
        self.train_times: Any = None if old else OrderedDict((i, 1.5) for i in range(epochs))
        self.arch_config = {"channel": 16, "num_cells": 5, "arch_str": arch, "class_num": 10}
        self.params = 0.8
        self.flop = 100.25
        self.seed = str(seed)
        self.epochs = epochs
        self.latency = [0.01, 0.03]
        self.eval_names: list[str] = []
        self.eval_acc1es: dict[str, float] = {}
        self.eval_times: dict[str, float] = {}
        self.eval_losses: dict[str, float] = {}
        for name in EVALUATIONS[dataset]:
            self.eval_names.append(name)
            for i in [epochs - 1] if old and name != "ori-test" else range(epochs):
                key = f"{name}@{i}"
                self.eval_acc1es[key] = rng.uniform(10, 95)
                self.eval_losses[key] = rng.uniform(0, 2)
                if not old:
                    self.eval_times[key] = 0.25


class ArchResults:
    """All trainings of one architecture with one choice of hyper-parameters."""

    def __init__(self, index: int, arch: str) -> None:
        self.arch_index = index
        self.arch_str = arch
        self.all_results: dict[tuple[str, int], Any] = {}
        self.dataset_seed: dict[str, list[int]] = {}
        self.clear_net_done = True

    def state_dict(self) -> dict[str, Any]:
        results = {key: dict(vars(value)) for key, value in self.all_results.items()}
        return {**vars(self), "all_results": results}


def results(
    index: int, arch: str, epochs: int, seeds: Any, old: bool = False, weights: Any = None
) -> ArchResults:
    found = ArchResults(index, arch)
    for dataset in EVALUATIONS:
        for seed in seeds:
            found.dataset_seed.setdefault(dataset, []).append(seed)
            trial = ResultsCount(dataset, seed, epochs, arch, old, weights)
            found.all_results[dataset, seed] = trial
    return found


def networks(index: int, space: str = "nasbench201", **options: Any) -> Any:
    """Results of one architecture by hyper-parameters; 9 in place of 200 and of 90 epochs."""
    module: Any = get_space(space)
    arch = module.from_index(index)
    choices = {"12": (4, [777]), "200": (9, [777, 888, 999][: 1 + index % 3])}
    if space == "nats_sss":
        choices = {"01": (1, [777]), "12": (4, [777]), "90": (9, [777, 888, 999])}
    return OrderedDict(
        (hp, results(index, arch, epochs, seeds, **options).state_dict())
        for hp, (epochs, seeds) in choices.items()
    )


def single(indices: Any, space: str = "nasbench201", **options: Any) -> dict[str, Any]:
    """What the single file of all architectures holds."""
    module: Any = get_space(space)
    return {
        "meta_archs": [module.from_index(i) for i in range(max(indices) + 1)],
        "total_archs": module.SIZE,
        "arch2infos": {i: networks(i, space, **options) for i in indices},
        "evaluated_indexes": set(indices),
    }


def nasbench201(indices: Any) -> dict[str, Any]:
    """What ``NAS-Bench-201-v1_0-e61699.pth`` holds."""
    content = single(indices, old=True)
    for index, found in content["arch2infos"].items():
        content["arch2infos"][index] = {"less": found["12"], "full": found["200"]}
    content["evaluated_indexes"] = [*indices]
    return content


def pbz2(content: Any, protocol: int = 4) -> bytes:
    return bz2.compress(pickle.dumps(content, protocol))


def folder(path: Path, indices: Any, space: str = "nasbench201") -> Path:
    path.mkdir()
    meta = {**single([*indices][:1], space), "arch2infos": None, "evaluated_indexes": set()}
    (path / "meta.pickle.pbz2").write_bytes(pbz2(meta))
    for index in indices:
        (path / f"{index:06d}.pickle.pbz2").write_bytes(pbz2(networks(index, space)))
    return path


def legacy_pth(content: Any) -> bytes:
    """As ``torch.save`` wrote it before 1.6: pickles in a row, then storages, of which none."""
    sizes = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4}}
    parts = (TORCH_MAGIC, 1001, sizes, content, [])
    return b"".join(pickle.dumps(part, 2) for part in parts)


def zipped_pth(content: Any) -> bytes:
    """As ``torch.save`` writes it since 1.6, if there are no tensors."""
    import io
    import zipfile

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(content, 2))
        archive.writestr("archive/version", b"3\n")
    return file.getvalue()


def length(n: int) -> bytes:
    return struct.pack("<I", n)
