"""The dialects: each against numbers worked out by hand, its library where there is one, and the plain rule."""

import math

import numpy as np
import pytest

from lossopt.rules import RULES

ADAM = {"lr": 0.1, "beta1": 0.5, "beta2": 0.75, "eps": 0.25}
# Under ADAM and the gradients 0.5 and 1: m is 0.25, then 0.625; v is 0.0625, then 0.296875;
# they lack 1 - 0.5 = 0.5, then 1 - 0.25 = 0.75, and 1 - 0.75 = 0.25, then 1 - 0.5625 = 0.4375.


def test_momentum_sutskever_by_hand(by_hand):
    # b: -0.05, then -0.03 + 0.2
    by_hand(RULES["momentum_sutskever"], [0.5, -2.0], [0.95, 0.95 + 0.17], lr=0.1, momentum=0.6)


def test_momentum_ema_by_hand(by_hand):
    # b: 0.4 * 0.5, then 0.6 * 0.2 - 0.4 * 2
    by_hand(RULES["momentum_ema"], [0.5, -2.0], [0.98, 0.98 + 0.068], lr=0.1, momentum=0.6)


def test_nesterov_lookahead_by_hand(by_hand):
    # b: -0.05, then 0.17; the step is 0.6 * b - 0.1 * g
    by_hand(RULES["nesterov_lookahead"], [0.5, -2.0], [0.92, 0.92 + 0.302], lr=0.1, momentum=0.6)


def test_adagrad_keras_by_hand(by_hand):
    w1 = 1 - 0.1 * 0.5 / (0.1 + 0.25 + 0.25) ** 0.5
    w2 = w1 + 0.1 * 2 / (0.1 + 4.25 + 0.25) ** 0.5
    by_hand(RULES["adagrad_keras"], [0.5, -2.0], [w1, w2], lr=0.1, initial_accumulator_value=0.1, eps=0.25)


def test_rmsprop_eps_inside_by_hand(by_hand):
    # v: 0.4 * 0.25 = 0.1, then 0.06 + 1.6
    w1 = 1 - 0.1 * 0.5 / 0.35**0.5
    w2 = w1 + 0.1 * 2 / 1.91**0.5
    by_hand(RULES["rmsprop_eps_inside"], [0.5, -2.0], [w1, w2], lr=0.1, alpha=0.6, eps=0.25)


def test_adam_keras_by_hand(by_hand):
    w1 = 1 - 0.1 * (0.25**0.5 / 0.5) * 0.25 / (0.25 + 0.25)
    w2 = w1 - 0.1 * (0.4375**0.5 / 0.75) * 0.625 / (0.296875**0.5 + 0.25)
    by_hand(RULES["adam_keras"], [0.5, 1.0], [w1, w2], **ADAM)


def test_adamw_paper_by_hand(by_hand):
    w1 = 1 - 0.5 * (0.1 * 0.5 / (0.5 + 0.25) + 0.2 * 1)
    w2 = w1 - 0.5 * (0.1 * (0.625 / 0.75) / ((0.296875 / 0.4375) ** 0.5 + 0.25) + 0.2 * w1)
    by_hand(RULES["adamw_paper"], [0.5, 1.0], [w1, w2], **ADAM, weight_decay=0.2, eta=0.5)


def test_amsgrad_paper_by_hand(by_hand):
    # v: 0.25, then 0.19140625, which is less
    w1 = 1 - 0.1 * 0.5 / (0.5 + 0.25)
    w2 = w1 - 0.1 * (0.25 + 0.0625) / (0.5 + 0.25)
    by_hand(RULES["amsgrad_paper"], [1.0, 0.125], [w1, w2], **ADAM)


def test_amsgrad_optax_by_hand(by_hand):
    # Corrected v: 1, then 0.19140625 / 0.4375, which is less: the 1 stays as it is
    w1 = 1 - 0.1 * 1 / (1 + 0.25)
    w2 = w1 - 0.1 * ((0.25 + 0.0625) / 0.75) / (1 + 0.25)
    by_hand(RULES["amsgrad_optax"], [1.0, 0.125], [w1, w2], **ADAM)


def test_nadam_keras_by_hand(by_hand):
    # mu: 0.5 * (1 - 0.48), 0.5 * (1 - 0.4608), 0.5 * (1 - 0.442368)
    mu1, mu2, mu3 = 0.26, 0.2696, 0.278816
    m_hat1 = mu2 * 0.25 / (1 - mu1 * mu2) + (1 - mu1) * 0.5 / (1 - mu1)
    m_hat2 = mu3 * 0.625 / (1 - mu1 * mu2 * mu3) + (1 - mu2) * 1.0 / (1 - mu1 * mu2)
    w1 = 1 - 0.1 * m_hat1 / (0.5 + 0.25)
    w2 = w1 - 0.1 * m_hat2 / ((0.296875 / 0.4375) ** 0.5 + 0.25)
    by_hand(RULES["nadam_keras"], [0.5, 1.0], [w1, w2], **ADAM)


def test_nadam_optax_by_hand(by_hand):
    w1 = 1 - 0.1 * (0.5 * 0.25 / 0.75 + 0.5 * 0.5 / 0.5) / (0.5 + 0.25)
    w2 = w1 - 0.1 * (0.5 * 0.625 / 0.875 + 0.5 * 1 / 0.75) / ((0.296875 / 0.4375) ** 0.5 + 0.25)
    by_hand(RULES["nadam_optax"], [0.5, 1.0], [w1, w2], **ADAM)


def test_radam_paper_by_hand(by_hand):
    # At beta2 = 0.75 rho_inf is 7, and rho passes 4 at step 6 (and 5 at step 8).
    m = v = 0.0
    points = [1.0]
    for t in range(1, 9):
        m, v = 0.5 * m + 0.5, 0.75 * v + 0.25
        rho = 7 - 2 * t * 0.75**t / (1 - 0.75**t)
        assert (rho > 4) == (t >= 6)
        step = m / (1 - 0.5**t)
        if t >= 6:
            r = ((rho - 4) * (rho - 2) * 7 / (3 * 5 * rho)) ** 0.5
            step *= r * (1 - 0.75**t) ** 0.5 / (v**0.5 + 0.25)
        points.append(points[-1] - 0.1 * step)
    by_hand(RULES["radam_paper"], [1.0] * 8, points[1:], **ADAM)


def test_radam_paper_divides_by_what_it_has_where_little_can_be_trusted():
    """At beta2 = 0.64 rho_inf lies between 4 and 5; under a constant gradient of 1 both averages stay 1."""
    rho_inf = 2 / 0.36 - 1
    rho = rho_inf - 2 * 20 * 0.64**20 / (1 - 0.64**20)
    r = ((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)) ** 0.5
    w, _, _ = RULES["radam_paper"].rule(0.0, 1.0, 20, 1.0, 1.0, lr=0.1, beta1=0.5, beta2=0.64, eps=0.25)
    assert 4 < rho < rho_inf < 5
    assert w == pytest.approx(-0.1 / (1 - 0.5**20) * r * (1 - 0.64**20) ** 0.5 / 1.25, rel=1e-12)


def adam_like(problem, step):
    """Pseudo-code that keeps m and v for every weight and leaves one weight's step to `step(i, t, w, g, m, v)`."""
    m, v = [0.0] * len(problem.start), [0.0] * len(problem.start)

    def whole(t, theta, g):
        for i, slope in enumerate(g):
            m[i] = 0.8 * m[i] + 0.2 * slope
            v[i] = 0.95 * v[i] + 0.05 * slope**2
            theta[i] -= step(i, t, theta[i], slope, m[i], v[i])

    return whole


BETAS = {"lr": 0.001, "beta1": 0.8, "beta2": 0.95, "eps": 1e-2}


def test_their_defaults_are_those_of_their_source():
    adam = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
    assert {rule.name: dict(rule.hyper) for rule in RULES.values() if rule.family == "dialects"} == {
        "momentum_sutskever": {"lr": 1e-2, "momentum": 0.9},
        "momentum_ema": {"lr": 1e-3, "momentum": 0.9},
        "nesterov_lookahead": {"lr": 1e-2, "momentum": 0.9},
        "adagrad_keras": {"lr": 1e-3, "initial_accumulator_value": 0.1, "eps": 1e-7},
        "rmsprop_eps_inside": {"lr": 1e-3, "alpha": 0.9, "eps": 1e-8},
        "adam_keras": adam | {"eps": 1e-7},
        "adamw_paper": adam | {"weight_decay": 1e-5, "eta": 1.0},
        "amsgrad_paper": adam,
        "amsgrad_optax": adam,
        "nadam_keras": adam | {"eps": 1e-7},
        "nadam_optax": adam | {"lr": 2e-3},
        "radam_paper": adam,
    }


def test_adam_keras_follows_its_pseudo_code(beside_pseudo_code, problem):
    def step(i, t, w, g, m, v):
        return 0.001 * math.sqrt(1 - 0.95**t) / (1 - 0.8**t) * m / (math.sqrt(v) + 1e-2)

    beside_pseudo_code(RULES["adam_keras"], adam_like(problem, step), problem, **BETAS)


def test_adamw_paper_follows_its_pseudo_code(beside_pseudo_code, problem):
    def step(i, t, w, g, m, v):
        return 0.5 * (0.001 * m / (1 - 0.8**t) / (math.sqrt(v / (1 - 0.95**t)) + 1e-2) + 0.003 * w)

    step = adam_like(problem, step)
    beside_pseudo_code(RULES["adamw_paper"], step, problem, **BETAS, weight_decay=0.003, eta=0.5)


def test_amsgrad_paper_follows_its_pseudo_code(beside_pseudo_code, problem):
    largest = [0.0] * len(problem.start)

    def step(i, t, w, g, m, v):
        largest[i] = max(largest[i], v)
        return 0.001 * m / (math.sqrt(largest[i]) + 1e-2)

    beside_pseudo_code(RULES["amsgrad_paper"], adam_like(problem, step), problem, **BETAS)


def test_nadam_keras_follows_its_pseudo_code(beside_pseudo_code, problem):
    def momentum(t):
        return 0.8 * (1 - 0.5 * 0.96**t)

    def step(i, t, w, g, m, v):
        product = math.prod(momentum(k) for k in range(1, t + 1))
        m_hat = momentum(t + 1) * m / (1 - product * momentum(t + 1)) + (1 - momentum(t)) * g / (1 - product)
        return 0.001 * m_hat / (math.sqrt(v / (1 - 0.95**t)) + 1e-2)

    beside_pseudo_code(RULES["nadam_keras"], adam_like(problem, step), problem, steps=300, **BETAS)


def test_radam_paper_follows_its_pseudo_code(beside_pseudo_code, problem):
    def step(i, t, w, g, m, v):
        rho_inf = 2 / (1 - 0.95) - 1
        rho = rho_inf - 2 * t * 0.95**t / (1 - 0.95**t)
        m_hat = m / (1 - 0.8**t)
        if rho <= 4:
            return 0.001 * m_hat
        r = math.sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
        return 0.001 * r * m_hat * math.sqrt(1 - 0.95**t) / (math.sqrt(v) + 1e-2)

    beside_pseudo_code(RULES["radam_paper"], adam_like(problem, step), problem, **BETAS)


def test_momentum_sutskever_follows_its_equations(beside_pseudo_code, problem):
    v = [0.0] * len(problem.start)

    def step(t, theta, g):
        for i, slope in enumerate(g):
            v[i] = 0.8 * v[i] - 0.02 * slope
            theta[i] += v[i]

    beside_pseudo_code(RULES["momentum_sutskever"], step, problem, lr=0.02, momentum=0.8)


def test_momentum_ema_follows_its_equations(beside_pseudo_code, problem):
    v = [0.0] * len(problem.start)

    def step(t, theta, g):
        for i, slope in enumerate(g):
            v[i] = 0.8 * v[i] + 0.2 * slope
            theta[i] -= 0.1 * v[i]

    beside_pseudo_code(RULES["momentum_ema"], step, problem, lr=0.1, momentum=0.8)


def test_nesterov_lookahead_is_sutskevers_rule_seen_from_the_look_ahead_point(problem):
    """Equations 3 and 4 take the gradient at theta + mu * v; that point is what the rule stores, at any rates."""
    theta, v = problem.start, np.zeros_like(problem.start)
    w, b = problem.start, 0.0
    for t in range(1, 301):
        lr = 0.02 if t < 100 else 0.005
        v = 0.8 * v - lr * problem.gradient(theta + 0.8 * v, t)
        theta = theta + v
        w, b = RULES["nesterov_lookahead"].rule(w, problem.gradient(w, t), t, b, lr=lr, momentum=0.8)
        np.testing.assert_allclose(w, theta + 0.8 * v, rtol=0, atol=1e-12)
        np.testing.assert_allclose(w - 0.8 * b, theta, rtol=0, atol=1e-12)


def test_they_go_with_optax(beside_optax, problem):
    optax = pytest.importorskip("optax")
    betas = {"b1": 0.8, "b2": 0.95, "eps": 1e-2}
    hyper = {"lr": 0.01, "beta1": 0.8, "beta2": 0.95, "eps": 1e-2}
    beside_optax(RULES["amsgrad_optax"], optax.amsgrad(0.01, **betas), problem, **hyper)
    beside_optax(RULES["nadam_optax"], optax.nadam(0.01, **betas), problem, **hyper)
    rmsprop = optax.rmsprop(0.01, decay=0.8, eps=1e-2)
    beside_optax(RULES["rmsprop_eps_inside"], rmsprop, problem, lr=0.01, alpha=0.8, eps=1e-2)


def test_adagrad_keras_goes_with_optax_where_there_is_a_gradient(beside_optax):
    optax = pytest.importorskip("optax")

    class Bowl:
        start = np.array([1.0, -2.0])

        def gradient(self, w, t):
            return np.array([3.0, 1.0]) * w

    theirs = optax.adagrad(0.1, initial_accumulator_value=0.2, eps=1e-2)
    beside_optax(RULES["adagrad_keras"], theirs, Bowl(), lr=0.1, initial_accumulator_value=0.2, eps=1e-2)


@pytest.mark.parametrize(("dialect", "plain"), [("momentum_sutskever", "momentum"), ("nesterov_lookahead", "nesterov")])
def test_a_rate_inside_the_buffer_differs_only_once_it_changes(dialect, plain):
    """A constant gradient, ten steps, the rate cut by ten after five of them."""
    differences = []
    w_in = w_out = 1.0
    b_in = b_out = 0.0
    for t in range(1, 11):
        lr = 0.1 if t <= 5 else 0.01
        w_in, b_in = RULES[dialect].rule(w_in, 1.0, t, b_in, lr=lr, momentum=0.9)
        w_out, b_out = RULES[plain].rule(w_out, 1.0, t, b_out, lr=lr, momentum=0.9)
        differences.append(w_out - w_in)
    assert max(np.abs(differences[:5])) < 1e-14
    assert differences[-1] > 0.5


def test_momentum_ema_is_momentum_at_a_smaller_rate(path, problem):
    ema = path(RULES["momentum_ema"], problem, steps=200, lr=0.1, momentum=0.8)
    np.testing.assert_allclose(ema, path(RULES["momentum"], problem, steps=200, lr=0.02, momentum=0.8), atol=1e-12)


def test_adam_keras_is_adam_with_a_larger_eps(by_hand):
    w = 1.0
    m = v = 0.0
    for t, g in enumerate([0.5, -2.0, 1.0], start=1):
        eps = 0.01 / (1 - 0.9**t) ** 0.5
        expected = RULES["adam"].rule(w, g, t, m, v, lr=0.1, beta1=0.5, beta2=0.9, eps=eps)[0]
        w, m, v = RULES["adam_keras"].rule(w, g, t, m, v, lr=0.1, beta1=0.5, beta2=0.9, eps=0.01)
        assert w == pytest.approx(expected, rel=1e-14)


def test_nadam_keras_is_nadam_at_the_fastest_warm_up(path, problem):
    theirs = path(RULES["nadam_keras"], problem, steps=100, lr=0.01, eps=1e-3)
    ours = path(RULES["nadam"], problem, steps=100, lr=0.01, eps=1e-3, momentum_decay=1)
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-14)


def test_adamw_paper_at_its_defaults_is_adamw_at_its_defaults(path, problem):
    np.testing.assert_allclose(
        path(RULES["adamw_paper"], problem, steps=100), path(RULES["adamw"], problem, steps=100), rtol=0, atol=1e-13
    )


@pytest.mark.parametrize("beta2", [0.0, 0.3, 1 / 3, 0.5, 0.6])
def test_radam_paper_adapts_nothing_where_nothing_can_be_trusted(beta2):
    w, m, v = 1.0, 0.0, 0.0
    average = 0.0
    for t in range(1, 60):
        before, average = w, 0.9 * average + 0.1 * 0.01 * t
        w, m, v = RULES["radam_paper"].rule(w, 0.01 * t, t, m, v, lr=0.1, beta1=0.9, beta2=beta2)
        assert before - w == pytest.approx(0.1 * average / (1 - 0.9**t), rel=1e-12)
