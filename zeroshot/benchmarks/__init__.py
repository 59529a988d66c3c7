"""Readers of benchmark files as they are distributed, without TensorFlow or PyTorch.

- `targets`: `Target`, which accuracy is meant
- `table`: `Benchmark`, architectures and columns of numbers, and how one is collected
- `reading`: `read_benchmark`, which format a file has; `writing`: CSV and Parquet
- `source`: bytes of a file, inflated within a limit
- `streams`: the closed pickle interpreter of `zeroshot.data.safe_pickle` over a stream
- `nats`, `tfrecord`, `nasbench101`, `naslib`, `nds`, `nasbench301`, `tables`: a format each
"""

from __future__ import annotations

__all__ = ["Benchmark", "Target", "read_benchmark"]

from zeroshot.benchmarks.reading import read_benchmark
from zeroshot.benchmarks.table import Benchmark
from zeroshot.benchmarks.targets import Target
