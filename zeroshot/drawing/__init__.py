"""Pictures of architectures: cells, chains of blocks, and any `zeroshot.Graph`.

- `cells`, `chains`, `graphs`: what is drawn of each kind
- `layout`: where vertices and lines go
- `scene`: boxes, lines and texts, and how they become a file
- `palette`: labels and colours of operations, the same in all spaces
"""

from __future__ import annotations

__all__ = ["Drawing", "draw"]

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from zeroshot.drawing import cells, chains, graphs
from zeroshot.drawing.options import DrawOptions
from zeroshot.drawing.scene import Drawing, Scene, check_path, need_matplotlib
from zeroshot.graph import Graph
from zeroshot.network import AnyArch
from zeroshot.spaces import get_space

_SPACES: Final[Mapping[str, Callable[[Any, Any, DrawOptions], Scene]]] = {
    "nasbench201": cells.nasbench201,
    "transnas_micro": cells.nasbench201,
    "super_nasbench201": cells.super_nasbench201,
    "nasbench101": cells.nasbench101,
    "darts": cells.genotype,
    "nasbench301": cells.genotype,
    "nds_darts": cells.genotype,
    "nds_enas": cells.genotype,
    "nds_pnas": cells.genotype,
    "nds_nasnet": cells.genotype,
    "nds_amoeba": cells.genotype,
    "super_darts": cells.super_darts,
    "nats_sss": chains.nats_sss,
    "proxylessnas": chains.proxylessnas,
    "mbconv": chains.mbconv,
    "burgerformer": chains.burgerformer,
}


def draw(
    arch: AnyArch,
    *,
    space: str = "nasbench201",
    path: str | os.PathLike[str] | None = None,
    hide_none: bool = False,
    image_size: int | tuple[int, int] | None = None,
    width: float = 252.0,
    dpi: float = 300,
) -> Drawing:
    """Draw an architecture.

    Cells as graphs with an operation on each edge, what no output hears of in grey; chains of
    blocks as rows of boxes with resolutions and channels above; a `zeroshot.Graph` with norms and
    activations in their neighbour's box and with what repeats drawn once. Colours are those of
    kinds of operations, the same in all spaces.

    Parameters
    ----------
    arch : str, int, sequence, mapping or Graph
        Anything that the space's `parse` takes, or a finished graph of one's own.
    space : str
        One of `zeroshot.list_spaces`; of no meaning for a Graph.
    path : path, optional
        Write an SVG, whose texts are text, or a PNG, by the suffix. The same architecture and
        version of Matplotlib give the same bytes.
    hide_none : bool
        Leave edges with ``none`` out, which are dashed otherwise.
    image_size : int or (int, int), optional
        Height and width of the images, for the resolutions above chains: 224 unless given, 32 for
        NATS-Bench.
    width : float
        Of rows of chains and graphs, in points (1/72 inch): a column of a paper unless given.
        Cells are as wide as they have to be.
    dpi : float
        Pixels per inch of a PNG.

    Returns
    -------
    Drawing
        With `save`, `figure` and a picture for notebooks.

    Raises
    ------
    ImportError
        Without Matplotlib, which ``pip install 'zeroshot[plot]'`` brings.
    ArchitectureError
        If `arch` is none of the space.
    ValueError
        If a value does not fit, as a path with another suffix.

    Examples
    --------
    >>> import zeroshot
    >>> cell = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"
    >>> drawing = zeroshot.draw(cell)  # doctest: +SKIP
    >>> drawing.save("cell.svg")  # doctest: +SKIP
    """
    need_matplotlib()
    options = DrawOptions(hide_none, image_size, width)
    if path is not None:
        check_path(path)
    if isinstance(arch, Graph):
        drawing = Drawing(graphs.network(arch.nodes(), options), repr(arch))
    else:
        where = get_space(space)
        text = where.format(where.parse(arch))
        drawing = Drawing(_SPACES[space](where, text, options), f"{space} {text}")
    if path is not None:
        drawing.save(path, dpi=dpi)
    return drawing
