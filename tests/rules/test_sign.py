import numpy as np
import pytest

from lossopt.rules import RULES


def test_sign_sgd_by_hand(by_hand):
    by_hand(RULES["sign_sgd"], [0.5, -2.0, 0.0], [0.9, 1.0, 1.0], lr=0.1)


def test_lion_by_hand(by_hand):
    # Mixtures: 0.25 * 1, then 0.75 * 0.6 - 0.25 * 1 = 0.2 and 0.75 * (0.24 - 0.6) + 0.25 * 0.5 = -0.145
    w1 = 1 * (1 - 0.1 * 0.2) - 0.1
    w2 = w1 * 0.98 - 0.1
    w3 = w2 * 0.98 + 0.1
    by_hand(RULES["lion"], [1.0, -1.0, 0.5], [w1, w2, w3], lr=0.1, beta1=0.75, beta2=0.4, weight_decay=0.2)


def test_sign_sgd_follows_its_pseudo_code(beside_pseudo_code, problem):
    def step(t, theta, g):
        for i, slope in enumerate(g):
            if slope > 0:
                theta[i] -= 0.001
            elif slope < 0:
                theta[i] += 0.001

    # Summing one number a thousand times in this order is exact in both, so the paths agree to the last bit.
    beside_pseudo_code(RULES["sign_sgd"], step, problem, tolerance=0, lr=0.001)


def test_lion_follows_its_pseudo_code(beside_pseudo_code, problem):
    m = [0.0] * len(problem.start)

    def step(t, theta, g):
        for i, slope in enumerate(g):
            c = 0.9 * m[i] + 0.1 * slope
            direction = (c > 0) - (c < 0)
            theta[i] = theta[i] - 0.001 * (direction + 0.3 * theta[i])
            m[i] = 0.99 * m[i] + 0.01 * slope

    hyper = {"lr": 0.001, "beta1": 0.9, "beta2": 0.99, "weight_decay": 0.3}
    beside_pseudo_code(RULES["lion"], step, problem, **hyper)


def test_they_go_with_optax(beside_optax, problem):
    optax = pytest.importorskip("optax")
    beside_optax(RULES["sign_sgd"], optax.sign_sgd(0.01), problem, lr=0.01)
    theirs = optax.lion(0.01, b1=0.8, b2=0.9, weight_decay=0.1)
    beside_optax(RULES["lion"], theirs, problem, lr=0.01, beta1=0.8, beta2=0.9, weight_decay=0.1)


def test_their_defaults_are_the_papers():
    assert dict(RULES["sign_sgd"].hyper) == {"lr": 1e-4}
    assert dict(RULES["lion"].hyper) == {"lr": 1e-4, "beta1": 0.9, "beta2": 0.99, "weight_decay": 0.0}


def test_every_weight_moves_by_exactly_the_rate_or_not_at_all():
    g = np.array([1e-300, -1e300, 0.0, -3.0])
    assert (RULES["sign_sgd"].rule(np.zeros(4), g, 1, lr=0.5) == [-0.5, 0.5, 0, 0.5]).all()
    assert (RULES["lion"].rule(np.zeros(4), g, 1, 0.0, lr=0.5)[0] == [-0.5, 0.5, 0, 0.5]).all()
