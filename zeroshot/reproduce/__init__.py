"""The papers' tables beside what this package gives: every ranking, selection and ablation table.

- `numbers`, ``published.csv``: what the papers print
- `forms`: how a printed row is computed, as the paper says and as its released code does
- `recipes`: the tables, one entry each
- `sources`: benchmark files and images in a folder, and what is missing
- `running`: scores through `zeroshot.run_experiment`, so that a stopped table goes on
- `measures`: a row's number with its interval
- `tables`: `reproduce_table`, `ReproducedTable`

Papers: ``xi-gsnr`` (Sun et al., ICCV 2023, with its supplement), ``sweetimator`` (the manuscript of
Yang et al.) and ``gradsign`` (Zhang and Jia, ICLR 2022).
"""

from __future__ import annotations

__all__ = [
    "PublishedRow",
    "ReproducedRow",
    "ReproducedTable",
    "TableInfo",
    "list_tables",
    "published",
    "reproduce_table",
]

from zeroshot.reproduce.numbers import PublishedRow, published
from zeroshot.reproduce.recipes import TableInfo, list_tables
from zeroshot.reproduce.tables import ReproducedRow, ReproducedTable, reproduce_table
