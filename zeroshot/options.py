"""How to run: everything about a call but the architecture, the data and the scores."""

from __future__ import annotations

__all__ = ["Builder", "Options", "RunOptions", "usable_cpus", "with_options"]

import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar

from numpy.typing import ArrayLike

from zeroshot import _core
from zeroshot.inputs import check_int
from zeroshot.spaces import CANONICAL, Canonical, list_spaces

if TYPE_CHECKING:
    from zeroshot._core import CancelToken

Dtype = Literal["float32", "float64"]
Algo = Literal["auto", "direct", "f2", "f4"]
Builder = Literal["autodl", "zerocost", "imagenet", "naslib"]

_MAX_THREADS = 4096  # as the core
_MAX_SIZE = 2**20  # as the core
_SEEDS = 2**32  # MT19937 is seeded by one 32-bit word


@dataclass(frozen=True, kw_only=True)
class Options:
    """The keyword arguments that all functions which run a network have in common.

    Parameters
    ----------
    space : str
        Search space that `arch` is read in, one of `zeroshot.spaces.list_spaces`.
    channels, cells : int, optional
        Width of the stem and cells in a stage of the network that is built (all cells where there
        are no stages). Default: the space's own, 16 and 5 for NAS-Bench-201; where architectures
        say their widths, no `channels` may be given, where they say their depth, no `cells`. A
        `zeroshot.Graph` has its own; `space`, `channels`, `cells` and `num_classes` are not looked
        at then.
    num_classes : int
        Classes of the network that is built.
    builder : {"autodl", "zerocost", "imagenet", "naslib"}
        Whose network is built. ``autodl``, of every space, is the space's own, which has the chosen
        operations. ``imagenet`` is that of DARTS for ImageNet, of ``darts`` and the spaces of NDS;
        ``naslib`` that of NASLib for ``nasbench301``, whose batch norms inside operations have no
        gamma and beta and stand behind pools, too. ``zerocost``, of NAS-Bench-201, is that of
        zero-cost-nas [1]_ and so of GradSign: it builds all five operations on every edge and runs
        the chosen ones, so that all networks have the same weights (1,685,552 with the defaults).
        Weights of operations that are not chosen are dead: their gradient is missing in PyTorch,
        which zero-cost-nas replaces by zeros, and zero here. They count as zeros, as all dead
        weights do: in the number of weights, in the interval of `Sweet` that holds zero
        (Sweetimator's code, made for ``autodl``, leaves out weights that have no gradient), in
        means. Convolutions of its cells have a bias, their batch norm has no gamma and beta.
    seed : int
        Of the initial weights, taken modulo 2**32. With ``init="torch"`` they are, bit for bit,
        what PyTorch draws after ``torch.manual_seed(seed)``.
    canonical : bool or {"form", "network"}
        Score equal architectures once: the network that is built is that of the space's
        `representative`, with the weights that its seed gives, and stands for all that are equal to
        it. Results say what was scored; scores that count weights without a gradient still count
        the architecture's own dead ones. Published protocols score each architecture by itself.

        ``"form"``, which True means: equal are those that compute the same formula, whichever terms
        share their weights, `function_form` (NAS-Bench-201: 4,930 of 15,625 with 1/2.28 of the live
        multiply-adds). One convolution that is added twice and two convolutions that are added are
        one form, but not one network: 326 forms, with 2,432 cells, have members with different
        numbers of live weights, and the member with the least work is scored. Scored by themselves,
        members of 12 such forms (8 channels, 1 cell, five seeds) were up to 2.4 times apart by
        Sweetimator and 1.4 times by xi-GSNR, many times the deviation over seeds.

        ``"network"``: equal are those that are the same network up to the draw of weights,
        `network_form` (5,260 with 1/2.12); members scored by themselves differ as seeds do. With
        ``builder="zerocost"``, where all networks have the same weights, live or dead, only this
        one: members of a form do not all have the same number of live ones.
    init : str
        One of ``torch`` (PyTorch's default), ``xavier_uniform``, ``xavier_normal``,
        ``kaiming_uniform``, ``kaiming_normal``, the last two with ``_fan_out``, ``orthogonal``,
        ``normal`` (standard normal), and those with which papers redraw the weights of their
        networks, biases 0: convolutions as ``kaiming_normal_fan_out`` (depthwise ones with the
        fan-out of all channels) by ``nasbench101`` (linear layers with deviation 0.01),
        ``proxylessnas`` (linear layers stay as they were drawn first) and ``fairnas``, timm's
        "goog" (linear layers uniform within 1 / sqrt(outputs)); linear layers alone by
        ``burgerformer`` (normal with deviation 0.02). All but ``torch`` draw after its weights are
        drawn.
    weights : mapping of str to array_like, optional
        The caller's own weights by name (`zeroshot.weight_names`), OIHW; names that are left out
        are initialised. For a PyTorch ``state_dict`` see `zeroshot.from_state_dict`.
    dtype : {"float32", "float64"}
        Of activations and gradients. Sums that reach a score are float64 in both.
    n_threads : int, optional
        Default: as many as there are processors to run on. Results do not depend on it.
    kernels : str
        Kernel table, ``auto`` or one of `zeroshot.show_config`. Tables differ in rounding.
    algo : {"auto", "direct", "f2", "f4"}
        How 3x3 convolutions are computed in float32: as sums of products (``direct``) or, where
        they apply, by Winograd's F(2x2, 3x3) (``f2``), with fewer products and the same rounding,
        or F(4x4, 3x3) (``f4``), with fewer still and some ten times the rounding of one layer.
        ``auto`` takes ``f2`` for scores that look at signs and ``f4`` for all others. float64 is
        always direct.
    recompute : bool
        Take less memory and more time, at the most that of another forward pass: backward makes
        activations again, block by block, in place of keeping them all. Results do not depend on
        it. Otherwise that is done where an architecture takes more than `max_bytes` without, or
        8 GB; sums, activations and batch norms alone are made again from 256 MiB on.
    max_bytes : int, optional
        MemoryError instead of taking more than that for one architecture.
    cancel : CancelToken, optional
        Stops the call from another thread, which then raises `zeroshot.errors.Cancelled`.

    References
    ----------
    .. [1] M. S. Abdelfattah, A. Mehrotra, L. Dudziak and N. D. Lane, "Zero-Cost Proxies for
       Lightweight NAS", ICLR 2021.
    """

    space: str = "nasbench201"
    channels: int | None = None
    cells: int | None = None
    num_classes: int = 10
    builder: Builder = "autodl"
    seed: int = 0
    canonical: bool | Canonical = False
    init: str = "torch"
    weights: Mapping[str, ArrayLike] | None = field(default=None, repr=False)
    dtype: Dtype = "float32"
    n_threads: int | None = None
    kernels: str = "auto"
    algo: Algo = "auto"
    recompute: bool = False
    max_bytes: int | None = None
    cancel: CancelToken | None = None

    def __post_init__(self) -> None:
        _check_name("space", self.space, list_spaces())
        _check_name("builder", self.builder, _core.space_builders())
        _check_name("init", self.init, _core.list_inits())
        _check_name("dtype", self.dtype, ("float32", "float64"))
        usable = tuple(name for name, usable in _core.kernel_tables() if usable)
        _check_name("kernels", self.kernels, ("auto", *usable))
        _check_name("algo", self.algo, ("auto", "direct", "f2", "f4"))
        # the core has closer bounds for what is built of these
        for name in ("channels", "cells", "num_classes"):
            if (value := getattr(self, name)) is not None or name == "num_classes":
                object.__setattr__(self, name, check_int(name, value, 1, _MAX_SIZE))
        object.__setattr__(self, "seed", check_seed("seed", self.seed))
        if not isinstance(self.recompute, bool):
            raise TypeError(f"recompute: expected a bool, got {self.recompute!r}")
        if self.n_threads is not None:
            check_int("n_threads", self.n_threads, 1, _MAX_THREADS)
        if self.max_bytes is not None:
            check_int("max_bytes", self.max_bytes, 1)
        if self.weights is not None and not isinstance(self.weights, Mapping):
            raise TypeError(
                f"weights: expected a mapping of names to arrays, got {type(self.weights).__name__}"
            )
        if not isinstance(self.canonical, bool):
            is_text = isinstance(self.canonical, str)
            if not is_text or self.canonical not in CANONICAL:
                modes = " or ".join(f'"{mode}"' for mode in CANONICAL)
                wrong = ValueError if is_text else TypeError
                raise wrong(f"canonical: expected False, True, {modes}; got {self.canonical!r}")
        if self.canonical_mode == "form" and self.builder == "zerocost":
            raise ValueError(
                'canonical: expected False or "network" with builder="zerocost", where all '
                "networks have the same weights: a form joins cells with more and fewer live "
                f"ones; got {self.canonical!r}"
            )
        if self.canonical and self.weights is not None:
            raise ValueError(
                "canonical: expected False where weights are given, as other architectures than "
                "theirs would be scored with them"
            )
        if self.cancel is not None and not isinstance(self.cancel, _core.CancelToken):
            raise TypeError(f"cancel: expected a CancelToken, got {type(self.cancel).__name__}")

    @property
    def threads(self) -> int:
        """`n_threads`, or its default."""
        return usable_cpus() if self.n_threads is None else int(self.n_threads)

    @property
    def network_size(self) -> tuple[int, int]:
        """`channels` and `cells`, or their defaults; no channels where architectures say them."""
        channels, cells = _core.space_defaults(self.space)
        return (
            channels if self.channels is None else self.channels,
            cells if self.cells is None else self.cells,
        )

    @property
    def canonical_mode(self) -> Canonical | None:
        """`canonical` in one word; None without it."""
        if isinstance(self.canonical, bool):
            return "form" if self.canonical else None
        return self.canonical


class RunOptions(TypedDict, total=False):
    """`Options` as keyword arguments, for type checkers."""

    space: str
    channels: int | None
    cells: int | None
    num_classes: int
    builder: Builder
    seed: int
    canonical: bool | Canonical
    init: str
    weights: Mapping[str, ArrayLike] | None
    dtype: Dtype
    n_threads: int | None
    kernels: str
    algo: Algo
    recompute: bool
    max_bytes: int | None
    cancel: CancelToken | None


def _check_name(name: str, value: object, known: tuple[str, ...]) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{name}: expected a string, got {type(value).__name__}")
    if value not in known:
        raise ValueError(f"{name}: expected one of {', '.join(known)}; got {value!r}")


def check_seed(name: str, value: object) -> int:
    """A seed modulo 2**32, as PyTorch's CPU generator takes it."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name}: expected an integer, got {value!r}")
    return int(value.__index__()) % _SEEDS


def usable_cpus() -> int:
    """Processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


F = TypeVar("F", bound=Callable[..., Any])


def with_options(function: F) -> F:
    """Show the fields of `Options` in the signature, in place of ``**options``."""
    own = inspect.signature(function)
    named = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
    common = [
        inspect.Parameter(
            f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=f.type
        )
        for f in fields(Options)
    ]
    function.__signature__ = own.replace(parameters=[*named, *common])  # type: ignore[attr-defined]
    return function
