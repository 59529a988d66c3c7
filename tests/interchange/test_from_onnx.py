"""ONNX models, as PyTorch writes them and by hand, become graphs with the same logits."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zeroshot
from zeroshot import InterchangeError

from .common import assert_is_module, assert_same, batch, our_gradients

onnx = pytest.importorskip("onnx", reason="onnx is not installed: no model is read")
helper, numpy_helper = onnx.helper, onnx.numpy_helper
NAMES = ("resnet18", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "darts")
SLOW = NAMES[:2] + NAMES[3:4]


# ---- what PyTorch writes -------------------------------------------------------------------------


@pytest.fixture
def nn_models() -> Any:
    pytest.importorskip("torch", reason="PyTorch is not installed: no model is exported")
    from . import models

    return models.MODELS


def exported(module: Any, size: int, *, train: bool, dynamic: bool) -> bytes:
    import torch

    mode = torch.onnx.TrainingMode
    file = io.BytesIO()
    torch.onnx.export(
        module, (torch.zeros(2, 3, size, size),), file, dynamo=False, input_names=["x"],
        training=mode.TRAINING if train else mode.EVAL, do_constant_folding=not train,
        dynamic_axes={"x": {0: "n"}} if dynamic else None,
    )  # fmt: skip
    return file.getvalue()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("dynamic", [True, False], ids=["any batch", "one batch"])
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in NAMES]
)
def test_training_export_has_logits_and_gradients_of_module(
    name: str, dynamic: bool, nn_models: Any
) -> None:
    import torch

    make, size = nn_models[name]
    torch.manual_seed(0)
    module = make(classes=7)
    model = exported(module, size, train=True, dynamic=dynamic)
    graph, weights = zeroshot.from_onnx(model, weights=True)
    for part in module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.eval()
    assert zeroshot.count(graph).params == sum(p.numel() for p in module.parameters())
    names = [n["op"] for n in graph.nodes()]
    assert "sigmoid" not in names or name == "efficientnet_b0"
    module = module.double()
    module.train()
    for part in module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.eval()
    assert_is_module(graph, weights, module)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in NAMES]
)
def test_evaluation_export_has_logits_of_module(name: str, nn_models: Any) -> None:
    import torch

    make, size = nn_models[name]
    torch.manual_seed(0)
    module = make(classes=7).eval()
    model = exported(module, size, train=False, dynamic=True)
    graph, weights = zeroshot.from_onnx(model, weights=True, batch_norm="running")
    x, y = batch((3, size, size), 7)
    want = module.double()(torch.tensor(x)).detach().numpy()
    got = our_gradients(graph, weights, x, y).logits
    # weights are folded in float32, layer after layer
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5 * np.abs(want).max())


# ---- by hand -------------------------------------------------------------------------------------


def model_of(
    nodes: list[Any],
    shape: tuple[Any, ...] = ("n", 3, 8, 8),
    tensors: dict[str, Any] | None = None,
    outputs: tuple[str, ...] = ("y",),
    opset: int = 17,
) -> bytes:
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info(name, kind, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in (tensors or {}).items()],
    )  # fmt: skip
    data: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)]
    ).SerializeToString()
    return data


def node(op: str, inputs: str, output: str, **attributes: Any) -> Any:
    names = ["" if i == "-" else i for i in inputs.split()]
    return helper.make_node(op, names, [output], name=f"node_{output}", **attributes)


def float32(*shape: int) -> Any:
    return np.random.default_rng(3).standard_normal(shape).astype(np.float32)


GAP = [node("GlobalAveragePool", "m", "g"), node("Flatten", "g", "y")]
HAND: dict[str, Any] = {
    "asymmetric padding": [node("Conv", "x w", "m", strides=[2, 2], pads=[0, 0, 1, 1]), *GAP],
    "auto_pad": [node("Conv", "x w", "m", strides=[2, 2], auto_pad="SAME_UPPER"), *GAP],
    "auto_pad at the start": [
        node("Conv", "x w", "m", strides=[1, 1], auto_pad="SAME_LOWER"), *GAP
    ],
    "pad and slice": [
        node("Pad", "x pads", "p"),
        node("Slice", "p ones big axes", "s"),
        node("Conv", "s w1", "m", strides=[2, 2]),
        *GAP,
    ],
    "strided slice": [node("Slice", "x ones big axes twos", "m"), *GAP],
    "clip": [node("Clip", "x zero six", "m"), *GAP],
    "limits in one operator": [
        node("Max", "x zero", "a"), node("Min", "nine a six", "m"), *GAP
    ],
    "limits that are folded": [
        node("Max", "x zero", "a"), node("Min", "nine nine six", "c"), node("Min", "a c", "m"), *GAP
    ],
    "limits of one": [
        node("Min", "six", "c"), node("Max", "x zero", "a"), node("Max", "a", "b"),
        node("Min", "b c", "m"), *GAP,
    ],
    "swish": [node("Sigmoid", "x", "s"), node("Mul", "s x", "m"), *GAP],
    "hard swish by parts": [
        node("Add", "x three", "a"), node("Clip", "a zero six", "b"), node("Mul", "x b", "c"),
        node("Div", "c six", "m"), *GAP,
    ],
    "gelu by parts": [
        node("Div", "x root", "a"), node("Erf", "a", "b"), node("Add", "b one", "c"),
        node("Mul", "x c", "d"), node("Mul", "d half", "m"), *GAP,
    ],
    "squeeze and excitation": [
        node("GlobalAveragePool", "x", "a"), node("Conv", "a square", "b"),
        node("HardSigmoid", "b", "c", alpha=1 / 6), node("Mul", "c x", "m"), *GAP,
    ],
    "average that counts padding": [
        node("AveragePool", "x", "m", kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2],
             count_include_pad=1),
        *GAP,
    ],
    "average that does not": [
        node("AveragePool", "x", "m", kernel_shape=[3, 3], pads=[0, 0, 1, 1], strides=[2, 2]),
        *GAP,
    ],
    "ceil mode": [
        node("MaxPool", "x", "m", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1), *GAP
    ],
    "sum and difference": [
        node("Sum", "x x x", "a"), node("Relu", "a", "b"), node("Sub", "x b", "m"), *GAP
    ],
    "reshape by arithmetic": [
        node("GlobalAveragePool", "x", "a"), node("Shape", "a", "s"),
        node("Gather", "s first", "n"), node("Concat", "n minus", "t", axis=0),
        node("Reshape", "a t", "y"),
    ],
    "product and bias": [
        node("ReduceMean", "x", "a", axes=[2, 3], keepdims=0),
        node("MatMul", "a columns", "b"), node("Add", "b bias", "y"),
    ],
    "expanded to what it is": [
        node("GlobalAveragePool", "x", "a"), node("Expand", "a t4", "b"),
        node("Expand", "b t3", "g"), node("Flatten", "g", "y"),
    ],
    "product with a row": [
        node("ReduceMean", "x", "a", axes=[2, 3], keepdims=0), node("Gemm", "a columns row", "y")
    ],
    "product with a number": [
        node("ReduceMean", "x", "a", axes=[2, 3], keepdims=0), node("Gemm", "a columns six", "y")
    ],
    "norm without weights": [
        helper.make_node("Constant", [], ["c1"], value=numpy_helper.from_array(np.ones(3, "f4"))),
        helper.make_node("Constant", [], ["c0"], value=numpy_helper.from_array(np.zeros(3, "f4"))),
        node("BatchNormalization", "x c1 c0 c0 c1", "m"), *GAP,
    ],
}  # fmt: skip
TENSORS = {
    "w": float32(4, 3, 3, 3), "w1": float32(4, 3, 1, 1), "square": float32(3, 3, 1, 1),
    "columns": float32(3, 5), "bias": float32(5),
    "pads": np.array([0, 0, 0, 0, 0, 0, 1, 1]), "ones": np.array([1, 1]),
    "big": np.array([2**62, 2**62]), "axes": np.array([2, 3]), "twos": np.array([2, 2]),
    "t3": np.array([3, 1, 1]), "t4": np.array([1, 1, 1, 1]), "row": float32(1, 5),
    "first": np.array([0]), "minus": np.array([-1]),
    **{name: np.array(v, np.float32) for name, v in {
        "zero": 0, "one": 1, "three": 3, "six": 6, "nine": 9, "half": 0.5, "root": 2**0.5}.items()},
}  # fmt: skip


@pytest.mark.parametrize("name", HAND)
def test_model_has_logits_of_onnx(name: str) -> None:
    from onnx.reference import ReferenceEvaluator

    model = model_of(HAND[name], tensors=TENSORS)
    graph, weights = zeroshot.from_onnx(model, weights=True, batch_norm="running")
    x = 4 * float32(2, 3, 8, 8)
    (want,) = ReferenceEvaluator(model).run(None, {"x": x})
    y = np.zeros(2, np.int64)
    np.testing.assert_allclose(
        our_gradients(graph, weights, x, y).logits, want, rtol=0, atol=2e-5 * np.abs(want).max()
    )


def test_operators_that_make_one_op_are_one() -> None:
    for name, op in {
        "clip": "relu6", "swish": "silu", "hard swish by parts": "hard_swish",
        "gelu by parts": "gelu",
    }.items():  # fmt: skip
        graph = zeroshot.from_onnx(model_of(HAND[name], tensors=TENSORS))
        assert [n["op"] for n in graph.nodes()] == ["input", op, "global_avg_pool"], name


@pytest.mark.parametrize("reads", ["x zero three", "zero x three", "zero three x"])
def test_every_limit_counts(reads: str) -> None:
    """Max(x, 0, 3) is no relu, and no other op either."""
    model = model_of([node("Max", reads, "m"), *GAP], tensors=TENSORS)
    with pytest.raises(InterchangeError, match="computes this function"):
        zeroshot.from_onnx(model)


def test_sum_with_bias_that_is_no_output_stays_apart() -> None:
    model = model_of(HAND["product and bias"], tensors=TENSORS, outputs=("b", "y"))
    for name, roles in (("b", {"weight"}), ("y", {"weight", "bias"})):
        _, weights = zeroshot.from_onnx(model, output=name, weights=True)
        assert {w.removeprefix("node_b.") for w in weights} == roles


def test_input_that_is_left_out_needs_no_node() -> None:
    odd = helper.make_node("CumSum", ["x", "ones"], ["sum", ""])
    clip = helper.make_node("Clip", ["x", "", "six"], ["c"])
    model = model_of([odd, clip, node("Max", "c zero", "m"), *GAP], tensors=TENSORS)
    assert [op["op"] for op in zeroshot.from_onnx(model).nodes()][1] == "relu6"


TWO_NORMS = [
    node("BatchNormalization", "x gamma beta beta one3", "a"),
    node("Relu", "a", "b"), node("Identity", "gamma", "alias"),
    node("BatchNormalization", "b alias beta beta one3", "m"), *GAP,
]  # fmt: skip


@pytest.mark.parametrize(
    "nodes",
    [
        TWO_NORMS,
        [node("Transpose", "x", "t", perm=[0, 2, 3, 1]), node("LayerNormalization", "t wide", "a"),
         node("Relu", "a", "b"), node("LayerNormalization", "b wide", "c"),
         node("Transpose", "c", "m", perm=[0, 3, 1, 2]), *GAP],
        [node("Mul", "x factors", "a"), node("Relu", "a", "b"), node("Mul", "factors b", "m"),
         *GAP],
        [node("Conv", "x square", "a"), node("Identity", "square", "s"), node("Conv", "a s", "m"),
         *GAP],
    ],
    ids=["batch norm", "layer norm", "factors", "conv"],
)  # fmt: skip
def test_weights_that_are_read_twice_are_refused_unless_all_alike(nodes: Any) -> None:
    tensors = {
        "gamma": float32(3), "beta": np.zeros(3, "f4"), "one3": np.ones(3, "f4"),
        "factors": float32(3, 1, 1), "wide": float32(3), "square": float32(3, 3, 1, 1),
    }  # fmt: skip
    with pytest.raises(InterchangeError, match="shares its weights"):
        zeroshot.from_onnx(model_of(nodes, tensors=tensors))
    alike = {name: np.ones_like(array) for name, array in tensors.items()}
    _, weights = zeroshot.from_onnx(model_of(nodes, tensors=alike), weights=True)
    assert sum(w.endswith((".gamma", ".scale", ".weight")) for w in weights) == 2


def test_file_bytes_and_model_are_the_same_network(tmp_path: Path) -> None:
    data = model_of(HAND["asymmetric padding"], tensors=TENSORS)
    path = tmp_path / "net.onnx"
    path.write_bytes(data)
    graphs = [zeroshot.from_onnx(s) for s in (path, str(path), data, onnx.load(path))]
    assert len({graph.encoding() for graph in graphs}) == 1


def test_open_image_needs_input_shape() -> None:
    model = model_of(HAND["clip"], ("n", 3, "h", "w"), TENSORS)
    with pytest.raises(InterchangeError, match="give input_shape"):
        zeroshot.from_onnx(model)
    assert zeroshot.from_onnx(model, input_shape=(3, 6, 5)).input.shape == (3, 6, 5)
    with pytest.raises(ValueError, match="input_shape: the model takes"):
        zeroshot.from_onnx(model, input_shape=(1, 6, 5))


def test_image_that_is_too_large_is_refused() -> None:
    for size in (2**20 + 1, 2**31, 2**62):
        with pytest.raises(InterchangeError, match="too large"):
            zeroshot.from_onnx(model_of(HAND["clip"], ("n", 3, size, 8), TENSORS))
    with pytest.raises(ValueError, match=r"input_shape\[1\]: expected"):
        zeroshot.from_onnx(model_of(HAND["clip"], tensors=TENSORS), input_shape=(3, 2**31, 8))


def test_one_of_several_outputs_is_chosen() -> None:
    nodes = [*HAND["clip"], node("Relu", "y", "z")]
    model = model_of(nodes, tensors=TENSORS, outputs=("y", "z"))
    with pytest.raises(InterchangeError, match="output="):
        zeroshot.from_onnx(model)
    assert zeroshot.from_onnx(model, output="z").nodes()[-1]["op"] == "relu"
    assert (
        zeroshot.from_onnx(model, output=0).encoding()
        == zeroshot.from_onnx(model, output="y").encoding()
    )
    with pytest.raises(ValueError, match="output: expected one of y, z"):
        zeroshot.from_onnx(model, output="w")


# ---- what is refused -----------------------------------------------------------------------------


def test_all_that_is_unsupported_is_named_at_once() -> None:
    nodes = [
        node("LeakyRelu", "x", "a"), node("LeakyRelu", "a", "b"), node("CumSum", "b ones", "c"),
        node("Conv", "x w", "d", dilations=[1, 1, 1]), node("Add", "c d", "m"), *GAP,
    ]  # fmt: skip
    with pytest.raises(InterchangeError) as caught:
        zeroshot.from_onnx(model_of(nodes, tensors=TENSORS))
    assert caught.value.unsupported == (
        "LeakyRelu (node_a)", "LeakyRelu (node_b)", "CumSum (node_c)", "Conv (node_d)",
    )  # fmt: skip
    assert "LeakyRelu (node_a, node_b); CumSum (node_c); Conv (node_d): dilations" in str(
        caught.value
    )


REFUSED = {
    "reads a name that nobody makes": ([node("Relu", "nothing", "y")], "which no node"),
    "mixes the batch": ([node("Reshape", "x t", "y")], "makes"),
    "images joined": ([node("Concat", "x x", "m", axis=0), *GAP], "axis 0"),
    "same name, two nodes": (
        [node("Relu", "x", "t"), node("Sigmoid", "x", "t"), node("Identity", "t", "m"), *GAP],
        "tensor 't' is made twice",
    ),
    "a node that writes a stored tensor": (
        [node("Relu", "x", "six"), node("Identity", "six", "m"), *GAP],
        "tensor 'six' is made twice",
    ),
    "a node that writes the image": ([node("Relu", "x", "x"), *GAP], "tensor 'x' is made twice"),
    "bias of a batch": (
        [
            node("ReduceMean", "x", "a", axes=[2, 3], keepdims=0),
            node("Gemm", "a columns column", "y"),
        ],
        "is no row",
    ),
    "expanded channels": (
        [node("GlobalAveragePool", "x", "a"), node("Expand", "a t5", "m"), *GAP],
        "repeats",
    ),
    "expanded to less": (
        [
            node("GlobalAveragePool", "x", "a"),
            node("Flatten", "a", "b"),
            node("Expand", "b t2", "y"),
        ],
        "repeats",
    ),
    "expanded by an axis": (
        [node("GlobalAveragePool", "x", "a"), node("Expand", "a t6", "m"), *GAP],
        "an axis before the batch",
    ),
    "wrong weights": ([node("Conv", "x square2", "m"), *GAP], "its input"),
    "axis of two": ([node("Transpose", "x", "m", perm=[0, 0, 1, 2]), *GAP], "moves the batch"),
    "strings": ([node("Conv", "x w", "m", strides=["a", "b"]), *GAP], "malformed"),
    "sum of three": ([node("Add", "x one one", "m"), *GAP], "3 inputs, expected 2"),
    "constant sum of three": (
        [node("Add", "one one one", "a"), node("Add", "x a", "m"), *GAP],
        "3 inputs, expected 2",
    ),
    "greatest of two": ([node("Max", "x x", "m"), *GAP], "is of 2 tensors"),
    "huge constant": (
        [node("ConstantOfShape", "huge", "c"), node("Add", "x c", "m"), *GAP],
        "a constant of",
    ),
    "padding that nothing takes": ([node("Pad", "x pads", "m"), *GAP], "not followed by"),
    "map at the end": ([node("Relu", "x", "y")], "not one row of logits"),
    "constant output": ([node("Identity", "w", "y")], "does not depend on the image"),
}
EXTRA = {
    "t": np.array([3, -1]), "t2": np.array([2]), "t5": np.array([1, 6, 1, 1]),
    "t6": np.array([1, 1, 1, 1, 1]), "column": float32(5, 1),
    "square2": float32(4, 5, 1, 1), "huge": np.array([2**40, 2**40]),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_model_that_is_no_network_is_refused(name: str) -> None:
    nodes, message = REFUSED[name]
    with pytest.raises(InterchangeError, match=message):
        zeroshot.from_onnx(model_of(nodes, tensors={**TENSORS, **EXTRA}))


LIMIT = 1 << 10
DESCRIBED: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "joined": (
        [*[node("Concat", f"e{i} e{i}", f"e{i + 1}", axis=0) for i in range(34)],
         node("Identity", "e34", "c")],
        {"e0": float32(1)},
    ),
    "gathered": ([node("Gather", "e i", "c", axis=1)], {
        "e": float32(64, 1), "i": np.zeros(256, np.int64)}),
    "gathered from the end": ([node("Gather", "e i", "c", axis=-2)], {
        "e": float32(1, 64), "i": np.zeros(256, np.int64)}),
    "expanded, many times": (
        [node("Expand", "e n", "c0"), *[node("Neg", "c0", f"c{i}") for i in range(1, 9)],
         node("Max", " ".join(f"c{i}" for i in range(9)), "c")],
        {"e": float32(1), "n": np.array([LIMIT // 4])},
    ),
    "broadcast": ([node("Mul", "e f", "c")], {"e": float32(64, 1), "f": float32(64)}),
    "of one for all": ([node("Max", "e e f", "c")], {"e": float32(64, 1), "f": float32(64)}),
    "chosen": ([node("Where", "b e f", "c")], {
        "b": np.array(True), "e": float32(64, 1), "f": float32(64)}),
}  # fmt: skip


@pytest.mark.parametrize("name", DESCRIBED)
def test_constants_that_a_file_only_describes_are_bounded(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zeroshot.interchange.onnx_constants.MAX_ELEMENTS", LIMIT)
    nodes, tensors = DESCRIBED[name]
    model = model_of([*nodes, node("Add", "x c", "m"), *GAP], tensors=tensors)
    tracemalloc.start()
    try:
        with pytest.raises(InterchangeError, match=r"a constant of \d+ elements where"):
            zeroshot.from_onnx(model)
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
    finally:
        tracemalloc.stop()


def test_constants_are_dropped_after_their_last_reader() -> None:
    n, count = 1 << 18, 16
    nodes = [
        node("ConstantOfShape", "n", "c0"),
        *[node("Neg", f"c{i}", f"c{i + 1}") for i in range(count)],
        node("Slice", f"c{count} first one", "c"), node("Add", "x c", "m"), *GAP,
    ]  # fmt: skip
    model = model_of(
        nodes, tensors={"n": np.array([n]), "first": np.array([0]), "one": np.array([1])}
    )
    tracemalloc.start()
    try:
        graph = zeroshot.from_onnx(model)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [op["op"] for op in graph.nodes()] == ["input", "global_avg_pool"]
    assert peak < 4 * 4 * n  # two at a time of float32, not all 17


def test_tensor_in_another_file_is_refused(tmp_path: Path) -> None:
    model = onnx.load_from_string(model_of(HAND["auto_pad"], tensors=TENSORS))
    secret = tmp_path / "secret"
    secret.write_bytes(b"\0" * 4096)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=str(secret))
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    for source in (path, path.read_bytes(), model):
        with pytest.raises(InterchangeError, match="lies in another file"):
            zeroshot.from_onnx(source)


def test_tensor_with_too_little_data_is_refused() -> None:
    model = onnx.load_from_string(model_of(HAND["auto_pad"], tensors=TENSORS))
    model.graph.initializer[0].dims[0] = 2**40
    with pytest.raises(InterchangeError, match="malformed"):
        zeroshot.from_onnx(model)


def test_damaged_files_are_refused() -> None:
    data = model_of(HAND["squeeze and excitation"], tensors={"square": TENSORS["square"]})
    rng = np.random.default_rng(0)
    for i in range(400):
        damaged = bytearray(data)
        for at in rng.integers(0, len(data), 1 + i % 4):
            damaged[at] = rng.integers(0, 256)
        end = len(data) if i % 2 else int(rng.integers(0, len(data)))
        try:
            graph = zeroshot.from_onnx(bytes(damaged[:end]))
        except InterchangeError:
            continue
        assert graph.nodes()  # the damage was to a name or a number


def test_arguments_are_checked(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="source: expected a path"):
        zeroshot.from_onnx(3)
    with pytest.raises(FileNotFoundError):
        zeroshot.from_onnx(tmp_path / "missing.onnx")
    model = model_of(HAND["clip"], ("n", 3, "h", "w"), TENSORS)
    for shape, error, message in (
        (5, TypeError, r"input_shape: expected \(channels"),
        ("abc", TypeError, r"input_shape\[0\]: expected an integer"),
        ((3.9, 8, 8), TypeError, r"input_shape\[0\]: expected an integer"),
        ((3, 8), ValueError, r"input_shape: expected \(channels"),
        ((3, 8, 0), ValueError, r"input_shape\[2\]"),
    ):
        with pytest.raises(error, match=message):
            zeroshot.from_onnx(model, input_shape=shape)  # type: ignore[call-overload]
    with pytest.raises(InterchangeError, match="has no nodes"):
        zeroshot.from_onnx(b"")
    with pytest.raises(InterchangeError, match="no ONNX model"):
        zeroshot.from_onnx(b"\xff" * 50)


def test_stored_tensor_that_comes_twice_is_refused() -> None:
    model = onnx.load_from_string(model_of(HAND["clip"], tensors=TENSORS))
    model.graph.initializer.append(model.graph.initializer[0])
    with pytest.raises(InterchangeError, match="tensor 'w' is made twice"):
        zeroshot.from_onnx(model)


def test_our_own_slips_are_not_blamed_on_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def finish(self: Any, logits: Any) -> Any:
        raise TypeError("a slip")

    monkeypatch.setattr("zeroshot.interchange.assembler.Assembler.finish", finish)
    with pytest.raises(TypeError, match="a slip"):
        zeroshot.from_onnx(model_of(HAND["clip"], tensors=TENSORS))


def test_weights_fit_what_is_asked_for() -> None:
    model = model_of(HAND["product and bias"], tensors=TENSORS)
    _, weights = zeroshot.from_onnx(model, weights=True)
    assert_same(weights["node_b.weight"], TENSORS["columns"].T, "weight")
    assert_same(weights["node_b.bias"], TENSORS["bias"], "bias")
