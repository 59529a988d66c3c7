"""Activations beside ReLU, their first and second derivatives, and products of images.

At kinks and at NaN derivatives are what PyTorch has there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "ACTIVATIONS",
    "activation",
    "activation_backward",
    "activation_backward_tangent",
    "activation_tangent",
    "multiply",
    "multiply_backward",
    "multiply_backward_tangent",
    "multiply_tangent",
]

Array = NDArray[np.float64]


def _f64(a: ArrayLike) -> Array:
    return np.asarray(a, dtype=np.float64)


# ---- functions and their derivatives -------------------------------------------------------------


def _relu6(x: Array) -> Array:
    return np.where(x < 0, 0.0, np.where(x > 6, 6.0, x))


def _inside(x: Array) -> Array:
    return ((x > -3) & (x < 3)).astype(np.float64)


def _sigmoid(x: Array) -> Array:
    t = np.exp(-np.abs(x))
    y: Array = np.where(x < 0, t, 1.0) / (1 + t)
    return y


def _bell(x: Array) -> Array:
    return _sigmoid(x) * _sigmoid(-x)


def _bell_slope(x: Array) -> Array:
    return -_bell(x) * np.tanh(x / 2)


def _normal(x: Array) -> Array:
    y: Array = 0.5 * _erfc(-x / math.sqrt(2))
    return y


def _erfc(x: Array) -> Array:
    return np.reshape([math.erfc(value) for value in x.ravel()], x.shape)


def _density(x: Array) -> Array:
    y: Array = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    return y


def _tanh_slope(x: Array) -> Array:
    return 4 * _bell(2 * x)


class _Function(NamedTuple):
    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    curvature: Callable[[Array], Array]


_FUNCTIONS: Final[dict[str, _Function]] = {
    "relu6": _Function(
        _relu6,
        lambda x: np.where((x <= 0) | (x >= 6), 0.0, 1.0),
        lambda x: np.zeros_like(x),
    ),
    "sigmoid": _Function(_sigmoid, _bell, _bell_slope),
    "silu": _Function(
        lambda x: x * _sigmoid(x),
        lambda x: _sigmoid(x) + x * _bell(x),
        lambda x: 2 * _bell(x) + x * _bell_slope(x),
    ),
    "hard_sigmoid": _Function(
        lambda x: _relu6(x + 3) / 6,
        lambda x: _inside(x) / 6,
        lambda x: np.zeros_like(x),
    ),
    "hard_swish": _Function(
        lambda x: x * _relu6(x + 3) / 6,
        lambda x: np.where(x <= -3, 0.0, np.where(x < 3, x / 3 + 0.5, 1.0)),
        lambda x: _inside(x) / 3,
    ),
    "gelu": _Function(
        lambda x: x * _normal(x),
        lambda x: _normal(x) + x * _density(x),
        lambda x: 2 * _density(x) - x * x * _density(x),
    ),
    "tanh": _Function(
        lambda x: np.tanh(x),
        _tanh_slope,
        lambda x: -2 * np.tanh(x) * _tanh_slope(x),
    ),
}

ACTIVATIONS: Final = tuple(_FUNCTIONS)


def activation(f: str, x: ArrayLike) -> Array:
    """``f(x)``, element by element; a NaN passes.

    >>> activation("hard_swish", [-4.0, 0.0, 1.5, 4.0])
    array([-0.   ,  0.   ,  1.125,  4.   ])
    """
    return _FUNCTIONS[f].value(_f64(x))


def activation_backward(f: str, x: ArrayLike, dy: ArrayLike) -> Array:
    """``f'(x) dy``.

    >>> activation_backward("relu6", [-1.0, 0.0, 3.0, 6.0], np.ones(4))
    array([0., 0., 1., 0.])
    """
    return _FUNCTIONS[f].slope(_f64(x)) * _f64(dy)


def activation_tangent(f: str, x: ArrayLike, x_dot: ArrayLike) -> Array:
    """``f'(x) x_dot``."""
    return activation_backward(f, x, x_dot)


def activation_backward_tangent(
    f: str, x: ArrayLike, dy: ArrayLike, *, x_dot: ArrayLike, dy_dot: ArrayLike
) -> Array:
    """Derivative of ``f'(x) dy``: ``f''(x) x_dot dy + f'(x) dy_dot``."""
    bent = _FUNCTIONS[f].curvature(_f64(x)) * _f64(x_dot) * _f64(dy)
    return bent + activation_backward(f, x, dy_dot)


# ---- products ------------------------------------------------------------------------------------


def multiply(a: ArrayLike, b: ArrayLike) -> Array:
    """``a b``; where `b` has size 1 along an axis, it stands for all of `a`.

    >>> multiply(np.ones((1, 2, 1, 3)), np.reshape([2.0, 5.0], (1, 2, 1, 1)))[0, :, 0]
    array([[2., 2., 2.],
           [5., 5., 5.]])
    """
    return _f64(a) * _f64(b)


def multiply_backward(a: ArrayLike, b: ArrayLike, dy: ArrayLike) -> list[Array]:
    """Gradients of both: ``dy b``, and ``dy a`` summed over the axes that `b` has once."""
    a, b, dy = _f64(a), _f64(b), _f64(dy)
    once = tuple(axis for axis in range(1, 4) if b.shape[axis] == 1)
    return [dy * b, (dy * a).sum(axis=once, keepdims=True)]


def multiply_tangent(a: ArrayLike, b: ArrayLike, a_dot: ArrayLike, b_dot: ArrayLike) -> Array:
    """``a_dot b + a b_dot``."""
    return multiply(a_dot, b) + multiply(a, b_dot)


def multiply_backward_tangent(
    a: ArrayLike,
    b: ArrayLike,
    dy: ArrayLike,
    *,
    a_dot: ArrayLike,
    b_dot: ArrayLike,
    dy_dot: ArrayLike,
) -> list[Array]:
    """Derivatives of what `multiply_backward` returns, which is bilinear in (a, b) and dy."""
    direct, moved = multiply_backward(a, b, dy_dot), multiply_backward(a_dot, b_dot, dy)
    return [x + y for x, y in zip(direct, moved, strict=True)]
