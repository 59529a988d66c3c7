"""`read_benchmark`: which format a file has, by its content, and its reader."""

from __future__ import annotations

__all__ = ["FORMATS", "read_benchmark"]

import os
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from zeroshot.benchmarks import nasbench101, nasbench301, naslib, nats, nds, tables, tfrecord
from zeroshot.benchmarks.source import Progress, Source, read_json
from zeroshot.benchmarks.table import Benchmark
from zeroshot.benchmarks.torch_file import MAGIC
from zeroshot.errors import BenchmarkFileError
from zeroshot.spaces import get_space

MAX_BYTES: Final = 1 << 36

FORMATS: Final = {
    "nats": "NATS-Bench and NAS-Bench-201: folders, .pickle.pbz2, .pth",
    "nasbench101": "NAS-Bench-101: .tfrecord",
    "naslib": "NASLib: zc_*.json",
    "nds": "NDS: DARTS.json, ...",
    "nasbench301": "NAS-Bench-301: results_*.json, or a folder of them",
    "csv": "tables: .csv, .csv.gz, .csv.bz2, .tsv",
    "parquet": "tables: .parquet, with pyarrow",
}
"""Names of formats, and what they are."""

_JSON: Final[dict[str, Any]] = {"naslib": naslib, "nds": nds, "nasbench301": nasbench301}
_STREAMS: Final[dict[str, Callable[[Source, str | None], Benchmark]]] = {
    "nats": nats.read_file,
    "nasbench101": nasbench101.read_file,
    "csv": tables.read_csv,
    "parquet": tables.read_parquet,
}


def read_benchmark(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    space: str | None = None,
    max_bytes: int = MAX_BYTES,
    progress: Progress | None = None,
) -> Benchmark:
    """Read a benchmark file: architectures, accuracies, costs, scores.

    Files are read once, in memory that does not grow with curves and weights in them; JSON, which
    is read as a whole, may have 128 MiB. Nothing in a file is executed.

    Parameters
    ----------
    path : path
        NATS-Bench: a folder ``-simple`` or ``-full``, the single ``.pickle.pbz2``, or a file of
        one architecture. NAS-Bench-201: ``.pth``. NAS-Bench-101: ``.tfrecord``. NASLib:
        ``zc_*.json``. NDS: ``DARTS.json`` and so on. NAS-Bench-301: a result's JSON, or a folder of
        them. Tables: CSV, also compressed, and Parquet.
    format : str, optional
        One of `FORMATS`. Default: by the content.
    space : str, optional
        Search space, where neither the file nor its name tells it.
    max_bytes : int
        Most bytes that are read, after inflating.
    progress : callable, optional
        Gets the bytes (of folders of JSON: files) read so far, and of how many.

    Returns
    -------
    Benchmark

    Raises
    ------
    BenchmarkFileError
        If the file is damaged, malicious, too large, or no such file.
    ValueError
        If there is no such format or space.
    OSError
        If the file does not exist or cannot be read.
    ImportError
        For Parquet without pyarrow, which ``pip install 'zeroshot[experiments]'`` brings.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "two.csv"
    >>> _ = file.write_text("arch,cifar10/test@200:mean\\n8:8:8:8:8,81.5\\n8:8:8:8:16,82\\n")
    >>> benchmark = read_benchmark(file)
    >>> benchmark.space, benchmark.archs
    ('nats_sss', ('8:8:8:8:8', '8:8:8:8:16'))
    >>> benchmark.accuracy("cifar10/test@200:mean"), benchmark.lookup((8, 8, 8, 8, 16))
    (array([81.5, 82. ]), 1)
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path: expected a path, got {type(path).__name__}")
    if progress is not None and not callable(progress):
        raise TypeError(f"progress: expected a function, got {type(progress).__name__}")
    if format is not None and (not isinstance(format, str) or format not in FORMATS):
        raise ValueError(f"format: expected one of {', '.join(FORMATS)}; got {format!r}")
    if space is not None:
        get_space(space)
    if isinstance(max_bytes, bool) or not isinstance(max_bytes, int) or max_bytes < 1:
        raise ValueError(f"max_bytes: expected a positive integer, got {max_bytes!r}")
    where = Path(path)
    try:
        if where.is_dir():
            return _read_folder(where, format, space, max_bytes, progress)
        with Source(where, max_bytes, progress) as source:
            kind = format or _format_of(source)
            if kind in _STREAMS:
                return _STREAMS[kind](source, space)
            content = read_json(source)
            kind = format or _json_format_of(content, source)
            found: Benchmark = _JSON[kind].read_content(content, source, space)
            return found
    except RecursionError as error:
        raise BenchmarkFileError(f"{path}: nested too deep") from error


def _read_folder(
    path: Path, format: str | None, space: str | None, max_bytes: int, progress: Progress | None
) -> Benchmark:
    if format is None:
        is_nats = any(nats.FILE_NAME.fullmatch(found.name) for found in path.iterdir())
        format = "nats" if is_nats else "nasbench301" if nasbench301.found_files(path) else None
    if format == "nats":
        return nats.read_folder(path, space, max_bytes, progress)
    if format == "nasbench301":
        return nasbench301.read_folder(path, space, max_bytes, progress)
    raise BenchmarkFileError(
        f"{path}: expected a folder with files as 000000.pickle.pbz2 (nats) or results_0.json "
        "(nasbench301)"
    )


def _format_of(source: Source) -> str:
    """The format of a file; of JSON, any of them."""
    start = source.peek(512)
    name = source.path.name.lower()
    if not start:
        raise BenchmarkFileError(f"{source.where}: the file is empty")
    if start[:4] == b"PAR1":
        return "parquet"
    if start[:2] == b"PK" or start[: len(MAGIC)] == MAGIC or start[:1] == b"\x80":
        return "nats"
    if start[257:262] == b"ustar":
        raise BenchmarkFileError(f"{source.where}: expected this tar archive to be unpacked")
    if len(start) >= 12:
        length, crc = struct.unpack("<QI", start[:12])
        if length <= tfrecord.MAX_RECORD and tfrecord.masked_crcs([start[:8]])[0] == crc:
            return "nasbench101"
    if ".tfrecord" in name:
        return "nasbench101"
    if name.endswith((".pth", ".pickle", ".pkl", ".pbz2")):
        return "nats"
    if re.match(rb"\(d|\}(q.)?\(|c[a-z_]+\n", start, re.DOTALL):  # pickles before protocol 2
        return "nats"
    if start.lstrip()[:1] in (b"{", b"["):
        return "json"
    if b"\0" not in start:
        return "csv"
    raise BenchmarkFileError(f"{source.where}: expected one of {'; '.join(FORMATS.values())}")


def _json_format_of(content: object, source: Source) -> str:
    if nasbench301.is_result(content):
        return "nasbench301"
    if nds.is_nds(content):
        return "nds"
    if naslib.is_naslib(content):
        return "naslib"
    raise BenchmarkFileError(
        f"{source.where}: expected JSON of NASLib (data sets of architectures), of NDS (a list of "
        "jobs) or of NAS-Bench-301 (a result)"
    )
