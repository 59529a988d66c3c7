"""PyTorch out: the source of a module that is the network, for a reader and for training."""

from __future__ import annotations

__all__ = ["to_torch_source", "torch_state"]

import os
import re
import zipfile
from collections.abc import Callable, Mapping
from keyword import iskeyword
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zeroshot.config import VERSION
from zeroshot.inputs import check_pair
from zeroshot.interchange.exported import Exported, prepare
from zeroshot.network import AnyArch
from zeroshot.options import Builder, Options

Node: TypeAlias = dict[str, Any]

# Names that a module or the file has already.
_RESERVED = """
F FixedBatchNorm2d T_destination
add_module apply bfloat16 buffers call_super_init children compile cpu
cuda double dump_patches eval extra_repr float forward get_buffer get_extra_state
get_parameter get_submodule half ipu load_state_dict load_weights logits matmul modules
mtia named_buffers named_children named_modules named_parameters nn parameters
register_backward_hook register_buffer register_forward_hook register_forward_pre_hook
register_full_backward_hook register_module register_parameter requires_grad_ self
set_extra_state set_submodule share_memory state_dict super to to_empty torch train
training type x xpu zero_grad
"""
_TAKEN = frozenset(_RESERVED.split())

_FIXED_NORM = '''
class FixedBatchNorm2d(nn.BatchNorm2d):
    """Normalises by its running statistics, in training too."""

    def train(self, mode=True):
        return super().train(False)

'''

_MATMUL = '''
def matmul(a, b, heads, transpose_b, scale):
    """Product of two maps as matrices of positions and channels, head by head."""
    n, _, height, width = a.shape
    a, b = (t.reshape(n, heads, t.shape[1] // heads, -1) for t in (a, b))
    y = b.transpose(2, 3) @ a if transpose_b else b @ a
    return (scale * y).reshape(n, -1, height, width)

'''

_LOADER = '''
def load_weights(module, path):
    """Read the weights that `path`, an npz file, has for `module`; returns `module`."""
    import numpy as np

    with np.load(path) as file:
        state = {{name: torch.from_numpy(file[name]) for name in file}}
    unknown = module.load_state_dict(state, strict=False).unexpected_keys
    if unknown:
        raise ValueError(f"{{path}} has weights of another network: {{unknown[0]}}")
    return module


if __name__ == "__main__":
    net = {name}()
    print(net(torch.randn(2, {shape})).shape, sum(p.numel() for p in net.parameters()))
'''


def to_torch_source(
    arch: AnyArch,
    path: str | os.PathLike[str] | None = None,
    *,
    weights: Mapping[str, ArrayLike] | bool | None = None,
    class_name: str = "Network",
    space: str = "nasbench201",
    channels: int | None = None,
    cells: int | None = None,
    input_size: int | tuple[int, int] = 32,
    num_classes: int = 10,
    builder: Builder = "autodl",
    init: str = "torch",
    seed: int = 0,
) -> str:
    """Source of a PyTorch module that is the network: one line per layer, one per operation.

    The module needs only torch. In training mode, which is how it is made, its batch norm takes the
    statistics of the batch, as scores do; logits and gradients are then those of the network here.

    Parameters
    ----------
    arch : str, int, sequence or Graph
    path : path, optional
        File to write the source to. With `weights` they go beside it, as ``.npz`` under the
        module's names, which the function ``load_weights`` of the source reads.
    weights : mapping of str to array_like or bool, optional
        True: those that `init` and `seed` draw; a mapping (`weight_names`) replaces some or all.
    class_name : str
    space, channels, cells, num_classes, builder, init, seed
        As for `zeroshot.score`.
    input_size : int or (int, int)
        Height and width of an image; a `Graph` has its own.

    Returns
    -------
    str

    Examples
    --------
    >>> source = to_torch_source("|skip_connect~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|none~2|")
    >>> "self.stem_conv = nn.Conv2d(3, 16, 3, padding=1, bias=False)" in source
    True
    """
    if not class_name.isidentifier() or iskeyword(class_name) or class_name in _TAKEN:
        raise ValueError(f"class_name: expected a name for a class, got {class_name!r}")
    options = Options(
        space=space, channels=channels, cells=cells, num_classes=num_classes, builder=builder,
        init=init, seed=seed,
    )  # fmt: skip
    check_pair("input_size", input_size, 1)
    given = weights if isinstance(weights, Mapping) else None
    wanted = given is not None or bool(weights)
    if wanted and path is None:
        raise ValueError("weights: expected a path to write them beside; see torch_state")
    exported = prepare(arch, options, given, input_size, draw=wanted)
    source = _Writer(exported, class_name).source()
    if path is not None:
        Path(path).write_text(source, encoding="utf-8")
        if wanted:
            _save(Path(path).with_suffix(".npz"), _state(exported))
    return source


def torch_state(
    arch: AnyArch, weights: Mapping[str, ArrayLike], *, space: str = "nasbench201", **size: Any
) -> dict[str, NDArray[Any]]:
    """Weights under the names that the module of `to_torch_source` has for them.

    Parameters
    ----------
    arch, space
        As for `to_torch_source`.
    **size
        ``channels``, ``cells``, ``num_classes``, ``builder`` and ``input_size``, as there.
    weights : mapping of str to array_like
        By the names of `weight_names`; others are not looked for.

    Returns
    -------
    dict of str to ndarray
        For ``load_state_dict``, after ``torch.from_numpy``.
    """
    input_size = size.pop("input_size", 32)
    options = Options(space=space, **size)
    return _state(prepare(arch, options, weights, input_size, draw=False))


def _state(exported: Exported) -> dict[str, NDArray[Any]]:
    names = _identifiers(exported.nodes)
    found = {}
    for node in exported.nodes:
        for role, tensor in node["weights"].items():
            if tensor not in exported.weights:
                continue
            name, value = names[node["id"]], exported.weights[tensor]
            if node["op"] == "scale_channels":
                found[name] = value.reshape(-1, 1, 1)
            else:
                found[f"{name}.{_ROLES.get(role, role)}"] = value
    return found


def _save(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """An npz file; `np.savez` would take the name of an array for an argument of its own."""
    with zipfile.ZipFile(path, "w") as file:
        for name, value in arrays.items():
            with file.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asanyarray(value), allow_pickle=False)


_ROLES = {"gamma": "weight", "beta": "bias"}


def _identifiers(nodes: list[Node]) -> dict[int, str]:
    """A Python name for each node."""
    names, used = {0: "x"}, set(_TAKEN)
    for node in nodes[1:]:
        plain = re.sub(r"\W", "_", node["name"], flags=re.ASCII)
        if plain[0].isdigit() or plain.startswith("__") or iskeyword(plain):
            plain = f"n{plain}" if plain[0].isdigit() else f"{plain.lstrip('_')}_"
        plain = plain if plain.strip("_") else f"node{node['id']}"
        name, number = plain, 2
        while name in used:
            name, number = f"{plain}_{number}", number + 1
        used.add(name)
        names[node["id"]] = name
    return names


def _arguments(*shown: object, **named: tuple[object, object]) -> str:
    """Arguments of a call; of the named ones those that are not their default."""
    parts = [_short(value) for value in shown]
    parts += [f"{key}={_short(v)}" for key, (v, default) in named.items() if _short(v) != default]
    return ", ".join(parts)


def _short(value: object) -> str:
    """A pair of equal numbers as one."""
    if isinstance(value, tuple) and len(value) == 2 and value[0] == value[1]:
        value = value[0]
    return repr(value)


class _Writer:
    """Collects lines of `__init__` and of `forward`."""

    def __init__(self, exported: Exported, class_name: str) -> None:
        self.exported, self.class_name = exported, class_name
        self.names = _identifiers(exported.nodes)
        self.layers: list[str] = []
        self.steps: list[str] = []
        self.helpers: dict[str, str] = {}
        self.flat: set[int] = set()  # ids of nodes whose variable is (N, K)
        self.shapes = {node["id"]: tuple(node["shape"]) for node in exported.nodes}

    def source(self) -> str:
        for node in self.exported.nodes[1:]:
            line = _OPS[node["op"]](self, node)
            self.steps.append(f"{self.names[node['id']]} = {line}")
        last = self.exported.nodes[-1]["id"]
        self.steps.append(f"return {self.vector(last)}")
        shape = self.exported.shape
        functional = "import torch.nn.functional as F\n" if "F." in "".join(self.steps) else ""
        body = "\n".join(
            [
                f"class {self.class_name}(nn.Module):",
                "    def __init__(self):",
                "        super().__init__()",
                *[f"        {line}" for line in self.layers],
                "",
                "    def forward(self, x):",
                *[f"        {line}" for line in self.steps],
            ]
        )
        text = (
            f'"""{_plain(self.exported.arch)}\n\n'
            f"Images of {shape}, {self.exported.classes} classes; written by zeroshot {VERSION}.\n"
            f'"""\n\nimport torch\nfrom torch import nn\n{functional}\n'
            + "".join(f"{helper}\n" for helper in self.helpers.values())
            + f"\n{body}\n\n"
            + _LOADER.format(name=self.class_name, shape=", ".join(map(str, shape)))
        )
        return re.sub(r"\n{4,}", "\n\n\n", text)

    # ---- variables -----------------------------------------------------------------------------

    def image(self, node: int) -> str:
        """A variable of shape (N, C, H, W)."""
        name = self.names[node]
        return f"{name}[:, :, None, None]" if node in self.flat else name

    def vector(self, node: int) -> str:
        """A variable of shape (N, K)."""
        name = self.names[node]
        return name if node in self.flat else f"{name}.flatten(1)"

    def inputs(self, node: Node) -> list[str]:
        """Variables of an op that takes vectors where all are."""
        if all(i in self.flat for i in node["inputs"]):
            self.flat.add(node["id"])
            return [self.names[i] for i in node["inputs"]]
        return [self.image(i) for i in node["inputs"]]

    def layer(self, node: Node, constructor: str, arguments: str) -> str:
        """A layer of `__init__`; returns how it is called."""
        name = self.names[node["id"]]
        self.layers.append(f"self.{name} = {constructor}({arguments})")
        return f"self.{name}"

    def in_channels(self, node: Node) -> int:
        return int(self.shapes[node["inputs"][0]][0])


def _plain(text: str) -> str:
    """Text that may stand in a docstring."""
    safe = "".join(c if c.isprintable() and c not in '\\"' else "?" for c in text)
    return safe if len(safe) <= 400 else f"{safe[:400]}..."


# ---- ops -----------------------------------------------------------------------------------------


def _conv2d(w: _Writer, node: Node) -> str:
    a = node["attrs"]
    arguments = _arguments(
        w.in_channels(node), a["out_channels"], a["kernel"], stride=(a["stride"], "1"),
        padding=(a["padding"], "0"), dilation=(a["dilation"], "1"), groups=(a["groups"], "1"),
        bias=(a["bias"], "True"),
    )  # fmt: skip
    return f"{w.layer(node, 'nn.Conv2d', arguments)}({w.image(node['inputs'][0])})"


def _linear(w: _Writer, node: Node) -> str:
    a, x = node["attrs"], node["inputs"][0]
    arguments = _arguments(w.in_channels(node), a["out_features"], bias=(a["bias"], "True"))
    layer = w.layer(node, "nn.Linear", arguments)
    if tuple(w.shapes[x][1:]) == (1, 1):
        w.flat.add(node["id"])
        return f"{layer}({w.vector(x)})"
    return f"{layer}({w.image(x)}.movedim(1, 3)).movedim(3, 1)"


def _linear_spatial(w: _Writer, node: Node) -> str:
    _, height, width = w.shapes[node["inputs"][0]]
    n = height * width
    layer = w.layer(node, "nn.Linear", _arguments(n, n, bias=(node["attrs"]["bias"], "True")))
    return f"{layer}({w.image(node['inputs'][0])}.flatten(2)).unflatten(2, ({height}, {width}))"


def _batch_norm(w: _Writer, node: Node) -> str:
    a, x = node["attrs"], w.image(node["inputs"][0])
    if a["mode"] == "identity":
        return x
    arguments = _arguments(
        w.in_channels(node), eps=(a["eps"], "1e-05"), affine=(a["affine"], "True")
    )
    if a["mode"] == "batch":
        return f"{w.layer(node, 'nn.BatchNorm2d', arguments)}({x})"
    w.helpers["norm"] = _FIXED_NORM
    return f"{w.layer(node, 'FixedBatchNorm2d', arguments)}({x})"


def _group_norm(w: _Writer, node: Node) -> str:
    a = node["attrs"]
    arguments = _arguments(
        a["groups"], w.in_channels(node), eps=(a["eps"], "1e-05"), affine=(a["affine"], "True")
    )
    return f"{w.layer(node, 'nn.GroupNorm', arguments)}({w.image(node['inputs'][0])})"


def _layer_norm(w: _Writer, node: Node) -> str:
    a = node["attrs"]
    arguments = _arguments(
        w.in_channels(node), eps=(a["eps"], "1e-05"), elementwise_affine=(a["affine"], "True")
    )
    layer = w.layer(node, "nn.LayerNorm", arguments)
    return f"{layer}({w.image(node['inputs'][0])}.movedim(1, 3)).movedim(3, 1)"


def _scale_channels(w: _Writer, node: Node) -> str:
    name, initial = w.names[node["id"]], node["attrs"]["initial"]
    size = f"({w.in_channels(node)}, 1, 1)"
    w.layers.append(f"self.{name} = nn.Parameter(torch.full({size}, {initial!r}))")
    return f"{w.image(node['inputs'][0])} * self.{name}"


def _max_pool(w: _Writer, node: Node) -> str:
    a = node["attrs"]
    arguments = _arguments(
        a["kernel"], stride=(a["stride"], _short(a["kernel"])), padding=(a["padding"], "0"),
        dilation=(a.get("dilation", (1, 1)), "1"),
    )  # fmt: skip
    return f"F.max_pool2d({w.image(node['inputs'][0])}, {arguments})"


def _avg_pool(w: _Writer, node: Node) -> str:
    a = node["attrs"]
    include = a["count_include_pad"] or not any(a["padding"])
    arguments = _arguments(
        a["kernel"], stride=(a["stride"], _short(a["kernel"])), padding=(a["padding"], "0"),
        count_include_pad=(include, "True"),
    )  # fmt: skip
    return f"F.avg_pool2d({w.image(node['inputs'][0])}, {arguments})"


def _add(w: _Writer, node: Node) -> str:
    terms = zip(w.inputs(node), node["attrs"]["coef"], strict=True)
    text = " + ".join(x if c == 1.0 else f"{c!r} * {x}" for x, c in terms)
    return text.replace("+ -", "- ")


def _multiply(w: _Writer, node: Node) -> str:
    return " * ".join(w.inputs(node))


def _concat(w: _Writer, node: Node) -> str:
    return f"torch.cat([{', '.join(w.inputs(node))}], 1)"


def _zero(w: _Writer, node: Node) -> str:
    s = node["attrs"]["stride"]
    return f"{w.image(node['inputs'][0])}{f'[:, :, ::{s}, ::{s}]' * (s > 1)} * 0.0"


def _slice_channels(w: _Writer, node: Node) -> str:
    start, count = node["attrs"].get("start", 0), node["attrs"]["channels"]
    return f"{w.image(node['inputs'][0])}[:, {start or ''}:{start + count}]"


def _flatten(w: _Writer, node: Node) -> str:
    w.flat.add(node["id"])
    return w.vector(node["inputs"][0])


def _matmul(w: _Writer, node: Node) -> str:
    w.helpers["matmul"] = _MATMUL
    a = node["attrs"]
    x, y = (w.image(i) for i in node["inputs"])
    return f"matmul({x}, {y}, {a['heads']}, {a['transpose_b']}, {a['scale']!r})"


def _softmax(w: _Writer, node: Node) -> str:
    x, groups = w.image(node["inputs"][0]), node["attrs"]["groups"]
    if groups == 1:
        return f"{x}.softmax(1)"
    return f"{x}.unflatten(1, ({groups}, -1)).softmax(2).flatten(1, 2)"


def _elementwise(pattern: str) -> Callable[[_Writer, Node], str]:
    return lambda w, node: pattern.format(w.inputs(node)[0])


def _on_image(pattern: str) -> Callable[[_Writer, Node], str]:
    return lambda w, node: pattern.format(w.image(node["inputs"][0]))


_OPS: dict[str, Callable[[_Writer, Node], str]] = {
    "add": _add,
    "avg_pool": _avg_pool,
    "batch_norm": _batch_norm,
    "concat": _concat,
    "conv2d": _conv2d,
    "flatten": _flatten,
    "gelu": _elementwise("F.gelu({})"),
    "global_avg_pool": _on_image("{}.mean((2, 3), keepdim=True)"),
    "group_norm": _group_norm,
    "hard_sigmoid": _elementwise("F.hardsigmoid({})"),
    "hard_swish": _elementwise("F.hardswish({})"),
    "identity": _elementwise("{}"),
    "layer_norm": _layer_norm,
    "linear": _linear,
    "linear_spatial": _linear_spatial,
    "matmul": _matmul,
    "max_pool": _max_pool,
    "multiply": _multiply,
    "relu": _elementwise("F.relu({})"),
    "relu6": _elementwise("F.relu6({})"),
    "scale_channels": _scale_channels,
    "shift": _on_image("{}[:, :, 1:, 1:]"),
    "sigmoid": _elementwise("torch.sigmoid({})"),
    "silu": _elementwise("F.silu({})"),
    "slice_channels": _slice_channels,
    "softmax": _softmax,
    "tanh": _elementwise("torch.tanh({})"),
    "zero": _zero,
}
