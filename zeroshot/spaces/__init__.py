"""Search spaces: how architectures are written, enumerated, sampled and compared.

Every space is a module with the functions of `Space`, and is parsed and built by the C core.

>>> list_spaces()[:5]
('nasbench201', 'nats_sss', 'nasbench101', 'darts', 'nasbench301')
>>> get_space("nasbench201").SIZE
15625
"""

from __future__ import annotations

__all__ = ["CANONICAL", "ArchLike", "Canonical", "Genes", "Space", "get_space", "list_spaces"]

import importlib
from typing import cast

from zeroshot import _core
from zeroshot.spaces._protocol import CANONICAL, ArchLike, Canonical, Genes, Space


def list_spaces() -> tuple[str, ...]:
    """Names of all search spaces.

    Returns
    -------
    tuple of str
        As `get_space` takes them.
    """
    return _core.space_names()


def get_space(name: str) -> Space:
    """A search space by its name.

    Parameters
    ----------
    name : str
        One of `list_spaces`.

    Returns
    -------
    Space
        The module ``zeroshot.spaces.<name>``.

    Raises
    ------
    ValueError
        If there is no such space.
    """
    if name not in list_spaces():
        raise ValueError(f"space: expected one of {', '.join(list_spaces())}; got {name!r}")
    return cast(Space, importlib.import_module(f"{__name__}.{name}"))
