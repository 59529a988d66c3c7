"""Score untrained networks by gradient statistics: zero-shot architecture search without PyTorch.

>>> import numpy as np, zeroshot
>>> x = np.random.default_rng(0).standard_normal((16, 3, 8, 8))
>>> y = np.arange(16) % 10
>>> zeroshot.gradsign(1462, x, y, n_samples=8, channels=4, cells=1) > 0
True
"""

from __future__ import annotations

from zeroshot import data, errors, spaces
from zeroshot._core import CancelToken
from zeroshot.config import VERSION as __version__
from zeroshot.config import show_config
from zeroshot.errors import ArchitectureError, Cancelled, EngineError, NonFiniteError
from zeroshot.graph import Graph
from zeroshot.network import count
from zeroshot.options import Options
from zeroshot.pool import rank, score_iter, score_many
from zeroshot.results import Counts, Gradients, Plan, ScoreResult, ScoreValue
from zeroshot.runner import free_memory
from zeroshot.scores import GradSign, Sweet, XiGsnr, list_scores
from zeroshot.scoring import gradients, gradsign, plan, score, sweet_count, xi_gsnr
from zeroshot.spaces import list_spaces
from zeroshot.sweet import (
    SweetInterval,
    find_sweet_interval,
    sweet_edges,
    sweetness,
)
from zeroshot.weights import from_state_dict, state_dict_map, weight_names

__all__ = [
    "ArchitectureError",
    "CancelToken",
    "Cancelled",
    "Counts",
    "EngineError",
    "GradSign",
    "Gradients",
    "Graph",
    "NonFiniteError",
    "Options",
    "Plan",
    "ScoreResult",
    "ScoreValue",
    "Sweet",
    "SweetInterval",
    "XiGsnr",
    "__version__",
    "count",
    "data",
    "errors",
    "find_sweet_interval",
    "free_memory",
    "from_state_dict",
    "gradients",
    "gradsign",
    "list_scores",
    "list_spaces",
    "plan",
    "rank",
    "score",
    "score_iter",
    "score_many",
    "show_config",
    "spaces",
    "state_dict_map",
    "sweet_count",
    "sweet_edges",
    "sweetness",
    "weight_names",
    "xi_gsnr",
]
