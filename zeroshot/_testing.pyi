"""The inside of the core, for tests. Kernels write into their output arrays.

An *image* is (N, H, W, C), or (N, C) for one pixel, of any strides as long as channels are
neighbours; filters are (R, S, C / groups, K); everything else is dense. The dtype of the arrays,
float32 or float64, is the kernel's. Samples n0 to n1 are worked on; n1 = -1 is up to the last.
"""

from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Double = NDArray[np.float64]
Algo = Literal["direct", "auto", "f2", "f4", "signs"]
Term = tuple[Array, float, Array | None]
Network = tuple[tuple[int, int, int], list[tuple[str, str, tuple[int, ...], dict[str, Any]]]]

class PlanDict(TypedDict):
    pool_bytes: int
    scratch_bytes: int
    partial_bytes: int
    n_steps: int
    n_forward_steps: int
    macs: int
    has_path: bool
    disjoint: bool
    kinds: list[str]
    storages: list[tuple[int, int, int, int]]

def tables() -> list[tuple[str, bool]]: ...
def conv2d_fwd(
    table: str,
    x: Array,
    w: Array,
    bias: Array | None,
    y: Array,
    *,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
    relu: bool = False,
    algo: Algo = "direct",
    n0: int = 0,
    n1: int = -1,
) -> None: ...
def conv2d_bwd_x(
    table: str,
    dy: Array,
    w: Array,
    x: Array,
    dx: Array,
    *,
    add: bool = False,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
    relu: bool = False,
    algo: Algo = "direct",
    n0: int = 0,
    n1: int = -1,
) -> None: ...
def conv2d_bwd_w(
    table: str,
    x: Array,
    dy: Array,
    dw: Array,
    db: Array | None,
    *,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
    relu: bool = False,
    algo: Algo = "direct",
    n0: int = 0,
    n1: int = -1,
) -> None: ...
def conv2d_bwd(
    table: str,
    x: Array,
    dy: Array,
    w: Array,
    dx: Array,
    dw: Array,
    db: Array | None,
    *,
    add: bool = False,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
    relu: bool = False,
    algo: Algo = "direct",
    n0: int = 0,
    n1: int = -1,
) -> bool: ...
def conv2d_is_fast(
    table: str,
    x: Array,
    w: Array,
    y: Array,
    *,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
    relu: bool = False,
    algo: Algo = "direct",
    n0: int = 0,
    n1: int = -1,
) -> bool: ...
def bn_stats(
    table: str, x: Array, mean: Double, m2: Double, *, n0: int = 0, n1: int = -1
) -> None: ...
def bn_fwd(table: str, x: Array, coef: Array, y: Array, *, n0: int = 0, n1: int = -1) -> None: ...
def bn_bwd_sums(
    table: str,
    dy: Array,
    x: Array,
    coef: Array,
    s1: Double,
    s2: Double,
    *,
    n0: int = 0,
    n1: int = -1,
) -> None: ...
def bn_bwd_x(
    table: str,
    dy: Array,
    x: Array,
    coef: Array,
    dx: Array,
    *,
    add: bool = False,
    n0: int = 0,
    n1: int = -1,
) -> None: ...
def cast(table: str, source: Double, out: Array) -> None: ...
def relu_fwd(table: str, x: Array, y: Array, *, n0: int = 0, n1: int = -1) -> None: ...
def relu_bwd(
    table: str,
    y: Array,
    dy: Array,
    dx: Array,
    *,
    add: bool = False,
    n0: int = 0,
    n1: int = -1,
) -> None: ...
def activation_fwd(
    table: str,
    f: str,
    x: Array,
    y: Array,
    *,
    bn: Array | None = None,
    group: int = 1,
    n0: int = 0,
    n1: int = -1,
) -> None: ...
def activation_bwd(
    table: str,
    f: str,
    x: Array,
    dy: Array,
    dx: Array,
    *,
    bn: Array | None = None,
    group: int = 1,
    add: bool = False,
    n0: int = 0,
    n1: int = -1,
) -> None: ...
def activation_bwd2(
    table: str,
    f: str,
    x: Array,
    t: Array,
    dy: Array,
    dx: Array,
    *,
    bn: Array | None = None,
    group: int = 1,
    add: bool = False,
    n0: int = 0,
    n1: int = -1,
) -> None: ...
def multiply(
    table: str,
    a: Array,
    b: Array,
    y: Array,
    *,
    add: bool = False,
    n0: int = 0,
    n1: int = -1,
) -> None: ...
def multiply_sums(
    table: str,
    a: Array,
    dy: Array,
    db: Array,
    *,
    add: bool = False,
    n0: int = 0,
    n1: int = -1,
) -> None: ...
def max_pool_fwd(
    table: str,
    x: Array,
    y: Array,
    *,
    kernel: tuple[int, int] = (1, 1),
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    n0: int = 0,
    n1: int = -1,
) -> None: ...
def max_pool_bwd(
    table: str,
    x: Array,
    dy: Array,
    dx: Array,
    *,
    add: bool = False,
    kernel: tuple[int, int] = (1, 1),
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    n0: int = 0,
    n1: int = -1,
) -> None: ...
def max_pool_gate(
    table: str,
    x: Array,
    t: Array,
    y: Array,
    *,
    kernel: tuple[int, int] = (1, 1),
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    n0: int = 0,
    n1: int = -1,
) -> None: ...
def avg_pool_fwd(
    table: str,
    x: Array,
    y: Array,
    *,
    count_include_pad: bool = False,
    kernel: tuple[int, int] = (1, 1),
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    n0: int = 0,
    n1: int = -1,
) -> None: ...
def avg_pool_bwd(
    table: str,
    dy: Array,
    dx: Array,
    *,
    add: bool = False,
    count_include_pad: bool = False,
    kernel: tuple[int, int] = (1, 1),
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    n0: int = 0,
    n1: int = -1,
) -> None: ...
def gap_fwd(table: str, x: Array, y: Array, *, n0: int = 0, n1: int = -1) -> None: ...
def gap_bwd(
    table: str, dy: Array, dx: Array, *, add: bool = False, n0: int = 0, n1: int = -1
) -> None: ...
def sum_fwd(
    table: str,
    terms: list[Term],
    y: Array,
    *,
    group: int = 1,
    n0: int = 0,
    n1: int = -1,
) -> None: ...
def scale(
    table: str,
    x: Array,
    coef: float,
    y: Array,
    *,
    add: bool = False,
    n0: int = 0,
    n1: int = -1,
) -> None: ...
def fill_zero(table: str, y: Array, *, n0: int = 0, n1: int = -1) -> None: ...
def matmul(
    table: str,
    a: Array,
    b: Array,
    y: Array,
    *,
    heads: int = 1,
    a_turned: bool = False,
    b_turned: bool = False,
    scale: float = 1.0,
    add: bool = False,
    n0: int = 0,
    n1: int = -1,
) -> None: ...
def flatten_fwd(table: str, x: Array, y: Array, *, n0: int = 0, n1: int = -1) -> None: ...
def flatten_bwd(
    table: str, dy: Array, dx: Array, *, add: bool = False, n0: int = 0, n1: int = -1
) -> None: ...
def spatial_bias_fwd(table: str, bias: Array, y: Array, *, n0: int = 0, n1: int = -1) -> None: ...
def spatial_bias_bwd(table: str, dy: Array, db: Array, *, n0: int = 0, n1: int = -1) -> None: ...
def scale_channels(
    table: str,
    x: Array,
    gamma: Array,
    y: Array,
    *,
    add: bool = False,
    n0: int = 0,
    n1: int = -1,
) -> None: ...
def softmax_fwd(
    table: str, x: Array, y: Array, *, groups: int = 1, n0: int = 0, n1: int = -1
) -> None: ...
def softmax_bwd(
    table: str,
    y: Array,
    dy: Array,
    dx: Array,
    *,
    groups: int = 1,
    add: bool = False,
    n0: int = 0,
    n1: int = -1,
) -> None: ...
def softmax_curve(
    table: str,
    y: Array,
    t: Array,
    dy: Array,
    dx: Array,
    *,
    groups: int = 1,
    add: bool = False,
    n0: int = 0,
    n1: int = -1,
) -> None: ...
def norm_fwd(
    table: str,
    x: Array,
    gamma: Array | None,
    beta: Array | None,
    y: Array,
    *,
    groups: int = 1,
    eps: float = 1e-5,
    n0: int = 0,
    n1: int = -1,
) -> None: ...
def norm_project(
    table: str,
    x: Array,
    v: Array,
    inner: Array | None,
    outer: Array | None,
    y: Array,
    *,
    groups: int = 1,
    eps: float = 1e-5,
    add: bool = False,
    n0: int = 0,
    n1: int = -1,
) -> None: ...
def norm_bwd_params(
    table: str,
    x: Array,
    dy: Array,
    d_gamma: Double,
    d_beta: Double,
    *,
    groups: int = 1,
    eps: float = 1e-5,
    n0: int = 0,
    n1: int = -1,
) -> None: ...
def norm_curve(
    table: str,
    x: Array,
    t: Array,
    dy: Array,
    gamma: Array | None,
    dx: Array,
    *,
    groups: int = 1,
    eps: float = 1e-5,
    add: bool = False,
    n0: int = 0,
    n1: int = -1,
) -> None: ...
def cross_entropy(
    table: str,
    logits: Array,
    labels: NDArray[np.int64],
    weight: float,
    loss: Double,
    dlogits: Array | None,
    *,
    n0: int = 0,
    n1: int = -1,
) -> None: ...
def cross_entropy_tangent(
    table: str,
    logits: Array,
    labels: NDArray[np.int64],
    weight: float,
    loss: Double,
    dlogits: Array | None,
    *,
    n0: int = 0,
    n1: int = -1,
) -> None: ...
def sum_logits(
    table: str,
    logits: Array,
    labels: NDArray[np.int64],
    weight: float,
    loss: Double,
    dlogits: Array | None,
    *,
    n0: int = 0,
    n1: int = -1,
) -> None: ...
def join(table: str, parts: Array, out: Array) -> None: ...
def moments(
    table: str, g: Array, count: int, mean: Double, m2: Double, sum: Double | None
) -> None: ...
def signs(table: str, g: Array, tol: float, sum: NDArray[np.int32]) -> None: ...
def histogram(table: str, g: Array, edges: Double, counts: NDArray[np.int64]) -> None: ...
def exponents(table: str, g: Array, counts: NDArray[np.int64]) -> None: ...
def hamming(table: str, a: NDArray[np.int64], b: NDArray[np.int64]) -> int: ...
def product_sums(
    table: str, a: Array, d: Array, sums: Double, *, n0: int = 0, n1: int = -1
) -> None: ...
def dot(table: str, x: Array, y: Array) -> float: ...
def positive_bits(table: str, g: Array, bits: NDArray[np.int64]) -> None: ...
def count_nonfinite(table: str, g: Array) -> int: ...
def count_nonzero(table: str, g: Array) -> int: ...
def load_images(table: str, x: Array, y: Array) -> None: ...
def load_weight(table: str, w: Array, out: Array) -> None: ...
def store_weight(table: str, w: Array, out: Double) -> None: ...
def store_vector(table: str, w: Array, out: Double) -> None: ...
def arena_offsets(sizes: list[int], *, missing: int = 0) -> tuple[list[int | None], int]: ...
def alloc_fail_after(k: int, persistent: bool = False, /) -> None: ...
def alloc_count() -> int: ...
def rng_u32(seed: int, n: int, /) -> NDArray[np.uint32]: ...
def rng_draws(
    seed: int, draws: list[tuple[str, int, float, float]], /
) -> list[NDArray[np.float32]]: ...
def rng_at(seed: int, stream: int, index: int, /) -> float: ...
def init_kinds() -> list[str]: ...
def init_all(
    tensors: list[tuple[str, tuple[int, ...], int]], kind: str, seed: int, /
) -> list[NDArray[np.float32]]: ...
def plan_info(
    network: Network,
    *,
    group_size: int = 1,
    n_groups: int = 1,
    backward: bool = True,
    dead: bool = False,
    all_params: bool = False,
    float64: bool = False,
    recompute: int = 0,
    dual: bool = False,
) -> PlanDict: ...
def hessian_product(
    network: Network,
    weights: list[Double],
    directions: list[Double | None],
    x: Double,
    y: NDArray[np.int64],
    group_size: int,
    products: list[Double],
    losses: Double,
    *,
    table: str = "reference",
    float64: bool = True,
    dead: bool = False,
    identity_bn: bool = False,
    recompute: int = 0,
    n_threads: int = 1,
    algo: int = 0,
) -> bool: ...
def fma_peak(table: str = "auto", seconds: float = 0.2) -> float: ...
def dense_cholesky(a: Double, /) -> float: ...
def dense_log_abs_det(a: Double, /) -> float: ...
def dense_eigenvalues(a: Double, values: Double, /) -> None: ...
def dense_qr(a: Double, r: Double, /) -> None: ...
def dense_singular_values(a: Double, values: Double, /) -> None: ...
def dense_add_gram(a: Double, c: Double, /) -> None: ...
