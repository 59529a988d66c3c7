"""PyTorch modules become graphs with the same logits and gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import zeroshot
from zeroshot import InterchangeError

from .common import assert_is_module, assert_same, batch, our_gradients

torch = pytest.importorskip("torch", reason="PyTorch is not installed: no module is read")
nn, F = torch.nn, torch.nn.functional

from .models import MODELS, FactorizedReduce  # noqa: E402

SLOW = ("resnet18", "mobilenet_v2", "efficientnet_b0")


def still(module: Any) -> Any:
    """In training mode and float64, but for dropout."""
    module = module.double().train()
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.eval()
    return module


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in MODELS]
)
def test_known_network_has_logits_and_gradients_of_module(name: str) -> None:
    make, size = MODELS[name]
    torch.manual_seed(0)
    module = still(make(classes=7))
    graph, weights = zeroshot.from_torch(module, (3, size, size), weights=True)
    assert_is_module(graph, weights, module)
    assert zeroshot.count(graph).params == sum(p.numel() for p in module.parameters())


def test_running_statistics_are_those_of_evaluation() -> None:
    torch.manual_seed(0)
    module = MODELS["darts"][0]().double()
    module(torch.randn(8, 3, 16, 16, dtype=torch.float64))  # moves the statistics
    graph, weights = zeroshot.from_torch(module, (3, 16, 16), weights=True, batch_norm="running")
    x, y = batch((3, 16, 16), 10)
    want = module.eval()(torch.tensor(x)).detach().numpy()
    assert_same(our_gradients(graph, weights, x, y).logits, want, "logits")


class Piece(nn.Module):
    """A convolution, what is tested, and a head that sees every channel."""

    def __init__(
        self,
        function: Callable[..., Any],
        *layers: Any,
        channels: int = 6,
        makes_vector: bool = False,
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.layers = nn.ModuleList(layers)
        self.function, self.makes_vector = function, makes_vector
        self.head = nn.Linear(channels, 5)

    def forward(self, x: Any) -> Any:
        y = self.function(4 * self.stem(x), *self.layers)
        return self.head(y if self.makes_vector else y.mean((2, 3)))


def inplace(x: Any) -> Any:
    y = F.relu(x, inplace=True)
    return x - 0.5 * y * y  # x is y


def residual(x: Any) -> Any:
    y = x * 2
    y += x
    return y


def shortcut_a(x: Any) -> Any:
    return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 3))


def next_block(x: Any, depthwise: Any, norm: Any, wide: Any, narrow: Any) -> Any:
    y = norm(depthwise(x).permute(0, 2, 3, 1))
    return x + narrow(F.gelu(wide(y))).permute(0, 3, 1, 2)


def split_attention(x: Any) -> Any:
    a, b = x.chunk(2, dim=1)
    return torch.cat([a * torch.sigmoid(b), b, torch.tanh(a)], 1)


PIECES: dict[str, Callable[[], Any]] = {
    "relu6 as hardtanh": lambda: Piece(lambda x: F.hardtanh(x, 0.0, 6.0)),
    "silu as a product": lambda: Piece(lambda x: x * torch.sigmoid(x)),
    "hard swish by parts": lambda: Piece(lambda x: x * F.relu6(x + 3) / 6),
    "hard sigmoid by parts": lambda: Piece(lambda x: torch.clamp(x / 6 + 0.5, 0, 1)),
    "gelu by the error function": lambda: Piece(
        lambda x: 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))
    ),
    "scaled activation": lambda: Piece(lambda x: 0.25 * torch.tanh(x)),
    "difference": lambda: Piece(lambda x: torch.relu(x) - 0.5 * torch.sigmoid(x)),
    "written in place": lambda: Piece(inplace),
    "residual in place": lambda: Piece(residual),
    "product of two": lambda: Piece(lambda x, a: a(x) * torch.relu(x), nn.Conv2d(6, 6, 1)),
    "squeeze and excitation": lambda: Piece(
        lambda x, a: x * torch.sigmoid(a(x.mean((2, 3), keepdim=True))), nn.Conv2d(6, 6, 1)
    ),
    "attention to pixels": lambda: Piece(lambda x, a: torch.sigmoid(a(x)) * x, nn.Conv2d(6, 1, 1)),
    "stride 2 with padding at the end": lambda: Piece(
        lambda x, a: a(F.pad(x, (0, 1, 0, 1))), nn.Conv2d(6, 6, 3, 2)
    ),
    "stride 1 with padding at the end": lambda: Piece(
        lambda x, a: a(F.pad(x, (0, 2, 0, 2))), nn.Conv2d(6, 6, 3)
    ),
    "padding, then pooling": lambda: Piece(lambda x: F.avg_pool2d(F.pad(x, (1, 1, 1, 1)), 3, 2)),
    "same padding": lambda: Piece(lambda x, a: a(x), nn.Conv2d(6, 6, 4, padding="same")),
    "factorized reduction": lambda: Piece(lambda x, a: a(x), FactorizedReduce(6, 8), channels=8),
    "padded factorized reduction": lambda: Piece(
        lambda x, a, b: torch.cat([a(x), b(F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:])], 1),
        nn.Conv2d(6, 2, 1, 2),
        nn.Conv2d(6, 4, 1, 2),
    ),
    "shortcut without weights": lambda: Piece(shortcut_a, channels=11),
    "pooling to 2 x 2": lambda: Piece(lambda x: F.adaptive_avg_pool2d(x, 2)),
    "pooling that keeps the last window": lambda: Piece(
        lambda x: F.max_pool2d(x, 2, 2, ceil_mode=True)
    ),
    "norm without weights": lambda: Piece(lambda x, a: a(x), nn.BatchNorm2d(6, affine=False)),
    "norm of a vector": lambda: Piece(
        lambda x, a: a(x.mean((2, 3))), nn.BatchNorm1d(6), makes_vector=True
    ),
    "reshaped by its size": lambda: Piece(
        lambda x: F.adaptive_avg_pool2d(x, 1).reshape(x.size(0), x.shape[1]), makes_vector=True
    ),
    "halves": lambda: Piece(split_attention, channels=9),
    "flattened map": lambda: Piece(
        lambda x, a: a(torch.flatten(F.max_pool2d(x, 4), 1)),
        nn.Linear(24, 6),
        makes_vector=True,
    ),
    "ConvNeXt's block": lambda: Piece(
        next_block,
        nn.Conv2d(6, 6, 7, padding=3, groups=6),
        nn.LayerNorm(6, eps=1e-6),
        nn.Linear(6, 24),
        nn.Linear(24, 6),
    ),
    "group norm": lambda: Piece(lambda x, a: a(x), nn.GroupNorm(3, 6)),
    "linear over positions": lambda: Piece(
        lambda x, a: torch.relu(a(x.flatten(2))).mean(2), nn.Linear(64, 64), makes_vector=True
    ),
}


@pytest.mark.parametrize("name", PIECES)
def test_piece_has_logits_and_gradients_of_module(name: str) -> None:
    torch.manual_seed(1)
    module = still(PIECES[name]())
    graph, weights = zeroshot.from_torch(module, (3, 8, 8), weights=True)
    x, y = batch((3, 8, 8), 5)
    assert_is_module(graph, weights, module)
    assert np.isfinite(zeroshot.gradsign(graph, x, y, n_samples=4))


def test_activation_by_parts_is_one_op() -> None:
    for name, op in {
        "silu as a product": "silu", "hard swish by parts": "hard_swish",
        "gelu by the error function": "gelu", "relu6 as hardtanh": "relu6",
    }.items():  # fmt: skip
        graph = zeroshot.from_torch(PIECES[name](), (3, 8, 8))
        assert [n["op"] for n in graph.nodes()][2:-2] == ["add", op], name


def test_weights_are_the_callers_choice() -> None:
    module = MODELS["darts"][0]()
    graph = zeroshot.from_torch(module, (3, 16, 16))
    assert isinstance(graph, zeroshot.Graph)
    x, y = batch((3, 16, 16), 10)
    assert zeroshot.xi_gsnr(graph, x, y, batch_size=2) != zeroshot.xi_gsnr(
        graph, x, y, batch_size=2, seed=1
    )


def test_all_that_is_unsupported_is_named_at_once() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Conv2d(3, 4, 3)
            self.b = nn.PReLU()
            self.c = nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect")
            self.d = nn.Linear(4, 3)

        def forward(self, x: Any) -> Any:
            x = torch.cumsum(self.b(self.a(x)), 1)
            return self.d(self.c(x).mean((2, 3)))

    with pytest.raises(InterchangeError, match=r"PReLU \(b\).*cumsum.*") as caught:
        zeroshot.from_torch(Odd(), (3, 8, 8))
    assert [u.split()[0] for u in caught.value.unsupported] == ["PReLU", "cumsum"]


def add(x: Any, y: Any) -> Any:
    return x + 2 * y


torch.fx.wrap("add")


def test_function_is_known_by_where_it_lives() -> None:
    with pytest.raises(InterchangeError, match=r"add \(add\)"):
        zeroshot.from_torch(Piece(lambda x: add(x, torch.relu(x))), (3, 8, 8))


class Odd(nn.Module):
    """A piece that has a parameter of its own."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.w, self.b = nn.Parameter(torch.ones(6)), nn.Parameter(torch.zeros(6))
        self.stem, self.function = nn.Conv2d(3, 6, 1), function

    def forward(self, x: Any) -> Any:
        return self.function(self.stem(x), self.w, self.b).mean((2, 3))


@pytest.mark.parametrize(
    ("function", "label"),
    [
        (lambda h, w, b: h.clamp(min=h), "clamp"),
        (lambda h, w, b: h * w[:, None, None], "getitem"),
        (lambda h, w, b: h.chunk(0, 1)[0], "chunk"),
        (lambda h, w, b: F.adaptive_avg_pool2d(h, 0), "adaptive_avg_pool2d"),
        (lambda h, w, b: h[:, :, :, :, :], "getitem"),
        (lambda h, w, b: h.split(0, 1)[0], "split"),
    ],
)
def test_arguments_that_do_not_fit_are_named(function: Any, label: str) -> None:
    with pytest.raises(InterchangeError, match=label) as caught:
        zeroshot.from_torch(Odd(function), (3, 8, 8))
    assert caught.value.unsupported[0].startswith(f"{label} (")


@pytest.mark.parametrize(
    "function",
    [
        lambda h, w, b: F.batch_norm(F.batch_norm(h, b, w, w, b), b, w, w, b),
        lambda h, w, b: F.layer_norm(
            F.layer_norm(h.permute(0, 2, 3, 1), (6,), w, b), (6,), w, b
        ).permute(0, 3, 1, 2),
        lambda h, w, b: (h.permute(0, 2, 3, 1) * w * w).permute(0, 3, 1, 2),
    ],
    ids=["batch norm", "layer norm", "factors"],
)
def test_function_that_reads_weights_twice_is_refused(function: Any) -> None:
    with pytest.raises(InterchangeError, match="shares its weights"):
        zeroshot.from_torch(Odd(function), (3, 8, 8))


def test_layers_that_share_a_parameter_are_refused() -> None:
    first, second = nn.BatchNorm2d(6), nn.BatchNorm2d(6)
    second.weight = first.weight
    with pytest.raises(InterchangeError, match="shares its weights"):
        zeroshot.from_torch(Piece(lambda x, a, b: a(b(x)), first, second), (3, 8, 8))


def test_layer_that_is_read_twice_is_refused() -> None:
    conv = nn.Conv2d(6, 6, 1)
    with pytest.raises(InterchangeError, match="shares its weights"):
        zeroshot.from_torch(Piece(lambda x, a: a(a(x)), conv), (3, 8, 8))


def test_writing_into_a_view_is_refused() -> None:
    def function(x: Any) -> Any:
        F.relu(x.flatten(2), inplace=True)
        return x

    with pytest.raises(InterchangeError, match="another view"):
        zeroshot.from_torch(Piece(function), (3, 8, 8))


def test_function_that_is_no_op_is_named() -> None:
    with pytest.raises(InterchangeError, match="computes this function"):
        zeroshot.from_torch(Piece(lambda x: torch.erf(x)), (3, 8, 8))


class Two(nn.Module):
    def forward(self, x: Any) -> Any:
        x = x.mean((2, 3))
        return x, torch.relu(x)


def test_one_of_several_outputs_is_chosen() -> None:
    assert [n["op"] for n in zeroshot.from_torch(Two(), (3, 4, 4), output=1).nodes()] == [
        "input", "global_avg_pool", "relu",
    ]  # fmt: skip
    with pytest.raises(InterchangeError, match="output="):
        zeroshot.from_torch(Two(), (3, 4, 4))
    with pytest.raises(ValueError, match="output: expected a number below 2"):
        zeroshot.from_torch(Two(), (3, 4, 4), output=2)


class One(nn.Module):
    def forward(self, x: Any) -> Any:
        return x.mean((2, 3))


def test_one_output_is_a_list_of_one() -> None:
    for output in (0, -1, None):
        assert len(zeroshot.from_torch(One(), (3, 4, 4), output=output).nodes()) == 2
    for output, error, message in (
        (5, ValueError, "output: expected a number below 1"),
        ("x", TypeError, "output: expected an integer"),
        (0.0, TypeError, "output: expected an integer"),
    ):
        with pytest.raises(error, match=message):
            zeroshot.from_torch(One(), (3, 4, 4), output=output)  # type: ignore[call-overload]


def test_what_cannot_be_traced_says_so() -> None:
    class Branching(nn.Module):
        def forward(self, x: Any) -> Any:
            return x if x.sum() > 0 else -x

    with pytest.raises(InterchangeError, match=r"torch\.fx cannot trace it"):
        zeroshot.from_torch(Branching(), (3, 4, 4))


def test_arguments_are_checked() -> None:
    with pytest.raises(TypeError, match="module: expected"):
        zeroshot.from_torch("resnet18", (3, 4, 4))  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="input_shape: expected"):
        zeroshot.from_torch(Two(), (3, 4))
    with pytest.raises(TypeError, match="input_shape: expected"):
        zeroshot.from_torch(Two(), 5)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="batch_norm: expected"):
        zeroshot.from_torch(Two(), (3, 4, 4), batch_norm="none")  # type: ignore[call-overload]
