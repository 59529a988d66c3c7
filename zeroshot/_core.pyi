from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, final

import numpy as np
from numpy.typing import NDArray

class NodeDict(TypedDict):
    id: int
    op: str
    name: str
    inputs: list[int]
    attrs: dict[str, Any]
    weights: dict[str, str]
    shape: tuple[int, int, int]

class TensorDict(TypedDict):
    name: str
    role: str
    shape: tuple[int, ...]
    counted: bool
    node: int
    groups: int

RunTuple = tuple[
    str,  # score
    tuple[float, ...],  # its parameters, in the core's order
    NDArray[np.float64] | None,  # interval borders
    int,  # images in a group
    int,  # groups
    str,  # loss
    int,  # source: 0 for x and y, i for sources[i - 1]
    str | None,  # initialiser of its own
    NDArray[np.int8] | None,  # directions of its own
]

class ScoreDict(TypedDict):
    name: str
    params: tuple[str, ...]
    min_groups: int
    takes_edges: bool
    extra_name: str | None
    by_tensor: bool
    counts_nodes: bool

class RunDict(TypedDict):
    value: float
    extra: float
    status: str
    reason: str | None
    pass_index: int  # -1: none was needed
    tensor_values: NDArray[np.float64]
    counts: NDArray[np.int64] | None

class OutputDict(TypedDict, total=False):
    runs: list[RunDict]
    peak_bytes: int
    macs: int
    n_passes: int
    samples_seen: int
    blocks_begun: int
    kernels: str
    blame: tuple[str, int] | None
    gradients: dict[str, NDArray[np.float64]]
    losses: NDArray[np.float64]
    logits: NDArray[np.float64]

@final
class Graph:
    def nodes(self) -> list[NodeDict]: ...
    def tensors(self) -> list[TensorDict]: ...
    @property
    def input_shape(self) -> tuple[int, int, int]: ...
    @property
    def num_classes(self) -> int: ...

@final
class GraphBuilder:
    def __new__(cls, channels: int, height: int, width: int) -> GraphBuilder: ...
    def add(
        self,
        op: str,
        name: str,
        inputs: Sequence[int],
        attrs: Mapping[str, Any],
        coefs: Sequence[float] | None = None,
        /,
    ) -> int: ...
    def shape(self, node: int, /) -> tuple[int, int, int]: ...
    def feature(self, node: int, /) -> None: ...
    def finish(self, output: int, /) -> Graph: ...

@final
class Workspace:
    @property
    def capacity(self) -> int: ...

@final
class CancelToken:
    def cancel(self) -> None: ...
    @property
    def cancelled(self) -> bool: ...

def build_config() -> dict[str, Any]: ...
def draw_weights(graph: Graph, init: str, seed: int, /) -> dict[str, NDArray[np.float32]]: ...
def graph_count(graph: Graph, /) -> dict[str, int]: ...
def kernel_tables() -> list[tuple[str, bool]]: ...
def list_inits() -> tuple[str, ...]: ...
def nasbench101_canonical(genes: Sequence[int], keep_order: bool, /) -> tuple[int, ...]: ...
def nasbench101_enumerate(vertices: int, /) -> bytes: ...
def list_losses() -> tuple[str, ...]: ...
def list_scores() -> list[ScoreDict]: ...
def run(
    graph: Graph,
    x: NDArray[Any],
    y: NDArray[np.int64],
    *,
    runs: Sequence[RunTuple],
    sink: tuple[int, int, str, bool] | None,
    weights: dict[str, NDArray[Any]] | None,
    init: str,
    seed: int,
    dtype: str,
    n_threads: int,
    kernels: str,
    algo: str,
    max_bytes: int,
    dead: bool,
    recompute: int,
    workspace: Workspace | None,
    cancel: CancelToken | None,
    measure: bool,
    sources: Sequence[tuple[NDArray[Any], NDArray[np.int64]]],
) -> OutputDict: ...
def space_build(
    space: str,
    genes: Sequence[int],
    channels: int,
    cells: int,
    num_classes: int,
    input_shape: tuple[int, int, int],
    builder: str = "autodl",
    /,
) -> Graph: ...
def space_defaults(space: str, /) -> tuple[int, int]: ...
def space_format(space: str, genes: Sequence[int], /) -> str: ...
def space_builders() -> tuple[str, ...]: ...
def space_names() -> tuple[str, ...]: ...
def space_parse(space: str, text: str | bytes, /) -> tuple[int, ...]: ...
