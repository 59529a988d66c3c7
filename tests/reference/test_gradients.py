"""Gradient scores on networks small enough for a pencil."""

from __future__ import annotations

import numpy as np
import pytest

from zeroshot import reference

from .small import Net, batch, every_op, usual

# logits (2, M) = W x, W = ((1, -2), (3, 4)); the mean of the images is (2, -3)
W = np.array([[1.0, -2.0], [3.0, 4.0]])
X = np.array([[1.0, -2.0], [3.0, -4.0]]).reshape(2, 2, 1, 1)


def regression() -> Net:
    net = Net((2, 1, 1))
    net.linear(2)
    net.weights["n1.weight"] = W
    return net


def product_net() -> Net:
    """Logit a b x with a = 3, b = 5."""
    net = Net((1, 1, 1))
    net.linear(1)
    net.linear(1)
    net.weights = {"n1.weight": np.array([[3.0]]), "n2.weight": np.array([[5.0]])}
    return net


def test_first_order_scores_by_hand() -> None:
    """The sum of logits has the gradient (2, -3) for both rows of W."""
    net = regression()
    of = (net.nodes, net.weights, X)
    norm = np.sqrt(26.0)
    assert reference.snip(*of, loss="sum_logits").value == 2 + 6 + 6 + 12
    assert reference.plain(*of, loss="sum_logits").value == 2 + 6 + 6 - 12
    layers = reference.grad_norm(*of, over="layers", loss="sum_logits")
    assert layers.value == pytest.approx(norm, rel=1e-15)
    assert reference.l2_norm(net.nodes, net.weights).value == pytest.approx(np.sqrt(30.0))


def test_first_order_scores_of_the_cross_entropy_by_hand() -> None:
    """Equal logits: softmax 1/2, so the gradient is the mean of +-x / 2."""
    net = regression()
    net.weights["n1.weight"] = np.ones((2, 2))
    g = ((-X[0] + X[1]) / 4).ravel()  # of the first row for labels 0 and 1; the second: -g
    of = (net.nodes, net.weights, X, np.array([0, 1]))
    assert reference.snip(*of).value == pytest.approx(2 * np.abs(g).sum(), rel=1e-15)
    assert reference.plain(*of).value == pytest.approx(0.0, abs=1e-15)


def test_grad_norm_of_all_counts_biases_and_norms() -> None:
    net = every_op()
    x, y = batch(net)
    g = reference.loss_backward(reference.forward(net.nodes, net.weights, x), y).weights
    together = np.concatenate([t.ravel() for t in g.values()])
    counted = reference.counted_weights(net.nodes)
    got = reference.grad_norm(net.nodes, net.weights, x, y, over="all")
    assert got.value == pytest.approx(np.linalg.norm(together), rel=1e-14)
    got = reference.grad_norm(net.nodes, net.weights, x, y, over="layers")
    assert got.value == pytest.approx(sum(np.linalg.norm(g[n]) for n in counted), rel=1e-14)
    with pytest.raises(ValueError, match="over: expected 'layers' or 'all'"):
        reference.grad_norm(net.nodes, net.weights, x, y, over="most")  # type: ignore[arg-type]


def test_grasp_by_hand() -> None:
    """x = 2: g = (b x, a x) = (10, 6), H = ((0, x), (x, 0)), H g = (12, 20), -w . H g = -136."""
    net = product_net()
    x = np.full((1, 1, 1, 1), 2.0)
    assert reference.grasp(net.nodes, net.weights, x, loss="sum_logits").value == -136.0


def test_grasp_is_minus_the_slope_of_the_squared_gradient_along_the_weights() -> None:
    """``d/dt |g(w + t w)|^2 / 2 = w . H g``, both over the weights that count."""
    net = usual(bias=True)
    x, y = batch(net)
    counted = reference.counted_weights(net.nodes)

    def squared(t: float) -> float:
        moved = {n: w * (1 + t) if n in counted else w for n, w in net.weights.items()}
        g = reference.loss_backward(reference.forward(net.nodes, moved, x), y).weights
        return sum(float((g[n] ** 2).sum()) for n in counted) / 2

    slope = (squared(1e-6) - squared(-1e-6)) / 2e-6
    got = reference.grasp(net.nodes, net.weights, x, y)
    assert got.value == pytest.approx(-slope, rel=1e-6)


def test_fisher_by_hand() -> None:
    """d = 1/2 for two images; logits 5, -5 and 11, -7: F = ((5/2)^2 + (11/2)^2) / 4, ..."""
    net = regression()
    of = (net.nodes, net.weights, X)
    channels = ((2.5**2 + 5.5**2) + (2.5**2 + 3.5**2)) / 4
    per_channel = reference.fisher(*of, per_channel=True, loss="sum_logits")
    assert per_channel.value == pytest.approx(channels, rel=1e-15)
    repeated = reference.fisher(*of, loss="sum_logits")  # two inputs
    assert repeated.value == pytest.approx(2 * channels, rel=1e-15)


def test_fisher_repeats_a_channel_for_its_weights() -> None:
    """A grouped convolution has C / groups k_h k_w of them, whatever C is."""
    net = Net((4, 5, 5))
    net.conv(6, groups=2, kernel=(3, 2), padding=(1, 0), bias=True)
    net.step("global_avg_pool")
    x, _ = batch(net, 3)
    of = (net.nodes, net.weights, x)
    once = reference.fisher(*of, per_channel=True, loss="sum_logits").value
    assert reference.fisher(*of, loss="sum_logits").value == pytest.approx(12 * once, rel=1e-14)
    # logits are means of outputs, d = 1 / (n P Q): a d summed over places is logit / n
    logits = reference.forward(*of).logits
    assert once == pytest.approx(0.5 * ((logits / 3) ** 2).mean(axis=0).sum(), rel=1e-13)


def test_zico_by_hand() -> None:
    """Two batches: mean |g| over half the difference; the second weight has no variance."""
    grads = [np.array([[1.0, 2.0], [-3.0, 2.0]]), np.zeros((2, 3)), np.array([[1.0], [2.0]])]
    assert reference.zico_of_gradients(grads).value == pytest.approx(np.log(2 / 2) + np.log(3.0))


def test_zico_takes_passes_apart() -> None:
    net = every_op()
    x, y = batch(net, 6)
    run = reference.run(net.nodes, net.weights, x, y, group_size=2)
    expected = reference.zico_of_gradients(
        [run.gradients[n] for n in reference.counted_weights(net.nodes)]
    )
    assert reference.zico(net.nodes, net.weights, x, y, n_batches=3) == expected
    with pytest.raises(ValueError, match="n_batches: expected a divisor of the 6 rows of x, got 4"):
        reference.zico(net.nodes, net.weights, x, y, n_batches=4)
    with pytest.raises(ValueError, match="at least two batches"):
        reference.zico(net.nodes, net.weights, x, y, n_batches=1)


def test_three_equal_batches_have_no_variance_whatever_the_rounding() -> None:
    """The rounded mean of 0.1, 0.1 and 0.1 is not 0.1."""
    got = reference.zico_of_gradients(np.full((3, 4), 0.1))
    assert got == reference.Scored(0.0, "undefined", "no_variance")


def test_knas_by_hand() -> None:
    """The gradient of one image's summed logits is the image, for both rows: 2 |mean x|^2 = 26."""
    net = regression()
    of = (net.nodes, net.weights, X)
    assert reference.knas(*of, loss="sum_logits").value == pytest.approx(26.0, rel=1e-15)
    halves = Net((2, 1, 1))
    halves.linear(2)
    halves.linear(2)
    x, y = batch(halves, 3)
    total = reference.knas(halves.nodes, halves.weights, x, y, over="sum").value
    mean = reference.knas(halves.nodes, halves.weights, x, y, over="mean").value
    assert total == pytest.approx(2 * mean, rel=1e-15)


def test_knas_is_the_squared_mean_gradient_of_single_images() -> None:
    net = every_op()
    x, y = batch(net, 4)
    run = reference.run(net.nodes, net.weights, x, y, group_size=1)
    means = [run.gradients[n].mean(axis=0) for n in reference.counted_weights(net.nodes)]
    expected = sum(float((m**2).sum()) for m in means)
    got = reference.knas(net.nodes, net.weights, x, y)
    assert got.value == pytest.approx(expected, rel=1e-11)


def test_a_shared_tensor_counts_once() -> None:
    """Logit a a x: the gradient of the shared a is 2 a x."""
    net = product_net()
    net.nodes[2]["weights"] = {"weight": "n1.weight"}
    x = np.full((1, 1, 1, 1), 2.0)
    got = reference.snip(net.nodes, net.weights, x, loss="sum_logits")
    assert got.value == 3.0 * (2 * 3.0 * 2.0)
    # g = 2 a x = 12, H = 2 x = 4: -a H g
    assert reference.grasp(net.nodes, net.weights, x, loss="sum_logits").value == -3.0 * 4 * 12
    assert reference.params_weights(net.nodes, net.weights).value == 1


@pytest.mark.parametrize("name", ["snip", "plain"])
def test_scores_scale_like_the_logits(name: str) -> None:
    """Doubling the last layer doubles the sum of logits: its g stays, and every w g doubles."""
    net = usual(bn=False)
    x, _ = batch(net)
    last = net.nodes[-1]["weights"]["weight"]
    moved = {**net.weights, last: 2 * net.weights[last]}
    score = getattr(reference, name)
    before = score(net.nodes, net.weights, x, loss="sum_logits").value
    after = score(net.nodes, moved, x, loss="sum_logits").value
    assert after == pytest.approx(2 * before, rel=1e-12)
