"""What a picture must not do: leave its canvas, overlap, run lines through what is not theirs."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="Matplotlib is not installed: nothing is drawn")

from zeroshot.drawing import Drawing
from zeroshot.drawing.scene import Scene

TOUCH = 0.3  # points by which what only touches may seem to overlap
Sides = tuple[float, float, float, float]


def overlap(a: Sides, b: Sides, by: float = TOUCH) -> bool:
    return min(a[2], b[2]) - max(a[0], b[0]) > by and min(a[3], b[3]) - max(a[1], b[1]) > by


def contains(outer: Sides, inner: Sides, by: float = TOUCH) -> bool:
    return (
        outer[0] <= inner[0] + by
        and outer[1] <= inner[1] + by
        and outer[2] >= inner[2] - by
        and outer[3] >= inner[3] - by
    )


def rendered_texts(drawing: Drawing) -> list[tuple[str, Sides]]:
    """Texts and where Matplotlib's renderer puts their ink, in points from the lower left."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = drawing.figure()
    figure.set_dpi(200)
    renderer = FigureCanvasAgg(figure).get_renderer()
    found = []
    for text in figure.axes[0].texts:
        box = text.get_window_extent(renderer)
        to_points = 72 / 200
        found.append((text.get_text(), tuple(to_points * side for side in box.extents)))
    return found


def faults(drawing: Drawing) -> list[str]:
    """All that is wrong with a picture."""
    scene = drawing.scene
    width, height = drawing.size
    found = []
    texts = rendered_texts(drawing)
    canvas = (0.0, 0.0, width, height)
    found += [f"{t!r} leaves the canvas: {s}" for t, s in texts if not contains(canvas, s)]
    left, bottom, right, top = scene.extents()
    if right - left > width or top - bottom > height:
        found.append("things leave the canvas")
    labels = [(text.text, text.extents()) for text in scene.texts]
    for (a, at), (b, bt) in itertools.combinations(labels, 2):
        if overlap(at, bt):
            found.append(f"{a!r} overlaps {b!r}")
    boxes = [box.extents() for box in scene.boxes]
    for a, b in itertools.combinations(boxes, 2):
        if overlap(a, b):
            found.append(f"boxes overlap: {a}, {b}")
    for box in boxes:
        for frame in (frame.extents() for frame in scene.frames):
            if overlap(box, frame) and not contains(frame, box):
                found.append(f"a box leaves its frame: {box}, {frame}")
        for text, at in labels:
            if overlap(box, at) and not contains(box, at):
                found.append(f"{text!r} leaves its box")
    return found + crossed(scene)


def crossed(scene: Scene) -> list[str]:
    """Lines that run through a box or a text."""
    things = [(f"box at {box.x:.0f}, {box.y:.0f}", box.extents()) for box in scene.boxes]
    things += [(repr(text.text), text.extents()) for text in scene.texts]
    names = [name for name, _ in things]
    sides = np.array([at for _, at in things])
    found = []
    for curve in scene.curves:
        x, y = curve.sampled().T[:, :, None]
        inside = (
            (x > sides[:, 0] + TOUCH) & (x < sides[:, 2] - TOUCH)
            & (y > sides[:, 1] + TOUCH) & (y < sides[:, 3] - TOUCH)
        )  # fmt: skip
        found += [f"a line runs through {names[i]}" for i in np.flatnonzero(inside.any(axis=0))]
    return found


def texts_of(drawing: Drawing) -> Counter[str]:
    return Counter(text.text for text in drawing.scene.texts)
