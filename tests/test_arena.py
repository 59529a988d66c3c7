"""The arena: what is measured is what is taken; and the faults that tests make it meet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroshot import _testing

ALIGN = 64
SIZE_MAX = 2**64 - 1
sizes_of_blocks = st.lists(st.integers(0, 5000), max_size=30)


@given(sizes_of_blocks)
def test_blocks_are_aligned_and_apart(sizes: list[int]) -> None:
    offsets, capacity = _testing.arena_offsets(sizes)
    ends = [*offsets[1:], capacity][: len(sizes)]
    for size, offset, end in zip(sizes, offsets, ends, strict=True):
        assert offset is not None and end is not None
        assert offset % ALIGN == 0 and offset + size <= end


@given(sizes_of_blocks)
def test_no_more_is_used_than_alignment_asks_for(sizes: list[int]) -> None:
    """But for the guards of sanitizer builds, which are at most as wide as the alignment."""
    _, capacity = _testing.arena_offsets(sizes)
    least = sum(-(-size // ALIGN) * ALIGN for size in sizes)
    assert least <= capacity <= least + ALIGN * len(sizes)


@given(sizes_of_blocks.filter(any), st.integers(1, 6000))
def test_too_small_an_arena_gives_nothing_from_there_on(sizes: list[int], missing: int) -> None:
    whole, full = _testing.arena_offsets(sizes)
    offsets, capacity = _testing.arena_offsets(sizes, missing=missing)
    assert capacity == max(0, full - missing)
    first = offsets.index(None)
    assert offsets[:first] == whole[:first]
    assert offsets[first:] == [None] * (len(sizes) - first)  # the overflow sticks


@pytest.mark.parametrize(
    "sizes", [[SIZE_MAX], [SIZE_MAX - 63], [2**63, 2**63], [64, SIZE_MAX - 200, 64, 64, 64]]
)
def test_sizes_that_overflow_are_refused(sizes: list[int]) -> None:
    with pytest.raises(OverflowError):
        _testing.arena_offsets(sizes)


def test_impossible_allocation_is_a_memory_error() -> None:
    with pytest.raises(MemoryError):
        _testing.arena_offsets([2**62])


def test_alloc_fail_after_fails_the_kth() -> None:
    take = [128]
    _testing.alloc_fail_after(-1)
    _testing.arena_offsets(take)
    per_call = _testing.alloc_count()
    assert per_call == 1
    try:
        _testing.alloc_fail_after(2)
        for fails in (False, False, True, False, False):
            if fails:
                with pytest.raises(MemoryError):
                    _testing.arena_offsets(take)
            else:
                _testing.arena_offsets(take)
        assert _testing.alloc_count() == 5 * per_call

        _testing.alloc_fail_after(1, True)
        _testing.arena_offsets(take)
        for _ in range(3):
            with pytest.raises(MemoryError):
                _testing.arena_offsets(take)
    finally:
        _testing.alloc_fail_after(-1)
    _testing.arena_offsets(take)
