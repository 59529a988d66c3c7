"""Random numbers: MT19937 as everyone has it, PyTorch's draws from it, the counter generator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zeroshot import _testing

from .ops.oracle import UNIT, Array, assert_bits, assert_close

HALF_ULP = UNIT[np.dtype(np.float32)]
Draw = tuple[str, int, float, float]


def draw(seed: int, kind: str, n: int, a: float, b: float) -> Array:
    return _testing.rng_draws(seed, [(kind, n, a, b)])[0]


def unit_uniforms(seed: int, n: int) -> Array:
    """``(low 24 bits of one word) 2^-24`` (as doubles)."""
    return (_testing.rng_u32(seed, n) & 0xFFFFFF) * 2.0**-24


# ---- the stream ----------------------------------------------------------------------------------


def test_words_of_the_standard() -> None:
    """ISO C++ [rand.predef]: the 10000th word of mt19937, default seed 5489."""
    words = _testing.rng_u32(5489, 10000)
    assert words[0] == 3499211612 and words[9999] == 4123659995


@pytest.mark.parametrize("seed", [0, 1, 42, 2**31, 2**32 - 1])
def test_words_are_those_of_numpy(seed: int) -> None:
    bits = np.random.MT19937()
    bits._legacy_seeding(seed)
    assert np.array_equal(_testing.rng_u32(seed, 3000), bits.random_raw(3000))


def test_seeds_count_modulo_2_to_the_32() -> None:
    assert np.array_equal(_testing.rng_u32(2**32 + 7, 700), _testing.rng_u32(7, 700))


# ---- draws ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 15, 623, 624, 625, 5000])
def test_uniform_is_the_rounded_low_24_bits(n: int) -> None:
    u = unit_uniforms(3, n)
    assert_bits(draw(3, "uniform", n, 0, 1), u.astype(np.float32), "[0, 1)")
    for wide in (0.1, 1 / np.sqrt(27), 3.0):
        b = float(np.float32(wide))  # u * 2b - b is exact in double, and rounded once
        got = draw(3, "uniform", n, -wide, wide)
        assert_bits(got, (u * (2 * b) - b).astype(np.float32), "[-b, b)")
        assert (got >= -np.float32(b)).all() and (got < np.float32(b)).all()


def test_uniform_of_any_interval_stays_inside() -> None:
    for lo, hi in [(0.3, 2.5), (-5.0, -4.9999995), (1e-40, 3e-40), (2.0, 2.0)]:
        got = draw(1, "uniform", 2000, lo, hi)
        a, b = np.float32(lo), np.float32(hi)
        assert (got >= a).all() and ((got < b) | (a == b)).all()


def box_muller(u: Array) -> Array:
    """Blocks of 16: uniforms 0 to 7 give radii, 8 to 15 angles."""
    v = u.reshape(-1, 2, 8)
    radius, angle = np.sqrt(-2 * np.log1p(-v[:, :1])), 2 * np.pi * v[:, 1:]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)


@pytest.mark.parametrize("n", [16, 32, 160, 17, 31, 45, 1000])
def test_normal_is_box_and_muller_by_blocks(n: int) -> None:
    """The last 16 are drawn afresh if n is no multiple of 16."""
    u = unit_uniforms(5, n + 16)
    z = np.zeros(n)
    whole = n // 16 * 16
    z[:whole] = box_muller(u[:whole])
    if n % 16:
        z[-16:] = box_muller(u[n:])
    got = draw(5, "normal", n, 0, 1)
    # log, sine and cosine in float are good to 2 ulp; the angle, up to 2 pi, is rounded before
    assert_close(got, z, 16 * HALF_ULP * (1 + abs(z)) * 2 * np.pi, "standard normal")
    moved = draw(5, "normal", n, 1.0, 0.5)
    assert_close(moved, 1 + 0.5 * z, 16 * HALF_ULP * (2 + abs(z)) * 2 * np.pi, "mean and std")


def test_short_normals_come_in_pairs_that_wait() -> None:
    """Three draws of odd length use one pair after the other; long draws leave the spare alone."""
    together = draw(9, "normal", 8, 0, 1)
    apart = _testing.rng_draws(9, [("normal", 3, 0, 1), ("normal", 1, 0, 1), ("normal", 4, 0, 1)])
    assert_bits(np.concatenate(apart), together, "pairs")
    words = _testing.rng_u32(9, 4).astype(object)
    d1, d2 = (float((words[i] << 32 | words[i + 1]) % 2**53) * 2.0**-53 for i in (0, 2))
    radius = np.sqrt(-2 * np.log1p(-d2))
    pair = radius * np.array([np.cos(2 * np.pi * d1), np.sin(2 * np.pi * d1)])
    assert_close(together[:2], pair, 2 * HALF_ULP * abs(pair), "first pair")
    one, _, spare = _testing.rng_draws(
        9, [("normal", 1, 0, 1), ("normal", 16, 0, 1), ("normal", 1, 0, 1)]
    )
    assert one[0] == together[0] and spare[0] == together[1]


def torch_draws(seed: int, draws: Sequence[Draw]) -> list[Array]:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    if torch.backends.cpu.get_cpu_capability() == "DEFAULT":
        pytest.skip("PyTorch draws with AVX2 from here on; this CPU has none")
    torch.manual_seed(seed)
    out = []
    for kind, n, a, b in draws:
        t = torch.empty(n)
        out.append((t.uniform_(a, b) if kind == "uniform" else t.normal_(a, b)).numpy())
    return out


def assert_like_torch(seed: int, draws: Sequence[Draw]) -> None:
    """Bit for bit, but for short normals, whose logarithm, sine and cosine are the C library's."""
    for (kind, n, a, b), got, expected in zip(
        draws, _testing.rng_draws(seed, list(draws)), torch_draws(seed, draws), strict=True
    ):
        if kind == "normal" and n < 16:
            assert_close(got, expected, 2 * HALF_ULP * (abs(expected) + abs(a)), f"{kind} {n}")
        else:
            assert_bits(got, expected, f"{kind} of {n} with {a}, {b}")


def test_draws_are_those_of_torch() -> None:
    for seed in (0, 1, 777):
        assert_like_torch(
            seed,
            [
                ("uniform", 432, -0.19245008, 0.19245008),
                ("normal", 3, 0.0, 1.0),
                ("uniform", 10, 0.0, 1.0),
                ("normal", 1000, 0.0, 0.05),
                ("normal", 17, 1.0, 2.0),
                ("normal", 2, 0.0, 1.0),
                ("uniform", 2000, 0.3, 2.5),
            ],
        )


@settings(max_examples=40)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_any_sequence_of_draws_is_that_of_torch(data: Any, seed: int) -> None:
    small = st.floats(-4, 4, width=32)
    draws: list[Draw] = []
    for _ in range(data.draw(st.integers(1, 6))):
        n = data.draw(st.integers(1, 70))
        if data.draw(st.booleans()):
            low, high = sorted((data.draw(small), data.draw(small)))
            draws.append(("uniform", n, low, high))
        else:
            draws.append(("normal", n, data.draw(small), data.draw(st.floats(0, 4, width=32))))
    assert_like_torch(seed, draws)


# ---- by counter ----------------------------------------------------------------------------------

MASK = 2**64 - 1


def mix64(z: int) -> int:
    """Output function of SplitMix64 (Steele, Lea and Flood 2014)."""
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return z ^ (z >> 31)


any_word = st.integers(0, MASK)


@given(any_word, any_word, any_word)
def test_rng_at_is_splitmix(seed: int, stream: int, index: int) -> None:
    gamma = 0x9E3779B97F4A7C15
    start = mix64((mix64((seed + gamma) & MASK) + (stream + 1) * gamma) & MASK)
    word = mix64((start + (index + 1) * gamma) & MASK)
    assert _testing.rng_at(seed, stream, index) == (word >> 11) * 2.0**-53


def test_rng_at_is_uniform() -> None:
    """Mean, and the counts of 16 equal parts, within five standard deviations."""
    n = 16000
    values = np.array([_testing.rng_at(0, 1, i) for i in range(n)])
    assert ((values >= 0) & (values < 1)).all()
    assert abs(values.mean() - 0.5) < 5 / np.sqrt(12 * n)
    counts = np.bincount((values * 16).astype(int), minlength=16)
    assert (abs(counts - n / 16) < 5 * np.sqrt(n / 16)).all()
    assert len(np.unique(values)) == n
