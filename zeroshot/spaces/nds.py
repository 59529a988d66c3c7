"""What the five spaces of cells in NDS share: `NdsSpace`, their records, and `read_nds`.

The spaces are ``nds_darts``, ``nds_enas``, ``nds_pnas``, ``nds_nasnet`` and ``nds_amoeba``, each in
a module of that name. An architecture is the width, the depth and the genotype of a record::

    w=32;d=20;Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=[4, 5, 6], reduce=[...],
                       reduce_concat=[6])

Pairs 2i and 2i + 1, an operation and the state that it reads, add up to state i + 2; states 0 and 1
are the outputs of the cells before. A node may read one state twice. The nodes in a concatenation
are those that the record lists: all of them in DARTS and PNAS, in the other spaces those that no
other node reads. Spaces, either quote, tuples in place of lists, ``range(2, 6)`` and arguments
without names are read, too.

Functions take that string, a dict as it stands in the files, ``{"genotype": {"normal": ...},
"width": 32, "depth": 20}``, a whole job with such a ``"net"``, a sequence (width, depth, genotype),
or a number in `enumerate_all`.

Every width and depth is read and built, but those of `WIDTHS` and `DEPTHS` are the ones that are
enumerated, drawn and stepped to; concatenations follow the rule there.

References
----------
.. [1] I. Radosavovic, J. Johnson, S. Xie, W.-Y. Lo and P. Dollar, "On Network Design Spaces for
   Visual Recognition", ICCV 2019.
"""

from __future__ import annotations

__all__ = ["DEPTHS", "SPACES", "WIDTHS", "NdsRecord", "NdsSpace", "read_nds"]

import json
import math
import os
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from zeroshot.errors import ArchitectureError, BenchmarkFileError
from zeroshot.spaces._genotype import Cell, CellSpace, item, number, sequence
from zeroshot.spaces._protocol import ArchLike, Genes, load_json

if TYPE_CHECKING:
    import networkx

WIDTHS: Final = (16, 24, 32)
DEPTHS: Final = (4, 8, 12, 16, 20)
SPACES: Final[Mapping[str, str]] = {
    "DARTS": "nds_darts",
    "ENAS": "nds_enas",
    "PNAS": "nds_pnas",
    "NASNet": "nds_nasnet",
    "Amoeba": "nds_amoeba",
}
"""The space of each file, by what its name begins with."""

_MOST_WIDTH, _MOST_DEPTH = 4096, 1024  # as the parser


class NdsSpace(CellSpace):
    """A space of cells in NDS.

    Parameters
    ----------
    name : str
    ops : tuple of str
    n_nodes : int
    concat_unused : bool
        Whether cells concatenate the nodes that no other reads; else all.
    """

    n_header = 2
    has_concat = True
    notations = "a string, a record, (width, depth, genotype) or an index"

    def __init__(self, name: str, ops: tuple[str, ...], n_nodes: int, concat_unused: bool) -> None:
        super().__init__(name, ops, n_nodes)
        self.concat_unused = concat_unused

    # --- notations

    def _from_mapping(self, arch: Mapping[str, Any]) -> Genes:
        net = arch.get("net", arch)
        if not isinstance(net, Mapping):
            raise ArchitectureError(f"arch['net']: expected a record, got {reprlib.repr(net)}")
        return self._of_parts(*(item(net, key, "arch") for key in ("width", "depth", "genotype")))

    def _from_sequence(self, arch: Sequence[Any]) -> Genes:
        if len(arch) != 3:
            raise ArchitectureError(
                f"arch: expected (width, depth, genotype) or {self.n_genes} integers, "
                f"got {len(arch)} items"
            )
        return self._of_parts(*arch)

    def _of_parts(self, width: object, depth: object, genotype: object) -> Genes:
        header = (
            number(width, 1, _MOST_WIDTH, "arch, its width"),
            number(depth, 1, _MOST_DEPTH, "arch, its depth"),
        )
        if isinstance(genotype, Mapping):
            return self._checked(header, *self._cells_of_mapping(genotype, "genotype"))
        parts = sequence(genotype, 4, "its four parts or a mapping", "genotype")
        return self._checked(header, *self._cells_of(parts, "genotype"))

    def to_net(self, arch: ArchLike) -> dict[str, Any]:
        """The record of an architecture, as it stands in the files.

        Examples
        --------
        >>> from zeroshot.spaces import nds_enas
        >>> net = nds_enas.to_net(0)
        >>> net["width"], net["depth"], net["genotype"]["normal"][0]
        (16, 4, ['skip_connect', 0])
        """
        genes = self.parse(arch)
        cells = self.to_genotype(genes)
        return {
            "genotype": {
                "normal": [list(pair) for pair in cells.normal],
                "normal_concat": cells.normal_concat,
                "reduce": [list(pair) for pair in cells.reduce],
                "reduce_concat": cells.reduce_concat,
            },
            "width": genes[0],
            "depth": genes[1],
            "aux": False,
        }

    def to_json(self, arch: ArchLike) -> str:
        """The record of an architecture as JSON; see `to_net`."""
        return json.dumps(self.to_net(arch))

    def from_json(self, text: str | bytes) -> str:
        """The text of a record, or of a job with one, that is JSON."""
        return self.format(self.parse(load_json(text, "of a record")))

    def to_networkx(self, arch: ArchLike) -> tuple[networkx.MultiDiGraph, networkx.MultiDiGraph]:
        """Both cells as graphs, as `CellSpace.to_networkx` says; ``graph.graph`` of each has
        ``width`` and ``depth``."""
        genes = self.parse(arch)
        graphs = super().to_networkx(genes)
        for graph in graphs:
            graph.graph.update(width=genes[0], depth=genes[1])
        return graphs

    def from_networkx(
        self,
        normal: networkx.MultiDiGraph,
        reduce: networkx.MultiDiGraph,
        *,
        width: int | None = None,
        depth: int | None = None,
    ) -> str:
        """The text of two graphs as `to_networkx` makes them. Where edges have no ``pair``, a
        node's stand in the order of their sources. Width and depth are those of the normal cell's
        ``graph.graph`` unless given."""
        width, depth = (
            normal.graph.get(key) if given is None else given
            for key, given in (("width", width), ("depth", depth))
        )
        header = (number(width, 1, _MOST_WIDTH, "width"), number(depth, 1, _MOST_DEPTH, "depth"))
        return self.format(self._checked(header, *self._cells_of_networkx(normal, reduce)))

    # --- the whole space

    def concat_of(self, pairs: Sequence[tuple[int, int]]) -> tuple[int, ...]:
        """The nodes that a cell of these pairs concatenates."""
        read = {source for _, source in pairs} if self.concat_unused else set()
        return tuple(node for node in self.nodes() if node not in read)

    def radices(self) -> tuple[int, ...]:
        of_cell = [radix for i in range(2 * self.n_nodes) for radix in (2 + i // 2, len(self.ops))]
        return (len(WIDTHS), len(DEPTHS), *of_cell, *of_cell)

    def genes_of(self, digits: Sequence[int]) -> Genes:
        pairs = list(zip(digits[3::2], digits[2::2], strict=True))
        half = 2 * self.n_nodes
        cells = (Cell(tuple(some), self.concat_of(some)) for some in (pairs[:half], pairs[half:]))
        return self.join((WIDTHS[digits[0]], DEPTHS[digits[1]]), *cells)

    def digits_of(self, genes: Genes) -> list[int]:
        (width, depth), *cells = self.split(genes)
        if width not in WIDTHS or depth not in DEPTHS:
            raise ArchitectureError(
                f"arch: expected a width of {WIDTHS} and a depth of {DEPTHS}, as others have no "
                f"number, got {width} and {depth}"
            )
        digits = [WIDTHS.index(width), DEPTHS.index(depth)]
        for cell in cells:
            if cell.concat != self.concat_of(cell.pairs):
                raise ArchitectureError(
                    f"arch: expected the concatenation of {list(self.concat_of(cell.pairs))}, as "
                    f"others have no number, got {list(cell.concat)}"
                )
            digits += [digit for op, source in cell.pairs for digit in (source, op)]
        return digits

    # --- steps

    def _after_step(self, cell: Cell) -> Cell:
        return cell._replace(concat=self.concat_of(cell.pairs)) if self.concat_unused else cell

    def _headers(self, header: Genes) -> list[Genes]:
        width, depth = header
        near: list[Genes] = [(other, depth) for other in WIDTHS if other != width]
        return near + [(width, other) for other in DEPTHS if other != depth]


# --- records ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class NdsRecord:
    """A trained network of NDS.

    Attributes
    ----------
    arch : str
        As its space writes it.
    space : str
    width, depth : int
    accuracy : float
        On the test images after the last epoch, in percent.
    params, flops : float
        As the record says; NDS counts multiply-adds and the classifier's bias.
    job_id : int or str or None
    """

    arch: str
    space: str
    width: int
    depth: int
    accuracy: float
    params: float
    flops: float
    job_id: int | str | None = None


def read_nds(path: str | os.PathLike[str], space: str | None = None) -> list[NdsRecord]:
    """The records of a file of NDS, ``DARTS.json``, ``NASNet_in.json`` and so on.

    Parameters
    ----------
    path : path
        A list of jobs, or an object whose lists ``top`` and ``mid`` follow each other.
    space : str, optional
        One of `SPACES`. Default: by the name of the file.

    Returns
    -------
    list of NdsRecord
        In the order of the file. Networks of files for ImageNet are built with
        ``builder="imagenet"``; auxiliary heads are not looked at.

    Raises
    ------
    BenchmarkFileError
        If it is no such file; with the number of the job.
    ValueError
        If there is no such space, or the name of the file tells none.
    """
    from zeroshot.spaces import get_space  # which imports this package's modules by name

    where = Path(path)
    if space is None:
        space = SPACES.get(where.name.partition(".")[0].partition("_")[0])
        if space is None:
            raise ValueError(
                f"space: expected one of {', '.join(SPACES.values())}, as the name of the file "
                f"begins with none of {', '.join(SPACES)}; got {where.name!r}"
            )
    elif space not in SPACES.values():
        raise ValueError(f"space: expected one of {', '.join(SPACES.values())}; got {space!r}")
    try:
        found = json.loads(where.read_bytes())
    except (ValueError, RecursionError) as error:
        raise BenchmarkFileError(f"{where}: expected JSON, {error}") from None
    return [
        _record(job, get_space(space), f"{where}, job {i}")
        for i, job in enumerate(_jobs(found, where))
    ]


def _jobs(found: object, where: Path) -> list[Any]:
    if isinstance(found, Mapping) and all(isinstance(found.get(k), list) for k in ("top", "mid")):
        return [*found["top"], *found["mid"]]
    if isinstance(found, list):
        return found
    raise BenchmarkFileError(
        f"{where}: expected a list of jobs or an object with the lists 'top' and 'mid', "
        f"got {reprlib.repr(found)}"
    )


def _record(job: object, space: Any, where: str) -> NdsRecord:
    if not isinstance(job, Mapping):
        raise BenchmarkFileError(f"{where}: expected an object, got {reprlib.repr(job)}")
    for key in ("net", "test_ep_top1", "params", "flops"):
        if key not in job:
            raise BenchmarkFileError(f"{where}: expected the key {key!r}")
    errors = job["test_ep_top1"]
    if not isinstance(errors, list) or not errors:
        raise BenchmarkFileError(
            f"{where}, 'test_ep_top1': expected an error in percent for each epoch, "
            f"got {reprlib.repr(errors)}"
        )
    try:
        genes = space.parse(job)
    except (ArchitectureError, TypeError) as error:
        raise BenchmarkFileError(f"{where}: {error}") from None
    return NdsRecord(
        arch=space.format(genes),
        space=space.NAME,
        width=genes[0],
        depth=genes[1],
        accuracy=100.0 - _number(errors[-1], f"{where}, 'test_ep_top1'"),
        params=_number(job["params"], f"{where}, 'params'"),
        flops=_number(job["flops"], f"{where}, 'flops'"),
        job_id=job.get("job_id"),
    )


def _number(value: object, where: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise BenchmarkFileError(f"{where}: expected a number, got {reprlib.repr(value)}")
