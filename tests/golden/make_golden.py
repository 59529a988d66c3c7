"""Check the stored networks of this folder, or make them anew.

``python tests/golden/make_golden.py [--write]``, with PyTorch installed.

Every number comes from `zeroshot.reference` and is accepted only if PyTorch in float64 agrees.
Without ``--write`` nothing is written and the stored files are compared with what was computed.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zeroshot import reference
from zeroshot.reference import Problem

HERE = Path(__file__).resolve().parent
GROUP_SIZE, N_GROUPS, N_SAMPLES = 2, 3, 3
# Two float64 programs that sum in different orders through about 25 layers.
AGREEMENT = 1e-12
# A float32 program must take the same side of every kink; its activations are good to about 1e-6.
KINK_MARGIN = 1e-5
# No sign of a sample gradient may be decided by rounding.
SMALLEST_GRADIENT = 1e-9


class Net:
    """A node list under construction; each method adds a node and returns its id."""

    def __init__(self, *shape: int) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.weight_shapes: dict[str, tuple[int, ...]] = {}
        self._add("input", "image", [], {}, {}, shape)

    def shape(self, i: int) -> tuple[int, int, int]:
        c, h, w = self.nodes[i]["shape"]
        return c, h, w

    def _add(
        self,
        op: str,
        name: str,
        inputs: list[int],
        attrs: dict[str, Any],
        weights: dict[str, tuple[int, ...]],
        shape: tuple[int, ...],
    ) -> int:
        names = {role: f"{name}.{role}" for role in weights}
        self.weight_shapes.update({names[role]: s for role, s in weights.items()})
        self.nodes.append(
            {"id": len(self.nodes), "op": op, "name": name, "inputs": inputs, "attrs": attrs,
             "weights": names, "shape": shape}
        )  # fmt: skip
        return len(self.nodes) - 1

    def _windows(self, x: int, kernel: Any, stride: Any, padding: Any, dilation: Any) -> list[int]:
        sizes = zip(self.shape(x)[1:], kernel, stride, padding, dilation, strict=True)
        return [reference.ops.output_size(*size) for size in sizes]

    def conv(
        self, name: str, x: int, k: int, kernel: tuple[int, int], *,
        stride: tuple[int, int] = (1, 1), padding: tuple[int, int] | None = None,
        dilation: tuple[int, int] = (1, 1), groups: int = 1, bias: bool = False,
    ) -> int:  # fmt: skip
        if padding is None:
            padding = (kernel[0] // 2, kernel[1] // 2)
        attrs = {"out_channels": k, "kernel": kernel, "stride": stride, "padding": padding,
                 "dilation": dilation, "groups": groups, "bias": bias}  # fmt: skip
        weights: dict[str, tuple[int, ...]] = {"weight": (k, self.shape(x)[0] // groups, *kernel)}
        if bias:
            weights["bias"] = (k,)
        out = self._windows(x, kernel, stride, padding, dilation)
        return self._add("conv2d", name, [x], attrs, weights, (k, *out))

    def bn(self, name: str, x: int, *, affine: bool = True, mode: str = "batch") -> int:
        roles = ["gamma", "beta"] if affine else []
        roles += ["running_mean", "running_var"] if mode == "running" else []
        attrs = {"eps": 1e-5, "affine": affine, "mode": mode}
        weights: dict[str, tuple[int, ...]] = {role: (self.shape(x)[0],) for role in roles}
        return self._add("batch_norm", name, [x], attrs, weights, self.shape(x))

    def pool(
        self, op: str, name: str, x: int, kernel: tuple[int, int], *,
        stride: tuple[int, int] = (1, 1), padding: tuple[int, int] = (0, 0), **attrs: bool,
    ) -> int:  # fmt: skip
        out = self._windows(x, kernel, stride, padding, (1, 1))
        window = {"kernel": kernel, "stride": stride, "padding": padding, **attrs}
        return self._add(op, name, [x], window, {}, (self.shape(x)[0], *out))

    def relu(self, name: str, x: int) -> int:
        return self._add("relu", name, [x], {}, {}, self.shape(x))

    def add(self, name: str, xs: list[int], coef: list[float] | None = None) -> int:
        attrs = {"coef": coef or [1.0] * len(xs)}
        return self._add("add", name, xs, attrs, {}, self.shape(xs[0]))

    def concat(self, name: str, xs: list[int]) -> int:
        channels = sum(self.shape(x)[0] for x in xs)
        return self._add("concat", name, xs, {}, {}, (channels, *self.shape(xs[0])[1:]))

    def zero(self, name: str, x: int, *, stride: int = 1) -> int:
        c, h, w = self.shape(x)
        shape = (c, -(-h // stride), -(-w // stride))
        return self._add("zero", name, [x], {"stride": stride}, {}, shape)

    def identity(self, name: str, x: int) -> int:
        return self._add("identity", name, [x], {}, {}, self.shape(x))

    def shift(self, name: str, x: int) -> int:
        c, h, w = self.shape(x)
        return self._add("shift", name, [x], {}, {}, (c, h - 1, w - 1))

    def head(self, x: int, classes: int) -> None:
        c = self.shape(x)[0]
        x = self._add("global_avg_pool", "pool", [x], {}, {}, (c, 1, 1))
        weights: dict[str, tuple[int, ...]] = {"weight": (classes, c), "bias": (classes,)}
        attrs = {"out_features": classes, "bias": True}
        self._add("linear", "classifier", [x], attrs, weights, (classes, 1, 1))


def nb201_tiny() -> Net:
    """All five ops of NAS-Bench-201; both edges into node 2 carry weights and are dead.

    |nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|avg_pool_3x3~0|skip_connect~1|none~2|
    """
    cell = {
        (0, 1): "nor_conv_3x3", (0, 2): "nor_conv_3x3", (1, 2): "nor_conv_1x1",
        (0, 3): "avg_pool_3x3", (1, 3): "skip_connect", (2, 3): "none",
    }  # fmt: skip
    net = Net(3, 8, 8)

    def relu_conv_bn(name: str, x: int, k: int, size: int, stride: int = 1) -> int:
        x = net.relu(f"{name}.relu", x)
        x = net.conv(f"{name}.conv", x, k, (size, size), stride=(stride, stride))
        return net.bn(f"{name}.bn", x)

    def edge(name: str, op: str, x: int) -> int:
        if op == "none":
            return net.zero(name, x)
        if op == "skip_connect":
            return net.identity(name, x)
        if op == "avg_pool_3x3":
            return net.pool("avg_pool", name, x, (3, 3), padding=(1, 1), count_include_pad=False)
        return relu_conv_bn(name, x, net.shape(x)[0], int(op[-1]))

    x = net.bn("stem.bn", net.conv("stem.conv", 0, 3, (3, 3)))
    for stage, channels in enumerate((3, 6, 12)):
        if stage:
            name = f"reduce{stage}"
            main = relu_conv_bn(f"{name}.a", x, channels, 3, stride=2)
            main = relu_conv_bn(f"{name}.b", main, channels, 3)
            short = net.pool(
                "avg_pool", f"{name}.pool", x, (2, 2), stride=(2, 2), count_include_pad=False
            )
            short = net.conv(f"{name}.shortcut", short, channels, (1, 1))
            x = net.add(f"{name}.add", [short, main])
        at = [x]
        for i in (1, 2, 3):
            terms = [edge(f"cell{stage}.{j}-{i}", cell[j, i], at[j]) for j in range(i)]
            at.append(net.add(f"cell{stage}.{i}", terms) if i > 1 else terms[0])
        x = at[3]
    net.head(net.relu("last.relu", net.bn("last.bn", x)), 10)
    return net


def odd_ops() -> Net:
    """What the cell of NAS-Bench-201 lacks, on a 12x10 image with 5 and 7 channels."""
    net = Net(3, 12, 10)
    x = net.conv("stem.conv", 0, 5, (3, 3), bias=True)
    x = net.relu("stem.relu", net.bn("stem.bn", x))
    # separable and dilated, side by side, with unequal coefficients
    a = net.conv("sep.depthwise", x, 5, (5, 5), groups=5)
    a = net.bn("sep.bn", net.conv("sep.pointwise", a, 7, (1, 1)), affine=False)
    b = net.conv("dil.conv", x, 7, (3, 3), padding=(2, 2), dilation=(2, 2))
    b = net.bn("dil.bn", b, mode="running")
    x = net.add("mix", [a, b, net.zero("mix.none", a)], [0.5, -1.25, 1.0])
    # five ways to halve the image
    window: dict[str, Any] = {"stride": (2, 2), "padding": (1, 1)}
    ways = [
        net.pool("max_pool", "down.max", x, (3, 3), **window),
        net.pool("avg_pool", "down.avg", x, (3, 3), **window, count_include_pad=False),
        net.pool("avg_pool", "down.avg_pad", x, (3, 3), **window, count_include_pad=True),
        net.zero("down.none", x, stride=2),
    ]
    r = net.relu("reduce.relu", x)
    halves = [
        net.conv("reduce.a", r, 3, (1, 1), stride=(2, 2)),
        net.conv("reduce.b", net.shift("reduce.shift", r), 4, (1, 1), stride=(2, 2)),
    ]
    ways.append(net.bn("reduce.bn", net.concat("reduce.concat", halves)))
    x = net.concat("down.concat", ways)
    # grouped, not square, dilated along one axis; a batch norm that is switched off
    x = net.conv("rect.conv", x, 10, (3, 1), padding=(2, 0), dilation=(2, 1), groups=5)
    x = net.identity("rect.identity", net.bn("rect.off", x, mode="identity"))
    x = net.conv("rect.strided", x, 7, (1, 3), stride=(2, 1), padding=(0, 2), bias=True)
    net.head(net.relu("last.relu", net.bn("last.bn", x)), 6)
    return net


def draw(net: Net, seed: int) -> Problem:
    rng = np.random.default_rng(seed)
    weights: dict[str, NDArray[Any]] = {}
    for name, shape in net.weight_shapes.items():
        match name.rpartition(".")[2]:
            case "weight":
                bound = 1 / math.sqrt(math.prod(shape[1:]))
                tensor = rng.uniform(-bound, bound, shape)
            case "gamma" | "running_var":
                tensor = rng.uniform(0.5, 1.5, shape)
            case _:
                tensor = rng.normal(0, 0.3, shape)
        weights[name] = tensor.astype(np.float32)
    m = GROUP_SIZE * N_GROUPS
    x = rng.normal(size=(m, *net.nodes[0]["shape"])).astype(np.float32)
    y = rng.integers(0, net.nodes[-1]["shape"][0], m)
    return Problem(net.nodes, weights, x, y)


def kink_margin(problem: Problem, rows: int, group_size: int) -> float:
    """Least distance of a live ReLU input from 0, or of a pooling maximum from its runner-up."""
    nodes, weights, x, y = problem
    result = reference.run(
        nodes, weights, x[:rows], y[:rows], group_size=group_size, keep_activations=True
    )
    margin, live = math.inf, reference.live_nodes(nodes)
    for node in nodes:
        if node["id"] not in live or node["op"] not in ("relu", "max_pool"):
            continue
        a = result.activations[node["inputs"][0]]
        if node["op"] == "relu":
            margin = min(margin, float(np.abs(a).min()))
        else:
            (r, s), (sh, sw), (ph, pw) = (node["attrs"][k] for k in ("kernel", "stride", "padding"))
            padded = np.pad(a, ((0, 0), (0, 0), (ph, ph), (pw, pw)), constant_values=-np.inf)
            cells = np.lib.stride_tricks.sliding_window_view(padded, (r, s), axis=(2, 3))
            top = np.sort(cells[:, :, ::sh, ::sw].reshape(-1, r * s), axis=1)[:, -2:]
            margin = min(margin, float((top[:, 1] - top[:, 0]).min()))
    return margin


def torch_gradients(
    problem: Problem, rows: slice
) -> tuple[NDArray[np.float64], float, dict[str, NDArray[np.float64]]]:
    """Logits, loss and gradients of one group by PyTorch."""
    import torch
    import torch.nn.functional as F

    tensors = {k: torch.tensor(w, dtype=torch.float64) for k, w in problem.weights.items()}
    for name, tensor in tensors.items():
        tensor.requires_grad_(".running_" not in name)
    out: dict[int, Any] = {}
    for node in problem.nodes:
        xs = [out[i] for i in node["inputs"]]
        a, w = node["attrs"], {role: tensors[name] for role, name in node["weights"].items()}
        window = [a.get(k) for k in ("kernel", "stride", "padding")]
        match node["op"]:
            case "input":
                y = torch.tensor(problem.x[rows], dtype=torch.float64)
            case "conv2d":
                geometry = [a[k] for k in ("stride", "padding", "dilation", "groups")]
                y = F.conv2d(xs[0], w["weight"], w.get("bias"), *geometry)
            case "linear":
                y = F.linear(xs[0].flatten(1), w["weight"], w["bias"])[:, :, None, None]
            case "batch_norm" if a["mode"] != "identity":
                statistics = (w.get("running_mean"), w.get("running_var"))
                affine = (w.get("gamma"), w.get("beta"))
                y = F.batch_norm(
                    xs[0], *statistics, *affine, training=a["mode"] == "batch", eps=a["eps"]
                )
            case "relu":
                y = F.relu(xs[0])
            case "max_pool":
                y = F.max_pool2d(xs[0], *window)
            case "avg_pool":
                k, s, p = window
                y = F.avg_pool2d(xs[0], k, s, p, count_include_pad=a["count_include_pad"])
            case "global_avg_pool":
                y = xs[0].mean((2, 3), keepdim=True)
            case "add":
                y = sum(c * x for c, x in zip(a["coef"], xs, strict=True))
            case "concat":
                y = torch.cat(xs, 1)
            case "zero":
                y = xs[0][:, :, :: a["stride"], :: a["stride"]] * 0
            case "shift":
                y = xs[0][:, :, 1:, 1:]
            case _:
                y = xs[0]
        out[node["id"]] = y
    logits = out[problem.nodes[-1]["id"]][:, :, 0, 0]
    loss = F.cross_entropy(logits, torch.tensor(problem.y[rows]))
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = {
        name: (torch.zeros_like(t) if t.grad is None else t.grad).numpy()
        for name, t in tensors.items()
        if t.requires_grad
    }
    return logits.detach().numpy(), float(loss.detach()), gradients


def assert_torch_agrees(problem: Problem, result: reference.NetworkResult, group_size: int) -> None:
    for j, loss in enumerate(result.losses):
        rows = slice(j * group_size, (j + 1) * group_size)
        logits, torch_loss, gradients = torch_gradients(problem, rows)
        scale = max(np.abs(g).max() for g in gradients.values())
        np.testing.assert_allclose(result.logits[rows], logits, rtol=0, atol=AGREEMENT)
        np.testing.assert_allclose(loss, torch_loss, rtol=AGREEMENT)
        assert set(gradients) == set(result.gradients)
        for name, g in gradients.items():
            np.testing.assert_allclose(
                result.gradients[name][j], g, rtol=0, atol=AGREEMENT * scale, err_msg=name
            )


def scores_of(
    batch: dict[str, NDArray[np.float64]], sample: dict[str, NDArray[np.float64]]
) -> dict[str, float]:
    scores: dict[str, float] = {}
    for variant in ("mean2", "inv_var", "inv_var_xi", "gsnr", "xi_gsnr"):
        scores[f"eq10_{variant}"] = reference.xi_gsnr(batch, variant=variant)
        scores[f"cum_{variant}"] = reference.xi_gsnr(batch, variant=variant, accumulate=True)
    scores["gradsign"] = reference.gradsign(sample)
    first = [g[0] for g in batch.values()]
    for lo, hi in (("1e-4", "5e-4"), ("5e-4", "1e-3"), ("1e-3", "5e-3")):
        scores[f"sweet_{lo}_{hi}"] = reference.sweet_count(first, float(lo), float(hi))
    return scores


def smallest_gradient(gradients: dict[str, NDArray[np.float64]]) -> float:
    """Least magnitude of an entry, tensors of dead weights apart."""
    return float(min(np.abs(g[g != 0]).min() for g in gradients.values() if g.any()))


def make(net: Net) -> dict[str, NDArray[Any]]:
    counted = reference.counted_weights(net.nodes)
    for seed in range(1000):
        problem = draw(net, seed)
        nodes, weights, x, y = problem
        result = reference.run(*problem, group_size=GROUP_SIZE)
        alone = reference.run(nodes, weights, x[:N_SAMPLES], y[:N_SAMPLES], group_size=1)
        samples = {name: alone.gradients[name] for name in counted}
        if (
            kink_margin(problem, len(x), GROUP_SIZE) > KINK_MARGIN
            and kink_margin(problem, N_SAMPLES, 1) > KINK_MARGIN
            and smallest_gradient(samples) > SMALLEST_GRADIENT
        ):
            break
    else:
        raise RuntimeError("no seed below 1000 keeps clear of all kinks")
    assert_torch_agrees(problem, result, GROUP_SIZE)
    assert_torch_agrees(problem, alone, 1)
    scores = scores_of({name: result.gradients[name] for name in counted}, samples)
    return {
        "nodes": np.array(json.dumps(nodes)),
        "seed": np.array(seed),
        "group_size": np.array(GROUP_SIZE),
        "x": x,
        "y": y,
        "logits": result.logits,
        "losses": result.losses,
        "scores": np.array(json.dumps(scores)),
        **{f"w/{name}": w for name, w in weights.items()},
        **{f"g/{name}": g for name, g in result.gradients.items()},
        **{f"s/{name}": g.astype(np.float32) for name, g in samples.items()},
    }


def check(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    with np.load(path, allow_pickle=False) as stored:
        assert set(stored.files) == set(arrays), f"{path.name}: other keys"
        for key, new in arrays.items():
            if new.dtype.kind == "f" and not key.startswith(("w/", "x")):
                scale = max(np.abs(g).max() for k, g in arrays.items() if k[:2] == key[:2])
                eps = 2.0**-23 if key.startswith("s/") else AGREEMENT
                np.testing.assert_allclose(stored[key], new, rtol=0, atol=eps * scale, err_msg=key)
            elif key != "scores":  # they follow from the gradients
                np.testing.assert_array_equal(stored[key], new, err_msg=key)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="replace the stored files")
    write = parser.parse_args().write
    for build in (nb201_tiny, odd_ops):
        path, arrays = HERE / f"{build.__name__}.npz", make(build())
        if write:
            # NpzFile entries carry a fixed date: equal numbers, equal bytes
            np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
        else:
            check(path, arrays)
        seed, size = int(arrays["seed"]), path.stat().st_size
        print(f"{path.name}: seed {seed}, {size} bytes, {'written' if write else 'agrees'}")


if __name__ == "__main__":
    main()
