"""Score untrained networks by gradient statistics: zero-shot architecture search without PyTorch.

>>> import numpy as np, zeroshot
>>> x = np.random.default_rng(0).standard_normal((16, 3, 8, 8))
>>> y = np.arange(16) % 10
>>> zeroshot.gradsign(1462, x, y, n_samples=8, channels=4, cells=1) > 0
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zeroshot import errors, spaces
from zeroshot._core import CancelToken
from zeroshot.config import VERSION as __version__
from zeroshot.config import show_config
from zeroshot.errors import (
    ArchitectureError,
    BenchmarkFileError,
    Cancelled,
    EngineError,
    InterchangeError,
    Interrupted,
    NonFiniteError,
    StoreError,
)
from zeroshot.graph import Graph
from zeroshot.network import count
from zeroshot.options import Options
from zeroshot.results import Counts, Gradients, Plan, ScoreResult, ScoreValue
from zeroshot.runner import free_memory
from zeroshot.scores import (
    Activations,
    AzExpressivity,
    AzProgressivity,
    AzTrainability,
    EpeNas,
    Fisher,
    Flops,
    GradNorm,
    GradSign,
    Grasp,
    JacobCov,
    Knas,
    L2Norm,
    LinearRegions,
    LiveWeights,
    Meco,
    Naswot,
    NtkCondition,
    Params,
    Plain,
    Snip,
    Swap,
    Sweet,
    SyncFlow,
    SynFlow,
    XiGsnr,
    Zen,
    Zico,
    list_scores,
)
from zeroshot.scoring import gradients, gradsign, plan, score, sweet_count, xi_gsnr
from zeroshot.spaces import list_spaces

if TYPE_CHECKING:
    from zeroshot import data, figures
    from zeroshot.benchmarks.reading import read_benchmark
    from zeroshot.benchmarks.table import Benchmark
    from zeroshot.benchmarks.targets import Target
    from zeroshot.drawing import Drawing, draw
    from zeroshot.experiments import (
        Experiment,
        MergeSummary,
        RunSummary,
        ScoreTable,
        Store,
        run_experiment,
    )
    from zeroshot.interchange.onnx_export import to_onnx
    from zeroshot.interchange.onnx_import import from_onnx
    from zeroshot.interchange.torch_import import from_torch
    from zeroshot.interchange.torch_source import to_torch_source, torch_state
    from zeroshot.pool import rank, score_iter, score_many
    from zeroshot.ranks import az_nas_rank, te_nas_rank
    from zeroshot.report import write_report
    from zeroshot.spaces.notations import Notation, convert, notations
    from zeroshot.sweet import SweetInterval, find_sweet_interval, sweet_edges, sweetness
    from zeroshot.weights import draw_weights, from_state_dict, state_dict_map, weight_names

__all__ = [
    "Activations",
    "ArchitectureError",
    "AzExpressivity",
    "AzProgressivity",
    "AzTrainability",
    "Benchmark",
    "BenchmarkFileError",
    "CancelToken",
    "Cancelled",
    "Counts",
    "Drawing",
    "EngineError",
    "EpeNas",
    "Experiment",
    "Fisher",
    "Flops",
    "GradNorm",
    "GradSign",
    "Gradients",
    "Graph",
    "Grasp",
    "InterchangeError",
    "Interrupted",
    "JacobCov",
    "Knas",
    "L2Norm",
    "LinearRegions",
    "LiveWeights",
    "Meco",
    "MergeSummary",
    "Naswot",
    "NonFiniteError",
    "Notation",
    "NtkCondition",
    "Options",
    "Params",
    "Plain",
    "Plan",
    "RunSummary",
    "ScoreResult",
    "ScoreTable",
    "ScoreValue",
    "Snip",
    "Store",
    "StoreError",
    "Swap",
    "Sweet",
    "SweetInterval",
    "SynFlow",
    "SyncFlow",
    "Target",
    "XiGsnr",
    "Zen",
    "Zico",
    "__version__",
    "az_nas_rank",
    "convert",
    "count",
    "data",
    "draw",
    "draw_weights",
    "errors",
    "figures",
    "find_sweet_interval",
    "free_memory",
    "from_onnx",
    "from_state_dict",
    "from_torch",
    "gradients",
    "gradsign",
    "list_scores",
    "list_spaces",
    "notations",
    "plan",
    "rank",
    "read_benchmark",
    "run_experiment",
    "score",
    "score_iter",
    "score_many",
    "show_config",
    "spaces",
    "state_dict_map",
    "sweet_count",
    "sweet_edges",
    "sweetness",
    "te_nas_rank",
    "to_onnx",
    "to_torch_source",
    "torch_state",
    "weight_names",
    "write_report",
    "xi_gsnr",
]

# What one score does without is imported when it is asked for: the module, or the name in it.
_MODULES = (
    "benchmarks",
    "cli",
    "data",
    "drawing",
    "experiments",
    "figures",
    "interchange",
    "pool",
    "ranks",
    "reference",
    "report",
    "scores",
    "stats",
    "sweet",
    "weights",
)
_NAMES = {
    "Benchmark": "benchmarks.table",
    "Drawing": "drawing",
    "Experiment": "experiments",
    "MergeSummary": "experiments",
    "Notation": "spaces.notations",
    "RunSummary": "experiments",
    "ScoreTable": "experiments",
    "Store": "experiments",
    "SweetInterval": "sweet",
    "Target": "benchmarks.targets",
    "az_nas_rank": "ranks",
    "convert": "spaces.notations",
    "draw": "drawing",
    "draw_weights": "weights",
    "find_sweet_interval": "sweet",
    "from_onnx": "interchange.onnx_import",
    "from_state_dict": "weights",
    "from_torch": "interchange.torch_import",
    "notations": "spaces.notations",
    "rank": "pool",
    "read_benchmark": "benchmarks.reading",
    "run_experiment": "experiments",
    "score_iter": "pool",
    "score_many": "pool",
    "state_dict_map": "weights",
    "sweet_edges": "sweet",
    "sweetness": "sweet",
    "te_nas_rank": "ranks",
    "to_onnx": "interchange.onnx_export",
    "to_torch_source": "interchange.torch_source",
    "torch_state": "interchange.torch_source",
    "weight_names": "weights",
    "write_report": "report",
}


if not TYPE_CHECKING:  # which would take every name for known

    def __getattr__(name: str) -> Any:
        if name not in _MODULES and name not in _NAMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib

        module = importlib.import_module(f"{__name__}.{_NAMES.get(name, name)}")
        value = globals()[name] = getattr(module, name) if name in _NAMES else module
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES, *_NAMES})
