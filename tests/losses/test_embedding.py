"""Losses for embeddings: by hand, beside torch, for rows that coincide or are zero, and their laws."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812  (the name everybody knows it by)
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lossopt import losses

VECTORS = arrays(np.float64, (3, 4, 2), elements=st.integers(-40, 40).map(lambda x: x / 8))


def reference(function, *xs):
    leaves = [torch.tensor(x, requires_grad=True) for x in xs]
    result = function(*leaves)
    result.sum().backward()
    return result.detach().numpy(), [leaf.grad.numpy() for leaf in leaves]


def test_a_triplet_by_hand(kind):
    """Distances 5 and 1, so that the positive lacks 4 and the margin; then 1 and 5; then exactly on the margin."""
    a, p, n = np.zeros((3, 2)), np.array([[3.0, 4], [1, 0], [1, 0]]), np.array([[1.0, 0], [3, 4], [0, 2]])
    value, gradients = kind.value_and_gradients(losses.triplet, a, p, n)
    np.testing.assert_allclose(value, [5, 0, 0])
    np.testing.assert_allclose(gradients[0], [[-0.6 + 1, -0.8], [0, 0], [0, 0]])
    np.testing.assert_allclose(kind.value(losses.triplet, a, p, n, margin=5.0), [9, 1, 4])


def test_a_contrastive_pair_by_hand(kind):
    """Distance 5: a like pair costs 25 / 2; an unlike one lacks 2 to a margin of 7."""
    a, b, y = np.zeros((3, 2)), np.array([[3.0, 4], [3, 4], [0.6, 0.8]]), np.array([1.0, 0, 0])
    value, gradients = kind.value_and_gradients(losses.contrastive, a, b, y, margin=7.0)
    np.testing.assert_allclose(value, [12.5, 2, 18])
    np.testing.assert_allclose(gradients[1], [[3, 4], [-1.2, -1.6], [-3.6, -4.8]])
    np.testing.assert_allclose(kind.value(losses.contrastive, a, b, y), [12.5, 0, 0])


def test_a_query_by_hand(kind):
    """Products 0 and log 3 in the first row: its own key gets a quarter; products 0 and 0 in the second."""
    q, k = np.array([[1.0, 0], [0, 1]]), np.array([[0.0, 0], [np.log(3), 0]])
    value = kind.value(losses.info_nce, q, k, temperature=1.0)
    np.testing.assert_allclose(value, [np.log(4), np.log(2)])
    np.testing.assert_allclose(kind.value(losses.info_nce, q, k, temperature=0.5), [np.log(10), np.log(2)])


def test_cosines_by_hand(kind):
    a, b = np.array([[3.0, 4]] * 4), np.array([[6.0, 8], [4, 3], [4, 3], [-4, 3]])
    y = np.array([1, 1, -1, -1])
    np.testing.assert_allclose(kind.value(losses.cosine_embedding, a, b, y), [0, 0.04, 0.96, 0], atol=1e-15)
    shifted = kind.value(losses.cosine_embedding, a, b, y, margin=0.5)
    np.testing.assert_allclose(shifted, [0, 0.04, 0.46, 0], atol=1e-15)


def test_torch_computes_the_same(kind, rng):
    a, b, c = rng.normal(size=(3, 30, 4))
    y = rng.choice([-1, 1], 30)

    def hadsell(a, b):
        d = (a - b).norm(dim=-1)
        return torch.where(torch.tensor(y) == 1, d**2, (2.5 - d).clamp(min=0) ** 2) / 2

    for ours, theirs, rows in [
        (
            lambda *xs: losses.triplet(*xs, margin=0.7),
            lambda *xs: F.triplet_margin_loss(*xs, margin=0.7, eps=0, reduction="none"),
            (a, b, c),
        ),
        (
            lambda a, b: losses.cosine_embedding(a, b, kind.make(y), margin=0.2),
            lambda a, b: F.cosine_embedding_loss(a, b, torch.tensor(y), margin=0.2, reduction="none"),
            (a, b),
        ),
        (
            lambda q, k: losses.info_nce(q, k, temperature=0.3),
            lambda q, k: F.cross_entropy(q @ k.T / 0.3, torch.arange(30), reduction="none"),
            (a, b),
        ),
        (
            lambda a, b: losses.contrastive(a, b, kind.make((y + 1.0) / 2), margin=2.5),
            hadsell,
            (a, b),
        ),
    ]:
        expected, slopes = reference(theirs, *rows)
        value, gradients = kind.value_and_gradients(ours, *rows)
        np.testing.assert_allclose(value, expected, rtol=1e-10, atol=1e-12)
        for gradient, slope in zip(gradients, slopes, strict=True):
            np.testing.assert_allclose(gradient, slope, rtol=1e-10, atol=1e-12)


def test_stacks_of_rows_are_compared_each_within_itself(kind, rng):
    q, k = rng.normal(size=(2, 3, 5, 4))
    apart = [kind.value(losses.info_nce, q[i], k[i]) for i in range(3)]
    np.testing.assert_allclose(kind.value(losses.info_nce, q, k), apart, rtol=1e-13)
    stacked = kind.value(losses.info_nce, q.reshape(3, 1, 5, 4), k.reshape(3, 1, 5, 4))
    np.testing.assert_allclose(stacked, np.reshape(apart, (3, 1, 5)), rtol=1e-13)


def test_no_rows_have_no_losses(kind):
    for shape in [(0, 4), (2, 0, 4), (2, 3, 0, 4)]:
        value, gradients = kind.value_and_gradients(losses.info_nce, np.ones(shape), np.ones(shape))
        assert value.shape == shape[:-1]
        assert [g.shape for g in gradients] == [shape, shape]


def test_rows_that_coincide_have_the_stated_gradient_and_no_nan(kind):
    a = np.array([[1.0, 2.0]])
    value, gradients = kind.value_and_gradients(losses.triplet, a, a, a)
    np.testing.assert_array_equal(value, [1])
    np.testing.assert_array_equal(gradients, np.zeros((3, 1, 2)))
    for y, cost in ((1.0, 0), (0.0, 0.5)):
        value, gradients = kind.value_and_gradients(losses.contrastive, a, a, np.array([y]))
        np.testing.assert_array_equal(value, [cost])
        np.testing.assert_array_equal(gradients[:2], np.zeros((2, 1, 2)))


def test_a_row_of_zeros_has_cosine_zero_and_gradient_zero(kind):
    a, b = np.array([[0.0, 0], [0, 0], [1, 2], [0, 0]]), np.array([[1.0, 2], [1, 2], [0, 0], [0, 0]])
    y = np.array([1.0, -1, 1, 1])
    value, gradients = kind.value_and_gradients(losses.cosine_embedding, a, b, y, margin=-0.5)
    np.testing.assert_array_equal(value, [1, 0.5, 1, 1])
    np.testing.assert_array_equal(gradients[:2], np.zeros((2, 4, 2)))


def test_a_cosine_on_the_margin_has_gradient_zero(kind):
    a, b = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    value, gradients = kind.value_and_gradients(losses.cosine_embedding, a, b, np.array([-1.0]))
    np.testing.assert_array_equal(value, [0])
    np.testing.assert_array_equal(gradients[0], [[0, 0]])


def test_a_small_angle_keeps_its_digits_in_single_precision(kind):
    a, b = np.array([[1.0, 0.0]], np.float32), np.array([[1.0, 1e-4]], np.float32)
    value = kind.value(losses.cosine_embedding, a, b, np.array([1.0], np.float32))
    np.testing.assert_allclose(value, [5e-9], rtol=1e-5)  # a cosine that is 1 there would give 0


def test_small_rows_have_a_direction_too(kind):
    a, b = np.array([[1e-100, 0.0]]), np.array([[0.0, 1e-100]])
    np.testing.assert_allclose(kind.value(losses.cosine_embedding, a, b, np.array([1.0])), [1])
    np.testing.assert_allclose(kind.value(losses.cosine_embedding, a, 2 * a, np.array([1.0])), [0])


def test_a_model_that_cannot_tell_pairs_apart_is_at_the_logarithm_of_their_number(kind):
    np.testing.assert_allclose(kind.value(losses.info_nce, np.ones((5, 3)), np.ones((5, 3))), np.full(5, np.log(5)))


def test_a_sure_query_keeps_its_digits(kind):
    q = np.array([[1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(kind.value(losses.info_nce, q, q, temperature=0.01), np.exp([-100.0, -100]), rtol=1e-14)


def test_a_learned_temperature_gets_its_gradient(kind, rng):
    q, k = rng.normal(size=(2, 6, 3))
    temperature = kind.make(0.5, requires_grad=True)
    losses.info_nce(kind.make(q), kind.make(k), temperature).sum().backward()
    h = 1e-6
    up, down = (kind.value(losses.info_nce, q, k, temperature=0.5 + s).sum() for s in (h, -h))
    np.testing.assert_allclose(float(temperature.grad), (up - down) / (2 * h), rtol=1e-7)


def test_a_single_row_cannot_be_compared_with_others(kind):
    with pytest.raises(ValueError, match=r"info_nce: query must have shape \(..., N, d\), got \(3,\)"):
        kind.value(losses.info_nce, np.ones(3), np.ones(3))


@pytest.mark.parametrize("loss", [losses.contrastive, losses.cosine_embedding])
def test_one_target_belongs_to_a_pair(loss, kind):
    with pytest.raises(ValueError, match=rf"{loss.__name__}: target must have shape \(2,\) beside first"):
        kind.value(loss, np.ones((2, 3)), np.ones((2, 3)), np.ones((2, 3)))


@given(VECTORS, st.floats(0.1, 10))
def test_embedding_losses_do_not_see_where_and_cosines_not_how_long_the_rows_are(vectors, scale):
    a, b, c = torch.tensor(vectors)
    y = torch.tensor([1.0, 0, 1, 0], dtype=torch.float64)
    shift = torch.tensor([3.0, -1.0], dtype=torch.float64)
    turn = torch.tensor([[0.6, 0.8], [-0.8, 0.6]], dtype=torch.float64)
    for changed in ([x + shift for x in (a, b, c)], [x @ turn for x in (a, b, c)]):
        for loss, last in ((losses.triplet, 2), (losses.contrastive, None)):
            now, then = ([*x[:2], y] if last is None else x for x in ([a, b, c], changed))
            torch.testing.assert_close(loss(*now), loss(*then), rtol=1e-9, atol=1e-12)
    cosine = losses.cosine_embedding(a, b, 2 * y - 1)
    torch.testing.assert_close(losses.cosine_embedding(scale * a, b / scale, 2 * y - 1), cosine, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(losses.cosine_embedding(b, a, 2 * y - 1), cosine, rtol=1e-12, atol=1e-15)


@given(VECTORS)
def test_embedding_losses_are_never_negative_and_zero_for_perfect_pairs(vectors):
    a, b, c = torch.tensor(vectors)
    one = torch.ones(4, dtype=torch.float64)
    assert (losses.triplet(a, b, c) >= 0).all()
    assert (losses.contrastive(a, b, one * 0) >= 0).all()
    assert (losses.info_nce(a, b) >= 0).all()
    assert (losses.cosine_embedding(a, b, one) >= 0).all()
    assert (losses.contrastive(a, a, one) == 0).all()
    assert (losses.triplet(a, a, a + 1) == 0).all()
    nonzero = a[(a != 0).any(-1)]
    assert (losses.cosine_embedding(nonzero, nonzero, one[: len(nonzero)]) == 0).all()
