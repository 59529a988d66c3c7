"""Images for the tests of this folder."""

from __future__ import annotations

import numpy as np
import pytest

from zeroshot import data


@pytest.fixture
def some_images() -> data.Images:
    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 256, (40, 6, 7, 3), dtype=np.uint8)
    return data.Images(pixels, np.arange(40) % 10, "some")
