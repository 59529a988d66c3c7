"""Files of NASLib, NDS and NAS-Bench-301, which are JSON, with numbers that are drawn here.

Keys and nesting are those of automl/NASLib ``naslib/data/zc_*.json`` (a score is an object, or in
older files a number), of the jobs that facebookresearch/nds describes, and of a result among the
tests of automl/nasbench301.
"""

from __future__ import annotations

import random
from typing import Any

from zeroshot.spaces import get_space

SCORES = ("snip", "synflow", "params", "epe_nas")
NASLIB = {
    "nasbench101": ("nasbench101", "to_naslib"),
    "nasbench201": ("nasbench201", "to_naslib"),
    "nasbench301": ("nasbench301", "to_compact"),
    "transbench101_micro": ("transnas_micro", "to_digits"),
}


def as_tuples(arch: Any) -> str:
    """The text of an architecture as the files have it: lists of tuples of pairs, or one tuple."""
    if isinstance(arch[0], int):
        return str(tuple(arch))
    return str([[tuple(pair) for pair in cell] for cell in arch])


def naslib(
    name: str = "nasbench201",
    datasets: Any = ("cifar10", "cifar100"),
    n: int = 3,
    *,
    old: bool = False,
    outer: bool = True,
) -> dict[str, Any]:
    space, write = NASLIB[name]
    module: Any = get_space(space)
    found: dict[str, Any] = {}
    for dataset in datasets:
        networks = found[dataset] = {}
        for arch in module.sample(n, 1):
            rng = random.Random(f"{dataset} {arch}")
            values: dict[str, Any] = {
                score: rng.uniform(-5, 5)
                if old
                else {"score": rng.uniform(-5, 5), "time": rng.random()}
                for score in SCORES
            }
            values["val_accuracy"] = rng.uniform(10, 95)
            if not old:
                values |= {"idx": "17", "arch": arch}
            networks[as_tuples(getattr(module, write)(arch))] = values
    return {name: found} if outer else found


def nds(space: str = "nds_darts", n: int = 3, epochs: int = 5) -> list[dict[str, Any]]:
    module: Any = get_space(space)
    rng = random.Random(space)
    return [
        {
            "job_id": i,
            "rng_seed": 1,
            "net": module.to_net(arch),
            "optim": {"lr": 0.1, "wd": 5e-4},
            "params": 1e6 + i,
            "flops": 2e8,
            "test_ep_top1": [rng.uniform(5, 90) for _ in range(epochs)],
            "train_ep_top1": [rng.uniform(5, 90) for _ in range(epochs)],
            "epoch_time": 33.5,
        }
        for i, arch in enumerate(module.sample(n, 2))
    ]


def nasbench301(
    seed: int = 0, epochs: int = 100, channels: int = 32, layers: int = 8
) -> dict[str, Any]:
    module: Any = get_space("nasbench301")
    rng = random.Random(seed)
    prefix = "NetworkSelectorDatasetInfo:darts:"
    return {
        "final_metric_score": -93.0,
        "optimized_hyperparamater_config": {
            "ImageAugmentation:cutout_length": 16,
            f"{prefix}init_channels": channels,
            f"{prefix}layers": layers,
            f"{prefix}auxiliary": "True",
            "SimpleLearningrateSchedulerSelector:cosine_annealing:T_max": epochs,
            **module.to_config(module.sample(1, seed)[0]),
        },
        "budget": epochs,
        "info": [
            {
                "train_loss": 0.6,
                "train_accuracy": rng.uniform(80, 99),
                "val_accuracy": rng.uniform(90, 95),
                "epochs": epochs - 2,
                "model_parameters": 1_204_906,
                "dataset_path": "datasets/CIFAR10.csv",
            }
        ],
        "test_accuracy": rng.uniform(90, 95),
        "runtime": 5136,
    }
