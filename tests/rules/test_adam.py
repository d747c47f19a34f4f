import numpy as np
import pytest

from lossopt.rules import RULES

PRECISION = pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])
ADAM = {"lr": 0.1, "beta1": 0.5, "beta2": 0.75, "eps": 0.25}
# Under ADAM and the gradients 0.5 and 1: m is 0.25, then 0.625; v is 0.0625, then 0.296875;
# they lack 1 - 0.5 = 0.5, then 1 - 0.25 = 0.75, and 1 - 0.75 = 0.25, then 1 - 0.5625 = 0.4375.


def test_adam_by_hand(by_hand):
    w1 = 1 - 0.1 * 0.5 / (0.5 + 0.25)
    w2 = w1 - 0.1 * (0.625 / 0.75) / ((0.296875 / 0.4375) ** 0.5 + 0.25)
    by_hand(RULES["adam"], [0.5, 1.0], [w1, w2], **ADAM)


def test_adamw_by_hand(by_hand):
    w1 = 1 * (1 - 0.1 * 0.2) - 0.1 * 0.5 / (0.5 + 0.25)
    w2 = w1 * 0.98 - 0.1 * (0.625 / 0.75) / ((0.296875 / 0.4375) ** 0.5 + 0.25)
    by_hand(RULES["adamw"], [0.5, 1.0], [w1, w2], **ADAM, weight_decay=0.2)


def test_adamax_by_hand(by_hand):
    # u: 0.5 + 0.25 = 0.75, then the larger of 0.75 * 0.75 and 0.125 + 0.25
    w1 = 1 - 0.1 * 0.5 / 0.75
    w2 = w1 - 0.1 * ((0.125 + 0.0625) / 0.75) / 0.5625
    by_hand(RULES["adamax"], [0.5, 0.125], [w1, w2], **ADAM)


def test_amsgrad_by_hand(by_hand):
    # v: 0.25, then 0.1875 + 0.00390625 = 0.19140625, which is less: the first one stays, corrected by the new 0.4375
    w1 = 1 - 0.1 * 1 / (1 + 0.25)
    w2 = w1 - 0.1 * ((0.25 + 0.0625) / 0.75) / ((0.25 / 0.4375) ** 0.5 + 0.25)
    by_hand(RULES["amsgrad"], [1.0, 0.125], [w1, w2], **ADAM)


def test_nadam_by_hand(by_hand):
    # mu: 0.5 * (1 - 0.48), 0.5 * (1 - 0.4608), 0.5 * (1 - 0.442368) at momentum_decay 1
    mu1, mu2, mu3 = 0.26, 0.2696, 0.278816
    m_hat1 = mu2 * 0.25 / (1 - mu1 * mu2) + (1 - mu1) * 0.5 / (1 - mu1)
    m_hat2 = mu3 * 0.625 / (1 - mu1 * mu2 * mu3) + (1 - mu2) * 1.0 / (1 - mu1 * mu2)
    w1 = 1 - 0.1 * m_hat1 / (0.5 + 0.25)
    w2 = w1 - 0.1 * m_hat2 / ((0.296875 / 0.4375) ** 0.5 + 0.25)
    by_hand(RULES["nadam"], [0.5, 1.0], [w1, w2], **ADAM, momentum_decay=1.0)


def test_radam_by_hand(by_hand):
    # At beta2 = 0.75 rho_inf is 7, and rho passes 5 at step 8.
    m = [0.0]
    v = [0.0]
    points = [1.0]
    for t in range(1, 11):
        m.append(0.5 * m[-1] + 0.5)
        v.append(0.75 * v[-1] + 0.25)
        rho = 7 - 2 * t * 0.75**t / (1 - 0.75**t)
        step = m[t] / (1 - 0.5**t)
        if t >= 8:
            r = ((rho - 4) * (rho - 2) * 7 / (3 * 5 * rho)) ** 0.5
            step *= r * (1 - 0.75**t) ** 0.5 / (v[t] ** 0.5 + 0.25)
        points.append(points[-1] - 0.1 * step)
    assert 7 - 14 * 0.75**7 / (1 - 0.75**7) < 5 < 7 - 16 * 0.75**8 / (1 - 0.75**8)
    by_hand(RULES["radam"], [1.0] * 10, points[1:], **ADAM)


def test_adabelief_by_hand(by_hand):
    # m: 0.25, 0.625; g - m: 0.25, 0.375; s: 0.25 / 16 + 0.25, then 0.75 of it + 0.25 * 9 / 64 + 0.25
    s1 = 0.015625 + 0.25
    s2 = 0.75 * s1 + 0.03515625 + 0.25
    w1 = 1 - 0.1 * 0.5 / ((s1 / 0.25) ** 0.5 + 0.25)
    w2 = w1 - 0.1 * (0.625 / 0.75) / ((s2 / 0.4375) ** 0.5 + 0.25)
    by_hand(RULES["adabelief"], [0.5, 1.0], [w1, w2], **ADAM)


def test_its_defaults_are_those_of_torch():
    torch = pytest.importorskip("torch")
    pairs = {"adam": "Adam", "adamw": "AdamW", "adamax": "Adamax", "nadam": "NAdam", "radam": "RAdam"}
    for name, theirs in pairs.items():
        defaults = getattr(torch.optim, theirs)([torch.zeros(1, requires_grad=True)]).defaults
        defaults["beta1"], defaults["beta2"] = defaults["betas"]
        assert dict(RULES[name].hyper) == {key: defaults[key] for key in RULES[name].hyper}
    assert RULES["amsgrad"].hyper == RULES["adam"].hyper
    assert dict(RULES["adabelief"].hyper) == dict(RULES["adam"].hyper) | {"eps": 1e-16}


@PRECISION
@pytest.mark.parametrize(
    ("name", "theirs", "extra", "own"),
    [
        ("adam", "Adam", {}, {}),
        ("adamw", "AdamW", {}, {"weight_decay": 0.1}),
        ("adamax", "Adamax", {}, {}),
        ("amsgrad", "Adam", {"amsgrad": True}, {}),
        ("nadam", "NAdam", {}, {"momentum_decay": 0.004}),
        ("radam", "RAdam", {}, {}),
    ],
)
def test_it_goes_with_torch(beside_torch, problem, name, theirs, extra, own, dtype, tolerance):
    import torch

    shared = {"lr": 0.001, "eps": 1e-2} | own
    betas = {"beta1": 0.8, "beta2": 0.98}
    theirs_all = shared | extra | {"betas": (0.8, 0.98)}
    optimizer = getattr(torch.optim, theirs)
    beside_torch(RULES[name], optimizer, problem, dtype, tolerance, theirs=theirs_all, **shared, **betas)


def test_adabelief_follows_its_pseudo_code(path, problem):
    """Algorithm 2, one coordinate at a time."""
    lr, beta1, beta2, eps = 0.002, 0.8, 0.98, 1e-6
    theta = [float(x) for x in problem.start]
    m = [0.0] * len(theta)
    s = [0.0] * len(theta)
    points = []
    for t in range(1, 1001):
        gradient = problem.gradient(np.array(theta), t)
        for i in range(len(theta)):
            g = float(gradient[i])
            m[i] = beta1 * m[i] + (1 - beta1) * g
            s[i] = beta2 * s[i] + (1 - beta2) * (g - m[i]) ** 2 + eps
            theta[i] -= lr * (m[i] / (1 - beta1**t)) / ((s[i] / (1 - beta2**t)) ** 0.5 + eps)
        points.append(list(theta))
    ours = path(RULES["adabelief"], problem, lr=lr, beta1=beta1, beta2=beta2, eps=eps)
    np.testing.assert_allclose(ours, points, rtol=0, atol=1e-12)


def test_adabelief_goes_with_optax(beside_optax, problem):
    optax = pytest.importorskip("optax")
    belief = optax.adabelief(0.01, b1=0.8, b2=0.95, eps=1e-2, eps_root=1e-2)
    beside_optax(RULES["adabelief"], belief, problem, lr=0.01, beta1=0.8, beta2=0.95, eps=1e-2)


@pytest.mark.parametrize("beta2", [0.0, 0.3, 1 / 3, 0.5, 0.6, 2 / 3])
def test_radam_adapts_nothing_where_nothing_can_be_trusted(beta2):
    """The rectification divides by zero at beta2 = 1/3 and 0.6, where it is never used: plain corrected momentum."""
    w, m, v = 1.0, 0.0, 0.0
    average = 0.0
    for t in range(1, 60):
        before, average = w, 0.9 * average + 0.1 * 0.01 * t
        w, m, v = RULES["radam"].rule(w, 0.01 * t, t, m, v, lr=0.1, beta1=0.9, beta2=beta2)
        assert before - w == pytest.approx(0.1 * average / (1 - 0.9**t), rel=1e-12)
