"""What this installation is and what it uses here."""

from __future__ import annotations

__all__ = ["VERSION", "best_kernels", "environment", "show_config"]

import functools
import platform
import sys
from typing import Any, Literal, overload

import numpy as np

from zeroshot import _core
from zeroshot.options import usable_cpus

VERSION = "0.1.0"


def best_kernels() -> str:
    """Name of the kernel table that ``kernels="auto"`` takes on this machine."""
    return [name for name, usable in _core.kernel_tables() if usable][-1]


@functools.cache
def environment() -> dict[str, Any]:
    """Versions and machine: recorded beside a result, never part of its key."""
    build = _core.build_config()
    return {
        "zeroshot": VERSION,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "compiler": str(build.get("compiler", "unknown")),
        "openmp": bool(build.get("openmp", False)),
        "system": platform.system(),
        "machine": platform.machine(),
        "byteorder": sys.byteorder,
    }


@overload
def show_config(mode: Literal["stdout"] = "stdout") -> None: ...
@overload
def show_config(mode: Literal["dicts"]) -> dict[str, Any]: ...
def show_config(mode: Literal["stdout", "dicts"] = "stdout") -> dict[str, Any] | None:
    """Show versions, kernel tables, which of them is used, OpenMP and threads.

    Parameters
    ----------
    mode : {"stdout", "dicts"}
        Print, or return a dictionary.

    Examples
    --------
    >>> show_config("dicts")["kernels"]["auto"] in ("baseline", "avx2", "avx512", "neon")
    True
    """
    if mode not in ("stdout", "dicts"):
        raise ValueError(f'mode: expected "stdout" or "dicts", got {mode!r}')
    config = {
        **environment(),
        "build": _core.build_config(),
        "kernels": {
            "auto": best_kernels(),
            "usable": [name for name, usable in _core.kernel_tables() if usable],
            "built": [name for name, _ in _core.kernel_tables()],
        },
        "threads": usable_cpus(),
    }
    if mode == "dicts":
        return config
    for key, value in config.items():
        if isinstance(value, dict):
            value = ", ".join(
                f"{k} {' '.join(v) if isinstance(v, list) else v}" for k, v in value.items()
            )
        print(f"{key:10} {value}")
    return None
