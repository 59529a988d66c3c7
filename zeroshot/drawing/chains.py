"""Chains of blocks: ProxylessNAS, MBConv, the size space of NATS-Bench, stages of BurgerFormer."""

from __future__ import annotations

__all__ = ["burgerformer", "mbconv", "nats_sss", "proxylessnas"]

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from zeroshot.drawing.flow import Piece, flow
from zeroshot.drawing.options import DrawOptions
from zeroshot.drawing.palette import look_of
from zeroshot.drawing.scene import Scene, stacked, text_width

_SIZE: Final = 7.0
_CAPTION: Final = 6.0
_ACTS: Final = {"relu6": "ReLU6", "swish": "Swish", "gelu": "GELU", "silu": "SiLU"}


def _piece(
    lines: Sequence[str], kind: str, stage: int, *, width: float = 0.0, height: float = 0.0
) -> Piece:
    """A box in a row, at least as large as its text."""
    scene = Scene()
    width = max([width, *(text_width(line, _SIZE) + 6.0 for line in lines)])
    height = max(height, 1.2 * _SIZE * len(lines) + 4.0)
    scene.box(width / 2, 0.0, width, height, kind, *lines)
    return Piece(scene, width, stage=stage)


def _half(size: tuple[int, int], stride: int) -> tuple[int, int]:
    return -(-size[0] // stride), -(-size[1] // stride)


def _heading(size: tuple[int, int], channels: int) -> tuple[str, str]:
    return f"{size[0]}×{size[1]}", f"{channels} ch."


def _captioned(scene: Scene, *lines: str) -> Scene:
    left, bottom, _, _ = scene.extents()
    for i, line in enumerate(lines):
        scene.text(left, bottom - 9.0 - 1.3 * _CAPTION * i, line, _CAPTION, anchor="left")
    return scene


# --- MBConv blocks ----------------------------------------------------------------------------


class _Layer(NamedTuple):
    """A block, or with kernel 0 a layer that was removed."""

    kernel: int
    expansion: int
    width: int
    stride: int
    squeeze: float


def proxylessnas(space: Any, arch: Any, options: DrawOptions) -> Scene:
    """A box for each layer, with its kernel and expansion."""
    genes = space.parse(arch)
    skeleton = list(space.SKELETONS.values())[genes[0]]
    squeeze = genes[2] / 10_000
    places = [(w, s if i == 0 else 1) for w, n, s in skeleton.stages for i in range(n)]
    layers = [_Layer(3, 1, skeleton.first, 1, squeeze)]
    for choice, (width, stride) in zip(space.to_choices(arch), places, strict=True):
        kernel, expansion = choice or (0, 0)
        layers.append(_Layer(kernel, expansion, width, stride, squeeze))
    return _mobile(skeleton.stem, layers, skeleton.last, space.ACTS[genes[1]], options)


def mbconv(space: Any, arch: Any, options: DrawOptions) -> Scene:
    """A box for each block; a removed layer is one, too."""
    net = space.to_net(arch)
    layers: list[_Layer] = []
    for block in net.blocks:
        width = block.width if block.kernel else layers[-1].width if layers else net.stem
        layers.append(_Layer(block.kernel, block.expansion, width, block.stride, block.squeeze))
    return _mobile(net.stem, layers, net.last, net.act, options)


def _mobile(
    stem: int, layers: Sequence[_Layer], last: int, act: str, options: DrawOptions
) -> Scene:
    size = _half(options.image(224), 2)
    headings = [_heading(size, stem)]
    pieces = [_piece(("conv", "3×3"), "conv", 0)]
    squeezes = {layer.squeeze for layer in layers if layer.kernel}
    width = 0
    for layer in layers:
        if layer.kernel and (layer.width != width or layer.stride > 1):
            size, width = _half(size, layer.stride), layer.width
            headings.append(_heading(size, width))
        stage = len(headings) - 1
        if not layer.kernel:
            pieces.append(_piece(("skip",), "none", stage, height=20.0))
            continue
        lines = ["MB", f"E{layer.expansion}", f"K{layer.kernel}"]
        if len(squeezes) > 1 and layer.squeeze:
            lines.append(f"SE {layer.squeeze:g}")
        kind = "mb3" if layer.kernel < 4 else "mb5" if layer.kernel < 6 else "mb7"
        pieces.append(
            _piece(
                lines, kind, stage,
                width=12.0 + 2.0 * layer.kernel, height=28.0 + 3.0 * min(layer.expansion, 8),
            )
        )  # fmt: skip
    headings.append(_heading(size, last))
    pieces.append(_piece(("conv", "1×1"), "conv", len(headings) - 1))
    pieces.append(_piece(("pool,", "linear"), "state", -1))
    about = [f"{_ACTS.get(act, act)} in all blocks"]
    if len(squeezes) == 1 and (squeeze := squeezes.pop()):
        about.append(f"squeeze and excitation {squeeze:g}")
    elif len(squeezes) > 1:
        about.append("SE: squeeze and excitation")
    return _captioned(
        flow(pieces, options.width, headings),
        "MB: inverted residual block, E: expansion, K: kernel",
        ", ".join(about),
    )


# --- the size space of NATS-Bench -------------------------------------------------------------


def nats_sss(space: Any, arch: Any, options: DrawOptions) -> Scene:
    """Stem, cells and residual blocks, as high as they are wide."""
    widths = space.parse(arch)
    size = options.image(32)
    sizes = [size, _half(size, 2), _half(size, 4)]
    parts = [("stem", 0, 0)]
    parts += [("residual" if i % 2 else "cell", i, (i + 1) // 2) for i in range(len(widths))]
    pieces = [
        _piece((name, str(widths[i])), "conv", stage, height=16.0 + 0.5 * widths[i])
        for name, i, stage in parts
    ]
    pieces.append(_piece(("pool,", "linear"), "state", -1))
    return flow(pieces, max(options.width, 300.0), [(f"{h}×{w}",) for h, w in sizes])


# --- BurgerFormer -----------------------------------------------------------------------------

_PILL: Final = 11.0
_GAP: Final = 2.0
_PAD: Final = 3.0


def burgerformer(space: Any, arch: Any, options: DrawOptions) -> Scene:
    """A row for each stage: bread, meat, bread, each with what it does from top to bottom."""
    size = _half(options.image(224), 4)
    rows, subs = [], []
    for stage in space.to_dict(arch).values():
        subs.append(
            [[part for part in stage["meso"][i].split("-") if part != "skip"] for i in "123"]
        )
    width = max(
        text_width(_part(part).label, _SIZE) + 7.0
        for row in subs
        for sub in row
        for part in sub or ["skip"]
    )
    for i, (stage, row) in enumerate(zip(space.to_dict(arch).values(), subs, strict=True), start=1):
        macro = stage["macro"]
        scene = _stage(row, width, macro["ratio"])
        depth = f"{macro['depth']} block{'s'[: macro['depth'] > 1]}"
        _, _, _, top = scene.extents()
        text = f"stage {i}"
        scene.text(0.0, top + 8.0, text, anchor="left", bold=True)
        scene.text(
            text_width(text, _SIZE, bold=True) + 8.0, top + 8.0,
            f"{size[0]}×{size[1]}, {macro['width']} channels, {depth}", anchor="left",
        )  # fmt: skip
        rows.append(scene)
        size = _half(size, 2)
    return _captioned(
        stacked(rows),
        "Sub-blocks run from top to bottom; the line below one adds its",
        "input. Meat stands between 1×1 convolutions that widen and narrow.",
    )


def _part(name: str) -> Any:
    look = look_of(name)
    return look._replace(label=_ACTS.get(name, look.label))


def _stage(subs: Sequence[Sequence[str]], width: float, ratio: int) -> Scene:
    scene, x = Scene(), 12.0
    high = max(len(sub) for sub in subs) * (_PILL + _GAP) - _GAP if any(subs) else _PILL
    wide = width + 2 * _PAD
    titles = ("bread", f"meat, ×{ratio}", "bread")
    wide = max([wide, *(text_width(title, _CAPTION) + 4.0 for title in titles)])
    scene.line((0.0, 0.0), (x, 0.0), arrow=True)
    for place, (title, sub) in enumerate(zip(titles, subs, strict=True)):
        top = high / 2 + _PAD
        passes = not sub and place != 1
        scene.frame(x, -top, x + wide, top)
        scene.text(x + wide / 2, top + 6.0, title, _CAPTION)
        for i, part in enumerate(sub or ["skip"]):
            y = ((len(sub or [1]) - 1) / 2 - i) * (_PILL + _GAP)
            label, kind = _part(part)
            scene.box(x + wide / 2, y, width, _PILL, kind, label)
        if not passes:  # the residual
            scene.bent(
                (x - 6.0, 0.0), (x - 6.0, -top - 5.0), (x + wide + 5.0, -top - 5.0),
                (x + wide + 5.0, -1.0), arrow=True,
            )  # fmt: skip
        scene.line((x + wide, 0.0), (x + wide + 16.0, 0.0), arrow=True)
        x += wide + 16.0
    return scene
