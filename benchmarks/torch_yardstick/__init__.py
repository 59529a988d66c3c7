"""The scores as PyTorch users run them today: yardstick for speed, second opinion for parity tests.

Three parts, each with the same weights for the same seed:

* `TinyNetwork` and `build`, the NAS-Bench-201 network with the chosen op on each edge.
* `released_*`, what the authors' scripts do: NCHW, every edge runs, gradients copied to NumPy,
  GradSign image by image.
* `best_*`, what a careful PyTorch user can do: channels_last, only edges on a path from input to
  output, ReLU and pooling once per node, running moments in torch, GradSign in one pass.

`sweet_count`, `snip` and `grad_norm` are both, depending on the network they are given.

All of them take a network, images and labels as NumPy arrays, and work in the network's precision,
so ``build(...).double()`` gives float64 values. Left out: torch.compile, whose compilation of a new
graph takes longer than scoring it, and anything that needs a GPU.

`CellNetwork` is the network of a genotype, of DARTS, NAS-Bench-301 or NDS, as released; `Super201`
and `SuperDarts` are supernets with all operations on all edges.
"""

from .cells import CellNetwork
from .network import (
    TinyNetwork,
    build,
    grads_as_zeroshot,
    live_edges,
    load_zeroshot,
    parse_arch,
    state_as_zeroshot,
)
from .scores import (
    best_gradsign,
    best_naswot,
    best_xi_gsnr,
    grad_norm,
    released_gradsign,
    released_naswot,
    released_xi_gsnr,
    snip,
    sweet_count,
)
from .supernets import Super201, SuperDarts

__all__ = [
    "CellNetwork",
    "Super201",
    "SuperDarts",
    "TinyNetwork",
    "best_gradsign",
    "best_naswot",
    "best_xi_gsnr",
    "build",
    "grad_norm",
    "grads_as_zeroshot",
    "live_edges",
    "load_zeroshot",
    "parse_arch",
    "released_gradsign",
    "released_naswot",
    "released_xi_gsnr",
    "snip",
    "state_as_zeroshot",
    "sweet_count",
]
