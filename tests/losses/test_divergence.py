"""Divergences: by hand, beside torch, SciPy's definition and exact arithmetic, and where probabilities are 0."""

import mpmath
import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812  (the name everybody knows it by)
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lossopt import losses

INF = np.inf
Q, P = np.array([[0.5, 0.5], [0.25, 0.75]]), np.array([[0.25, 0.75], [1.0, 0.0]])


def test_two_distributions_by_hand(kind):
    value, gradients = kind.value_and_gradients(losses.kl_divergence, np.log(Q), P)
    np.testing.assert_allclose(value, [0.25 * np.log(0.5) + 0.75 * np.log(1.5), np.log(4)], rtol=1e-14)
    np.testing.assert_array_equal(gradients[0], -P)
    value = kind.value(losses.js_divergence, Q, P)
    m = (Q + P) / 2
    by_hand = [
        (0.5 * np.log(0.5 / m[0, 0]) + 0.5 * np.log(0.5 / m[0, 1])) / 2
        + (0.25 * np.log(0.25 / m[0, 0]) + 0.75 * np.log(0.75 / m[0, 1])) / 2,
        (0.25 * np.log(0.25 / m[1, 0]) + 0.75 * np.log(0.75 / m[1, 1])) / 2 + np.log(1 / m[1, 0]) / 2,
    ]
    np.testing.assert_allclose(value, by_hand, rtol=1e-14)


def test_torch_computes_the_same_divergence(kind, rng):
    q, p = np.log(rng.dirichlet(np.ones(5), 20)), rng.dirichlet(np.ones(5), 20)
    p[3] = [0.5, 0, 0.5, 0, 0]
    leaf = torch.tensor(q, requires_grad=True)
    expected = F.kl_div(leaf, torch.tensor(p), reduction="none").sum(-1)
    expected.sum().backward()
    value, gradients = kind.value_and_gradients(losses.kl_divergence, q, p)
    np.testing.assert_allclose(value, expected.detach(), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(gradients[0], leaf.grad, rtol=1e-12)
    np.testing.assert_allclose(gradients[1][p > 0], (np.log(p[p > 0]) + 1 - q[p > 0]), rtol=1e-12)
    js = kind.value(losses.js_divergence, np.exp(q), p)
    m = (np.exp(q) + p) / 2
    halves = [kind.value(losses.kl_divergence, np.log(m), x) for x in (np.exp(q), p)]
    np.testing.assert_allclose(js, sum(halves) / 2, rtol=1e-12)


def test_impossible_classes_have_their_limits(kind):
    log_q = np.log(np.array([[1, 1, 2]]) / 4.0)
    log_q = np.concatenate([log_q, [[-INF, 0.0, -INF], [-INF, 0.0, -INF]]])
    p = np.array([[0.0, 0.25, 0.75], [0.0, 1.0, 0.0], [0.5, 0.5, 0.0]])
    value, gradients = kind.value_and_gradients(losses.kl_divergence, log_q, p)
    np.testing.assert_allclose(value, [0.75 * np.log(1.5), 0, INF])
    np.testing.assert_array_equal(gradients[0], -p)
    # Where the target is 0 its own logarithm is left out of its gradient; an impossible class leaves nothing.
    np.testing.assert_allclose(gradients[1][:2], [[np.log(4), 1, np.log(1.5) + 1], [0, 1, 0]], rtol=1e-14)


def test_distributions_without_a_common_class_are_at_log_two(kind):
    q, p = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]]), np.array([[0.0, 1.0, 0.0], [0.5, 0.5, 0.0]])
    value, gradients = kind.value_and_gradients(losses.js_divergence, q, p)
    np.testing.assert_allclose(value, [np.log(2), 0], rtol=1e-15, atol=0)
    # The other class pulls with -1/2, and there is no NaN where both are 0.
    np.testing.assert_allclose(gradients[0], [[np.log(2) / 2, -0.5, 0], [0, 0, 0]], atol=1e-16)
    np.testing.assert_allclose(gradients[1], [[-0.5, np.log(2) / 2, 0], [0, 0, 0]], atol=1e-16)


def test_a_small_js_divergence_keeps_its_digits(kind):
    mpmath.mp.dps = 50
    for step in (1e-3, 1e-6, 1e-9):
        q, p = np.array([0.5 + step, 0.5 - step]), np.array([0.5, 0.5])
        exact = mpmath.mpf(0)
        for a, b in zip(map(mpmath.mpf, q), map(mpmath.mpf, p), strict=True):
            m = (a + b) / 2
            exact += (a * mpmath.log(a / m) + b * mpmath.log(b / m)) / 2
        value = kind.value(losses.js_divergence, q, p)
        assert abs(value - float(exact)) <= 1e-15 * step  # from logarithms of p and m it would be 1e-16


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_probability_that_is_lost_beside_the_other_has_no_say(dtype, kind):
    """It is not 0, but its sum with the other is the other."""
    for tiny in (np.finfo(dtype).smallest_subnormal, np.finfo(dtype).tiny, np.finfo(dtype).eps / 8):
        q, p = np.array([[tiny, 1.0]], dtype), np.array([[1.0, tiny]], dtype)
        value, gradients = kind.value_and_gradients(losses.js_divergence, q, p)
        np.testing.assert_allclose(value, [np.log(2)], rtol=20 * np.finfo(dtype).eps)
        assert np.isfinite(gradients).all()


@pytest.mark.parametrize("loss", [losses.kl_divergence, losses.js_divergence])
def test_what_is_no_probability_is_an_error(loss, kind):
    name = "log_probability" if loss is losses.kl_divergence else "probability"
    good = -np.ones((1, 2)) if loss is losses.kl_divergence else np.full((1, 2), 0.5)
    bad = np.array([[1.5, 0.5]])
    with pytest.raises(ValueError, match=f"{loss.__name__}: {name} must lie in .*, got 1.5"):
        kind.value(loss, bad, np.full((1, 2), 0.5))
    with pytest.raises(ValueError, match=rf"{loss.__name__}: target must lie in \[0, 1\], got 1.5"):
        kind.value(loss, good, bad)


DISTRIBUTIONS = arrays(np.float64, (2, 4), elements=st.floats(0, 1).filter(lambda x: x == 0 or x > 1e-100)).filter(
    lambda a: (a.sum(-1) > 0).all()
)


@given(DISTRIBUTIONS)
def test_divergences_are_never_negative_and_zero_between_equals(weights):
    q, p = torch.tensor(weights / weights.sum(-1, keepdims=True))
    kl, js = losses.kl_divergence(q.log().clamp(max=0), p), losses.js_divergence(q, p)
    assert kl >= -1e-15
    assert -1e-15 <= js <= np.log(2) + 1e-15
    assert losses.js_divergence(p, p) == 0
    assert losses.kl_divergence(p.log().clamp(max=0), p) == 0
    torch.testing.assert_close(losses.js_divergence(p, q), js, rtol=1e-12, atol=1e-18)


@given(DISTRIBUTIONS)
def test_a_divergence_is_a_cross_entropy_less_an_entropy(weights):
    q, p = torch.tensor(np.maximum(weights, 0.01) / np.maximum(weights, 0.01).sum(-1, keepdims=True))
    entropy = -(p * p.log()).sum()
    expected = losses.cross_entropy(q.log(), p) - entropy
    torch.testing.assert_close(losses.kl_divergence(q.log(), p), expected, rtol=1e-11, atol=1e-14)
