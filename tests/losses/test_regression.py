"""Losses for numbers: by hand, beside torch and exact arithmetic, at ties and extremes, and their statistics."""

import mpmath
import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812  (the name everybody knows it by)
from hypothesis import given
from hypothesis import strategies as st

from lossopt import losses

INF = np.inf
NUMBER = st.floats(-1e6, 1e6)


def test_two_predictions_by_hand(kind):
    """Errors of -3 (low) and 0.5 (high)."""
    p, y = np.array([1.0, 2.5]), np.array([4.0, 2.0])
    cases = [
        (losses.squared_error, {}, [9.0, 0.25], [-6.0, 1.0]),
        (losses.absolute_error, {}, [3.0, 0.5], [-1.0, 1.0]),
        (losses.huber, {}, [2.5, 0.125], [-1.0, 0.5]),
        (losses.huber, {"delta": 2.0}, [4.0, 0.125], [-2.0, 0.5]),
        (losses.smooth_l1, {"beta": 2.0}, [2.0, 0.0625], [-1.0, 0.25]),
        (losses.quantile, {"q": 0.9}, [2.7, 0.05], [-0.9, 0.1]),
        (losses.log_cosh, {}, [2.309328504577785, 0.120114506958278], [-0.995054753687, 0.462117157260]),
        (losses.poisson_nll, {}, [np.e - 4, np.exp(2.5) - 5], [np.e - 4, np.exp(2.5) - 2]),
    ]
    for loss, hyper, value, gradient in cases:
        got, gradients = kind.value_and_gradients(loss, p, y, **hyper)
        np.testing.assert_allclose(got, value, rtol=1e-11, err_msg=str(loss))
        np.testing.assert_allclose(gradients[0], gradient, rtol=1e-11, err_msg=str(loss))


def test_a_gaussian_by_hand(kind):
    value, (mean, _, variance) = kind.value_and_gradients(
        losses.gaussian_nll, np.array([1.0]), np.array([3.0]), np.array([0.5])
    )
    np.testing.assert_allclose(value, [(np.log(0.5) + 8) / 2])
    np.testing.assert_allclose(mean, [-4.0])
    np.testing.assert_allclose(variance, [1 - 8])


TORCH = [
    (losses.squared_error, F.mse_loss, {}, {}),
    (losses.absolute_error, F.l1_loss, {}, {}),
    (losses.huber, F.huber_loss, {}, {}),
    (losses.huber, F.huber_loss, {"delta": 0.3}, {"delta": 0.3}),
    (losses.smooth_l1, F.smooth_l1_loss, {}, {}),
    (losses.smooth_l1, F.smooth_l1_loss, {"beta": 2.5}, {"beta": 2.5}),
    (losses.poisson_nll, F.poisson_nll_loss, {}, {}),
]


@pytest.mark.parametrize(("ours", "theirs", "hyper", "options"), TORCH)
def test_torch_computes_the_same(ours, theirs, hyper, options, kind, rng):
    p, y = rng.normal(size=(2, 50))
    y = abs(y) if ours is losses.poisson_nll else y
    p[:5] = y[:5] + np.array([0, 0.3, -0.3, 2.5, -1])  # ties, and the corners of both parabolas
    expected, leaf = reference(lambda p: theirs(p, torch.tensor(y), reduction="none", **options), p)
    value, gradients = kind.value_and_gradients(ours, p, y, **hyper)
    np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(gradients[0], leaf, rtol=1e-12, atol=1e-15)


def test_torchs_gaussian_is_the_same_above_its_floor(kind, rng):
    p, y, v = rng.normal(size=50), rng.normal(size=50), rng.uniform(1e-3, 4, 50)
    expected, leaf = reference(lambda v: F.gaussian_nll_loss(torch.tensor(p), torch.tensor(y), v, reduction="none"), v)
    value, gradients = kind.value_and_gradients(losses.gaussian_nll, p, y, v)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    np.testing.assert_allclose(gradients[2], leaf, rtol=1e-12)


def reference(function, x):
    leaf = torch.tensor(x, requires_grad=True)
    result = function(leaf)
    result.sum().backward()
    return result.detach().numpy(), leaf.grad.numpy()


def test_at_a_perfect_prediction_the_loss_is_zero_and_the_gradient_is_the_stated_one(kind):
    y = np.array([-2.0, 0.0, 1e300])
    for loss, hyper, slope in [
        (losses.squared_error, {}, 0.0),
        (losses.absolute_error, {}, 0.0),
        (losses.huber, {}, 0.0),
        (losses.smooth_l1, {}, 0.0),
        (losses.log_cosh, {}, 0.0),
        (losses.quantile, {}, 0.0),
        (losses.quantile, {"q": 0.9}, 0.5 - 0.9),
    ]:
        value, gradients = kind.value_and_gradients(loss, y, y, **hyper)
        np.testing.assert_array_equal(value, 0)
        np.testing.assert_allclose(gradients[0], slope, rtol=1e-15)


def test_at_hubers_corner_both_pieces_agree(kind):
    for r in (-1.0, 1.0):
        value, gradients = kind.value_and_gradients(losses.huber, np.array([r]), np.array([0.0]))
        np.testing.assert_array_equal([*value, *gradients[0]], [0.5, r])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_largest_errors_have_their_limits(kind, dtype):
    big = np.finfo(dtype).max / 4
    p, y = np.array([big, -big, INF, -INF], dtype), np.zeros(4, dtype)
    for loss, value, slope in [
        (losses.absolute_error, [big, big, INF, INF], 1),
        (losses.huber, [big, big, INF, INF], 1),
        (losses.smooth_l1, [big, big, INF, INF], 1),
        (losses.log_cosh, [big, big, INF, INF], 1),
        (losses.quantile, [big / 2, big / 2, INF, INF], 0.5),
    ]:
        got, gradients = kind.value_and_gradients(loss, p, y)
        np.testing.assert_allclose(got, value, rtol=1e-6, err_msg=str(loss))
        np.testing.assert_allclose(gradients[0], [slope, -slope, slope, -slope], rtol=1e-6, err_msg=str(loss))


def test_log_cosh_is_as_accurate_as_the_error_it_is_given(kind):
    mpmath.mp.dps = 50
    r = np.array([1e-9, 1e-4, 0.1, 0.5, 1.0, 3.0, 20.0, 400.0, 1e5])
    value = kind.value(losses.log_cosh, r, np.zeros_like(r))
    exact = [float(mpmath.log(mpmath.cosh(mpmath.mpf(x)))) for x in r]
    assert (abs(value - exact) <= 2 * np.spacing(r)).all()


def test_a_rate_of_zero_and_a_rate_beyond_all_numbers_have_their_limits(kind):
    z, y = np.array([-INF, -INF, 1e3, INF, INF]), np.array([0.0, 2.0, 1.0, 0.0, 2.0])
    value, gradients = kind.value_and_gradients(losses.poisson_nll, z, y)
    np.testing.assert_array_equal(value, [0, INF, INF, INF, INF])
    np.testing.assert_array_equal(gradients[0], [0, -2, INF, INF, INF])


def test_a_gaussian_far_from_its_target_does_not_overflow_before_it_must(kind):
    p, y, v = (np.array([x], np.float32) for x in (1e25, 0, 1e30))
    np.testing.assert_allclose(kind.value(losses.gaussian_nll, p, y, v), [5e19], rtol=1e-6)


# The constant that minimises the summed loss is a statistic of the data.
@pytest.mark.parametrize(
    ("loss", "hyper", "statistic"),
    [
        (losses.squared_error, {}, np.mean),
        (losses.absolute_error, {}, np.median),
        (losses.quantile, {}, np.median),
        (losses.quantile, {"q": 0.9}, lambda y: np.quantile(y, 0.9, method="inverted_cdf")),
        (losses.quantile, {"q": 0.25}, lambda y: np.quantile(y, 0.25, method="inverted_cdf")),
        (losses.poisson_nll, {}, lambda y: np.log(y.mean())),
    ],
)
def test_the_best_constant_is_the_statistic_the_docstring_names(loss, hyper, statistic, kind, rng):
    y = rng.gamma(2, size=31)
    best = statistic(y)

    def total(constant):
        return kind.value(loss, np.full(31, constant), y, **hyper).sum()

    assert all(total(best) < total(best + step) for step in (-0.5, -1e-3, 1e-3, 0.5))


def test_the_best_gaussian_has_the_mean_and_the_variance_of_the_data(kind, rng):
    y = rng.normal(3, 2, size=40)
    _, (mean, _, variance) = kind.value_and_gradients(
        losses.gaussian_nll, np.full(40, y.mean()), y, np.full(40, y.var())
    )
    assert abs(mean.sum()) < 1e-12
    assert abs(variance.sum()) < 1e-12


@given(p=NUMBER, y=NUMBER, delta=st.floats(1e-3, 1e3))
def test_regression_losses_are_never_negative_symmetric_and_related_to_each_other(p, y, delta):
    p, y = torch.tensor([p, y], dtype=torch.float64).reshape(2, 1)
    size = losses.absolute_error(p, y)
    huber = losses.huber(p, y, delta)
    for loss in (losses.squared_error, losses.absolute_error, losses.huber, losses.log_cosh, losses.quantile):
        assert (loss(p, y) >= 0).all()
        torch.testing.assert_close(loss(p, y), loss(y, p), rtol=1e-12, atol=0)
    torch.testing.assert_close(losses.smooth_l1(p, y, delta), huber / delta, rtol=1e-12, atol=1e-300)
    torch.testing.assert_close(losses.quantile(p, y), size / 2, rtol=0, atol=0)
    torch.testing.assert_close(losses.huber(p, y, 1e9), losses.squared_error(p, y) / 2, rtol=1e-12, atol=0)
    assert (huber <= losses.squared_error(p, y) / 2 * (1 + 1e-12)).all()
    assert (huber <= delta * size * (1 + 1e-12)).all()
    assert (abs(losses.huber(p, y, 1e-9) / 1e-9 - size) <= 1e-9 + 1e-12 * size).all()


@given(p=NUMBER, y=NUMBER, q=st.floats(0.01, 0.99))
def test_exchanging_prediction_and_target_exchanges_q_and_one_minus_q(p, y, q):
    p, y = torch.tensor([p, y], dtype=torch.float64).reshape(2, 1)
    torch.testing.assert_close(losses.quantile(p, y, q), losses.quantile(y, p, 1 - q), rtol=1e-12, atol=1e-300)
