import numpy as np
import pytest

from lossopt.rules import RULES
from lossopt.rules.averaging import schedule_free_average

SGD = {"lr": 0.02, "beta": 0.8}
ADAMW = {"lr": 0.005, "beta": 0.8, "beta2": 0.95, "eps": 1e-2, "weight_decay": 0.1}


def test_schedule_free_sgd_by_hand(by_hand):
    # z: 1 - 0.05, then 0.95 + 0.2; x: 0.95, then half of 0.95 and half of 1.15
    by_hand(RULES["schedule_free_sgd"], [0.5, -2.0], [0.95, 0.4 * 1.15 + 0.6 * 1.05], lr=0.1, beta=0.6)


def test_schedule_free_adamw_by_hand(by_hand):
    # v: 0.0625, then 0.046875 + 0.25 = 0.296875, corrected by 0.25, then 0.4375
    z1 = 1 - 0.1 * (0.5 / (0.5 + 0.25) + 0.2 * 1)
    z2 = z1 - 0.1 * (1 / ((0.296875 / 0.4375) ** 0.5 + 0.25) + 0.2 * z1)
    x2 = (z1 + z2) / 2
    hyper = {"lr": 0.1, "beta": 0.6, "beta2": 0.75, "eps": 0.25, "weight_decay": 0.2}
    by_hand(RULES["schedule_free_adamw"], [0.5, 1.0], [z1, 0.4 * z2 + 0.6 * x2], **hyper)


def test_the_average_weighs_every_point_by_its_squared_rate():
    """Rates of 0.1, 0.2 and 0.3 weigh 1, 4 and 9."""
    w, d, weight_sum, z, total = 1.0, 0.0, 0.0, 1.0, 0.0
    for t, (lr, g) in enumerate([(0.1, 0.5), (0.2, -2.0), (0.3, 1.0)], start=1):
        w, d, weight_sum = RULES["schedule_free_sgd"].rule(w, g, t, d, weight_sum, lr=lr, beta=0.6)
        z -= lr * g
        total += t * t * z
        assert w + d == pytest.approx(z, rel=1e-14)
    assert weight_sum == pytest.approx(0.14, rel=1e-14)
    assert schedule_free_average(w, d, 0.6) == pytest.approx(total / 14, rel=1e-14)


def test_at_beta_one_it_trains_at_the_average_itself():
    w, d, weight_sum, z, points = 1.0, 0.0, 0.0, 1.0, []
    for t, g in enumerate([0.5, -2.0, 1.0], start=1):
        w, d, weight_sum = RULES["schedule_free_sgd"].rule(w, g, t, d, weight_sum, lr=0.1, beta=1.0)
        z -= 0.1 * g
        points.append(z)
        assert w == pytest.approx(np.mean(points), rel=1e-14)
        assert schedule_free_average(w, d, 1.0) == w


def test_a_warm_up_may_start_at_a_rate_of_zero():
    for name in ["schedule_free_sgd", "schedule_free_adamw"]:
        rule = RULES[name]
        w, *state = rule.rule(0.7, 0.5, 1, *[0.0] * len(rule.state), lr=0.0)
        assert w == 0.7
        w, *state = rule.rule(w, 0.5, 2, *state, lr=0.1)
        assert w < 0.7
        assert schedule_free_average(w, state[0], 0.9) == pytest.approx(w + state[0], rel=1e-14)


def test_schedule_free_sgd_follows_its_pseudo_code(beside_pseudo_code, problem):
    x, z = list(problem.start), list(problem.start)

    def step(t, theta, g):
        for i, slope in enumerate(g):
            z[i] = z[i] - 0.02 * slope
            x[i] = (1 - 1 / t) * x[i] + 1 / t * z[i]
            theta[i] = (1 - 0.8) * z[i] + 0.8 * x[i]

    beside_pseudo_code(RULES["schedule_free_sgd"], step, problem, **SGD)


def test_schedule_free_adamw_follows_its_pseudo_code(beside_pseudo_code, problem):
    x, z, v = list(problem.start), list(problem.start), [0.0] * len(problem.start)

    def step(t, theta, g):
        for i, slope in enumerate(g):
            v[i] = 0.95 * v[i] + 0.05 * slope**2
            v_hat = v[i] / (1 - 0.95**t)
            z[i] = z[i] - 0.005 * slope / (v_hat**0.5 + 1e-2) - 0.005 * 0.1 * theta[i]
            x[i] = (1 - 1 / t) * x[i] + 1 / t * z[i]
            theta[i] = (1 - 0.8) * z[i] + 0.8 * x[i]

    beside_pseudo_code(RULES["schedule_free_adamw"], step, problem, **ADAMW)


@pytest.mark.parametrize("name", ["schedule_free_sgd", "schedule_free_adamw"])
def test_weights_and_average_are_those_of_the_authors_code(name, problem):
    torch = pytest.importorskip("torch")
    schedulefree = pytest.importorskip("schedulefree")
    p = torch.nn.Parameter(torch.tensor(problem.start))
    if name == "schedule_free_sgd":
        hyper = SGD
        optimizer = schedulefree.SGDScheduleFree([p], lr=0.02, momentum=0.8)
    else:
        hyper = ADAMW
        optimizer = schedulefree.AdamWScheduleFree([p], lr=0.005, betas=(0.8, 0.95), eps=1e-2, weight_decay=0.1)
    w, state = problem.start, [0.0] * len(RULES[name].state)
    for t in range(1, 301):
        optimizer.train()
        p.grad = torch.from_numpy(problem.gradient(p.detach().numpy(), t))
        optimizer.step()
        w, *state = RULES[name].rule(w, problem.gradient(w, t), t, *state, **hyper)
        np.testing.assert_allclose(w, p.detach().numpy(), rtol=0, atol=1e-12)
        if t % 100 == 0:
            optimizer.eval()
            average = schedule_free_average(w, state[0], hyper["beta"])
            np.testing.assert_allclose(average, p.detach().numpy(), rtol=0, atol=1e-12)


def test_their_defaults_are_those_of_the_authors_code():
    schedulefree = pytest.importorskip("schedulefree")
    torch = pytest.importorskip("torch")
    parameter = [torch.zeros(1, requires_grad=True)]
    theirs = schedulefree.SGDScheduleFree(parameter).defaults
    assert dict(RULES["schedule_free_sgd"].hyper) == {"lr": theirs["lr"], "beta": theirs["momentum"]}
    theirs = schedulefree.AdamWScheduleFree(parameter).defaults
    theirs["beta"], theirs["beta2"] = theirs["betas"]
    ours = RULES["schedule_free_adamw"].hyper
    assert dict(ours) == {key: theirs[key] for key in ours}
