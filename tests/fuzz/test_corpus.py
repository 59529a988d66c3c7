"""The inputs that fuzzing keeps, through the extension as it is installed."""

from __future__ import annotations

import pytest

import zeroshot
from zeroshot import _core

from .run import list_spaces, read_corpus


def test_every_space_is_fuzzed() -> None:
    assert sorted(list_spaces()) == sorted(zeroshot.list_spaces())
    assert [space for space in list_spaces() if len(read_corpus(space)) < 5] == []


@pytest.mark.parametrize("space", list_spaces())
def test_inputs_are_taken_or_refused(space: str) -> None:
    taken = 0
    for data in read_corpus(space):
        if data[:1] == b"\0":  # genes
            continue
        try:
            genes = _core.space_parse(space, data[1:])
        except zeroshot.ArchitectureError as error:
            assert str(error)
            continue
        taken += 1
        assert _core.space_parse(space, _core.space_format(space, genes)) == genes
    assert taken > 0
