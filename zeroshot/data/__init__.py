"""Real images to score networks with: readers, normalisations and seeded batch draws.

Layers, each using only what stands before it:

- `safe_pickle`, `safe_npz`: bytes to arrays, for files that nobody vouches for
- `images`: the `Images` type and the normalisation presets
- `readers`: CIFAR-10/100, ImageNet16-120 and npz files, and scikit-learn's digits, to `Images`
- `batches`: `Images` to normalised mini-batches
"""

from __future__ import annotations

from zeroshot.data.batches import Batches, draw_batches
from zeroshot.data.images import PRESETS, Images, Normalisation, list_presets
from zeroshot.data.readers import load, load_digits, read_cifar, read_imagenet16, read_npz

__all__ = [
    "PRESETS",
    "Batches",
    "Images",
    "Normalisation",
    "draw_batches",
    "list_presets",
    "load",
    "load_digits",
    "read_cifar",
    "read_imagenet16",
    "read_npz",
]
