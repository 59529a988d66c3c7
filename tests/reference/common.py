"""What tests of the oracle share: bounds, and the comparison.

Tolerances: two float64 programs that differ in the order of their sums agree to ``TENSOR`` of a
tensor's largest gradient plus ``NETWORK`` of the network's (a tensor whose gradient is zero in real
arithmetic holds rounding noise of the others). Scores are held to the change that the gradients'
own deviation can cause, see `score_bound` in test_golden.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

GOLDEN = Path(__file__).resolve().parents[1] / "golden"  # networks stored in the repository
VARIANTS = ["mean2", "inv_var", "inv_var_xi", "gsnr", "xi_gsnr"]
XI = 1e-8

NAN = float("nan")
EPS = float(np.finfo(np.float64).eps)
TENSOR, NETWORK = 1e-9, 1e-13
FLOAT32 = 2.0**-24  # half a unit in the last place, relative
# Scores from the very same gradients: a few roundings a weight, and pairwise sums of up to 1e4.
SCORE = 32 * EPS

Array = NDArray[np.float64]


def assert_close(got: Any, expected: Any, bound: Any, what: str) -> None:
    """``|got - expected| <= bound`` everywhere, or the worst element and its index."""
    got, expected, bound = np.broadcast_arrays(*map(np.asarray, (got, expected, bound)))
    error = np.abs(got - expected)
    if not (error <= bound).all():
        worst = np.unravel_index(np.argmax(np.where(error <= bound, -1.0, error)), error.shape)
        pytest.fail(
            f"{what} at {tuple(map(int, worst))}: got {got[worst]!r}, expected "
            f"{expected[worst]!r}, bound {bound[worst]:.3g}"
        )


def of(names: Sequence[str], gradients: dict[str, Array]) -> dict[str, Array]:
    return {name: gradients[name] for name in names}


def largest(gradients: dict[str, Array]) -> float:
    return max(float(np.abs(g).max()) for g in gradients.values())
