import math

import numpy as np
import pytest

from lossopt.rules import RULES
from lossopt.rules.layerwise import trust_ratio


def length(vector):
    return math.sqrt(math.fsum(x * x for x in vector))


def test_lars_by_hand(by_hand):
    # The ratio of lengths 1 and 0.5 + 0.2 * 1 is 1 / 0.7; on a single number it cancels the gradient's size.
    step1 = 0.1 * 0.3 * (1 / 0.7) * 0.7
    w1 = 1 - step1
    step2 = 0.6 * step1 + 0.1 * 0.3 * (w1 / (2 + 0.2 * w1)) * (-2 + 0.2 * w1)
    hyper = {"lr": 0.1, "momentum": 0.6, "weight_decay": 0.2, "trust_coefficient": 0.3}
    by_hand(RULES["lars"], [0.5, -2.0], [w1, w1 - step2], **hyper)


def test_lamb_by_hand(by_hand):
    # On a single number the ratio leaves the update's sign times the weight's size.
    hyper = {"lr": 0.1, "beta1": 0.5, "beta2": 0.75, "eps": 0.25, "weight_decay": 0.2}
    by_hand(RULES["lamb"], [0.5, -8.0], [0.9, 0.99], **hyper)


def test_lamb_on_two_numbers_by_hand():
    w, g = np.array([3.0, 4.0]), np.array([0.5, -1.0])
    update = np.array([0.5 / 0.75 + 0.2 * 3, -1 / 1.25 + 0.2 * 4])  # of lengths 0.5 and 1, with eps 0.25
    expected = w - 0.1 * 5 / np.hypot(*update) * update
    new, m, v = RULES["lamb"].rule(w, g, 1, 0.0, 0.0, lr=0.1, beta1=0.5, beta2=0.75, eps=0.25, weight_decay=0.2)
    np.testing.assert_allclose(new, expected, rtol=1e-14)
    np.testing.assert_allclose((m, v), (0.5 * g, 0.25 * g * g), rtol=1e-14)


def test_lars_follows_its_pseudo_code(beside_pseudo_code, problem):
    v = [0.0] * len(problem.start)

    def step(t, theta, g):
        local = 0.02 * length(theta) / (length(g) + 0.1 * length(theta))
        for i, slope in enumerate(g):
            v[i] = 0.8 * v[i] + 0.5 * local * (slope + 0.1 * theta[i])
        for i in range(len(theta)):
            theta[i] -= v[i]

    hyper = {"lr": 0.5, "momentum": 0.8, "weight_decay": 0.1, "trust_coefficient": 0.02}
    beside_pseudo_code(RULES["lars"], step, problem, **hyper)


def test_lamb_follows_its_pseudo_code(beside_pseudo_code, problem):
    m = [0.0] * len(problem.start)
    v = [0.0] * len(problem.start)

    def step(t, theta, g):
        update = []
        for i, slope in enumerate(g):
            m[i] = 0.8 * m[i] + 0.2 * slope
            v[i] = 0.95 * v[i] + 0.05 * slope**2
            r = m[i] / (1 - 0.8**t) / (math.sqrt(v[i] / (1 - 0.95**t)) + 0.03)
            update.append(r + 0.1 * theta[i])
        ratio = length(theta) / length(update)
        for i, u in enumerate(update):
            theta[i] -= 0.001 * ratio * u

    hyper = {"lr": 0.001, "beta1": 0.8, "beta2": 0.95, "eps": 0.03, "weight_decay": 0.1}
    beside_pseudo_code(RULES["lamb"], step, problem, **hyper)


def test_they_go_with_optax(beside_optax, problem):
    optax = pytest.importorskip("optax")
    lamb = {"eps": 1e-3, "weight_decay": 0.1}
    theirs = optax.lamb(0.01, b1=0.8, b2=0.95, **lamb)
    beside_optax(RULES["lamb"], theirs, problem, lr=0.01, beta1=0.8, beta2=0.95, **lamb)
    # Without decay the two ways to count it in the ratio are one.
    theirs = optax.lars(0.5, weight_decay=0.0, trust_coefficient=0.02, momentum=0.8)
    hyper = {"lr": 0.5, "momentum": 0.8, "weight_decay": 0.0, "trust_coefficient": 0.02}
    beside_optax(RULES["lars"], theirs, problem, **hyper)


def test_the_trust_ratio_is_one_where_a_length_is_zero():
    assert trust_ratio(3.0, 4.0) == 0.75
    assert trust_ratio(0.0, 4.0) == trust_ratio(0.0, 1.0) == 1
    assert trust_ratio(3.0, 0.0) == trust_ratio(1.0, 0.0) == 1
    assert trust_ratio(0.0, 0.0) == 1


def test_a_layer_of_zeros_can_start_and_a_gradient_of_zeros_stops_nothing():
    zeros, ones = np.zeros(3), np.ones(3)
    moved = RULES["lars"].rule(zeros, ones, 1, 0.0, lr=0.5, weight_decay=0.0, trust_coefficient=0.1)[0]
    np.testing.assert_allclose(moved, -0.05 * ones)
    assert (RULES["lars"].rule(ones, zeros, 1, 0.0, weight_decay=0.0)[0] == ones).all()
    assert np.isfinite(RULES["lamb"].rule(zeros, zeros, 1, 0.0, 0.0)[0]).all()


def test_their_defaults():
    lars = {"lr": 1.0, "momentum": 0.9, "weight_decay": 5e-4, "trust_coefficient": 1e-3}
    assert dict(RULES["lars"].hyper) == lars
    lamb = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-6, "weight_decay": 0.01}
    assert dict(RULES["lamb"].hyper) == lamb
