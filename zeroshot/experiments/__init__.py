"""Experiments: many architectures, any pool of workers, and a file that keeps every value.

Layers, each using only what stands before it:

- `schema`: the SQLite file: tables, checks, one writer
- `rows`: a `zeroshot.ScoreResult` as rows, and rows as `ScoreTable` and files
- `store`: `Store`
- `experiment`, `toml`: `Experiment`, and the file it is read from
- `tasks`, `lanes`: pieces of work, and the pools that do them
- `work`: what an experiment comes to
- `run`: `run_experiment`
"""

from __future__ import annotations

from zeroshot.experiments.experiment import Archs, DataSource, Experiment
from zeroshot.experiments.run import RunSummary, run_experiment
from zeroshot.experiments.store import MergeSummary, Store
from zeroshot.experiments.table import ScoreTable

__all__ = [
    "Archs",
    "DataSource",
    "Experiment",
    "MergeSummary",
    "RunSummary",
    "ScoreTable",
    "Store",
    "run_experiment",
]
