"""Losses for classes: by hand, beside torch and exact arithmetic, in their limits, and their laws."""

import mpmath
import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812  (the name everybody knows it by)
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lossopt import losses

INF, NAN = np.inf, np.nan
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
LOGITS = arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 5)), elements=st.floats(-50, 50))
Z, Y = np.log([[1.0, 2.0, 5.0], [3.0, 1.0, 4.0]]), np.array([2, 1])  # probabilities of eighths


def reference(function, *xs):
    leaves = [torch.tensor(x, requires_grad=True) for x in xs]
    result = function(*leaves)
    result.sum().backward()
    return result.detach().numpy(), [leaf.grad.numpy() for leaf in leaves]


# ---------------------------------------------------------------- by hand


def test_a_binary_cross_entropy_by_hand(kind):
    p, y = np.array([0.8, 0.8, 0.8]), np.array([1.0, 0.0, 0.5])
    expected = [-np.log(0.8), -np.log(0.2), -np.log(0.4)]
    value, gradients = kind.value_and_gradients(losses.binary_cross_entropy, p, y)
    np.testing.assert_allclose(value, expected, rtol=1e-14)
    np.testing.assert_allclose(gradients[0], [-1.25, 5.0, 1.875], rtol=1e-14)
    value, gradients = kind.value_and_gradients(losses.binary_cross_entropy_with_logits, np.full(3, np.log(4)), y)
    np.testing.assert_allclose(value, [-np.log(0.8), -np.log(0.2), -np.log(0.4)], rtol=1e-14)
    np.testing.assert_allclose(gradients[0], [-0.2, 0.8, 0.3], rtol=1e-14)


def test_a_positive_weight_multiplies_the_positive_part_alone(kind):
    z, y = np.full((2, 2), np.log(4)), np.array([[1.0, 0.0], [0.5, 1.0]])
    no, yes = -np.log(0.2), -np.log(0.8)
    bce = losses.binary_cross_entropy_with_logits
    np.testing.assert_allclose(kind.value(bce, z, y, pos_weight=3.0), [[3 * yes, no], [1.5 * yes + no / 2, 3 * yes]])
    per_column = kind.value(bce, z, y, pos_weight=np.array([3.0, 10.0]))
    np.testing.assert_allclose(per_column, [[3 * yes, no], [1.5 * yes + no / 2, 10 * yes]])
    np.testing.assert_allclose(kind.value(bce, z, y, pos_weight=0), [[0, no], [no / 2, 0]])


def test_a_cross_entropy_by_hand(kind):
    value, gradients = kind.value_and_gradients(losses.cross_entropy, Z, Y)
    np.testing.assert_allclose(value, [np.log(8 / 5), np.log(8)], rtol=1e-14)
    np.testing.assert_allclose(gradients[0], [[1 / 8, 2 / 8, -3 / 8], [3 / 8, -7 / 8, 4 / 8]], rtol=1e-14)


def test_weights_smoothing_and_shares_by_hand(kind):
    w = np.array([1.0, 10.0, 100.0])
    surprise = np.log(8) - Z
    np.testing.assert_allclose(kind.value(losses.cross_entropy, Z, Y, weight=w), [100 * surprise[0, 2], 10 * np.log(8)])
    smooth = kind.value(losses.cross_entropy, Z, Y, label_smoothing=0.3)
    np.testing.assert_allclose(smooth, [surprise[0] @ [0.1, 0.1, 0.8], surprise[1] @ [0.1, 0.8, 0.1]])
    both = kind.value(losses.cross_entropy, Z, Y, weight=w, label_smoothing=0.3)
    np.testing.assert_allclose(both, [surprise[0] @ [0.1, 1, 80], surprise[1] @ [0.1, 8, 10]])
    shares = np.array([[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(kind.value(losses.cross_entropy, Z, shares), (shares * surprise).sum(-1))
    every = kind.value(losses.cross_entropy, Z, shares, weight=w, label_smoothing=0.3)
    np.testing.assert_allclose(every, (w * (0.7 * shares + 0.1) * surprise).sum(-1))


def test_a_negative_log_likelihood_picks_and_weighs(kind):
    log_p = Z - np.log(8)
    w = np.array([1.0, 10.0, 100.0])
    value, gradients = kind.value_and_gradients(losses.nll, log_p, Y, weight=w)
    np.testing.assert_allclose(value, [100 * np.log(8 / 5), 10 * np.log(8)])
    np.testing.assert_array_equal(gradients[0], [[0, 0, -100], [0, -10, 0]])


def test_margins_by_hand(kind):
    s, y = np.array([0.5, -0.5, 3.0, 1.0, -1.0]), np.array([1.0, 1.0, 1.0, 1.0, -1.0])
    value, gradients = kind.value_and_gradients(losses.hinge, s, y)
    np.testing.assert_array_equal(value, [0.5, 1.5, 0, 0, 0])
    np.testing.assert_array_equal(gradients[0], [-1, -1, 0, 0, 0])  # on the margin, 0
    value, gradients = kind.value_and_gradients(losses.squared_hinge, s, y)
    np.testing.assert_array_equal(value, [0.25, 2.25, 0, 0, 0])
    np.testing.assert_array_equal(gradients[0], [-1, -3, 0, 0, 0])


def test_crammer_and_singers_margin_by_hand(kind):
    s = np.array([[3.0, 1.0, 0.0], [0.0, 0.5, 0.2], [2.0, 2.0, 2.0], [2.0, 1.0, 0.0], [0.0, 4.0, 4.0]])
    y = np.array([0, 1, 0, 0, 0])
    value, gradients = kind.value_and_gradients(losses.multiclass_hinge, s, y)
    np.testing.assert_allclose(value, [0, 0.7, 1, 0, 5])
    expected = [[0, 0, 0], [0, -1, 1], [-1, 0.5, 0.5], [0, 0, 0], [-1, 0.5, 0.5]]  # rivals that tie share
    np.testing.assert_allclose(gradients[0], expected)


def test_a_focal_loss_by_hand(kind):
    z, y = np.full(2, np.log(4)), np.array([1.0, 0.0])
    np.testing.assert_allclose(kind.value(losses.focal, z, y), [-0.04 * np.log(0.8), -0.64 * np.log(0.2)])
    with_alpha = kind.value(losses.focal, z, y, gamma=0.5, alpha=0.25)
    np.testing.assert_allclose(with_alpha, [-0.25 * 0.2**0.5 * np.log(0.8), -0.75 * 0.8**0.5 * np.log(0.2)])


# ---------------------------------------------------------------- beside torch


def test_torchs_binary_cross_entropies_are_the_same(kind, rng):
    z, y = rng.normal(scale=4, size=(40, 3)), rng.uniform(size=(40, 3))
    z[0], y[1], y[2] = 0, 0, 1
    w = np.array([0.5, 1.0, 7.0])
    bce = losses.binary_cross_entropy_with_logits
    with_logits = F.binary_cross_entropy_with_logits
    expected, slopes = reference(lambda z, y: with_logits(z, y, pos_weight=torch.tensor(w), reduction="none"), z, y)
    value, gradients = kind.value_and_gradients(bce, z, y, pos_weight=w)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    np.testing.assert_allclose(gradients[0], slopes[0], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(gradients[1], slopes[1], rtol=1e-12)

    p = 1 / (1 + np.exp(-z))
    expected, slopes = reference(lambda p: F.binary_cross_entropy(p, torch.tensor(y), reduction="none"), p)
    value, gradients = kind.value_and_gradients(losses.binary_cross_entropy, p, y)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    np.testing.assert_allclose(gradients[0], slopes[0], rtol=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("shares", [False, True])
def test_torchs_cross_entropy_is_the_same(weighted, label_smoothing, shares, kind, rng):
    z, y, w = rng.normal(scale=3, size=(30, 5)), rng.integers(0, 5, 30), rng.uniform(0.1, 3, 5)
    y[::7] = -100
    z[3], z[4, :2] = 1.5, z[4].max() + 1  # ties
    target = rng.dirichlet(np.ones(5), 30) if shares else y
    weight = w if weighted else None
    options = {"weight": torch.tensor(w) if weighted else None, "label_smoothing": label_smoothing, "reduction": "none"}
    expected, slopes = reference(lambda z: F.cross_entropy(z, torch.tensor(target), **options), z)
    value, gradients = kind.value_and_gradients(
        losses.cross_entropy, z, target, weight=weight, label_smoothing=label_smoothing
    )
    np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(gradients[0], slopes[0], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_torchs_weighted_mean_is_the_sum_over_the_weights_of_the_labels_that_count(label_smoothing, kind, rng):
    z, y, w = rng.normal(size=(30, 5)), rng.integers(0, 5, 30), rng.uniform(0.1, 3, 5)
    y[::4] = -100
    expected = F.cross_entropy(*map(torch.tensor, (z, y, w)), label_smoothing=label_smoothing)
    value = kind.value(losses.cross_entropy, z, y, weight=w, label_smoothing=label_smoothing)
    np.testing.assert_allclose(value.sum() / w[y[y != -100]].sum(), expected, rtol=1e-12)


def test_torchs_weighted_mean_over_probabilities_divides_by_the_number_of_rows(kind, rng):
    z, y, w = rng.normal(size=(30, 5)), rng.dirichlet(np.ones(5), 30), rng.uniform(0.1, 3, 5)
    expected = F.cross_entropy(*map(torch.tensor, (z, y, w)))
    np.testing.assert_allclose(kind.value(losses.cross_entropy, z, y, weight=w).mean(), expected, rtol=1e-12)


def test_torchs_nll_is_the_same(kind, rng):
    log_p = np.log(rng.dirichlet(np.ones(5), 30))
    y, w = rng.integers(0, 5, 30), rng.uniform(0.1, 3, 5)
    y[::4] = 9
    tensors = torch.tensor(y), torch.tensor(w)
    expected, slopes = reference(lambda z: F.nll_loss(z, *tensors, ignore_index=9, reduction="none"), log_p)
    value, gradients = kind.value_and_gradients(losses.nll, log_p, y, weight=w, ignore_index=9)
    np.testing.assert_allclose(value, expected)
    np.testing.assert_allclose(gradients[0], slopes[0])


def test_torchs_images_have_their_classes_second(kind, rng):
    z, y = rng.normal(size=(2, 5, 3, 4)), rng.integers(0, 5, (2, 3, 4))
    expected = F.cross_entropy(torch.tensor(z), torch.tensor(y), reduction="none")
    value = losses.cross_entropy(kind.make(z).permute(0, 2, 3, 1), kind.make(y))
    np.testing.assert_allclose(value.numpy(), expected)


@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, None), (2.0, 0.25), (0.5, 0.9), (0.0, None), (5.0, 0.0)])
def test_the_focal_loss_is_what_the_paper_writes(gamma, alpha, kind, rng):
    z, y = rng.normal(scale=3, size=50), rng.choice([0.0, 1.0], 50)
    z[:2] = 0

    def paper(z):
        p, t = z.sigmoid(), torch.tensor(y)
        p_t, alpha_t = p * t + (1 - p) * (1 - t), 1 if alpha is None else alpha * t + (1 - alpha) * (1 - t)
        return -alpha_t * (1 - p_t) ** gamma * p_t.log()

    expected, slopes = reference(paper, z)
    value, gradients = kind.value_and_gradients(losses.focal, z, y, gamma=gamma, alpha=alpha)
    np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(gradients[0], slopes[0], rtol=1e-9, atol=1e-15)


# ---------------------------------------------------------------- beside fifty digits


def close(value, exact, ulps=6):
    exact = np.array([float(x) for x in exact])
    assert (abs(value - exact) <= ulps * np.spacing(exact)).all(), (value, exact)


WIDE = np.array([-700, -100, -40, -17, -3, -1e-3, 0, 1e-9, 0.5, 2, 17, 40, 100, 700.0])


def test_binary_losses_keep_their_digits_however_sure_the_model_is(kind):
    mpmath.mp.dps = 400
    z, one = [mpmath.mpf(x) for x in WIDE], np.ones_like(WIDE)
    p = [1 / (1 + mpmath.exp(-x)) for x in z]
    close(kind.value(losses.binary_cross_entropy_with_logits, WIDE, one), [-mpmath.log(x) for x in p])
    close(kind.value(losses.binary_cross_entropy_with_logits, WIDE, 0 * one), [-mpmath.log(1 - x) for x in p])
    slopes = kind.gradient(losses.binary_cross_entropy_with_logits, WIDE, one)
    close(-slopes, [1 - x for x in p])
    close(kind.value(losses.focal, WIDE, one, gamma=0.5), [-mpmath.sqrt(1 - x) * mpmath.log(x) for x in p], ulps=400)


def test_a_small_probability_keeps_its_digits(kind):
    mpmath.mp.dps = 400
    p = np.array([1e-300, 1e-20, 1e-9, 0.3])
    close(kind.value(losses.binary_cross_entropy, p, np.zeros(4)), [-mpmath.log(1 - mpmath.mpf(x)) for x in p])


def test_cross_entropy_keeps_its_digits_however_sure_the_model_is(kind, rng):
    mpmath.mp.dps = 400
    z = np.concatenate([rng.normal(scale=s, size=(4, 3)) for s in (1e-3, 1, 30, 300)])
    z = np.concatenate([z, [[40, 0, 0], [700, 0, -700], [2, 2, 2]]])
    value, gradients = kind.value_and_gradients(losses.cross_entropy, z, z.argmax(-1))
    e = [[mpmath.exp(mpmath.mpf(x)) for x in row] for row in z]
    p = [max(row) / sum(row) for row in e]
    exact = np.array([float(-mpmath.log(x)) for x in p])
    spread = np.ptp(z, axis=-1)  # the difference of two logits is itself rounded
    assert (abs(value - exact) <= (6 + spread) * np.spacing(exact)).all()
    right = -np.take_along_axis(gradients[0], z.argmax(-1)[:, None], -1)[:, 0]
    exact = np.array([float(1 - x) for x in p])
    assert (abs(right - exact) <= (6 + spread) * np.spacing(exact)).all()


def test_the_surest_example_of_the_docstrings(kind):
    value, gradients = kind.value_and_gradients(losses.cross_entropy, np.array([[40.0, 0.0]]), np.array([0]))
    np.testing.assert_allclose(value, [4.248354255291589e-18], rtol=1e-15)
    np.testing.assert_allclose(gradients[0], [[-4.248354255291589e-18, 4.248354255291589e-18]], rtol=1e-15)


# ---------------------------------------------------------------- limits


@DTYPES
def test_infinite_and_largest_logits_of_a_binary_loss_have_their_limits(kind, dtype):
    big = np.finfo(dtype).max
    z = np.array([INF, INF, -INF, -INF, big, big, -big, -big], dtype)
    y = np.array([1, 0, 1, 0, 1, 0, 1, 0], dtype)
    for loss, hyper in [
        (losses.binary_cross_entropy_with_logits, {}),
        (losses.focal, {}),
        (losses.focal, {"gamma": 0.5}),
        (losses.focal, {"gamma": 0}),
    ]:
        value, gradients = kind.value_and_gradients(loss, z, y, **hyper)
        np.testing.assert_array_equal(value, [0, INF, INF, 0, 0, big, big, 0])
        np.testing.assert_array_equal(gradients[0], [0, 1, -1, 0, 0, 1, -1, 0])


def test_a_half_target_at_an_infinite_logit_costs_infinity(kind):
    value, gradients = kind.value_and_gradients(
        losses.binary_cross_entropy_with_logits, np.array([INF, -INF]), np.full(2, 0.5)
    )
    np.testing.assert_array_equal(value, [INF, INF])
    np.testing.assert_array_equal(gradients[0], [0.5, -0.5])


def test_certain_probabilities_have_their_limits(kind):
    p, y = np.array([0.0, 0, 1, 1, 0, 1]), np.array([0.0, 1, 0, 1, 0.5, 0.5])
    value, gradients = kind.value_and_gradients(losses.binary_cross_entropy, p, y)
    np.testing.assert_array_equal(value, [0, INF, INF, 0, INF, INF])
    np.testing.assert_array_equal(gradients[0], [1, -INF, INF, -1, -INF, INF])
    np.testing.assert_array_equal(gradients[1][[0, 3]], 0)  # where 0 log 0 is 0, its slope is 0 as well


@DTYPES
def test_infinite_and_largest_logits_of_a_cross_entropy_have_their_limits(kind, dtype):
    big = np.finfo(dtype).max / 2
    z = [[INF, 0, 1], [0, INF, 1], [-INF, 0, -INF], [-INF, 0, 0], [big, -big, 0], [-big, big, 0]]
    z = np.array([*z, [0, -INF, 0], [3, -INF, -INF]], dtype)
    value, gradients = kind.value_and_gradients(losses.cross_entropy, z, np.array([0, 0, 1, 0, 0, 0, 0, 0]))
    np.testing.assert_allclose(value, [0, INF, 0, INF, 0, 2 * big, np.log(2), 0], rtol=1e-6)
    expected = [[0, 0, 0], [-1, 1, 0], [0, 0, 0], [-1, 0.5, 0.5], [0, 0, 0], [-1, 1, 0], [-0.5, 0, 0.5], [0, 0, 0]]
    np.testing.assert_allclose(gradients[0], expected, rtol=1e-6)


def test_a_masked_class_takes_no_part_in_shares(kind):
    """A logit of -inf says that a class is impossible; a target that agrees costs nothing for it."""
    z, y = np.array([[-INF, 0.0, 0.0]]), np.array([[0.0, 0.25, 0.75]])
    value, gradients = kind.value_and_gradients(losses.cross_entropy, z, y)
    np.testing.assert_allclose(value, [np.log(2)])
    np.testing.assert_allclose(gradients[0], [[0, 0.25, -0.25]], atol=1e-16)


def test_two_infinite_logits_that_compete_have_no_limit(kind):
    value = kind.value(losses.cross_entropy, np.array([[INF, INF], [-INF, -INF]]), np.array([0, 0]))
    assert np.isnan(value).all()


def test_a_class_of_weight_zero_costs_nothing_even_where_it_is_impossible(kind):
    z, w = np.array([[-INF, 0.0], [0.0, 0.0]]), np.array([0.0, 1.0])
    value, gradients = kind.value_and_gradients(losses.cross_entropy, z, np.array([0, 1]), weight=w)
    np.testing.assert_array_equal(value, [0, np.log(2)])
    np.testing.assert_array_equal(gradients[0], [[0, 0], [0.5, -0.5]])
    log_p = np.array([[-INF, 0.0], [0.0, -INF]])
    np.testing.assert_array_equal(kind.value(losses.nll, log_p, np.array([0, 1]), weight=w), [0, INF])


def test_one_class_alone_costs_nothing(kind):
    value, gradients = kind.value_and_gradients(losses.cross_entropy, np.array([[3.0], [INF]]), np.array([0, 0]))
    np.testing.assert_array_equal(value, [0, 0])
    assert not np.signbit(value).any()
    np.testing.assert_array_equal(gradients[0], [[0], [0]])


@pytest.mark.parametrize("hyper", [{}, {"label_smoothing": 0.2}, {"weight": np.array([1.0, 2.0, 3.0])}], ids=str)
def test_ignored_rows_cost_exactly_nothing_whatever_they_hold(hyper, kind):
    z = np.array([[1.0, 2.0, 0.5], [NAN, INF, -INF], [0.0, 0.0, 1.0], [INF, INF, 0.0], [0.1, 0.2, 0.3]])
    y = np.array([1, -100, 2, -100, -100])
    value, gradients = kind.value_and_gradients(losses.cross_entropy, z, y, **hyper)
    kept, kept_gradients = kind.value_and_gradients(losses.cross_entropy, z[[0, 2]], y[[0, 2]], **hyper)
    np.testing.assert_array_equal(value[[1, 3, 4]], 0)
    np.testing.assert_array_equal(gradients[0][[1, 3, 4]], 0)
    np.testing.assert_array_equal(value[[0, 2]], kept)
    np.testing.assert_array_equal(gradients[0][[0, 2]], kept_gradients[0])


def test_rows_may_have_any_number_of_axes(kind, rng):
    """Such as the pixels of a batch of images, some of them ignored."""
    z, y, w = rng.normal(size=(2, 3, 4, 5)), rng.integers(0, 5, (2, 3, 4)), rng.uniform(1, 2, 5)
    y[0, 1] = -100
    for hyper in ({}, {"label_smoothing": 0.3}, {"weight": w}):
        flat = kind.value(losses.cross_entropy, z.reshape(24, 5), y.reshape(24), **hyper)
        np.testing.assert_allclose(kind.value(losses.cross_entropy, z, y, **hyper), flat.reshape(2, 3, 4), rtol=1e-14)
    flat = kind.value(losses.nll, -abs(z).reshape(24, 5), y.reshape(24))
    np.testing.assert_array_equal(kind.value(losses.nll, -abs(z), y), flat.reshape(2, 3, 4))
    y[y == -100] = 0
    flat = kind.value(losses.multiclass_hinge, z.reshape(24, 5), y.reshape(24))
    np.testing.assert_array_equal(kind.value(losses.multiclass_hinge, z, y), flat.reshape(2, 3, 4))


def test_a_row_without_a_choice_may_be_ignored(kind):
    """Minus one hundred is the ignored label of torch, also where there is but one class."""
    for loss in (losses.cross_entropy, losses.nll):
        value, gradients = kind.value_and_gradients(loss, np.array([[-3.0], [-2.0]]), np.array([-100, 0]))
        np.testing.assert_array_equal(value, [0, 0 if loss is losses.cross_entropy else 2])
        np.testing.assert_array_equal(gradients[0][0], [0])


def test_ignored_rows_of_an_nll_cost_exactly_nothing_whatever_they_hold(kind):
    log_p = np.array([[-0.5, -1.0], [NAN, -INF], [-INF, NAN]])
    value, gradients = kind.value_and_gradients(losses.nll, log_p, np.array([1, -1, -1]), ignore_index=-1)
    np.testing.assert_array_equal(value, [1, 0, 0])
    np.testing.assert_array_equal(gradients[0], [[0, -1], [0, 0], [0, 0]])


@DTYPES
def test_infinite_scores_have_their_limits(kind, dtype):
    s, y = np.array([INF, -INF, INF, -INF], dtype), np.array([1, 1, -1, -1], dtype)
    value, gradients = kind.value_and_gradients(losses.hinge, s, y)
    np.testing.assert_array_equal(value, [0, INF, INF, 0])
    np.testing.assert_array_equal(gradients[0], [0, -1, 1, 0])
    s = np.array([[INF, 0], [-INF, 0], [0, INF], [0, -INF]], dtype)
    value, gradients = kind.value_and_gradients(losses.multiclass_hinge, s, np.zeros(4, int))
    np.testing.assert_array_equal(value, [0, INF, INF, 0])
    np.testing.assert_array_equal(gradients[0], [[0, 0], [-1, 1], [-1, 1], [0, 0]])


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize("loss", [losses.cross_entropy, losses.nll, losses.multiclass_hinge])
def test_labels_must_be_integers_one_a_row(loss, kind):
    z = kind.make(-np.ones((3, 2)))
    for bad, error, message in [
        (np.zeros(3), TypeError, "labels of an integer dtype, got .*float64"),
        (np.zeros(3, bool), TypeError, "labels of an integer dtype, got .*bool"),
        (np.zeros((3, 1), int), ValueError, r"shape \(3,\) beside \w+ of shape \(3, 2\), got \(3, 1\)"),
        (np.zeros((3, 2), int), ValueError, r"shape \(3,\) beside \w+ of shape \(3, 2\), got \(3, 2\)"),
        (np.array([0, 1, 2]), ValueError, r"must lie in \[0, 1\].*, got 2"),
        (np.array([0, -1, 1]), ValueError, r"must lie in \[0, 1\].*, got -1"),
    ]:
        with pytest.raises(error, match=f"^{loss.__name__}: target .*{message}"):
            loss(z, kind.make(bad))
    with pytest.raises(ValueError, match="last axis of classes"):
        loss(kind.make(np.ones((3, 0))), kind.make(np.zeros(3, int)))
    with pytest.raises(ValueError, match="last axis of classes"):
        loss(kind.make(np.array(-1.0)), kind.make(np.array(0)))


@pytest.mark.parametrize("loss", [losses.nll, losses.multiclass_hinge])
def test_only_a_cross_entropy_takes_probabilities_for_labels(loss, kind):
    z = kind.make(-np.ones((3, 2)))
    with pytest.raises(ValueError, match=rf"^{loss.__name__}: target must have shape \(3,\) .*, got \(3, 2\)$"):
        loss(z, kind.make(np.full((3, 2), 0.5)))


@pytest.mark.parametrize("integers", [np.int64, np.int32, np.int16, np.uint8])
def test_labels_may_be_integers_of_any_size(integers, kind):
    for loss in (losses.cross_entropy, losses.multiclass_hinge):
        labels = Y.astype(integers)
        np.testing.assert_array_equal(kind.value(loss, Z, labels), kind.value(loss, Z, Y))
    smooth = kind.value(losses.cross_entropy, Z, Y.astype(integers), label_smoothing=0.1)
    np.testing.assert_array_equal(smooth, kind.value(losses.cross_entropy, Z, Y, label_smoothing=0.1))
    np.testing.assert_array_equal(kind.value(losses.nll, -Z, Y.astype(integers)), kind.value(losses.nll, -Z, Y))


def test_minus_one_is_a_label_only_where_it_is_the_ignored_one(kind):
    y = np.array([2, -1])
    with pytest.raises(ValueError, match="be ignored as -100, got -1"):
        kind.value(losses.cross_entropy, Z, y)
    np.testing.assert_allclose(kind.value(losses.cross_entropy, Z, y, ignore_index=-1), [np.log(8 / 5), 0])


def test_a_label_that_is_ignored_may_also_be_a_class(kind):
    np.testing.assert_allclose(kind.value(losses.cross_entropy, Z, Y, ignore_index=2), [0, np.log(8)])


def test_shares_must_be_probabilities_of_the_logits_shape(kind):
    with pytest.raises(ValueError, match=r"target must lie in \[0, 1\], got 1.5"):
        kind.value(losses.cross_entropy, Z, np.array([[1.5, 0, 0], [0, 0, 1]]))
    with pytest.raises(ValueError, match=r"target must have shape \(2, 3\) beside logits .*, got \(2, 1\)"):
        kind.value(losses.cross_entropy, Z, np.ones((2, 1)))


def test_weights_are_one_number_per_class_and_not_negative(kind):
    ce, bce = losses.cross_entropy, losses.binary_cross_entropy_with_logits
    for loss, y, name in [(ce, Y, "weight"), (losses.nll, Y, "weight"), (bce, np.ones((2, 3)), "pos_weight")]:
        with pytest.raises(ValueError, match=rf"{loss.__name__}: {name} must have shape \(3,\), got \(2,\)"):
            kind.value(loss, -Z, y, **{name: np.ones(2)})
        with pytest.raises(ValueError, match=rf"{loss.__name__}: {name} must lie in \[0, inf\), got -1.0"):
            kind.value(loss, -Z, y, **{name: np.array([1.0, -1.0, 1.0])})
        with pytest.raises(TypeError, match=f"{loss.__name__}: {name} must be"):
            kind.value(loss, -Z, y, **{name: [1.0, 1.0, 1.0]})
    with pytest.raises(TypeError, match=r"weight must be None or a tensor of shape \(3,\), got 2.0"):
        kind.value(ce, Z, Y, weight=2.0)
    for bad in (-1.0, NAN):
        with pytest.raises(ValueError, match=r"pos_weight must lie in \[0, inf\), got"):
            kind.value(bce, Z, np.ones((2, 3)), pos_weight=bad)


def test_logits_or_probabilities_are_no_log_probabilities(kind):
    for wrong in (np.full((2, 3), 1 / 3), Z):
        with pytest.raises(ValueError, match=r"nll: log_probability must lie in \(-inf, 0\], got"):
            kind.value(losses.nll, wrong, Y)


# ---------------------------------------------------------------- laws


def labels(z):
    return torch.tensor([3 * i % z.shape[1] for i in range(len(z))])


@given(LOGITS, st.floats(-50, 50))
def test_cross_entropy_is_never_negative_and_does_not_see_a_shift(z, shift):
    z, y = torch.tensor(z), labels(z)
    value = losses.cross_entropy(z, y)
    assert (value >= 0).all()
    torch.testing.assert_close(losses.cross_entropy(z + shift, y), value, rtol=1e-9, atol=1e-12)


@given(LOGITS, st.floats(0, 1))
def test_the_gradient_of_a_cross_entropy_is_softmax_minus_target_and_sums_to_zero(z, label_smoothing):
    z = torch.tensor(z, requires_grad=True)
    y = labels(z)
    losses.cross_entropy(z, y, label_smoothing=label_smoothing).sum().backward()
    hot = F.one_hot(y, z.shape[1]).double() * (1 - label_smoothing) + label_smoothing / z.shape[1]
    torch.testing.assert_close(z.grad, z.detach().softmax(-1) - hot, rtol=1e-12, atol=1e-14)
    assert (abs(z.grad.sum(-1)) < 1e-14).all()


@given(LOGITS, st.randoms(use_true_random=False))
def test_renaming_the_classes_changes_nothing(z, random):
    order = list(range(z.shape[1]))
    random.shuffle(order)
    z, y = torch.tensor(z), labels(z)
    renamed = torch.tensor([order.index(label) for label in y.tolist()])
    for loss in (losses.cross_entropy, losses.multiclass_hinge):
        torch.testing.assert_close(loss(z[:, order], renamed), loss(z, y), rtol=1e-12, atol=1e-300)


@given(LOGITS)
def test_labels_are_the_probabilities_that_are_one_there(z):
    z, y = torch.tensor(z), labels(z)
    hot = F.one_hot(y, z.shape[1]).double()
    value = losses.cross_entropy(z, y)
    torch.testing.assert_close(losses.cross_entropy(z, hot), value, rtol=0, atol=0)
    torch.testing.assert_close(losses.nll(z.log_softmax(-1), y), value, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(losses.cross_entropy(z, y, label_smoothing=1e-300), value, rtol=1e-12, atol=1e-290)
    twice = losses.cross_entropy(z, y, weight=torch.full((z.shape[1],), 2.0, dtype=torch.float64))
    torch.testing.assert_close(twice, 2 * value, rtol=0, atol=0)


@given(arrays(np.float64, 5, elements=st.floats(-700, 700)), st.floats(0, 1))
def test_a_binary_cross_entropy_is_that_of_two_classes_with_logits_zero_and_z(z, y):
    z = torch.tensor(z)
    two = torch.stack([torch.zeros_like(z), z], -1)
    y = torch.full_like(z, y)
    shares = torch.stack([1 - y, y], -1)
    binary = losses.binary_cross_entropy_with_logits(z, y)
    torch.testing.assert_close(binary, losses.cross_entropy(two, shares), rtol=1e-12, atol=1e-300)


@given(arrays(np.float64, 5, elements=st.floats(-700, 700)), st.sampled_from([0.0, 1.0]), st.floats(0, 8))
def test_a_focal_loss_lies_between_nothing_and_the_cross_entropy_it_is_for_gamma_zero(z, y, gamma):
    z = torch.tensor(z)
    y = torch.full_like(z, y)
    binary = losses.binary_cross_entropy_with_logits(z, y)
    torch.testing.assert_close(losses.focal(z, y, gamma=0), binary, rtol=0, atol=0)
    value = losses.focal(z, y, gamma=gamma)
    assert ((value >= 0) & (value <= binary)).all()
    torch.testing.assert_close(losses.focal(-z, 1 - y, gamma=gamma), value, rtol=0, atol=0)


@given(arrays(np.float64, 5, elements=st.floats(-700, 700)))
def test_exchanging_the_classes_changes_the_sign_of_the_score(z):
    z, y = torch.tensor(z), torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0], dtype=torch.float64)
    for loss in (losses.hinge, losses.squared_hinge):
        torch.testing.assert_close(loss(-z, -y), loss(z, y), rtol=0, atol=0)
        assert (loss(z, y) >= 0).all()
    torch.testing.assert_close(losses.squared_hinge(z, y), losses.hinge(z, y) ** 2, rtol=1e-15, atol=0)
    bce, half = losses.binary_cross_entropy_with_logits, (y + 1) / 2
    torch.testing.assert_close(bce(-z, 1 - half), bce(z, half), rtol=0, atol=0)


def test_the_best_constant_logit_is_that_of_the_observed_shares(kind):
    y = np.array([1.0, 1, 1, 0])
    assert abs(kind.gradient(losses.binary_cross_entropy_with_logits, np.full(4, np.log(3)), y).sum()) < 1e-15
    assert abs(kind.gradient(losses.binary_cross_entropy, np.full(4, 0.75), y).sum()) < 1e-14
    z = np.log(np.tile([0.2, 0.3, 0.5], (10, 1)))
    y = np.repeat([0, 1, 2], [2, 3, 5])
    assert (abs(kind.gradient(losses.cross_entropy, z, y).sum(0)) < 1e-14).all()
