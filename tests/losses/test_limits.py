"""The shared arithmetic: limits instead of NaN, digits instead of cancellation."""

import numpy as np
import torch

from lossopt.losses.limits import log_sigmoids, norm, one_hot, ratio, surprise, times

INF = np.inf


def test_zero_times_infinity_is_zero_with_gradient_zero(kind):
    weight, value = np.array([0.0, 0.0, 2.0, 0.0, 2.0]), np.array([INF, -INF, INF, 3.0, 3.0])
    product, (by_weight, by_value) = kind.value_and_gradients(times, weight, value)
    np.testing.assert_array_equal(product, [0, 0, INF, 0, 6])
    np.testing.assert_array_equal(by_weight, [0, 0, INF, 3, 3])
    np.testing.assert_array_equal(by_value, [0, 0, 2, 0, 2])


def test_zero_over_zero_is_zero_with_gradient_zero(kind):
    quotient, (by_a, by_b) = kind.value_and_gradients(ratio, np.array([0.0, 0.0, 6.0]), np.array([0.0, 2.0, 3.0]))
    np.testing.assert_array_equal(quotient, [0, 0, 2])
    np.testing.assert_allclose(by_a, [0, 1 / 2, 1 / 3])
    np.testing.assert_allclose(by_b, [0, 0, -2 / 3])


def test_a_row_of_zeros_has_length_zero_and_gradient_zero(kind):
    length, (slope,) = kind.value_and_gradients(norm, np.array([[3.0, -4.0], [0.0, 0.0]]))
    np.testing.assert_array_equal(length, [5, 0])
    np.testing.assert_allclose(slope, [[0.6, -0.8], [0, 0]])


def test_log_sigmoids_at_the_tie_and_in_the_limits(kind):
    z = np.array([0.0, INF, -INF, 800.0, -800.0, 40.0])
    for part, mirrored in ((0, 1), (1, -1)):
        value, (slope,) = kind.value_and_gradients(lambda z, part=part: log_sigmoids(z)[part], mirrored * z)
        np.testing.assert_allclose(value, [-np.log(2), 0, -INF, 0, -800, -np.exp(-40)], rtol=1e-15, atol=0)
        np.testing.assert_allclose(mirrored * slope, [0.5, 0, 1, 0, 1, np.exp(-40)], rtol=1e-14, atol=0)


def test_a_surprise_is_that_of_the_picked_classes_alone(kind):
    z = np.array([np.log([1.0, 2.0, 5.0]), [np.log(4.0), np.log(4.0), -INF]])
    every = kind.value(lambda z: surprise(z, z), z)
    np.testing.assert_allclose(every, [np.log([8, 4, 1.6]), [np.log(2), np.log(2), INF]])
    first, (slope,) = kind.value_and_gradients(lambda z: surprise(z, z[:, :1]), z)
    np.testing.assert_allclose(first, every[:, :1])
    np.testing.assert_allclose(slope, [[-7 / 8, 2 / 8, 5 / 8], [-0.5, 0.5, 0]])


def test_a_label_names_one_class_or_none(kind):
    hot = one_hot(kind.make(np.array([[2, -100], [0, 3]])), 3)
    assert hot.tolist() == [[[False, False, True], [False] * 3], [[True, False, False], [False] * 3]]


def test_integers_without_a_sign_name_classes_as_well():
    assert one_hot(torch.tensor([1], dtype=torch.uint8), 2).tolist() == [[False, True]]
