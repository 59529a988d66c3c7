"""The inputs that fuzzing keeps, through the extension as it is installed."""

from __future__ import annotations

import struct

import pytest

import zeroshot
from zeroshot import _core
from zeroshot.spaces import get_space

from .run import list_spaces, read_corpus


def test_every_space_is_fuzzed() -> None:
    assert sorted(list_spaces()) == sorted(zeroshot.list_spaces())
    assert [space for space in list_spaces() if len(read_corpus(space)) < 5] == []


def genes_of(data: bytes, n_genes: int) -> tuple[int, ...]:
    """Genes of two bytes, low one first; 0 where there are none left (as fuzz_space.c has it)."""
    read = data[1 : 1 + 2 * n_genes]
    found = struct.unpack(f"<{len(read) // 2}h", read[: len(read) // 2 * 2])
    return (*found, *[0] * (n_genes - len(found)))


@pytest.mark.parametrize("space", list_spaces())
def test_inputs_are_taken_or_refused(space: str) -> None:
    """Genes, where a line begins with the byte 0, else text."""
    taken = {"text": 0, "genes": 0}
    n_genes = len(_core.space_parse(space, get_space(space).sample(1, 0)[0]))
    for data in read_corpus(space):
        is_text = data[:1] != b"\0"
        try:
            genes = _core.space_parse(space, data[1:]) if is_text else genes_of(data, n_genes)
            text = _core.space_format(space, genes)
        except zeroshot.ArchitectureError as error:
            assert str(error)
            continue
        taken["text" if is_text else "genes"] += 1
        assert _core.space_parse(space, text) == genes
    assert taken["text"] > 0 and taken["genes"] > 0
